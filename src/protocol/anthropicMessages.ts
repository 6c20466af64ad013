/**
 * Anthropic Messages. Source: Anthropic API reference, "Messages", "Tool use", "Extended thinking", "Prompt caching".
 */
import * as Completion from "../Completion.ts"
import type * as Message from "../Message.ts"
import * as TokenUsage from "../TokenUsage.ts"
import type { ToolChoice } from "../Tool.ts"
import { anthropicStream } from "./anthropicStream.ts"
import { cacheControl, decodeText, present, resultText } from "./encode.ts"
import { array, isObject, type JsonRecord, number, object, parseJson, string } from "./json.ts"
import { closed } from "./jsonSchema.ts"
import { finishReason, type FinishReasons, type Protocol } from "./Protocol.ts"

const provider = "anthropic"

// ---------------------------------------------------------------------------------------------------------------------
// Request
// ---------------------------------------------------------------------------------------------------------------------

// The most tokens that an answer may have, by the beginning of the model's name; the first match counts.
const outputLimits = [
  ["claude-opus-4-8", 128_000],
  ["claude-opus-4-7", 128_000],
  ["claude-opus-4-6", 128_000],
  ["claude-opus-4-5", 64_000],
  ["claude-opus-4", 32_000],
  ["claude-sonnet-4", 64_000],
  ["claude-haiku-4", 64_000],
  ["claude-3-7-sonnet", 64_000],
  ["claude-3-5", 8192],
  ["claude-3", 4096],
  ["claude-2", 4096],
  // Every Claude since the fourth generation takes this much.
  ["claude-", 32_000]
] as const satisfies ReadonlyArray<readonly [string, number]>

// What any server that speaks this protocol takes.
const fallbackLimit = 4096

// Gateways put vendors and regions before the name, and some write 4.6 for 4-6.
const baseName = (model: string): string => model.slice(Math.max(0, model.indexOf("claude-"))).replaceAll(".", "-")

/** `max_tokens` for a request that does not set it, by the model of the request. */
export const defaultMaxTokens = (model: string): number => {
  const name = baseName(model)
  return outputLimits.find(([start]) => name.startsWith(start))?.[1] ?? fallbackLimit
}

const source = (source: Message.Source): JsonRecord => {
  switch (source._tag) {
    case "Url":
      return { type: "url", url: source.url }
    case "Base64":
      return source.mediaType === "text/plain"
        ? { type: "text", media_type: "text/plain", data: decodeText(source.data) }
        : { type: "base64", media_type: source.mediaType, data: source.data }
    case "FileId":
      return { type: "file", file_id: source.id }
  }
}

const text = (content: Message.Text): JsonRecord => ({
  type: "text",
  text: content.text,
  ...present("citations", content.citations),
  ...cacheControl(content)
})

const image = (content: Message.Image): JsonRecord => ({
  type: "image",
  source: source(content.source),
  ...cacheControl(content)
})

const toolResult = (result: Message.ToolResult): JsonRecord => {
  const content = result.content.flatMap((item) =>
    item._tag === "Image" ? [image(item)] : resultText(item) === "" ? [] : [{ type: "text", text: resultText(item) }]
  )
  return {
    type: "tool_result",
    tool_use_id: result.id,
    ...(content.length > 0 && { content }),
    ...(result.isError === true && { is_error: true }),
    ...cacheControl(result)
  }
}

const userBlock = (content: Message.UserContent): ReadonlyArray<JsonRecord> => {
  switch (content._tag) {
    case "Text":
      return content.text === "" ? [] : [text(content)]
    case "Image":
      return [image(content)]
    case "Document":
      return [{
        type: "document",
        source: source(content.source),
        ...present("title", content.title),
        ...(content.citations === true && { citations: { enabled: true } }),
        ...cacheControl(content)
      }]
    case "ToolResult":
      return [toolResult(content)]
    // Refused before.
    case "Audio":
    case "Video":
      return []
  }
}

// The input of a call is an object, whatever another provider's model wrote.
const toolInput = (value: unknown): JsonRecord =>
  isObject(value) ? value : typeof value === "string" ? object(parseJson(value)) : {}

const reasoningBlock = (part: Message.ReasoningPart): ReadonlyArray<JsonRecord> => {
  switch (part._tag) {
    case "Text":
      return [{ type: "thinking", thinking: part.text, ...present("signature", part.signature) }]
    case "Redacted":
      return [{ type: "redacted_thinking", data: part.data }]
    // Other providers' forms, which Anthropic cannot read.
    case "Summary":
    case "Encrypted":
      return []
  }
}

const assistantBlock = (native: boolean) => (content: Message.AssistantContent): ReadonlyArray<JsonRecord> => {
  switch (content._tag) {
    case "Text":
      return content.text === "" ? [] : [text(content)]
    case "ToolCall":
      return [{
        type: "tool_use",
        id: content.id,
        name: content.name,
        input: toolInput(content.arguments),
        ...cacheControl(content)
      }]
    case "Reasoning":
      return native ? content.content.flatMap(reasoningBlock) : []
    case "ProviderBlock":
      return content.provider === provider ? [content.block] : []
    // Refused before.
    case "Image":
      return []
  }
}

const systemBlock = (content: string, marked: { readonly cache?: Message.CacheHint }): JsonRecord => ({
  type: "text",
  text: content,
  ...cacheControl(marked)
})

interface Turn {
  readonly role: string
  readonly content: Array<JsonRecord>
}

// Models from Opus 4.8 take system text in the middle of a conversation, after a user's turn and before the model's.
const takesSystemAt = (
  model: string,
  messages: ReadonlyArray<Message.Message>,
  index: number
): boolean => {
  const previous = messages[index - 1]
  const next = messages[index + 1]
  const last = previous?._tag === "Assistant" ? previous.content.at(-1) : undefined
  return baseName(model).startsWith("claude-opus-4-8")
    && (previous?._tag === "User" || last?._tag === "ProviderBlock")
    && (next === undefined || next._tag === "Assistant")
}

const conversation = (completion: Completion.Completion, model: string) => {
  const system: Array<JsonRecord> = []
  const turns: Array<Turn> = []
  if (completion.preamble) system.push(systemBlock(completion.preamble, {}))
  const messages = Completion.messages(completion)
  messages.forEach((message, index) => {
    const last = turns.at(-1)
    switch (message._tag) {
      case "System": {
        if (message.content === "") return
        const block = systemBlock(message.content, message)
        if (takesSystemAt(model, messages, index)) turns.push({ role: "system", content: [block] })
        else system.push(block)
        return
      }
      case "User": {
        const content = message.content.flatMap(userBlock)
        // Results of one turn belong into one message, and come before everything else in it.
        if (last?.role === "user") last.content.push(...content)
        else turns.push({ role: "user", content })
        turns.at(-1)!.content.sort((a, b) => Number(b["type"] === "tool_result") - Number(a["type"] === "tool_result"))
        return
      }
      case "Assistant": {
        const native = message.provider === undefined || message.provider === provider
        turns.push({ role: "assistant", content: message.content.flatMap(assistantBlock(native)) })
        return
      }
    }
  })
  // An empty turn, such as an empty answer to a tool result, is refused by the provider.
  return { system, messages: turns.filter((turn) => turn.content.length > 0) }
}

const toolChoice = (choice: ToolChoice): JsonRecord => {
  switch (choice._tag) {
    case "Auto":
      return { type: "auto" }
    case "None":
      return { type: "none" }
    case "Required":
      return { type: "any" }
    case "Specific":
      return { type: "tool", name: choice.names[0] }
  }
}

const request = (completion: Completion.Completion, model: string, streamed: boolean) => {
  const { messages, system } = conversation(completion, model)
  const { maxTokens, outputSchema, stopSequences = [], temperature, tools } = completion
  return {
    path: "/v1/messages",
    body: {
      model,
      max_tokens: maxTokens ?? defaultMaxTokens(model),
      ...(system.length > 0 && { system }),
      messages,
      ...(tools.length > 0 && {
        tools: tools.map((tool) => ({
          name: tool.name,
          description: tool.description,
          input_schema: { type: "object", ...tool.parameters },
          ...cacheControl(tool)
        }))
      }),
      ...(completion.toolChoice && { tool_choice: toolChoice(completion.toolChoice) }),
      ...present("temperature", temperature),
      ...(stopSequences.length > 0 && { stop_sequences: stopSequences }),
      ...(streamed && { stream: true }),
      ...(outputSchema && { output_config: { format: { type: "json_schema", schema: closed(outputSchema) } } })
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Response
// ---------------------------------------------------------------------------------------------------------------------

const finishReasons = {
  end_turn: "Stop",
  stop_sequence: "Stop",
  max_tokens: "MaxTokens",
  tool_use: "ToolUse",
  refusal: "ContentFilter"
} satisfies FinishReasons

/** Usage: `input_tokens` is only what was neither read from the cache nor written to it. */
export const usage = (usage: JsonRecord): TokenUsage.TokenUsage => {
  const read = number(usage["cache_read_input_tokens"]) ?? 0
  const written = number(usage["cache_creation_input_tokens"]) ?? 0
  return TokenUsage.make({
    inputTokens: (number(usage["input_tokens"]) ?? 0) + read + written,
    outputTokens: number(usage["output_tokens"]) ?? 0,
    cachedInputTokens: read,
    cacheWriteTokens: written,
    reasoningTokens: number(object(usage["output_tokens_details"])["thinking_tokens"]) ?? 0
  })
}

// A stream brings the input as a JSON text.
const inputOf = (block: JsonRecord): unknown => {
  const json = string(block["partial_json"])
  return json === undefined ? block["input"] ?? {} : parseJson(json)
}

/** One block of an answer. */
export const decodeBlock = (block: JsonRecord): ReadonlyArray<Message.AssistantContent> => {
  switch (block["type"]) {
    case "text": {
      const citations = array(block["citations"]) as NonNullable<Message.Text["citations"]>
      const text = string(block["text"])
      return text === undefined
        ? []
        : [{ _tag: "Text", text, ...(citations.length > 0 && { citations }) }]
    }
    case "tool_use": {
      const input = inputOf(block)
      return input === undefined
        ? []
        : [{
          _tag: "ToolCall",
          id: String(block["id"]),
          name: String(block["name"]),
          arguments: input as Message.ToolCall["arguments"]
        }]
    }
    case "thinking":
      return [{
        _tag: "Reasoning",
        content: [{
          _tag: "Text",
          text: string(block["thinking"]) ?? "",
          ...present("signature", string(block["signature"]))
        }]
      }]
    case "redacted_thinking":
      return [{ _tag: "Reasoning", content: [{ _tag: "Redacted", data: string(block["data"]) ?? "" }] }]
    default:
      return [{ _tag: "ProviderBlock", provider, block: block as Message.ProviderBlock["block"] }]
  }
}

const response: Protocol["response"] = (body) => {
  if (!Array.isArray(body["content"])) return undefined
  const blocks = body["content"].filter(isObject)
  const finish = string(body["stop_reason"])
  // The block that the limit cut is the last one; a call in it is not whole, even if what there is of it parses.
  const cut = finish === "max_tokens" && blocks.at(-1)?.["type"] === "tool_use"
  const whole = cut ? blocks.slice(0, -1) : blocks
  const malformed = whole.find((block) => block["type"] === "tool_use" && inputOf(block) === undefined)
  return {
    choice: whole.flatMap(decodeBlock),
    malformedCall: malformed && `the arguments of the call of ${String(malformed["name"])} are not JSON`,
    finishReason: finishReason(finishReasons, finish),
    finish,
    stopSequence: string(body["stop_sequence"]),
    filter: string(object(body["stop_details"])["category"]) ?? string(object(body["stop_details"])["explanation"]),
    usage: usage(object(body["usage"])),
    id: string(body["id"]),
    model: string(body["model"])
  }
}

export const anthropicMessages: Protocol = {
  provider,
  accepts: {
    user: {
      Image: { Url: true, Base64: ["image/jpeg", "image/png", "image/gif", "image/webp"], FileId: true },
      Document: { Url: true, Base64: ["application/pdf", "text/plain"], FileId: true }
    },
    toolResult: { Url: true, Base64: ["image/jpeg", "image/png", "image/gif", "image/webp"], FileId: true }
  },
  request,
  response,
  stream: anthropicStream
}

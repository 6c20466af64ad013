/**
 * Anthropic Messages. Source: Anthropic API reference, "Messages", "Tool use", "Extended thinking", "Prompt caching".
 */
import * as Completion from "../../Completion.ts"
import type * as Message from "../../Message.ts"
import * as TokenUsage from "../../TokenUsage.ts"
import type { ToolChoice } from "../../Tool.ts"
import { type CallIds, fitIds } from "../callIds.ts"
import { cacheControl, callArguments, decodeText, present, resultText, toolChoiceOf, verbatim } from "../encode.ts"
import { array, isObject, type JsonRecord, number, object, parseJson, string } from "../json.ts"
import { closed } from "../jsonSchema.ts"
import { finishReason, type FinishReasons, type Protocol } from "../Wire.ts"
import { anthropicStream } from "./stream.ts"

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
  // Every later Claude takes at least this much.
  ["claude-", 64_000]
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

const imageTypes = ["image/jpeg", "image/png", "image/gif", "image/webp"] as const

const documentTypes = ["application/pdf", "text/plain"] as const

// The types of media were held against the tables above before.
const source = <MediaType extends string>(source: Message.Source) => {
  switch (source._tag) {
    case "Url":
      return { type: "url", url: source.url } as const
    case "Base64":
      return { type: "base64", media_type: source.mediaType as MediaType, data: source.data } as const
    case "FileId":
      return { type: "file", file_id: source.id } as const
  }
}

const documentSource = (from: Message.Source) =>
  from._tag === "Base64" && from.mediaType === "text/plain"
    ? { type: "text", media_type: "text/plain", data: decodeText(from.data) } as const
    : source<"application/pdf">(from)

const text = (content: Message.Text, native = true) => ({
  type: "text",
  text: content.text,
  ...(native && present("citations", content.citations && verbatim(content.citations))),
  ...cacheControl(content)
} as const)

const image = (content: Message.Image) => ({
  type: "image",
  source: source<typeof imageTypes[number]>(content.source),
  ...cacheControl(content)
} as const)

const document = (content: Message.Document) => ({
  type: "document",
  source: documentSource(content.source),
  ...present("title", content.title),
  ...(content.citations === true && { citations: { enabled: true } }),
  ...cacheControl(content)
} as const)

// The provider refuses texts of nothing but white space, although its models write them.
const isBlank = (text: string): boolean => text.trim() === ""

const callIds: CallIds = { fits: (id) => /^[a-zA-Z0-9_-]+$/.test(id), unique: true }

const resultBlock = (item: Message.ToolResultContent) =>
  item._tag === "Image"
    ? [image(item)]
    : isBlank(resultText(item))
    ? []
    : [{ type: "text", text: resultText(item) } as const]

const toolResult = (result: Message.ToolResult) => {
  const content = result.content.map(resultBlock).flat()
  return {
    type: "tool_result",
    tool_use_id: result.id,
    ...(content.length > 0 && { content }),
    ...(result.isError === true && { is_error: true }),
    ...cacheControl(result)
  } as const
}

const userBlock = (content: Message.UserContent) => {
  switch (content._tag) {
    case "Text":
      return isBlank(content.text) ? [] : [text(content)]
    case "Image":
      return [image(content)]
    case "Document":
      return [document(content)]
    case "ToolResult":
      return [toolResult(content)]
    // Refused before.
    case "Audio":
    case "Video":
      return []
  }
}

const reasoningBlock = (part: Message.ReasoningPart) => {
  switch (part._tag) {
    case "Text":
      // Without its signature the provider refuses it.
      return part.signature === undefined
        ? []
        : [{ type: "thinking", thinking: part.text, signature: part.signature } as const]
    case "Redacted":
      return [{ type: "redacted_thinking", data: part.data } as const]
    // Other providers' forms, which Anthropic cannot read.
    case "Summary":
    case "Encrypted":
      return []
  }
}

const assistantBlock = (native: boolean) => (content: Message.AssistantContent) => {
  switch (content._tag) {
    case "Text":
      return isBlank(content.text) ? [] : [text(content, native)]
    case "ToolCall":
      return [
        {
          type: "tool_use",
          id: content.id,
          name: content.name,
          input: callArguments(content.arguments),
          ...cacheControl(content)
        } as const
      ]
    case "Reasoning":
      return native ? content.content.map(reasoningBlock).flat() : []
    case "ProviderBlock":
      return content.provider === provider ? [verbatim(content.block)] : []
    // Refused before.
    case "Image":
      return []
  }
}

const systemBlock = (content: string, marked: { readonly cache?: Message.CacheHint }) => ({
  type: "text",
  text: content,
  ...cacheControl(marked)
} as const)

type SystemBlock = ReturnType<typeof systemBlock>
type UserBlock = ReturnType<typeof userBlock>[number]
type AssistantBlock = ReturnType<ReturnType<typeof assistantBlock>>[number]

type Turn =
  | { readonly role: "system"; readonly content: ReadonlyArray<SystemBlock> }
  | { readonly role: "user"; readonly content: Array<UserBlock> }
  | { readonly role: "assistant"; readonly content: ReadonlyArray<AssistantBlock> }

const resultsFirst = (a: UserBlock, b: UserBlock): number =>
  Number(b.type === "tool_result") - Number(a.type === "tool_result")

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
  const system: Array<SystemBlock> = []
  const turns: Array<Turn> = []
  if (completion.preamble !== undefined && !isBlank(completion.preamble)) {
    system.push(systemBlock(completion.preamble, {}))
  }
  const messages = fitIds(Completion.messages(completion), provider, callIds)
  messages.forEach((message, index) => {
    const last = turns.at(-1)
    switch (message._tag) {
      case "System": {
        if (isBlank(message.content)) return
        const block = systemBlock(message.content, message)
        if (takesSystemAt(model, messages, index)) turns.push({ role: "system", content: [block] })
        else system.push(block)
        return
      }
      case "User": {
        const content = message.content.map(userBlock).flat()
        if (last?.role === "user") last.content.push(...content)
        else if (content.length > 0) turns.push({ role: "user", content })
        return
      }
      case "Assistant": {
        const native = message.provider === undefined || message.provider === provider
        const content = message.content.map(assistantBlock(native)).flat()
        // An empty turn, such as an empty answer to a tool result, is refused by the provider.
        if (content.length > 0) turns.push({ role: "assistant", content })
        return
      }
    }
  })
  // Results of one turn belong into one message, and come before everything else in it.
  for (const turn of turns) if (turn.role === "user") turn.content.sort(resultsFirst)
  return { system, messages: turns }
}

const toolChoice = (choice: ToolChoice) => {
  switch (choice._tag) {
    case "Auto":
      return { type: "auto" } as const
    case "None":
      return { type: "none" } as const
    case "Required":
      return { type: "any" } as const
    case "Specific":
      return { type: "tool", name: choice.names[0]! } as const
  }
}

/** The body of a request. Its type is inferred, so that it can be held against the provider's own. */
export const encode = (completion: Completion.Completion, model: string) => {
  const { messages, system } = conversation(completion, model)
  const { maxTokens, outputSchema, stopSequences = [], temperature, tools } = completion
  const choice = toolChoiceOf(completion, provider)
  return {
    model,
    max_tokens: maxTokens ?? defaultMaxTokens(model),
    ...(system.length > 0 && { system }),
    messages,
    ...(tools.length > 0 && {
      tools: tools.map((tool) => ({
        name: tool.name,
        description: tool.description,
        input_schema: { type: "object", ...tool.parameters } as const,
        ...cacheControl(tool)
      }))
    }),
    ...(choice && { tool_choice: toolChoice(choice) }),
    ...present("temperature", temperature),
    ...(stopSequences.length > 0 && { stop_sequences: stopSequences }),
    ...(outputSchema && { output_config: { format: { type: "json_schema", schema: closed(outputSchema) } as const } })
  }
}

const isFile = (content: Message.UserContent | Message.ToolResultContent): boolean =>
  "source" in content
    ? content.source._tag === "FileId"
    : content._tag === "ToolResult" && content.content.some(isFile)

// Uploaded files are a feature in beta, which has to be asked for.
const betas = (completion: Completion.Completion): Readonly<Record<string, string>> =>
  Completion.messages(completion).some((message) => message._tag === "User" && message.content.some(isFile))
    ? { "anthropic-beta": "files-api-2025-04-14" }
    : {}

const request: Protocol["request"] = (completion, model, streamed) => ({
  path: "/v1/messages",
  headers: betas(completion),
  body: { ...encode(completion, model), ...(streamed && { stream: true }) }
})

// ---------------------------------------------------------------------------------------------------------------------
// Response
// ---------------------------------------------------------------------------------------------------------------------

const finishReasons = {
  end_turn: "Stop",
  stop_sequence: "Stop",
  max_tokens: "MaxTokens",
  model_context_window_exceeded: "MaxTokens",
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
  return json === undefined ? callArguments(block["input"]) : parseJson(json)
}

/** One block of an answer. */
const decodeBlock = (block: JsonRecord, mint: () => string): ReadonlyArray<Message.AssistantContent> => {
  switch (block["type"]) {
    case "text": {
      const citations = array(block["citations"]) as NonNullable<Message.Text["citations"]>
      const text = string(block["text"])
      return text === undefined
        ? []
        : [{ _tag: "Text", text, ...(citations.length > 0 && { citations }) }]
    }
    case "tool_use": {
      const name = string(block["name"])
      const input = inputOf(block)
      // A call without a name cannot be run, nor one whose input is not JSON.
      return name === undefined || input === undefined ? [] : [{
        _tag: "ToolCall",
        id: string(block["id"]) ?? mint(),
        name,
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

const response: Protocol["response"] = (body, mintId) => {
  if (!Array.isArray(body["content"])) return undefined
  const blocks = body["content"].filter(isObject)
  const finish = string(body["stop_reason"])
  // The block that the limit cut is the last one; a call in it is not whole, even if what there is of it parses.
  const reason = finishReason(finishReasons, finish)
  const cut = reason._tag === "MaxTokens" && blocks.at(-1)?.["type"] === "tool_use"
  const whole = cut ? blocks.slice(0, -1) : blocks
  const malformed = whole.find((block) => block["type"] === "tool_use" && inputOf(block) === undefined)
  return {
    choice: whole.flatMap((block, index) => decodeBlock(block, () => mintId(index))),
    malformedCall: malformed && `the arguments of the call of ${String(malformed["name"])} are not JSON`,
    finishReason: reason,
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
      Image: { Url: true, Base64: imageTypes, FileId: true },
      Document: { Url: true, Base64: documentTypes, FileId: true }
    },
    toolResult: { Url: true, Base64: imageTypes, FileId: true }
  },
  request,
  response,
  stream: anthropicStream
}

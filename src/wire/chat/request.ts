/**
 * Chat Completions, as OpenAI, OpenRouter and every compatible server speak it. Sources: OpenAI API reference, "Chat";
 * OpenRouter API reference, "Chat completion", "Reasoning tokens".
 */
import * as Completion from "../../Completion.ts"
import type * as Message from "../../Message.ts"
import * as TokenUsage from "../../TokenUsage.ts"
import type { ToolChoice } from "../../Tool.ts"
import { type CallIds, fitIds } from "../callIds.ts"
import { cacheControl, callArguments, decodeText, present, resultText, toolChoiceOf } from "../encode.ts"
import { array, integer, isObject, type JsonRecord, number, object, parseJson, string } from "../json.ts"
import { strict } from "../jsonSchema.ts"
import { type Accepts, finishReason, type FinishReasons, type Protocol } from "../Wire.ts"
import { chatStream } from "./stream.ts"

/** How servers of this protocol differ. */
export interface Dialect {
  readonly provider: "openai" | "openrouter"
  readonly accepts: Accepts
  /** Which ids of tool calls a server takes, by model. */
  readonly callIds: (model: string) => CallIds
  /** How reasoning goes back: as one text in a field of the message, as a list of details, or not at all. */
  readonly reasoning: "field" | "details" | "none"
  /** Whether contents may carry Anthropic's cache marks. */
  readonly cacheMarks: boolean
  /** Where `maxTokens` goes for a model. */
  readonly maxTokens: (model: string) => "max_tokens" | "max_completion_tokens"
  /** Some servers call no tools when they are asked for structured output at the same time. */
  readonly schemaAfterTools: boolean
}

// ---------------------------------------------------------------------------------------------------------------------
// Request
// ---------------------------------------------------------------------------------------------------------------------

const dataUrl = (source: Message.Base64): string => `data:${source.mediaType};base64,${source.data}`

const urlOf = (source: Message.Source): string =>
  source._tag === "Url" ? source.url : source._tag === "Base64" ? dataUrl(source) : source.id

// The format's name, where it is not what stands behind the slash.
const audioFormats: Readonly<Record<string, string>> = {
  "audio/mpeg": "mp3",
  "audio/x-wav": "wav",
  "audio/wave": "wav",
  "audio/vnd.wave": "wav",
  "audio/x-aiff": "aiff",
  "audio/mp4": "m4a",
  "audio/x-m4a": "m4a"
}

const isPlainText = (source: Message.Source): source is Message.Base64 =>
  source._tag === "Base64" && source.mediaType.startsWith("text/")

const fileExtensions: Readonly<Record<string, string>> = { "application/pdf": "pdf" }

const file = ({ source, title }: Message.Document) => {
  if (source._tag === "FileId") return { file_id: source.id }
  const extension = fileExtensions[source.mediaType ?? "application/pdf"]
  return {
    filename: title ?? (extension === undefined ? "document" : `document.${extension}`),
    file_data: urlOf(source)
  }
}

const inputAudio = (source: Message.Source) => {
  // Anything but data was refused before, and so was, where it matters, any other format.
  const { data, mediaType } = source as Message.Base64
  return { data, format: (audioFormats[mediaType] ?? mediaType.split("/")[1]) as "wav" | "mp3" }
}

const userPart = (content: Exclude<Message.UserContent, Message.ToolResult>) => {
  switch (content._tag) {
    case "Text":
      return { type: "text", text: content.text } as const
    case "Image":
      return {
        type: "image_url",
        image_url: { url: urlOf(content.source), ...present("detail", content.detail) }
      } as const
    case "Audio":
      return { type: "input_audio", input_audio: inputAudio(content.source) } as const
    case "Video":
      return { type: "video_url", video_url: { url: urlOf(content.source) } } as const
    case "Document":
      return isPlainText(content.source)
        ? { type: "text", text: decodeText(content.source.data) } as const
        : { type: "file", file: file(content) } as const
  }
}

type Marked = ReturnType<typeof cacheControl>

// What may carry a cache mark does so where the server knows them.
const mark = (dialect: Dialect, content: { readonly cache?: Message.CacheHint }): Marked =>
  dialect.cacheMarks ? cacheControl(content) : {}

type TextPart = { readonly type: "text"; readonly text: string } & Marked

const textPart = (dialect: Dialect, text: string, marked: { readonly cache?: Message.CacheHint }): TextPart => ({
  type: "text",
  text,
  ...mark(dialect, marked)
})

// A single text without a mark goes as a plain string, which every server takes.
const content = <Part extends { readonly type: string } & Marked>(parts: ReadonlyArray<Part | TextPart>) => {
  const [first] = parts
  return parts.length === 1 && first?.type === "text" && "text" in first && first.cache_control === undefined
    ? first.text
    : parts
}

const toolMessage = (dialect: Dialect) => (result: Message.ToolResult) => {
  const text = result.content.flatMap((item) => item._tag === "Image" ? [] : [resultText(item)]).join("\n")
  return { role: "tool", tool_call_id: result.id, content: content([textPart(dialect, text, result)]) } as const
}

const reasoningDetail = (part: Message.ReasoningPart, position: number) => {
  const common = { id: part.id ?? null, format: part.format ?? null, index: part.index ?? position }
  switch (part._tag) {
    case "Text":
      return { type: "reasoning.text", text: part.text, ...present("signature", part.signature), ...common } as const
    case "Summary":
      return { type: "reasoning.summary", summary: part.text, ...common } as const
    case "Encrypted":
    case "Redacted":
      return { type: "reasoning.encrypted", data: part.data, ...common } as const
  }
}

// The fields that servers put reasoning into; it goes back into the one it came from.
const reasoningNames = ["reasoning_content", "reasoning"] as const

const reasoningFields = (dialect: Dialect, contents: ReadonlyArray<Message.AssistantContent>) => {
  const reasoning = contents.filter((content) => content._tag === "Reasoning")
  const parts = reasoning.flatMap((content) => content.content)
  const text = parts.flatMap((part) => part._tag === "Text" || part._tag === "Summary" ? [part.text] : []).join("\n")
  const field = reasoningNames.find((name) => name === reasoning[0]?.field) ?? "reasoning_content"
  return {
    ...(dialect.reasoning === "details" && parts.length > 0 && { reasoning_details: parts.map(reasoningDetail) }),
    ...present(field, dialect.reasoning === "field" && text !== "" ? text : undefined)
  }
}

// What a server's own answer held besides goes back verbatim, except for audio, of which it wants no more than the id.
const ownFields = (blocks: ReadonlyArray<Message.ProviderBlock>): object =>
  Object.fromEntries(
    blocks.flatMap(({ block }) => Object.entries(block)).map(([key, value]) => {
      const id = key === "audio" ? string(object(value)["id"]) : undefined
      return [key, id === undefined ? value : { id }]
    })
  )

const assistantMessages = (dialect: Dialect, message: Message.Assistant) => {
  const native = message.provider === undefined || message.provider === dialect.provider
  const parts = message.content.flatMap((content) =>
    content._tag === "Text" && content.text !== "" ? [textPart(dialect, content.text, content)] : []
  )
  const calls = message.content.filter((content) => content._tag === "ToolCall")
  const reasoning = native ? reasoningFields(dialect, message.content) : {}
  const blocks = message.content.filter((content) => content._tag === "ProviderBlock")
    .filter((block) => block.provider === dialect.provider)
  const encoded = {
    role: "assistant",
    ...(parts.length > 0 && { content: content(parts) }),
    ...reasoning,
    ...(calls.length > 0 && {
      tool_calls: calls.map((call) => ({
        id: call.id,
        type: "function",
        function: { name: call.name, arguments: JSON.stringify(callArguments(call.arguments)) }
      } as const))
    }),
    ...ownFields(blocks)
  } as const
  // Servers refuse a message of reasoning alone.
  return parts.length > 0 || calls.length > 0 || blocks.length > 0 ? [encoded] : []
}

const userMessages = (dialect: Dialect, message: Message.User) => {
  const results = message.content.filter((content) => content._tag === "ToolResult")
  const parts = message.content.flatMap((content) =>
    content._tag === "ToolResult" || (content._tag === "Text" && content.text === "")
      ? []
      : [{ ...userPart(content), ...mark(dialect, content) }]
  )
  // The results of a turn stand directly behind its calls.
  return [
    ...results.map(toolMessage(dialect)),
    ...(parts.length > 0 ? [{ role: "user", content: content(parts) } as const] : [])
  ]
}

const systemMessages = (dialect: Dialect, text: string, marked: { readonly cache?: Message.CacheHint }) =>
  text === "" ? [] : [{ role: "system", content: content([textPart(dialect, text, marked)]) } as const]

const messagesOf = (dialect: Dialect) => (message: Message.Message) => {
  switch (message._tag) {
    case "System":
      return systemMessages(dialect, message.content, message)
    case "User":
      return userMessages(dialect, message)
    case "Assistant":
      return assistantMessages(dialect, message)
  }
}

const named = (name: string) => ({ type: "function", function: { name } } as const)

const plainChoices = { Auto: "auto", None: "none", Required: "required" } as const

const toolChoice = (choice: ToolChoice) =>
  choice._tag !== "Specific"
    ? plainChoices[choice._tag]
    : choice.names.length === 1
    ? named(choice.names[0]!)
    : { type: "allowed_tools", allowed_tools: { mode: "required", tools: choice.names.map(named) } } as const

/** The body of a request. Its type is inferred, so that it can be held against the provider's own. */
export const encode = (dialect: Dialect) => (completion: Completion.Completion, model: string) => {
  const { maxTokens, outputSchema, preamble = "", stopSequences = [], temperature, tools } = completion
  const messages = [
    systemMessages(dialect, preamble, {}),
    ...fitIds(Completion.messages(completion), dialect.provider, dialect.callIds(model)).map(messagesOf(dialect))
  ].flat()
  const choice = toolChoiceOf(completion, dialect.provider)
  const withSchema = outputSchema !== undefined
    && !(dialect.schemaAfterTools && tools.length > 0 && !messages.some((message) => message.role === "tool"))
  return {
    model,
    messages,
    ...(tools.length > 0 && {
      tools: tools.map((tool) => ({
        type: "function",
        function: { name: tool.name, description: tool.description, parameters: tool.parameters },
        ...mark(dialect, tool)
      } as const))
    }),
    ...(choice && { tool_choice: toolChoice(choice) }),
    ...present(dialect.maxTokens(model), maxTokens),
    ...present("temperature", temperature),
    ...(stopSequences.length > 0 && { stop: stopSequences }),
    ...(withSchema && {
      response_format: {
        type: "json_schema",
        json_schema: {
          name: (string(outputSchema["title"]) ?? "response").replaceAll(/[^a-zA-Z0-9_-]/g, "_").slice(0, 64),
          strict: true,
          schema: strict(outputSchema)
        }
      } as const
    })
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Response
// ---------------------------------------------------------------------------------------------------------------------

const finishReasons = {
  stop: "Stop",
  eos: "Stop",
  stop_sequence: "Stop",
  end_turn: "Stop",
  completed: "Stop",
  length: "MaxTokens",
  max_tokens: "MaxTokens",
  max_output_tokens: "MaxTokens",
  model_length: "MaxTokens",
  tool_calls: "ToolUse",
  tool_use: "ToolUse",
  function_call: "ToolUse",
  content_filter: "ContentFilter",
  safety: "ContentFilter",
  blocklist: "ContentFilter",
  prohibited_content: "ContentFilter",
  spii: "ContentFilter"
} satisfies FinishReasons

/** Usage: cached and reasoning tokens are inside of the two sums, except where a server leaves reasoning out. */
export const usage = (usage: JsonRecord): TokenUsage.TokenUsage => {
  const prompt = object(usage["prompt_tokens_details"])
  const completion = object(usage["completion_tokens_details"])
  const input = number(usage["prompt_tokens"]) ?? 0
  const total = number(usage["total_tokens"])
  const output = number(usage["completion_tokens"]) ?? (total ?? 0) - input
  const reasoning = number(completion["reasoning_tokens"]) ?? number(usage["reasoning_tokens"]) ?? 0
  // The total tells: servers that count reasoning inside may report a few tokens more of it than of the whole.
  const beside = total === undefined ? reasoning > output : total === input + output + reasoning
  return TokenUsage.make({
    inputTokens: input,
    outputTokens: beside ? output + reasoning : output,
    cachedInputTokens: number(prompt["cached_tokens"]) ?? number(usage["prompt_cache_hit_tokens"])
      ?? number(usage["cached_tokens"]) ?? 0,
    cacheWriteTokens: number(prompt["cache_write_tokens"]) ?? number(usage["cache_creation_input_tokens"]) ?? 0,
    reasoningTokens: reasoning
  })
}

const detailPart = (detail: JsonRecord): ReadonlyArray<Message.ReasoningPart> => {
  const common = {
    ...present("id", string(detail["id"])),
    ...present("format", string(detail["format"])),
    ...present("index", integer(detail["index"]))
  }
  const text = string(detail["text"])
  const signature = string(detail["signature"])
  switch (detail["type"]) {
    case "reasoning.text":
      return text === undefined && signature === undefined
        ? []
        : [{ _tag: "Text", text: text ?? "", ...present("signature", signature), ...common }]
    case "reasoning.summary":
      return [{ _tag: "Summary", text: string(detail["summary"]) ?? "", ...common }]
    case "reasoning.encrypted":
      return [{ _tag: "Encrypted", data: string(detail["data"]) ?? "", ...common }]
    default:
      return []
  }
}

/** The reasoning of a message: its details where there are some, else the text, with the field that held it. */
const decodeReasoning = (message: JsonRecord): ReadonlyArray<Message.Reasoning> => {
  const details = array(message["reasoning_details"]).filter(isObject).flatMap(detailPart)
  const field = reasoningNames.find((name) => string(message[name]) !== undefined)
  const common = { _tag: "Reasoning", ...present("field", field) } as const
  if (details.length > 0) return [{ ...common, content: details }]
  return field === undefined ? [] : [{ ...common, content: [{ _tag: "Text", text: String(message[field]) }] }]
}

// Mistral writes reasoning as parts of the content.
const thinkingPart = (part: JsonRecord): Message.Reasoning => ({
  _tag: "Reasoning",
  content: array(part["thinking"]).map(object).map((item) => ({ _tag: "Text", text: string(item["text"]) ?? "" }))
})

const contentPart = (part: JsonRecord): ReadonlyArray<Message.AssistantContent> => {
  if (part["type"] === "thinking") return [thinkingPart(part)]
  const text = string(part["text"]) ?? string(part["refusal"])
  return text === undefined ? [] : [{ _tag: "Text", text }]
}

const decodeContent = (message: JsonRecord): ReadonlyArray<Message.AssistantContent> => {
  const text = string(message["content"])
  const parts = text === undefined
    ? array(message["content"]).filter(isObject).flatMap(contentPart)
    : [{ _tag: "Text", text } as const]
  const refusal = string(message["refusal"])
  return refusal === undefined || parts.some((part) => part._tag === "Text")
    ? parts
    : [...parts, { _tag: "Text", text: refusal }]
}

const decodeImage = (image: JsonRecord): ReadonlyArray<Message.Image> => {
  const url = string(object(image["image_url"])["url"])
  if (url === undefined) return []
  const [, mediaType, data] = /^data:([^;,]+);base64,(.*)$/s.exec(url) ?? []
  return [{
    _tag: "Image",
    source: mediaType === undefined || data === undefined
      ? { _tag: "Url", url }
      : { _tag: "Base64", data, mediaType }
  }]
}

/** A call of a tool before its arguments are known to be whole. */
interface RawCall {
  readonly id: string | undefined
  readonly name: string | undefined
  readonly arguments: unknown
}

/** Arguments as servers write them: a JSON text, or already the value; none at all, or null, is no arguments. */
const decodeArguments = (value: unknown, truncated: boolean): unknown => {
  const text = typeof value === "string" ? value.trim() : undefined
  if (value === undefined || value === null || text === "" || text === "null") return truncated ? undefined : {}
  return text === undefined ? value : parseJson(text)
}

const decodeCalls = (calls: ReadonlyArray<RawCall>, truncated: boolean, mintId: (index: number) => string) => {
  const whole: Array<Message.ToolCall> = []
  let malformed: string | undefined
  calls.forEach(({ arguments: raw, id, name }, index) => {
    // A call without a name cannot be run.
    if (name === undefined) return
    const value = decodeArguments(raw, truncated)
    if (value !== undefined) {
      whole.push({ _tag: "ToolCall", id: id ?? mintId(index), name, arguments: value as Message.ToolCall["arguments"] })
    } else if (!truncated) malformed = `the arguments of the call of ${name} are not JSON`
  })
  return { whole, malformed }
}

const rawCalls = (message: JsonRecord): Array<RawCall> => {
  const legacy = message["function_call"]
  return [...array(message["tool_calls"]).filter(isObject), ...(isObject(legacy) ? [{ function: legacy }] : [])]
    .map((call: JsonRecord) => ({
      id: string(call["id"]),
      name: string(object(call["function"])["name"]),
      arguments: object(call["function"])["arguments"]
    }))
}

const response = (dialect: Dialect): Protocol["response"] => (body, mintId) => {
  if (!Array.isArray(body["choices"])) return undefined
  const choice = body["choices"].filter(isObject).find(({ index }) => index === 0 || index === undefined)
    ?? body["choices"].find(isObject)
  const message = object(choice?.["message"])
  const finish = string(choice?.["finish_reason"])
  const native = string(choice?.["native_finish_reason"])?.toLowerCase()
  // A router's own word says what ended the turn; only the upstream's word says that it was cut.
  const truncated = finishReason(finishReasons, finish)._tag === "MaxTokens"
    || finishReason(finishReasons, native)._tag === "MaxTokens"
  const { malformed, whole } = decodeCalls(rawCalls(message), truncated, mintId)
  const reported = object(body["usage"])
  const audio = message["audio"]
  return {
    choice: [
      ...decodeReasoning(message),
      ...decodeContent(message),
      ...whole,
      ...array(message["images"]).filter(isObject).flatMap(decodeImage),
      ...(isObject(audio)
        ? [{ _tag: "ProviderBlock", provider: dialect.provider, block: { audio } } as Message.ProviderBlock]
        : [])
    ],
    finishReason: truncated ? { _tag: "MaxTokens" } : finishReason(finishReasons, finish ?? native),
    finish: finish ?? native,
    malformedCall: malformed,
    absent: choice === undefined,
    usage: usage(reported),
    cost: number(reported["cost"]) ?? number(object(reported["cost"])["total_cost"]),
    id: string(body["id"]),
    model: string(body["model"])
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Dialects
// ---------------------------------------------------------------------------------------------------------------------

const make = (dialect: Dialect): Protocol => ({
  provider: dialect.provider,
  accepts: dialect.accepts,
  request: (completion, model, streamed) => ({
    path: "/chat/completions",
    body: {
      ...encode(dialect)(completion, model),
      ...(streamed && { stream: true, stream_options: { include_usage: true } })
    }
  }),
  response: response(dialect),
  stream: chatStream
})

// Models from gpt-5 on and the o-series refuse the older name, which is the only one that other servers know. What Azure
// calls gpt-35 is 3.5.
const newerModel = /^(ft:)?(gpt-(?!35\b)([5-9]|\d\d+)|o\d+)([.:-]|$)/

// Azure names this limit, OpenAI a later and longer one.
const isShort = (id: string): boolean => id.length <= 40

const openAiCallIds: CallIds = { fits: isShort }

// Models of Mistral are as strict behind other servers, since it is their template that refuses.
const mistral = /(^|[/:])(open-)?(mistral|mixtral|ministral|magistral|devstral|codestral|pixtral|voxtral)/i

const mistralCallIds: CallIds = { fits: (id) => /^[a-zA-Z0-9]{9}$/.test(id) }

// A server takes its own ids as it wrote them, whatever they are; of others only what most take.
const otherCallIds: CallIds = { fits: (id, own) => own || (isShort(id) && /^[a-zA-Z0-9_-]+$/.test(id)) }

const callIdsOf = (model: string): CallIds => mistral.test(model) ? mistralCallIds : otherCallIds

const openAiAccepts: Accepts = {
  user: {
    Image: { Url: true, Base64: true },
    Audio: { Base64: ["audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave", "audio/mp3", "audio/mpeg"] },
    Document: {
      Base64: ["application/pdf", "text/plain", "text/markdown", "text/html", "text/csv", "text/xml"],
      FileId: true
    }
  },
  severalToolNames: true
}

const openAiDialect: Dialect = {
  provider: "openai",
  accepts: openAiAccepts,
  callIds: () => openAiCallIds,
  reasoning: "none",
  cacheMarks: false,
  maxTokens: (model) =>
    newerModel.test(model.slice(model.lastIndexOf("/") + 1)) ? "max_completion_tokens" : "max_tokens",
  schemaAfterTools: false
}

/** OpenAI's own API. */
export const openAi: Protocol = make(openAiDialect)

/** Any other server of the protocol, by base URL: takes more contents, and is asked for no newer features. */
export const compatible: Protocol = make({
  ...openAiDialect,
  accepts: {
    user: { ...openAiAccepts.user, Audio: { Base64: true }, Video: { Url: true, Base64: true } }
  },
  callIds: callIdsOf,
  reasoning: "field",
  schemaAfterTools: true
})

export const openRouter: Protocol = make({
  provider: "openrouter",
  accepts: {
    user: {
      Image: { Url: true, Base64: true },
      Audio: { Base64: true },
      Video: { Url: true, Base64: true },
      Document: { Url: true, Base64: true }
    },
    // Images that a model made are not sent back: they are left out of its message.
    assistant: { Url: true, Base64: true }
  },
  callIds: callIdsOf,
  reasoning: "details",
  cacheMarks: true,
  maxTokens: () => "max_tokens",
  schemaAfterTools: false
})

/**
 * What a recorded answer says, read from its body by rules of its own: a second opinion on the decoders.
 */
import type { Api, Exchange, Json } from "./corpus.ts"
import { at, compact, count, isRecord, parsed, record, records, text } from "./json.ts"

export interface Usage {
  readonly inputTokens: number
  readonly outputTokens: number
  readonly totalTokens: number
  readonly cachedInputTokens: number
  readonly cacheWriteTokens: number
  readonly longCacheWriteTokens: number
  readonly reasoningTokens: number
}

/** An answer in the library's vocabulary. */
export interface Answer {
  /** Contents; the id of a call that came without one is "minted". */
  readonly choice: ReadonlyArray<Json>
  readonly finishReason: Json
  readonly usage: Usage
  readonly id: unknown
  readonly model: unknown
  readonly stopSequence?: unknown
  readonly cost?: unknown
}

/** How an exchange ends: with an answer, or as a failure with a tag and reason. */
export type Outcome =
  | { readonly _tag: "Answered"; readonly answer: Answer }
  | {
    readonly _tag: "Failed"
    readonly tag: string
    readonly reason: string
    /** Words of the provider that the error repeats. */
    readonly description?: string
    /** What the provider had said, where it answered. */
    readonly answer?: Answer
  }

const usage = (
  inputTokens: number,
  outputTokens: number,
  cachedInputTokens: number,
  cacheWriteTokens: number,
  reasoningTokens: number,
  longCacheWriteTokens = 0
): Usage => ({
  inputTokens,
  outputTokens,
  totalTokens: inputTokens + outputTokens,
  cachedInputTokens,
  cacheWriteTokens,
  longCacheWriteTokens,
  // One server reports more of it than of the whole that it is a part of.
  reasoningTokens: Math.min(reasoningTokens, outputTokens)
})

const finish = (word: unknown, words: { readonly [tag: string]: ReadonlyArray<string> }): Json => {
  if (word === undefined || word === null || word === "") return { _tag: "None" }
  const found = Object.entries(words).find(([, of]) => of.includes(String(word)))
  return found === undefined ? { _tag: "Other", reason: word } : { _tag: found[0] }
}

const isCall = (content: Json): boolean => content["_tag"] === "ToolCall"

// The wire's word for the end says nothing of the calls: Gemini says STOP, some servers too.
const withCalls = (choice: ReadonlyArray<Json>, reason: Json): Json =>
  choice.some(isCall) && ["Stop", "None", "Other"].includes(String(reason["_tag"])) ? { _tag: "ToolUse" } : reason

// ---------------------------------------------------------------------------------------------------------------------
// Anthropic
// ---------------------------------------------------------------------------------------------------------------------

const anthropicBlock = (block: Json): Json => {
  switch (block["type"]) {
    case "text":
      return compact({ _tag: "Text", text: block["text"], citations: block["citations"] })
    case "thinking":
      return {
        _tag: "Reasoning",
        content: [compact({ _tag: "Text", text: block["thinking"], signature: block["signature"] })]
      }
    case "redacted_thinking":
      return { _tag: "Reasoning", content: [{ _tag: "Redacted", data: block["data"] }] }
    case "tool_use":
      return { _tag: "ToolCall", id: block["id"], name: block["name"], arguments: block["input"] }
    default:
      return { _tag: "ProviderBlock", provider: "anthropic", block }
  }
}

const anthropic = (body: Json): Answer => {
  const reported = record(body["usage"])
  const read = count(reported["cache_read_input_tokens"])
  const written = count(reported["cache_creation_input_tokens"])
  const blocks = records(body["content"])
  const cut = body["stop_reason"] === "max_tokens" && blocks.at(-1)?.["type"] === "tool_use"
  const choice = (cut ? blocks.slice(0, -1) : blocks).map(anthropicBlock)
  return {
    choice,
    finishReason: withCalls(
      choice,
      finish(body["stop_reason"], {
        Stop: ["end_turn", "stop_sequence"],
        MaxTokens: ["max_tokens"],
        ToolUse: ["tool_use"],
        ContentFilter: ["refusal"]
      })
    ),
    usage: usage(
      count(reported["input_tokens"]) + read + written,
      count(reported["output_tokens"]),
      read,
      written,
      count(at(reported, "output_tokens_details", "thinking_tokens")),
      count(at(reported, "cache_creation", "ephemeral_1h_input_tokens"))
    ),
    id: body["id"],
    model: body["model"],
    ...compact({ stopSequence: body["stop_sequence"], cost: reported["cost"] })
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Gemini
// ---------------------------------------------------------------------------------------------------------------------

const geminiPart = (part: Json): ReadonlyArray<Json> => {
  const signature = compact({ signature: part["thoughtSignature"] })
  const call = part["functionCall"]
  const image = part["inlineData"]
  if (part["thought"] === true) {
    return [{ _tag: "Reasoning", content: [{ _tag: "Text", text: text(part["text"]), ...signature }] }]
  }
  if (isRecord(call)) {
    return [{
      _tag: "ToolCall",
      id: call["id"] ?? "minted",
      name: call["name"],
      arguments: call["args"] ?? {},
      ...signature
    }]
  }
  if (isRecord(image)) {
    const source = { _tag: "Base64", data: image["data"], mediaType: image["mimeType"] }
    return [{ _tag: "Image", source, ...signature }]
  }
  if ("text" in part) {
    return part["text"] === "" && part["thoughtSignature"] === undefined
      ? []
      : [{ _tag: "Text", text: part["text"], ...signature }]
  }
  return [{ _tag: "ProviderBlock", provider: "gemini", block: part }]
}

const gemini = (body: Json): Answer => {
  const candidate = records(body["candidates"])[0]
  const reported = record(body["usageMetadata"])
  const thoughts = count(reported["thoughtsTokenCount"])
  const choice = records(at(candidate, "content", "parts")).flatMap(geminiPart)
  return {
    choice,
    finishReason: withCalls(
      choice,
      finish(candidate?.["finishReason"], {
        None: ["FINISH_REASON_UNSPECIFIED"],
        Stop: ["STOP"],
        MaxTokens: ["MAX_TOKENS"],
        ContentFilter: ["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY"]
      })
    ),
    usage: usage(
      count(reported["promptTokenCount"]) + count(reported["toolUsePromptTokenCount"]),
      count(reported["candidatesTokenCount"]) + thoughts,
      count(reported["cachedContentTokenCount"]),
      0,
      thoughts
    ),
    id: body["responseId"],
    model: body["modelVersion"]
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Chat Completions
// ---------------------------------------------------------------------------------------------------------------------

const detail = (item: Json): Json => {
  const common = compact({ id: item["id"], format: item["format"], index: item["index"] })
  switch (item["type"]) {
    case "reasoning.summary":
      return { _tag: "Summary", text: item["summary"], ...common }
    case "reasoning.encrypted":
      return { _tag: "Encrypted", data: item["data"], ...common }
    default:
      return compact({ _tag: "Text", text: text(item["text"]), signature: item["signature"], ...common })
  }
}

const chatReasoning = (message: Json): ReadonlyArray<Json> => {
  const field = ["reasoning_content", "reasoning"].find((name) => text(message[name]) !== "")
  const details = records(message["reasoning_details"]).map(detail)
  if (details.length > 0) return [compact({ _tag: "Reasoning", content: details, field })]
  return field === undefined
    ? []
    : [{ _tag: "Reasoning", content: [{ _tag: "Text", text: message[field] }], field }]
}

const contentPart = (part: Json): Json =>
  part["type"] === "thinking"
    ? {
      _tag: "Reasoning",
      content: records(part["thinking"]).map((item) => ({ _tag: "Text", text: item["text"] }))
    }
    : { _tag: "Text", text: part["text"] ?? part["refusal"] }

const chatContent = (message: Json): ReadonlyArray<Json> => {
  const said = typeof message["content"] === "string"
    ? [{ _tag: "Text", text: message["content"] }]
    : records(message["content"]).map(contentPart)
  const spoken = said.filter((content) => content["text"] !== "")
  const refusal = text(message["refusal"])
  return spoken.some((content) => content["_tag"] === "Text") || refusal === ""
    ? spoken
    : [...spoken, { _tag: "Text", text: refusal }]
}

const chatImage = (image: Json): Json => {
  const url = text(at(image, "image_url", "url"))
  const data = /^data:(.*?);base64,(.*)$/s.exec(url)
  return {
    _tag: "Image",
    source: data === null ? { _tag: "Url", url } : { _tag: "Base64", mediaType: data[1], data: data[2] }
  }
}

const truncations = ["length", "max_tokens", "max_output_tokens", "model_length"]

/** Whether a limit cut the answer; OpenRouter tells only in the word of the provider behind it. */
const isCut = (choice: Json): boolean =>
  truncations.includes(text(choice["finish_reason"]))
  || truncations.includes(text(choice["native_finish_reason"]).toLowerCase())

const chatCall = (cut: boolean) => (call: Json): ReadonlyArray<Json> => {
  const written = at(call, "function", "arguments")
  const unfinished = cut && (written === undefined || written === null || text(written).trim() === "")
  const value = unfinished && !isRecord(written) ? undefined : parsed(written)
  return value === undefined
    ? []
    : [{
      _tag: "ToolCall",
      id: call["id"] ?? "minted",
      name: at(call, "function", "name"),
      // Groq writes null for none.
      arguments: value.value ?? {}
    }]
}

const chat = (body: Json): Answer => {
  const first = records(body["choices"])[0] ?? {}
  const message = record(first["message"])
  const cut = isCut(first)
  const reported = record(body["usage"])
  const choice = [
    ...chatReasoning(message),
    ...chatContent(message),
    ...records(message["tool_calls"]).flatMap(chatCall(cut)),
    ...records(message["images"]).map(chatImage)
  ]
  const cost = reported["cost"]
  return {
    choice,
    finishReason: withCalls(
      choice,
      cut ? { _tag: "MaxTokens" } : finish(first["finish_reason"], {
        Stop: ["stop"],
        ToolUse: ["tool_calls", "function_call"],
        ContentFilter: ["content_filter"]
      })
    ),
    usage: usage(
      count(reported["prompt_tokens"]),
      count(reported["completion_tokens"]),
      count(at(reported, "prompt_tokens_details", "cached_tokens") ?? reported["prompt_cache_hit_tokens"]),
      count(
        at(reported, "prompt_tokens_details", "cache_write_tokens") ?? reported["cache_creation_input_tokens"]
      ),
      count(at(reported, "completion_tokens_details", "reasoning_tokens") ?? reported["reasoning_tokens"])
    ),
    id: body["id"],
    model: body["model"],
    ...compact({ cost: isRecord(cost) ? cost["total_cost"] : cost })
  }
}

const readers: { readonly [A in Api]: (body: Json) => Answer } = {
  "anthropic-messages": anthropic,
  "openai-chat": chat,
  "gemini-generate-content": gemini,
  "openrouter-chat": chat,
  "openai-compatible-chat": chat
}

// ---------------------------------------------------------------------------------------------------------------------
// Failures
// ---------------------------------------------------------------------------------------------------------------------

// The provider's own words count before the status.
const byWord: { readonly [word: string]: string } = {
  API_KEY_INVALID: "Authentication",
  authentication_error: "Authentication",
  not_found_error: "NotFound",
  model_not_found: "NotFound",
  // Mistral's type, at status 400, for a model that it does not have.
  invalid_model: "NotFound",
  exceed_context_size_error: "ContextWindow"
}

const byStatus: { readonly [status: number]: string } = {
  400: "InvalidRequest",
  401: "Authentication",
  403: "Permission",
  404: "NotFound"
}

const failed = ({ response }: Exchange): Outcome => {
  const body = record(JSON.parse(response.body))
  // Some servers give the error as a text, some without a wrapper.
  const error = isRecord(body["error"]) ? body["error"] : { ...body, message: body["message"] ?? body["error"] }
  const reasons = records(error["details"]).map((item) => item["reason"])
  const words = [error["type"], error["code"], error["status"], ...reasons].map(String)
  const reason = words.map((word) => byWord[word]).find((reason) => reason !== undefined) ?? byStatus[response.status]
  const description = text(error["message"])
  return reason === undefined
    ? { _tag: "Failed", tag: "Transient", reason: "Server", description }
    : { _tag: "Failed", tag: "ClientError", reason, description }
}

const isOutput = (content: Json): boolean =>
  content["_tag"] === "Text" ? content["text"] !== "" : content["_tag"] !== "Reasoning"

// A call that was not cut, and still cannot be read.
const hasBrokenCall = (body: Json): boolean => {
  const first = records(body["choices"])[0] ?? {}
  const calls = records(at(first, "message", "tool_calls"))
  return !isCut(first) && calls.some((call) => parsed(at(call, "function", "arguments")) === undefined)
}

/** What a body says, whether or not it is an answer. */
export const read = (api: Api, body: Json): Answer => readers[api](body)

/** How an exchange ends whose answer is no stream; `afterToolResult` says that the request ended with one. */
export const outcome = (api: Api, exchange: Exchange, afterToolResult: boolean): Outcome =>
  exchange.response.status === 200
    ? judged(api, record(JSON.parse(exchange.response.body)), afterToolResult)
    : failed(exchange)

/** How an exchange ends that is answered with this body. */
export const judged = (api: Api, body: Json, afterToolResult: boolean): Outcome => {
  const answer = read(api, body)
  const unanswered = (tag: string, reason: string): Outcome => ({ _tag: "Failed", tag, reason, answer })
  if (hasBrokenCall(body)) return unanswered("EmptyResponse", "MalformedToolCall")
  if (answer.choice.some(isOutput)) return { _tag: "Answered", answer }
  switch (answer.finishReason["_tag"]) {
    case "MaxTokens":
      return unanswered("ClientError", "OutputBudget")
    case "ContentFilter":
      return unanswered("ClientError", "ContentFilter")
    case "Stop":
      if (afterToolResult || answer.stopSequence !== undefined) return { _tag: "Answered", answer }
  }
  return unanswered("EmptyResponse", "NoContent")
}

/** The provider's id of the HTTP request. */
export const requestId = ({ response }: Exchange): unknown => {
  const { headers } = response
  const inBody = response.status === 200 ? undefined : record(JSON.parse(response.body))["request_id"]
  return headers["request-id"] ?? headers["x-request-id"] ?? inBody ?? undefined
}

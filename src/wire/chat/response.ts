/**
 * Reads the body of an answer. Sources: OpenAI API reference, "Chat"; OpenRouter API reference, "Chat completion",
 * "Reasoning tokens"; Mistral, "Reasoning".
 */
import type * as Message from "../../Message.ts"
import * as TokenUsage from "../../TokenUsage.ts"
import { present } from "../encode.ts"
import { array, integer, isObject, type JsonRecord, number, object, parseJson, put, string, survives } from "../json.ts"
import { type Answer, finishReason } from "../Wire.ts"
import { detailsField, finishReasons, reasoningFields } from "./shape.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Usage
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The input and output counts include cached and reasoning tokens, except on servers that count reasoning separately.
 */
export const usage = (usage: JsonRecord): TokenUsage.TokenUsage => {
  const prompt = object(usage["prompt_tokens_details"])
  const completion = object(usage["completion_tokens_details"])
  const input = number(usage["prompt_tokens"]) ?? 0
  const total = number(usage["total_tokens"])
  const output = number(usage["completion_tokens"]) ?? (total ?? 0) - input
  const reasoning = number(completion["reasoning_tokens"]) ?? number(usage["reasoning_tokens"]) ?? 0
  // The total decides, because a server that includes reasoning may still report slightly more reasoning than output.
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

/** The cost of an answer, if the server reports it. */
export const cost = (usage: JsonRecord): number | undefined =>
  number(usage["cost"]) ?? number(object(usage["cost"])["total_cost"])

// ---------------------------------------------------------------------------------------------------------------------
// Contents
// ---------------------------------------------------------------------------------------------------------------------

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

// Whether the parts show that they came as details. A plain text may have come either way.
const tellsDetails = (part: Message.ReasoningPart): boolean => part._tag !== "Text" || Object.keys(part).length > 2

/** The reasoning of a message: its details, otherwise the text and the name of its field. */
export const reasoningOf = (message: JsonRecord): ReadonlyArray<Message.Reasoning> => {
  const details = array(message["reasoning_details"]).filter(isObject).flatMap(detailPart)
  const plain = reasoningFields.find((name) => string(message[name]) !== undefined)
  const field = plain ?? (details.length > 0 && !details.some(tellsDetails) ? detailsField : undefined)
  const common = { _tag: "Reasoning", ...present("field", field) } as const
  if (details.length > 0) return [{ ...common, content: details }]
  return plain === undefined ? [] : [{ ...common, content: [{ _tag: "Text", text: String(message[plain]) }] }]
}

/** The texts of a reasoning part in the content, as Mistral sends it. */
export const thinkingTexts = (part: JsonRecord): ReadonlyArray<string> =>
  array(part["thinking"]).map((item) => string(object(item)["text"]) ?? "")

const contentPart = (part: JsonRecord): ReadonlyArray<Message.AssistantContent> => {
  if (part["type"] === "thinking") {
    return [{ _tag: "Reasoning", content: thinkingTexts(part).map((text) => ({ _tag: "Text", text })) }]
  }
  const text = string(part["text"]) ?? string(part["refusal"])
  return text === undefined ? [] : [{ _tag: "Text", text }]
}

const contentsOf = (message: JsonRecord): ReadonlyArray<Message.AssistantContent> => {
  const text = string(message["content"])
  const parts = text === undefined
    ? array(message["content"]).filter(isObject).flatMap(contentPart)
    : [{ _tag: "Text", text } as const]
  const refusal = string(message["refusal"])
  return refusal === undefined || parts.some((part) => part._tag === "Text")
    ? parts
    : [...parts, { _tag: "Text", text: refusal }]
}

const dataUrl = /^data:([^;,]{1,200})(?:;[^,]{0,200})?;base64,/

/** The source of a URL; a data URL becomes base64. */
export const sourceOf = (url: string): Message.Source => {
  const [prefix, mediaType] = dataUrl.exec(url) ?? []
  return prefix === undefined || mediaType === undefined
    ? { _tag: "Url", url }
    : { _tag: "Base64", data: url.slice(prefix.length), mediaType }
}

/** An image that the model generated. */
export const imageOf = (image: unknown): ReadonlyArray<Message.Image> => {
  const url = string(object(object(image)["image_url"])["url"])
  return url === undefined ? [] : [{ _tag: "Image", source: sourceOf(url) }]
}

/** Audio that the model generated; its id is needed to send it back. */
export const audioOf = (audio: unknown, name: string): ReadonlyArray<Message.ProviderBlock> =>
  isObject(audio)
    ? [{ _tag: "ProviderBlock", provider: name, block: { audio: audio as Message.ProviderBlock["block"] } }]
    : []

// ---------------------------------------------------------------------------------------------------------------------
// Calls
// ---------------------------------------------------------------------------------------------------------------------

/** Servers send arguments as JSON text or as a value. An empty text and null mean no arguments. */
export const argumentsOf = (value: unknown, truncated: boolean): unknown => {
  const text = typeof value === "string" ? value.trim() : undefined
  if (value === undefined || value === null || text === "" || text === "null") return truncated ? undefined : {}
  return text === undefined ? value : parseJson(text)
}

/** The signature of a call, which Google's compatible server wants back. */
export const signatureOf = (call: JsonRecord): string | undefined =>
  string(object(object(call["extra_content"])["google"])["thought_signature"])

/** The description of the error for a call whose arguments are not JSON. */
export const notJson = (name: string): string => `the arguments of the call of ${name} are not JSON`

const callsOf = (message: JsonRecord, truncated: boolean, mintId: (index: number) => string) => {
  const calls: Array<Message.ToolCall> = []
  let malformed: string | undefined
  const legacy = message["function_call"]
  const written: ReadonlyArray<JsonRecord> = [
    ...array(message["tool_calls"]).filter(isObject),
    ...(isObject(legacy) ? [{ function: legacy }] : [])
  ]
  written.forEach((call, index) => {
    const made = object(call["function"])
    const name = string(made["name"])
    // A call without a name cannot be run.
    if (name === undefined) return
    const value = argumentsOf(made["arguments"], truncated)
    if (value !== undefined) {
      calls.push({
        _tag: "ToolCall",
        id: string(call["id"]) ?? mintId(index),
        name,
        arguments: value as Message.ToolCall["arguments"],
        ...present("signature", signatureOf(call))
      })
    } else if (!truncated) malformed = notJson(name)
  })
  return { calls, malformed }
}

// ---------------------------------------------------------------------------------------------------------------------
// The rest
// ---------------------------------------------------------------------------------------------------------------------

/** The end of an answer, from the server's finish reason and that of the provider behind it. */
export const ending = (finish: string | undefined, native: string | undefined) => {
  const upstream = native?.toLowerCase()
  // A router's reason says what ended the turn. Only the upstream's reason says whether the answer was cut.
  const truncated = finishReason(finishReasons, finish)._tag === "MaxTokens"
    || finishReason(finishReasons, upstream)._tag === "MaxTokens"
  return {
    truncated,
    finish: finish ?? upstream,
    finishReason: truncated ? { _tag: "MaxTokens" } as const : finishReason(finishReasons, finish ?? upstream)
  }
}

const read = {
  // Includes OpenAI's padding, which hides the length of events.
  body: new Set(["id", "object", "created", "model", "choices", "usage", "error", "obfuscation"]),
  choice: new Set(["index", "message", "delta", "finish_reason", "native_finish_reason", "error"]),
  message: new Set([
    "role",
    "content",
    ...reasoningFields,
    detailsField,
    "tool_calls",
    "function_call",
    "images",
    "audio"
  ]),
  usage: new Set([
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "reasoning_tokens",
    "cached_tokens",
    "prompt_cache_hit_tokens",
    "cache_creation_input_tokens",
    "cost"
  ]),
  details: new Set(["cached_tokens", "cache_write_tokens", "reasoning_tokens"])
} as const

const isEmpty = (value: unknown): boolean =>
  value === undefined || value === null || value === "" || (Array.isArray(value) && value.length === 0)
  || (isObject(value) && Object.keys(value).length === 0)

/** The fields of a part of a body without a counterpart in the vocabulary. */
export const unread = (record: JsonRecord, part: keyof typeof read): JsonRecord => {
  const rest: Record<string, unknown> = {}
  for (const key in record) if (!read[part].has(key as never) && !isEmpty(record[key])) put(rest, key, record[key])
  return rest
}

/** The other fields of usage. Zero counts are dropped. */
export const unreadUsage = (usage: JsonRecord): JsonRecord => {
  const rest: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(unread(usage, "usage"))) {
    const kept = isObject(value)
      ? Object.fromEntries(Object.entries(unread(value, "details")).filter(([, amount]) => amount !== 0))
      : value
    if (!isEmpty(kept) && kept !== 0) put(rest, key, kept)
  }
  return rest
}

/** The finish reason of the provider behind a router, if it differs from the router's. */
export const otherWord = (choice: JsonRecord): JsonRecord => {
  const native = string(choice["native_finish_reason"])
  return native === choice["finish_reason"] ? {} : present("native_finish_reason", native)
}

const knownParts: ReadonlySet<unknown> = new Set(["text", "thinking", "refusal"])

/** The parts of the content that are neither text nor reasoning, such as references. */
export const otherParts = (content: unknown): ReadonlyArray<unknown> =>
  array(content).filter((part) => isObject(part) && !knownParts.has(part["type"]) && string(part["text"]) === undefined)

/** The remaining fields of an answer, from all its parts. If a name occurs twice, the first one wins. */
export const metadataOf = (...parts: ReadonlyArray<JsonRecord>): JsonRecord | undefined => {
  const all: Record<string, unknown> = {}
  for (const part of parts) {
    for (const [key, value] of Object.entries(part)) {
      if (!isEmpty(value) && !Object.hasOwn(all, key) && survives(value)) put(all, key, value)
    }
  }
  return isEmpty(all) ? undefined : all
}

/** The answer in a whole body. */
export const response = (name: string) => (body: JsonRecord, mintId: (index: number) => string): Answer | undefined => {
  if (!Array.isArray(body["choices"])) return undefined
  const choices = body["choices"].filter(isObject)
  const choice = choices.find(({ index }) => index === 0 || index === undefined) ?? choices[0]
  const message = object(choice?.["message"])
  const { truncated, ...end } = ending(string(choice?.["finish_reason"]), string(choice?.["native_finish_reason"]))
  const { calls, malformed } = callsOf(message, truncated, mintId)
  const reported = object(body["usage"])
  return {
    choice: [
      ...reasoningOf(message),
      ...contentsOf(message),
      ...calls,
      ...array(message["images"]).flatMap(imageOf),
      ...audioOf(message["audio"], name)
    ],
    ...end,
    malformedCall: malformed,
    absent: choice === undefined,
    usage: usage(reported),
    cost: cost(reported),
    id: string(body["id"]),
    model: string(body["model"]),
    metadata: metadataOf(
      unread(body, "body"),
      unread(object(choice), "choice"),
      unread(message, "message"),
      otherWord(object(choice)),
      {
        content: otherParts(message["content"]),
        choices: choices.filter((other) => other !== choice),
        usage: unreadUsage(reported)
      }
    )
  }
}

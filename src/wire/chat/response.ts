/**
 * The body of an answer. Sources: OpenAI API reference, "Chat"; OpenRouter API reference, "Chat completion", "Reasoning
 * tokens"; Mistral, "Reasoning".
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

/** What an answer cost, where the server says it. */
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

// Whether parts would go back as details without a word: a plain text does not tell where it came from.
const tellsDetails = (part: Message.ReasoningPart): boolean => part._tag !== "Text" || Object.keys(part).length > 2

/** The reasoning of a message: its details where there are some, else the text, with the field that held it. */
export const reasoningOf = (message: JsonRecord): ReadonlyArray<Message.Reasoning> => {
  const details = array(message["reasoning_details"]).filter(isObject).flatMap(detailPart)
  const plain = reasoningFields.find((name) => string(message[name]) !== undefined)
  const field = plain ?? (details.length > 0 && !details.some(tellsDetails) ? detailsField : undefined)
  const common = { _tag: "Reasoning", ...present("field", field) } as const
  if (details.length > 0) return [{ ...common, content: details }]
  return plain === undefined ? [] : [{ ...common, content: [{ _tag: "Text", text: String(message[plain]) }] }]
}

/** The texts of a part of the content that is reasoning: Mistral writes it there. */
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

/** Where a URL points to: one that holds its data is that data. */
export const sourceOf = (url: string): Message.Source => {
  const [prefix, mediaType] = dataUrl.exec(url) ?? []
  return prefix === undefined || mediaType === undefined
    ? { _tag: "Url", url }
    : { _tag: "Base64", data: url.slice(prefix.length), mediaType }
}

/** An image that a model made. */
export const imageOf = (image: unknown): ReadonlyArray<Message.Image> => {
  const url = string(object(object(image)["image_url"])["url"])
  return url === undefined ? [] : [{ _tag: "Image", source: sourceOf(url) }]
}

/** Audio that a model made, to be named when it goes back. */
export const audioOf = (audio: unknown, name: string): ReadonlyArray<Message.ProviderBlock> =>
  isObject(audio)
    ? [{ _tag: "ProviderBlock", provider: name, block: { audio: audio as Message.ProviderBlock["block"] } }]
    : []

// ---------------------------------------------------------------------------------------------------------------------
// Calls
// ---------------------------------------------------------------------------------------------------------------------

/** Arguments as servers write them: a JSON text, or already the value; none at all, or null, is no arguments. */
export const argumentsOf = (value: unknown, truncated: boolean): unknown => {
  const text = typeof value === "string" ? value.trim() : undefined
  if (value === undefined || value === null || text === "" || text === "null") return truncated ? undefined : {}
  return text === undefined ? value : parseJson(text)
}

/** The signature of a call: Google's compatible server wants it back. */
export const signatureOf = (call: JsonRecord): string | undefined =>
  string(object(object(call["extra_content"])["google"])["thought_signature"])

/** Why a call whose arguments are not JSON is no call. */
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

/** How an answer ended, from the server's word and that of the provider behind it. */
export const ending = (finish: string | undefined, native: string | undefined) => {
  const upstream = native?.toLowerCase()
  // A router's own word says what ended the turn; only the upstream's word says that it was cut.
  const truncated = finishReason(finishReasons, finish)._tag === "MaxTokens"
    || finishReason(finishReasons, upstream)._tag === "MaxTokens"
  return {
    truncated,
    finish: finish ?? upstream,
    finishReason: truncated ? { _tag: "MaxTokens" } as const : finishReason(finishReasons, finish ?? upstream)
  }
}

const read = {
  // What OpenAI pads its events with, so that their length tells nothing, is among them.
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

/** The fields of a part of a body that the vocabulary has no place for. */
export const unread = (record: JsonRecord, part: keyof typeof read): JsonRecord => {
  const rest: Record<string, unknown> = {}
  for (const key in record) if (!read[part].has(key as never) && !isEmpty(record[key])) put(rest, key, record[key])
  return rest
}

/** What usage says besides; counts of nothing say nothing. */
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

/** The word of the provider behind a router, where it is another than the router's. */
export const otherWord = (choice: JsonRecord): JsonRecord => {
  const native = string(choice["native_finish_reason"])
  return native === choice["finish_reason"] ? {} : present("native_finish_reason", native)
}

const knownParts: ReadonlySet<unknown> = new Set(["text", "thinking", "refusal"])

/** The parts of the content that are neither text nor reasoning, such as references. */
export const otherParts = (content: unknown): ReadonlyArray<unknown> =>
  array(content).filter((part) => isObject(part) && !knownParts.has(part["type"]) && string(part["text"]) === undefined)

/** What an answer says that the vocabulary has no place for, part by part; the first of a name has it. */
export const metadataOf = (...parts: ReadonlyArray<JsonRecord>): JsonRecord | undefined => {
  const all: Record<string, unknown> = {}
  for (const part of parts) {
    for (const [key, value] of Object.entries(part)) {
      if (!isEmpty(value) && !Object.hasOwn(all, key) && survives(value)) put(all, key, value)
    }
  }
  return isEmpty(all) ? undefined : all
}

/** What a whole body says. */
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

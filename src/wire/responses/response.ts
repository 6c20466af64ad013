/**
 * Reads the body of an answer of the Responses API. Sources: OpenAI API reference, "The response object"; xAI, "Usage".
 */
import type { FinishReason, Warning } from "../../CompletionResponse.ts"
import type * as Message from "../../Message.ts"
import * as TokenUsage from "../../TokenUsage.ts"
import { present } from "../encode.ts"
import { array, isObject, type JsonRecord, number, object, parseJson, string } from "../json.ts"
import { type Answer, finishReason, type Wire } from "../Wire.ts"
import {
  callFields,
  entry,
  incompleteReasons,
  omit,
  phaseOf,
  pick,
  refusal,
  sign,
  waitsForClient,
  word
} from "./shape.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Items
// ---------------------------------------------------------------------------------------------------------------------

/** A part of a message as a text; undefined when it is empty. */
export const textOf = (part: JsonRecord, phase: unknown): Message.Text | undefined => {
  const refused = part["type"] === "refusal"
  const text = string(refused ? part["refusal"] : part["text"])
  const annotations = array(part["annotations"])
  if (text === undefined && annotations.length === 0) return undefined
  return {
    _tag: "Text",
    text: text ?? "",
    ...(refused && { signature: refusal }),
    ...(annotations.length > 0 && { citations: annotations as Message.Text["citations"] & {} }),
    ...present("phase", phaseOf(phase))
  }
}

/** The parts of a message. Some servers send a plain text. */
export const partsOf = ({ content }: JsonRecord): ReadonlyArray<JsonRecord> =>
  typeof content === "string" ? [{ type: "output_text", text: content }] : array(content).map(object)

const textsIn = (parts: unknown): ReadonlyArray<string> =>
  array(parts).flatMap((part) => string(object(part)["text"]) ?? [])

/** A reasoning item; undefined when it is empty. */
export const reasoningOf = (item: JsonRecord): Message.Reasoning | undefined => {
  const common = present("id", string(item["id"]))
  const encrypted = string(item["encrypted_content"])
  const content: ReadonlyArray<Message.ReasoningPart> = [
    ...textsIn(item["summary"]).map((text) => ({ _tag: "Summary", text, ...common } as const)),
    ...textsIn(item["content"]).map((text) => ({ _tag: "Text", text, ...common } as const)),
    ...(encrypted === undefined
      ? []
      : [{ _tag: "Encrypted", data: encrypted, ...present("format", string(item["format"])), ...common } as const])
  ]
  return content.length === 0 ? undefined : { _tag: "Reasoning", content }
}

/**
 * The arguments of a call; undefined when they are not JSON. An empty text means no arguments, unless the call was cut.
 */
export const argumentsOf = (value: unknown, cut: boolean): unknown => {
  const text = typeof value === "string" ? value.trim() : undefined
  if (value === undefined || value === null || text === "" || text === "null") return cut ? undefined : {}
  return text === undefined ? value : parseJson(text)
}

/** A tool call from an item whose arguments were already parsed. */
export const callOf = (item: JsonRecord, name: string, id: string, args: unknown): Message.ToolCall => ({
  _tag: "ToolCall",
  id,
  name,
  arguments: args as Message.ToolCall["arguments"],
  ...present("signature", sign(pick(item, callFields)))
})

const imageTypes: Readonly<Record<string, string>> = { png: "image/png", jpeg: "image/jpeg", webp: "image/webp" }

/** Any other item: a generated image, or a block that goes back unchanged. */
export const blockOf = (item: JsonRecord, provider: string): Message.Image | Message.ProviderBlock => {
  const data = string(item["result"])
  return item["type"] === "image_generation_call" && data !== undefined
    ? {
      _tag: "Image",
      source: { _tag: "Base64", data, mediaType: entry(imageTypes, item["output_format"]) ?? "image/png" },
      ...present("signature", sign(omit(item, ["type", "result"])))
    }
    : { _tag: "ProviderBlock", provider, block: item as Message.ProviderBlock["block"] }
}

/** The description of the error for a call that cannot be read, although its answer was not cut. */
export const malformed = (name: string): string => `the arguments of the call of ${name} are not JSON`

interface Read {
  readonly choice: Array<Message.AssistantContent>
  readonly malformedCall: string | undefined
}

const readOutput = (
  output: ReadonlyArray<JsonRecord>,
  provider: string,
  cut: boolean,
  mintId: (index: number) => string
): Read => {
  let malformedCall: string | undefined
  let calls = 0
  const contentsOf = (item: JsonRecord): ReadonlyArray<Message.AssistantContent | undefined> => {
    switch (item["type"]) {
      case "message":
        return partsOf(item).map((part) => textOf(part, item["phase"]))
      case "reasoning":
        return [reasoningOf(item)]
      case "function_call": {
        const name = string(item["name"])
        const index = calls++
        // A call without a name cannot be run.
        if (name === undefined) return []
        const args = argumentsOf(item["arguments"], cut)
        if (args !== undefined) return [callOf(item, name, callId(item) ?? mintId(index), args)]
        if (!cut) malformedCall = malformed(name)
        return []
      }
      default:
        return [blockOf(item, provider)]
    }
  }
  const choice = output.flatMap(contentsOf).filter((content) => content !== undefined)
  return { choice, malformedCall }
}

/** The id of a call that its result refers to. */
export const callId = (item: JsonRecord): string | undefined => string(item["call_id"]) ?? string(item["id"])

// ---------------------------------------------------------------------------------------------------------------------
// What stands around the items
// ---------------------------------------------------------------------------------------------------------------------

/** The input and output counts include cached and reasoning tokens, except on servers that leave reasoning out. */
export const usage = (reported: unknown): TokenUsage.TokenUsage => {
  const usage = object(reported)
  const inputs = object(usage["input_tokens_details"])
  const writes = object(inputs["cache_write_tokens_details"])
  const input = number(usage["input_tokens"]) ?? 0
  const total = number(usage["total_tokens"])
  const output = number(usage["output_tokens"]) ?? (total ?? 0) - input
  const reasoning = number(object(usage["output_tokens_details"])["reasoning_tokens"]) ?? 0
  const beside = total === undefined ? reasoning > output : reasoning > 0 && total === input + output + reasoning
  return TokenUsage.make({
    inputTokens: input,
    outputTokens: beside ? output + reasoning : output,
    cachedInputTokens: number(inputs["cached_tokens"]) ?? 0,
    cacheWriteTokens: number(inputs["cache_write_tokens"]) ?? 0,
    longCacheWriteTokens: number(writes["ttl_12h_tokens"]) ?? 0,
    reasoningTokens: reasoning
  })
}

// xAI's unit of cost.
const ticksPerDollar = 1e10

const costOf = (usage: JsonRecord): number | undefined => {
  const ticks = number(usage["cost_in_usd_ticks"])
  return number(usage["cost"]) ?? (ticks === undefined ? undefined : ticks / ticksPerDollar)
}

// Fields that are read elsewhere, repeat the request, or are timestamps.
const readFields: ReadonlySet<string> = new Set([
  "id",
  "object",
  "model",
  "output",
  "output_text",
  "status",
  "error",
  "incomplete_details",
  "usage",
  "created_at",
  "completed_at",
  "background",
  "billing",
  "conversation",
  "frequency_penalty",
  "image",
  "input_messages",
  "instructions",
  "max_output_tokens",
  "max_tool_calls",
  "metadata",
  "output_messages",
  "parallel_tool_calls",
  "presence_penalty",
  "previous_response_id",
  "prompt",
  "prompt_cache_key",
  "prompt_cache_options",
  "prompt_cache_retention",
  "safety_identifier",
  "store",
  "temperature",
  "text",
  "tool_choice",
  "tools",
  "top_logprobs",
  "top_p",
  "truncation",
  "user"
])

const readUsage: ReadonlySet<string> = new Set([
  "input_tokens",
  "input_tokens_details",
  "output_tokens",
  "output_tokens_details",
  "total_tokens",
  "cost"
])

const says = (value: unknown): boolean =>
  value !== null && value !== undefined && !(typeof value === "object" && Object.keys(value).length === 0)

const beyond = (record: JsonRecord, known: ReadonlySet<string>): JsonRecord =>
  Object.fromEntries(Object.entries(record).filter(([name, value]) => !known.has(name) && says(value)))

const logprobsOf = (output: ReadonlyArray<JsonRecord>): ReadonlyArray<unknown> =>
  output.flatMap((item) => item["type"] === "message" ? partsOf(item).flatMap((part) => array(part["logprobs"])) : [])

const metadataOf = (body: JsonRecord, output: ReadonlyArray<JsonRecord>): JsonRecord | undefined => {
  const { reasoning, ...rest } = beyond(body, readFields)
  const logprobs = logprobsOf(output)
  const reported = beyond(object(body["usage"]), readUsage)
  const metadata = {
    ...rest,
    // An object repeats the request; a text on some servers is the model's own summary setting.
    ...(typeof reasoning === "string" && { reasoning }),
    ...(logprobs.length > 0 && { logprobs }),
    ...(Object.keys(reported).length > 0 && { usage: reported })
  }
  return Object.keys(metadata).length === 0 ? undefined : metadata
}

// Reasoning in the history that the server dropped.
const warningsOf = (body: JsonRecord): ReadonlyArray<Warning> | undefined => {
  const removed = array(body["input_transformations"]).map(object).map(({ action, id, reason, type }) => ({
    field: "history",
    description: `${word(type)} ${word(id)} was ${word(action)}: ${word(reason)}`
  }))
  return removed.length === 0 ? undefined : removed
}

const finishOf = (
  status: string | undefined,
  reason: string | undefined,
  output: ReadonlyArray<JsonRecord>
): FinishReason => {
  if (status === "incomplete") return finishReason(incompleteReasons, reason ?? status)
  if (status !== undefined && status !== "completed") return { _tag: "Other", reason: status }
  if (waitsForClient(output)) return { _tag: "ToolUse" }
  const parts = output.flatMap((item) => item["type"] === "message" ? partsOf(item) : [])
  const refused = parts.length > 0 && parts.every(({ type }) => type === "refusal")
  return { _tag: refused ? "ContentFilter" : "Stop" }
}

/** The fields of an answer besides its contents. `output` are its items. */
export const frameOf = (
  body: JsonRecord,
  output: ReadonlyArray<JsonRecord>
): Omit<Answer, "choice" | "malformedCall"> => {
  const status = string(body["status"])
  const reason = string(object(body["incomplete_details"])["reason"])
  return {
    finishReason: finishOf(status, reason, output),
    finish: reason ?? status,
    usage: usage(body["usage"]),
    cost: costOf(object(body["usage"])),
    id: string(body["id"]),
    model: string(body["model"]),
    metadata: metadataOf(body, output),
    warnings: warningsOf(body)
  }
}

/** Whether an answer was cut, so that its last call may be incomplete. */
export const isCut = (body: JsonRecord): boolean => body["status"] === "incomplete"

export const response = (provider: string): Wire["response"] => (body, mintId) => {
  if (!Array.isArray(body["output"])) return undefined
  const output = body["output"].filter(isObject)
  return { ...readOutput(output, provider, isCut(body), mintId), ...frameOf(body, output) }
}

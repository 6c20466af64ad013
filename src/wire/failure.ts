/**
 * The one classifier: turns every way in which a provider can fail into one of the four tags. It decides by the
 * provider's code or type first, then by status, then by transport, and reads the words of a message only in the few
 * rules of `messageRules`.
 */
import * as Duration from "effect/Duration"
import type { Completion } from "../Completion.ts"
import * as CompletionResponse from "../CompletionResponse.ts"
import * as LLMError from "../LLMError.ts"
import { redactAnswer, redactJson } from "../transport/secrets.ts"
import { rateLimits, retryHint } from "./hints.ts"
import { array, isObject, type JsonRecord, number, object, parseJson, string } from "./json.ts"
import type { Answer } from "./Wire.ts"

/** What went wrong, as the transport saw it. */
export type Signal =
  /** We refuse to send the request. */
  | { readonly _tag: "Refused"; readonly reason: "InvalidRequest" | "Unsupported"; readonly description: string }
  /** The provider says that it failed: with a status, or with an error inside a body. `body` is its JSON, if it is. */
  | { readonly _tag: "Failed"; readonly text: string; readonly body?: unknown }
  /** A body that is not what every answer is. */
  | { readonly _tag: "Malformed"; readonly text: string; readonly description: string }
  /** An answer that holds nothing that the caller asked for. */
  | { readonly _tag: "Unanswered"; readonly verdict: Verdict; readonly description: string }
  /** A stream ended before its answer did. */
  | { readonly _tag: "Truncated" }
  /** The network failed. */
  | { readonly _tag: "Network"; readonly cause: unknown }
  /** One of our own clocks ran out. */
  | { readonly _tag: "Timeout"; readonly clock: string; readonly after: Duration.Duration }

/** What is known besides the signal. */
export interface Context {
  readonly provider: string
  readonly model: string
  /** Epoch milliseconds, for hints that are dates. */
  readonly now: number
  readonly redact: (text: string) => string
  readonly status?: number
  readonly headers?: Readonly<Record<string, string | undefined>>
  readonly partial?: CompletionResponse.CompletionResponse
}

/** A tag and its reason. */
export type Verdict =
  | readonly ["RateLimit", LLMError.RateLimitReason]
  | readonly ["Transient", LLMError.TransientReason]
  | readonly ["EmptyResponse", LLMError.EmptyResponseReason]
  | readonly ["ClientError", LLMError.ClientErrorReason]

// ---------------------------------------------------------------------------------------------------------------------
// Tables
// ---------------------------------------------------------------------------------------------------------------------

const requests: Verdict = ["RateLimit", "Requests"]
const tokens: Verdict = ["RateLimit", "Tokens"]
const limited: Verdict = ["RateLimit", "Unknown"]
const capacity: Verdict = ["RateLimit", "Capacity"]
const overloaded: Verdict = ["Transient", "Overloaded"]
const server: Verdict = ["Transient", "Server"]
const client = (reason: LLMError.ClientErrorReason): Verdict => ["ClientError", reason]

/** What a provider's code, type or status word means, for all providers. */
const words: Readonly<Record<string, Verdict>> = {
  rate_limit_error: limited,
  rate_limit_exceeded: limited,
  rate_limited: limited,
  slow_down: limited,
  too_many_requests: limited,
  RESOURCE_EXHAUSTED: limited,
  requests,
  tokens,
  capacity_exhausted: capacity,
  in_flight_budget_exhausted: capacity,
  service_tier_capacity_exceeded: capacity,

  insufficient_quota: client("Quota"),
  credit_balance_exhausted: client("Quota"),
  organization_spend_limit_exceeded: client("Quota"),
  project_spend_limit_exceeded: client("Quota"),
  enforced_spend_limit_reached: client("Quota"),
  payment_required: client("Quota"),
  weight_exceeds_budget: client("Quota"),

  overloaded_error: overloaded,
  server_is_overloaded: overloaded,
  provider_overloaded: overloaded,
  UNAVAILABLE: overloaded,

  api_error: server,
  server_error: server,
  internal_error: server,
  internal_server_error: server,
  timeout_error: server,
  provider_unavailable: server,
  server,
  timeout: server,
  INTERNAL: server,
  DEADLINE_EXCEEDED: server,

  authentication: client("Authentication"),
  authentication_error: client("Authentication"),
  invalid_api_key: client("Authentication"),
  API_KEY_INVALID: client("Authentication"),
  UNAUTHENTICATED: client("Authentication"),

  permission_denied: client("Permission"),
  permission_error: client("Permission"),
  PERMISSION_DENIED: client("Permission"),

  not_found: client("NotFound"),
  not_found_error: client("NotFound"),
  model_not_found: client("NotFound"),
  invalid_model: client("NotFound"),
  NOT_FOUND: client("NotFound"),

  payload_too_large: client("TooLarge"),
  request_too_large: client("TooLarge"),

  context_length_exceeded: client("ContextWindow"),
  exceed_context_size_error: client("ContextWindow"),
  model_context_window_exceeded: client("ContextWindow"),

  content_filter: client("ContentFilter"),
  content_policy_violation: client("ContentFilter"),

  invalid_prompt: client("InvalidRequest")
}

/** Words that say no more than the status 400 does, and stand for it where there is no status. */
const weakWords: ReadonlySet<string> = new Set([
  "invalid_request",
  "invalid_request_error",
  "INVALID_ARGUMENT",
  "FAILED_PRECONDITION",
  "OUT_OF_RANGE"
])

const statuses: Readonly<Record<number, Verdict>> = {
  401: client("Authentication"),
  402: client("Quota"),
  403: client("Permission"),
  404: client("NotFound"),
  408: server,
  409: server,
  410: client("NotFound"),
  413: client("TooLarge"),
  425: server,
  429: limited,
  503: overloaded,
  529: overloaded
}

interface MessageRule {
  readonly pattern: RegExp
  readonly verdict: Verdict
  /** The statuses at which the words are read; undefined is a failure without status, code and type. */
  readonly statuses: ReadonlyArray<number | undefined>
  readonly provider?: string
  readonly holds?: (match: RegExpExecArray) => boolean
}

const amount = (text: string | undefined): number => Number(text?.replaceAll(/[,_]/g, ""))

/** The few cases in which a provider gives nothing but words. */
const messageRules: ReadonlyArray<MessageRule> = [
  {
    pattern: /credit balance is too low|reached your specified api usage limits/i,
    verdict: client("Quota"),
    statuses: [400],
    provider: "anthropic"
  },
  { pattern: /free-models-per-day/, verdict: client("DailyQuota"), statuses: [429], provider: "openrouter" },
  {
    pattern: /request too large.*?\blimit:? ([\d,_]+).*?\brequested:? ([\d,_]+)/is,
    verdict: client("TooLarge"),
    statuses: [413, 429],
    provider: "openai",
    holds: ([, limit, requested]) => amount(requested) > amount(limit)
  },
  {
    pattern: /prompt is too long|input token count.*exceeds the maximum|maximum context length/is,
    verdict: client("ContextWindow"),
    statuses: [400, 413, 422, undefined]
  },
  {
    pattern: /rate limit|too many requests|tokens per minute|requests per minute/i,
    verdict: limited,
    statuses: [undefined]
  }
]

/** Finish reasons that are failures whatever came with them. */
const failedFinishes: Readonly<Record<string, Verdict>> = {
  MALFORMED_FUNCTION_CALL: ["EmptyResponse", "MalformedToolCall"],
  UNEXPECTED_TOOL_CALL: ["EmptyResponse", "MalformedToolCall"],
  TOO_MANY_TOOL_CALLS: ["EmptyResponse", "MalformedToolCall"]
}

// ---------------------------------------------------------------------------------------------------------------------
// Errors in a body
// ---------------------------------------------------------------------------------------------------------------------

const isStatus = (code: number | undefined): boolean => Number.isInteger(code) && code! >= 400 && code! < 600

/** The error object of a body, however it is wrapped; undefined when the body holds none. */
export const errorIn = (body: unknown): JsonRecord | undefined => {
  // Gemini wraps the errors of some of its endpoints in an array.
  const outer = object(Array.isArray(body) ? body[0] : body)
  const choice = object(array(outer["choices"])[0])
  for (const error of [outer["error"], choice["error"]]) {
    if (isObject(error)) return error
    if (string(error) !== undefined) return { message: error }
  }
  if (choice["finish_reason"] === "error") return { message: "the provider ended the answer with an error" }
  return undefined
}

interface Reading {
  readonly words: ReadonlyArray<string>
  readonly status: number | undefined
  readonly code: string | undefined
  readonly description: string
}

const numeric = (code: unknown): number | undefined =>
  number(code) ?? (typeof code === "string" && /^\d+$/.test(code) ? Number(code) : undefined)

const parsed = (text: string | undefined): unknown => {
  if (text === undefined || !text.trimStart().startsWith("{")) return undefined
  return parseJson(text)
}

const messageOf = (error: JsonRecord): string | undefined => {
  const metadata = object(error["metadata"])
  const raw = string(metadata["raw"])
  const upstream = raw === undefined ? undefined : messageOf(errorIn(parsed(raw)) ?? object(parsed(raw))) ?? raw
  const from = string(metadata["provider_name"])
  return upstream === undefined
    ? string(error["message"]) ?? string(error["detail"])
    : `${from === undefined ? "" : `${from}: `}${upstream}`
}

// What a failure says of itself, from its status and its error object.
const read = (error: JsonRecord, status: number | undefined): Reading => {
  const metadata = object(error["metadata"])
  const details = array(error["details"]).map(object)
  const candidates = [
    object(error["details"])["error_code"],
    metadata["error_type"],
    error["error_type"],
    error["code"],
    error["type"],
    error["status"],
    ...details.map((detail) => detail["reason"])
  ]
  const found = candidates.flatMap((word) => numeric(word) === undefined ? string(word) ?? [] : [])
  const codes = [error["code"], error["status"]].map(numeric)
  const own = codes.find((code) => code !== undefined && !isStatus(code))
  const reasons = array(metadata["reasons"]).flatMap((reason) => string(reason) ?? [])
  return {
    words: found,
    status: codes.find(isStatus) ?? status,
    code: found.find((word) => lookUp(word) !== undefined) ?? found[0] ?? own?.toString(),
    description: [messageOf(error) ?? "", reasons.join(", ")].filter((part) => part !== "").join(": ")
  }
}

const lookUp = (word: string): Verdict | undefined =>
  Object.hasOwn(words, word) ? words[word] : word.startsWith("billing_") ? client("Quota") : undefined

// Google's quota failures: by the violated quota, not by the delay that comes with it.
const googleQuota = (error: JsonRecord): Verdict | undefined => {
  const details = array(error["details"]).map(object)
  const violations = details.flatMap((detail) => array(detail["violations"]).map(object))
  const ids = violations.map((violation) => string(violation["quotaId"]) ?? "")
  if (ids.some((id) => id.includes("PerDay")) || violations.some(({ quotaValue }) => numeric(quotaValue) === 0)) {
    return client("DailyQuota")
  }
  return ids.some((id) => id.includes("Token"))
    ? tokens
    : ids.some((id) => id.includes("Request"))
    ? requests
    : undefined
}

const decide = (error: JsonRecord, reading: Reading, { provider }: Context): Verdict => {
  const { description, words: found } = reading
  const status = reading.status ?? (found.some((word) => weakWords.has(word)) ? 400 : undefined)
  const metadata = object(error["metadata"])
  if (status === 403 && string(metadata["limit_source"]) !== undefined) return client("Quota")
  if (status === 403 && Array.isArray(metadata["reasons"])) return client("ContentFilter")
  const verdicts = found.flatMap((word) => {
    const verdict = lookUp(word)
    return verdict === undefined ? [] : [verdict]
  })
  // A quota that is spent is often reported together with words for a rate limit, which it is not.
  const other = verdicts.find(([tag]) => tag !== "RateLimit")
  if (other !== undefined) return other
  for (const rule of messageRules) {
    if (rule.provider !== undefined && rule.provider !== provider) continue
    if (!rule.statuses.includes(status) || (status === undefined && found.length > 0)) continue
    const match = rule.pattern.exec(description)
    if (match !== null && (rule.holds?.(match) ?? true)) return rule.verdict
  }
  if (verdicts.length > 0 || status === 429) {
    return googleQuota(error) ?? verdicts.find(([, reason]) => reason !== "Unknown") ?? limited
  }
  if (status === undefined) return server
  return statuses[status] ?? (status >= 500 ? server : client("InvalidRequest"))
}

// ---------------------------------------------------------------------------------------------------------------------
// Answers
// ---------------------------------------------------------------------------------------------------------------------

const hasOutput = (answer: Answer): boolean =>
  answer.choice.some((content) => content._tag === "Text" ? content.text !== "" : content._tag !== "Reasoning")

/** Why an answer is none, or undefined when it is one. */
export const judge = (answer: Answer, completion: Completion): Signal | undefined => {
  const unanswered = (verdict: Verdict, description: string): Signal => ({ _tag: "Unanswered", verdict, description })
  const { filter, finish = "", finishReason } = answer
  if (Object.hasOwn(failedFinishes, finish)) {
    return unanswered(
      failedFinishes[finish]!,
      `the answer ended with ${finish}${filter === undefined ? "" : `: ${filter}`}`
    )
  }
  if (answer.malformedCall !== undefined) {
    return unanswered(["EmptyResponse", "MalformedToolCall"], answer.malformedCall)
  }
  if (hasOutput(answer)) return undefined
  if (finish === "model_context_window_exceeded") {
    return unanswered(client("ContextWindow"), "the conversation fills the model's context window: shorten it")
  }
  if (finishReason._tag === "ContentFilter") {
    return unanswered(client("ContentFilter"), `the provider's filter took the answer: ${filter ?? finish}`)
  }
  if (finishReason._tag === "MaxTokens") {
    return unanswered(
      client("OutputBudget"),
      "maxTokens were used up before any text or tool call: raise maxTokens, or let the model reason less"
    )
  }
  if (answer.absent !== true && finishReason._tag === "Stop") {
    const turn = completion.prompt
    const answersTool = turn._tag === "User" && turn.content.some((content) => content._tag === "ToolResult")
    if (answersTool || answer.stopSequence !== undefined) return undefined
  }
  return unanswered(
    ["EmptyResponse", "NoContent"],
    `the answer holds neither text nor a tool call${finish === "" ? "" : ` (${finish})`}`
  )
}

/** The answer as the caller gets it. A complete tool call is what such an answer ended for, unless it was cut. */
export const toResponse = (
  answer: Answer,
  { headers = {}, model, now, provider }: Omit<Context, "redact">
): CompletionResponse.CompletionResponse => {
  const { finishReason: { _tag } } = answer
  const calls = (_tag === "Stop" || _tag === "None" || _tag === "Other")
    && answer.choice.some((content) => content._tag === "ToolCall")
  return CompletionResponse.make({
    choice: answer.choice,
    finishReason: calls ? { _tag: "ToolUse" } : answer.finishReason,
    usage: answer.usage,
    provider,
    ...defined({
      model: answer.model ?? model,
      id: answer.id,
      requestId: requestId(headers, undefined),
      stopSequence: answer.stopSequence,
      rateLimits: rateLimits(headers, now),
      cost: answer.cost
    })
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// Errors
// ---------------------------------------------------------------------------------------------------------------------

const bodyLimit = 8192

type Defined<A> = { [K in keyof A]?: Exclude<A[K], undefined> }

const defined = <A extends object>(fields: A): Defined<A> => {
  const kept: Record<string, unknown> = {}
  for (const key in fields) if (fields[key] !== undefined) kept[key] = fields[key]
  return kept as Defined<A>
}

const requestIds = ["request-id", "x-request-id", "x-goog-request-id", "x-generation-id"]

const requestId = (headers: NonNullable<Context["headers"]>, body: unknown): string | undefined => {
  for (const name of requestIds) {
    const id = string(headers[name])
    if (id !== undefined) return id
  }
  return string(object(body)["request_id"])
}

// The causes of a cause, outermost first: what failed says least in its first message.
const chain = (cause: unknown, depth = 0): ReadonlyArray<JsonRecord> => {
  if (typeof cause === "string") return [{ message: cause }]
  if (typeof cause !== "object" || cause === null || depth > 8) return []
  const { cause: below, errors, reason } = cause as { cause?: unknown; errors?: unknown; reason?: unknown }
  return [
    cause as unknown as JsonRecord,
    ...[reason, below, array(errors)[0]].flatMap((next) => chain(next, depth + 1))
  ]
}

// A cause without the request it belonged to: that holds the key.
const plainCause = (cause: unknown, redact: (text: string) => string) => {
  const causes = chain(cause)
  const texts = causes.flatMap((item) =>
    isHttpClientError(item)
      ? string(item["description"]) ?? []
      : string(item["message"]) ?? string(item["code"]) ?? []
  )
  const codes = causes.flatMap((item) => string(item["code"]) ?? [])
  const description = redact([...new Set(texts)].join(": ") || "the request failed on its way")
  return { description, code: codes.at(-1), cause: Object.assign(new Error(description), { name: "NetworkError" }) }
}

const isHttpClientError = (item: JsonRecord): boolean =>
  ["HttpClientError", "TransportError", "DecodeError", "EncodeError"].includes(String(item["_tag"]))

const details = (signal: Signal, context: Context): {
  readonly verdict: Verdict
  readonly description: string
  readonly text?: string | undefined
  readonly body?: unknown
  readonly status?: number | undefined
  readonly code?: string | undefined
  readonly retryAfter?: Duration.Duration | undefined
  readonly retryable?: false | undefined
  readonly cause?: unknown
} => {
  switch (signal._tag) {
    case "Refused":
      return { verdict: client(signal.reason), description: signal.description }
    case "Unanswered":
      return { verdict: signal.verdict, description: signal.description, status: context.status }
    case "Malformed":
      return {
        verdict: ["Transient", "Malformed"],
        description: signal.description,
        text: signal.text,
        status: context.status
      }
    case "Truncated":
      return { verdict: ["Transient", "Truncated"], description: "the stream ended before the answer did" }
    case "Timeout":
      return {
        verdict: ["Transient", "Timeout"],
        description: `${signal.clock} timeout after ${Duration.format(signal.after)}`
      }
    case "Network":
      return { verdict: ["Transient", "Network"], ...plainCause(signal.cause, context.redact) }
    case "Failed": {
      const headers = context.headers ?? {}
      const error = errorIn(signal.body) ?? object(signal.body)
      const reading = read(error, context.status !== undefined && context.status < 300 ? undefined : context.status)
      const availability = { ...object(object(error["metadata"])["availability"]), ...object(error["availability"]) }
      const no = availability["retryable"] === false || headers["x-should-retry"] === "false"
      return {
        verdict: decide(error, reading, context),
        description: reading.description || `HTTP ${reading.status ?? context.status} without a message`,
        text: signal.text,
        body: signal.body,
        status: reading.status ?? context.status,
        code: reading.code,
        retryAfter: retryHint(headers, error, context.now),
        retryable: no ? false : undefined
      }
    }
  }
}

// Longer bodies are not walked through for the few of their texts that an error keeps.
const walkLimit = 8 * bodyLimit

// Room for a secret that stands where a text is cut, so that no part of one is left over.
const margin = 4096

// The beginning of a long text, which does not keep the rest of it in memory, as a mere slice does.
const beginning = (text: string, length: number): string =>
  new TextDecoder().decode(new TextEncoder().encode(text.slice(0, length)))

// As much of a text as an error keeps, without secrets.
const excerpt = (text: string, redact: Context["redact"]): string => {
  if (text.length <= bodyLimit + margin) return redact(text).slice(0, bodyLimit)
  const redacted = redact(beginning(text, bodyLimit + margin))
  return redacted.slice(0, Math.min(bodyLimit, Math.max(0, redacted.length - margin)))
}

const excerptOf = (body: unknown, text: string, redact: Context["redact"]): string =>
  body === undefined || text.length > walkLimit
    ? excerpt(text, redact)
    : JSON.stringify(redactJson(body, redact)).slice(0, bodyLimit)

// What the provider said may repeat a secret; what we counted does not.
const withoutSecrets = (
  { rateLimits, usage, ...said }: CompletionResponse.CompletionResponse,
  redact: Context["redact"]
): CompletionResponse.CompletionResponse =>
  CompletionResponse.make({ ...redactAnswer(said, redact), usage, ...(rateLimits && { rateLimits }) })

/** The error for a signal: the only place where errors are built. */
export const fromSignal = (signal: Signal, context: Context): LLMError.LLMError => {
  const { body, code, description, text, verdict: [tag, reason], ...rest } = details(signal, context)
  const { headers = {}, model, now, partial, provider, redact } = context
  const safe = (value: string | undefined): string | undefined =>
    value === undefined ? undefined : excerpt(value, redact)
  const kept = text === undefined ? undefined : excerptOf(body, text, redact)
  return LLMError.make(tag, {
    reason,
    provider,
    model,
    description: excerpt(description, redact),
    ...rest,
    code: safe(code),
    requestId: safe(requestId(headers, body)),
    rateLimits: rateLimits(headers, now),
    body: kept === "" ? undefined : kept,
    partial: partial && withoutSecrets(partial, redact)
  })
}

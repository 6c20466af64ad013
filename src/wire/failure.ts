/**
 * The classifier that all wires share. It turns every failure of a provider into a tag and a reason: by the provider's
 * code or type first, then by status, then by transport. It reads the message only in a few rules. A wire adds the
 * tables of its own words.
 */
import * as Duration from "effect/Duration"
import type * as LLMError from "../LLMError.ts"
import * as Hints from "./hints.ts"
import { array, isObject, type JsonRecord, number, object, string } from "./json.ts"
import type { Failures, HeaderMap, MessageRule, Reading, Refused, Verdict } from "./Wire.ts"

/** What went wrong, as the transport saw it. */
export type Signal =
  /** We refuse to send the request. */
  | Refused
  /** The API key is missing. */
  | { readonly _tag: "Unauthenticated"; readonly description: string }
  /** The provider reports a failure, by a status or by an error in a body. `body` is the parsed JSON, if it is JSON. */
  | { readonly _tag: "Failed"; readonly text: string; readonly body?: unknown }
  /** A body without what every answer has. `final` when a retry would fail in the same way. */
  | { readonly _tag: "Malformed"; readonly text: string; readonly description: string; readonly final?: true }
  /** An answer without anything that the caller asked for. */
  | { readonly _tag: "Unanswered"; readonly verdict: Verdict; readonly description: string }
  /** A stream ended before its answer did. */
  | { readonly _tag: "Truncated" }
  /** The network failed. */
  | { readonly _tag: "Network"; readonly cause: unknown }
  /** A timeout, ours or the HTTP client's own. */
  | { readonly _tag: "Timeout"; readonly clock: string; readonly after: Duration.Duration }

/** A verdict from its tag and reason. */
export const client = (reason: LLMError.ClientErrorReason): Verdict => ["ClientError", reason]

export const requests: Verdict = ["RateLimit", "Requests"]
export const tokens: Verdict = ["RateLimit", "Tokens"]
export const limited: Verdict = ["RateLimit", "Unknown"]
export const capacity: Verdict = ["RateLimit", "Capacity"]
export const overloaded: Verdict = ["Transient", "Overloaded"]
export const server: Verdict = ["Transient", "Server"]

// ---------------------------------------------------------------------------------------------------------------------
// Tables
// ---------------------------------------------------------------------------------------------------------------------

/** Words that many providers use. Servers also repeat the words of the providers behind them. */
const words: Readonly<Record<string, Verdict>> = {
  rate_limit_error: limited,
  rate_limit_exceeded: limited,
  rate_limited: limited,
  slow_down: limited,
  too_many_requests: limited,
  requests,
  tokens,

  insufficient_quota: client("Quota"),
  payment_required: client("Quota"),

  overloaded_error: overloaded,
  server_is_overloaded: overloaded,

  provider_unavailable: server,
  timeout_error: server,
  timeout: server,

  authentication_error: client("Authentication"),
  invalid_api_key: client("Authentication"),

  permission_denied: client("Permission"),
  permission_error: client("Permission"),

  not_found: client("NotFound"),
  not_found_error: client("NotFound"),
  model_not_found: client("NotFound"),
  invalid_model: client("NotFound"),

  payload_too_large: client("TooLarge"),
  request_too_large: client("TooLarge"),

  context_length_exceeded: client("ContextWindow"),
  exceed_context_size_error: client("ContextWindow"),
  model_context_window_exceeded: client("ContextWindow"),

  content_filter: client("ContentFilter"),
  content_policy_violation: client("ContentFilter"),

  invalid_prompt: client("InvalidRequest"),

  // The status words of google.rpc, which gateways in front of other providers use too.
  RESOURCE_EXHAUSTED: limited,
  UNAVAILABLE: overloaded,
  INTERNAL: server,
  DEADLINE_EXCEEDED: server,
  UNAUTHENTICATED: client("Authentication"),
  PERMISSION_DENIED: client("Permission"),
  NOT_FOUND: client("NotFound")
}

/** Words that mean no more than "server error". With 503, the status is more specific and decides. */
const serverWords: ReadonlySet<string> = new Set([
  "api_error",
  "server_error",
  "internal_error",
  "internal_server_error",
  "server"
])

/** Words that mean no more than the status 400, and replace it when there is no status. */
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

/** The few failures that many providers report only in the message. */
const messages: ReadonlyArray<MessageRule> = [
  {
    pattern: /prompt is too long|input token count.{0,200}exceeds the maximum|maximum context length/is,
    verdict: client("ContextWindow"),
    statuses: [400, 413, 422, undefined]
  },
  {
    pattern: /rate limit|too many requests|tokens per minute|requests per minute/i,
    verdict: limited,
    statuses: [undefined]
  }
]

// Patterns see at most this much of a message.
const readable = 8192

// ---------------------------------------------------------------------------------------------------------------------
// Errors in a body
// ---------------------------------------------------------------------------------------------------------------------

const isStatus = (code: number | undefined): boolean => Number.isInteger(code) && code! >= 400 && code! < 600

/** The error under `error` in a body: an object, or a text. */
export const errorUnder = (body: unknown): JsonRecord | undefined => {
  const error = object(body)["error"]
  if (isObject(error)) return error
  const message = string(error)
  return message === undefined ? undefined : { message }
}

const numeric = (code: unknown): number | undefined =>
  number(code) ?? (typeof code === "string" && /^\d{1,9}$/.test(code) ? Number(code) : undefined)

const usual = (error: JsonRecord): ReadonlyArray<unknown> => [error["code"], error["type"], error["status"]]

/** The message of an error in its usual places. */
export const usualMessage = (error: JsonRecord): string | undefined =>
  string(error["message"]) ?? string(error["detail"])

const lookUp = (failures: Failures, word: string): Verdict | undefined =>
  Object.hasOwn(failures.words, word)
    ? failures.words[word]
    : Object.hasOwn(words, word)
    ? words[word]
    : serverWords.has(word)
    ? server
    : failures.prefixes?.find(([prefix]) => word.startsWith(prefix))?.[1]

const read = (failures: Failures, error: JsonRecord, status: number | undefined): Reading => {
  const candidates = failures.candidates?.(error) ?? usual(error)
  const codes = [error["code"], error["status"]].map(numeric)
  return {
    words: candidates.flatMap((word) => numeric(word) === undefined ? string(word) ?? [] : []),
    status: codes.find(isStatus) ?? status,
    description: (failures.message ?? usualMessage)(error) ?? ""
  }
}

const codeOf = (failures: Failures, error: JsonRecord, { words }: Reading): string | undefined => {
  const code = [error["code"], error["status"]].map(numeric).find((code) => code !== undefined && !isStatus(code))
  return words.find((word) => lookUp(failures, word) !== undefined) ?? words[0] ?? code?.toString()
}

const byWords = (failures: Failures, { description, words }: Reading, status: number | undefined) => {
  const text = description.slice(0, readable)
  for (const rule of [...(failures.messages ?? []), ...messages]) {
    if (!rule.statuses.includes(status) || (status === undefined && words.length > 0)) continue
    const match = rule.pattern.exec(text)
    if (match !== null && (rule.holds?.(match) ?? true)) return rule.verdict
  }
  return undefined
}

const decide = (failures: Failures, error: JsonRecord, reading: Reading, headers: HeaderMap): Verdict => {
  const decided = failures.decide?.(error, reading)
  if (decided !== undefined) return decided
  const status = reading.status ?? (reading.words.some((word) => weakWords.has(word)) ? 400 : undefined)
  const verdicts = reading.words.flatMap((word) => {
    const verdict = lookUp(failures, word)
    return verdict === undefined || (status === 503 && serverWords.has(word)) ? [] : [verdict]
  })
  // Providers often report an exhausted quota together with words for a rate limit.
  const other = verdicts.find(([tag]) => tag !== "RateLimit")
  if (other !== undefined) return other
  const said = byWords(failures, reading, status)
  if (said !== undefined) return said
  if (verdicts.length > 0 || status === 429) {
    return failures.limit?.(error, headers) ?? verdicts.find(([, reason]) => reason !== "Unknown") ?? limited
  }
  if (status === undefined) return server
  return statuses[status] ?? (status >= 500 ? server : client("InvalidRequest"))
}

// ---------------------------------------------------------------------------------------------------------------------
// Signals
// ---------------------------------------------------------------------------------------------------------------------

/** A classified failure, from which an error is made. The provider's texts may contain secrets. */
export interface Classified {
  readonly verdict: Verdict
  readonly description: string
  /** The text of the body. */
  readonly text?: string | undefined
  /** The parsed body, if it is JSON. */
  readonly body?: unknown
  readonly status?: number | undefined
  readonly code?: string | undefined
  readonly retryAfter?: Duration.Duration | undefined
  readonly retryable?: boolean | undefined
}

/** The context of a signal. */
export interface Received {
  readonly status?: number | undefined
  readonly headers?: HeaderMap | undefined
  /** Epoch milliseconds, for hints that are dates. */
  readonly now: number
}

const retryAfterOf = (failures: Failures, headers: HeaderMap, error: JsonRecord, now: number) => {
  const header = Hints.ofHeaders(headers, now)
  return header === undefined ? failures.retryAfter?.(headers, error, now) : Duration.millis(header)
}

const failed = (
  failures: Failures,
  { body, text }: Extract<Signal, { readonly _tag: "Failed" }>,
  { headers = {}, now, status }: Received
): Classified => {
  const error = failures.errorIn(body) ?? object(body)
  const reading = read(failures, error, status !== undefined && status < 300 ? undefined : status)
  return {
    verdict: decide(failures, error, reading, headers),
    description: reading.description || `HTTP ${reading.status ?? status} without a message`,
    text,
    body,
    status: reading.status ?? status,
    code: codeOf(failures, error, reading),
    retryAfter: retryAfterOf(failures, headers, error, now),
    retryable: failures.retryable?.(error, headers) === false ? false : undefined
  }
}

/** Classifies a signal. The transport classifies network failures, because it knows their causes. */
export const classify = (
  failures: Failures,
  signal: Exclude<Signal, { readonly _tag: "Network" }>,
  received: Received
): Classified => {
  switch (signal._tag) {
    case "Refused":
      return { verdict: client(signal.reason), description: signal.description }
    case "Unauthenticated":
      return { verdict: client("Authentication"), description: signal.description }
    case "Unanswered":
      return { verdict: signal.verdict, description: signal.description, status: received.status }
    case "Malformed":
      return {
        verdict: ["Transient", "Malformed"],
        description: signal.description,
        text: signal.text,
        status: received.status,
        retryable: signal.final === true ? false : undefined
      }
    case "Truncated":
      return {
        verdict: ["Transient", "Truncated"],
        description: "the stream ended before the answer did",
        status: received.status
      }
    case "Timeout":
      return {
        verdict: ["Transient", "Timeout"],
        description: `${signal.clock} timeout after ${Duration.format(signal.after)}`
      }
    case "Failed":
      return failed(failures, signal, received)
  }
}

const requestIds = ["request-id", "x-request-id", "x-goog-request-id", "x-generation-id"]

const requestId: Failures["requestId"] = (headers, body) => {
  for (const name of requestIds) {
    const id = string(headers[name])
    if (id !== undefined) return id
  }
  return string(object(body)["request_id"])
}

/** The failures of a wire. Anything left out is as most providers have it. */
export const failures = (
  given: Partial<Failures> & { readonly families?: ReadonlyArray<Hints.Family> } = {}
): Failures => {
  const { families = [], ...rest } = given
  return {
    words: {},
    errorIn: errorUnder,
    rateLimits: Hints.rateLimits(families),
    requestId,
    retryable: (_, headers) => headers["x-should-retry"] === "false" ? false : undefined,
    ...(families.length > 0 && {
      retryAfter: (headers, _, now) => {
        for (const family of families) {
          const millis = Hints.exhausted(family, headers, now)
          if (millis !== undefined) return Duration.millis(millis)
        }
        return undefined
      }
    }),
    ...rest
  }
}

/** The objects in a list of unknown values. */
export const objects = (value: unknown): ReadonlyArray<JsonRecord> => array(value).map(object)

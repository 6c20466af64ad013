/**
 * Writes a failure as Anthropic does, so that the client half reads the same tag and reason again. Source: Anthropic
 * API reference, "Errors", "Rate limits".
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import type * as LLMError from "../../LLMError.ts"
import type { RateLimits, Window } from "../../RateLimits.ts"
import { present } from "../encode.ts"
import type { JsonRecord } from "../json.ts"
import type { Refusal, Server, Stamp } from "../Wire.ts"

interface Words {
  readonly status: number
  readonly type: string
  /** The code in `details`, where the type alone is ambiguous. */
  readonly code?: string
  /** A message that clients recognize; the type alone does not identify the failure. */
  readonly message?: (description: string) => string
}

const limited: Words = { status: 429, type: "rate_limit_error" }
const failed: Words = { status: 502, type: "api_error" }
const invalid: Words = { status: 400, type: "invalid_request_error" }
const unpaid: Words = { status: 402, type: "billing_error" }

const prefixed = (words: string) => (description: string): string =>
  description.toLowerCase().includes(words) ? description : `${words}: ${description}`

// A reason without a type of its own is written as one to which a caller would react in the same way.
const rateLimits: Record<LLMError.RateLimitReason, Words> = {
  Requests: limited,
  Tokens: limited,
  Unknown: limited,
  Capacity: { ...limited, code: "capacity_exhausted" }
}

const transients: Record<LLMError.TransientReason, Words> = {
  Overloaded: { status: 529, type: "overloaded_error" },
  Server: { status: 500, type: "api_error" },
  Timeout: { status: 504, type: "timeout_error" },
  Network: failed,
  Truncated: failed,
  Malformed: failed
}

const clientErrors: Record<LLMError.ClientErrorReason, Words> = {
  InvalidRequest: invalid,
  Authentication: { status: 401, type: "authentication_error" },
  Permission: { status: 403, type: "permission_error" },
  NotFound: { status: 404, type: "not_found_error" },
  TooLarge: { status: 413, type: "request_too_large" },
  Quota: unpaid,
  DailyQuota: unpaid,
  Budget: unpaid,
  // Clients recognize this failure by its message.
  ContextWindow: { ...invalid, message: prefixed("prompt is too long") },
  ContentFilter: { ...invalid, code: "content_filter" },
  OutputBudget: invalid,
  Unsupported: {
    ...invalid,
    message: (description) =>
      /is not supported (for|on) this model/.test(description)
        ? description
        : `the request is not supported for this model: ${description}`
  }
}

const wordsOf = (error: LLMError.LLMError): Words => {
  switch (error._tag) {
    case "RateLimit":
      return rateLimits[error.reason]
    case "Transient":
      return transients[error.reason]
    case "EmptyResponse":
      return failed
    case "ClientError":
      return clientErrors[error.reason]
  }
}

/** The body of a failure, which is also the last event of a stream. */
export const errorBody = (error: LLMError.LLMError): JsonRecord => {
  const { code, message, type } = wordsOf(error)
  return {
    type: "error",
    error: {
      type,
      message: message?.(error.description) ?? error.description,
      ...(code !== undefined && { details: { error_code: code } })
    }
  }
}

const windows = {
  requests: "requests",
  tokens: "tokens",
  inputTokens: "input-tokens",
  outputTokens: "output-tokens"
} as const satisfies Record<keyof RateLimits, string>

// Rounded up, because the client waits exactly as long as the header says.
const seconds = (duration: Duration.Duration): string => String(Math.ceil(Duration.toSeconds(duration)))

const windowHeaders = (name: string, { limit, remaining, resetAfter }: Window, created: number) => {
  const at = resetAfter && DateTime.make(created * 1000 + Math.ceil(Duration.toMillis(resetAfter)))
  return {
    ...present(`anthropic-ratelimit-${name}-limit`, limit?.toString()),
    ...present(`anthropic-ratelimit-${name}-remaining`, remaining?.toString()),
    ...(at?._tag === "Some" && { [`anthropic-ratelimit-${name}-reset`]: DateTime.formatIso(at.value) })
  }
}

const headersOf = (error: LLMError.LLMError, requestId: string, { created }: Stamp): Refusal["headers"] => ({
  "request-id": requestId,
  ...(error.retryAfter !== undefined && {
    "retry-after": seconds(error.retryAfter),
    "retry-after-ms": String(Duration.toMillis(error.retryAfter))
  }),
  ...(error.retryable === false && { "x-should-retry": "false" }),
  ...Object.entries(windows).reduce<Readonly<Record<string, string>>>((headers, [window, name]) => {
    const found = error.rateLimits?.[window as keyof RateLimits]
    return found === undefined ? headers : { ...headers, ...windowHeaders(name, found, created) }
  }, {})
})

/** A failure as status, headers and body. */
export const refuse: Server["refuse"] = (error, stamp) => {
  const requestId = error.requestId ?? `req_${stamp.seed}`
  return {
    status: wordsOf(error).status,
    headers: headersOf(error, requestId, stamp),
    body: { ...errorBody(error), request_id: requestId }
  }
}

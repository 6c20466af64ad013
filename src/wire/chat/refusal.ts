/**
 * Writes a failure, so that a client reads the same tag and reason if the wire can express them. Sources: OpenAI API,
 * "Error codes"; OpenRouter, "Errors and debugging".
 */
import * as Duration from "effect/Duration"
import type { LLMError } from "../../LLMError.ts"
import type { JsonRecord } from "../json.ts"
import type { Refusal, Stamp } from "../Wire.ts"
import type { Dialect } from "./shape.ts"

/** A status, OpenAI's type and code, and OpenRouter's error type. */
type Words = readonly [status: number, type: string, code: string | null, errorType: string]

const invalid: Words = [400, "invalid_request_error", null, "invalid_request"]
const failed: Words = [502, "server_error", "bad_gateway", "provider_unavailable"]

const words: {
  readonly [Tag in LLMError["_tag"]]: Readonly<Record<Extract<LLMError, { _tag: Tag }>["reason"], Words>>
} = {
  RateLimit: {
    Requests: [429, "requests", "rate_limit_exceeded", "requests"],
    Tokens: [429, "tokens", "rate_limit_exceeded", "tokens"],
    Capacity: [429, "capacity_exhausted", "rate_limit_exceeded", "capacity_exhausted"],
    Unknown: [429, "rate_limit_exceeded", "rate_limit_exceeded", "rate_limit_exceeded"]
  },
  Transient: {
    Overloaded: [503, "service_unavailable_error", "server_is_overloaded", "provider_overloaded"],
    Server: [500, "server_error", null, "server"],
    Network: failed,
    Timeout: [504, "server_error", "timeout", "timeout"],
    Truncated: failed,
    Malformed: failed
  },
  EmptyResponse: { NoContent: failed, MalformedToolCall: failed, MalformedOutput: failed },
  ClientError: {
    InvalidRequest: invalid,
    Authentication: [401, "invalid_request_error", "invalid_api_key", "authentication"],
    Permission: [403, "invalid_request_error", "permission_denied", "permission_denied"],
    NotFound: [404, "invalid_request_error", "model_not_found", "not_found"],
    TooLarge: [413, "invalid_request_error", "payload_too_large", "payload_too_large"],
    Quota: [429, "insufficient_quota", "insufficient_quota", "payment_required"],
    // OpenAI has no code for a daily quota.
    DailyQuota: [429, "insufficient_quota", "insufficient_quota", "rate_limit_exceeded"],
    ContextWindow: [400, "invalid_request_error", "context_length_exceeded", "context_length_exceeded"],
    ContentFilter: [400, "invalid_request_error", "content_filter", "content_policy_violation"],
    OutputBudget: invalid,
    Unsupported: [400, "invalid_request_error", "unsupported_value", "unsupported_value"],
    Budget: [429, "insufficient_quota", "insufficient_quota", "payment_required"]
  }
}

const wordsOf = (error: LLMError): Words =>
  (words[error._tag] as Readonly<Record<string, Words>>)[error.reason] ?? invalid

// OpenRouter reports an exhausted quota with the status 402, and a daily quota only in the message.
const routed = (error: LLMError): Words => {
  const [status, ...rest] = wordsOf(error)
  return [error.reason === "Quota" || error.reason === "Budget" ? 402 : status, ...rest]
}

const messageOf = (error: LLMError): string => error.description === "" ? error.message : error.description

/** The body of a failure. */
export const errorBody = ({ vendor }: Dialect, error: LLMError): JsonRecord => {
  const message = messageOf(error)
  if (vendor === "openai") {
    const [, type, code] = wordsOf(error)
    return { error: { message, type, param: null, code } }
  }
  const [status, , , error_type] = routed(error)
  return {
    error: {
      code: status,
      message: error.reason === "DailyQuota" ? `free-models-per-day: ${message}` : message,
      metadata: { error_type }
    }
  }
}

/** A failure as status, headers and body. */
export const refuse = (dialect: Dialect) => (error: LLMError, stamp: Stamp): Refusal => {
  const [status] = dialect.vendor === "openai" ? wordsOf(error) : routed(error)
  const wait = error.retryAfter === undefined ? undefined : Duration.toMillis(error.retryAfter)
  return {
    status,
    headers: {
      "x-request-id": error.requestId ?? `req_${stamp.seed}`,
      ...(error.retryable === false && { "x-should-retry": "false" }),
      ...(wait !== undefined && {
        "retry-after": String(Math.ceil(wait / 1000)),
        "retry-after-ms": String(Math.ceil(wait))
      })
    },
    body: errorBody(dialect, error)
  }
}

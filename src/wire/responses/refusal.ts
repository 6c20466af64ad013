/**
 * Writes a failure as the Responses API does, so that the client half reads the same tag and reason.
 */
import * as Duration from "effect/Duration"
import type * as LLMError from "../../LLMError.ts"
import { present } from "../encode.ts"
import type { JsonRecord } from "../json.ts"
import type { Refusal } from "../Wire.ts"

interface Words {
  readonly status: number
  readonly type: string
  readonly code?: string
}

type Table<Reason extends string> = Readonly<Record<Reason, Words>>

const badRequest = "invalid_request_error"
const failure = (status: number): Words => ({ status, type: "server_error", code: "server_error" })

const rateLimits: Table<LLMError.RateLimitReason> = {
  Requests: { status: 429, type: "requests", code: "rate_limit_exceeded" },
  Tokens: { status: 429, type: "tokens", code: "rate_limit_exceeded" },
  Capacity: { status: 429, type: "capacity_exhausted", code: "rate_limit_exceeded" },
  Unknown: { status: 429, type: "rate_limit_error", code: "rate_limit_exceeded" }
}

// Only the first two are failures that a provider reports itself.
const transients: Table<LLMError.TransientReason> = {
  Overloaded: { status: 503, type: "server_error", code: "server_is_overloaded" },
  Server: failure(500),
  Network: failure(502),
  Timeout: failure(504),
  Truncated: failure(502),
  Malformed: failure(502)
}

const clientErrors: Table<LLMError.ClientErrorReason> = {
  InvalidRequest: { status: 400, type: badRequest },
  Authentication: { status: 401, type: badRequest, code: "invalid_api_key" },
  Permission: { status: 403, type: badRequest, code: "permission_denied" },
  NotFound: { status: 404, type: badRequest, code: "model_not_found" },
  TooLarge: { status: 413, type: badRequest, code: "request_too_large" },
  Quota: { status: 429, type: "insufficient_quota", code: "insufficient_quota" },
  DailyQuota: { status: 429, type: "insufficient_quota", code: "insufficient_quota" },
  ContextWindow: { status: 400, type: badRequest, code: "context_length_exceeded" },
  ContentFilter: { status: 400, type: badRequest, code: "content_policy_violation" },
  OutputBudget: { status: 400, type: badRequest },
  Unsupported: { status: 400, type: badRequest, code: "unsupported_parameter" },
  Budget: { status: 429, type: "insufficient_quota", code: "insufficient_quota" }
}

const wordsOf = (error: LLMError.LLMError): Words => {
  switch (error._tag) {
    case "RateLimit":
      return rateLimits[error.reason]
    case "Transient":
      return transients[error.reason]
    case "EmptyResponse":
      return failure(502)
    case "ClientError":
      return clientErrors[error.reason]
  }
}

/** The error object of a body or an event. */
export const errorOf = (error: LLMError.LLMError): JsonRecord => {
  const { code = null, type } = wordsOf(error)
  return { message: error.description, type, param: null, code }
}

/** A failure before the first part. */
export const refuse = (error: LLMError.LLMError): Refusal => {
  const wait = error.retryAfter && Duration.toMillis(error.retryAfter)
  return {
    status: wordsOf(error).status,
    headers: {
      ...present("retry-after", wait === undefined ? undefined : String(Math.ceil(wait / 1000))),
      ...present("retry-after-ms", wait === undefined ? undefined : String(wait)),
      ...present("x-should-retry", error.retryable === false ? "false" : undefined),
      ...present("x-request-id", error.requestId)
    },
    body: { error: errorOf(error) }
  }
}

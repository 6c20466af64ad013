/**
 * Writes a failure as Gemini does, so that `failure.ts` reads the same tag and reason. Sources: Google AI for
 * Developers, "Troubleshooting", "Rate limits"; googleapis, google/rpc.
 */
import * as Duration from "effect/Duration"
import type * as LLMError from "../../LLMError.ts"
import type { JsonRecord } from "../json.ts"
import type { Refusal, Server } from "../Wire.ts"

interface Words {
  readonly code: number
  readonly status: string
  /** The reason in the details, where the status is ambiguous. */
  readonly reason?: string
  /** The violated quota. */
  readonly quotaId?: string
  /** The beginning of the message, where only the message identifies the failure. */
  readonly says?: string
}

type Reason = LLMError.LLMError["reason"]

const invalid = { code: 400, status: "INVALID_ARGUMENT" } as const
const exhausted = { code: 429, status: "RESOURCE_EXHAUSTED" } as const
const internal = { code: 500, status: "INTERNAL" } as const

// Reasons that the wire cannot express become a retryable server error, or a refusal if a retry cannot help.
const words: Readonly<Record<Reason, Words>> = {
  Requests: { ...exhausted, quotaId: "GenerateRequestsPerMinutePerProjectPerModel" },
  Tokens: { ...exhausted, quotaId: "GenerateContentInputTokensPerModelPerMinute" },
  Capacity: exhausted,
  Unknown: exhausted,

  Overloaded: { code: 503, status: "UNAVAILABLE" },
  Server: internal,
  Network: internal,
  Timeout: { code: 504, status: "DEADLINE_EXCEEDED" },
  Truncated: internal,
  Malformed: internal,

  NoContent: internal,
  MalformedToolCall: internal,
  MalformedOutput: internal,

  InvalidRequest: invalid,
  Authentication: { code: 401, status: "UNAUTHENTICATED" },
  Permission: { code: 403, status: "PERMISSION_DENIED" },
  NotFound: { code: 404, status: "NOT_FOUND" },
  TooLarge: { code: 413, status: "INVALID_ARGUMENT", reason: "request_too_large" },
  Quota: { code: 402, status: "FAILED_PRECONDITION" },
  DailyQuota: { ...exhausted, quotaId: "GenerateRequestsPerDayPerProjectPerModel" },
  ContextWindow: { ...invalid, reason: "context_length_exceeded", says: "The input token count exceeds the maximum" },
  ContentFilter: { ...invalid, reason: "content_filter" },
  OutputBudget: invalid,
  Unsupported: { ...invalid, reason: "unsupported_parameter", says: "This is not supported for this model" },
  Budget: { code: 402, status: "FAILED_PRECONDITION" }
}

const type = (name: string): string => `type.googleapis.com/google.rpc.${name}`

/** The body of a failure. */
export const failureBody = (error: LLMError.LLMError): JsonRecord => {
  const { code, quotaId, reason, says, status } = words[error.reason]
  const details = [
    ...(reason === undefined ? [] : [{ "@type": type("ErrorInfo"), reason, domain: "googleapis.com" }]),
    ...(quotaId === undefined ? [] : [{ "@type": type("QuotaFailure"), violations: [{ quotaId }] }]),
    ...(error.retryAfter !== undefined && Duration.isFinite(error.retryAfter)
      ? [{ "@type": type("RetryInfo"), retryDelay: `${Duration.toMillis(error.retryAfter) / 1000}s` }]
      : [])
  ]
  return {
    error: {
      code,
      message: says === undefined || error.description.startsWith(says)
        ? error.description
        : `${says}: ${error.description}`,
      status,
      ...(details.length > 0 && { details })
    }
  }
}

// Failures that the wire reports as an answer without content.
const asAnswer = (error: LLMError.LLMError): JsonRecord | undefined => {
  switch (error.reason) {
    case "ContentFilter":
      return { promptFeedback: { blockReason: "OTHER", blockReasonMessage: error.description } }
    case "MalformedToolCall":
      return ended("MALFORMED_FUNCTION_CALL", error)
    case "OutputBudget":
      return ended("MAX_TOKENS", error)
    default:
      return undefined
  }
}

const ended = (finishReason: string, { description }: LLMError.LLMError): JsonRecord => ({
  candidates: [{ content: { role: "model" }, finishReason, finishMessage: description, index: 0 }]
})

const refusal = (error: LLMError.LLMError): Omit<Refusal, "headers"> => {
  const answer = asAnswer(error)
  return answer === undefined
    ? { status: words[error.reason].code, body: failureBody(error) }
    : { status: 200, body: answer }
}

export const refuse: Server["refuse"] = (error) => ({
  ...refusal(error),
  headers: {
    ...(error.retryAfter !== undefined && Duration.isFinite(error.retryAfter) && {
      "retry-after": String(Math.ceil(Duration.toSeconds(error.retryAfter)))
    }),
    ...(error.retryable === false && { "x-should-retry": "false" })
  }
})

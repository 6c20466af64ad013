/**
 * Converts failures between the four tags of `LLMError` and the reasons of effect/ai's `AiError`. An error that was
 * converted once is converted back to the original.
 */
import * as AiError from "effect/ai/AiError"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { CompletionResponse } from "../CompletionResponse.ts"
import { type ClientErrorReason, isLLMError, LLMError, make } from "../LLMError.ts"
import type { Verdict } from "../wire/Wire.ts"
import { key } from "./turns.ts"

const json = Schema.toCodecJson(LLMError)
const encode = Schema.encodeOption(json)
const decode = Schema.decodeUnknownOption(json)

// ---------------------------------------------------------------------------------------------------------------------
// From LLMError to AiError
// ---------------------------------------------------------------------------------------------------------------------

// The fields of a reason with metadata: the error itself, and the HTTP response.
const common = (error: LLMError) => ({
  metadata: { [key]: Option.getOrNull(encode(error)) as Schema.MutableJson },
  http: {
    ...(error.status !== undefined && { response: { status: error.status, headers: {} } }),
    ...(error.body !== undefined && { body: error.body })
  }
})

const described = (error: LLMError) => ({ description: error.message, ...common(error) })

const usageOf = (partial: CompletionResponse) => ({
  promptTokens: partial.usage.inputTokens,
  completionTokens: partial.usage.outputTokens,
  totalTokens: partial.usage.totalTokens
})

type ToReason = (error: LLMError, now: number) => AiError.AiErrorReason

const invalid = (parameter?: string): ToReason => (error) =>
  new AiError.InvalidRequestError({ ...(parameter !== undefined && { parameter }), ...described(error) })

const unauthenticated = (kind: "InvalidKey" | "InsufficientPermissions"): ToReason => (error) =>
  new AiError.AuthenticationError({ kind, ...described(error) })

const exhausted: ToReason = (error, now) =>
  new AiError.QuotaExhaustedError({
    ...(error.retryAfter !== undefined && {
      resetAt: DateTime.makeUnsafe(now + Duration.toMillis(error.retryAfter))
    }),
    ...common(error)
  })

const clientErrors: Readonly<Record<ClientErrorReason, ToReason>> = {
  InvalidRequest: invalid(),
  NotFound: invalid("model"),
  TooLarge: invalid(),
  ContextWindow: invalid("prompt"),
  OutputBudget: invalid("maxTokens"),
  Unsupported: invalid(),
  Authentication: unauthenticated("InvalidKey"),
  Permission: unauthenticated("InsufficientPermissions"),
  Quota: exhausted,
  DailyQuota: exhausted,
  Budget: exhausted,
  ContentFilter: (error) => new AiError.ContentPolicyError(described(error))
}

// The only reason without metadata: it has the error as its cause.
const network: ToReason = (error) =>
  new AiError.NetworkError({
    reason: "TransportError",
    method: "POST",
    url: error.provider,
    description: error.message,
    cause: error
  })

// A reason of effect/ai decides whether it is retryable, so failures that are not retryable have other reasons.
const reasonOf: ToReason = (error, now) => {
  const final = error.retryable === false
  switch (error._tag) {
    case "RateLimit": {
      if (final) return exhausted(error, now)
      const { retryAfter } = error
      return new AiError.RateLimitError({ ...(retryAfter !== undefined && { retryAfter }), ...common(error) })
    }
    case "Transient":
      if (final) return new AiError.UnknownError(described(error))
      return error.reason === "Network" ? network(error, now) : new AiError.InternalProviderError(described(error))
    case "EmptyResponse": {
      if (final) return new AiError.InvalidResponseError(described(error))
      const { metadata } = common(error)
      const { partial } = error
      return new AiError.InvalidOutputError({
        description: error.message,
        metadata,
        ...(partial !== undefined && { usage: usageOf(partial) })
      })
    }
    case "ClientError":
      return clientErrors[error.reason](error, now)
  }
}

/** The error as an `AiError`; `now` (epoch milliseconds) turns a retry hint into an instant. */
export const toAiError = (error: LLMError, method: string, now: number): AiError.AiError =>
  AiError.isAiError(error.cause)
    ? error.cause
    : AiError.make({ module: "effect-llm", method, reason: reasonOf(error, now) })

// ---------------------------------------------------------------------------------------------------------------------
// From AiError to LLMError
// ---------------------------------------------------------------------------------------------------------------------

const authentication = {
  InvalidKey: "Authentication",
  ExpiredKey: "Authentication",
  MissingKey: "Authentication",
  Unknown: "Authentication",
  InsufficientPermissions: "Permission"
} as const

/** A more precise reason from the HTTP status, if it has the same tag. */
const statuses: Readonly<Record<number, Verdict>> = {
  404: ["ClientError", "NotFound"],
  413: ["ClientError", "TooLarge"],
  503: ["Transient", "Overloaded"],
  529: ["Transient", "Overloaded"],
  504: ["Transient", "Timeout"]
}

const rows: { readonly [Tag in AiError.AiErrorReason["_tag"]]: Verdict } = {
  RateLimitError: ["RateLimit", "Unknown"],
  QuotaExhaustedError: ["ClientError", "Quota"],
  AuthenticationError: ["ClientError", "Authentication"],
  ContentPolicyError: ["ClientError", "ContentFilter"],
  InvalidRequestError: ["ClientError", "InvalidRequest"],
  InvalidUserInputError: ["ClientError", "Unsupported"],
  UnsupportedSchemaError: ["ClientError", "Unsupported"],
  ToolConfigurationError: ["ClientError", "InvalidRequest"],
  ToolkitRequiredError: ["ClientError", "InvalidRequest"],
  ToolResultEncodingError: ["ClientError", "InvalidRequest"],
  InvalidToolResultError: ["ClientError", "InvalidRequest"],
  InternalProviderError: ["Transient", "Server"],
  NetworkError: ["Transient", "Network"],
  InvalidResponseError: ["Transient", "Malformed"],
  UnknownError: ["Transient", "Server"],
  InvalidOutputError: ["EmptyResponse", "MalformedOutput"],
  StructuredOutputError: ["EmptyResponse", "MalformedOutput"],
  ToolNotFoundError: ["EmptyResponse", "MalformedToolCall"],
  ToolParameterValidationError: ["EmptyResponse", "MalformedToolCall"]
}

const verdictOf = (reason: AiError.AiErrorReason, status: number | undefined): Verdict => {
  if (reason._tag === "AuthenticationError") return ["ClientError", authentication[reason.kind]]
  if (reason._tag === "NetworkError" && reason.reason !== "TransportError") return ["ClientError", "InvalidRequest"]
  const row = rows[reason._tag]
  const byStatus = status === undefined ? undefined : statuses[status]
  return byStatus !== undefined && byStatus[0] === row[0] ? byStatus : row
}

const originalOf = (reason: AiError.AiErrorReason): LLMError | undefined => {
  if (reason._tag === "NetworkError") return isLLMError(reason.cause) ? reason.cause : undefined
  return "metadata" in reason ? Option.getOrUndefined(decode(reason.metadata[key])) : undefined
}

/** The part of a body that an error keeps. */
const bodyLimit = 8192

/** The error as an `LLMError`: the original one, or a new one with the `AiError` as its cause. */
export const fromAiError = (
  error: AiError.AiError,
  context: {
    readonly provider: string
    readonly model: string
    readonly partial?: CompletionResponse | undefined
  }
): LLMError => {
  const { reason } = error
  const original = originalOf(reason)
  if (original !== undefined) return original
  const http = "http" in reason ? reason.http : undefined
  const status = http?.response?.status
  const [tag, name] = verdictOf(reason, status)
  return make(tag, {
    ...context,
    reason: name as never,
    description: error.message,
    status,
    body: http?.body?.slice(0, bodyLimit),
    retryAfter: error.retryAfter,
    // An error that is final in effect/ai is not retryable here either.
    retryable: tag !== "ClientError" && !error.isRetryable ? false : undefined,
    cause: error
  })
}

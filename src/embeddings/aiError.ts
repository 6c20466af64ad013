/**
 * Failures of embeddings in the vocabulary of effect/ai. What failed here goes along in the reason's metadata.
 */
import * as AiError from "effect/ai/AiError"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { LLMError } from "../LLMError.ts"
import { TextRefused } from "./batches.ts"

const key = "effect-llm"

/** What embeddings fail with. */
export type Failure = LLMError | TextRefused

const json = Schema.toCodecJson(Schema.Union([LLMError, TextRefused]))
const encode = Schema.encodeOption(json)
const decode = Schema.decodeUnknownOption(json)

// What every reason with metadata takes.
const common = (error: Failure) => ({
  description: error.message,
  metadata: { [key]: Option.getOrNull(encode(error)) as Schema.MutableJson }
})

type ByReason = { readonly [reason: string]: (error: LLMError) => AiError.AiErrorReason }

const exhausted = (error: LLMError) => new AiError.QuotaExhaustedError(common(error))

const clientErrors: ByReason = {
  Authentication: (error) => new AiError.AuthenticationError({ kind: "InvalidKey", ...common(error) }),
  Permission: (error) => new AiError.AuthenticationError({ kind: "InsufficientPermissions", ...common(error) }),
  NotFound: (error) => new AiError.InvalidRequestError({ parameter: "model", ...common(error) }),
  Quota: exhausted,
  DailyQuota: exhausted,
  Budget: exhausted,
  ContentFilter: (error) => new AiError.ContentPolicyError(common(error))
}

// effect/ai's reasons say by themselves whether they may be retried; what may not be is put so.
const toReason = (error: Failure): AiError.AiErrorReason => {
  switch (error._tag) {
    case "TextRefused":
      return new AiError.InvalidRequestError({ parameter: `input[${error.index}]`, ...common(error) })
    case "RateLimit":
      return error.retryable === false
        ? exhausted(error)
        : new AiError.RateLimitError({
          ...error.retryAfter !== undefined && { retryAfter: error.retryAfter },
          ...common(error)
        })
    case "Transient":
      return error.retryable === false
        ? new AiError.UnknownError(common(error))
        : new AiError.InternalProviderError(common(error))
    case "EmptyResponse":
      return new AiError.InvalidResponseError(common(error))
    case "ClientError":
      return clientErrors[error.reason]?.(error) ?? new AiError.InvalidRequestError(common(error))
  }
}

/** The failure as an `AiError`. */
export const toAiError = (method: string) => (error: Failure): AiError.AiError =>
  AiError.make({ module: "effect-llm/Embeddings", method, reason: toReason(error) })

/** The failure that an `AiError` was made of, if it was made here. */
export const fromAiError = ({ reason }: AiError.AiError): Option.Option<Failure> =>
  "metadata" in reason ? decode(reason.metadata[key]) : Option.none()

/**
 * Failures of embeddings in the vocabulary of effect/ai, and back.
 */
import * as AiError from "effect/ai/AiError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Errors from "../interop/errors.ts"
import { key } from "../interop/turns.ts"
import type { LLMError } from "../LLMError.ts"
import { TextRefused } from "./batches.ts"

/** What embeddings fail with. */
export type Failure = LLMError | TextRefused

const json = Schema.toCodecJson(TextRefused)
const encode = Schema.encodeOption(json)
const decode = Schema.decodeUnknownOption(json)

const ofText = (error: TextRefused, method: string): AiError.AiError =>
  AiError.make({
    module: "effect-llm",
    method,
    reason: new AiError.InvalidRequestError({
      parameter: `input[${error.index}]`,
      description: error.message,
      metadata: { [key]: Option.getOrNull(encode(error)) as Schema.MutableJson }
    })
  })

/** Fails with the `AiError` of a failure. */
export const failWith = (method: string) => (error: Failure): Effect.Effect<never, AiError.AiError> =>
  Effect.flatMap(
    Clock.currentTimeMillis,
    (now) => Effect.fail(error._tag === "TextRefused" ? ofText(error, method) : Errors.toAiError(error, method, now))
  )

/** What an `AiError` was made of, or what it is in our words. */
export const failureOf = (error: AiError.AiError): Failure => {
  const { reason } = error
  const refused = "metadata" in reason ? decode(reason.metadata[key]) : Option.none()
  return Option.getOrElse(refused, () => Errors.fromAiError(error, { provider: error.module, model: "" }))
}

/**
 * The failures of a call to a language model: four tags, each with its own way of being retried.
 *
 * | tag | what happened | retried |
 * |---|---|---|
 * | `RateLimit` | too much was asked of the provider | slowly |
 * | `Transient` | the provider or the network failed | fast |
 * | `EmptyResponse` | the answer held nothing of use | fast |
 * | `ClientError` | the request cannot succeed as it is | never |
 *
 * `reason` is a literal to match on. `isFallbackable` tells whether another provider or model may still succeed.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Completion, LLMClient } from "effect-llm"
 *
 * const program = LLMClient.completion(Completion.make({ prompt: "Hello" })).pipe(
 *   Effect.catchTag("ClientError", (error) =>
 *     error.reason === "ContextWindow" ? Effect.succeed("the conversation is too long") : Effect.fail(error))
 * )
 * ```
 */

import * as Schema from "effect/Schema"
import { defined, type Optional } from "./fields.ts"
import { ClientError, EmptyResponse, type fields, LLMError, RateLimit, Transient } from "./outcome.ts"
import * as TokenUsage from "./TokenUsage.ts"

export {
  ClientError,
  ClientErrorReason,
  EmptyResponse,
  EmptyResponseReason,
  LLMError,
  RateLimit,
  RateLimitReason,
  Transient,
  TransientReason
} from "./outcome.ts"

/** Whether a value is an `LLMError`. */
export const isLLMError: (u: unknown) => u is LLMError = Schema.is(LLMError)

const classes = { RateLimit, ClientError, EmptyResponse, Transient }

type Tag = LLMError["_tag"]
type ErrorOf<T extends Tag> = Extract<LLMError, { readonly _tag: T }>

/** The fields of an error with this tag. */
export type Fields<T extends Tag> = {
  readonly [K in keyof ErrorOf<T> as K extends keyof typeof fields | "reason" ? K : never]: ErrorOf<T>[K]
}

/** An error from its fields. Undefined fields are left out. */
export const make = <T extends Tag>(tag: T, fields: Optional<Fields<T>>): ErrorOf<T> =>
  // TypeScript cannot relate the tag to the class that is looked up by it.
  new (classes[tag] as unknown as new(fields: object) => ErrorOf<T>)(defined(fields))

/** The number of failures in a list of attempts, including those that were left out of it, and their usage. */
export const total = (
  attempts: ReadonlyArray<LLMError>
): { readonly count: number; readonly usage: TokenUsage.TokenUsage } =>
  attempts.reduce(({ count, usage }, { attempts = [], omitted, partial }) => {
    const before = total(attempts)
    return {
      count: count + 1 + before.count + (omitted?.count ?? 0),
      usage: [before.usage, omitted?.usage, partial?.usage].reduce<TokenUsage.TokenUsage>(
        (sum, more) => more === undefined ? sum : TokenUsage.add(sum, more),
        usage
      )
    }
  }, { count: 0, usage: TokenUsage.zero })

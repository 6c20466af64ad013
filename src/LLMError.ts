/**
 * How a call of a language model can fail: four tags, of which each has its own way of being retried.
 *
 * | tag | what happened | retried |
 * |---|---|---|
 * | `RateLimit` | too much was asked of the provider | slowly |
 * | `Transient` | the provider or the network failed | fast |
 * | `EmptyResponse` | the answer held nothing of use | fast |
 * | `ClientError` | the request cannot succeed as it is | never |
 *
 * `reason` is a literal to match on; `isFallbackable` says whether another provider or model may still succeed.
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
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { CompletionResponse } from "./CompletionResponse.ts"
import { RateLimits } from "./RateLimits.ts"
import * as TokenUsage from "./TokenUsage.ts"

export const RateLimitReason = Schema.Literals(["Requests", "Tokens", "Capacity", "Unknown"])
export type RateLimitReason = typeof RateLimitReason.Type

export const TransientReason = Schema.Literals(["Overloaded", "Server", "Network", "Timeout", "Truncated", "Malformed"])
export type TransientReason = typeof TransientReason.Type

export const EmptyResponseReason = Schema.Literals(["NoContent", "MalformedToolCall"])
export type EmptyResponseReason = typeof EmptyResponseReason.Type

export const ClientErrorReason = Schema.Literals([
  "InvalidRequest",
  "Authentication",
  "Permission",
  "NotFound",
  "TooLarge",
  "Quota",
  "DailyQuota",
  "ContextWindow",
  "ContentFilter",
  "OutputBudget",
  "Unsupported",
  "Budget"
])
export type ClientErrorReason = typeof ClientErrorReason.Type

const fields = {
  /** The provider that failed: "anthropic", "openai", "gemini" or "openrouter". */
  provider: Schema.String,
  /** The model that was asked for; empty when none was. */
  model: Schema.String,
  /** What was wrong, in words: the provider's own where it sent some, without secrets. */
  description: Schema.String,
  /** The HTTP status, or the code that stood for one in the body. */
  status: Schema.optionalKey(Schema.Int),
  /** The provider's own code or type of the error. */
  code: Schema.optionalKey(Schema.String),
  /** The provider's id of the request, to quote to its support. */
  requestId: Schema.optionalKey(Schema.String),
  /** How long the provider asks to wait (milliseconds in JSON). */
  retryAfter: Schema.optionalKey(Schema.DurationFromMillis),
  /** Only when the provider, a breaker or a throttle says so itself. */
  retryable: Schema.optionalKey(Schema.Boolean),
  rateLimits: Schema.optionalKey(RateLimits),
  /** The body of the failure, at most 8 KiB of it, without secrets. */
  body: Schema.optionalKey(Schema.String),
  /** The answer as far as it had come, with its usage. */
  partial: Schema.optionalKey(Schema.suspend((): Schema.Codec<CompletionResponse, unknown> => CompletionResponse)),
  /** The failures before this one, oldest first, with their usage, in one flat list. */
  attempts: Schema.optionalKey(Schema.Array(Schema.suspend((): Schema.Codec<LLMError, unknown> => LLMError))),
  /** Failures that were left out of the list of attempts before this one: how many, and what they cost together. */
  omitted: Schema.optionalKey(Schema.Struct({ count: Schema.Int, usage: TokenUsage.TokenUsage })),
  /** What lies below, without secrets. */
  cause: Schema.optionalKey(Schema.Defect())
}

const message = (error: LLMError): string => {
  const source = [error.provider, error.model, error.status, error.code].filter((part) =>
    part !== undefined && part !== ""
  )
  return `${error._tag}: ${source.join(" ")}`
    + (error.code === undefined ? ` ${error.reason}` : "")
    + (error.retryAfter === undefined ? "" : `, retry after ${Duration.format(error.retryAfter)}`)
    + (error.description === "" ? "" : `: ${error.description}`)
    + (error.requestId === undefined ? "" : ` (${error.requestId})`)
}

/** The provider refuses for now: too many requests or tokens, or no capacity for us. */
export class RateLimit extends Schema.TaggedError<RateLimit>("effect-llm/RateLimit")("RateLimit", {
  reason: RateLimitReason,
  ...fields
}) {
  override get message(): string {
    return message(this)
  }
  override toString(): string {
    return this.message
  }
  get isFallbackable(): boolean {
    return true
  }
}

/** The provider or the network failed in a way that usually passes. */
export class Transient extends Schema.TaggedError<Transient>("effect-llm/Transient")("Transient", {
  reason: TransientReason,
  ...fields
}) {
  override get message(): string {
    return message(this)
  }
  override toString(): string {
    return this.message
  }
  get isFallbackable(): boolean {
    return true
  }
}

/** The provider answered with nothing of use; its answer, with the usage it cost, is in `partial`. */
export class EmptyResponse extends Schema.TaggedError<EmptyResponse>("effect-llm/EmptyResponse")("EmptyResponse", {
  reason: EmptyResponseReason,
  ...fields
}) {
  override get message(): string {
    return message(this)
  }
  override toString(): string {
    return this.message
  }
  get isFallbackable(): boolean {
    return true
  }
}

// Whether another provider or model may do what this one would not.
const fallbackable: Record<ClientErrorReason, boolean> = {
  InvalidRequest: false,
  Authentication: true,
  Permission: true,
  NotFound: true,
  TooLarge: false,
  Quota: true,
  DailyQuota: true,
  ContextWindow: true,
  ContentFilter: true,
  OutputBudget: false,
  Unsupported: true,
  Budget: false
}

/** The request cannot succeed as it is, however often it is sent. */
export class ClientError extends Schema.TaggedError<ClientError>("effect-llm/ClientError")("ClientError", {
  reason: ClientErrorReason,
  ...fields
}) {
  override get message(): string {
    return message(this)
  }
  override toString(): string {
    return this.message
  }
  get isFallbackable(): boolean {
    return fallbackable[this.reason]
  }
}

export const LLMError = Schema.Union([RateLimit, ClientError, EmptyResponse, Transient])
export type LLMError = RateLimit | ClientError | EmptyResponse | Transient

/** Tells an `LLMError` from any other value. */
export const isLLMError: (u: unknown) => u is LLMError = Schema.is(LLMError)

// The tag of an error and its fields belong together, which the type of a choice among classes cannot say.
const constructors = { RateLimit, ClientError, EmptyResponse, Transient } as unknown as Readonly<
  Record<LLMError["_tag"], (new(fields: object) => LLMError) & { readonly fields: object }>
>

/** An error from its fields; those that are undefined are left out. */
export const make = (tag: LLMError["_tag"], fields: Readonly<Record<string, unknown>>): LLMError =>
  new constructors[tag](Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)))

const replaceAttempts = (self: LLMError, attempts: ReadonlyArray<LLMError> | undefined): LLMError => {
  const fields = Object.keys(constructors[self._tag].fields).map((key) => [key, self[key as keyof LLMError]])
  return make(self._tag, { ...Object.fromEntries(fields), attempts })
}

/** The failures as one list, in their order: each that has some before it follows them, and has none itself. */
export const flatten = (failures: ReadonlyArray<LLMError>): Array<LLMError> =>
  failures.flatMap((failure) =>
    failure.attempts === undefined
      ? [failure]
      : [...flatten(failure.attempts), replaceAttempts(failure, undefined)]
  )

/** The error with the failures that went before it, ahead of those it has. */
export const withAttempts = (self: LLMError, before: ReadonlyArray<LLMError>): LLMError =>
  before.length === 0 ? self : replaceAttempts(self, flatten([...before, ...(self.attempts ?? [])]))

/** How many failures a list of attempts stands for, those that were left out of it included, and what they cost. */
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

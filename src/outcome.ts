/**
 * The outcome of a call: an answer or a failure. They are in one module because they contain each other: an answer
 * contains earlier failures, and a failure the partial answer. Import them from `CompletionResponse` and `LLMError`.
 */

import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import * as Message from "./Message.ts"
import * as Limits from "./RateLimits.ts"
import * as Usage from "./TokenUsage.ts"

// By their names, so that an editor shows these and not what they stand for.
const RateLimits: Schema.Codec<Limits.RateLimits, unknown> = Limits.RateLimits
const TokenUsage: Schema.Codec<Usage.TokenUsage> = Usage.TokenUsage

// ---------------------------------------------------------------------------------------------------------------------
// Answers
// ---------------------------------------------------------------------------------------------------------------------

const tag = <const Tag extends string>(tag: Tag) => Schema.TaggedStruct(tag, {})

/** The provider gave no reason. */
export const None = tag("None")
/** The model was finished, or met a stop sequence. */
export const Stop = tag("Stop")
/** The answer was cut at the token limit. */
export const MaxTokens = tag("MaxTokens")
/** The model called tools and waits for their results. */
export const ToolUse = tag("ToolUse")
/** The provider's filter cut the answer. */
export const ContentFilter = tag("ContentFilter")
/** Any other reason, in the provider's words. */
export const Other = Schema.TaggedStruct("Other", { reason: Schema.String })

export interface None extends Schema.Schema.Type<typeof None> {}
export interface Stop extends Schema.Schema.Type<typeof Stop> {}
export interface MaxTokens extends Schema.Schema.Type<typeof MaxTokens> {}
export interface ToolUse extends Schema.Schema.Type<typeof ToolUse> {}
export interface ContentFilter extends Schema.Schema.Type<typeof ContentFilter> {}
export interface Other extends Schema.Schema.Type<typeof Other> {}

export type FinishReason = None | Stop | MaxTokens | ToolUse | ContentFilter | Other
export const FinishReason: Schema.Codec<FinishReason> = Schema.Union([
  None,
  Stop,
  MaxTokens,
  ToolUse,
  ContentFilter,
  Other
])

/** One pass of the model, if an answer took several: a compaction, an advisor, a fallback at the provider. */
export const Pass = Schema.Struct({
  /** The kind of pass, in the provider's words. */
  kind: Schema.String,
  /** The model of this pass, if it differs from the one that answered. */
  model: Schema.optionalKey(Schema.String),
  usage: TokenUsage
})
export interface Pass extends Schema.Schema.Type<typeof Pass> {}

/** A part of the request that was left out or changed because the model does not support it. */
export const Warning = Schema.Struct({
  /** The field of the request: "temperature", "toolChoice", "reasoning.effort". */
  field: Schema.String,
  /** What was sent instead, and why. */
  description: Schema.String
})
export interface Warning extends Schema.Schema.Type<typeof Warning> {}

const Passes: Schema.Codec<ReadonlyArray<Pass>> = Schema.Array(Pass)
const Warnings: Schema.Codec<ReadonlyArray<Warning>> = Schema.Array(Warning)

/** The answer of a language model. */
export class CompletionResponse extends Schema.Class<CompletionResponse>("effect-llm/CompletionResponse")({
  /** The contents of the answer, in order. */
  choice: Schema.Array(Message.AssistantContent),
  finishReason: FinishReason,
  /** The tokens of this answer, all passes together. Those of failed attempts are in `attempts`. */
  usage: TokenUsage,
  /** The passes of an answer that took several, oldest first. `usage` is their sum. */
  passes: Schema.optionalKey(Passes),
  /** The name of the provider's instance: "anthropic", "openai", "my-vllm". */
  provider: Schema.String,
  /** The model that answered, by the provider's name for it. */
  model: Schema.optionalKey(Schema.String),
  /** The provider's id of the answer. */
  id: Schema.optionalKey(Schema.String),
  /** The provider's id of the HTTP request, to quote to its support. */
  requestId: Schema.optionalKey(Schema.String),
  /** The stop sequence that ended the answer, if the provider reports it. */
  stopSequence: Schema.optionalKey(Schema.String),
  rateLimits: Schema.optionalKey(RateLimits),
  /** The cost in US dollars, if the provider reports it. */
  cost: Schema.optionalKey(Schema.Finite),
  /** Whether the answer came from a response cache. */
  cached: Schema.optionalKey(Schema.Boolean),
  /** The parts of the request that were left out or changed for the model. */
  warnings: Schema.optionalKey(Warnings),
  /** The provider's other fields, by provider: log probabilities, other choices, grounding, service tier. */
  metadata: Schema.optionalKey(Schema.Record(Schema.String, Schema.JsonObject)),
  /** The failed attempts before this answer, oldest first. */
  attempts: Schema.optionalKey(Schema.Array(Schema.suspend((): Schema.Codec<LLMError, unknown> => LLMError)))
}) {
  /** The texts, joined without a separator. If there is a final answer, commentary is left out. */
  get text(): string {
    const texts = this.choice.filter((content) => content._tag === "Text")
    const final = texts.some(({ phase, text }) => phase === "final_answer" && text !== "")
    return texts.map(({ phase, text }) => final && phase === "commentary" ? "" : text).join("")
  }
  /** All complete tool calls, in order. */
  get toolCalls(): Array<Message.ToolCall> {
    return this.choice.filter((content) => content._tag === "ToolCall")
  }
  /** The readable reasoning: its texts and summaries, joined by newlines. */
  get reasoning(): string {
    return this.choice.flatMap((content) =>
      content._tag === "Reasoning"
        ? content.content.flatMap((part) => part._tag === "Text" || part._tag === "Summary" ? [part.text] : [])
        : []
    ).filter((text) => text !== "").join("\n")
  }
  /** The assistant message to append to the history. */
  get message(): Message.Assistant {
    return Message.assistant(this.choice, { id: this.id || undefined, provider: this.provider })
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Failures
// ---------------------------------------------------------------------------------------------------------------------

export const RateLimitReason = Schema.Literals(["Requests", "Tokens", "Capacity", "Unknown"])
export type RateLimitReason = typeof RateLimitReason.Type

export const TransientReason = Schema.Literals(["Overloaded", "Server", "Network", "Timeout", "Truncated", "Malformed"])
export type TransientReason = typeof TransientReason.Type

export const EmptyResponseReason = Schema.Literals(["NoContent", "MalformedToolCall", "MalformedOutput"])
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

export const fields = {
  /** The name of the provider's instance: "anthropic", "openai", "my-vllm". */
  provider: Schema.String,
  /** The requested model; empty if there was none. */
  model: Schema.String,
  /** What was wrong, in the provider's words if it sent any, without secrets. */
  description: Schema.String,
  /** The HTTP status, or a status code in the body. */
  status: Schema.optionalKey(Schema.Int),
  /** The provider's error code or type. */
  code: Schema.optionalKey(Schema.String),
  /** The provider's id of the request, to quote to its support. */
  requestId: Schema.optionalKey(Schema.String),
  /** How long the provider asks to wait (milliseconds in JSON). */
  retryAfter: Schema.optionalKey(Schema.DurationFromMillis),
  /** Only set when the provider, a circuit breaker or a throttle says so. */
  retryable: Schema.optionalKey(Schema.Boolean),
  rateLimits: Schema.optionalKey(RateLimits),
  /** The body of the failure, at most 8 KiB, without secrets. */
  body: Schema.optionalKey(Schema.String),
  /** The partial answer, with its usage. */
  partial: Schema.optionalKey(Schema.suspend((): Schema.Codec<CompletionResponse, unknown> => CompletionResponse)),
  /** The earlier failures, oldest first, with their usage, in one flat list. */
  attempts: Schema.optionalKey(Schema.Array(Schema.suspend((): Schema.Codec<LLMError, unknown> => LLMError))),
  /** The earlier failures that were left out of the list: their number, and their total usage. */
  omitted: Schema.optionalKey(Schema.Struct({ count: Schema.Int, usage: TokenUsage })),
  /** The cause, without secrets. */
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

/** The provider refuses temporarily: too many requests or tokens, or no capacity. */
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

/** The provider or the network failed in a way that is usually temporary. */
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

/** The answer was unusable. It is in `partial`, with its usage. */
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

// Whether another provider or model may succeed where this one failed.
const fallbackable: Record<ClientErrorReason, boolean> = {
  InvalidRequest: false,
  Authentication: true,
  Permission: true,
  NotFound: true,
  TooLarge: true,
  Quota: true,
  DailyQuota: true,
  ContextWindow: true,
  ContentFilter: true,
  OutputBudget: false,
  Unsupported: true,
  Budget: false
}

/** The request cannot succeed, however often it is sent. */
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

export type LLMError = RateLimit | ClientError | EmptyResponse | Transient
export const LLMError = Schema.Union([RateLimit, ClientError, EmptyResponse, Transient])

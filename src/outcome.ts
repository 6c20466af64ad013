/**
 * What a call ends with: an answer or a failure. Each may hold the other, an answer the failures before it and a failure
 * the part of the answer that had come, so that both stand here. `CompletionResponse` and `LLMError` are the modules to
 * import.
 */

import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import * as Message from "./Message.ts"
import { RateLimits } from "./RateLimits.ts"
import { TokenUsage } from "./TokenUsage.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Answers
// ---------------------------------------------------------------------------------------------------------------------

const tag = <const Tag extends string>(tag: Tag) => Schema.TaggedStruct(tag, {})

/** The provider named no reason. */
export const None = tag("None")
/** The model had said all, or met a stop sequence. */
export const Stop = tag("Stop")
/** The answer was cut at the limit of tokens. */
export const MaxTokens = tag("MaxTokens")
/** The model called tools and waits for their results. */
export const ToolUse = tag("ToolUse")
/** The provider's filter cut the answer. */
export const ContentFilter = tag("ContentFilter")
/** Any other reason, in the provider's own word. */
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

/** One pass of the model, where an answer took several: a compaction, an advisor, a fallback at the provider. */
export const Pass = Schema.Struct({
  /** What the pass was for, in the provider's word. */
  kind: Schema.String,
  /** The model of this pass, where it is not the one that answered. */
  model: Schema.optionalKey(Schema.String),
  usage: TokenUsage
})
export interface Pass extends Schema.Schema.Type<typeof Pass> {}

/** What of the request was left out or changed, since the model does not take it as it was. */
export const Warning = Schema.Struct({
  /** The field of the request: "temperature", "toolChoice", "reasoning.effort". */
  field: Schema.String,
  /** What was sent instead, and why. */
  description: Schema.String
})
export interface Warning extends Schema.Schema.Type<typeof Warning> {}

/** An answer. */
export class CompletionResponse extends Schema.Class<CompletionResponse>("effect-llm/CompletionResponse")({
  /** What the model said, in order. */
  choice: Schema.Array(Message.AssistantContent),
  finishReason: FinishReason,
  /** Tokens of this answer alone, all its passes together; those of failed attempts are in `attempts`. */
  usage: TokenUsage,
  /** The model's passes, oldest first, where the answer took several; `usage` is their sum. */
  passes: Schema.optionalKey(Schema.Array(Pass)),
  /** The provider that answered, by the name of its instance: "anthropic", "openai", "my-vllm". */
  provider: Schema.String,
  /** The model that answered, as the provider names it. */
  model: Schema.optionalKey(Schema.String),
  /** The provider's id of the answer. */
  id: Schema.optionalKey(Schema.String),
  /** The provider's id of the HTTP request, to quote to its support. */
  requestId: Schema.optionalKey(Schema.String),
  /** The stop sequence that ended the answer, where the provider says which. */
  stopSequence: Schema.optionalKey(Schema.String),
  rateLimits: Schema.optionalKey(RateLimits),
  /** The provider's own figure, in US dollars, where it sends one. */
  cost: Schema.optionalKey(Schema.Finite),
  /** Whether the answer came from a cache of responses. */
  cached: Schema.optionalKey(Schema.Boolean),
  /** What of the request was left out or changed to suit the model. */
  warnings: Schema.optionalKey(Schema.Array(Warning)),
  /** What else the provider said, by its name: log probabilities, other choices, grounding, service tier. */
  metadata: Schema.optionalKey(Schema.Record(Schema.String, Schema.JsonObject)),
  /** The failures, oldest first, that retries and fallbacks went through before this answer. */
  attempts: Schema.optionalKey(Schema.Array(Schema.suspend((): Schema.Codec<LLMError, unknown> => LLMError)))
}) {
  /** The texts, one directly behind the other; where there is a final answer, commentary is left out. */
  get text(): string {
    const texts = this.choice.filter((content) => content._tag === "Text")
    const final = texts.some(({ phase, text }) => phase === "final_answer" && text !== "")
    return texts.map(({ phase, text }) => final && phase === "commentary" ? "" : text).join("")
  }
  /** Every complete tool call, in order. */
  get toolCalls(): Array<Message.ToolCall> {
    return this.choice.filter((content) => content._tag === "ToolCall")
  }
  /** The readable reasoning, its texts and summaries joined by a newline. */
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
  /** The provider that failed, by the name of its instance: "anthropic", "openai", "my-vllm". */
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
  omitted: Schema.optionalKey(Schema.Struct({ count: Schema.Int, usage: TokenUsage })),
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
  TooLarge: true,
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

export type LLMError = RateLimit | ClientError | EmptyResponse | Transient
export const LLMError = Schema.Union([RateLimit, ClientError, EmptyResponse, Transient])

/**
 * The answer of a language model, the same for every provider.
 *
 * Append `response.message` to the history to continue the conversation: it holds everything that the provider needs
 * back, signatures and unknown blocks included.
 */
import * as Schema from "effect/Schema"
import { defined, type Optional } from "./fields.ts"
import { LLMError } from "./LLMError.ts"
import * as Message from "./Message.ts"
import { RateLimits } from "./RateLimits.ts"
import { TokenUsage } from "./TokenUsage.ts"

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
    const final = texts.some(({ phase }) => phase === "final_answer")
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

type Fields = {
  readonly [K in keyof CompletionResponse as K extends keyof typeof CompletionResponse.fields ? K : never]:
    CompletionResponse[K]
}

/** An answer from its fields, which are taken as they are; those that are undefined are left out. */
export const make = (fields: Optional<Fields>): CompletionResponse =>
  Object.assign(Object.create(CompletionResponse.prototype), defined<Fields>(fields))

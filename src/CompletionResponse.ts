/**
 * The answer of a language model, the same for every provider.
 *
 * Append `response.message` to the history to continue the conversation: it holds everything that the provider needs
 * back, signatures and unknown blocks included.
 */
import * as Schema from "effect/Schema"
import { flatten, LLMError } from "./LLMError.ts"
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

export const FinishReason = Schema.Union([None, Stop, MaxTokens, ToolUse, ContentFilter, Other])
export type FinishReason = typeof FinishReason.Type

/** An answer. */
export class CompletionResponse extends Schema.Class<CompletionResponse>("effect-llm/CompletionResponse")({
  /** What the model said, in order. */
  choice: Schema.Array(Message.AssistantContent),
  finishReason: FinishReason,
  /** Tokens of this answer alone; those of failed attempts are in `attempts`. */
  usage: TokenUsage,
  /** The provider that answered: "anthropic", "openai", "gemini" or "openrouter". */
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
  /** The failures, oldest first, that retries and fallbacks went through before this answer. */
  attempts: Schema.optionalKey(Schema.Array(Schema.suspend((): Schema.Codec<LLMError, unknown> => LLMError)))
}) {
  /** The texts, joined by a newline; those that hold nothing but a signature are left out. */
  get text(): string {
    return this.choice.flatMap((content) => content._tag === "Text" && content.text !== "" ? [content.text] : [])
      .join("\n")
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
    return Message.assistant(this.choice, { ...(this.id && { id: this.id }), provider: this.provider })
  }
}

type Fields = {
  readonly [K in keyof CompletionResponse as K extends keyof typeof CompletionResponse.fields ? K : never]:
    CompletionResponse[K]
}

/** An answer from its fields, which are taken as they are. */
export const make = (fields: Fields): CompletionResponse =>
  Object.assign(Object.create(CompletionResponse.prototype), fields)

/** The answer with the failures that went before it, ahead of those it has. */
export const withAttempts = (self: CompletionResponse, before: ReadonlyArray<LLMError>): CompletionResponse =>
  before.length === 0 ? self : make({ ...self, attempts: flatten([...before, ...(self.attempts ?? [])]) })

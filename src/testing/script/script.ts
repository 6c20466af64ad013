/**
 * The types of a `TestLLM` script.
 */
import type * as Duration from "effect/Duration"
import type * as Schema from "effect/Schema"
import type * as Completion from "../../Completion.ts"
import type * as Part from "../../CompletionPart.ts"
import type * as CompletionResponse from "../../CompletionResponse.ts"
import * as LLMError from "../../LLMError.ts"
import type * as TokenUsage from "../../TokenUsage.ts"

/** A failure in short form. Missing fields get usual values. */
export type Failure = {
  readonly [Tag in LLMError.LLMError["_tag"]]: {
    readonly _tag: Tag
    /** `Requests`, `Server`, `NoContent` or `InvalidRequest` unless given. */
    readonly reason?: Extract<LLMError.LLMError, { readonly _tag: Tag }>["reason"]
    readonly retryAfter?: Duration.Input
    readonly description?: string
    readonly status?: number
    readonly code?: string
    readonly retryable?: boolean
  }
}[LLMError.LLMError["_tag"]]

type ResponseFields = {
  readonly [K in keyof CompletionResponse.CompletionResponse as K extends keyof AnyFields ? K : never]:
    CompletionResponse.CompletionResponse[K]
}
type AnyFields = typeof CompletionResponse.CompletionResponse.fields

/** The fields of an answer: either `choice`, or `reasoning`, `text` and `toolCalls`, in this order. */
export interface AnswerFields extends Partial<Omit<ResponseFields, "usage">> {
  readonly text?: string
  readonly reasoning?: string
  /** A call without an `id` gets one. */
  readonly toolCalls?: ReadonlyArray<
    { readonly name: string; readonly arguments: Schema.Json; readonly id?: string }
  >
  /** Zero unless given. */
  readonly usage?: Parameters<typeof TokenUsage.make>[0]
}

/** A whole answer; see `answer`. */
export interface Answer {
  readonly _tag: "Answer"
  readonly fields: AnswerFields
}

type Indexless<A> = Omit<A, "index"> & { readonly index?: number }

/**
 * A part of a stream. Without an `index`, a piece continues the content before it, or begins a new one; a `ContentEnd`
 * ends the last content of its kind, or adds one that has no pieces, such as an image.
 */
export type PartStep =
  | Part.Start
  | Indexless<Part.TextDelta>
  | Indexless<Part.ReasoningDelta>
  | (Omit<Indexless<Part.ToolCallStart>, "id"> & { readonly id?: string })
  | Indexless<Part.ToolCallDelta>
  | Indexless<Part.ContentEnd>
  | Part.Finish

/** A step of a stream: a text or another part, a wait, or a failure. */
export type Step = string | PartStep | Duration.Duration | Failure | LLMError.LLMError

/** An answer in its parts; see `parts`. */
export interface Parts {
  readonly _tag: "Parts"
  readonly steps: ReadonlyArray<Step>
  readonly rest: Omit<AnswerFields, "choice" | "text" | "reasoning" | "toolCalls">
}

/** See `never`. */
export interface Never {
  readonly _tag: "Never"
}

/** See `after`. */
export interface After {
  readonly _tag: "After"
  readonly delay: Duration.Input
  readonly reply: Reply
}

/** See `expect` and `when`. */
export interface Conditional {
  readonly _tag: "Expect" | "When"
  readonly match: Match
  readonly reply: Reply
}

/** The reply to a call. A text is the text of an answer. */
export type Reply =
  | string
  | CompletionResponse.CompletionResponse
  | Answer
  | Parts
  | Failure
  | LLMError.LLMError
  | Never
  | After
  | Conditional

/** The expected completion: a predicate, or the fields that must be equal. `model` is the requested one. */
export type Match = ((completion: Completion.Completion) => boolean) | Partial<Completion.Options>

/**
 * The replies: in the order of the calls; by model, each in the order of its calls; or computed from the completion and
 * the number of the call, from 0. A function cannot have unused replies, and `undefined` refuses the call.
 */
export type Script =
  | ReadonlyArray<Reply>
  | { readonly [model: string]: ReadonlyArray<Reply> }
  | ((completion: Completion.Completion, call: number) => Reply | undefined)

/** Whether the replies are in the order of the calls, for all models together. */
export const isList = (script: Exclude<Script, Function>): script is ReadonlyArray<Reply> => Array.isArray(script)

/** A reply with its conditions and its delay. */
export interface Entry {
  readonly when: ReadonlyArray<Match>
  readonly expect: ReadonlyArray<Match>
  readonly delay: Duration.Duration
  readonly reply: Exclude<Reply, string | After | Conditional | CompletionResponse.CompletionResponse>
}

/** The reasons of each tag. */
export const reasons = {
  RateLimit: LLMError.RateLimitReason.literals,
  Transient: LLMError.TransientReason.literals,
  EmptyResponse: LLMError.EmptyResponseReason.literals,
  ClientError: LLMError.ClientErrorReason.literals
} satisfies Record<Failure["_tag"], ReadonlyArray<string>>

/** Whether a step is a failure, in short form or as an `LLMError`. */
export const isFailure = (step: object): step is Failure | LLMError.LLMError =>
  "_tag" in step && Object.hasOwn(reasons, String(step._tag))

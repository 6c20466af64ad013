/**
 * What goes into a loop, and what comes out.
 */
import type * as Toolkit from "effect/ai/Toolkit"
import type * as Effect from "effect/Effect"
import type { CompletionPart } from "../CompletionPart.ts"
import type { CompletionResponse } from "../CompletionResponse.ts"
import type { ConversationUsageWindow } from "../ConversationUsageWindow.ts"
import type { LLMError } from "../LLMError.ts"
import type * as Message from "../Message.ts"
import type { Output } from "../output/form.ts"
import type { TokenUsage } from "../TokenUsage.ts"
import type * as Call from "./call.ts"

// ---------------------------------------------------------------------------------------------------------------------
// What goes in
// ---------------------------------------------------------------------------------------------------------------------

export interface Options<E = never, R = never, S extends Output = never> {
  /** How often the model is called; 16 unless set. In the last turn it may call no tool, so that there is an answer. */
  readonly maxTurns?: number | undefined
  /** How many turns in a row may have results that all are failures; 3 unless set. */
  readonly maxFailedTurns?: number | undefined
  /** How many calls of one turn run at once; all unless set. */
  readonly concurrency?: number | "unbounded" | undefined
  /**
   * What a tool that fails does: `tool`, as its `failureMode` says, or `return`, which sends every failure back to the
   * model, as is right for MCP servers. `tool` unless set.
   */
  readonly failures?: "tool" | "return" | undefined
  /** Whether to stop after an answer, before its calls run. With it, `stream` starts no call before its turn is whole. */
  readonly stopWhen?: ((turn: Turn) => boolean) | undefined
  /** Whether a call of a tool with `needsApproval` may run; without it the loop stops before such calls. Asked one by one. */
  readonly approve?: ((call: Message.ToolCall) => Effect.Effect<boolean, E, R>) | undefined
  /** Runs after each turn, its results included: keeps what there is of the conversation, for instance. */
  readonly onTurn?: ((turn: Turn, progress: Progress) => Effect.Effect<void, E, R>) | undefined
  /** Counts the tokens; `compact` makes the conversation shorter when it says so. */
  readonly window?: ConversationUsageWindow | undefined
  readonly compact?:
    | ((messages: ReadonlyArray<Message.Message>) => Effect.Effect<ReadonlyArray<Message.Message>, E, R>)
    | undefined
  /** What the answer is to be a value of; see `Output.object`. */
  readonly schema?: S | undefined
  /** How often an answer that does not match `schema` goes back to the model; once unless set. */
  readonly repairs?: number | undefined
}

/** A toolkit, with the handlers in it or in the context. */
export type Tools<T extends Call.Tools, E = never, R = never> =
  | Toolkit.WithHandler<T>
  | Effect.Effect<Toolkit.WithHandler<T>, E, R>

/** The names of the options. */
export const optionNames = [
  "maxTurns",
  "maxFailedTurns",
  "concurrency",
  "failures",
  "stopWhen",
  "approve",
  "onTurn",
  "window",
  "compact",
  "schema",
  "repairs"
] satisfies ReadonlyArray<keyof Options>

// ---------------------------------------------------------------------------------------------------------------------
// What comes out
// ---------------------------------------------------------------------------------------------------------------------

/** One answer of the model, and the results of its calls, in their order; none where the calls did not run. */
export interface Turn {
  /** From 0. */
  readonly index: number
  readonly response: CompletionResponse
  readonly results: ReadonlyArray<Message.ToolResult>
}

export interface Progress {
  /**
   * The conversation, which only grows unless `compact` makes it shorter. It can always be sent on as it is: an answer
   * whose calls did not run is not in it.
   */
  readonly messages: ReadonlyArray<Message.Message>
  readonly turns: ReadonlyArray<Turn>
  /** The tokens of all turns, failed attempts included. */
  readonly usage: TokenUsage
}

interface Ended extends Progress {
  /** The last answer. */
  readonly response: CompletionResponse
}

/** The model answered. */
export interface Answered<A> extends Ended {
  readonly stopped: "Answer"
  /** The text of the answer or, with `schema`, its value. */
  readonly value: A
}

/**
 * The loop ended without an answer:
 *
 * - `Condition`: `stopWhen` said so.
 * - `Approval`: a call needs approval, and there is no `approve`.
 * - `Unhandled`: it calls a tool of `completion.tools`, which the toolkit does not run.
 * - `MaxTokens`: the answer was cut. Calls that were whole have run.
 * - `MaxTurns`: it called tools in the last turn, though it was told not to.
 * - `Failures`: all calls of `maxFailedTurns` turns failed.
 *
 * After the first three, and `MaxTurns`, `response.toolCalls` did not run. To run them, begin anew with a completion of
 * `[...messages, response.message]`: one that ends with calls begins by running them.
 */
export interface Stopped extends Ended {
  readonly stopped: "Condition" | "Approval" | "Unhandled" | "MaxTokens" | "MaxTurns" | "Failures"
}

export type Outcome<A = string> = Answered<A> | Stopped

/** What a loop shows while it runs. `Finish` ends the parts of one answer. */
export type LoopPart<A = string> =
  | CompletionPart
  | {
    readonly _tag: "ToolProgress"
    readonly call: Message.ToolCall
    readonly content: ReadonlyArray<Message.ToolResultContent>
  }
  | { readonly _tag: "ToolResult"; readonly call: Message.ToolCall; readonly result: Message.ToolResult }
  | { readonly _tag: "Turn"; readonly turn: Turn }
  | { readonly _tag: "Done"; readonly outcome: Outcome<A> }

/** What the answer is a value of. */
export type Value<S extends Output> = [S] extends [never] ? string : S["Type"]

/** What a loop fails with. */
export type Failure<T extends Call.Tools, E> = LLMError | Call.Failure<T> | E

/** Shows parts to whoever reads the loop. */
export type Emit = (parts: ReadonlyArray<LoopPart<unknown>>) => Effect.Effect<void>

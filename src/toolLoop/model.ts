/**
 * The input and output of a loop.
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
// Input
// ---------------------------------------------------------------------------------------------------------------------

export interface Options<E = never, R = never, S extends Output = never> {
  /** How often the model is called; 16 unless given. In the last turn it may not call tools, so that there is an answer. */
  readonly maxTurns?: number | undefined
  /** How many turns in a row may have only failed results; 3 unless given. */
  readonly maxFailedTurns?: number | undefined
  /** How many calls of one turn run at the same time; all unless given. */
  readonly concurrency?: number | "unbounded" | undefined
  /**
   * How tool failures are handled: `tool` follows the tool's `failureMode`; `return` sends every failure back to the
   * model, which suits MCP servers. `tool` unless given.
   */
  readonly failures?: "tool" | "return" | undefined
  /** Whether to stop after an answer, before its calls run. With it, `stream` starts calls only after the whole answer. */
  readonly stopWhen?: ((turn: Turn) => boolean) | undefined
  /** Whether a call with `needsApproval` may run, one at a time. Without it the loop stops before such calls. */
  readonly approve?: ((call: Message.ToolCall) => Effect.Effect<boolean, E, R>) | undefined
  /** Runs after each turn and its results, for example to save the conversation. */
  readonly onTurn?: ((turn: Turn, progress: Progress) => Effect.Effect<void, E, R>) | undefined
  /** Counts the tokens; `compact` shortens the conversation when the window is full. */
  readonly window?: ConversationUsageWindow | undefined
  readonly compact?:
    | ((messages: ReadonlyArray<Message.Message>) => Effect.Effect<ReadonlyArray<Message.Message>, E, R>)
    | undefined
  /** The Schema of the answer; see `Output.object`. */
  readonly schema?: S | undefined
  /** How often an answer that does not match `schema` goes back to the model; once unless given. */
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
// Output
// ---------------------------------------------------------------------------------------------------------------------

/** One answer of the model, and the results of its calls in order; empty if they did not run. */
export interface Turn {
  /** From 0. */
  readonly index: number
  readonly response: CompletionResponse
  readonly results: ReadonlyArray<Message.ToolResult>
}

export interface Progress {
  /**
   * The conversation, which only grows unless `compact` shortens it. It can always be sent unchanged: it does not contain
   * an answer whose calls did not run.
   */
  readonly messages: ReadonlyArray<Message.Message>
  readonly turns: ReadonlyArray<Turn>
  /** The tokens of all turns, including failed attempts. */
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
 * - `Condition`: `stopWhen` returned true.
 * - `Approval`: a call needs approval, and there is no `approve`.
 * - `Unhandled`: it calls a tool of `completion.tools`, which the toolkit does not run.
 * - `MaxTokens`: the answer was cut. Its complete calls have run.
 * - `MaxTurns`: it called tools in the last turn, although that was not allowed.
 * - `Failures`: all calls of `maxFailedTurns` turns failed.
 *
 * After the first three, and `MaxTurns`, `response.toolCalls` did not run. To run them, start a new loop with a completion of
 * `[...messages, response.message]`: one that ends with calls begins by running them.
 */
export interface Stopped extends Ended {
  readonly stopped: "Condition" | "Approval" | "Unhandled" | "MaxTokens" | "MaxTurns" | "Failures"
}

export type Outcome<A = string> = Answered<A> | Stopped

/** The events of a running loop. `Finish` ends the parts of one answer. */
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

/** The type of the answer. */
export type Value<S extends Output> = [S] extends [never] ? string : S["Type"]

/** The failures of a loop. */
export type Failure<T extends Call.Tools, E> = LLMError | Call.Failure<T> | E

/** Emits parts to the reader of the loop. */
export type Emit = (parts: ReadonlyArray<LoopPart<unknown>>) => Effect.Effect<void>

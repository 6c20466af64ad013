/**
 * Counts the tokens of a conversation, and tells when to compact it.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Completion, ConversationUsageWindow, LLMClient } from "effect-llm"
 *
 * const program = Effect.gen(function*() {
 *   const window = yield* ConversationUsageWindow.make({ contextThreshold: 100_000 })
 *   yield* window.record(yield* LLMClient.completion(Completion.make({ prompt: "Hello" })))
 *   if (yield* window.shouldCompact) {
 *     // summarise the history here, then count from zero
 *     yield* window.reset
 *   }
 * })
 * ```
 *
 * `usage` is what was spent. Because every turn sends the history again, it grows with the square of the conversation.
 * `context` is how full the model's context window is.
 */

import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import type { CompletionResponse } from "./CompletionResponse.ts"
import * as TokenUsage from "./TokenUsage.ts"

/** The tokens of a conversation; safe to share between fibers. */
export interface ConversationUsageWindow {
  /** Adds an answer, or the usage of one. */
  readonly record: (answer: CompletionResponse | TokenUsage.TokenUsage) => Effect.Effect<void>
  /** The sum since the start or the last `reset`. */
  readonly usage: Effect.Effect<TokenUsage.TokenUsage>
  /**
   * The input and output tokens of the last pass of the last answer, without compactions and advisors; 0 before the
   * first answer.
   */
  readonly context: Effect.Effect<number>
  /** Whether `usage` has reached `compactThreshold`, or `context` has reached `contextThreshold`. */
  readonly shouldCompact: Effect.Effect<boolean>
  /** Starts again from zero. */
  readonly reset: Effect.Effect<void>
}

/** The thresholds for compacting, in tokens. Without them, `shouldCompact` is always false. */
export interface Options {
  /** The threshold for `usage`. */
  readonly compactThreshold?: number | undefined
  /** The threshold for `context`. */
  readonly contextThreshold?: number | undefined
}

interface State {
  readonly usage: TokenUsage.TokenUsage
  readonly context: number
}

const empty: State = { usage: TokenUsage.zero, context: 0 }

// These passes read another context, so they do not tell how full the conversation's is.
const separate: ReadonlySet<string> = new Set(["compaction", "advisor_message"])

const contextOf = ({ passes = [], usage }: CompletionResponse): number => {
  const last = passes.findLast(({ kind }) => !separate.has(kind))
  if (last !== undefined) return last.usage.totalTokens
  // After an answer that only compacts, the conversation continues with its summary.
  return passes.at(-1)?.usage.outputTokens ?? usage.totalTokens
}

const add = (answer: CompletionResponse | TokenUsage.TokenUsage) => ({ usage }: State): State =>
  "usage" in answer
    ? { usage: TokenUsage.add(usage, answer.usage), context: contextOf(answer) }
    : { usage: TokenUsage.add(usage, answer), context: answer.totalTokens }

/** Makes an empty window. */
export const make = (
  { compactThreshold = Infinity, contextThreshold = Infinity }: Options = {}
): Effect.Effect<ConversationUsageWindow> =>
  Effect.map(Ref.make(empty), (ref) => ({
    record: (answer) => Ref.update(ref, add(answer)),
    usage: Effect.map(Ref.get(ref), ({ usage }) => usage),
    context: Effect.map(Ref.get(ref), ({ context }) => context),
    shouldCompact: Effect.map(
      Ref.get(ref),
      ({ context, usage }) => usage.totalTokens >= compactThreshold || context >= contextThreshold
    ),
    reset: Ref.set(ref, empty)
  }))

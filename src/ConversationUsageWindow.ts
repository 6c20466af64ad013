/**
 * Adds up the tokens of a conversation since it was last compacted, and says when to compact it again.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { ConversationUsageWindow, TokenUsage } from "effect-llm"
 *
 * const program = Effect.gen(function*() {
 *   const window = yield* ConversationUsageWindow.make({ compactThreshold: 100_000 })
 *   yield* window.record(TokenUsage.make({ inputTokens: 99_000, outputTokens: 1_000 }))
 *   if (yield* window.shouldCompact) {
 *     // summarise the history here, then start to count anew
 *     yield* window.reset
 *   }
 * })
 * ```
 */
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as TokenUsage from "./TokenUsage.ts"

/** A running sum of token usage; safe to share between fibers. */
export interface ConversationUsageWindow {
  /** Adds the usage of one answer. */
  readonly record: (usage: TokenUsage.TokenUsage) => Effect.Effect<void>
  /** The sum since the start or the last `reset`. */
  readonly usage: Effect.Effect<TokenUsage.TokenUsage>
  /** Whether the total has reached `compactThreshold` tokens; never without a threshold. */
  readonly shouldCompact: Effect.Effect<boolean>
  /** Starts again from zero. */
  readonly reset: Effect.Effect<void>
}

/** Makes an empty window; `compactThreshold` is in tokens. */
export const make = (
  options?: { readonly compactThreshold?: number }
): Effect.Effect<ConversationUsageWindow> =>
  Effect.map(Ref.make(TokenUsage.zero), (ref) => ({
    record: (usage) => Ref.update(ref, (sum) => TokenUsage.add(sum, usage)),
    usage: Ref.get(ref),
    shouldCompact: Effect.map(
      Ref.get(ref),
      ({ totalTokens }) => options?.compactThreshold !== undefined && totalTokens >= options.compactThreshold
    ),
    reset: Ref.set(ref, TokenUsage.zero)
  }))

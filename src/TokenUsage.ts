/**
 * Tokens of one answer, counted the same way for every provider, and their sum.
 *
 * `inputTokens` is everything the model read, cached or not; `outputTokens` everything it wrote, reasoning included.
 * The cached, written and reasoning tokens are parts of those two and never added again.
 */

import * as Schema from "effect/Schema"

const Tokens = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))

export const TokenUsage = Schema.Struct({
  /** Everything the model read: uncached, read from a cache, and written to one. */
  inputTokens: Tokens,
  /** Everything the model wrote, reasoning included. */
  outputTokens: Tokens,
  /** `inputTokens + outputTokens`, at most `Number.MAX_SAFE_INTEGER`. */
  totalTokens: Tokens,
  /** The part of `inputTokens` that came from the provider's cache. */
  cachedInputTokens: Tokens,
  /** The part of `inputTokens` that was written to the provider's cache. */
  cacheWriteTokens: Tokens,
  /** The part of `cacheWriteTokens` that is kept for an hour, which costs more than the usual minutes. */
  longCacheWriteTokens: Tokens,
  /** The part of `outputTokens` that was reasoning. */
  reasoningTokens: Tokens
})
export interface TokenUsage extends Schema.Schema.Type<typeof TokenUsage> {}

const count = (value: number | undefined): number =>
  value === undefined || !(value > 0) ? 0 : Math.min(Math.floor(value), Number.MAX_SAFE_INTEGER)

const sum = (a: number, b: number): number => Math.min(a + b, Number.MAX_SAFE_INTEGER)

/**
 * Usage from counts. Counts that are absent, negative or not a number are 0, fractions are cut, and a part is never
 * more than what is left of its whole.
 */
export const make = (counts: {
  readonly inputTokens?: number
  readonly outputTokens?: number
  readonly cachedInputTokens?: number
  readonly cacheWriteTokens?: number
  readonly longCacheWriteTokens?: number
  readonly reasoningTokens?: number
}): TokenUsage => {
  const inputTokens = count(counts.inputTokens)
  const outputTokens = count(counts.outputTokens)
  const cachedInputTokens = Math.min(count(counts.cachedInputTokens), inputTokens)
  const cacheWriteTokens = Math.min(count(counts.cacheWriteTokens), inputTokens - cachedInputTokens)
  return {
    inputTokens,
    outputTokens,
    totalTokens: sum(inputTokens, outputTokens),
    cachedInputTokens,
    cacheWriteTokens,
    longCacheWriteTokens: Math.min(count(counts.longCacheWriteTokens), cacheWriteTokens),
    reasoningTokens: Math.min(count(counts.reasoningTokens), outputTokens)
  }
}

export const zero: TokenUsage = make({})

/** The sum, each count saturating at `Number.MAX_SAFE_INTEGER`. Associative and commutative, with `zero`. */
export const add = (self: TokenUsage, that: TokenUsage): TokenUsage => {
  const inputTokens = sum(self.inputTokens, that.inputTokens)
  const outputTokens = sum(self.outputTokens, that.outputTokens)
  return {
    inputTokens,
    outputTokens,
    totalTokens: sum(inputTokens, outputTokens),
    cachedInputTokens: sum(self.cachedInputTokens, that.cachedInputTokens),
    cacheWriteTokens: sum(self.cacheWriteTokens, that.cacheWriteTokens),
    longCacheWriteTokens: sum(self.longCacheWriteTokens, that.longCacheWriteTokens),
    reasoningTokens: sum(self.reasoningTokens, that.reasoningTokens)
  }
}

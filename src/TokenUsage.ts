/**
 * The tokens of an answer, counted in the same way for every provider, and their sum.
 *
 * `inputTokens` is everything the model read, cached or not; `outputTokens` is everything it wrote, including
 * reasoning. Cached, written and reasoning tokens are parts of these two, not additions to them.
 */

import * as Schema from "effect/Schema"

const Tokens = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))

export const TokenUsage = Schema.Struct({
  /** Everything the model read: uncached, read from a cache, and written to a cache. */
  inputTokens: Tokens,
  /** Everything the model wrote, including reasoning. */
  outputTokens: Tokens,
  /** `inputTokens + outputTokens`, at most `Number.MAX_SAFE_INTEGER`. */
  totalTokens: Tokens,
  /** The part of `inputTokens` that came from the provider's cache. */
  cachedInputTokens: Tokens,
  /** The part of `inputTokens` that was written to the provider's cache. */
  cacheWriteTokens: Tokens,
  /** The part of `cacheWriteTokens` with a lifetime of an hour, which costs more than the usual minutes. */
  longCacheWriteTokens: Tokens,
  /** The part of `outputTokens` that was reasoning. */
  reasoningTokens: Tokens
})
export interface TokenUsage extends Schema.Schema.Type<typeof TokenUsage> {}

const count = (value: number | undefined): number =>
  value === undefined || !(value > 0) ? 0 : Math.min(Math.floor(value), Number.MAX_SAFE_INTEGER)

const sum = (a: number, b: number): number => Math.min(a + b, Number.MAX_SAFE_INTEGER)

/**
 * Usage from counts. A missing, negative or non-numeric count is 0, fractions are truncated, and no part exceeds its
 * whole.
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

/** The sum. Counts saturate at `Number.MAX_SAFE_INTEGER`. Associative and commutative, with `zero` as identity. */
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

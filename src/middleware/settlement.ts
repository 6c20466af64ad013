/**
 * What the end of a call says: how much it used, and whether the provider wants to be left alone.
 */
import * as Duration from "effect/Duration"
import * as Estimate from "../Estimate.ts"
import type { RateLimits, Window } from "../RateLimits.ts"
import type { Ended } from "./around.ts"
import { isUnsent } from "./keys.ts"

/** Tokens that a call reads and writes. */
export interface Tokens {
  readonly inputTokens: number
  readonly outputTokens: number
}

const none: Tokens = { inputTokens: 0, outputTokens: 0 }

/** What a call used, as far as that is known; where it is not, the estimate stands. */
export const usedBy = (ended: Ended, estimate: Tokens): Tokens => {
  switch (ended._tag) {
    case "Answered":
      return ended.response.usage.totalTokens > 0 ? ended.response.usage : estimate
    case "Failed": {
      const { _tag, partial, status = 0 } = ended.error
      if (partial !== undefined) {
        if (partial.usage.totalTokens === 0) return estimate
        // What a stream that broke off had reported may leave out what it wrote.
        return _tag === "Transient"
          ? Estimate.ofBroken(partial.usage, { ...estimate, outputTokens: Estimate.outputTokens(partial) })
          : partial.usage
      }
      // What was refused, by the provider or before it was sent, has used nothing; else nobody knows.
      return status >= 400 || isUnsent(ended.error) ? none : estimate
    }
    case "Left": {
      const { characters, reported } = ended
      const guess = characters === 0 ? estimate : { ...estimate, outputTokens: Estimate.ofCharacters(characters) }
      return reported === undefined ? guess : {
        inputTokens: Math.max(guess.inputTokens, reported.inputTokens),
        outputTokens: Math.max(guess.outputTokens, reported.outputTokens)
      }
    }
  }
}

const exhausted = (limits: RateLimits = {}): Duration.Duration =>
  Object.values<Window>(limits).reduce(
    (longest, { remaining = 1, resetAfter = Duration.zero }) =>
      remaining > 0 ? longest : Duration.max(longest, resetAfter),
    Duration.zero
  )

/** What the provider said of its limits, if it was asked at all. */
export const limitsIn = (ended: Ended): RateLimits | undefined =>
  ended._tag === "Answered"
    ? ended.response.rateLimits
    : ended._tag === "Failed" && !isUnsent(ended.error)
    ? ended.error.rateLimits
    : undefined

/** How long the provider wants to be left alone, when its headers came that long ago. */
export const toldToWait = (ended: Ended, ago: Duration.Duration): Duration.Duration => {
  if (ended._tag === "Failed" && !isUnsent(ended.error)) {
    const { _tag, retryAfter } = ended.error
    if (retryAfter !== undefined && (_tag === "RateLimit" || _tag === "Transient")) return retryAfter
  }
  return Duration.max(Duration.zero, Duration.subtract(exhausted(limitsIn(ended)), ago))
}

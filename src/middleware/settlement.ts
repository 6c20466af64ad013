/**
 * What the end of a call reveals: the tokens that it used, and whether the provider asks clients to wait.
 */
import * as Duration from "effect/Duration"
import * as Estimate from "../Estimate.ts"
import type { RateLimits, Window } from "../RateLimits.ts"
import type { Ended } from "./around.ts"
import { isNotSent } from "./keys.ts"

/** Input and output tokens of a call. */
export interface Tokens {
  readonly inputTokens: number
  readonly outputTokens: number
}

const none: Tokens = { inputTokens: 0, outputTokens: 0 }

/** The tokens that a call used, or the estimate if they are not known. */
export const usedBy = (ended: Ended, estimate: Tokens): Tokens => {
  switch (ended._tag) {
    case "Answered":
      return ended.response.usage.totalTokens > 0 ? ended.response.usage : estimate
    case "Failed": {
      const { _tag, partial, status = 0 } = ended.error
      if (partial !== undefined) {
        if (partial.usage.totalTokens === 0) return estimate
        // A stream that broke off may not have reported its output tokens yet.
        return _tag === "Transient"
          ? Estimate.ofBroken(partial.usage, { ...estimate, outputTokens: Estimate.outputTokens(partial) })
          : partial.usage
      }
      // A refused call has used nothing, whether the provider refused it or it was never sent. Otherwise it is not known.
      return status >= 400 || isNotSent(ended.error) ? none : estimate
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

/** The rate limits that the provider reported, if the call was sent. */
export const limitsIn = (ended: Ended): RateLimits | undefined =>
  ended._tag === "Answered"
    ? ended.response.rateLimits
    : ended._tag === "Failed" && !isNotSent(ended.error)
    ? ended.error.rateLimits
    : undefined

/** How long the provider asks clients to wait, if its headers arrived this long ago. */
export const requestedWait = (ended: Ended, ago: Duration.Duration): Duration.Duration => {
  if (ended._tag === "Failed" && !isNotSent(ended.error)) {
    const { _tag, retryAfter } = ended.error
    if (retryAfter !== undefined && (_tag === "RateLimit" || _tag === "Transient")) return retryAfter
  }
  return Duration.max(Duration.zero, Duration.subtract(exhausted(limitsIn(ended)), ago))
}

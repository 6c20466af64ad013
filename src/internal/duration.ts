/**
 * A check of durations that callers give.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

/** Whether this is a duration that can be waited for: readable, and not negative. */
export const isWait = (input: Duration.Input): boolean =>
  Option.exists(Duration.fromInput(input), (duration) => !Duration.isNegative(duration))

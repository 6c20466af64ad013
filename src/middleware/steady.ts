/**
 * A clock that is never set back. Limits, circuits and what is known of a store hold until some time: after the system's
 * clock is set back by an hour, they would hold for that hour.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

// What a clock of ours was made of: one of another must not be made of it, since both would be late.
const systems = new WeakMap<Clock.Clock, Clock.Clock>()

/** Runs an effect by a clock that stands still, or goes on, when the system's is set back. */
export interface Steady {
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R>
}

/** Makes one; all times that are compared with each other must be of the same. */
export const make = (): Steady => {
  let last = Number.NEGATIVE_INFINITY
  let behind = 0
  const forward = (millis: number): number => {
    if (millis + behind < last) behind = last - millis
    last = millis + behind
    return last
  }
  const of = (outer: Clock.Clock): Clock.Clock => {
    const clock = systems.get(outer) ?? outer
    const millis = () => forward(clock.currentTimeMillisUnsafe())
    const steady: Clock.Clock = {
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
      currentTimeNanos: clock.currentTimeNanos,
      monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
      monotonicTimeNanos: clock.monotonicTimeNanos,
      sleep: (duration) => clock.sleep(duration)
    }
    systems.set(steady, clock)
    return steady
  }
  return (self) => Effect.updateService(self, Clock.Clock, of)
}

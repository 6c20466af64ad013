/**
 * A clock that is never set back. Limits, circuits and pauses hold until a point in time: if the system's clock were set
 * back by an hour, they would hold for another hour.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

// The system clock behind each steady clock: a steady clock over another one would add up both delays.
const systems = new WeakMap<Clock.Clock, Clock.Clock>()

/** Runs an effect with a clock that never goes back when the system's does. */
export interface Steady {
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R>
}

/** Makes a steady clock. Only times of the same one can be compared. */
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

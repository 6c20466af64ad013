/**
 * What a circuit breaker adds to Effect's: openings of no time are refused, hints of providers are kept, and a store that
 * is gone is not waited for.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Breaker from "effect/persistence/CircuitBreaker"
import * as Schedule from "effect/Schedule"
import * as Check from "./options.ts"
import * as Store from "./store.ts"

/** A time, or a schedule whose n-th delay is that of the n-th opening in a row. */
export type OpenDuration = Duration.Input | Schedule.Schedule<unknown, number>

// An opening of no time would be none.
const shortest = Duration.millis(1)

/** How long a circuit stays open; refuses a schedule that would try it again at once. */
export const openings = Effect.fnUntraced(function*(owner: string, openDuration: OpenDuration) {
  if (!Schedule.isSchedule(openDuration)) return openDuration
  const step = yield* Schedule.toStep(openDuration)
  const first = yield* Effect.exit(step(yield* Clock.currentTimeMillis, 1))
  if (Exit.isFailure(first) || Duration.isLessThan(first.value[1], shortest)) {
    Check.refuse(owner, "openDuration", "a schedule whose delays are above 0")
  }
  return Schedule.modifyDelay(openDuration, ({ duration }) => Effect.succeed(Duration.max(duration, shortest)))
})

/** Until when providers asked to be left alone, by key. The store looks at the hint of the last failure alone. */
export const makeHints = (longest: Duration.Duration) => {
  const hints = new Map<string, number>()
  return {
    add: (key: string, hint: Duration.Duration, now: number): void => {
      for (const [key, until] of hints) if (until <= now) hints.delete(key)
      hints.set(key, Math.max(hints.get(key) ?? 0, now + Duration.toMillis(Duration.min(hint, longest))))
    },
    left: (key: string, now: number): Duration.Duration => Duration.millis(Math.max(0, (hints.get(key) ?? 0) - now)),
    forget: (key: string): void => {
      hints.delete(key)
    }
  }
}

/** The store of the context, asked with patience. */
export const patient = Effect.fnUntraced(function*(timeout: Duration.Input | undefined, meanwhile: string) {
  const store = yield* Breaker.CircuitBreakerStore
  const ask = yield* Store.make({
    name: "the store of circuits",
    meanwhile,
    timeout,
    gone: (message) => new Breaker.CircuitBreakerError({ reason: new Breaker.CircuitBreakerStoreError({ message }) }),
    isGone: (error) => error instanceof Breaker.CircuitBreakerError && error.reason._tag === "CircuitBreakerStoreError"
  })
  return Breaker.CircuitBreakerStore.of({
    // Whoever is let in to try after all, when nobody waits for it any more, would keep others out.
    admit: (key) =>
      ask(store.admit(key), ({ generation, probe }) =>
        probe
          ? store.record({
            key,
            generation,
            outcome: "Ignored",
            tripPolicy: Breaker.consecutive(1),
            openFor: Duration.zero
          })
          : Effect.void),
    record: (call) => ask(store.record(call)),
    state: store.state
  })
})

/**
 * What a circuit breaker adds to Effect's: a share of failures within a time, hints of providers, what is known of the
 * circuits that are open, and a store that is not waited for when it is gone.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Breaker from "effect/persistence/CircuitBreaker"
import * as Schedule from "effect/Schedule"
import * as Check from "./options.ts"
import * as Store from "./store.ts"
import * as Window from "./window.ts"

/** A time, or a schedule whose n-th delay is that of the n-th opening in a row. */
export type OpenDuration = Duration.Input | Schedule.Schedule<unknown, number>

// A circuit that opens for no time would not open.
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

/** What one process knows of the circuit of a key. */
export interface Circuit {
  readonly key: string
  readonly window: Window.Window
  /** Until when the provider asked to be left alone; the store knows the hint of the last failure alone. */
  hint: number
  /** While it is not closed: the time in which it refuses calls, and how many such times there were in a row. */
  open: { readonly since: number; readonly until: number; readonly openings: number } | undefined
  usedAt: number
  /** Whether the logs say that the store cannot use its key. */
  warned: boolean
}

/** A circuit that is closed, of which nothing was counted. */
export const make = (key: string, window: number): Circuit => ({
  key,
  window: Window.make(window),
  hint: 0,
  open: undefined,
  usedAt: 0,
  warned: false
})

const idleAfter = Duration.toMillis("10 minutes")

/** Until when it refuses calls. */
export const until = ({ hint, open }: Circuit): number => Math.max(hint, open?.until ?? 0)

/** Whether it can be forgotten. */
export const isIdle = (circuit: Circuit, now: number): boolean =>
  circuit.usedAt + idleAfter <= now && until(circuit) <= now && circuit.window.isEmpty(now)

/** How a call is let in. */
export interface Admitted {
  readonly circuit: Circuit
  /** Whether this call is the one that tries an open circuit. */
  probe: boolean
  /** The counts that it belongs to. */
  epoch: number
}

/** A call that asks to be let in. */
export const admitting = (circuit: Circuit): Admitted => ({ circuit, probe: false, epoch: circuit.window.epoch() })

/** Who is to be told how the store lets a call in. */
export class Admitting extends Context.Service<Admitting, Admitted>()("effect-llm/CircuitBreaker/Admitting") {}

/** Learns from the store which circuits are open; calls that it refuses begin their counts anew. */
export const learning = (store: Breaker.CircuitBreakerStore["Service"]): Breaker.CircuitBreakerStore["Service"] => {
  const learn = (f: (admitted: Admitted, now: number) => void): Effect.Effect<void> =>
    Effect.flatMap(Effect.serviceOption(Admitting), (admitted) =>
      Option.isNone(admitted)
        ? Effect.void
        : Effect.map(Clock.currentTimeMillis, (now) => f(admitted.value, now)))
  return Breaker.CircuitBreakerStore.of({
    ...store,
    admit: (key) =>
      store.admit(key).pipe(
        Effect.tap(({ probe }) =>
          learn((admitted) => {
            const { circuit } = admitted
            admitted.probe = probe
            admitted.epoch = circuit.window.epoch()
            if (!probe) circuit.open = undefined
          })
        ),
        Effect.tapError((error) =>
          Effect.flatMap(Effect.serviceOption(Admitting), (admitted) => {
            if (Option.isNone(admitted) || admitted.value.circuit.warned || !Store.isOfKey(error)) return Effect.void
            admitted.value.circuit.warned = true
            return Effect.annotateLogs(Effect.logWarning(Store.keyIsTaken), { key })
          })
        ),
        Effect.tapError(({ reason }) =>
          learn(({ circuit }, now) => {
            if (reason._tag === "CircuitBreakerStoreError") return
            circuit.window.clear()
            if (reason._tag !== "CircuitOpen") return
            const until = now + Duration.toMillis(reason.retryAfter)
            // What this process knows of an opening of its own is more.
            if (circuit.open === undefined || until > circuit.open.until + 1) {
              circuit.open = { since: now, until, openings: 0 }
            }
          })
        )
      ),
    record: (call) =>
      Effect.tap(store.record(call), (transition) =>
        transition === undefined
          ? Effect.void
          : Effect.andThen(
            learn(({ circuit }, now) => {
              if (transition.to !== "Open") circuit.open = undefined
              else {
                const { consecutiveOpenings: openings, retryAfter } = transition
                circuit.window.clear()
                circuit.open = { since: now, until: now + Duration.toMillis(retryAfter), openings }
              }
            }),
            Effect.annotateLogs(
              transition.to === "Open" ? Effect.logWarning("circuit opened") : Effect.logInfo("circuit closed"),
              { key: call.key, from: transition.from }
            )
          ))
  })
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

/**
 * What our circuit breaker adds to Effect's: a failure rate within a window, retry hints of providers, a list of open
 * circuits, and a store that calls do not wait for while it is unreachable.
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

/** A duration, or a schedule whose n-th delay is used for the n-th opening in a row. */
export type OpenDuration = Duration.Input | Schedule.Schedule<unknown, number>

// A circuit must open for some time.
const shortest = Duration.millis(1)

/** How long a circuit stays open; refuses a schedule with a delay of 0. */
export const openings = Effect.fnUntraced(function*(owner: string, openDuration: OpenDuration) {
  if (!Schedule.isSchedule(openDuration)) return openDuration
  const step = yield* Schedule.toStep(openDuration)
  const first = yield* Effect.exit(step(yield* Clock.currentTimeMillis, 1))
  if (Exit.isFailure(first) || Duration.isLessThan(first.value[1], shortest)) {
    Check.refuse(owner, "openDuration", "a schedule whose delays are above 0")
  }
  return Schedule.modifyDelay(openDuration, ({ duration }) => Effect.succeed(Duration.max(duration, shortest)))
})

/** The state of a key's circuit in this process. */
export interface Circuit {
  readonly key: string
  readonly window: Window.Window
  /** Until when the provider asked clients to wait; the store keeps only the hint of the last failure. */
  hint: number
  /** If it is not closed: when it opened, until when it refuses calls, and how many times it opened in a row. */
  open: { readonly since: number; readonly until: number; readonly openings: number } | undefined
  usedAt: number
  /** Whether it was logged that the store cannot use its key. */
  warned: boolean
}

/** A closed circuit without counts. */
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

/** Whether it can be removed. */
export const isIdle = (circuit: Circuit, now: number): boolean =>
  circuit.usedAt + idleAfter <= now && until(circuit) <= now && circuit.window.isEmpty(now)

/** How a call is admitted. */
export interface Admitted {
  readonly circuit: Circuit
  /** Whether this call probes an open circuit. */
  probe: boolean
  /** The epoch of the counts that it belongs to. */
  epoch: number
}

/** A call before the circuit has admitted it. */
export const admitting = (circuit: Circuit): Admitted => ({ circuit, probe: false, epoch: circuit.window.epoch() })

/** Where to note how the store admits the current call. */
export class Admitting extends Context.Service<Admitting, Admitted>()("effect-llm/CircuitBreaker/Admitting") {}

/** Learns from the store which circuits are open. A refusal resets the counts. */
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
            // This process knows more about an opening of its own.
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

/** The store of the context, with a time limit for each operation. */
export const patient = Effect.fnUntraced(function*(timeout: Duration.Input | undefined, meanwhile: string) {
  const store = yield* Breaker.CircuitBreakerStore
  const ask = yield* Store.make({
    name: "the circuit store",
    meanwhile,
    timeout,
    gone: (message) => new Breaker.CircuitBreakerError({ reason: new Breaker.CircuitBreakerStoreError({ message }) }),
    isGone: (error) => error instanceof Breaker.CircuitBreakerError && error.reason._tag === "CircuitBreakerStoreError"
  })
  return Breaker.CircuitBreakerStore.of({
    // A probe that is admitted after its caller stopped waiting would keep others out.
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

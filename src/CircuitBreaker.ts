/**
 * Stops calling a provider that keeps failing, and probes with single calls whether it is back.
 *
 * Use it below a fallback, which then moves on at once instead of waiting for each call to fail. It belongs below
 * `Retry`, so that it sees every attempt.
 *
 * ```ts
 * import { Anthropic, CircuitBreaker, LLMClient, Retry } from "effect-llm"
 *
 * const Claude = LLMClient.compose(Retry.layer(), CircuitBreaker.layer(), Anthropic.layerConfig())
 * ```
 *
 * Each provider and model has its own circuit. It opens when half of at least 10 attempts within 60 seconds have failed:
 * for 8 seconds, and half as long again each time it reopens, up to 20 seconds. A provider's hint keeps it open for
 * longer. Then one call probes it. Refused calls fail as `Transient · Overloaded` with the code
 * `circuit_open`. `make` returns a handle that lists open circuits; `layerStore` shares them between
 * processes. What counts as a failure and what the defaults cost is in `docs/limits.md`.
 */

import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Breaker from "effect/persistence/CircuitBreaker"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import type { Completion } from "./Completion.ts"
import { type LLMClient, middleware, Patience, type Service } from "./LLMClient.ts"
import { type LLMError, make as makeError } from "./LLMError.ts"
import { around, type Ended, type Restore } from "./middleware/around.ts"
import * as Circuit from "./middleware/circuit.ts"
import * as Keyed from "./middleware/keyed.ts"
import * as Limits from "./middleware/keys.ts"
import * as Check from "./middleware/options.ts"
import * as Steady from "./middleware/steady.ts"

/** When a circuit opens, and for how long. */
export interface Options {
  /**
   * Opens a circuit by the failure rate: when at least `threshold` (0.5) of at least `minimumCalls` (10) attempts
   * within `window` (60 seconds) failed. Each process counts its own attempts. This is the default.
   */
  readonly rate?: {
    readonly threshold?: number
    readonly minimumCalls?: number
    readonly window?: Duration.Input
  }
  /** Opens a circuit after this many failures in a row instead, counted in the store if there is one. */
  readonly failures?: number
  /**
   * How long a circuit stays open: 8 seconds, 12, 18, and then 20 unless given. With a schedule, the n-th opening in a
   * row uses the n-th delay.
   */
  readonly openDuration?: Circuit.OpenDuration
  /** The longest time that a provider's hint keeps a circuit open; 5 minutes unless given. */
  readonly maxOpenDuration?: Duration.Input
  /**
   * The longest wait before a retry, as in the policy of `Retry`: 60 seconds unless given. While the circuit stays open
   * for longer, failures have `retryable: false`.
   */
  readonly maxRetryAfter?: Duration.Input
  /** Which errors count as failures: `Transient` and `RateLimit` unless given. */
  readonly isFailure?: (error: LLMError) => boolean
  /**
   * Calls with the same key share a circuit; the provider and the model unless given. A text is put before them; a
   * function returns the whole key. It is written to logs and to the store: no secrets.
   */
  readonly key?: Limits.Key
}

/** The same, with circuits that are kept in a store. */
export interface StoreOptions extends Options, Limits.StoreOptions {}

/** A circuit that is not closed. */
export interface State {
  /** The provider and the model, or the key from the option `key`. */
  readonly key: string
  /** `"Open"` refuses all calls; `"HalfOpen"` is probed by a call, or will be by the next one. */
  readonly state: "Open" | "HalfOpen"
  /** When it opened, in epoch milliseconds; if another process opened it, when this one noticed. */
  readonly since: number
  /** Until when it refuses calls, in epoch milliseconds. */
  readonly until: number
  /** How many times in a row it opened; 0 if only another process knows. */
  readonly openings: number
}

/** The circuits of one or several clients. */
export interface CircuitBreaker {
  /** The circuits that are not closed, as far as this process knows; for dashboards. */
  readonly states: Effect.Effect<ReadonlyArray<State>>
  /** A client whose calls go through the circuits. */
  readonly apply: (client: Service) => Service
}

const owner = "CircuitBreaker"

const names = {
  rate: true,
  failures: true,
  openDuration: true,
  maxOpenDuration: true,
  maxRetryAfter: true,
  isFailure: true,
  key: true
} satisfies Record<keyof Options, true>

const check = (options: Options, more: object = {}): void => {
  Check.known(owner, options, Object.keys({ ...names, ...more }))
  Check.wholeNumber(owner, "failures", options.failures)
  Check.object(owner, "rate", options.rate)
  if (options.rate !== undefined) {
    const { minimumCalls, threshold = 0.5, window } = options.rate
    if (options.failures !== undefined) Check.refuse(owner, "rate", "either failures or rate")
    Check.known(`${owner} rate`, options.rate, ["threshold", "minimumCalls", "window"])
    Check.positive(owner, "rate.threshold", threshold)
    if (threshold > 1) Check.refuse(owner, "rate.threshold", "a share of at most 1")
    Check.wholeNumber(owner, "rate.minimumCalls", minimumCalls)
    Check.duration(owner, "rate.window", window)
  }
  if (!Schedule.isSchedule(options.openDuration)) Check.duration(owner, "openDuration", options.openDuration)
  Check.duration(owner, "maxOpenDuration", options.maxOpenDuration)
  Check.wait(owner, "maxRetryAfter", options.maxRetryAfter)
  Check.callable(owner, "isFailure", options.isFailure)
  Limits.checkKey(owner, options.key)
}

const isFailureByDefault = ({ _tag }: LLMError): boolean => _tag === "Transient" || _tag === "RateLimit"

/** How a call ended, or that it is a stream with a first part, which is still in flight. */
type Seen = Ended | { readonly _tag: "Began" }

/** A call in flight: its fiber represents it in the circuit until its outcome is known. */
interface Running {
  readonly circuit: Circuit.Circuit
  readonly fiber: Fiber.Fiber<Seen, Breaker.CircuitBreakerError>
  readonly seen: Deferred.Deferred<Seen>
  readonly admitted: Circuit.Admitted
  readonly patience: Patience | undefined
}

/** How a call waits until its end is recorded. */
type Written = (fiber: Fiber.Fiber<unknown, unknown>, ended: Ended) => Effect.Effect<unknown>

const leaving: Ended = { _tag: "Left", streamed: false, characters: 0 }

// An interrupted caller does not wait for the store.
const unlessLeft: Written = (fiber, ended) =>
  ended._tag === "Left" ? Effect.void : Effect.interruptible(Fiber.await(fiber))

const refusals = {
  CircuitOpen: "the circuit is open after failures",
  CircuitHalfOpen: "the circuit is open after failures, and a call is probing it",
  CircuitBreakerStoreError: "the circuit store cannot be reached"
} satisfies Record<Breaker.CircuitBreakerErrorReason["_tag"], string>

// 8 seconds, 12, 18, and then 20.
const openDurationByDefault = Schedule.min([Schedule.exponential("8 seconds", 1.5), Schedule.spaced("20 seconds")])

const makeWith = Effect.fnUntraced(function*(
  options: Options,
  onStoreError: Limits.OnStoreError,
  written: Written
): Effect.fn.Return<CircuitBreaker, never, Breaker.CircuitBreakerStore> {
  const { failures, isFailure = isFailureByDefault, openDuration = openDurationByDefault, rate = {} } = options
  const { minimumCalls = 10, threshold = 0.5, window = "60 seconds" } = rate
  const maxOpenDuration = Duration.fromInputUnsafe(options.maxOpenDuration ?? "5 minutes")
  const maxRetryAfter = Duration.toMillis(options.maxRetryAfter ?? "60 seconds")
  const steady = Steady.make()
  const circuits = Keyed.make((key) => Circuit.make(key, Duration.toMillis(window)), Circuit.isIdle)
  const breaker = yield* Effect.provideService(
    Breaker.make({
      // The failure rate is counted here: the store only learns of the failure that opens the circuit.
      tripPolicy: Breaker.consecutive(failures ?? 1),
      openDuration: yield* Circuit.openings(owner, openDuration),
      maxOpenDuration,
      onStoreError: onStoreError === "open" ? "allow" : "fail"
    }),
    Breaker.CircuitBreakerStore,
    Circuit.learning(yield* Breaker.CircuitBreakerStore)
    // It has nothing to release.
  ).pipe(Scope.provide(Scope.makeUnsafe()))

  const opens = ({ circuit, epoch, probe }: Circuit.Admitted, failed: boolean, now: number): boolean => {
    // The store counts failures in a row.
    if (failures !== undefined || probe) return failed
    if (epoch !== circuit.window.epoch()) return false
    const counted = circuit.window.add(failed, now)
    return failed && counted.attempts >= minimumCalls && counted.failures >= threshold * counted.attempts
  }

  const outcome = (admitted: Circuit.Admitted, seen: Seen): Effect.Effect<Breaker.Outcome> =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      const { circuit } = admitted
      if (seen._tag === "Left" || seen._tag === "Failed" && Limits.isNotSent(seen.error)) return Breaker.ignored
      const error = seen._tag === "Failed" && isFailure(seen.error) ? seen.error : undefined
      if (error === undefined) circuit.hint = 0
      else if (error.retryAfter !== undefined) {
        const hint = Duration.min(error.retryAfter, maxOpenDuration)
        circuit.hint = Math.max(circuit.hint, now + Duration.toMillis(hint))
      }
      if (opens(admitted, error !== undefined, now)) {
        return Breaker.failure({ retryAfter: Math.max(0, circuit.hint - now) })
      }
      return error === undefined ? Breaker.success : Breaker.ignored
    })

  const movesOn = (patience: Patience | undefined, error: LLMError, wait = 0): boolean =>
    wait > maxRetryAfter || Limits.isFallbackReady(patience, error)

  const refusal = (
    client: Service,
    completion: Completion,
    circuit: Circuit.Circuit,
    patience: Patience | undefined,
    { reason }: Breaker.CircuitBreakerError
  ) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const wait = reason._tag === "CircuitOpen"
        ? Math.max(Duration.toMillis(reason.retryAfter), circuit.hint - now)
        : undefined
      const error = makeError("Transient", {
        provider: client.provider,
        model: Limits.modelOf(completion, client),
        reason: "Overloaded",
        description: refusals[reason._tag],
        code: reason._tag === "CircuitBreakerStoreError" ? Limits.storeUnreachable : Limits.circuitOpen,
        retryAfter: wait === undefined ? undefined : Duration.millis(wait)
      })
      return Effect.fail(movesOn(patience, error, wait) ? Limits.notRetryable(error) : error)
    })

  /** Fails an admitted probe while the provider asks clients to wait, which the store may not know. */
  const whileAskedToWait = ({ hint, key }: Circuit.Circuit) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) =>
      hint <= now
        ? Effect.void
        : Effect.fail(
          new Breaker.CircuitBreakerError({
            reason: new Breaker.CircuitOpen({ key, retryAfter: Duration.millis(hint - now) })
          })
        ))

  const counted = <E>(admitted: Circuit.Admitted, seen: Effect.Effect<Seen, E>) =>
    seen.pipe(
      breaker.execute({
        key: `circuit:${admitted.circuit.key}`,
        classify: (exit) => Exit.isSuccess(exit) ? outcome(admitted, exit.value) : Breaker.ignored
      }),
      Effect.provideService(Circuit.Admitting, admitted),
      // It would log every call that the store does not know. That the store is unreachable is logged once.
      Effect.provideService(References.UnhandledLogLevel, undefined)
    )

  const before = (client: Service) => {
    const keyOf = Limits.keyOf(options.key, client)
    return Effect.fnUntraced(function*(completion: Completion, restore: Restore) {
      const key = yield* keyOf(completion)
      const now = yield* Clock.currentTimeMillis
      const circuit = circuits.get(key, now)
      circuit.usedAt = now
      const patience = yield* Patience
      const go = yield* Deferred.make<void>()
      const seen = yield* Deferred.make<Seen>()
      const admitted = Circuit.admitting(circuit)
      const run = Effect.suspend(() => admitted.probe ? whileAskedToWait(circuit) : Effect.void).pipe(
        Effect.andThen(Deferred.succeed(go, undefined)),
        Effect.andThen(Deferred.await(seen))
      )
      const fiber = yield* Effect.forkDetach(counted(admitted, run), { startImmediately: true })
      yield* restore(Effect.raceFirst(Deferred.await(go), Fiber.join(fiber))).pipe(
        Effect.onInterrupt(() => Effect.andThen(Effect.sync(() => fiber.interruptUnsafe()), written(fiber, leaving))),
        Effect.catch((error) => refusal(client, completion, circuit, patience, error))
      )
      return { admitted, circuit, fiber, patience, seen } satisfies Running as Running
    })
  }

  const after = ({ circuit, fiber, seen }: Running, ended: Ended): Effect.Effect<void> =>
    Effect.flatMap(Deferred.succeed(seen, ended), (first) => {
      if (first) return Effect.asVoid(written(fiber, ended))
      if (ended._tag !== "Failed") return Effect.void
      // A stream that closed its circuit with its first part. If the circuit is open again, it only learns the hint.
      const admitted = Circuit.admitting(circuit)
      const late = Effect.catch(counted(admitted, Effect.succeed(ended)), () => outcome(admitted, ended))
      return Effect.flatMap(
        Effect.forkDetach(late, { startImmediately: true }),
        (fiber) => Effect.asVoid(written(fiber, ended))
      )
    })

  /** The caller's next try would be refused by the open circuit: decides whether it should wait. */
  const mapError = ({ circuit, patience }: Running, error: LLMError): Effect.Effect<LLMError> =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      const wait = circuit.open === undefined ? 0 : Circuit.until(circuit) - now
      return isFailure(error) && wait > 0 && movesOn(patience, error, wait)
        ? Limits.notRetryable(error)
        : error
    })

  return {
    states: Effect.flatMap(
      Clock.currentTimeMillis,
      (today) =>
        steady(
          Effect.map(Clock.currentTimeMillis, (now) =>
            Array.from(circuits.values()).flatMap((circuit): ReadonlyArray<State> => {
              const { key, open } = circuit
              if (open === undefined) {
                return []
              }
              const until = Circuit.until(circuit)
              const state = until > now ? "Open" : "HalfOpen"
              return [{
                key,
                state,
                since: open.since - now + today,
                until: until - now + today,
                openings: open.openings
              }]
            }))
        )
    ),
    apply: (client) => {
      const begin = before(client)
      const calls = around(client, {
        before: (completion, restore) => steady(begin(completion, restore)),
        // A probing stream may take long or wait for its reader: its first part is enough to close the circuit.
        began: ({ admitted, fiber, seen }) =>
          admitted.probe
            ? Effect.andThen(Deferred.succeed(seen, { _tag: "Began" }), Effect.asVoid(Fiber.await(fiber)))
            : Effect.void,
        after: (running, ended) => steady(after(running, ended)),
        mapError: (running, error) => steady(mapError(running, error))
      })
      return { ...client, ...calls }
    }
  }
})

/**
 * Makes closed circuits, with a handle that lists open ones. Invalid or unknown options are a defect that names them.
 */
export const make = (options: Options = {}): Effect.Effect<CircuitBreaker> =>
  Effect.suspend(() => {
    check(options)
    const store = Breaker.layerStoreMemory({ idleTimeToLive: "10 minutes" })
    return Effect.provide(makeWith(options, "open", Fiber.await), store, { local: true })
  })

/**
 * The same, with circuits that are kept in a store, for all processes that share it: provide `layerStoreRedis` of
 * `effect/persistence/CircuitBreaker`, with a connection.
 */
export const makeStore = (
  options: StoreOptions = {}
): Effect.Effect<CircuitBreaker, never, Breaker.CircuitBreakerStore | Scope.Scope> =>
  Effect.gen(function*() {
    check(options, Limits.storeNames)
    Limits.checkStore(owner, options)
    const { onStoreError = "open", storeTimeout } = options
    const store = yield* Circuit.patient(storeTimeout, Limits.meanwhile[onStoreError])
    return yield* Effect.provideService(
      makeWith(options, onStoreError, unlessLeft),
      Breaker.CircuitBreakerStore,
      store
    )
  })

const isCircuitBreaker = (self: CircuitBreaker | Options): self is CircuitBreaker =>
  typeof self === "object" && self !== null && "apply" in self

const applied = <R>(circuits: Effect.Effect<CircuitBreaker, never, R>) =>
  middleware((client) => Effect.map(circuits, ({ apply }) => apply(client)))

/**
 * Breaks the circuit to the client below when it keeps failing. Takes circuits from `make`, which other layers may share
 * and which list what is open, or options for circuits of this layer alone.
 */
export const layer = (circuits: CircuitBreaker | Options = {}): Layer.Layer<LLMClient, never, LLMClient> =>
  applied(isCircuitBreaker(circuits) ? Effect.succeed(circuits) : make(circuits))

/** The same, with circuits that are kept in a store. */
export const layerStore = (
  options: StoreOptions = {}
): Layer.Layer<LLMClient, never, LLMClient | Breaker.CircuitBreakerStore> => applied(makeStore(options))

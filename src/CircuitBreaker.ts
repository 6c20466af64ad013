/**
 * Stops calling a provider that keeps failing, and finds out with single calls whether it is back.
 *
 * Use it below a fallback, which then moves on at once instead of waiting for each call to fail. It belongs below
 * `Retry`: what it refuses is not retried.
 *
 * ```ts
 * import { Layer } from "effect"
 * import { Anthropic, CircuitBreaker, Retry } from "effect-llm"
 *
 * const Claude = Retry.layer().pipe(
 *   Layer.provide(CircuitBreaker.layer({ failures: 5, openDuration: "30 seconds" })),
 *   Layer.provide(Anthropic.layerConfig())
 * )
 * ```
 *
 * - Each provider and model has a circuit of its own. `Transient` and `RateLimit` count as failures; any other answer
 *   shows that the provider is there, `EmptyResponse` and `ClientError` included, even one for a wrong key. A call that
 *   is interrupted, a stream that its reader leaves, and a call that was never sent (refused by `Throttle`, failed since a
 *   store is gone, or a `ClientError` without a status) count as nothing.
 * - An open circuit stays open for `openDuration`, or for as long as the failures that opened it asked to wait
 *   (`retryAfter`), at most `maxOpenDuration`; in this process also as long as calls ask that were under way when it
 *   opened. Then one call goes through: if it succeeds the circuit closes, if it fails it opens again, and if it is given
 *   up the next one tries.
 * - Meanwhile calls fail at once as `Transient · Overloaded`, with `retryable: false`, the code `circuit_open`, and
 *   `retryAfter` unless the trying call is still under way.
 * - A stream is judged as a whole, by its end. Only one that tries a circuit closes it with its first part, since it may
 *   take long, or wait for its reader; if it fails after that, it counts like every call that fails.
 *
 * `layer` keeps circuits in the process. `layerStore` keeps them in a store, for all processes that share it:
 *
 * ```ts
 * import * as NodeRedis from "@effect/platform-node/NodeRedis"
 * import { Layer } from "effect"
 * import { Anthropic, CircuitBreaker } from "effect-llm"
 * import * as Breaker from "effect/persistence/CircuitBreaker"
 *
 * const Claude = CircuitBreaker.layerStore().pipe(
 *   Layer.provide(Anthropic.layerConfig()),
 *   Layer.provide(Breaker.layerStoreRedis({ prefix: "claude:" })),
 *   Layer.provide(NodeRedis.layer({ url: "redis://localhost", disableOfflineQueue: true }))
 * )
 * ```
 *
 * The first connection must succeed: the layer of a Redis that is not there fails. Later a store that fails, or takes
 * longer than `storeTimeout`, counts as gone for a second, and longer each time that it is found to be gone still, up to
 * 30 seconds; calls do not wait for it meanwhile, and the logs say once that it is gone and once that it is back. Without
 * `disableOfflineQueue` a connection that is lost keeps commands for later, and the layer does not close.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Breaker from "effect/persistence/CircuitBreaker"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Completion } from "./Completion.ts"
import { LLMClient, type Service } from "./LLMClient.ts"
import { type LLMError, make as makeError } from "./LLMError.ts"
import { around, type Ended, type Restore } from "./middleware/around.ts"
import * as Circuit from "./middleware/circuit.ts"
import * as Limits from "./middleware/keys.ts"
import * as Check from "./middleware/options.ts"

/** When a circuit opens, and for how long. */
export interface Options {
  /** Failures in a row that open a circuit. 5 unless this or `rate` is set. */
  readonly failures?: number
  /**
   * Opens a circuit by the share of failures instead: when at least `threshold` (0.5) of the last `size` (20) calls
   * failed, once there were `minimumCalls` (as many as `size`).
   */
  readonly rate?: { readonly threshold?: number; readonly size?: number; readonly minimumCalls?: number }
  /**
   * How long a circuit stays open: 30 seconds unless set. Of a schedule, the n-th opening in a row takes the n-th delay.
   */
  readonly openDuration?: Circuit.OpenDuration
  /** The longest that a provider's own hint keeps a circuit open. 5 minutes unless set. */
  readonly maxOpenDuration?: Duration.Input
  /** Which errors count as failures: `Transient` and `RateLimit` unless set. */
  readonly isFailure?: (error: LLMError) => boolean
  /**
   * Whose calls share a circuit: those of one provider and model, unless set. A text comes before those; a function
   * gives the whole key. It is written to logs and to the store: no secrets.
   */
  readonly key?: Limits.Key
}

/** The same, with circuits that are kept in a store. */
export interface StoreOptions extends Options, Limits.StoreOptions {}

const owner = "CircuitBreaker"

const names = {
  failures: true,
  rate: true,
  openDuration: true,
  maxOpenDuration: true,
  isFailure: true,
  key: true
} satisfies Record<keyof Options, true>

const check = (options: Options, more: object = {}): void => {
  Check.known(owner, options, Object.keys({ ...names, ...more }))
  Check.wholeNumber(owner, "failures", options.failures)
  Check.object(owner, "rate", options.rate)
  if (options.rate !== undefined) {
    const { minimumCalls, size = 20, threshold = 0.5 } = options.rate
    if (options.failures !== undefined) Check.refuse(owner, "rate", "either failures or rate")
    Check.known(`${owner} rate`, options.rate, ["threshold", "size", "minimumCalls"])
    Check.positive(owner, "rate.threshold", threshold)
    if (threshold > 1) Check.refuse(owner, "rate.threshold", "a share of at most 1")
    Check.wholeNumber(owner, "rate.size", size)
    Check.wholeNumber(owner, "rate.minimumCalls", minimumCalls)
    if (minimumCalls !== undefined && minimumCalls > size) {
      Check.refuse(owner, "rate.minimumCalls", `at most ${size}, the size`)
    }
  }
  if (!Schedule.isSchedule(options.openDuration)) Check.duration(owner, "openDuration", options.openDuration)
  Check.duration(owner, "maxOpenDuration", options.maxOpenDuration)
  Check.callable(owner, "isFailure", options.isFailure)
  Limits.checkKey(owner, options.key)
}

const isFailureByDefault = ({ _tag }: LLMError): boolean => _tag === "Transient" || _tag === "RateLimit"

/** How a call ended, or that it is a stream which began: then it is under way still. */
type Seen = Ended | { readonly _tag: "Began" }

/** A call that runs: its fiber stands for it in the circuit until its outcome is known. */
interface Running {
  readonly key: string
  readonly fiber: Fiber.Fiber<Seen, Breaker.CircuitBreakerError>
  readonly seen: Deferred.Deferred<Seen>
  readonly admitted: Admitted
}

interface Admitted {
  /** Whether this call is the one that tries an open circuit. */
  probe: boolean
}

/** Who is to be told how the store lets a call in. */
class Admitting extends Context.Service<Admitting, Admitted>()("effect-llm/CircuitBreaker/Admitting") {}

/** How a call waits until its end is written down. */
type Written = (fiber: Fiber.Fiber<unknown, unknown>, ended: Ended) => Effect.Effect<unknown>

const left: Ended = { _tag: "Left", streamed: false, characters: 0 }

// A store may take its time, for which nobody who leaves waits.
const unlessLeft: Written = (fiber, ended) =>
  ended._tag === "Left" ? Effect.void : Effect.interruptible(Fiber.await(fiber))

const decorate = Effect.fnUntraced(function*(
  client: Service,
  options: Options,
  onStoreError: Limits.OnStoreError,
  written: Written
): Effect.fn.Return<
  Pick<Service, "completion" | "stream">,
  never,
  Breaker.CircuitBreakerStore | Scope.Scope
> {
  const { failures = 5, isFailure = isFailureByDefault, openDuration = "30 seconds", rate } = options
  const keyOf = Limits.keyOf(options.key, client)
  const maxOpenDuration = Duration.fromInputUnsafe(options.maxOpenDuration ?? "5 minutes")
  const store = yield* Breaker.CircuitBreakerStore
  const admitting = Breaker.CircuitBreakerStore.of({
    ...store,
    admit: (key) =>
      Effect.tap(store.admit(key), ({ probe }) =>
        Effect.map(
          Effect.serviceOption(Admitting),
          Option.map((admitted) => {
            admitted.probe = probe
          })
        ))
  })
  const breaker = yield* Effect.provideService(
    Breaker.make({
      tripPolicy: rate === undefined ? Breaker.consecutive(failures) : Breaker.rate({ size: 20, ...rate }),
      openDuration: yield* Circuit.openings(owner, openDuration),
      maxOpenDuration,
      onStoreError: onStoreError === "open" ? "allow" : "fail"
    }),
    Breaker.CircuitBreakerStore,
    admitting
  )
  yield* breaker.transitions.pipe(
    Stream.runForEach(({ from, key, to }) =>
      Effect.annotateLogs(
        to === "Open" ? Effect.logWarning("circuit opened") : Effect.logInfo(`circuit ${to}`),
        { key, from }
      )
    ),
    Effect.forkScoped({ startImmediately: true })
  )

  const hints = Circuit.makeHints(maxOpenDuration)

  const outcome = (key: string, seen: Seen): Effect.Effect<Breaker.Outcome> =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      if (seen._tag === "Left" || seen._tag === "Failed" && Limits.isUnsent(seen.error)) return Breaker.ignored
      if (seen._tag !== "Failed" || !isFailure(seen.error)) {
        hints.forget(key)
        return Breaker.success
      }
      if (seen.error.retryAfter !== undefined) hints.add(key, seen.error.retryAfter, now)
      return Breaker.failure({ retryAfter: hints.left(key, now) })
    })

  const refusals = {
    CircuitOpen: "the circuit is open after failures",
    CircuitHalfOpen: "the circuit is open after failures, and a call is trying whether that is over",
    CircuitBreakerStoreError: "the store of circuits cannot be reached"
  } satisfies Record<Breaker.CircuitBreakerErrorReason["_tag"], string>

  const refusal = (key: string, completion: Completion, { reason }: Breaker.CircuitBreakerError) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) =>
      Effect.fail(makeError("Transient", {
        provider: client.provider,
        model: Limits.modelOf(completion, client),
        reason: "Overloaded",
        description: refusals[reason._tag],
        ...(reason._tag === "CircuitBreakerStoreError"
          ? { code: Limits.storeUnreachable }
          : { code: Limits.circuitOpen, retryable: false }),
        ...(reason._tag === "CircuitOpen" && { retryAfter: Duration.max(reason.retryAfter, hints.left(key, now)) })
      })))

  /** Fails the call that was let in to try, while a provider asks to be left alone: the store may not know. */
  const heeding = (key: string) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const retryAfter = hints.left(key, now)
      return Duration.isZero(retryAfter)
        ? Effect.void
        : Effect.fail(new Breaker.CircuitBreakerError({ reason: new Breaker.CircuitOpen({ key, retryAfter }) }))
    })

  const counted = <E>(key: string, seen: Effect.Effect<Seen, E>) =>
    seen.pipe(
      breaker.execute({
        key,
        classify: (exit) => Exit.isSuccess(exit) ? outcome(key, exit.value) : Breaker.ignored
      }),
      // It would report every call that the store does not know of; that the store is gone is said once.
      Effect.provideService(References.UnhandledLogLevel, undefined)
    )

  const before = Effect.fnUntraced(function*(completion: Completion, restore: Restore) {
    const key = keyOf(completion)
    const go = yield* Deferred.make<void>()
    const seen = yield* Deferred.make<Seen>()
    const admitted: Admitted = { probe: false }
    const run = Effect.suspend(() => admitted.probe ? heeding(key) : Effect.void).pipe(
      Effect.andThen(Deferred.succeed(go, undefined)),
      Effect.andThen(Deferred.await(seen))
    )
    const fiber = yield* counted(key, run).pipe(
      Effect.provideService(Admitting, admitted),
      Effect.forkDetach({ startImmediately: true })
    )
    yield* restore(Effect.raceFirst(Deferred.await(go), Fiber.join(fiber))).pipe(
      Effect.onInterrupt(() => Effect.andThen(Effect.sync(() => fiber.interruptUnsafe()), written(fiber, left))),
      Effect.catch((error) => refusal(key, completion, error))
    )
    return { admitted, fiber, key, seen } satisfies Running as Running
  })

  return around(client, {
    before,
    // A stream that tries the circuit may take long, or wait for its reader: that it answers is enough to let others in.
    began: ({ admitted, fiber, seen }) =>
      admitted.probe
        ? Effect.andThen(Deferred.succeed(seen, { _tag: "Began" }), Effect.asVoid(Fiber.await(fiber)))
        : Effect.void,
    after: ({ fiber, key, seen }, ended) =>
      Effect.flatMap(Deferred.succeed(seen, ended), (first) =>
        first
          ? Effect.asVoid(written(fiber, ended))
          : ended._tag === "Failed"
          ? Effect.flatMap(
            // A circuit that is open by now learns nothing but the hint.
            Effect.forkDetach(Effect.catch(counted(key, Effect.succeed(ended)), () => outcome(key, ended)), {
              startImmediately: true
            }),
            (fiber) => Effect.asVoid(written(fiber, ended))
          )
          : Effect.void)
  })
})

/**
 * Breaks the circuit to the client below when it keeps failing. Options that cannot be kept, or that do not exist, fail
 * the layer as a defect that names them.
 */
export const layer = (options: Options = {}): Layer.Layer<LLMClient, never, LLMClient> =>
  Layer.fresh(
    Layer.effect(
      LLMClient,
      Effect.gen(function*() {
        check(options)
        const client = yield* LLMClient
        return { ...client, ...yield* decorate(client, options, "open", Fiber.await) }
      })
    ).pipe(Layer.provide(Breaker.layerStoreMemory()))
  )

/**
 * The same, with circuits that are kept in a store, for all processes that share it: provide `layerStoreRedis` of
 * `effect/persistence/CircuitBreaker`, with a connection.
 */
export const layerStore = (
  options: StoreOptions = {}
): Layer.Layer<LLMClient, never, LLMClient | Breaker.CircuitBreakerStore> =>
  Layer.fresh(Layer.effect(
    LLMClient,
    Effect.gen(function*() {
      check(options, Limits.storeNames)
      Limits.checkStore(owner, options)
      const client = yield* LLMClient
      const { onStoreError = "open", storeTimeout, ...rest } = options
      return {
        ...client,
        ...yield* Effect.provideService(
          decorate(client, rest, onStoreError, unlessLeft),
          Breaker.CircuitBreakerStore,
          yield* Circuit.patient(storeTimeout, Limits.meanwhile[onStoreError])
        )
      }
    })
  ))

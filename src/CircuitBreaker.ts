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
 *   is interrupted, a stream that its reader leaves, and a call that was never sent (refused by `Throttle`, or a
 *   `ClientError` without a status) count as nothing.
 * - An open circuit stays open for `openDuration`, or for as long as the failures that opened it asked to wait
 *   (`retryAfter`), at most `maxOpenDuration`. Then one call goes through: if it succeeds the circuit closes, if it fails
 *   it opens again, and if it is given up the next one tries.
 * - Meanwhile calls fail at once as `Transient · Overloaded`, with `retryable: false`, the code `circuit_open`, and
 *   `retryAfter` unless the trying call is still under way.
 * - A stream is judged as a whole, by its end.
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
 *   Layer.provide(NodeRedis.layer({ url: "redis://localhost" }))
 * )
 * ```
 */
import * as Clock from "effect/Clock"
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
import { around, type Ended, type Restore } from "./internal/around.ts"
import * as Limits from "./internal/limits.ts"
import * as Check from "./internal/options.ts"
import { LLMClient, type Service } from "./LLMClient.ts"
import { type LLMError, make as makeError } from "./LLMError.ts"

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
  readonly openDuration?: Duration.Input | Schedule.Schedule<unknown, number>
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

const storeNames = { onStoreError: true, storeTimeout: true } satisfies Record<keyof Limits.StoreOptions, true>

const check = (options: Options, more: object = {}): void => {
  Check.known(owner, options, Object.keys({ ...names, ...more }))
  Check.wholeNumber(owner, "failures", options.failures)
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
  Limits.checkKey(owner, options.key)
}

const isFailureByDefault = ({ _tag }: LLMError): boolean => _tag === "Transient" || _tag === "RateLimit"

/** A call that runs: its fiber stands for it in the circuit until the end is known. */
interface Running {
  readonly fiber: Fiber.Fiber<Ended, Breaker.CircuitBreakerError>
  readonly ended: Deferred.Deferred<Ended>
}

const decorate = Effect.fnUntraced(function*(
  client: Service,
  options: Options,
  onStoreError: Limits.OnStoreError
): Effect.fn.Return<
  Pick<Service, "completion" | "stream">,
  never,
  Breaker.CircuitBreakerStore | Scope.Scope
> {
  const { failures = 5, isFailure = isFailureByDefault, openDuration = "30 seconds", rate } = options
  const keyOf = Limits.keyOf(options.key, client.provider)
  const maxOpenDuration = Duration.fromInputUnsafe(options.maxOpenDuration ?? "5 minutes")
  const breaker = yield* Breaker.make({
    tripPolicy: rate === undefined ? Breaker.consecutive(failures) : Breaker.rate({ size: 20, ...rate }),
    openDuration,
    maxOpenDuration,
    onStoreError: onStoreError === "open" ? "allow" : "fail"
  })
  yield* breaker.transitions.pipe(
    Stream.runForEach(({ from, key, to }) =>
      Effect.annotateLogs(
        to === "Open" ? Effect.logWarning("circuit opened") : Effect.logInfo(`circuit ${to}`),
        { key, from }
      )
    ),
    Effect.forkScoped
  )

  // Until when a provider asked to be left alone, by key. The store looks at the hint of the last failure alone.
  const hints = new Map<string, number>()
  const longest = (key: string, retryAfter: Duration.Duration | undefined, now: number) => {
    for (const [key, until] of hints) if (until <= now) hints.delete(key)
    if (retryAfter !== undefined) {
      const until = now + Duration.toMillis(Duration.min(retryAfter, maxOpenDuration))
      hints.set(key, Math.max(hints.get(key) ?? 0, until))
    }
    const until = hints.get(key)
    return until === undefined ? Breaker.failure() : Breaker.failure({ retryAfter: until - now })
  }

  const outcome = (key: string, ended: Ended): Effect.Effect<Breaker.Outcome> =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      if (ended._tag === "Left") return Breaker.ignored
      if (ended._tag === "Failed") {
        if (Limits.isUnsent(ended.error)) return Breaker.ignored
        if (isFailure(ended.error)) return longest(key, ended.error.retryAfter, now)
      }
      hints.delete(key)
      return Breaker.success
    })

  const refusals = {
    CircuitOpen: "the circuit is open after failures",
    CircuitHalfOpen: "the circuit is open after failures, and a call is trying whether that is over",
    CircuitBreakerStoreError: "the store of circuits cannot be reached"
  } satisfies Record<Breaker.CircuitBreakerErrorReason["_tag"], string>

  const refusal = (completion: Completion, { reason }: Breaker.CircuitBreakerError): LLMError =>
    makeError("Transient", {
      provider: client.provider,
      model: completion.model ?? "",
      reason: "Overloaded",
      description: refusals[reason._tag],
      ...(reason._tag !== "CircuitBreakerStoreError" && { code: Limits.circuitOpen, retryable: false }),
      ...(reason._tag === "CircuitOpen" && { retryAfter: reason.retryAfter })
    })

  const before = Effect.fnUntraced(function*(completion: Completion, restore: Restore) {
    const key = keyOf(completion)
    const admitted = yield* Deferred.make<void>()
    const ended = yield* Deferred.make<Ended>()
    const fiber = yield* Effect.andThen(Deferred.succeed(admitted, undefined), Deferred.await(ended)).pipe(
      breaker.execute({
        key,
        classify: (exit) => Exit.isSuccess(exit) ? outcome(key, exit.value) : Breaker.ignored
      }),
      // It would report every call that the store does not know of; that the store is gone is said once.
      Effect.provideService(References.UnhandledLogLevel, undefined),
      Effect.forkDetach({ startImmediately: true })
    )
    yield* restore(Effect.raceFirst(Deferred.await(admitted), Fiber.join(fiber))).pipe(
      Effect.onInterrupt(() => Fiber.interrupt(fiber)),
      Effect.mapError((error) => refusal(completion, error))
    )
    return { fiber, ended } satisfies Running as Running
  })

  const after = ({ ended, fiber }: Running, how: Ended): Effect.Effect<void> =>
    Effect.andThen(Deferred.succeed(ended, how), Effect.asVoid(Fiber.await(fiber)))

  return around(client, before, after)
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
        return { ...client, ...yield* decorate(client, options, "open") }
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
      check(options, storeNames)
      Limits.checkStore(owner, options)
      const client = yield* LLMClient
      const { onStoreError = "open", storeTimeout, ...rest } = options
      const store = yield* Breaker.CircuitBreakerStore
      const inTime = Limits.inTime(storeTimeout, () =>
        new Breaker.CircuitBreakerError({
          reason: new Breaker.CircuitBreakerStoreError({ message: "the store does not answer" })
        }))
      const storeIs = Limits.watching("the store of circuits", onStoreError)
      const watched = <A, R>(self: Effect.Effect<A, Breaker.CircuitBreakerError, R>) =>
        Effect.onExit(inTime(self), (exit) => {
          const error = Option.getOrUndefined(Exit.findErrorOption(exit))
          return storeIs(error?.reason._tag !== "CircuitBreakerStoreError")
        })
      const bounded = {
        admit: (key) => watched(store.admit(key)),
        record: (call) => watched(store.record(call)),
        state: store.state
      } satisfies typeof store
      return {
        ...client,
        ...yield* Effect.provideService(
          decorate(client, rest, onStoreError),
          Breaker.CircuitBreakerStore,
          bounded
        )
      }
    })
  ))

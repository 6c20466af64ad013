/**
 * Keeps calls within a provider's limits before the provider has to refuse them: requests and tokens per minute, and
 * concurrent calls. A call that does not fit waits in a first-come, first-served queue.
 *
 * Use it when several fibers, or several processes, share one account. It belongs below `Retry`, so that every attempt
 * is counted, and above `Budget`, so that a waiting call has reserved nothing.
 *
 * ```ts
 * import { Anthropic, LLMClient, Retry, Throttle } from "effect-llm"
 *
 * const Claude = LLMClient.compose(
 *   Retry.layer(),
 *   Throttle.layer({ requestsPerMinute: 50, inputTokensPerMinute: 30_000, concurrency: 8 }),
 *   Anthropic.layerConfig()
 * )
 * ```
 *
 * Tokens are estimated before a call, and corrected with the reported usage after it. Limits that providers report
 * are respected too. A call that waits too long, or finds the queue full, fails as `RateLimit` with the code
 * `throttled` and `retryable: false`. `layer` counts in this process, `layerStore` in a store that several processes
 * share: see `docs/limits.md`.
 */

import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import type * as Layer from "effect/Layer"
import type * as RateLimiter from "effect/persistence/RateLimiter"
import type { Completion } from "./Completion.ts"
import * as Estimate from "./Estimate.ts"
import { Deadline, type LLMClient, middleware, Patience, type Service } from "./LLMClient.ts"
import { type LLMError, make as makeError, type RateLimitReason } from "./LLMError.ts"
import { around, type Ended, type Restore } from "./middleware/around.ts"
import * as Counting from "./middleware/counting.ts"
import * as Keyed from "./middleware/keyed.ts"
import * as Limits from "./middleware/keys.ts"
import * as Lane from "./middleware/lane.ts"
import * as Check from "./middleware/options.ts"
import { mostOutput, outputLimits } from "./middleware/outputLimits.ts"
import { limitsIn, requestedWait, type Tokens, usedBy } from "./middleware/settlement.ts"
import * as Steady from "./middleware/steady.ts"
import * as Store from "./middleware/store.ts"

export type { Tokens }

/** Limits of each key; those that are left out are off. */
export interface Options {
  readonly requestsPerMinute?: number
  /** Input and output together. Cached input counts too. */
  readonly tokensPerMinute?: number
  readonly inputTokensPerMinute?: number
  readonly outputTokensPerMinute?: number
  /** Calls that run at the same time in this process. */
  readonly concurrency?: number
  /** How many calls may wait, also for the store; another one fails at once. No limit unless given. */
  readonly maxQueue?: number
  /** The longest wait of a call; 10 minutes unless given. */
  readonly maxWait?: Duration.Input
  /**
   * The expected output tokens of a call that has no limit, neither `maxTokens` nor a provider's own field. 1,024 unless
   * given.
   */
  readonly outputTokens?: number
  /** Your own estimate of what a call will use. */
  readonly estimate?: (completion: Completion) => Tokens
  /**
   * Calls with the same key share the limits; the provider and the model unless given. A text is put before them, for
   * example the name of the account; a function returns the whole key. It is written to logs and to the store: no secrets.
   */
  readonly key?: Limits.Key
}

/** The same, counted in a store. */
export interface StoreOptions extends Options, Limits.StoreOptions {}

const owner = "Throttle"
const limitsOf = (options: Options): ReadonlyArray<Lane.Limit> =>
  ([
    ["requests", options.requestsPerMinute, "Requests", () => 1],
    ["input tokens", options.inputTokensPerMinute, "Tokens", ({ inputTokens }) => inputTokens],
    ["output tokens", options.outputTokensPerMinute, "Tokens", ({ outputTokens }) => outputTokens],
    ["tokens", options.tokensPerMinute, "Tokens", ({ inputTokens, outputTokens }) => inputTokens + outputTokens]
  ] satisfies ReadonlyArray<readonly [string, number | undefined, RateLimitReason, Lane.Limit["of"]]>).flatMap(
    ([name, perMinute, reason, of]) => perMinute === undefined ? [] : [{ name, perMinute, reason, of }]
  )

const names = {
  requestsPerMinute: true,
  tokensPerMinute: true,
  inputTokensPerMinute: true,
  outputTokensPerMinute: true,
  concurrency: true,
  maxQueue: true,
  maxWait: true,
  outputTokens: true,
  estimate: true,
  key: true
} satisfies Record<keyof Options, true>

const counts = [
  "requestsPerMinute",
  "tokensPerMinute",
  "inputTokensPerMinute",
  "outputTokensPerMinute",
  "concurrency",
  "maxQueue",
  "outputTokens"
] as const satisfies ReadonlyArray<keyof Options>

const check = (options: Options, more: object = {}): void => {
  Check.known(owner, options, Object.keys({ ...names, ...more }))
  for (const name of counts) Check.wholeNumber(owner, name, options[name])
  Check.duration(owner, "maxWait", options.maxWait)
  Check.callable(owner, "estimate", options.estimate)
  Limits.checkKey(owner, options.key)
}

// A custom estimate may be anything; invalid numbers count as 0.
const whole = (value: number): number => value > 0 ? Math.ceil(value) : 0

const estimateOf = ({ estimate, outputTokens = 1024 }: Options, completion: Completion, provider: string): Tokens => {
  const tokens = estimate?.(completion) ?? {
    inputTokens: Estimate.inputTokens(completion),
    outputTokens: mostOutput(outputLimits(completion, provider), outputTokens)
  }
  return { inputTokens: whole(tokens.inputTokens), outputTokens: whole(tokens.outputTokens) }
}

const decorate = (
  client: Service,
  options: Options,
  { asking, limiter, onStoreError, shared, writing }: Counting.Counting
): Pick<Service, "completion" | "stream"> => {
  const { concurrency = Number.POSITIVE_INFINITY, maxQueue = Number.POSITIVE_INFINITY } = options
  const maxWait = Duration.toMillis(options.maxWait ?? "10 minutes")
  const limits = limitsOf(options)
  const keyOf = Limits.keyOf(options.key, client)

  const steady = Steady.make()
  const lanes = Keyed.make((key) => Lane.make(key, shared), Lane.isIdle)

  const laneOf = Effect.fnUntraced(function*(completion: Completion, now: number) {
    const lane = lanes.get(yield* keyOf(completion), now)
    lane.until = Math.max(lane.until, now + Duration.toMillis(Lane.minute))
    if (lane.limiter === undefined) {
      const made = yield* limiter
      lane.limiter ??= made
    }
    return lane
  })

  const failure = <T extends LLMError["_tag"]>(
    tag: T,
    completion: Completion,
    fields: Omit<Parameters<typeof makeError<T>>[1], "provider" | "model">
  ): LLMError =>
    makeError(
      tag,
      { provider: client.provider, model: Limits.modelOf(completion, client), ...fields } as Parameters<
        typeof makeError<T>
      >[1]
    )

  const refusal = (lane: Lane.Lane, completion: Completion, why: string): Effect.Effect<never, LLMError> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const { reason = "Requests", until = Number.POSITIVE_INFINITY, what } = lane.blocked ?? {}
      return Effect.fail(failure("RateLimit", completion, {
        reason,
        code: Limits.throttled,
        // The call has waited as long as it may; a retry must not wait that long again.
        retryable: false,
        description: `our own limit, ${why}${what === undefined ? "" : `, waiting for ${what}`}`,
        retryAfter: Number.isFinite(until) && until > now ? Duration.millis(until - now) : undefined
      }))
    })

  /** Returns what a call took that was not sent. Its caller does not wait for a store. */
  const withdraw = (ticket: Lane.Ticket): Effect.Effect<void> =>
    Effect.suspend(() => {
      Lane.withdraw(ticket)
      return Effect.asVoid(writing(Effect.ignore(Lane.giveBack(ticket)), "left"))
    })

  /** Waits until this process's own knowledge admits the call. */
  const enter = Effect.fnUntraced(
    function*(ticket: Lane.Ticket, completion: Completion, from: number, longest: number) {
      const { lane } = ticket
      const deadline = from + longest
      while (true) {
        lane.ended.closeUnsafe()
        const now = yield* Clock.currentTimeMillis
        const blocked = Lane.enter(ticket, concurrency, now)
        lane.blocked = blocked
        if (blocked === undefined) return
        if ((blocked.certain || longest === 0) && blocked.until > deadline) {
          return yield* refusal(
            lane,
            completion,
            `it cannot be sent within ${Duration.format(Duration.millis(longest))}`
          )
        }
        const duration = Duration.millis(blocked.until - now)
        yield* Effect.annotateLogs(Effect.logDebug("throttling completion"), {
          key: lane.key,
          waitingFor: blocked.what,
          delay: Duration.format(duration),
          behind: lane.waiting - 1
        })
        yield* Effect.timeoutOrElse(lane.ended.await, { duration, orElse: () => Effect.void })
      }
    }
  )

  /** Takes from the limits; returns whether the call may be sent. */
  const take = (ticket: Lane.Ticket, completion: Completion): Effect.Effect<boolean, LLMError> =>
    Lane.take(ticket, limits).pipe(
      Effect.tapError((error) => {
        const { lane } = ticket
        if (lane.warned || !Store.isOfKey(error)) return Effect.void
        lane.warned = true
        return Effect.annotateLogs(Effect.logWarning(Store.keyIsTaken), { key: lane.key })
      }),
      Effect.catchTag(
        "RateLimiterError",
        (cause) =>
          onStoreError === "open" ? Effect.undefined : Effect.fail(failure("Transient", completion, {
            reason: "Overloaded",
            code: Limits.storeUnreachable,
            description: `the limit store cannot be reached: ${cause.message}`
          }))
      ),
      Effect.flatMap((blocked) => blocked === undefined ? Effect.succeed(true) : Effect.as(withdraw(ticket), false)),
      (self) => asking(self, withdraw(ticket))
    )

  /** Waits in the queue until the call may be sent. Several calls may ask a shared store at the same time. */
  const admit = Effect.fnUntraced(function*(
    ticket: Lane.Ticket,
    completion: Completion,
    from: number,
    longest: number
  ) {
    const first = ticket.lane.head.withPermit
    const asks = Effect.gen(function*() {
      do yield* (shared ? first : identity)(enter(ticket, completion, from, longest))
      while (!(yield* take(ticket, completion)))
    })
    yield* (shared ? identity : first)(asks)
  })

  /** The longest wait of a call, within its Fallback's patience and before its deadline. */
  const longestWait = Effect.fnUntraced(function*(completion: Completion, today: number) {
    const patience = yield* Patience
    const deadline = yield* Deadline
    const refused = failure("RateLimit", completion, { reason: "Requests", code: Limits.throttled, description: "" })
    const patient = patience !== undefined && Limits.isFallbackReady(patience, refused)
      ? patience.waiting
      : Number.POSITIVE_INFINITY
    return Math.max(0, Math.min(maxWait, patient, (deadline?.at ?? Number.POSITIVE_INFINITY) - today))
  })

  const before = Effect.fnUntraced(function*(completion: Completion, restore: Restore, today: number) {
    const now = yield* Clock.currentTimeMillis
    const lane = yield* laneOf(completion, now)
    if (lane.waiting >= maxQueue) return yield* refusal(lane, completion, `${maxQueue} calls are waiting already`)
    const ticket: Lane.Ticket = {
      lane,
      estimate: estimateOf(options, completion, client.provider),
      taken: [],
      running: false,
      began: undefined
    }
    const patience = yield* Patience
    const longest = yield* longestWait(completion, today)
    lane.waiting++
    const admitted = admit(ticket, completion, now, longest).pipe(
      Effect.timeoutOrElse({
        duration: Math.max(1, longest),
        orElse: () => refusal(lane, completion, `waited for ${Duration.format(Duration.millis(longest))}`)
      })
    )
    yield* Effect.onExit(restore(admitted), (exit) =>
      Effect.flatMap(Clock.currentTimeMillis, (then) => {
        lane.waiting--
        if (patience !== undefined) patience.waiting = Math.max(0, patience.waiting - (then - now))
        if (Exit.isSuccess(exit)) return Effect.void
        return Effect.andThen(withdraw(ticket), Effect.sync(() => Lane.wake(lane)))
      }))
    return ticket
  })

  /** Learns the limits in the provider's headers, which for a stream arrived when it began. */
  const settle = Effect.fnUntraced(function*(ticket: Lane.Ticket, ended: Ended) {
    const { estimate, lane, taken } = ticket
    if (ended._tag === "Failed" && Limits.isNotSent(ended.error)) {
      yield* withdraw(ticket)
      return Lane.wake(lane)
    }
    const now = yield* Lane.see(lane)
    const seen = ticket.began ?? now
    Lane.learn(lane, limitsIn(ended)?.requests, seen)
    const wait = requestedWait(ended, Duration.millis(now.at - seen.at))
    Lane.pause(lane, wait, now.at)
    // A permit is free when the call has ended; it does not wait for the store.
    if (shared) Lane.leave(ticket)
    const used = usedBy(ended, estimate)
    const known = Effect.all([
      Lane.sharePause(lane, wait),
      Effect.forEach(taken, (one) => Lane.correct(lane, one, one.limit.of(used)), Lane.atOnce(lane))
    ], Lane.atOnce(lane))
    yield* writing(
      // The store may be unreachable.
      Effect.andThen(Effect.ignore(known), Effect.sync(() => Lane.leave(ticket))),
      ended._tag === "Left" ? "left" : "awaited"
    )
  })

  return around(client, {
    before: (completion, restore) =>
      Effect.flatMap(Clock.currentTimeMillis, (today) => steady(before(completion, restore, today))),
    began: (ticket) =>
      Effect.map(steady(Lane.see(ticket.lane)), (seen) => {
        ticket.began = seen
      }),
    after: (ticket, ended) => steady(settle(ticket, ended))
  })
}

/**
 * Keeps the calls of the client below within limits that are counted in this process. Invalid or unknown options are a
 * defect of the layer that names them.
 */
export const layer = (options: Options): Layer.Layer<LLMClient, never, LLMClient> =>
  middleware((client) => {
    check(options)
    return decorate(client, options, Counting.inMemory)
  })

/**
 * The same, with limits that are counted in a store, for all processes that share it: provide
 * `RateLimiter.layerStoreRedis` from `effect/persistence/RateLimiter`, with a connection.
 */
export const layerStore = (
  options: StoreOptions
): Layer.Layer<LLMClient, never, LLMClient | RateLimiter.RateLimiterStore> =>
  middleware((client) =>
    Effect.suspend(() => {
      check(options, Limits.storeNames)
      Limits.checkStore(owner, options)
      return Effect.map(Counting.inStore(options), (counting) => decorate(client, options, counting))
    })
  )

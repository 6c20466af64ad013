/**
 * Keeps calls within a provider's limits before the provider has to refuse them: requests and tokens per minute, and
 * calls at once. A call that does not fit waits in a fair queue, first come, first served.
 *
 * Use it when several fibers, or several processes, share one account. It belongs below `Retry`, next to the provider,
 * so that every attempt is counted.
 *
 * ```ts
 * import { Layer } from "effect"
 * import { Anthropic, Retry, Throttle } from "effect-llm"
 *
 * const Claude = Retry.layer().pipe(
 *   Layer.provide(Throttle.layer({ requestsPerMinute: 50, inputTokensPerMinute: 30_000, concurrency: 8 })),
 *   Layer.provide(Anthropic.layerConfig())
 * )
 * ```
 *
 * - Tokens are estimated before a call, and corrected by what the provider reports after it. A call that is estimated
 *   above a whole minute's tokens takes the whole minute. What was estimated too high is given back while its minute
 *   runs; what was estimated too low is charged to the minute that runs when it is known.
 * - What providers say of their own limits is heeded, whatever is configured: when so many requests are left until a
 *   reset, no more are sent from here; when nothing is left of a limit, or a failed call shall wait (`retryAfter` of
 *   `RateLimit` and `Transient`), all calls of the key wait for that long, at most an hour. A `RateLimit` without such a hint makes
 *   nobody wait: retrying it is up to `Retry`.
 * - What was taken of a limit comes back as a whole, once it has had its share of the minute: of 60 requests per minute,
 *   20 at once come back after 20 seconds, and 60 after a minute. So never more is sent than a bucket allows that is
 *   refilled steadily, as providers count.
 * - A call that waits too long, or finds the queue full, fails as `RateLimit` with the code `throttled`, and
 *   `retryAfter` where it is known.
 * - A stream is a call until its last part. A waiting call that is interrupted has taken nothing.
 *
 * `layer` counts in the process. `layerStore` counts in a store, for all processes that share it:
 *
 * ```ts
 * import * as NodeRedis from "@effect/platform-node/NodeRedis"
 * import { Layer } from "effect"
 * import { Anthropic, Throttle } from "effect-llm"
 * import * as RateLimiter from "effect/persistence/RateLimiter"
 *
 * const Claude = Throttle.layerStore({ requestsPerMinute: 50 }).pipe(
 *   Layer.provide(Anthropic.layerConfig()),
 *   Layer.provide(RateLimiter.layerStoreRedis({ prefix: "claude:" })),
 *   Layer.provide(NodeRedis.layer({ url: "redis://localhost" }))
 * )
 * ```
 *
 * What a provider told one process to wait for then holds for all of them. `concurrency`, `maxQueue` and the order of
 * the queue are each process's own, and hold also while the store cannot be reached.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as RateLimiter from "effect/persistence/RateLimiter"
import * as Result from "effect/Result"
import * as Semaphore from "effect/Semaphore"
import type { Completion } from "./Completion.ts"
import { around, type Ended, type Restore } from "./internal/around.ts"
import * as Estimate from "./internal/estimate.ts"
import * as Limits from "./internal/limits.ts"
import * as Check from "./internal/options.ts"
import { limitsIn, type Tokens, toldToWait, usedBy } from "./internal/settlement.ts"
import { LLMClient, middleware, type Service } from "./LLMClient.ts"
import { type LLMError, make as makeError, type RateLimitReason } from "./LLMError.ts"
import type { Window } from "./RateLimits.ts"

export type { Tokens }

/** Limits of each key; what is left out is not limited. */
export interface Options {
  readonly requestsPerMinute?: number
  /** Input and output together. Cached input counts too. */
  readonly tokensPerMinute?: number
  readonly inputTokensPerMinute?: number
  readonly outputTokensPerMinute?: number
  /** Calls that run at the same time in this process. */
  readonly concurrency?: number
  /** Calls that may wait, be it for the store; another one fails at once. As many as come, unless set. */
  readonly maxQueue?: number
  /** The longest that a call waits. 10 minutes unless set. */
  readonly maxWait?: Duration.Input
  /** The output tokens to expect of a call that sets no `maxTokens`. 1024 unless set. */
  readonly outputTokens?: number
  /** Your own estimate of what a call will use. */
  readonly estimate?: (completion: Completion) => Tokens
  /**
   * Whose calls share the limits: those of one provider and model, unless set. A text comes before those, such as the
   * name of the account; a function gives the whole key. It is written to logs and to the store: no secrets.
   */
  readonly key?: Limits.Key
}

/** The same, counted in a store. */
export interface StoreOptions extends Options, Limits.StoreOptions {}

const owner = "Throttle"
const minute = Duration.minutes(1)
const longestPause = Duration.toMillis(Duration.hours(1))

interface Limit {
  readonly name: string
  readonly perMinute: number
  readonly reason: RateLimitReason
  /** What a call takes of it. */
  readonly of: (tokens: Tokens) => number
}

/** What a key knows of the minute in which it last took of a limit. */
interface Minute {
  until: number
}

/** Why the first call of the queue waits. */
interface Blocked {
  readonly what: string
  readonly reason: RateLimitReason
  /** When it may go on, in epoch milliseconds; unknown when it waits for another call to end. */
  readonly until: number
  /** Whether it must wait so long, whatever other calls give back or find out. */
  readonly certain: boolean
}

/** The state of one key. */
interface Lane {
  readonly key: string
  readonly limiter: RateLimiter.RateLimiter
  /** Held by the first of the queue: the only one that asks whether it may go. */
  readonly head: Semaphore.Semaphore
  /** Opened when a call ends: what it gives back may be what the first of the queue waits for. */
  readonly ended: Latch.Latch
  readonly minutes: Map<Limit, Minute>
  blocked: Blocked | undefined
  /** Requests that the provider has left for us, and until when: what it said last, less what was sent since. */
  left: { requests: number; readonly until: number } | undefined
  waiting: number
  running: number
  /** Until when its counts matter. */
  until: number
}

interface Taken {
  readonly limit: Limit
  readonly tokens: number
  readonly minute: Minute
}

/** What one call has taken. */
interface Ticket {
  readonly lane: Lane
  readonly estimate: Tokens
  readonly taken: Array<Taken>
  running: boolean
}

const limitsOf = (options: Options): ReadonlyArray<Limit> =>
  ([
    ["requests", options.requestsPerMinute, "Requests", () => 1],
    ["input tokens", options.inputTokensPerMinute, "Tokens", ({ inputTokens }) => inputTokens],
    ["output tokens", options.outputTokensPerMinute, "Tokens", ({ outputTokens }) => outputTokens],
    ["tokens", options.tokensPerMinute, "Tokens", ({ inputTokens, outputTokens }) => inputTokens + outputTokens]
  ] satisfies ReadonlyArray<readonly [string, number | undefined, RateLimitReason, Limit["of"]]>).flatMap(
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

const storeNames = { onStoreError: true, storeTimeout: true } satisfies Record<keyof Limits.StoreOptions, true>

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
  Limits.checkKey(owner, options.key)
}

// An estimate may be anything; what is no number of tokens is none.
const whole = (value: number): number => value > 0 ? Math.ceil(value) : 0

const estimateOf = ({ estimate, outputTokens = 1024 }: Options, completion: Completion): Tokens => {
  const tokens = estimate?.(completion) ?? {
    inputTokens: Estimate.inputTokens(completion),
    outputTokens: completion.maxTokens ?? outputTokens
  }
  return { inputTokens: whole(tokens.inputTokens), outputTokens: whole(tokens.outputTokens) }
}

const makeLane = (key: string, limiter: RateLimiter.RateLimiter): Lane => ({
  key,
  limiter,
  head: Semaphore.makeUnsafe(1),
  ended: Latch.makeUnsafe(),
  minutes: new Map(),
  blocked: undefined,
  left: undefined,
  waiting: 0,
  running: 0,
  until: 0
})

const decorate = (
  client: Service,
  options: Options,
  limiter: Effect.Effect<RateLimiter.RateLimiter>,
  onStoreError: Limits.OnStoreError
): Pick<Service, "completion" | "stream"> => {
  const { concurrency = Number.POSITIVE_INFINITY, maxQueue = Number.POSITIVE_INFINITY } = options
  const maxWait = Duration.fromInputUnsafe(options.maxWait ?? Duration.minutes(10))
  const limits = limitsOf(options)
  const keyOf = Limits.keyOf(options.key, client.provider)

  const lanes = new Map<string, Lane>()
  let sweptAt = 0

  const sweep = (now: number): void => {
    if (now - sweptAt < Duration.toMillis(minute)) return
    sweptAt = now
    for (const [key, lane] of lanes) {
      if (lane.waiting === 0 && lane.running === 0 && lane.until <= now) lanes.delete(key)
    }
  }

  const laneOf = Effect.fnUntraced(function*(completion: Completion, now: number) {
    const key = keyOf(completion)
    // A key may be made of what users send, so that those which are not used must go.
    sweep(now)
    if (!lanes.has(key)) {
      const made = makeLane(key, yield* limiter)
      if (!lanes.has(key)) lanes.set(key, made)
    }
    const lane = lanes.get(key)!
    lane.until = Math.max(lane.until, now + Duration.toMillis(minute))
    return lane
  })

  const failure = (tag: LLMError["_tag"], completion: Completion, fields: object): LLMError =>
    makeError(tag, { provider: client.provider, model: completion.model ?? "", ...fields })

  const refusal = (lane: Lane, completion: Completion, why: string): Effect.Effect<never, LLMError> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const { reason = "Requests", until = Number.POSITIVE_INFINITY, what } = lane.blocked ?? {}
      return Effect.fail(failure("RateLimit", completion, {
        reason,
        code: Limits.throttled,
        description: `our own limit, ${why}${what === undefined ? "" : `, waiting for ${what}`}`,
        retryAfter: Number.isFinite(until) && until > now ? Duration.millis(until - now) : undefined
      }))
    })

  const storeIs = Limits.watching("the store of limits", onStoreError)

  /** Counts tokens beyond what was taken of a limit, or fewer. */
  const correct = (lane: Lane, { limit, minute: taken, tokens }: Taken, used: number) =>
    Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      // Given to a minute that did not take it, it would allow more than the limit.
      if (used === tokens || used < tokens && (lane.minutes.get(limit) !== taken || taken.until <= now)) return
      const { resetAfter } = yield* lane.limiter.consume({
        key: `${lane.key}:${limit.name}`,
        limit: limit.perMinute,
        window: minute,
        tokens: used - tokens,
        onExceeded: "delay"
      })
      taken.until = now + Duration.toMillis(resetAfter)
      lane.until = Math.max(lane.until, taken.until)
    })

  const giveBack = ({ lane, taken }: Ticket) =>
    Effect.forEach(taken.splice(0), (one) => correct(lane, one, 0), { discard: true })

  const asked = (lane: Lane) =>
    lane.limiter.adaptiveConsume({
      key: lane.key,
      // Without tokens the store learns no rate of its own, and is no more than a pause that all can see.
      tokens: 0,
      fallbackLimit: 1,
      fallbackWindow: minute
    })

  const pause = Effect.fnUntraced(function*(lane: Lane, duration: Duration.Duration) {
    const { epoch } = yield* asked(lane)
    yield* lane.limiter.adaptiveFeedback({ key: lane.key, epoch, tokens: 0, status: 429, retryAfter: duration })
    lane.until = Math.max(lane.until, (yield* Clock.currentTimeMillis) + Duration.toMillis(duration))
  })

  /** Takes of every limit, or of none: then it says why. */
  const take = Effect.fnUntraced(function*(ticket: Ticket) {
    const { estimate, lane } = ticket
    const blocked = (
      what: string,
      reason: RateLimitReason,
      now: number,
      wait: Duration.Duration,
      certain: boolean
    ): Blocked => ({ what, reason, until: now + Math.max(1, Math.ceil(Duration.toMillis(wait))), certain })
    if (lane.running >= concurrency) {
      return {
        what: `one of ${concurrency} calls to end`,
        reason: "Requests",
        until: Number.POSITIVE_INFINITY,
        certain: false
      } as const
    }
    const { delay } = yield* asked(lane)
    const now = yield* Clock.currentTimeMillis
    if (!Duration.isZero(delay)) return blocked("as long as the provider asks", "Requests", now, delay, true)
    const { left } = lane
    if (left !== undefined && left.until > now && left.requests < 1) {
      const wait = Duration.millis(left.until - now)
      return blocked("requests that the provider has left", "Requests", now, wait, lane.running === 0)
    }
    for (const limit of limits) {
      const tokens = Math.min(limit.of(estimate), limit.perMinute)
      const result = yield* Effect.result(lane.limiter.consume({
        key: `${lane.key}:${limit.name}`,
        limit: limit.perMinute,
        window: minute,
        tokens,
        onExceeded: "fail"
      }))
      if (Result.isFailure(result)) {
        const { reason } = result.failure
        if (reason._tag === "RateLimitStoreError") return yield* result.failure
        yield* giveBack(ticket)
        // Tokens may be given back before their minute ends.
        const certain = limit.reason !== "Tokens"
        return blocked(`${limit.perMinute} ${limit.name} per minute`, limit.reason, now, reason.retryAfter, certain)
      }
      const known = lane.minutes.get(limit)
      const isNew = known === undefined || known.until <= now || result.success.remaining + tokens >= limit.perMinute
      const current: Minute = isNew ? { until: 0 } : known
      current.until = now + Duration.toMillis(result.success.resetAfter)
      lane.minutes.set(limit, current)
      lane.until = Math.max(lane.until, current.until)
      ticket.taken.push({ limit, tokens, minute: current })
    }
    return undefined
  })

  /** Writes down what is known now, and makes room for the next. */
  const leave = (ticket: Ticket, writing: Effect.Effect<void, RateLimiter.RateLimiterError>): Effect.Effect<void> =>
    writing.pipe(
      Effect.catchTag("RateLimiterError", () => storeIs(false)),
      Effect.andThen(Effect.sync(() => {
        if (ticket.running) ticket.lane.running--
        ticket.lane.ended.openUnsafe()
      }))
    )

  /** Asks until the call may go; then it runs. */
  const go = Effect.fnUntraced(function*(ticket: Ticket, completion: Completion, deadline: number) {
    const { lane } = ticket
    const attempt = Effect.gen(function*() {
      lane.ended.closeUnsafe()
      const blocked = yield* take(ticket)
      yield* storeIs(true)
      return blocked
    }).pipe(
      Effect.catchTag("RateLimiterError", (cause) =>
        Effect.andThen(
          storeIs(false),
          onStoreError === "open" ? Effect.undefined : Effect.fail(failure("Transient", completion, {
            reason: "Overloaded",
            description: `the store of limits cannot be reached: ${cause.message}`
          }))
        )),
      Effect.tap((blocked) =>
        Effect.sync(() => {
          lane.blocked = blocked
          if (blocked !== undefined) return
          ticket.running = true
          lane.running++
          if (lane.left !== undefined) lane.left.requests--
        })
      ),
      Effect.uninterruptible
    )
    while (true) {
      const blocked = yield* attempt
      if (blocked === undefined) return
      if (blocked.certain && blocked.until > deadline) {
        return yield* refusal(lane, completion, `it cannot go within ${Duration.format(maxWait)}`)
      }
      const wait = Duration.millis(blocked.until - (yield* Clock.currentTimeMillis))
      yield* Effect.annotateLogs(Effect.logDebug("throttling completion"), {
        key: lane.key,
        waitingFor: blocked.what,
        delay: Duration.format(wait),
        behind: lane.waiting - 1
      })
      yield* Effect.timeoutOrElse(lane.ended.await, { duration: wait, orElse: () => Effect.void })
    }
  })

  const before = Effect.fnUntraced(function*(completion: Completion, restore: Restore) {
    const now = yield* Clock.currentTimeMillis
    const lane = yield* laneOf(completion, now)
    if (lane.waiting >= maxQueue) return yield* refusal(lane, completion, `${maxQueue} calls are waiting already`)
    const ticket: Ticket = { lane, estimate: estimateOf(options, completion), taken: [], running: false }
    lane.waiting++
    const admitted = lane.head.withPermit(go(ticket, completion, now + Duration.toMillis(maxWait))).pipe(
      Effect.timeoutOrElse({
        duration: maxWait,
        orElse: () => refusal(lane, completion, `waited for ${Duration.format(maxWait)}`)
      })
    )
    yield* Effect.onExit(restore(admitted), (exit) => {
      lane.waiting--
      return Exit.isSuccess(exit) ? Effect.void : leave(ticket, giveBack(ticket))
    })
    return ticket
  })

  /** Whether the provider has counted the calls under way is not known: as they end, it says more. */
  const learn = (lane: Lane, { remaining, resetAfter }: Window = {}): Effect.Effect<void> =>
    remaining === undefined || resetAfter === undefined
      ? Effect.void
      : Effect.map(Clock.currentTimeMillis, (now) => {
        const until = now + Math.min(Duration.toMillis(resetAfter), longestPause)
        lane.left = { requests: remaining - (lane.running - 1), until }
        lane.until = Math.max(lane.until, until)
      })

  const after = (ticket: Ticket, ended: Ended): Effect.Effect<void> => {
    const { lane, taken } = ticket
    const used = usedBy(ended, ticket.estimate)
    const wait = toldToWait(ended)
    return leave(
      ticket,
      learn(lane, limitsIn(ended)?.requests).pipe(
        Effect.andThen(Duration.isZero(wait) ? Effect.void : pause(lane, wait)),
        Effect.andThen(Effect.forEach(taken, (one) => correct(lane, one, one.limit.of(used)), { discard: true }))
      )
    )
  }

  return around(client, before, after)
}

// Each key has a store of its own, which goes when the key goes: Effect's keeps every key that it ever saw.
const inMemory = Effect.provide(RateLimiter.make, Layer.fresh(RateLimiter.layerStoreMemory))

const bounded = (limiter: RateLimiter.RateLimiter, timeout: Duration.Input | undefined): RateLimiter.RateLimiter => {
  const inTime = Limits.inTime(timeout, () =>
    new RateLimiter.RateLimiterError({
      reason: new RateLimiter.RateLimitStoreError({ message: "the store does not answer" })
    }))
  return {
    ...limiter,
    consume: (options) => inTime(limiter.consume(options)),
    adaptiveConsume: (options) => inTime(limiter.adaptiveConsume(options)),
    adaptiveFeedback: (options) => inTime(limiter.adaptiveFeedback(options))
  }
}

/**
 * Keeps the calls of the client below within limits that are counted in this process. Options that cannot be kept, or
 * that do not exist, fail the layer as a defect that names them.
 */
export const layer = (options: Options): Layer.Layer<LLMClient, never, LLMClient> =>
  middleware((client) => {
    check(options)
    return decorate(client, options, inMemory, "open")
  })

/**
 * The same, with limits that are counted in a store, for all processes that share it: provide
 * `RateLimiter.layerStoreRedis` from `effect/persistence/RateLimiter`, with a connection.
 */
export const layerStore = (
  options: StoreOptions
): Layer.Layer<LLMClient, never, LLMClient | RateLimiter.RateLimiterStore> =>
  Layer.fresh(Layer.effect(
    LLMClient,
    Effect.gen(function*() {
      check(options, storeNames)
      Limits.checkStore(owner, options)
      const client = yield* LLMClient
      const limiter = bounded(yield* RateLimiter.make, options.storeTimeout)
      return { ...client, ...decorate(client, options, Effect.succeed(limiter), options.onStoreError ?? "open") }
    })
  ))

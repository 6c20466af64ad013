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
 *   runs; what was estimated too low is charged to the minute that runs when it is known. A call that was refused below
 *   before it was sent gives everything back, its request too.
 * - What providers say of their own limits is heeded, whatever is configured: when so many requests are left until a
 *   reset, no more are sent from here; when nothing is left of a limit, or a failed call shall wait (`retryAfter` of
 *   `RateLimit` and `Transient`), all calls of the key wait for that long, at most an hour. What a stream's headers say counts from its first part. A `RateLimit` without such a hint makes
 *   nobody wait: retrying it is up to `Retry`.
 * - What was taken of a limit comes back as a whole, once it has had its share of the minute: of 60 requests per minute,
 *   20 at once come back after 20 seconds, and 60 after a minute. So never more is sent than a bucket allows that is
 *   refilled steadily, as providers count.
 * - A call that waits too long, or finds the queue full, fails as `RateLimit` with the code `throttled`,
 *   `retryable: false`, and `retryAfter` where it is known: it is not for `Retry` to wait again, but a fallback goes on.
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
 *   Layer.provide(NodeRedis.layer({ url: "redis://localhost", disableOfflineQueue: true }))
 * )
 * ```
 *
 * - What a provider told one process to wait for then holds for all of them. `concurrency`, `maxQueue`, how many requests
 *   the provider has left and the order of the queue are each process's own, and hold also while the store is gone.
 * - The first connection must succeed: the layer of a Redis that is not there fails. Later a store that fails, or takes
 *   longer than `storeTimeout`, counts as gone for a second, and longer each time that it is found to be gone still, up to
 *   30 seconds; calls do not wait for it meanwhile, and the logs say once that it is gone and once that it is back.
 *   Without `disableOfflineQueue` a connection that is lost keeps commands for later, and the layer does not close.
 * - Of tokens that were estimated too high only those are given back that time has not brought back yet: a process does
 *   not know when the minute ended that others take of too. So estimates matter more than in one process.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as RateLimiter from "effect/persistence/RateLimiter"
import type { Completion } from "./Completion.ts"
import { LLMClient, middleware, type Service } from "./LLMClient.ts"
import { type LLMError, make as makeError, type RateLimitReason } from "./LLMError.ts"
import { around, type Ended, type Restore } from "./middleware/around.ts"
import * as Counting from "./middleware/counting.ts"
import * as Estimate from "./middleware/estimate.ts"
import * as Limits from "./middleware/keys.ts"
import * as Lane from "./middleware/lane.ts"
import * as Check from "./middleware/options.ts"
import { Sent } from "./middleware/sent.ts"
import { limitsIn, type Tokens, toldToWait, usedBy } from "./middleware/settlement.ts"

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

// An estimate may be anything; what is no number of tokens is none.
const whole = (value: number): number => value > 0 ? Math.ceil(value) : 0

const estimateOf = ({ estimate, outputTokens = 1024 }: Options, completion: Completion): Tokens => {
  const tokens = estimate?.(completion) ?? {
    inputTokens: Estimate.inputTokens(completion),
    outputTokens: completion.maxTokens ?? outputTokens
  }
  return { inputTokens: whole(tokens.inputTokens), outputTokens: whole(tokens.outputTokens) }
}

const decorate = (
  client: Service,
  options: Options,
  { asking, limiter, onStoreError, shared, writing }: Counting.Counting
): Pick<Service, "completion" | "stream"> => {
  const { concurrency = Number.POSITIVE_INFINITY, maxQueue = Number.POSITIVE_INFINITY } = options
  const maxWait = Duration.fromInputUnsafe(options.maxWait ?? Duration.minutes(10))
  const limits = limitsOf(options)
  const keyOf = Limits.keyOf(options.key, client)

  const lanes = new Map<string, Lane.Lane>()
  let sweptAt = 0

  const sweep = (now: number): void => {
    if (now - sweptAt < Duration.toMillis(Lane.minute)) return
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
      const made = Lane.make(key, yield* limiter, shared)
      if (!lanes.has(key)) lanes.set(key, made)
    }
    const lane = lanes.get(key)!
    lane.until = Math.max(lane.until, now + Duration.toMillis(Lane.minute))
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
        // It has waited as long as it may: to wait as long again is not for a retry to decide.
        retryable: false,
        description: `our own limit, ${why}${what === undefined ? "" : `, waiting for ${what}`}`,
        retryAfter: Number.isFinite(until) && until > now ? Duration.millis(until - now) : undefined
      }))
    })

  /** Writes down what is known now, and makes room for the next; a store that is gone learns nothing. */
  const leave = (ticket: Lane.Ticket, known: Effect.Effect<void, RateLimiter.RateLimiterError>): Effect.Effect<void> =>
    Effect.andThen(
      Effect.ignore(known),
      Effect.sync(() => Lane.leave(ticket))
    )

  const unsent = (ticket: Lane.Ticket): Effect.Effect<void> =>
    Effect.andThen(
      Effect.sync(() => Lane.unsend(ticket)),
      leave(ticket, Lane.giveBack(ticket))
    )

  const full: Lane.Blocked = {
    what: `one of ${concurrency} calls to end`,
    reason: "Requests",
    until: Number.POSITIVE_INFINITY,
    certain: false
  }

  /** Asks until the call may go; then it runs. */
  const go = Effect.fnUntraced(function*(ticket: Lane.Ticket, completion: Completion, deadline: number) {
    const { lane } = ticket
    const attempt = Effect.suspend(() => {
      lane.ended.closeUnsafe()
      return lane.running >= concurrency ? Effect.succeed(full) : Lane.take(ticket, limits)
    }).pipe(
      Effect.catchTag(
        "RateLimiterError",
        (cause) =>
          onStoreError === "open" ? Effect.undefined : Effect.fail(failure("Transient", completion, {
            reason: "Overloaded",
            code: Limits.storeUnreachable,
            description: `the store of limits cannot be reached: ${cause.message}`
          }))
      ),
      (self) => asking(self, unsent(ticket))
    )
    while (true) {
      const blocked = yield* attempt
      lane.blocked = blocked
      if (blocked === undefined) return Lane.send(ticket)
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
    const ticket: Lane.Ticket = {
      lane,
      estimate: estimateOf(options, completion),
      taken: [],
      running: false,
      began: undefined
    }
    const sent = yield* Sent
    if (sent !== undefined) sent.waiting = true
    lane.waiting++
    const admitted = lane.head.withPermit(go(ticket, completion, now + Duration.toMillis(maxWait))).pipe(
      Effect.timeoutOrElse({
        duration: maxWait,
        orElse: () => refusal(lane, completion, `waited for ${Duration.format(maxWait)}`)
      })
    )
    yield* Effect.onExit(restore(admitted), (exit) => {
      lane.waiting--
      return Exit.isSuccess(exit) ? Effect.void : Effect.asVoid(writing(unsent(ticket), "left"))
    })
    if (sent !== undefined) sent.waiting = false
    return ticket
  })

  /** Heeds what the provider said of its limits, with its headers: those of a stream came when it began. */
  const settle = Effect.fnUntraced(function*(ticket: Lane.Ticket, ended: Ended) {
    const { estimate, lane, taken } = ticket
    const now = yield* Lane.see(lane)
    const seen = ticket.began ?? now
    Lane.learn(lane, limitsIn(ended)?.requests, seen)
    yield* Lane.pause(lane, toldToWait(ended, Duration.millis(now.at - seen.at)))
    const used = usedBy(ended, estimate)
    yield* Effect.forEach(taken, (one) => Lane.correct(lane, one, one.limit.of(used)), { discard: true })
  })

  return around(client, {
    before,
    began: (ticket) =>
      Effect.map(Lane.see(ticket.lane), (seen) => {
        ticket.began = seen
      }),
    after: (ticket, ended) =>
      Effect.asVoid(writing(
        ended._tag === "Failed" && Limits.isUnsent(ended.error) ? unsent(ticket) : leave(ticket, settle(ticket, ended)),
        ended._tag === "Left" ? "left" : "awaited"
      ))
  })
}

/**
 * Keeps the calls of the client below within limits that are counted in this process. Options that cannot be kept, or
 * that do not exist, fail the layer as a defect that names them.
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
  Layer.fresh(Layer.effect(
    LLMClient,
    Effect.gen(function*() {
      check(options, Limits.storeNames)
      Limits.checkStore(owner, options)
      const client = yield* LLMClient
      return { ...client, ...decorate(client, options, yield* Counting.inStore(options)) }
    })
  ))

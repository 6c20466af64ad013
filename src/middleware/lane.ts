/**
 * A throttle's state for one key: the permits that its calls take and return, and the limits that the provider reported.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as RateLimiter from "effect/persistence/RateLimiter"
import * as Result from "effect/Result"
import * as Semaphore from "effect/Semaphore"
import type { RateLimitReason } from "../LLMError.ts"
import type { Window } from "../RateLimits.ts"
import type { Tokens } from "./settlement.ts"

export const minute = Duration.minutes(1)
const longestPause = Duration.toMillis(Duration.hours(1))

export interface Limit {
  readonly name: string
  readonly perMinute: number
  readonly reason: RateLimitReason
  /** How much a call takes. */
  readonly of: (tokens: Tokens) => number
}

/** The minute in which a key last took from a limit. */
interface Minute {
  until: number
}

/** Why a call waits. */
export interface Blocked {
  readonly what: string
  readonly reason: RateLimitReason
  /** When it may continue, in epoch milliseconds; unknown if it waits for another call to end. */
  readonly until: number
  /** Whether it must wait until then, whatever other calls return. */
  readonly certain: boolean
}

/** When a provider reported its limits, and which calls it may not have counted by then. */
interface Seen {
  readonly at: number
  readonly underWay: number
  readonly sent: number
}

/** The state of one key. */
export interface Lane {
  readonly key: string
  /** Made for the first call. */
  limiter: RateLimiter.RateLimiter | undefined
  /** Whether other processes use the same limits. */
  readonly shared: boolean
  /** Held by the first call of the queue, but not while a shared store answers. */
  readonly head: Semaphore.Semaphore
  /** Opened when a call ends: the first of the queue may wait for what it returns. */
  readonly ended: Latch.Latch
  readonly minutes: Map<Limit, Minute>
  /** Until when the provider asks clients to wait. */
  paused: number
  /** What the first of the queue waits for. */
  blocked: Blocked | undefined
  /** Why the store last refused a call, and how many calls had ended when it was asked. */
  refused: { readonly blocked: Blocked; readonly endings: number } | undefined
  /** How many calls have ended or left the queue. */
  endings: number
  /** Remaining requests and when they reset: the provider's last report, minus the requests sent since. */
  remaining: { requests: number; readonly at: number; readonly until: number } | undefined
  waiting: number
  running: number
  /** How many calls were sent. */
  sent: number
  /** Until when its counts are needed. */
  until: number
  /** Whether it was logged that the store cannot use one of its keys. */
  warned: boolean
}

interface Taken {
  readonly limit: Limit
  readonly tokens: number
  readonly minute: Minute
  readonly at: number
}

/** What one call has taken. */
export interface Ticket {
  readonly lane: Lane
  readonly estimate: Tokens
  readonly taken: Array<Taken>
  running: boolean
  /** When it began, for a stream. */
  began: Seen | undefined
}

export const make = (key: string, shared: boolean): Lane => ({
  key,
  limiter: undefined,
  shared,
  head: Semaphore.makeUnsafe(1),
  ended: Latch.makeUnsafe(),
  minutes: new Map(),
  paused: 0,
  blocked: undefined,
  refused: undefined,
  endings: 0,
  remaining: undefined,
  waiting: 0,
  running: 0,
  sent: 0,
  until: 0,
  warned: false
})

/** Whether it can be removed. */
export const isIdle = ({ running, until, waiting }: Lane, now: number): boolean =>
  waiting === 0 && running === 0 && until <= now

// Names in keys are escaped, so that these are unique.
const storeKey = ({ key }: Lane, limit?: Limit): string =>
  limit === undefined ? `throttle:${key}` : `throttle:${key}:${limit.name}`

const keep = (lane: Lane, until: number): void => {
  lane.until = Math.max(lane.until, until)
}

/**
 * How many tokens can be returned without exceeding the limit. They must be returned to the minute that they were taken
 * from. This process knows its own minutes. A shared minute lasts at least until the taken tokens are refilled, so only
 * those that are not refilled yet are returned.
 */
const surplus = (lane: Lane, { at, limit, minute: current, tokens }: Taken, used: number, now: number): number =>
  lane.shared
    ? Math.max(0, tokens - used - (now - at) * limit.perMinute / Duration.toMillis(minute))
    : lane.minutes.get(limit) === current && current.until > now
    ? tokens - used
    : 0

/** How a lane makes several requests to its store: to a shared one in one round trip. */
export const atOnce = ({ shared }: Lane) => ({ concurrency: shared ? "unbounded" : 1 } as const)

// The longest time that calls wait for tokens that were used beyond an estimate: one absurd figure of a provider must
// not stop all calls for days.
const longestDebt = Duration.toMillis(Duration.minutes(3))

const charge = (lane: Lane, limit: Limit, tokens: number) =>
  Effect.map(
    lane.limiter!.consume({
      key: storeKey(lane, limit),
      limit: limit.perMinute,
      window: minute,
      tokens,
      onExceeded: "delay"
    }),
    ({ resetAfter }) => Duration.toMillis(resetAfter)
  )

/** Corrects the tokens that were taken from a limit, up or down. */
export const correct = Effect.fnUntraced(function*(lane: Lane, taken: Taken, used: number) {
  const { limit, tokens } = taken
  const now = yield* Clock.currentTimeMillis
  const perMilli = limit.perMinute / Duration.toMillis(minute)
  const more = used >= tokens
    ? Math.min(used - tokens, longestDebt * perMilli)
    : -surplus(lane, taken, used, now)
  if (more === 0) return
  const resetAfter = yield* charge(lane, limit, more)
  // Other calls may have used it up already.
  if (more > 0 && resetAfter > longestDebt) yield* charge(lane, limit, (longestDebt - resetAfter) * perMilli)
  taken.minute.until = now + Math.min(resetAfter, longestDebt)
  keep(lane, taken.minute.until)
})

/** Returns everything that a call took. */
export const giveBack = ({ lane, taken }: Ticket): Effect.Effect<void, RateLimiter.RateLimiterError> =>
  Effect.suspend(() =>
    Effect.forEach(taken.splice(0), (one) => correct(lane, one, 0), { ...atOnce(lane), discard: true })
  )

const notPaused = Result.succeed({ delay: Duration.zero })

const asked = (lane: Lane) =>
  lane.limiter!.adaptiveConsume({
    key: storeKey(lane),
    // With 0 tokens the store learns no rate: the entry is only a pause that all processes see.
    tokens: 0,
    fallbackLimit: 1,
    fallbackWindow: minute
  })

/** Makes all calls of the key wait, for at most an hour. */
export const pause = (lane: Lane, duration: Duration.Duration, now: number): void => {
  if (Duration.isZero(duration)) return
  lane.paused = Math.max(lane.paused, now + Math.min(Duration.toMillis(duration), longestPause))
  keep(lane, lane.paused)
}

/** Makes the calls of other processes wait too, through the store. */
export const sharePause = Effect.fnUntraced(function*(lane: Lane, duration: Duration.Duration) {
  if (Duration.isZero(duration) || !lane.shared) return
  const { epoch } = yield* asked(lane)
  yield* lane.limiter!.adaptiveFeedback({ key: storeKey(lane), epoch, tokens: 0, status: 429, retryAfter: duration })
})

const whileAsked = { what: "as long as the provider asks", reason: "Requests", certain: true } as const

/** Admits a call by this process's own knowledge, or returns why it waits. */
export const enter = (ticket: Ticket, concurrency: number, now: number): Blocked | undefined => {
  const { lane } = ticket
  const { endings, refused, remaining } = lane
  // Until a call has ended, the store would refuse for the same reason.
  if (refused !== undefined && refused.endings === endings && refused.blocked.until > now) return refused.blocked
  if (lane.paused > now) return { ...whileAsked, until: lane.paused }
  if (lane.running >= concurrency) {
    const what = `one of ${concurrency} calls to end`
    return { what, reason: "Requests", until: Number.POSITIVE_INFINITY, certain: false }
  }
  if (remaining !== undefined && remaining.until > now && remaining.requests < 1) {
    const what = "the provider's remaining requests"
    return { what, reason: "Requests", until: remaining.until, certain: lane.running === 0 }
  }
  lane.refused = undefined
  ticket.running = true
  lane.running++
  lane.sent++
  if (remaining !== undefined) remaining.requests--
  return undefined
}

/** Takes from every limit, in one round trip; returns why the call waits if one of them does not allow it. */
export const take = Effect.fnUntraced(function*(ticket: Ticket, limits: ReadonlyArray<Limit>) {
  const { estimate, lane } = ticket
  const { endings } = lane
  const at = yield* Clock.currentTimeMillis
  const tokensOf = (limit: Limit): number => Math.min(limit.of(estimate), limit.perMinute)
  const { paused, took } = yield* Effect.all({
    paused: lane.shared ? Effect.result(asked(lane)) : Effect.succeed(notPaused),
    took: Effect.forEach(limits, (limit) =>
      Effect.result(lane.limiter!.consume({
        key: storeKey(lane, limit),
        limit: limit.perMinute,
        window: minute,
        tokens: tokensOf(limit),
        onExceeded: "fail"
      })), atOnce(lane))
  }, atOnce(lane))
  const now = yield* Clock.currentTimeMillis
  const blocked = (what: string, reason: RateLimitReason, wait: Duration.Duration, certain: boolean): Blocked => ({
    what,
    reason,
    until: now + Math.max(1, Math.ceil(Duration.toMillis(wait))),
    certain
  })
  let exceeded: Blocked | undefined
  let failed: RateLimiter.RateLimiterError | undefined = Result.isFailure(paused) ? paused.failure : undefined
  if (Result.isSuccess(paused) && !Duration.isZero(paused.success.delay)) {
    exceeded = blocked(whileAsked.what, whileAsked.reason, paused.success.delay, whileAsked.certain)
  }
  for (const [index, result] of took.entries()) {
    const limit = limits[index]!
    if (Result.isSuccess(result)) {
      const { remaining, resetAfter } = result.success
      const tokens = tokensOf(limit)
      const known = lane.minutes.get(limit)
      const isNew = known === undefined || known.until <= now || remaining + tokens >= limit.perMinute
      const current: Minute = isNew ? { until: 0 } : known
      current.until = now + Duration.toMillis(resetAfter)
      lane.minutes.set(limit, current)
      keep(lane, current.until)
      ticket.taken.push({ limit, tokens, minute: current, at })
    } else if (result.failure.reason._tag === "RateLimitStoreError") failed ??= result.failure
    else {
      // Tokens may be returned before their minute ends.
      const certain = limit.reason !== "Tokens"
      const what = `${limit.perMinute} ${limit.name} per minute`
      exceeded ??= blocked(what, limit.reason, result.failure.reason.retryAfter, certain)
    }
  }
  if (exceeded !== undefined) lane.refused = { blocked: exceeded, endings }
  else if (failed !== undefined) return yield* failed
  return exceeded
})

/** Undoes `enter` for a call that is not sent. */
export const withdraw = (ticket: Ticket): void => {
  const { lane, running } = ticket
  if (!running) return
  ticket.running = false
  lane.running--
  lane.sent--
  if (lane.remaining !== undefined) lane.remaining.requests++
  lane.ended.openUnsafe()
}

/** After a call ended, left the queue or returned tokens: the first of the queue may be admitted now. */
export const wake = (lane: Lane): void => {
  lane.endings++
  lane.ended.openUnsafe()
}

/** Ends a call: makes room for the next. */
export const leave = (ticket: Ticket): void => {
  if (ticket.running) ticket.lane.running--
  ticket.running = false
  wake(ticket.lane)
}

/** Notes that the provider answers now, and that it may not have counted the other calls in flight. */
export const see = (lane: Lane): Effect.Effect<Seen> =>
  Effect.map(Clock.currentTimeMillis, (at) => ({ at, underWay: lane.running - 1, sent: lane.sent }))

/** Stores the provider's remaining requests, unless it has reported newer ones. */
export const learn = (lane: Lane, { remaining, resetAfter }: Window = {}, { at, sent, underWay }: Seen): void => {
  const known = lane.remaining
  if (remaining === undefined || resetAfter === undefined || known !== undefined && known.at > at) return
  const until = at + Math.min(Duration.toMillis(resetAfter), longestPause)
  lane.remaining = { requests: remaining - underWay - (lane.sent - sent), at, until }
  keep(lane, until)
}

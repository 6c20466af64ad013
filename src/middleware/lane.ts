/**
 * What a throttle knows of the calls with one key: what they take of their limits and give back, and what the provider
 * said of its own.
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
  /** What a call takes of it. */
  readonly of: (tokens: Tokens) => number
}

/** What a key knows of the minute in which it last took of a limit. */
interface Minute {
  until: number
}

/** Why the first call of the queue waits. */
export interface Blocked {
  readonly what: string
  readonly reason: RateLimitReason
  /** When it may go on, in epoch milliseconds; unknown when it waits for another call to end. */
  readonly until: number
  /** Whether it must wait so long, whatever other calls give back or find out. */
  readonly certain: boolean
}

/** When a provider said what it says of its limits, and which calls it may not have counted by then. */
interface Seen {
  readonly at: number
  readonly underWay: number
  readonly sent: number
}

/** The state of one key. */
export interface Lane {
  readonly key: string
  readonly limiter: RateLimiter.RateLimiter
  /** Whether others take of the same limits, of whom this process knows nothing. */
  readonly shared: boolean
  /** Held by the first of the queue: the only one that asks whether it may go. */
  readonly head: Semaphore.Semaphore
  /** Opened when a call ends: what it gives back may be what the first of the queue waits for. */
  readonly ended: Latch.Latch
  readonly minutes: Map<Limit, Minute>
  blocked: Blocked | undefined
  /** Requests that the provider has left for us, and until when: what it said last, less what was sent since. */
  left: { requests: number; readonly at: number; readonly until: number } | undefined
  waiting: number
  running: number
  /** Calls that went out, ever. */
  sent: number
  /** Until when its counts matter. */
  until: number
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
  /** Of a stream: when it began. */
  began: Seen | undefined
}

export const make = (key: string, limiter: RateLimiter.RateLimiter, shared: boolean): Lane => ({
  key,
  limiter,
  shared,
  head: Semaphore.makeUnsafe(1),
  ended: Latch.makeUnsafe(),
  minutes: new Map(),
  blocked: undefined,
  left: undefined,
  waiting: 0,
  running: 0,
  sent: 0,
  until: 0
})

const keep = (lane: Lane, until: number): void => {
  lane.until = Math.max(lane.until, until)
}

/**
 * What can be given back without allowing more than the limit. Given to a minute that did not take it, it would: this
 * process knows its own minutes. Of those that others take of it knows nothing but that they last at least as long as
 * what was taken here needs to come back by itself, so that only what has not come back yet is given.
 */
const surplus = (lane: Lane, { at, limit, minute: current, tokens }: Taken, used: number, now: number): number =>
  lane.shared
    ? Math.max(0, tokens - used - (now - at) * limit.perMinute / Duration.toMillis(minute))
    : lane.minutes.get(limit) === current && current.until > now
    ? tokens - used
    : 0

/** Counts tokens beyond what was taken of a limit, or fewer. */
export const correct = Effect.fnUntraced(function*(lane: Lane, taken: Taken, used: number) {
  const { limit, tokens } = taken
  const now = yield* Clock.currentTimeMillis
  const more = used >= tokens ? used - tokens : -surplus(lane, taken, used, now)
  if (more === 0) return
  const { resetAfter } = yield* lane.limiter.consume({
    key: `${lane.key}:${limit.name}`,
    limit: limit.perMinute,
    window: minute,
    tokens: more,
    onExceeded: "delay"
  })
  taken.minute.until = now + Duration.toMillis(resetAfter)
  keep(lane, taken.minute.until)
})

/** Gives back all that a call took. */
export const giveBack = ({ lane, taken }: Ticket): Effect.Effect<void, RateLimiter.RateLimiterError> =>
  Effect.suspend(() => Effect.forEach(taken.splice(0), (one) => correct(lane, one, 0), { discard: true }))

const asked = (lane: Lane) =>
  lane.limiter.adaptiveConsume({
    key: lane.key,
    // Without tokens the store learns no rate of its own, and is no more than a pause that all can see.
    tokens: 0,
    fallbackLimit: 1,
    fallbackWindow: minute
  })

/** Lets all calls of the key wait. */
export const pause = Effect.fnUntraced(function*(lane: Lane, duration: Duration.Duration) {
  if (Duration.isZero(duration)) return
  const { epoch } = yield* asked(lane)
  yield* lane.limiter.adaptiveFeedback({ key: lane.key, epoch, tokens: 0, status: 429, retryAfter: duration })
  keep(lane, (yield* Clock.currentTimeMillis) + Duration.toMillis(duration))
})

/** Takes of every limit, or of none: then it says why. */
export const take = Effect.fnUntraced(function*(ticket: Ticket, limits: ReadonlyArray<Limit>) {
  const { estimate, lane } = ticket
  const blocked = (
    what: string,
    reason: RateLimitReason,
    now: number,
    wait: Duration.Duration,
    certain: boolean
  ): Blocked => ({ what, reason, until: now + Math.max(1, Math.ceil(Duration.toMillis(wait))), certain })
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
    const at = yield* Clock.currentTimeMillis
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
    keep(lane, current.until)
    ticket.taken.push({ limit, tokens, minute: current, at })
  }
  return undefined
})

/** The call goes out. */
export const send = (ticket: Ticket): void => {
  const { lane } = ticket
  ticket.running = true
  lane.running++
  lane.sent++
  if (lane.left !== undefined) lane.left.requests--
}

/** The call was not sent after all. */
export const unsend = ({ lane, running }: Ticket): void => {
  if (!running) return
  lane.sent--
  if (lane.left !== undefined) lane.left.requests++
}

/** The call is over: makes room for the next. */
export const leave = (ticket: Ticket): void => {
  const { lane } = ticket
  if (ticket.running) lane.running--
  ticket.running = false
  lane.ended.openUnsafe()
}

/** Notes that the provider answers now, and what it may not have counted: the other calls under way. */
export const see = (lane: Lane): Effect.Effect<Seen> =>
  Effect.map(Clock.currentTimeMillis, (at) => ({ at, underWay: lane.running - 1, sent: lane.sent }))

/** Heeds how many requests the provider has left, unless it said something newer. */
export const learn = (lane: Lane, { remaining, resetAfter }: Window = {}, { at, sent, underWay }: Seen): void => {
  if (remaining === undefined || resetAfter === undefined || lane.left !== undefined && lane.left.at > at) return
  const until = at + Math.min(Duration.toMillis(resetAfter), longestPause)
  lane.left = { requests: remaining - underWay - (lane.sent - sent), at, until }
  keep(lane, until)
}

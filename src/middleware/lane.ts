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

/** Why a call waits. */
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
  /** Made when the first call needs it. */
  limiter: RateLimiter.RateLimiter | undefined
  /** Whether others take of the same limits, of whom this process knows nothing. */
  readonly shared: boolean
  /** Held by the first of the queue. Where a store is asked over a network, it is not held while that answers. */
  readonly head: Semaphore.Semaphore
  /** Opened when a call ends: what it gives back may be what the first of the queue waits for. */
  readonly ended: Latch.Latch
  readonly minutes: Map<Limit, Minute>
  /** Until when the provider wants to be left alone. */
  paused: number
  /** What the first of the queue waits for. */
  blocked: Blocked | undefined
  /** What the store said when it let a call not go, and how many calls had ended when it was asked. */
  refused: { readonly blocked: Blocked; readonly endings: number } | undefined
  /** Calls that ended, or left the queue, ever. */
  endings: number
  /** Requests that the provider has left for us, and until when: what it said last, less what was sent since. */
  remaining: { requests: number; readonly at: number; readonly until: number } | undefined
  waiting: number
  running: number
  /** Calls that went out, ever. */
  sent: number
  /** Until when its counts matter. */
  until: number
  /** Whether the logs say that the store cannot use one of its keys. */
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
  /** Of a stream: when it began. */
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

/** Whether nothing that it knows matters any more. */
export const isIdle = ({ running, until, waiting }: Lane, now: number): boolean =>
  waiting === 0 && running === 0 && until <= now

// Names are escaped in keys, so that no two of these are the same.
const storeKey = ({ key }: Lane, limit?: Limit): string =>
  limit === undefined ? `throttle:${key}` : `throttle:${key}:${limit.name}`

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

/** How a lane asks for several things: of a store over a network in one round trip. */
export const atOnce = ({ shared }: Lane) => ({ concurrency: shared ? "unbounded" : 1 } as const)

// What a call used beyond its estimate is missing afterwards, but for no longer: one absurd figure of a provider must not
// stop all calls for days.
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

/** Counts tokens beyond what was taken of a limit, or fewer. */
export const correct = Effect.fnUntraced(function*(lane: Lane, taken: Taken, used: number) {
  const { limit, tokens } = taken
  const now = yield* Clock.currentTimeMillis
  const perMilli = limit.perMinute / Duration.toMillis(minute)
  const more = used >= tokens
    ? Math.min(used - tokens, longestDebt * perMilli)
    : -surplus(lane, taken, used, now)
  if (more === 0) return
  const resetAfter = yield* charge(lane, limit, more)
  // Others may owe as much already.
  if (more > 0 && resetAfter > longestDebt) yield* charge(lane, limit, (longestDebt - resetAfter) * perMilli)
  taken.minute.until = now + Math.min(resetAfter, longestDebt)
  keep(lane, taken.minute.until)
})

/** Gives back all that a call took. */
export const giveBack = ({ lane, taken }: Ticket): Effect.Effect<void, RateLimiter.RateLimiterError> =>
  Effect.suspend(() =>
    Effect.forEach(taken.splice(0), (one) => correct(lane, one, 0), { ...atOnce(lane), discard: true })
  )

const notPaused = Result.succeed({ delay: Duration.zero })

const asked = (lane: Lane) =>
  lane.limiter!.adaptiveConsume({
    key: storeKey(lane),
    // Without tokens the store learns no rate of its own, and is no more than a pause that all can see.
    tokens: 0,
    fallbackLimit: 1,
    fallbackWindow: minute
  })

/** Lets all calls of the key wait, at most an hour. */
export const pause = (lane: Lane, duration: Duration.Duration, now: number): void => {
  if (Duration.isZero(duration)) return
  lane.paused = Math.max(lane.paused, now + Math.min(Duration.toMillis(duration), longestPause))
  keep(lane, lane.paused)
}

/** Tells the others that share the store of that. */
export const tell = Effect.fnUntraced(function*(lane: Lane, duration: Duration.Duration) {
  if (Duration.isZero(duration) || !lane.shared) return
  const { epoch } = yield* asked(lane)
  yield* lane.limiter!.adaptiveFeedback({ key: storeKey(lane), epoch, tokens: 0, status: 429, retryAfter: duration })
})

const whileAsked = { what: "as long as the provider asks", reason: "Requests", certain: true } as const

/** Lets a call go as far as this process knows; else says why it waits. */
export const enter = (ticket: Ticket, concurrency: number, now: number): Blocked | undefined => {
  const { lane } = ticket
  const { endings, refused, remaining } = lane
  // Until a call has ended, the store would refuse the next one for the same reason.
  if (refused !== undefined && refused.endings === endings && refused.blocked.until > now) return refused.blocked
  if (lane.paused > now) return { ...whileAsked, until: lane.paused }
  if (lane.running >= concurrency) {
    const what = `one of ${concurrency} calls to end`
    return { what, reason: "Requests", until: Number.POSITIVE_INFINITY, certain: false }
  }
  if (remaining !== undefined && remaining.until > now && remaining.requests < 1) {
    const what = "requests that the provider has left"
    return { what, reason: "Requests", until: remaining.until, certain: lane.running === 0 }
  }
  lane.refused = undefined
  ticket.running = true
  lane.running++
  lane.sent++
  if (remaining !== undefined) remaining.requests--
  return undefined
}

/** Takes of every limit, in one round trip; says why the call waits where one of them does not allow it. */
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
      // Tokens may be given back before their minute ends.
      const certain = limit.reason !== "Tokens"
      const what = `${limit.perMinute} ${limit.name} per minute`
      exceeded ??= blocked(what, limit.reason, result.failure.reason.retryAfter, certain)
    }
  }
  if (exceeded !== undefined) lane.refused = { blocked: exceeded, endings }
  else if (failed !== undefined) return yield* failed
  return exceeded
})

/** The call was not sent after all. */
export const withdraw = (ticket: Ticket): void => {
  const { lane, running } = ticket
  if (!running) return
  ticket.running = false
  lane.running--
  lane.sent--
  if (lane.remaining !== undefined) lane.remaining.requests++
  lane.ended.openUnsafe()
}

/** A call ended, left the queue, or gave something back: the first of the queue may go now. */
export const wake = (lane: Lane): void => {
  lane.endings++
  lane.ended.openUnsafe()
}

/** The call is over: makes room for the next. */
export const leave = (ticket: Ticket): void => {
  if (ticket.running) ticket.lane.running--
  ticket.running = false
  wake(ticket.lane)
}

/** Notes that the provider answers now, and what it may not have counted: the other calls under way. */
export const see = (lane: Lane): Effect.Effect<Seen> =>
  Effect.map(Clock.currentTimeMillis, (at) => ({ at, underWay: lane.running - 1, sent: lane.sent }))

/** Learns how many requests the provider has left, unless it said something newer. */
export const learn = (lane: Lane, { remaining, resetAfter }: Window = {}, { at, sent, underWay }: Seen): void => {
  const known = lane.remaining
  if (remaining === undefined || resetAfter === undefined || known !== undefined && known.at > at) return
  const until = at + Math.min(Duration.toMillis(resetAfter), longestPause)
  lane.remaining = { requests: remaining - underWay - (lane.sent - sent), at, until }
  keep(lane, until)
}

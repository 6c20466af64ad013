/**
 * The clocks of an attempt: one watchdog fiber for all of them, not a timer for each part.
 */
import type * as Arr from "effect/Array"
import type * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"

/** How long one attempt may take, in milliseconds; infinite where a clock is off. */
export interface Timeouts {
  /** Until the first event that changes the answer, as a Fallback above wants it. */
  readonly firstByte: number
  /** Until anything arrives, pings included; counted from the headers. */
  readonly bytes: number
  /** Until an event arrives that changes the answer. */
  readonly progress: number
  /** Until the first part. */
  readonly firstPart: number
  /** For the whole answer: wall clock, the consumer's time included. */
  readonly total: number
}

export type ClockName = keyof Timeouts

/** When something last came of an attempt, in milliseconds of the clock; written by whoever reads the body. */
export interface Marks {
  /** Anything at all; undefined until the headers are there. */
  bytes: number | undefined
  /** An event that changed the answer; undefined until there was one. */
  progress: number | undefined
}

type Parts<A> = Arr.NonEmptyReadonlyArray<A>

/** The clock of an attempt that runs out first, and when. */
export const deadline = (
  timeouts: Timeouts,
  marks: Marks,
  times: { readonly started: number; readonly since: number; readonly begun: boolean }
): readonly [ClockName, number] => {
  const { begun, since, started } = times
  const last = (mark: number | undefined): number => Math.max(since, mark ?? started)
  let found: readonly [ClockName, number] = ["total", started + timeouts.total]
  const consider = (name: ClockName, at: number): void => {
    if (at < found[1]) found = [name, at]
  }
  consider("progress", last(marks.progress) + timeouts.progress)
  if (marks.bytes !== undefined) consider("bytes", last(marks.bytes) + timeouts.bytes)
  if (!begun) consider("firstPart", started + timeouts.firstPart)
  if (marks.progress === undefined) consider("firstByte", started + timeouts.firstByte)
  return found
}

/**
 * Watches the pull of a stream. When a clock runs out, what the pull waits for is interrupted, and the stream goes on
 * with what `expire` gives. `isLast` says that nothing more is waited for after these parts.
 */
export const watch = <A, E>(
  pull: Pull.Pull<Parts<A>, E>,
  scope: Scope.Scope,
  timeouts: Timeouts,
  marks: Marks,
  isLast: (parts: Parts<A>) => boolean,
  expire: (clock: ClockName, after: Duration.Duration) => Pull.Pull<Parts<A>, E>
): Effect.Effect<Pull.Pull<Parts<A>, E>> =>
  Effect.clockWith((clock) => {
    const started = clock.currentTimeMillisUnsafe()
    const shortest = Math.min(...Object.values<number>({ ...timeouts }))
    let begun = false
    // When the wait began that goes on now; undefined while the consumer works.
    let since: number | undefined
    // What the stream goes on with once nothing more is waited for.
    let rest: Pull.Pull<Parts<A>, E> | undefined
    // Resumes the consumer that waits for parts, or the pump that waits for a consumer; never both are there.
    let consumer: ((parts: Pull.Pull<Parts<A>, E>) => void) | undefined
    let pump: ((demand: Effect.Effect<void>) => void) | undefined

    const give = (parts: Pull.Pull<Parts<A>, E>): void => {
      const resume = consumer
      since = consumer = undefined
      resume?.(parts)
    }
    const demand = Effect.callback<void>((resume) => {
      if (consumer === undefined) pump = resume
      else resume(Effect.void)
    })
    // One fiber pulls for the whole stream, not one for each pull, and can be interrupted while the consumer goes on.
    const pumping: Pull.Pull<never, E> = Effect.flatMap(demand, () =>
      Effect.flatMap(pull, (parts) => {
        begun = true
        if (isLast(parts)) rest = pull
        give(Effect.succeed(parts))
        return pumping
      }))
    let pumpFiber: Fiber.Fiber<unknown, unknown> | undefined
    const start = Effect.onExit(pumping, (exit) => Effect.sync(() => give(rest ??= exit))).pipe(
      Effect.forkIn(scope, { startImmediately: true }),
      Effect.tap((fiber) => Effect.sync(() => pumpFiber = fiber))
    )
    const stop = Effect.suspend(() => pumpFiber === undefined ? Effect.void : Fiber.interrupt(pumpFiber))

    const ends = (now: number) => deadline(timeouts, marks, { started, since: since ?? now, begun })
    const watchdog = Effect.gen(function*() {
      while (true) {
        const before = clock.currentTimeMillisUnsafe()
        // Never asleep for longer than the shortest limit, so that a deadline that is set later is not missed.
        yield* Effect.sleep(Math.max(1, Math.min(shortest, ends(before)[1] - before)))
        const now = clock.currentTimeMillisUnsafe()
        const [name, at] = ends(now)
        if (rest !== undefined) return
        if (since === undefined || now < at) continue
        rest = expire(name, Duration.millis(timeouts[name]))
        return yield* stop
      }
    })
    const parts = Effect.callback<Parts<A>, E | Cause.Done>((resume) => {
      consumer = resume
      const wake = pump
      pump = undefined
      wake?.(Effect.void)
      return stop
    })
    const next = Effect.suspend(() => {
      if (rest !== undefined) return rest
      const now = clock.currentTimeMillisUnsafe()
      since = now
      return now >= started + timeouts.total ? rest = expire("total", Duration.millis(timeouts.total)) : parts
    })
    return Effect.as(Effect.andThen(start, Effect.forkIn(watchdog, scope)), next)
  })

/** The clocks that are set, in milliseconds; `Infinity` turns one off. */
export type Given = Partial<Omit<Timeouts, "firstByte">>

const minute = 60_000

/** The clocks of one attempt: those that are set, and for the rest what is known of the provider and the model. */
export const resolve = (
  given: Given,
  known: {
    /** Whether the provider keeps the connection alive while a model thinks. */
    readonly pings: boolean
    /** Whether the model thinks for long. */
    readonly long: boolean
    readonly firstByte: number
    readonly streamed: boolean
  }
): Timeouts => {
  const progress = given.progress ?? (known.long ? 10 * minute : 5 * minute)
  return {
    firstByte: known.firstByte,
    bytes: given.bytes ?? (known.pings ? minute : progress),
    progress,
    firstPart: given.firstPart ?? progress,
    total: given.total ?? (known.streamed ? 60 * minute : 10 * minute)
  }
}

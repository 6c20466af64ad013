/**
 * The timeouts of an attempt: one watchdog fiber for all of them, not a timer for each part.
 */
import type * as Arr from "effect/Array"
import type * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"

/** The timeouts of one attempt in milliseconds; `Infinity` if one is off. */
export interface Timeouts {
  /** Until the first event that changes the answer, as a Fallback above requires. */
  readonly firstByte: number
  /** Until anything arrives, pings included; counted from the headers. */
  readonly bytes: number
  /** Until an event arrives that changes the answer. */
  readonly progress: number
  /** Until the first part. */
  readonly firstPart: number
  /** For the whole answer, including the time that the consumer takes. */
  readonly total: number
}

export type ClockName = keyof Timeouts

/** When something last arrived, in milliseconds of the clock; written by the reader of the body. */
export interface Marks {
  /** Anything at all; undefined until the headers arrive. */
  bytes: number | undefined
  /** An event that changed the answer; undefined until there was one. */
  progress: number | undefined
}

type Parts<A> = Arr.NonEmptyReadonlyArray<A>

/** The timeout that ends first, and when it ends. */
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
 * Watches the pull of a stream. When a timeout ends, the pull is interrupted, and the stream continues with the result
 * of `expire`. After parts for which `isLast` is true, nothing is watched.
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
    // When the current wait began; undefined while the consumer works.
    let since: number | undefined
    // The rest of the stream once nothing is watched.
    let rest: Pull.Pull<Parts<A>, E> | undefined
    // Resumes the consumer that waits for parts, or the pump that waits for a consumer. Never both wait.
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
    // One fiber pulls for the whole stream, and can be interrupted while the consumer runs.
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
        // Never sleeps longer than the shortest timeout, so that a deadline that is set later is not missed.
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

/** The timeouts that the caller set, in milliseconds; `Infinity` turns one off. */
export type Given = Partial<Omit<Timeouts, "firstByte">>

const minute = 60_000

/** The timeouts of one attempt: those that the caller set, and defaults for the provider and the model. */
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

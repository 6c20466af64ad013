/**
 * The clocks of a stream: one watchdog fiber for all of them, not a timer for each part.
 */
import type * as Arr from "effect/Array"
import type * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"

/** How long one attempt may take. */
export interface Timeouts {
  /** Until the first part of a streamed answer. */
  readonly firstPart: Duration.Duration
  /** Between two parts of a streamed answer. */
  readonly idle: Duration.Duration
  /** For the whole answer, streamed or not: wall clock, the consumer's time included. */
  readonly total: Duration.Duration
}

type Parts<A> = Arr.NonEmptyReadonlyArray<A>

/**
 * Watches the pull of a stream. When a clock runs out, what the pull waits for is interrupted, and the stream goes on
 * with what `expire` gives. `isLast` says that nothing more is waited for after these parts.
 */
export const watch = <A, E>(
  pull: Pull.Pull<Parts<A>, E>,
  scope: Scope.Scope,
  timeouts: Timeouts,
  isLast: (parts: Parts<A>) => boolean,
  expire: (clock: keyof Timeouts, after: Duration.Duration, now: number) => Pull.Pull<Parts<A>, E>
): Effect.Effect<Pull.Pull<Parts<A>, E>> =>
  Effect.clockWith((clock) => {
    const firstPart = Duration.toMillis(timeouts.firstPart)
    const idle = Duration.toMillis(timeouts.idle)
    const ends = clock.currentTimeMillisUnsafe() + Duration.toMillis(timeouts.total)
    let which: "firstPart" | "idle" = "firstPart"
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
        which = "idle"
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

    const deadline = (now: number): readonly [keyof Timeouts, number] => {
      const at = (since ?? now) + (which === "firstPart" ? firstPart : idle)
      return at < ends ? [which, at] : ["total", ends]
    }
    const watchdog = Effect.gen(function*() {
      while (true) {
        const before = clock.currentTimeMillisUnsafe()
        // Never asleep for longer than the shorter limit, so that a deadline that is set later is not missed.
        yield* Effect.sleep(Math.max(1, Math.min(firstPart, idle, deadline(before)[1] - before)))
        const now = clock.currentTimeMillisUnsafe()
        const [name, at] = deadline(now)
        if (rest !== undefined) return
        if (since === undefined || now < at) continue
        rest = expire(name, timeouts[name], now)
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
      return now >= ends ? rest = expire("total", timeouts.total, now) : parts
    })
    return Effect.as(Effect.andThen(start, Effect.forkIn(watchdog, scope)), next)
  })

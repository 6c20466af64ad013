/**
 * The clocks of a stream: one watchdog fiber for all of them, not a timer for each part.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"

/** How long one attempt may take. */
export interface Timeouts {
  /** Until the first part of a streamed answer. */
  readonly firstPart: Duration.Duration
  /** Between two parts of a streamed answer. */
  readonly idle: Duration.Duration
  /** For the whole answer, streamed or not: wall clock, the consumer's time included. */
  readonly total: Duration.Duration
}

/**
 * Fails a stream when one of its clocks runs out, and interrupts what it waits for. `isLast` says that nothing more is
 * waited for after these parts.
 */
export const watch = <A, E>(
  self: Stream.Stream<A, E>,
  timeouts: Timeouts,
  isLast: (parts: ReadonlyArray<A>) => boolean,
  expire: (clock: keyof Timeouts, after: Duration.Duration, now: number) => E
): Stream.Stream<A, E> =>
  Stream.transformPull(self, (pull, scope) =>
    Effect.clockWith((clock) => {
      const firstPart = Duration.toMillis(timeouts.firstPart)
      const idle = Duration.toMillis(timeouts.idle)
      const ends = clock.currentTimeMillisUnsafe() + Duration.toMillis(timeouts.total)
      let which: "firstPart" | "idle" = "firstPart"
      // When the wait began that goes on now; undefined while the consumer works.
      let since: number | undefined
      let running: Fiber.Fiber<unknown, unknown> | undefined
      let expired: E | undefined
      let over = false

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
          if (over) return
          if (since === undefined || now < at) continue
          expired = expire(name, timeouts[name], now)
          if (running !== undefined) yield* Fiber.interrupt(running)
          return
        }
      })
      const next = Effect.suspend(() => {
        if (over) return pull
        const now = clock.currentTimeMillisUnsafe()
        since = now
        if (now >= ends) return Effect.fail(expire("total", timeouts.total, now))
        return Effect.forkChild(pull, { startImmediately: true }).pipe(
          Effect.flatMap((fiber) => Effect.onInterrupt(Fiber.join(running = fiber), () => Fiber.interrupt(fiber))),
          Effect.tap((parts) =>
            Effect.sync(() => {
              since = undefined
              which = "idle"
              over = isLast(parts)
            })
          ),
          Effect.catchCause((cause) => expired === undefined ? Effect.failCause(cause) : Effect.fail(expired))
        )
      })
      return Effect.as(Effect.forkIn(watchdog, scope), next)
    }))

import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import * as TestClock from "effect/testing/TestClock"
import * as Steady from "../../src/middleware/steady.ts"

describe("a steady clock", () => {
  it.effect("goes on from where it was when the system's is set back, within another one too", () =>
    Effect.gen(function*() {
      const [outer, inner] = [Steady.make(), Steady.make()]
      const now = Effect.all([
        outer(Clock.currentTimeMillis),
        inner(Clock.currentTimeMillis),
        outer(inner(Clock.currentTimeMillis)),
        inner(inner(Clock.currentTimeMillis))
      ])
      const times: Array<ReadonlyArray<number>> = []
      for (const time of [10_000, 4000, 5000, 2000, 2500]) {
        yield* TestClock.setTime(time)
        times.push(yield* now)
      }
      assert.deepStrictEqual(times, [10_000, 10_000, 11_000, 11_000, 11_500].map((time) => Array(4).fill(time)))
    }))

  it.effect("sleeps as the system's does", () =>
    Effect.gen(function*() {
      const steady = Steady.make()
      const fiber = yield* Effect.forkChild(steady(Effect.sleep("1 second")), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.isDefined(fiber.pollUnsafe())
    }))
})

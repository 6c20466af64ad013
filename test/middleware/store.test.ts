import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Logger, Result, Scope } from "effect"
import * as TestClock from "effect/testing/TestClock"
import * as Store from "../../src/middleware/store.ts"

/** A store that answers as it is told; notes when it was asked, and what was said of it. */
const fake = Effect.gen(function*() {
  let answer: Effect.Effect<string, string> = Effect.succeed("yes")
  const asked: Array<number> = []
  const said: Array<string> = []
  const ask = yield* Effect.provide(
    Store.make({
      name: "the store",
      meanwhile: "calls go on",
      timeout: "2 seconds",
      gone: (why) => `gone: ${why}`,
      isGone: (error) => String(error).startsWith("gone")
    }),
    Logger.layer([Logger.make(({ message }) => said.push(String(message)))])
  )
  const operation = Effect.flatMap(Clock.currentTimeMillis, (now) => {
    asked.push(now)
    return answer
  })
  return {
    ask,
    asked,
    said,
    operation,
    outcome: Effect.map(
      Effect.result(ask(operation)),
      (result) => Result.isSuccess(result) ? result.success : result.failure
    ),
    says: (what: Effect.Effect<string, string>) => {
      answer = what
    }
  }
})

const start = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

describe("a store that is gone", () => {
  it.effect("keeps those who ask at the same time no longer than its timeout, and others not at all", () =>
    Effect.gen(function*() {
      const { asked, outcome, says } = yield* fake
      says(Effect.never)
      const many = yield* start(Effect.all(Array.from({ length: 20 }, () => outcome), { concurrency: "unbounded" }))
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* Fiber.join(many), Array(20).fill("gone: it does not answer"))
      assert.strictEqual(yield* outcome, "gone: it did not answer before")
      assert.lengthOf(asked, 20)
    }))

  it.effect("is asked again by one operation, after 1 second, 2, 4 and so on up to 30", () =>
    Effect.gen(function*() {
      const { asked, outcome, says } = yield* fake
      says(Effect.fail("gone away"))
      for (let second = 0; second < 125; second++) {
        yield* Effect.all([outcome, outcome])
        yield* TestClock.adjust("1 second")
      }
      assert.deepStrictEqual(asked, [0, 1, 3, 7, 15, 31, 61, 91, 121].map((second) => second * 1000))
    }))

  it.effect("serves all again when one operation found that it is back, which is said once, as was that it is gone", () =>
    Effect.gen(function*() {
      const { asked, outcome, said, says } = yield* fake
      for (const answer of [Effect.fail("gone away"), Effect.succeed("yes")]) {
        says(answer)
        yield* TestClock.adjust("1 second")
        yield* Effect.all([outcome, outcome])
      }
      assert.deepStrictEqual(yield* Effect.all([outcome, outcome]), ["yes", "yes"])
      assert.lengthOf(asked, 5)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(said, ["the store cannot be reached, calls go on", "the store is back"])
    }))

  it.effect("is not one that fails for another reason", () =>
    Effect.gen(function*() {
      const { outcome, said, says } = yield* fake
      says(Effect.fail("refused"))
      assert.deepStrictEqual(yield* Effect.all([outcome, outcome]), ["refused", "refused"])
      assert.lengthOf(said, 0)
    }))

  it.effect("is found out although those who asked did not wait for it, who may leave at once", () =>
    Effect.gen(function*() {
      const { outcome, says } = yield* fake
      says(Effect.never)
      const fiber = yield* start(outcome)
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* outcome, "gone: it did not answer before")
    }))

  it.effect("may still execute the operation: the caller receives its late result", () =>
    Effect.gen(function*() {
      const { ask, operation, says } = yield* fake
      const late: Array<string> = []
      says(Effect.delay(Effect.succeed("at last"), "5 seconds"))
      yield* start(Effect.exit(ask(operation, (value) => Effect.sync(() => late.push(value)))))
      yield* TestClock.adjust("4 seconds")
      assert.lengthOf(late, 0)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(late, ["at last"])
    }))

  it.effect("is gone for good when the layer is closed", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { outcome } = yield* Scope.provide(fake, scope)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* outcome, "gone: it is closed")
    }))
})

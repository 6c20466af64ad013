import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Completion from "../src/Completion.ts"
import * as LLMClient from "../src/LLMClient.ts"
import type { LLMError } from "../src/LLMError.ts"
import * as Retry from "../src/Retry.ts"
import { failure, through } from "./clients.ts"

const request = Completion.make({ prompt: "Hello" })

/** Holds the jitter factor at the middle of its range, which is 1, and the jitter of hints at half of theirs. */
const middle = Effect.provideService(Random.Random, { nextDoubleUnsafe: () => 0.5, nextIntUnsafe: () => 0 })

/** A client that always fails in one way, and counts its calls. */
const failing = (error: LLMError) => {
  const calls: Array<number> = []
  const called = Effect.flatMap(Clock.currentTimeMillis, (now) => {
    calls.push(now)
    return Effect.fail(error)
  })
  const client: LLMClient.Service = {
    provider: "test",
    completion: () => called,
    stream: () => Stream.fromEffect(called)
  }
  return { calls, client }
}

/** A call's end with some patience: how often it was made, after how many milliseconds it failed, and with what. */
const ends = Effect.fnUntraced(function*(
  error: LLMError,
  patience: LLMClient.Patience,
  retry: (client: LLMClient.Service) => Effect.Effect<LLMClient.Service> = (client) =>
    Effect.succeed(Retry.make(client))
) {
  const ends: Array<readonly [calls: number, millis: number]> = []
  const { waiting } = patience
  for (const way of ["completion", "stream"] as const) {
    patience.waiting = waiting
    const { calls, client } = failing(error)
    const retrying = yield* retry(client)
    const start = yield* Clock.currentTimeMillis
    const call: Effect.Effect<unknown, LLMError> = way === "completion"
      ? retrying.completion(request)
      : Stream.runDrain(retrying.stream(request))
    const fiber = yield* Effect.forkChild(
      Effect.all([Effect.exit(Effect.asVoid(call)), Clock.currentTimeMillis]).pipe(
        Effect.provideService(LLMClient.Patience, patience)
      )
    )
    yield* TestClock.adjust("1 hour")
    const [exit, end] = yield* Fiber.join(fiber)
    const failed = Exit.isFailure(exit) ? Cause.squash(exit.cause) as LLMError : undefined
    assert.deepStrictEqual([failed?._tag, failed?.reason], [error._tag, error.reason])
    ends.push([calls.length, end - start])
  }
  assert.deepStrictEqual(ends[0], ends[1], "streamed or not")
  return ends[0]!
})

const patience = (waiting: number, more: Partial<LLMClient.Patience> = {}): LLMClient.Patience => ({
  waiting,
  firstByte: 12_000,
  ...more
})

describe("Retry below a Fallback with another member ready", () => {
  it.effect("begins no wait that is longer than what is left of the patience, and takes off what it waits", () =>
    Effect.gen(function*() {
      const limited = failure("RateLimit", "Requests")
      const left = patience(10_000)
      // 5 seconds are begun, the 10 seconds after them are not.
      assert.deepStrictEqual(yield* ends(limited, left), [2, 5_000])
      assert.strictEqual(left.waiting, 5_000)
      assert.deepStrictEqual(yield* ends(failure("Transient", "Overloaded"), patience(10_000)), [4, 7_000])
      assert.deepStrictEqual(yield* ends(failure("Transient", "Server"), patience(10_000)), [4, 1_750])
      assert.deepStrictEqual(yield* ends(failure("EmptyResponse", "NoContent"), patience(0)), [1, 0])
    }).pipe(middle))

  it.effect("fails at once where the provider asks for more", () =>
    Effect.gen(function*() {
      const hinted = failure("RateLimit", "Requests", { retryAfter: Duration.seconds(45) })
      assert.deepStrictEqual(yield* ends(hinted, patience(10_000)), [1, 0])
      const soon = failure("Transient", "Server", { retryAfter: Duration.seconds(2) })
      assert.deepStrictEqual(yield* ends(soon, patience(10_000)), [4, 6_300])
    }).pipe(middle))

  it.effect("makes no second try after a timeout", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* ends(failure("Transient", "Timeout"), patience(10_000)), [1, 0])
    }).pipe(middle))

  it.effect("waits in full for a failure after which the Fallback would not move on", () =>
    Effect.gen(function*() {
      const when = ({ _tag }: LLMError) => _tag === "RateLimit"
      assert.deepStrictEqual(yield* ends(failure("Transient", "Overloaded"), patience(0, { when })), [6, 31_000])
      assert.deepStrictEqual(yield* ends(failure("Transient", "Timeout"), patience(0, { when })), [2, 250])
      assert.deepStrictEqual(yield* ends(failure("RateLimit", "Tokens"), patience(0, { when })), [1, 0])
    }).pipe(middle))

  it.effect("has its full policy where patience has no end", () =>
    Effect.gen(function*() {
      const last = patience(Number.POSITIVE_INFINITY)
      assert.deepStrictEqual(yield* ends(failure("Transient", "Overloaded"), last), [6, 31_000])
      assert.deepStrictEqual(yield* ends(failure("Transient", "Timeout"), last), [2, 250])
      assert.strictEqual(last.waiting, Number.POSITIVE_INFINITY)
    }).pipe(middle))

  it.effect("keeps patience with a schedule of your own", () =>
    Effect.gen(function*() {
      const eager = (client: LLMClient.Service) =>
        Effect.scoped(through(Retry.layerSchedule(Schedule.spaced("3 seconds")), client))
      assert.deepStrictEqual(yield* ends(failure("Transient", "Server"), patience(10_000), eager), [4, 9_000])
      assert.deepStrictEqual(yield* ends(failure("Transient", "Timeout"), patience(10_000), eager), [1, 0])
    }))
})

import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Completion from "../src/Completion.ts"
import type * as CompletionPart from "../src/CompletionPart.ts"
import * as CompletionResponse from "../src/CompletionResponse.ts"
import * as LLMClient from "../src/LLMClient.ts"
import * as LLMError from "../src/LLMError.ts"
import * as Message from "../src/Message.ts"
import * as Retry from "../src/Retry.ts"
import * as TokenUsage from "../src/TokenUsage.ts"

const request = Completion.make({ model: "m", prompt: "Hello" })

const failure = (tag: LLMError.LLMError["_tag"], reason: string, more: object = {}) =>
  LLMError.make(tag, { provider: "test", model: "m", reason: reason as never, description: "busy", ...more })

const overloaded = failure("Transient", "Overloaded")
const server = failure("Transient", "Server")

/** Holds the jitter factor at the middle of its range, which is 1, and the jitter of hints at half of theirs. */
const middle = Effect.provideService(Random.Random, { nextDoubleUnsafe: () => 0.5, nextIntUnsafe: () => 0 })

const answer = CompletionResponse.make({
  choice: [Message.text("Hello!")],
  finishReason: { _tag: "Stop" },
  usage: TokenUsage.zero,
  provider: "test"
})

const clientOf = (members: Partial<LLMClient.Service>): LLMClient.Service => ({
  provider: "test",
  completion: () => Effect.never,
  stream: () => Stream.never,
  ...members
})

/** What an effect ends with, and after how many milliseconds of the test clock. */
const timed = <A, E>(self: Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(Effect.all([Effect.exit(self), Clock.currentTimeMillis]))
    yield* TestClock.adjust("10 minutes")
    const [exit, millis] = yield* Fiber.join(fiber)
    const error = Exit.isFailure(exit) ? exit.cause.reasons.find(Cause.isFailReason)?.error : undefined
    return { error: error as LLMError.LLMError | undefined, millis }
  })

describe("a deadline over all attempts", () => {
  it.effect("ends a call within its first attempt", () =>
    Effect.gen(function*() {
      const client = Retry.make(clientOf({}), { deadline: "90 seconds" })
      for (const call of [client.completion(request), Stream.runDrain(client.stream(request))]) {
        const start = yield* Clock.currentTimeMillis
        const { error, millis } = yield* timed(Effect.asVoid(call))
        assert.strictEqual(millis - start, 90_000)
        assert.strictEqual(`${error?._tag} ${error?.reason}`, "Transient Timeout")
        assert.include(error?.description, "Retry deadline of 1m 30s")
        assert.isUndefined(error?.attempts)
      }
    }))

  it.effect("is not waited for: a wait that would pass it is not started, and the call fails with its own failure", () =>
    Effect.gen(function*() {
      const failing = clientOf({
        completion: () => Effect.fail(overloaded),
        stream: () => Stream.fail(overloaded)
      })
      // Waits of 1, 2 and 4 seconds, of which the third would end at 7.
      const client = Retry.make(failing, { deadline: "7 seconds" })
      for (const call of [client.completion(request), Stream.runDrain(client.stream(request))]) {
        const start = yield* Clock.currentTimeMillis
        const { error, millis } = yield* timed(Effect.asVoid(call))
        assert.strictEqual(millis - start, 3_000)
        assert.strictEqual(`${error?._tag} ${error?.reason}`, "Transient Overloaded")
        assert.deepStrictEqual(error?.attempts?.map(({ reason }) => reason), ["Overloaded", "Overloaded"])
      }
    }).pipe(middle))

  it.effect("that is the provider's hint ends the call at once", () =>
    Effect.gen(function*() {
      const hinted = failure("RateLimit", "Requests", { retryAfter: Duration.seconds(30) })
      const client = Retry.make(clientOf({ completion: () => Effect.fail(hinted) }), { deadline: "30 seconds" })
      const { error, millis } = yield* timed(client.completion(request))
      assert.strictEqual(error, hinted)
      assert.strictEqual(millis, 0)
    }).pipe(middle))

  it.effect("that cuts a later attempt tells of the failures before it, also of those that retries below went through", () =>
    Effect.gen(function*() {
      const failures = [server, overloaded]
      const called = Effect.suspend((): Effect.Effect<never, LLMError.LLMError> => {
        const next = failures.shift()
        return next === undefined ? Effect.never : Effect.fail(next)
      })
      const below = Retry.make(clientOf({ completion: () => called, stream: () => Stream.fromEffect(called) }), {
        Transient: { attempts: 1 }
      })
      const client = Retry.make(below, { deadline: "20 seconds" })
      for (const call of [client.completion(request), Stream.runDrain(client.stream(request))]) {
        failures.splice(0, 2, server, overloaded)
        const start = yield* Clock.currentTimeMillis
        const { error, millis } = yield* timed(Effect.asVoid(call))
        assert.strictEqual(millis - start, 20_000)
        assert.strictEqual(`${error?._tag} ${error?.reason}`, "Transient Timeout")
        assert.deepStrictEqual(error?.attempts?.map(({ reason }) => reason), ["Server", "Overloaded"])
      }
    }).pipe(middle))

  it.effect("leaves a stream alone that has begun", () =>
    Effect.gen(function*() {
      const slow = clientOf({
        stream: () =>
          Stream.concat(
            Stream.succeed<CompletionPart.CompletionPart>({ _tag: "TextDelta", index: 0, text: "Hello!" }),
            Stream.fromEffect(Effect.as(Effect.sleep("2 minutes"), { _tag: "Finish", response: answer } as const))
          )
      })
      const { error, millis } = yield* timed(
        Stream.runDrain(Retry.make(slow, { deadline: "1 second" }).stream(request))
      )
      assert.isUndefined(error)
      assert.strictEqual(millis, 120_000)
    }))

  it.effect("is refused when it is not a duration", () =>
    Effect.gen(function*() {
      const layer = Layer.provide(Retry.layer({ deadline: -1 }), Layer.succeed(LLMClient.LLMClient, clientOf({})))
      const exit = yield* Effect.exit(Effect.scoped(Layer.build(layer)))
      assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", "Retry policy deadline")
    }))
})

it.effect("a stream that breaks off after its first part is neither retried nor said to be", () =>
  Effect.gen(function*() {
    const logged: Array<unknown> = []
    let opened = 0
    const broken = clientOf({
      stream: () =>
        Stream.suspend(() => {
          opened++
          return Stream.concat(
            Stream.succeed<CompletionPart.CompletionPart>({ _tag: "TextDelta", index: 0, text: "Hel" }),
            Stream.fail(overloaded)
          )
        })
    })
    const { error } = yield* timed(
      Stream.runDrain(Retry.make(broken).stream(request)).pipe(
        Effect.provide(Logger.layer([Logger.make(({ message }) => logged.push(message))]))
      )
    )
    assert.strictEqual(error?.reason, "Overloaded")
    assert.strictEqual(opened, 1)
    assert.deepStrictEqual(logged, [])
  }))

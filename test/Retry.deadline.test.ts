import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
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

const overloaded = LLMError.make("Transient", {
  provider: "test",
  model: "m",
  reason: "Overloaded",
  description: "busy"
})

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
        assert.include(error?.description, "retry deadline of 1m 30s")
        assert.isUndefined(error?.attempts)
      }
    }))

  it.effect("ends a call within a wait, and keeps the failures before it", () =>
    Effect.gen(function*() {
      const failing = clientOf({
        completion: () => Effect.fail(overloaded),
        stream: () => Stream.fail(overloaded)
      })
      const client = Retry.make(failing, { deadline: "400 millis" })
      for (const call of [client.completion(request), Stream.runDrain(client.stream(request))]) {
        const start = yield* Clock.currentTimeMillis
        const { error, millis } = yield* timed(Effect.asVoid(call))
        assert.strictEqual(millis - start, 400)
        assert.strictEqual(`${error?._tag} ${error?.reason}`, "Transient Timeout")
        assert.deepStrictEqual(error?.attempts?.map(({ reason }) => reason), ["Overloaded"])
      }
    }))

  it.effect("leaves a stream alone that has begun", () =>
    Effect.gen(function*() {
      const slow = clientOf({
        stream: () =>
          Stream.concat(
            Stream.succeed<CompletionPart.CompletionPart>({ _tag: "TextDelta", text: "Hello!" }),
            Stream.fromEffect(Effect.as(Effect.sleep("2 minutes"), { _tag: "Finish", response: answer } as const))
          )
      })
      const { error, millis } = yield* timed(
        Stream.runDrain(Retry.make(slow, { deadline: "1 second" }).stream(request))
      )
      assert.isUndefined(error)
      assert.strictEqual(millis, 120_000)
    }))

  it.effect("is refused when it is no duration", () =>
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
            Stream.succeed<CompletionPart.CompletionPart>({ _tag: "TextDelta", text: "Hel" }),
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

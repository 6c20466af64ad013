import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Stream } from "effect"
import * as TestClock from "effect/testing/TestClock"
import {
  Completion,
  type CompletionPart,
  CompletionResponse,
  type LLMClient,
  LLMError,
  TokenUsage
} from "../../src/index.ts"
import { around, type Ended, type Restore } from "../../src/middleware/around.ts"

const request = Completion.make({ prompt: "Hello" })

const response = CompletionResponse.make({
  choice: [{ _tag: "Text", text: "Hi" }],
  finishReason: { _tag: "Stop" },
  usage: TokenUsage.make({ inputTokens: 1, outputTokens: 2 }),
  provider: "test"
})

const error = LLMError.make("Transient", { provider: "test", model: "", reason: "Server", description: "" })

const deltas: Array<CompletionPart.CompletionPart> = [
  { _tag: "TextDelta", index: 0, text: "abc" },
  { _tag: "ReasoningDelta", index: 1, text: "de" },
  { _tag: "ToolCallDelta", index: 0, arguments: "{}" }
]

const surrounded = (
  client: Partial<LLMClient.Service>,
  before: (restore: Restore) => Effect.Effect<void, LLMError.LLMError> = () => Effect.void
) => {
  const log: Array<string | Ended> = []
  const full: LLMClient.Service = {
    provider: "test",
    completion: () => Effect.never,
    stream: () => Stream.never,
    ...client
  }
  return {
    log,
    ...around(full, {
      before: (_, restore) => Effect.tap(before(restore), () => Effect.sync(() => log.push("before"))),
      after: (_, ended) => Effect.sync(() => void log.push(ended))
    })
  }
}

describe("around", () => {
  it.effect("the caller gets the failure from mapError, after the call is settled", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const other = LLMError.make("Transient", { provider: "test", model: "", reason: "Network", description: "" })
      const client = around({
        completion: () => Effect.fail(error),
        stream: () => Stream.concat(Stream.fromIterable(deltas), Stream.fail(error))
      }, {
        before: () => Effect.succeed("taken"),
        after: (_, ended) => Effect.sync(() => void log.push(ended._tag)),
        mapError: (taken, failed) =>
          Effect.sync(() => {
            log.push(`${taken} ${failed.reason}`)
            return other
          })
      })
      assert.strictEqual(yield* Effect.flip(client.completion(request)), other)
      assert.strictEqual(yield* Effect.flip(Stream.runDrain(client.stream(request))), other)
      assert.deepStrictEqual(log, ["Failed", "taken Server", "Failed", "taken Server"])
    }))

  it.effect("what begins a stream or ends a content counts no characters", () =>
    Effect.gen(function*() {
      const parts: ReadonlyArray<CompletionPart.CompletionPart> = [
        { _tag: "Start", provider: "test" },
        { _tag: "TextDelta", index: 0, text: "abc" },
        { _tag: "ContentEnd", index: 0, content: { _tag: "Text", text: "abc" } }
      ]
      const self = surrounded({
        stream: () => Stream.concat(Stream.fromIterable(parts), Stream.fromEffect(Effect.never))
      })
      yield* Stream.runDrain(Stream.take(self.stream(request), 3))
      assert.deepStrictEqual(self.log, ["before", { _tag: "Left", streamed: true, characters: 3 }])
    }))

  it.effect("a completion is settled with its answer", () =>
    Effect.gen(function*() {
      const self = surrounded({ completion: () => Effect.succeed(response) })
      yield* self.completion(request)
      assert.deepStrictEqual(self.log, ["before", { _tag: "Answered", response, streamed: false }])
    }))

  it.effect("a completion is settled with its failure", () =>
    Effect.gen(function*() {
      const self = surrounded({ completion: () => Effect.fail(error) })
      yield* Effect.flip(self.completion(request))
      assert.deepStrictEqual(self.log, ["before", { _tag: "Failed", error, streamed: false }])
    }))

  it.effect("an interrupted completion is settled, and a defect too", () =>
    Effect.gen(function*() {
      const self = surrounded({})
      const fiber = yield* Effect.forkChild(self.completion(request), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(self.log, ["before", { _tag: "Left", streamed: false, characters: 0 }])
      const dying = surrounded({ completion: () => Effect.die("bug") })
      yield* Effect.exit(dying.completion(request))
      assert.deepStrictEqual(dying.log, ["before", { _tag: "Left", streamed: false, characters: 0, died: true }])
    }))

  it.effect("what is refused was never taken", () =>
    Effect.gen(function*() {
      const self = surrounded({ completion: () => Effect.succeed(response) }, () => Effect.fail(error))
      yield* Effect.flip(self.completion(request))
      yield* Effect.flip(Stream.runDrain(self.stream(request)))
      assert.deepStrictEqual(self.log, [])
    }))

  it.effect("waiting to begin can be interrupted, and takes nothing", () =>
    Effect.gen(function*() {
      const self = surrounded({ completion: () => Effect.succeed(response) }, (restore) => restore(Effect.never))
      for (const call of [self.completion(request), Stream.runDrain(self.stream(request))]) {
        const fiber = yield* Effect.forkChild(call, { startImmediately: true })
        yield* Fiber.interrupt(fiber)
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      }
      assert.deepStrictEqual(self.log, [])
    }))

  it.effect("what was taken while the caller was already leaving is settled", () =>
    Effect.gen(function*() {
      const self = surrounded({}, () => Effect.sleep("1 second"))
      for (const call of [self.completion(request), Stream.runDrain(self.stream(request))]) {
        const fiber = yield* Effect.forkChild(call, { startImmediately: true })
        yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
        yield* TestClock.adjust("1 second")
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      }
      assert.deepStrictEqual(self.log, [
        "before",
        { _tag: "Left", streamed: false, characters: 0 },
        "before",
        { _tag: "Left", streamed: true, characters: 0 }
      ])
    }))

  it.effect("a call of a client that throws is settled all the same", () =>
    Effect.gen(function*() {
      const throwing = () => {
        throw new Error("broken")
      }
      for (const streamed of [false, true]) {
        const self = surrounded({ completion: throwing, stream: throwing })
        const exit = yield* Effect.exit(streamed ? Stream.runDrain(self.stream(request)) : self.completion(request))
        assert.isTrue(Exit.hasDies(exit))
        assert.deepStrictEqual(self.log, ["before", { _tag: "Left", streamed, characters: 0, died: true }])
      }
    }))

  it.effect("a stream is settled once, before its last part is handed on", () =>
    Effect.gen(function*() {
      const self = surrounded({
        stream: () => Stream.concat(Stream.fromIterable(deltas), Stream.make({ _tag: "Finish", response } as const))
      })
      const parts = yield* Stream.runCollect(Stream.tap(self.stream(request), (part) =>
        Effect.sync(() => {
          if (part._tag === "Finish") assert.lengthOf(self.log, 2)
        })))
      assert.deepStrictEqual(parts.map((part) => part._tag), ["TextDelta", "ReasoningDelta", "ToolCallDelta", "Finish"])
      assert.deepStrictEqual(self.log, ["before", { _tag: "Answered", response, streamed: true }])
    }))

  it.effect("a stream that fails is settled with the failure", () =>
    Effect.gen(function*() {
      const self = surrounded({ stream: () => Stream.concat(Stream.fromIterable(deltas), Stream.fail(error)) })
      yield* Effect.flip(Stream.runDrain(self.stream(request)))
      assert.deepStrictEqual(self.log, ["before", { _tag: "Failed", error, streamed: true }])
    }))

  it.effect("an interrupted stream is settled with what had arrived", () =>
    Effect.gen(function*() {
      const self = surrounded({
        stream: () => Stream.concat(Stream.fromIterable(deltas), Stream.fromEffect(Effect.never))
      })
      yield* Stream.runDrain(Stream.take(self.stream(request), 1))
      assert.deepStrictEqual(self.log, ["before", { _tag: "Left", streamed: true, characters: 7 }])
      const fiber = yield* Effect.forkChild(Stream.runDrain(self.stream(request)), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(self.log.slice(2), ["before", { _tag: "Left", streamed: true, characters: 7 }])
      const dying = surrounded({ stream: () => Stream.fromEffect(Effect.die("bug")) })
      assert.isTrue(Cause.hasDies(yield* Effect.sandbox(Stream.runDrain(dying.stream(request))).pipe(Effect.flip)))
      assert.deepStrictEqual(dying.log, ["before", { _tag: "Left", streamed: true, characters: 0, died: true }])
    }))
})

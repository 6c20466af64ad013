import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as KeyValueStore from "effect/persistence/KeyValueStore"
import * as Persistence from "effect/persistence/Persistence"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Completion from "../src/Completion.ts"
import * as CompletionPart from "../src/CompletionPart.ts"
import * as CompletionResponse from "../src/CompletionResponse.ts"
import * as LLMClient from "../src/LLMClient.ts"
import * as LLMError from "../src/LLMError.ts"
import * as Message from "../src/Message.ts"
import * as ResponseCache from "../src/ResponseCache.ts"
import * as TokenUsage from "../src/TokenUsage.ts"
import { inThread } from "./clients.ts"
import * as Redis from "./redis.ts"
import { hear } from "./testing/simulated.ts"

// The same cases in every run.
Arbitrary.configureGlobal({ check: { seed: "ResponseCache" } })

const request = Completion.make({ model: "m", prompt: "Hello" })

const answer = CompletionResponse.make({
  choice: [Message.text("Hello!"), Message.toolCall({ id: "t", name: "weather", arguments: { city: "Oslo" } })],
  finishReason: { _tag: "Stop" },
  usage: TokenUsage.make({ inputTokens: 3, outputTokens: 2 }),
  provider: "test",
  model: "m-1",
  id: "answer-1",
  cost: 0.25
})

const failure = LLMError.make("Transient", { provider: "test", model: "m", description: "", reason: "Server" })

const replayed = { ...answer, cost: undefined, usage: TokenUsage.zero, cached: true }

const plain = (response: CompletionResponse.CompletionResponse) => ({ cost: undefined, ...response })

type Outcome = Effect.Effect<CompletionResponse.CompletionResponse, LLMError.LLMError>

/** A provider that answers its calls in the given ways, the last of them again and again, and keeps what it was asked. */
const provider = (...outcomes: ReadonlyArray<Outcome>) => {
  const asked: Array<Completion.Completion> = []
  const left: Array<number> = []
  const next = (completion: Completion.Completion): Outcome =>
    Effect.suspend(() => {
      const call = asked.push(completion) - 1
      return Effect.onInterrupt(
        outcomes[Math.min(call, outcomes.length - 1)] ?? Effect.succeed(answer),
        () => Effect.sync(() => left.push(call))
      )
    })
  const client: LLMClient.Service = {
    provider: "test",
    completion: next,
    // The first parts come at once, the others with the outcome.
    stream: (completion) =>
      Stream.concat(
        Stream.fromIterable(CompletionPart.fromResponse(answer).slice(0, 2)),
        Stream.unwrap(
          Effect.map(
            next(completion),
            (response) => Stream.fromIterable(CompletionPart.fromResponse(response).slice(2))
          )
        )
      )
  }
  return { asked, left, client }
}

const over = <R>(
  client: LLMClient.Service,
  layer: Layer.Layer<LLMClient.LLMClient, never, LLMClient.LLMClient | R>
) =>
  Effect.map(
    Layer.build(Layer.provide(layer, Layer.succeed(LLMClient.LLMClient, client))),
    Context.get(LLMClient.LLMClient)
  )

const cached = (client: LLMClient.Service, options?: ResponseCache.MemoryOptions) =>
  inThread(over(client, ResponseCache.layer(options)))

/** Lets everything run that runs without time. */
const settle = Effect.repeat(Effect.yieldNow, { times: 50 })

const finish = (parts: ReadonlyArray<CompletionPart.CompletionPart>) => {
  const last = parts.at(-1)
  assert(last?._tag === "Finish")
  return last.response
}

describe("ResponseCache", () => {
  it.effect("asks once for equal requests, and marks the answer that it gives again", () =>
    Effect.gen(function*() {
      const { asked, client } = provider()
      const cache = yield* cached(client)
      assert.deepStrictEqual(plain(yield* cache.completion(request)), plain(answer))
      const again = yield* cache.completion(Completion.make({ prompt: "Hello", model: "m" }))
      assert.deepStrictEqual(plain(again), replayed)
      assert.instanceOf(again, CompletionResponse.CompletionResponse)
      assert.strictEqual(again.text, "Hello!")
      assert.lengthOf(asked, 1)
    }))

  it.effect("says nothing again of what the first call went through", () =>
    Effect.gen(function*() {
      const { client } = provider(
        Effect.succeed(CompletionResponse.make({ ...answer, attempts: [failure], rateLimits: {} }))
      )
      const cache = yield* cached(client)
      assert.lengthOf((yield* cache.completion(request)).attempts ?? [], 1)
      assert.deepStrictEqual(plain(yield* cache.completion(request)), replayed)
    }))

  it.effect("a stream fills the cache for completions, and is given again as a stream", () =>
    Effect.gen(function*() {
      const { asked, client } = provider()
      const cache = yield* cached(client)
      const first = yield* hear(cache, request)
      assert.strictEqual(finish(first.parts), answer)
      assert.deepStrictEqual(plain(yield* cache.completion(request)), replayed)
      const again = yield* hear(cache, request)
      assert.deepStrictEqual(again.parts.slice(0, -1), first.parts.slice(0, -1))
      assert.deepStrictEqual(plain(finish(again.parts)), replayed)
      assert.lengthOf(asked, 1)
    }))

  it.effect("an answer is in the cache when the stream brings its end", () =>
    Effect.gen(function*() {
      const { asked, client } = provider()
      const cache = yield* cached(client)
      yield* Stream.runForEach(cache.stream(request), (part) =>
        part._tag === "Finish" ? cache.completion(request) : Effect.void)
      assert.lengthOf(asked, 1)
    }))

  it.effect("a stream that finds nothing is live: its parts come as they arrive", () =>
    Effect.gen(function*() {
      const { client } = provider(Effect.never)
      const cache = yield* cached(client)
      const parts = yield* Stream.runCollect(Stream.take(cache.stream(request), 2))
      assert.deepStrictEqual(parts.at(-1), { _tag: "TextDelta", index: 0, text: "Hello!" })
    }))

  it.effect("every difference between requests counts, credentials included, but not the order of keys", () =>
    Effect.gen(function*() {
      const { asked, client } = provider()
      const cache = yield* cached(client)
      const base = Completion.make({
        prompt: "Hello",
        additionalParams: { a: 1, b: { c: [1, 2], d: 2 } },
        headers: { "x-mode": "a", authorization: "Bearer sk-1", "X-Api-Key": "k1" }
      })
      const equal = [
        Completion.additionalParams({ b: { d: 2, c: [1, 2] }, a: 1 })(base),
        Completion.headers({ "X-Api-Key": "k1", authorization: "Bearer sk-1", "x-mode": "a" })(base)
      ]
      const different = [
        Completion.headers({ "x-mode": "a", authorization: "Bearer sk-2", "X-Api-Key": "k1" })(base),
        Completion.headers({ "x-mode": "a" })(base),
        Completion.additionalParams({ a: 1, b: { c: [2, 1], d: 2 } })(base),
        Completion.additionalParams({ a: "1", b: { c: [1, 2], d: 2 } })(base),
        Completion.headers({ "x-mode": "b" })(base),
        Completion.model("m")(base),
        Completion.preamble("")(base),
        Completion.history([Message.user("Hello")])(base),
        Completion.temperature(0)(base),
        Completion.prompt(Message.system("Hello"))(base)
      ]
      yield* Effect.forEach([base, ...equal], cache.completion)
      assert.lengthOf(asked, 1)
      yield* Effect.forEach([...different, ...different], cache.completion)
      assert.lengthOf(asked, 1 + different.length)
    }))

  it.effect("failures are not kept", () =>
    Effect.gen(function*() {
      const { asked, client } = provider(Effect.fail(failure), Effect.fail(failure), Effect.succeed(answer))
      const cache = yield* cached(client)
      assert.strictEqual(yield* Effect.flip(cache.completion(request)), failure)
      assert.strictEqual((yield* hear(cache, request)).error, failure)
      assert.deepStrictEqual(plain(yield* cache.completion(request)), plain(answer))
      assert.lengthOf(asked, 3)
    }))

  it.effect.each<readonly [CompletionResponse.FinishReason, boolean]>([
    [{ _tag: "None" }, true],
    [{ _tag: "Stop" }, true],
    [{ _tag: "MaxTokens" }, true],
    [{ _tag: "ToolUse" }, true],
    [{ _tag: "ContentFilter" }, false],
    [{ _tag: "Other", reason: "pause_turn" }, false]
  ])("an answer that ended with %j is kept: %s", ([finishReason, kept]) =>
    Effect.gen(function*() {
      const { asked, client } = provider(Effect.succeed(CompletionResponse.make({ ...answer, finishReason })))
      const cache = yield* cached(client)
      yield* cache.completion(request)
      yield* hear(cache, request)
      assert.lengthOf(asked, kept ? 1 : 2)
    }))

  it.effect("keeps the answers that the program says", () =>
    Effect.gen(function*() {
      const { asked, client } = provider()
      const cache = yield* cached(client, { cacheable: () => false })
      yield* cache.completion(request)
      assert.isUndefined((yield* cache.completion(request)).cached)
      assert.lengthOf(asked, 2)
    }))

  it.effect("a cache in memory has a scope, too", () =>
    Effect.gen(function*() {
      const { asked, client } = provider()
      const cache = yield* cached(client, { scope: "tenant 7" })
      for (const _ of [1, 2]) yield* cache.completion(request)
      assert.lengthOf(asked, 1)
    }))

  it.effect("forgets an answer after its time to live", () =>
    Effect.gen(function*() {
      const { asked, client } = provider()
      const cache = yield* cached(client, { timeToLive: "10 minutes" })
      yield* cache.completion(request)
      yield* TestClock.adjust("9 minutes")
      yield* cache.completion(request)
      assert.lengthOf(asked, 1)
      yield* TestClock.adjust("1 minute")
      yield* cache.completion(request)
      assert.lengthOf(asked, 2)
    }))

  it.effect("keeps no more answers than its capacity, and forgets the least recently used first", () =>
    Effect.gen(function*() {
      const { asked, client } = provider()
      const cache = yield* cached(client, { capacity: 2 })
      const ask = (prompt: string) => cache.completion(Completion.make({ prompt }))
      yield* Effect.forEach(["a", "b", "a", "c", "a", "b"], ask)
      assert.deepStrictEqual(
        asked.map(({ prompt }) => prompt.content),
        ["a", "b", "c", "b"].map((prompt) => Message.user(prompt).content)
      )
    }))

  it.effect("a request that is not JSON goes on to the client", () =>
    Effect.gen(function*() {
      const { asked, client } = provider(Effect.fail(failure))
      const cache = yield* cached(client)
      const cycle: { [key: string]: Schema.Json } = {}
      cycle["self"] = cycle
      const impossible = [cycle, { n: 1n } as unknown as typeof cycle].map((params) =>
        Completion.additionalParams(params)(request)
      )
      for (const completion of impossible) {
        assert.strictEqual(yield* Effect.flip(cache.completion(completion)), failure)
        assert.strictEqual((yield* hear(cache, completion)).error, failure)
      }
      assert.lengthOf(asked, 4)
    }))

  it.effect("what a caller does to its answer changes nobody else's", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const fresh = Effect.sync(() => CompletionResponse.make(structuredClone({ ...answer })))
      const { client } = provider(Effect.andThen(Deferred.await(gate), fresh))
      const cache = yield* cached(client)
      const spoilt = (call: Outcome) =>
        Effect.map(call, (response) => {
          const { text } = response
          Object.assign(response.choice[0]!, { text: "spoilt" })
          return text
        })
      const calls = yield* Effect.forkChild(
        Effect.forEach([1, 2, 3], () => spoilt(cache.completion(request)), { concurrency: "unbounded" })
      )
      yield* settle
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(yield* Fiber.join(calls), ["Hello!", "Hello!", "Hello!"])
      for (const _ of [1, 2]) assert.strictEqual(yield* spoilt(cache.completion(request)), "Hello!")
    }))

  it.effect("a request that names no model is one that names the layer's", () =>
    Effect.gen(function*() {
      const { asked, client } = provider()
      const cache = yield* cached({ ...client, model: "m" })
      const nameless = Completion.model(undefined)(request)
      yield* Effect.forEach([nameless, request, nameless], cache.completion)
      yield* cache.completion(Completion.model("n")(request))
      assert.lengthOf(asked, 2)
    }))

  it.effect("one value of the layer over two clients is a cache for each of them", () =>
    Effect.gen(function*() {
      const layer = ResponseCache.layer()
      const [a, b] = [provider(), provider()]
      const context = yield* Layer.build(Layer.mergeAll(
        ...[a, b].map(({ client }, index) =>
          Layer.effect(Context.Service<LLMClient.Service>(`client ${index}`), LLMClient.LLMClient).pipe(
            Layer.provide(layer),
            Layer.provide(Layer.succeed(LLMClient.LLMClient, client))
          )
        ) as [Layer.Layer<LLMClient.Service>]
      ))
      for (const index of [0, 1]) {
        yield* Context.get(context, Context.Service<LLMClient.Service>(`client ${index}`)).completion(request)
      }
      assert.lengthOf(a.asked, 1)
      assert.lengthOf(b.asked, 1)
    }))

  it.effect.each<readonly [string, ResponseCache.MemoryOptions & ResponseCache.PersistedOptions]>([
    ["timeToLive", { timeToLive: 0 }],
    ["timeToLive", { timeToLive: -1 }],
    ["timeToLive", { timeToLive: NaN }],
    ["capacity", { capacity: 0 }],
    ["capacity", { capacity: -1 }],
    ["capacity", { capacity: NaN }],
    ["scope", { scope: "" }],
    ["scope", { scope: 7 } as object],
    ["cacheable", { cacheable: "all" } as object],
    ["ttl", { ttl: "1 hour" } as object]
  ])("a %s of %j is refused when the layer is built", ([option, options]) =>
    Effect.gen(function*() {
      for (const layer of [ResponseCache.layer(options), ResponseCache.layerPersisted(options)]) {
        const exit = yield* over(provider().client, layer).pipe(Effect.provide(Persistence.layerMemory), Effect.exit)
        assert(Exit.isFailure(exit))
        assert.match(String(Cause.squash(exit.cause)), new RegExp(`ResponseCache ${option}: give`))
      }
    }))
})

describe("ResponseCache, calls at the same time", () => {
  it.effect.prop(
    "of any number of equal calls of a kind, streamed or not, one goes to the provider, and one pays",
    {
      calls: Schema.NonEmptyArray(
        Schema.Struct({
          question: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 })),
          streamed: Schema.Boolean
        })
      )
    },
    ({ calls }) =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const { asked, client } = provider(Effect.as(Deferred.await(gate), answer))
        const cache = yield* cached(client)
        const fiber = yield* Effect.forkChild(Effect.forEach(calls, ({ question, streamed }) => {
          const completion = Completion.make({ prompt: `question ${question}` })
          return streamed
            ? Effect.map(hear(cache, completion), ({ parts }) => finish(parts))
            : cache.completion(completion)
        }, { concurrency: "unbounded" }))
        yield* settle
        yield* Deferred.succeed(gate, undefined)
        const answers = yield* Fiber.join(fiber)
        const distinct = new Set(calls.map(({ question, streamed }) => `${question} ${streamed}`)).size
        assert.lengthOf(asked, distinct)
        assert.lengthOf(answers.filter(({ cached }) => cached !== true), distinct)
        assert.isTrue(answers.every(({ text }) => text === "Hello!"))
      }),
    { arbitrary: { runs: 20 } }
  )

  const Pause = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 30 }))
  const Calls = Schema.NonEmptyArray(Schema.Struct({
    streamed: Schema.Boolean,
    begins: Pause,
    leaves: Schema.Union([Schema.Undefined, Schema.Undefined, Pause])
  }))
  const Outcomes = Schema.NonEmptyArray(Schema.Struct({ fails: Schema.Boolean, pause: Pause }))

  it.effect.prop(
    "however they come, leave and fail, no two of a kind are under way at the provider, and none waits in vain",
    { calls: Calls, outcomes: Outcomes },
    ({ calls, outcomes }) =>
      Effect.gen(function*() {
        const turns = (times: number) => Effect.repeat(Effect.yieldNow, { times })
        const counting = () => {
          const count = { underWay: 0, most: 0 }
          const counted = provider(...outcomes.map(({ fails, pause }): Outcome =>
            Effect.gen(function*() {
              count.most = Math.max(count.most, ++count.underWay)
              yield* turns(pause)
              return yield* fails ? Effect.fail(failure) : Effect.succeed(answer)
            }).pipe(Effect.ensuring(Effect.sync(() => count.underWay--)))
          ))
          return { ...counted, count }
        }
        const kinds = { completion: counting(), stream: counting() }
        const cache = yield* cached({ ...kinds.completion.client, stream: kinds.stream.client.stream })
        const exits = yield* Effect.forEach(calls, ({ begins, leaves, streamed }) =>
          Effect.gen(function*() {
            yield* turns(begins)
            const fiber = yield* Effect.forkChild(
              streamed
                ? Effect.map(Stream.runCollect(cache.stream(request)), finish)
                : cache.completion(request)
            )
            if (leaves !== undefined) {
              yield* turns(leaves)
              yield* Fiber.interrupt(fiber)
            }
            return { left: leaves !== undefined, streamed, exit: yield* Fiber.await(fiber) }
          }), { concurrency: "unbounded" })
        for (const { exit, left } of exits) {
          if (Exit.isSuccess(exit)) assert.strictEqual(exit.value.text, "Hello!")
          else if (!left) {
            const error = Cause.squash(exit.cause)
            assert(LLMError.isLLMError(error))
            if (error.partial === undefined) assert.strictEqual(error, failure)
            else assert.isTrue(error.partial.cached)
          }
        }
        for (const { count } of Object.values(kinds)) {
          assert.isAtMost(count.most, 1)
          assert.strictEqual(count.underWay, 0)
        }
        // Where nobody leaves, each call is told of by one.
        const told = exits.filter(({ exit }) =>
          Exit.isSuccess(exit)
            ? exit.value.cached !== true
            : (Cause.squash(exit.cause) as LLMError.LLMError).partial?.cached !== true
        )
        if (calls.every(({ leaves }) => leaves === undefined)) {
          assert.lengthOf(told, kinds.completion.asked.length + kinds.stream.asked.length)
        }
        const paid = exits.filter(({ exit }) => Exit.isSuccess(exit) && exit.value.cached !== true)
        for (const streamed of [false, true]) {
          assert.isAtMost(paid.filter((exit) => exit.streamed === streamed).length, 1)
        }
        if (paid.length > 0) assert.isTrue((yield* cache.completion(request)).cached)
      }),
    { arbitrary: { runs: 150 } }
  )

  it.effect("all who wait meet the failure of the one call, and the next call is sent again", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<never, LLMError.LLMError>()
      const { asked, client } = provider(Deferred.await(gate), Effect.succeed(answer))
      const cache = yield* cached(client)
      const fibers = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(Effect.flip(cache.completion(request))))
      yield* settle
      yield* Deferred.fail(gate, failure)
      const [first, ...others] = yield* Effect.forEach(fibers, Fiber.join)
      assert.strictEqual(first, failure)
      for (const other of others) {
        const { _tag, attempts, message, partial, reason } = other
        assert.deepStrictEqual([_tag, reason, message], [failure._tag, failure.reason, failure.message])
        assert.deepStrictEqual([partial?.cached, partial?.usage, attempts], [true, TokenUsage.zero, undefined])
      }
      assert.lengthOf(asked, 1)
      yield* cache.completion(request)
      assert.lengthOf(asked, 2)
    }))

  it.effect("a call goes on when its caller leaves, for those who wait, and is interrupted after the last", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const { asked, client, left } = provider(Effect.as(Deferred.await(gate), answer), Effect.never)
      const cache = yield* cached(client)
      const first = yield* Effect.forkChild(cache.completion(request))
      yield* settle
      const [second, third] = [
        yield* Effect.forkChild(cache.completion(request)),
        yield* Effect.forkChild(cache.completion(request))
      ]
      yield* settle
      yield* Fiber.interrupt(first)
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* Fiber.join(second)).text, "Hello!")
      assert.isTrue((yield* Fiber.join(third)).cached)
      assert.lengthOf(asked, 1)

      const other = Completion.make({ prompt: "other" })
      const waiting = yield* Effect.forEach([1, 2], () => Effect.forkChild(cache.completion(other)))
      yield* settle
      yield* Fiber.interruptAll(waiting)
      assert.deepStrictEqual(left, [1])
      assert.lengthOf(asked, 2)
    }))

  it.effect("when who made a call has left, the first who still waits gets the answer, or the failure, as its own", () =>
    Effect.gen(function*() {
      for (const outcome of [Effect.succeed(answer), Effect.fail(failure)]) {
        const gate = yield* Deferred.make<void>()
        const { asked, client } = provider(Effect.andThen(Deferred.await(gate), outcome))
        const cache = yield* cached(client)
        const [first, ...others] = yield* Effect.forEach(
          [1, 2, 3, 4],
          () => Effect.tap(Effect.forkChild(Effect.result(cache.completion(request))), () => settle)
        )
        yield* Fiber.interrupt(first!)
        yield* Deferred.succeed(gate, undefined)
        const answers = yield* Effect.forEach(others, Fiber.join)
        assert.lengthOf(asked, 1)
        assert.deepStrictEqual(
          answers.map((result) => Result.isSuccess(result) ? result.success.cached : result.failure.partial?.cached),
          [undefined, true, true]
        )
        const own = answers[0]!
        assert.deepStrictEqual(Result.merge(own), Result.merge(yield* Effect.result(outcome)))
      }
    }))

  it.effect("callers that wait for an idle stream send the request again after 30 seconds, one for all", () =>
    Effect.gen(function*() {
      const { asked, client } = provider()
      const cache = yield* cached(client)
      const leader = yield* Effect.forkChild(
        Stream.runForEach(cache.stream(request), () => Effect.never)
      )
      yield* settle
      const others = yield* Effect.forEach(
        [1, 2, 3],
        () => Effect.forkChild(Effect.map(hear(cache, request), ({ parts }) => finish(parts)))
      )
      yield* settle
      yield* TestClock.adjust("29 seconds")
      assert.lengthOf(others.filter((fiber) => fiber.pollUnsafe() !== undefined), 0)
      yield* TestClock.adjust("1 second")
      yield* settle
      const answers = yield* Effect.forEach(others, Fiber.join)
      assert.lengthOf(answers.filter(({ cached }) => cached !== true), 1)
      // The stream that stands still has not asked yet how its answer goes on.
      assert.lengthOf(asked, 1)
      assert.isUndefined(leader.pollUnsafe())
      assert.isTrue((yield* cache.completion(request)).cached)
    }))

  it.effect("those who wait for a stream that is not read on wait no longer when the clock is set back", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(7_200_000)
      const cache = yield* cached(provider().client)
      yield* Effect.forkChild(Stream.runForEach(cache.stream(request), () => Effect.never))
      yield* settle
      yield* TestClock.setTime(3_600_000)
      const other = yield* Effect.forkChild(Effect.map(hear(cache, request), ({ parts }) => finish(parts)))
      yield* settle
      yield* TestClock.adjust("30 seconds")
      yield* settle
      assert.isDefined(other.pollUnsafe())
    }))

  it.effect("those who wait for a stream wait as long as its provider takes, and while it is read slowly", () =>
    Effect.gen(function*() {
      const { asked, client } = provider(Effect.delay(Effect.succeed(answer), "10 minutes"))
      const cache = yield* cached(client)
      const leader = yield* Effect.forkChild(
        Stream.runForEach(cache.stream(request), () => Effect.sleep("10 seconds"))
      )
      yield* settle
      const other = yield* Effect.forkChild(Effect.map(hear(cache, request), ({ parts }) => finish(parts)))
      yield* settle
      for (const _ of Array.from({ length: 42 })) {
        yield* TestClock.adjust("15 seconds")
        yield* settle
      }
      assert.isTrue((yield* Fiber.join(other)).cached)
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(leader)
      assert.lengthOf(asked, 1)
    }))

  it.effect.each(["leaves", "fails"] as const)(
    "when a stream that others wait for %s after its first part, one of them sends the request again",
    (how) =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<never, LLMError.LLMError>()
        const { asked, client, left } = provider(Deferred.await(gate), Effect.succeed(answer))
        const cache = yield* cached(client)
        const leader = yield* Effect.forkChild(hear(cache, request))
        yield* settle
        const others = yield* Effect.forkChild(Effect.forEach(
          [1, 2, 3],
          () => Effect.map(hear(cache, request), ({ parts }) => finish(parts)),
          { concurrency: "unbounded" }
        ))
        yield* settle
        assert.lengthOf(asked, 1)
        if (how === "leaves") yield* Fiber.interrupt(leader)
        else {
          yield* Deferred.fail(gate, failure)
          assert.strictEqual((yield* Fiber.join(leader)).error, failure)
        }
        const answers = yield* Fiber.join(others)
        assert.lengthOf(asked, 2)
        assert.lengthOf(left, how === "leaves" ? 1 : 0)
        assert.lengthOf(answers.filter(({ cached }) => cached !== true), 1)
      })
  )

  it.effect("a stream that fails before its first part fails for all who wait", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<never, LLMError.LLMError>()
      const { asked, client } = provider(Deferred.await(gate))
      const cache = yield* cached({
        ...client,
        stream: (request) => Stream.fromEffectDrain(client.completion(request))
      })
      const leader = yield* Effect.forkChild(hear(cache, request))
      yield* settle
      const other = yield* Effect.forkChild(hear(cache, request))
      yield* settle
      yield* Deferred.fail(gate, failure)
      assert.strictEqual((yield* Fiber.join(leader)).error, failure)
      assert.isTrue((yield* Fiber.join(other)).error?.partial?.cached)
      assert.lengthOf(asked, 1)
    }))

  it.effect("a completion does not wait for another caller's slow reader of a stream", () =>
    Effect.gen(function*() {
      const { asked, client } = provider()
      const cache = yield* cached(client)
      const reader = yield* Effect.forkChild(Stream.runForEach(cache.stream(request), () => Effect.sleep("29 seconds")))
      yield* settle
      const whole = yield* Effect.forkChild(
        Effect.forEach([1, 2], () => cache.completion(request), { concurrency: "unbounded" })
      )
      yield* settle
      const answers = yield* Fiber.join(whole)
      assert.deepStrictEqual(answers.map(({ cached }) => cached), [undefined, true], "completions join each other")
      assert.lengthOf(asked, 1, "the stream has not asked yet how its answer goes on")
      yield* Effect.repeat(Effect.andThen(settle, TestClock.adjust("29 seconds")), { times: 6 })
      yield* Fiber.join(reader)
      assert.lengthOf(asked, 2)
      assert.isTrue((yield* cache.completion(request)).cached)
    }))

  it.effect("a stream that waits and leaves disturbs nobody", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const { asked, client } = provider(Effect.as(Deferred.await(gate), answer))
      const cache = yield* cached(client)
      const leader = yield* Effect.forkChild(hear(cache, request))
      yield* settle
      const other = yield* Effect.forkChild(hear(cache, request))
      yield* settle
      yield* Fiber.interrupt(other)
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(finish((yield* Fiber.join(leader)).parts), answer)
      assert.isTrue((yield* cache.completion(request)).cached)
      assert.lengthOf(asked, 1)
    }))
})

/** Collects the texts of warnings. */
const warnings = () => {
  const logged: Array<string> = []
  const logger = Logger.make(({ message }) => void logged.push(String(message)))
  return { logged, layer: Logger.layer([logger]) }
}

describe("ResponseCache.layerPersisted", () => {
  it.effect("keeps answers beyond the layer, apart for each scope and provider", () =>
    Effect.gen(function*() {
      const { asked, client } = provider()
      const ask = (options?: ResponseCache.PersistedOptions, provider = "test") =>
        Effect.scoped(Effect.flatMap(
          over({ ...client, provider }, ResponseCache.layerPersisted(options)),
          (cache) => cache.completion(request)
        ))
      yield* ask()
      assert.deepStrictEqual(plain(yield* ask()), replayed)
      assert.lengthOf(asked, 1)
      assert.isUndefined((yield* ask({ scope: "tenant 7" })).cached)
      assert.isUndefined((yield* ask({ scope: "tenant 8" })).cached)
      assert.isUndefined((yield* ask({}, "other")).cached)
      assert.isTrue((yield* ask({ scope: "tenant 7" })).cached)
      assert.lengthOf(asked, 4)
    }).pipe(Effect.provide(Persistence.layerMemory)))

  it.effect("keeps the answers of clients apart that have different models of their own", () =>
    Effect.gen(function*() {
      const { asked, client } = provider()
      const nameless = Completion.make({ prompt: "Hello" })
      for (const model of ["a", "b", "a"]) {
        const cache = yield* over({ ...client, model }, ResponseCache.layerPersisted())
        yield* cache.completion(nameless)
      }
      assert.lengthOf(asked, 2)
    }).pipe(Effect.provide(Persistence.layerMemory)))

  it.effect("gives the whole answer back, and forgets it after its time to live", () =>
    Effect.gen(function*() {
      const { asked, client } = provider()
      const cache = yield* over(client, ResponseCache.layerPersisted({ timeToLive: "1 minute" }))
      yield* hear(cache, request)
      const again = yield* cache.completion(request)
      assert.deepStrictEqual(plain(again), replayed)
      assert.instanceOf(again, CompletionResponse.CompletionResponse)
      yield* TestClock.adjust("1 minute")
      yield* cache.completion(request)
      assert.lengthOf(asked, 2)
    }).pipe(Effect.provide(Persistence.layerMemory)))

  it.effect("a stream that was read to its end is kept, however slowly", () =>
    Effect.gen(function*() {
      const entries = new Map<string, object>()
      const slowly = Effect.repeat(Effect.yieldNow, { times: 20 })
      const store = Layer.succeed(Persistence.BackingPersistence, {
        make: () =>
          Effect.succeed({
            get: (key) => Effect.as(slowly, entries.get(key)),
            getMany: () => Effect.die("unused"),
            set: (key, value) => Effect.andThen(slowly, Effect.sync(() => entries.set(key, value))),
            setMany: () => Effect.die("unused"),
            remove: () => Effect.die("unused"),
            clear: Effect.die("unused")
          })
      })
      const { asked, client } = provider()
      const cache = yield* over(
        client,
        Layer.provide(ResponseCache.layerPersisted(), Layer.provide(Persistence.layer, store))
      )
      yield* hear(cache, request)
      yield* cache.completion(request)
      assert.lengthOf(asked, 1)
    }))

  it.effect("a store that fails, dies or does not answer is a miss and a warning, never a failure", () =>
    Effect.gen(function*() {
      const unreachable = ["the answer store cannot be reached, calls go on without it"]
      const broken = [
        [Effect.fail(new Persistence.PersistenceError({ message: "gone" })), unreachable],
        [
          Effect.die(new Error("secret")),
          ["response cache: an entry could not be read", "response cache: an answer could not be kept"]
        ],
        [Effect.never, unreachable]
      ] as const
      for (const [operation, said] of broken) {
        const { layer, logged } = warnings()
        const { asked, client } = provider()
        const store = Layer.succeed(Persistence.BackingPersistence, {
          make: () =>
            Effect.succeed({
              get: () => operation,
              getMany: () => operation,
              set: () => operation,
              setMany: () => operation,
              remove: () => operation,
              clear: operation
            })
        })
        const cache = yield* inThread(over(
          client,
          Layer.provide(ResponseCache.layerPersisted(), Layer.provide(Persistence.layer, store))
        )).pipe(Effect.provide(layer))
        const fiber = yield* Effect.forkChild(Effect.provide(cache.completion(request), layer))
        while (fiber.pollUnsafe() === undefined) {
          yield* settle
          yield* TestClock.adjust("1 second")
        }
        assert.deepStrictEqual(plain(yield* Fiber.join(fiber)), plain(answer))
        assert.lengthOf(asked, 1)
        assert.deepStrictEqual(logged, said)
      }
    }))

  it.effect("while a store is gone, calls do not wait for it one by one, and it is said once; then that it is back", () =>
    Effect.gen(function*() {
      let gone = true
      const { layer, logged } = warnings()
      const { asked, client } = provider()
      const backing = yield* Effect.provide(Persistence.Persistence, Persistence.layerMemory)
      const waiting = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.suspend(() => gone ? Effect.never : self)
      const store = Layer.succeed(Persistence.Persistence, {
        make: (options) =>
          Effect.map(backing.make(options), (store) => ({
            ...store,
            get: (key) => waiting(store.get(key)),
            set: (key, value) => waiting(store.set(key, value))
          }))
      })
      const cache = yield* inThread(over(client, Layer.provide(ResponseCache.layerPersisted(), store))).pipe(
        Effect.provide(layer)
      )
      const ask = (index: number) => cache.completion(Completion.make({ prompt: `question ${index}` }))
      const calls = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 20 }, (_, index) => index), ask, { concurrency: "unbounded" })
      )
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.isDefined(calls.pollUnsafe())
      yield* ask(20)
      assert.deepStrictEqual(logged, ["the answer store cannot be reached, calls go on without it"])
      assert.lengthOf(asked, 21)
      gone = false
      yield* TestClock.adjust("30 seconds")
      yield* ask(20)
      assert.isTrue((yield* ask(20)).cached)
      assert.deepStrictEqual(logged.slice(1), ["the answer store is back"])
    }))

  it.effect("a caller that leaves during an operation is not a failure of the store", () =>
    Effect.gen(function*() {
      const { layer, logged } = warnings()
      const { asked, client } = provider()
      const store = Layer.succeed(Persistence.Persistence, {
        make: () => Effect.succeed({ get: () => Effect.never } as unknown as Persistence.PersistenceStore)
      })
      const cache = yield* inThread(over(client, Layer.provide(ResponseCache.layerPersisted(), store)))
      for (const call of [cache.completion(request), Stream.runDrain(cache.stream(request))]) {
        const fiber = yield* Effect.forkChild(Effect.provide(call, layer))
        yield* settle
        yield* Fiber.interrupt(fiber)
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      }
      assert.deepStrictEqual([logged, asked], [[], []])
    }))

  it.effect("in files survives a restart; what is corrupt or in another format is a miss, and is rewritten", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped()
      const { asked, client } = provider(
        Effect.succeed(CompletionResponse.make({ ...answer, attempts: [failure], rateLimits: {} }))
      )
      const { layer, logged } = warnings()
      const ask = Effect.scoped(Effect.flatMap(
        over(client, ResponseCache.layerPersisted()),
        (cache) => cache.completion(request)
      )).pipe(
        Effect.provide([Layer.provide(Persistence.layerKvs, KeyValueStore.layerFileSystem(directory)), layer])
      )
      yield* ask
      assert.deepStrictEqual(plain(yield* ask), replayed)
      assert.lengthOf(asked, 1)
      const files = yield* fs.readDirectory(directory)
      assert.lengthOf(files, 1)
      assert.match(files[0]!, /^effect_llm_responses%3A[0-9a-f]{64}$/)
      const file = `${directory}/${files[0]}`
      const stored = yield* fs.readFileString(file)
      assert.include(stored, '"Hello!"')
      for (const absent of ['"Hello"', "attempts", "rateLimits"]) assert.notInclude(stored, absent)
      for (const content of ["", "{", "[]", "[null,null]", '[{"_tag":"Success","value":{"choice":1}},null]']) {
        yield* fs.writeFileString(file, content)
        assert.isUndefined((yield* ask).cached, content)
        assert.isTrue((yield* ask).cached, content)
      }
      assert.isTrue(logged.every((line) => line === "response cache: an entry could not be read"))
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live.skipIf(!Redis.installed)(
    "in Redis is shared by runtimes, and calls go on while Redis is gone",
    () => {
      const { layer, logged } = warnings()
      return Effect.gen(function*() {
        const server = yield* Redis.server
        const runtime = Effect.fnUntraced(function*() {
          const { asked, client } = provider()
          const cache = yield* over(
            client,
            Layer.provide(
              ResponseCache.layerPersisted(),
              Layer.fresh(Layer.provide(Persistence.layerRedis, Redis.client(server)))
            )
          )
          return { asked, cache }
        })
        const [a, b] = [yield* runtime(), yield* runtime()]
        yield* a.cache.completion(request)
        assert.deepStrictEqual(plain(yield* b.cache.completion(request)), replayed)
        assert.strictEqual(finish((yield* hear(b.cache, request)).parts).text, "Hello!")
        assert.lengthOf(b.asked, 0)
        assert.lengthOf(logged, 0)

        yield* server.stop
        assert.isUndefined((yield* b.cache.completion(request)).cached)
        assert.isUndefined(finish((yield* hear(b.cache, request)).parts).cached)
        assert.lengthOf(b.asked, 2)
        assert.lengthOf(
          logged.filter((line) => line === "the answer store cannot be reached, calls go on without it"),
          1
        )

        yield* server.start
        // The client connects again by itself, after a pause.
        const recovered = Effect.map(b.cache.completion(request), ({ cached }) => cached === true)
        yield* Effect.repeat(recovered, { until: (cached) => cached, schedule: Schedule.spaced("100 millis") }).pipe(
          Effect.timeout("20 seconds")
        )
        assert.isTrue((yield* a.cache.completion(request)).cached ?? false)
      }).pipe(Effect.provide(layer))
    },
    40_000
  )
})

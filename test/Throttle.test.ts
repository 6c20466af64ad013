import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Context, Duration, Effect, Exit, Fiber, Layer, Schema, Stream } from "effect"
import * as RateLimiter from "effect/persistence/RateLimiter"
import * as TestClock from "effect/testing/TestClock"
import { Completion, Fallback, LLMClient, type LLMError, type RateLimits, Retry, Throttle } from "../src/index.ts"
import { type Answer, answer, failure, nameOf, noting, through } from "./clients.ts"
import { passing, providers, simulated } from "./testing/simulated.ts"

class Left extends Context.Service<Left, LLMClient.Service>()("test/Left") {}
class Right extends Context.Service<Right, LLMClient.Service>()("test/Right") {}

const ask = (name = "") => Completion.make({ prompt: name, model: "m" })

const taking = (duration: Duration.Input): Answer => () => Effect.as(Effect.sleep(duration), answer())
const atOnce: Answer = () => Effect.succeed(answer())

const throttled = Effect.fnUntraced(function*(options: Throttle.Options, answerWith: Answer = atOnce) {
  const { calls, client } = noting(answerWith)
  return { calls, client: yield* through(Throttle.layer(options), client) }
})

/** Starts a call by its name and lets it run as far as it can. */
const start = Effect.fnUntraced(function*(client: LLMClient.Service, name: string, completion = ask(name)) {
  const fiber = yield* Effect.forkChild(Effect.result(client.completion(completion)), { startImmediately: true })
  yield* TestClock.adjust(0)
  return fiber
})

const startAll = (client: LLMClient.Service, names: ReadonlyArray<string>) =>
  Effect.forEach(names, (name) => start(client, name))

const named = (count: number) => Array.from({ length: count }, (_, index) => String(index))

const errorOf = Effect.fnUntraced(function*(fiber: Fiber.Fiber<unknown, unknown>) {
  const result = yield* Fiber.join(fiber as Fiber.Fiber<{ readonly failure?: LLMError.LLMError }>)
  return result.failure!
})

describe("requests per minute", () => {
  it.effect("lets exactly that many through in each minute, in the order in which they came", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled({ requestsPerMinute: 10 })
      yield* startAll(client, named(25))
      assert.lengthOf(calls, 10)
      yield* TestClock.adjust("59999 millis")
      assert.lengthOf(calls, 10)
      yield* TestClock.adjust(1)
      assert.lengthOf(calls, 20)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(calls.map(({ name }) => name), named(25))
      assert.deepStrictEqual(
        calls.map(({ at }) => at),
        named(25).map((name) => Math.floor(Number(name) / 10) * 60_000)
      )
    }))

  const upTo = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))

  it.effect.prop(
    "for whatever arrivals, usages and departures: never more than the provider's bucket holds, all are served in order",
    {
      limit: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 6 })),
      arrivals: Schema.Array(Schema.Struct({
        after: upTo(30_000),
        lasts: upTo(90_000),
        tokens: upTo(3000),
        leaves: Schema.optionalKey(upTo(200_000))
      })).check(Schema.isMaxLength(20))
    },
    ({ arrivals, limit }) =>
      Effect.gen(function*() {
        const { calls, client } = yield* throttled(
          { requestsPerMinute: limit, tokensPerMinute: 2000, concurrency: 3, outputTokens: 400, maxWait: "1 day" },
          (completion) => {
            const { lasts, tokens } = arrivals[Number(nameOf(completion))]!
            return Effect.as(Effect.sleep(lasts), answer({ inputTokens: 1, outputTokens: tokens }))
          }
        )
        const fibers: Array<Fiber.Fiber<unknown>> = []
        for (const [index, { after, leaves }] of arrivals.entries()) {
          yield* TestClock.adjust(after)
          const fiber = yield* start(client, String(index))
          fibers.push(fiber)
          if (leaves !== undefined) yield* Effect.forkChild(Effect.delay(Fiber.interrupt(fiber), leaves))
        }
        yield* passing(Effect.forEach(fibers, Fiber.await))
        const order = calls.map(({ name }) => Number(name))
        assert.deepStrictEqual(order, order.toSorted((a, b) => a - b))
        assert.includeMembers(order, arrivals.flatMap(({ leaves }, index) => leaves === undefined ? [index] : []))
        // The provider's own count: a bucket that holds the limit and is refilled steadily.
        let left: number = limit
        let last = 0
        for (const { at } of calls) {
          left = Math.min(limit, left + (at - last) * limit / 60_000) - 1
          last = at
          assert.isAtLeast(left, -1e-6)
        }
      }),
    { arbitrary: { runs: 60 } }
  )
})

describe("the queue", () => {
  it.effect("goes on without the call at its head when that is interrupted, which has taken nothing", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled({ requestsPerMinute: 2 })
      const [, , head, ...rest] = yield* startAll(client, named(5))
      yield* TestClock.adjust("30 seconds")
      yield* Fiber.interrupt(head!)
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(calls.map(({ name }) => name), ["0", "1", "3", "4"])
      assert.deepStrictEqual(calls.map(({ at }) => at), [0, 0, 60_000, 60_000])
      assert.lengthOf(rest, 2)
    }))

  it.effect("lets a call take the place of one that was never sent", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled(
        { requestsPerMinute: 1 },
        (_, index) => index === 0 ? Effect.fail(failure("ClientError", "Unsupported")) : atOnce(ask(), index)
      )
      yield* startAll(client, named(3))
      assert.deepStrictEqual(calls, [{ at: 0, name: "0" }, { at: 0, name: "1" }])
    }))

  it.effect("closes up when a call in its middle is interrupted", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled({ requestsPerMinute: 1 })
      const fibers = yield* startAll(client, named(4))
      yield* Fiber.interrupt(fibers[2]!)
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(calls, [{ at: 0, name: "0" }, { at: 60_000, name: "1" }, { at: 120_000, name: "3" }])
    }))

  it.effect("lets streams leave in the same way", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled({ requestsPerMinute: 1 })
      const streams = yield* Effect.forEach(named(3), (name) =>
        Effect.forkChild(Stream.runDrain(client.stream(ask(name))), { startImmediately: true }))
      yield* TestClock.adjust(0)
      yield* Fiber.interrupt(streams[1]!)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(calls, [{ at: 0, name: "0" }, { at: 60_000, name: "2" }])
    }))

  it.effect("refuses at once what finds it full, and says why and for how long", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled({ requestsPerMinute: 1, maxQueue: 2 })
      const fibers = yield* startAll(client, named(4))
      yield* TestClock.adjust(0)
      const error = yield* errorOf(fibers[3]!)
      assert.strictEqual(
        error.message,
        "RateLimit: test m throttled, retry after 1m: our own limit, 2 calls are waiting already, waiting for 1 requests"
          + " per minute"
      )
      assert.strictEqual(error.reason, "Requests")
      assert.isTrue(error.isFallbackable)
      yield* TestClock.adjust("2 minutes")
      assert.lengthOf(calls, 3)
    }))

  it.effect("refuses at once what cannot go in time, and later what did not", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled({ requestsPerMinute: 1, maxWait: "10 seconds" })
      const [, head] = yield* startAll(client, named(2))
      const error = yield* errorOf(head!)
      assert.deepStrictEqual(error.retryAfter, Duration.minutes(1))
      assert.include(error.description, "cannot be sent within 10s")
      // How long a running call takes is not known: a slot is waited for.
      const busy = yield* throttled({ concurrency: 1, maxWait: "10 seconds" }, taking("1 minute"))
      const [, next] = yield* startAll(busy.client, named(2))
      yield* TestClock.adjust("9 seconds")
      assert.isUndefined(next!.pollUnsafe())
      yield* TestClock.adjust("1 second")
      const late = yield* errorOf(next!)
      assert.isUndefined(late.retryAfter)
      assert.include(late.description, "waited for 10s, waiting for one of 1 calls to end")
      assert.lengthOf(calls, 1)
      assert.lengthOf(busy.calls, 1)
    }))

  const stuck = (options: Throttle.Options) =>
    Effect.gen(function*() {
      const { calls, client } = noting(() => Effect.never)
      const other = noting(atOnce, "other")
      const fallback = yield* through(
        Fallback.layer([
          Retry.layer().pipe(
            Layer.provide(Throttle.layer({ concurrency: 1, ...options })),
            Layer.provide(Layer.succeed(LLMClient.LLMClient, client))
          ),
          Layer.succeed(LLMClient.LLMClient, other.client)
        ]),
        client
      )
      return { calls, other, fallback }
    })

  it.effect("is not waited for again and again: what waited in vain goes to a fallback", () =>
    Effect.gen(function*() {
      const { calls, fallback, other } = yield* stuck({ maxWait: "10 seconds" })
      yield* startAll(fallback, named(2))
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(calls, [{ at: 0, name: "0" }])
      assert.deepStrictEqual(other.calls, [{ at: 10_000, name: "1" }])
    }))

  it.effect("that is full is left to a fallback at once", () =>
    Effect.gen(function*() {
      const { other, fallback } = yield* stuck({ maxQueue: 1 })
      yield* startAll(fallback, named(3))
      assert.deepStrictEqual(other.calls, [{ at: 0, name: "2" }])
    }))
})

describe("concurrency", () => {
  it.effect("lets the next call go when one ends, fails or is interrupted", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled(
        { concurrency: 2 },
        (_, index) => index === 0 ? Effect.delay(Effect.fail(failure("Transient", "Server")), "1 second") : Effect.never
      )
      const fibers = yield* startAll(client, named(4))
      assert.lengthOf(calls, 2)
      yield* TestClock.adjust("1 second")
      assert.lengthOf(calls, 3)
      yield* Fiber.interrupt(fibers[1]!)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(calls.map(({ name }) => name), named(4))
    }))

  it.effect("counts a stream until its end", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled({ concurrency: 1 }, taking("5 seconds"))
      const stream = yield* Effect.forkChild(Stream.runCollect(client.stream(ask("stream"))), {
        startImmediately: true
      })
      yield* start(client, "next")
      yield* TestClock.adjust("4999 millis")
      assert.deepStrictEqual(calls.map(({ name }) => name), ["stream"])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(calls.map(({ name }) => name), ["stream", "next"])
      assert.deepStrictEqual((yield* Fiber.join(stream)).map(({ _tag }) => _tag), ["TextDelta", "Finish"])
    }))

  it.effect("is given back by a stream that its reader leaves", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled({ concurrency: 1 }, () => Effect.never)
      yield* Stream.runDrain(Stream.take(client.stream(ask("left")), 1))
      yield* start(client, "next")
      assert.deepStrictEqual(calls.map(({ name }) => name), ["next"])
    }))
})

const costing = (inputTokens: number, outputTokens: number) => (): Throttle.Tokens => ({ inputTokens, outputTokens })

/** Calls whose name begins so take no tokens, others those of a whole minute. */
const freeOrNot = (completion: Completion.Completion) => costing(0, nameOf(completion).startsWith("free") ? 0 : 1000)()

describe("tokens per minute", () => {
  it.effect("are estimated from the request, its maxTokens, or the option", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled({ outputTokensPerMinute: 1000, outputTokens: 300 }, () => Effect.never)
      yield* start(client, "small", Completion.maxTokens(600)(ask("small")))
      yield* start(client, "usual")
      yield* start(client, "too much")
      assert.deepStrictEqual(calls.map(({ name }) => name), ["small", "usual"])
      const input = yield* throttled({ inputTokensPerMinute: 1000 }, () => Effect.never)
      yield* start(input.client, "long", ask("x".repeat(3000)))
      yield* start(input.client, "long", ask("x".repeat(3000)))
      assert.lengthOf(input.calls, 1)
    }))

  it.effect("are expected by the limit that the request names in a provider's own words", () =>
    Effect.gen(function*() {
      const limits: ReadonlyArray<object> = [
        { additionalParams: { max_tokens: 600 } },
        { additionalParams: { max_tokens: "600" } },
        { providerParams: { test: { max_completion_tokens: 600 } } },
        { additionalParams: { generationConfig: { maxOutputTokens: 300, candidateCount: 2 } } },
        { maxTokens: 200, additionalParams: { n: 3 } }
      ]
      for (const limit of limits) {
        const options = { outputTokensPerMinute: 1000, outputTokens: 1 }
        const { calls, client } = yield* throttled(options, () => Effect.never)
        const request = Completion.make({ prompt: "", model: "m", ...limit })
        yield* start(client, "first", request)
        yield* start(client, "second", request)
        assert.lengthOf(calls, 1)
      }
      const { calls, client } = yield* throttled(
        { outputTokensPerMinute: 1000, outputTokens: 600 },
        () => Effect.never
      )
      for (const _ of [1, 2]) {
        yield* start(client, "", Completion.make({ prompt: "", model: "m", additionalParams: { max_tokens: -1 } }))
      }
      assert.lengthOf(calls, 1)
    }))

  it.effect("are owed for three minutes at most, whatever a provider says was used", () =>
    Effect.gen(function*() {
      const absurd = answer({ inputTokens: Number.MAX_SAFE_INTEGER, outputTokens: 1 })
      const stores = [undefined, Layer.succeedContext(yield* Layer.build(Layer.fresh(RateLimiter.layerStoreMemory)))]
      for (const store of stores) {
        const { calls, client } = noting((_, index) =>
          index < 10
            ? Effect.delay(Effect.succeed(absurd), "1 second")
            : atOnce(ask(), index)
        )
        const options = { inputTokensPerMinute: 1000, estimate: costing(100, 0) }
        const layer = store === undefined
          ? Throttle.layer(options)
          : Layer.provide(Throttle.layerStore(options), store)
        const throttle = yield* through(layer, client)
        const from = yield* Clock.currentTimeMillis
        // Ten at once, each of which owes as much as it may.
        yield* startAll(throttle, named(11))
        assert.lengthOf(calls, 10)
        yield* TestClock.adjust("180 seconds")
        assert.lengthOf(calls, 10)
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(calls[10]?.at, from + 181_000)
      }
    }))

  const both = ["completion", "stream"] as const
  it.effect.each(both)("what a %s did not use is there for others at once", (how) =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled(
        { tokensPerMinute: 1000, estimate: costing(500, 500) },
        () => Effect.as(Effect.sleep("2 seconds"), answer({ inputTokens: 40, outputTokens: 60 }))
      )
      const run = how === "completion" ? client.completion(ask("first")) : Stream.runDrain(client.stream(ask("first")))
      yield* Effect.forkChild(run, { startImmediately: true })
      const second = Completion.model("m")(Completion.make({ prompt: "second" }))
      yield* start(client, "second", second)
      assert.lengthOf(calls, 1)
      yield* TestClock.adjust("2 seconds")
      // 100 are used: 1000 more do not fit, until those are worn off.
      assert.lengthOf(calls, 1)
      yield* TestClock.adjust("3999 millis")
      assert.lengthOf(calls, 1)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(calls.map(({ at }) => at), [0, 6000])
    }))

  it.effect("what a call used beyond the estimate is missing afterwards", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled(
        { tokensPerMinute: 1000, estimate: costing(0, 100) },
        () => Effect.succeed(answer({ inputTokens: 100, outputTokens: 850 }))
      )
      yield* startAll(client, named(2))
      assert.lengthOf(calls, 1)
      yield* TestClock.adjust("57 seconds")
      assert.deepStrictEqual(calls.map(({ at }) => at), [0, 57_000])
    }))

  const failures: ReadonlyArray<readonly [string, LLMError.LLMError, free: boolean]> = [
    ["what the provider refused", failure("RateLimit", "Tokens", { status: 429 }), true],
    ["what was never sent", failure("ClientError", "Unsupported"), true],
    [
      "what broke off early, by its usage",
      failure("Transient", "Truncated", { partial: answer({ inputTokens: 10, outputTokens: 10 }) }),
      true
    ],
    ["what timed out, as estimated", failure("Transient", "Timeout"), false],
    ["what broke off without a usage, as estimated", failure("Transient", "Truncated", { partial: answer({}) }), false]
  ]
  it.effect.each(failures)("are counted for a failure: %s", ([, error, free]) =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled(
        { tokensPerMinute: 1000, estimate: costing(0, 600) },
        (_, index) => index === 0 ? Effect.fail(error) : Effect.never
      )
      yield* startAll(client, named(2))
      assert.lengthOf(calls, free ? 2 : 1)
    }))

  it.effect("are counted for an interrupted stream, by what had arrived", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled({ outputTokensPerMinute: 1000, outputTokens: 999 }, () => Effect.never)
      yield* Stream.runDrain(Stream.take(client.stream(ask("left")), 1))
      yield* start(client, "next")
      assert.deepStrictEqual(calls.map(({ name }) => name), ["next"])
    }))

  it.effect("of a whole minute go to a call that is larger than that", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled({ tokensPerMinute: 1000, estimate: costing(5000, 0) }, () =>
        Effect.never)
      yield* startAll(client, named(3))
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(
        calls.map(({ at }) =>
          at
        ),
        [0, 60_000, 120_000]
      )
    }))

  it.effect("that do not fit leave the requests untouched", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled(
        { requestsPerMinute: 2, outputTokensPerMinute: 1000, estimate: freeOrNot },
        () => Effect.never
      )
      const [, head] = yield* startAll(client, named(2))
      yield* Fiber.interrupt(head!)
      yield* start(client, "free", ask("free"))
      yield* start(client, "free", ask("free"))
      assert.deepStrictEqual(calls.map(({ name }) => name), ["0", "free"])
    }))

  it.effect("are checked repeatedly at no cost", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled(
        { requestsPerMinute: 4, outputTokensPerMinute: 1000, estimate: freeOrNot },
        (completion) =>
          Effect.as(
            Effect.sleep(Duration.fromInputUnsafe(nameOf(completion).replace("free ", "") as Duration.Input)),
            answer({ inputTokens: 1 })
          )
      )
      const free = (lasts: string) => start(client, `free ${lasts}`)
      yield* free("1 second")
      yield* free("2 seconds")
      yield* startAll(client, ["3 seconds", "4 seconds"])
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(calls.map(({ at }) => at), [0, 0, 0, 3000])
    }))

  it.effect("are worth waiting for until the last moment, since others may not need theirs", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled(
        { outputTokensPerMinute: 1000, outputTokens: 1000, maxWait: "10 seconds" },
        (_, index) => index === 0 ? Effect.as(Effect.sleep("9 seconds"), answer({ inputTokens: 1 })) : Effect.never
      )
      const [, next, last] = yield* startAll(client, named(3))
      yield* TestClock.adjust("9 seconds")
      assert.deepStrictEqual(calls.map(({ at }) => at), [0, 9000])
      assert.isUndefined(next!.pollUnsafe())
      yield* TestClock.adjust("1 second")
      const error = yield* errorOf(last!)
      assert.strictEqual(error.reason, "Tokens")
      assert.include(error.description, "waiting for 1000 output tokens per minute")
      assert.deepStrictEqual(error.retryAfter, Duration.seconds(59))
    }))

  it.effect("given back too late do not swell the minute that runs then", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled(
        { tokensPerMinute: 1000, estimate: costing(0, 1000) },
        (_, index) => index === 0 ? taking("61 seconds")(ask(), 0) : Effect.never
      )
      yield* startAll(client, named(3))
      yield* TestClock.adjust("70 seconds")
      assert.deepStrictEqual(calls.map(({ at }) => at), [0, 60_000])
    }))
})

describe("what the provider says", () => {
  const empty = (window: keyof RateLimits.RateLimits) => ({
    rateLimits: { [window]: { limit: 100, remaining: 0, resetAfter: Duration.seconds(20) } }
  })
  const said: ReadonlyArray<readonly [string, ReturnType<Answer>, waits: number]> = [
    ["no requests are left", Effect.succeed(answer({}, empty("requests"))), 20_000],
    ["no tokens are left", Effect.succeed(answer({}, empty("tokens"))), 20_000],
    ["no input tokens are left", Effect.succeed(answer({}, empty("inputTokens"))), 20_000],
    ["no output tokens are left", Effect.succeed(answer({}, empty("outputTokens"))), 20_000],
    ["nothing is left, in a failure", Effect.fail(failure("Transient", "Server", empty("requests"))), 20_000],
    ["wait", Effect.fail(failure("RateLimit", "Requests", { retryAfter: Duration.seconds(7) })), 7000],
    ["wait, overloaded", Effect.fail(failure("Transient", "Overloaded", { retryAfter: Duration.seconds(3) })), 3000],
    ["too much, and no more", Effect.fail(failure("RateLimit", "Unknown")), 0],
    [
      "wait a moment for the same request",
      Effect.fail(failure("ClientError", "DailyQuota", { retryAfter: Duration.seconds(9) })),
      0
    ]
  ]
  it.effect.each(said)("holds for all calls of the key: %s", ([, first, waits]) =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled({}, (_, index) => index === 0 ? first : atOnce(ask(), index))
      yield* startAll(client, named(4))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(calls.map(({ at }) => at), [0, waits, waits, waits])
    }))

  const left = (remaining: number, seconds: number, limit = 9) =>
    answer({}, { rateLimits: { requests: { limit, remaining, resetAfter: Duration.seconds(seconds) } } })

  it.effect("no more requests are sent than are left, until they are there again", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled({}, (_, index) =>
        index === 0 ? Effect.succeed(left(2, 20)) : atOnce(ask(), index))
      yield* startAll(client, named(5))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(
        calls.map(({ at }) =>
          at
        ),
        [0, 0, 0, 20_000, 20_000]
      )
    }))

  it.effect("calls under way count as not yet counted by the provider, until they say otherwise", () =>
    Effect.gen(function*() {
      // Three at once, of which each takes longer than the one before; each says that two requests are left.
      const { calls, client } = yield* throttled(
        { concurrency: 3 },
        (_, index) => Effect.delay(Effect.succeed(left(2, 100)), Duration.seconds(index + 1))
      )
      yield* startAll(client, named(6))
      yield* TestClock.adjust("50 seconds")
      // After a second two are under way, and none is free; whenever one ends with one under way, one is.
      assert.deepStrictEqual(calls.map(({ at }) => at), [0, 0, 0, 2000, 3000, 6000])
    }))

  it.effect("a call is not refused for what calls under way may still find out", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled({ maxWait: "30 seconds" }, (_, index) =>
        index === 0
          ? Effect.succeed(left(1, 3600))
          : Effect.delay(Effect.succeed(left(1, 3600)), "5 seconds"))
      yield* startAll(client, named(3))
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(calls.map(({ at }) => at), [0, 0, 5000])
    }))

  it.effect("holds for calls that are waiting already, and the longest wins", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled({ concurrency: 2 }, (_, index) =>
        index > 1 ? atOnce(ask(), index) : Effect.delay(
          Effect.fail(failure("RateLimit", "Requests", { retryAfter: Duration.seconds(index === 0 ? 30 : 5) })),
          Duration.seconds(1 + index)
        ))
      yield* startAll(client, named(4))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(
        calls.map(({ at }) =>
          at
        ),
        [0, 0, 31_000, 31_000]
      )
    }))

  /** A stream that begins after a while and ends later; what it says of the limits came when it began. */
  const streaming = (begins: Duration.Input, goesOn: Duration.Input, last: ReturnType<Answer>) =>
  (
    client: LLMClient.Service
  ): LLMClient.Service => ({
    ...client,
    stream: (completion) =>
      Stream.fromEffect(Effect.as(Effect.sleep(begins), { _tag: "TextDelta", index: 0, text: "Hi!" } as const)).pipe(
        Stream.concat(
          Stream.fromEffect(
            Effect.map(Effect.delay(last, goesOn), (response) => ({ _tag: "Finish", response }) as const)
          )
        ),
        Stream.onStart(Effect.ignore(client.completion(completion)))
      )
  })

  const beside = Effect.fnUntraced(function*(
    streams: (client: LLMClient.Service) => LLMClient.Service,
    answerWith: Answer
  ) {
    const { calls, client } = noting(answerWith)
    const throttle = yield* through(Throttle.layer({}), streams(client))
    yield* Effect.forkChild(Effect.exit(Stream.runDrain(throttle.stream(ask("stream")))), { startImmediately: true })
    return { calls, throttle }
  })

  it.effect("when a stream began is counted from then", () =>
    Effect.gen(function*() {
      // Begins at 5 s, with nothing left for 60 s, and ends at 45 s.
      const { calls, throttle } = yield* beside(
        streaming("5 seconds", "40 seconds", Effect.succeed(left(0, 60))),
        atOnce
      )
      yield* TestClock.adjust("45 seconds")
      yield* startAll(throttle, named(2))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(calls.map(({ at }) => at), [0, 65_000, 65_000])
    }))

  it.effect("when a stream began are ignored when they have expired", () =>
    Effect.gen(function*() {
      const { calls, throttle } = yield* beside(streaming(0, "40 seconds", Effect.succeed(left(0, 30))), atOnce)
      yield* TestClock.adjust("40 seconds")
      yield* startAll(throttle, named(2))
      assert.deepStrictEqual(calls.map(({ at }) => at), [0, 40_000, 40_000])
    }))

  it.effect("when a stream began does not count for more than what was said since, and less what was sent since", () =>
    Effect.gen(function*() {
      const said = [left(9, 100), left(2, 100)]
      const { calls, throttle } = yield* beside(
        streaming(0, "40 seconds", Effect.succeed(left(5, 100))),
        (_, index) => Effect.succeed(said[index] ?? answer())
      )
      yield* TestClock.adjust("10 seconds")
      yield* startAll(throttle, named(1))
      yield* TestClock.adjust("30 seconds")
      yield* startAll(throttle, named(4))
      // At 10 s two were left, of which the stream may not have been counted.
      assert.deepStrictEqual(calls.map(({ at }) => at), [0, 10_000, 40_000])

      const alone = yield* beside(streaming(0, "40 seconds", Effect.succeed(left(3, 100))), atOnce)
      yield* startAll(alone.throttle, named(2))
      yield* TestClock.adjust("40 seconds")
      yield* startAll(alone.throttle, named(2))
      assert.lengthOf(alone.calls, 4)
    }))

  it.effect("when a stream breaks off is counted from then", () =>
    Effect.gen(function*() {
      const error = failure("RateLimit", "Requests", { retryAfter: Duration.seconds(20) })
      const { calls, throttle } = yield* beside(streaming(0, "40 seconds", Effect.fail(error)), atOnce)
      yield* TestClock.adjust("40 seconds")
      yield* startAll(throttle, named(1))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(calls.map(({ at }) => at), [0, 60_000])
    }))

  it.effect("again and again", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled({}, (_, index) =>
        index < 3
          ? Effect.fail(failure("RateLimit", "Requests", { retryAfter: Duration.seconds(10) }))
          : atOnce(ask(), 0))
      yield* startAll(client, named(5))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(
        calls.map(({ at }) => at),
        [0, 10_000, 20_000, 30_000, 30_000]
      )
    }))

  it.effect("does not hold a call longer than it may wait", () =>
    Effect.gen(function*() {
      const { client } = yield* throttled({}, () =>
        Effect.fail(failure("RateLimit", "Requests", { retryAfter: Duration.hours(1) })))
      const [, next] = yield* startAll(client, named(2))
      const error = yield* errorOf(next!)
      assert.strictEqual(error.code, "throttled")
      assert.deepStrictEqual(error.retryAfter, Duration.hours(1))
    }))

  it.effect.each(providers)("%s: is read from its headers", (provider) =>
    Effect.gen(function*() {
      const { client, simulator } = yield* simulated(provider, {
        failures: [{ _tag: "RateLimit", retryAfter: "7 seconds" }]
      })
      const throttle = yield* through(Throttle.layer({}), client)
      // The simulator's dates of resets have passed by now.
      yield* TestClock.setTime(Date.UTC(2027, 0))
      const request = Completion.make({ prompt: "Hello" })
      const error = yield* Effect.flip(throttle.completion(request))
      assert.deepStrictEqual(error.retryAfter, Duration.seconds(7))
      const next = yield* start(throttle, "next", request)
      yield* TestClock.adjust("6999 millis")
      assert.lengthOf(yield* simulator.requests, 1)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(next)
      assert.lengthOf(yield* simulator.requests, 2)
    }))
})

describe("keys", () => {
  const of = (model: string) => Completion.make({ prompt: model, model })

  it.effect("separate models", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled({ requestsPerMinute: 1 })
      for (const model of ["a", "a", "b", "b"]) yield* start(client, model, of(model))
      assert.deepStrictEqual(calls.map(({ name }) => name), ["a", "b"])
    }))

  it.effect("are the same for a call of the client's own model and one that names none", () =>
    Effect.gen(function*() {
      const { calls, client } = noting(atOnce)
      const throttle = yield* through(Throttle.layer({ requestsPerMinute: 1 }), { ...client, model: "m" })
      yield* start(throttle, "named")
      yield* start(throttle, "unnamed", Completion.make({ prompt: "unnamed" }))
      assert.deepStrictEqual(calls.map(({ name }) => name), ["named"])
    }))

  it.effect("are what a function makes of a call", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled({ requestsPerMinute: 1, key: (_, provider) => provider })
      for (const model of ["a", "b"]) yield* start(client, model, of(model))
      assert.deepStrictEqual(calls.map(({ name }) => name), ["a"])
    }))

  it.effect("separate providers, though one layer value stands over both", () =>
    Effect.gen(function*() {
      const a = noting(atOnce, "a")
      const b = noting(atOnce, "b")
      const throttle = Throttle.layer({ requestsPerMinute: 1 })
      const over = (client: LLMClient.Service) => Layer.provide(throttle, Layer.succeed(LLMClient.LLMClient, client))
      const graph = Layer.mergeAll(
        Layer.provide(Layer.effect(Left, LLMClient.LLMClient), over(a.client)),
        Layer.provide(Layer.effect(Right, LLMClient.LLMClient), over(b.client))
      )
      const context = yield* Layer.build(graph)
      yield* startAll(Context.get(context, Left), named(2))
      yield* startAll(Context.get(context, Right), named(2))
      assert.lengthOf(a.calls, 1)
      assert.lengthOf(b.calls, 1)
    }))
})

describe("names that users choose", () => {
  it.effect("are refused above 512 characters, before anything is sent", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled({ requestsPerMinute: 10 })
      const long = Completion.model("m".repeat(513))(ask())
      for (const call of [client.completion(long), Stream.runDrain(client.stream(long))]) {
        const error = yield* Effect.flip(call)
        assert.strictEqual(`${error._tag} ${error.reason}`, "ClientError InvalidRequest")
      }
      assert.lengthOf(calls, 0)
      yield* client.completion(Completion.model("m".repeat(512))(ask()))
    }))

  it.effect("do not meet the limits of another name in a store", () =>
    Effect.gen(function*() {
      const { calls, client } = noting(atOnce)
      const keys = new Set<string>()
      const store = Layer.effect(
        RateLimiter.RateLimiterStore,
        Effect.map(RateLimiter.RateLimiterStore, (store) => ({
          ...store,
          fixedWindow: (options) => {
            keys.add(options.key)
            return store.fixedWindow(options)
          },
          adaptiveConsume: (options) => {
            keys.add(`${options.key}:adaptive`)
            return store.adaptiveConsume(options)
          }
        }))
      ).pipe(Layer.provide(RateLimiter.layerStoreMemory))
      const throttle = yield* through(Layer.provide(Throttle.layerStore({ requestsPerMinute: 1 }), store), client)
      for (const model of ["m", "m:requests", "m%3Arequests", "m:adaptive"]) {
        yield* throttle.completion(Completion.model(model)(ask()))
      }
      assert.lengthOf(calls, 4)
      assert.lengthOf(keys, 8)
      for (const key of keys) assert.match(key, /^throttle:test:[^:]+:(?:requests|adaptive)$/)
    }))
})

it.effect("a clock that is set back keeps nobody waiting", () =>
  Effect.gen(function*() {
    yield* TestClock.setTime(7_200_000)
    const { calls, client } = yield* throttled({ requestsPerMinute: 10 }, (_, index) =>
      index === 10
        ? Effect.fail(failure("RateLimit", "Requests", { retryAfter: Duration.seconds(20) }))
        : atOnce(ask(), index))
    yield* startAll(client, named(10))
    yield* TestClock.setTime(3_600_000)
    yield* startAll(client, named(1))
    assert.lengthOf(calls, 10)
    yield* TestClock.adjust("60 seconds")
    assert.lengthOf(calls, 11)
    yield* TestClock.setTime(1_800_000)
    yield* startAll(client, named(1))
    assert.lengthOf(calls, 11)
    yield* TestClock.adjust("20 seconds")
    assert.lengthOf(calls, 12)
  }))

describe("below a Fallback whose next member is ready", () => {
  const below = <A, E>(call: Effect.Effect<A, E>, patience: LLMClient.Patience | undefined) =>
    Effect.provideService(call, LLMClient.Patience, patience)

  it.effect("a call waits no longer than its patience, and takes what it waits off that", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled({ requestsPerMinute: 6 })
      yield* startAll(client, named(4))
      const patience = { waiting: 60_000, firstByte: 1000 }
      yield* startAll(client, named(2))
      // The six come back as a whole after a minute.
      yield* TestClock.adjust("15 seconds")
      for (const streamed of [false, true]) {
        const call = streamed ? Stream.runDrain(client.stream(ask())) : Effect.asVoid(client.completion(ask()))
        yield* Effect.forkChild(below(call, patience), { startImmediately: true })
      }
      yield* TestClock.adjust("45 seconds")
      assert.lengthOf(calls, 8)
      assert.strictEqual(patience.waiting, 0)
    }))

  it.effect("a call that cannot go in time fails at once, as it does for maxWait", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled({ requestsPerMinute: 1 })
      yield* client.completion(ask())
      const patience = { waiting: 10_000, firstByte: 1000 }
      const error = yield* Effect.flip(below(client.completion(ask()), patience))
      assert.strictEqual(
        error.message,
        "RateLimit: test m throttled, retry after 1m: our own limit, it cannot be sent within 10s, waiting for 1 requests"
          + " per minute"
      )
      assert.isFalse(error.retryable)
      assert.strictEqual(patience.waiting, 10_000)
      assert.lengthOf(calls, 1)
    }))

  it.effect("a call that waits for another one to end leaves when its patience is over", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled({ concurrency: 1 }, taking("1 minute"))
      yield* start(client, "first")
      const patience = { waiting: 10_000, firstByte: 1000 }
      const fiber = yield* Effect.forkChild(Effect.result(below(client.completion(ask()), patience)))
      yield* TestClock.adjust("9 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.include((yield* errorOf(fiber)).description, "waited for 10s")
      assert.strictEqual(patience.waiting, 0)
      // With none left it waits for nothing, and goes where nothing has to be waited for.
      const error = yield* Effect.flip(below(client.completion(ask()), patience))
      assert.include(error.description, "it cannot be sent within 0")
      const free = yield* throttled({ concurrency: 1 })
      yield* below(free.client.completion(ask()), patience)
      assert.lengthOf(calls, 1)
    }))

  it.effect("a call waits on where the Fallback would not move on", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled({ requestsPerMinute: 1 })
      yield* client.completion(ask())
      const patience = { waiting: 10_000, firstByte: 1000, when: ({ code }: LLMError.LLMError) => code !== "throttled" }
      yield* Effect.forkChild(below(client.completion(ask()), patience))
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(calls, 2)
    }))

  it.effect("the last member waits as long as it would without one", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled({ requestsPerMinute: 1 })
      yield* client.completion(ask())
      const patience = { waiting: Infinity, firstByte: Infinity }
      yield* Effect.forkChild(below(client.completion(ask()), patience))
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(calls, 2)
      assert.strictEqual(patience.waiting, Infinity)
    }))
})

it.effect("a call that cannot go before its deadline fails at once", () =>
  Effect.gen(function*() {
    yield* TestClock.setTime(5_000)
    const { client } = yield* throttled({ requestsPerMinute: 1 })
    yield* client.completion(ask())
    const call = (at: number) =>
      Effect.provideService(client.completion(ask()), LLMClient.Deadline, { at, attempts: [] })
    const error = yield* Effect.flip(call(64_999))
    assert.include(error.description, "it cannot be sent within 59s 999ms")
    assert.isFalse(error.retryable)
    const next = yield* Effect.forkChild(call(65_000))
    yield* TestClock.adjust("1 minute")
    yield* Fiber.join(next)
  }))

describe("a store", () => {
  /** One that answers a second after it has counted. */
  const slow = Layer.effect(
    RateLimiter.RateLimiterStore,
    Effect.map(RateLimiter.RateLimiterStore, (store) => ({
      fixedWindow: (options) => Effect.tap(store.fixedWindow(options), Effect.sleep("1 second")),
      tokenBucket: (options) => Effect.tap(store.tokenBucket(options), Effect.sleep("1 second")),
      adaptiveConsume: (options) => Effect.tap(store.adaptiveConsume(options), Effect.sleep("1 second")),
      adaptiveFeedback: (options) => Effect.tap(store.adaptiveFeedback(options), Effect.sleep("1 second"))
    }))
  ).pipe(Layer.provide(RateLimiter.layerStoreMemory))

  const stored = Effect.fnUntraced(function*(options: Throttle.StoreOptions, answerWith: Answer = atOnce) {
    const { calls, client } = noting(answerWith)
    const layer = Layer.provide(Throttle.layerStore({ storeTimeout: "5 seconds", ...options }), slow)
    return { calls, client: yield* through(layer, client) }
  })

  it.effect("on a network is asked for all limits in one round trip, by many calls at a time", () =>
    Effect.gen(function*() {
      const limits = { requestsPerMinute: 100, inputTokensPerMinute: 1e6, outputTokensPerMinute: 1e6 }
      // More than was estimated: the store is to be told.
      const used = answer({ inputTokens: 5000, outputTokens: 5000 })
      const { calls, client } = yield* stored(
        { ...limits, concurrency: 10 },
        () => Effect.delay(Effect.succeed(used), "3 seconds")
      )
      const fibers = yield* startAll(client, named(20))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(calls.map(({ name }) => name), named(10))
      // A call's place is free when it has ended, although the store is told for another second.
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(calls.map(({ name }) => name), named(20))
      assert.deepStrictEqual(calls.map(({ at }) => at), named(20).map((name) => Number(name) < 10 ? 1000 : 5000))
      yield* TestClock.adjust("4 seconds")
      for (const fiber of fibers) assert.isDefined(fiber.pollUnsafe())
    }))

  it.effect("far away lets calls go in the order in which they came, and asks no more often than it has to", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* stored({ requestsPerMinute: 5 })
      yield* startAll(client, named(12))
      yield* TestClock.adjust("1 second")
      assert.lengthOf(calls, 5)
      const later = yield* startAll(client, ["12"])
      yield* TestClock.adjust("200 seconds")
      assert.deepStrictEqual(calls.map(({ name }) => name), named(13))
      assert.lengthOf(later, 1)
      assert.deepStrictEqual(
        calls.map(({ at }) => Math.floor(at / 60_000)),
        [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2]
      )
    }))

  it.effect("gets back what it gave to a call that was interrupted meanwhile", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* stored({ requestsPerMinute: 1, concurrency: 1 })
      for (const call of [client.completion(ask()), Stream.runDrain(client.stream(ask()))]) {
        const fiber = yield* Effect.forkChild(call, { startImmediately: true })
        yield* TestClock.adjust("500 millis")
        yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
        yield* TestClock.adjust("5 seconds")
        assert.isDefined(fiber.pollUnsafe())
      }
      yield* start(client, "next")
      yield* TestClock.adjust("2 seconds")
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(calls, [{ at: 12_000, name: "next" }])
    }))

  it.effect("gets it back too when the wait was over meanwhile", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* stored({ requestsPerMinute: 1, concurrency: 1, maxWait: "500 millis" })
      const late = yield* start(client, "late")
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* errorOf(late)).code, "throttled")
      const open = yield* stored({ requestsPerMinute: 1, maxWait: "10 seconds" })
      yield* start(open.client, "next")
      yield* TestClock.adjust("2 seconds")
      assert.lengthOf(calls, 0)
      assert.lengthOf(open.calls, 1)
    }))

  it.effect("that is silent holds nobody who leaves, neither before the call nor after it", () =>
    Effect.gen(function*() {
      let silent = true
      const waits = <A, E>(self: Effect.Effect<A, E>) => Effect.suspend(() => silent ? Effect.never : self)
      const store = Layer.effect(
        RateLimiter.RateLimiterStore,
        Effect.map(RateLimiter.RateLimiterStore, (store) => ({
          fixedWindow: (options) => waits(store.fixedWindow(options)),
          tokenBucket: (options) => waits(store.tokenBucket(options)),
          adaptiveConsume: (options) => waits(store.adaptiveConsume(options)),
          adaptiveFeedback: (options) => waits(store.adaptiveFeedback(options))
        }))
      ).pipe(Layer.provide(RateLimiter.layerStoreMemory))
      const { calls, client } = noting(() => Effect.never)
      const options = { outputTokensPerMinute: 9, concurrency: 1, storeTimeout: "10 seconds" } as const
      const throttle = yield* through(Layer.provide(Throttle.layerStore(options), store), client)
      const calling = [throttle.completion(ask()), Stream.runDrain(Stream.filter(throttle.stream(ask()), () => true))]
      for (const call of calling) {
        silent = true
        yield* Fiber.interrupt(yield* Effect.forkChild(call, { startImmediately: true }))
        yield* TestClock.adjust("1 hour")
        silent = false
        const fiber = yield* Effect.forkChild(call, { startImmediately: true })
        yield* TestClock.adjust(0)
        silent = true
        yield* Fiber.interrupt(fiber)
        yield* TestClock.adjust("1 hour")
      }
      assert.lengthOf(calls, 2)
    }))

  it.effect("is not given back by one process what another has taken since", () =>
    Effect.gen(function*() {
      const store = Layer.succeedContext(yield* Layer.build(Layer.fresh(RateLimiter.layerStoreMemory)))
      const limit = { tokensPerMinute: 60, maxWait: "1 second" } as const
      const estimate = ({ prompt }: Completion.Completion) => costing(Number(nameOf(Completion.make({ prompt }))), 0)()
      const lasting = (duration: Duration.Input) =>
        noting((_, index) =>
          index > 0 ? Effect.never : Effect.delay(Effect.succeed(answer({ inputTokens: 1 })), duration)
        )
      const clients = [lasting("15 seconds"), lasting("1 second")]
      const [a, b] = yield* Effect.forEach(clients, ({ client }) =>
        through(Layer.provide(Throttle.layerStore({ ...limit, estimate }), store), client))
      yield* start(b!, "50")
      yield* start(a!, "10")
      // What b does not use it gives back, so that the minute of both is over soon, which a does not know.
      yield* TestClock.adjust("14 seconds")
      yield* start(b!, "60")
      yield* TestClock.adjust("1 second")
      const late = yield* start(b!, "9")
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* errorOf(late)).code, "throttled")
      assert.deepStrictEqual(
        clients.map(({ calls }) =>
          calls.length
        ),
        [1, 2]
      )
    }))

  it.effect("serves two providers below one layer value", () =>
    Effect.gen(function*() {
      const a = noting(atOnce, "a")
      const b = noting(atOnce, "b")
      const throttle = Throttle.layerStore({ requestsPerMinute: 1 })
      const over = (client: LLMClient.Service) => Layer.provide(throttle, Layer.succeed(LLMClient.LLMClient, client))
      const context = yield* Layer.build(
        Layer.mergeAll(
          Layer.provide(Layer.effect(Left, LLMClient.LLMClient), over(a.client)),
          Layer.provide(Layer.effect(Right, LLMClient.LLMClient), over(b.client))
        ).pipe(Layer.provide(RateLimiter.layerStoreMemory))
      )
      yield* startAll(Context.get(context, Left), named(2))
      yield* startAll(Context.get(context, Right), named(2))
      assert.lengthOf(a.calls, 1)
      assert.lengthOf(b.calls, 1)
    }))
})

describe("options", () => {
  const bad: ReadonlyArray<readonly [option: string, options: object]> = [
    ...[
      "requestsPerMinute",
      "tokensPerMinute",
      "inputTokensPerMinute",
      "outputTokensPerMinute",
      "concurrency",
      "maxQueue",
      "outputTokens"
    ]
      .flatMap((name) =>
        [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY].map((value) => [name, { [name]: value }] as const)
      ),
    ...[0, -1, Number.NaN, "soon"].map((value) => ["maxWait", { maxWait: value }] as const),
    ["key", { key: "" }],
    ["estimate", { estimate: 5 }],
    ["options", undefined as never],
    ["requestPerMinute", { requestPerMinute: 5 }]
  ]
  it.effect.each(bad)(
    "that cannot be kept are refused when the layer is built: %s %o",
    ([option, options]) =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(throttled(options))
        const defect = Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : ""
        assert.match(defect, new RegExp(`Throttle ${option}: give`))
      })
  )

  const badStore: ReadonlyArray<readonly [option: string, options: object]> = [
    ["onStoreError", { onStoreError: "maybe" }],
    ["storeTimeout", { storeTimeout: 0 }],
    ["requestsPerMinute", { requestsPerMinute: 0 }],
    ["storeTimeOut", { storeTimeOut: "1 second" }]
  ]
  it.effect.each(badStore)("with a store too: %s %o", ([option, options]) =>
    Effect.gen(function*() {
      const layer = Layer.provide(Throttle.layerStore(options), RateLimiter.layerStoreMemory)
      const exit = yield* Effect.exit(through(layer, noting(atOnce).client))
      const defect = Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : ""
      assert.match(defect, new RegExp(`Throttle ${option}: give`))
    }))

  it.effect("of an estimate that is not a number count as nothing", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* throttled({ tokensPerMinute: 10, estimate: costing(Number.NaN, -5) })
      yield* startAll(client, named(3))
      assert.lengthOf(calls, 3)
    }))
})

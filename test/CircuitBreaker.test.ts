import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Duration, Effect, Exit, Fiber, Layer, Logger, Schedule, Stream } from "effect"
import * as Breaker from "effect/persistence/CircuitBreaker"
import * as RateLimiter from "effect/persistence/RateLimiter"
import * as TestClock from "effect/testing/TestClock"
import { CircuitBreaker, Completion, LLMClient, type LLMError, Retry, Throttle } from "../src/index.ts"
import { type Answer, answer, failure, noting, through } from "./clients.ts"

class Left extends Context.Service<Left, LLMClient.Service>()("test/Left") {}
class Right extends Context.Service<Right, LLMClient.Service>()("test/Right") {}

const ask = (model = "m") => Completion.make({ prompt: "Hello", model })

const server = failure("Transient", "Server", { status: 500 })

/** A provider that fails or answers as told, and counts its calls; its streams bring a first part before that, or not. */
const broken = Effect.fnUntraced(function*(options?: CircuitBreaker.Options, beginning = true) {
  let next: ReturnType<Answer> = Effect.fail(server)
  const { calls, client } = noting(() => Effect.suspend(() => next))
  const stream: LLMClient.Service["stream"] = (completion) =>
    Stream.filter(client.stream(completion), ({ _tag }) => beginning || _tag === "Finish")
  const breaker = yield* through(CircuitBreaker.layer(options), { ...client, stream })
  return {
    calls,
    client: breaker,
    says: (what: ReturnType<Answer>) => {
      next = what
    },
    outcome: Effect.map(
      Effect.result(breaker.completion(ask())),
      (result) => result._tag === "Success" ? "answered" : result.failure.code ?? result.failure.reason
    )
  }
})

const works: ReturnType<Answer> = Effect.succeed(answer())

const times = <A, E, R>(count: number, effect: Effect.Effect<A, E, R>) =>
  Effect.forEach(Array.from({ length: count }), () => effect)

const open = Effect.fnUntraced(function*(options: CircuitBreaker.Options = {}, beginning?: boolean) {
  const self = yield* broken({ failures: 1, ...options }, beginning)
  yield* self.outcome
  return self
})

describe("a circuit", () => {
  it.effect("opens after failures in a row, and then fails at once", () =>
    Effect.gen(function*() {
      const { calls, outcome, says } = yield* broken({ failures: 3 })
      assert.deepStrictEqual(yield* times(2, outcome), ["Server", "Server"])
      says(works)
      assert.strictEqual(yield* outcome, "answered")
      says(Effect.fail(server))
      assert.deepStrictEqual(yield* times(4, outcome), ["Server", "Server", "Server", "circuit_open"])
      assert.lengthOf(calls, 6)
    }))

  it.effect("opens by the share of failures", () =>
    Effect.gen(function*() {
      const { calls, outcome, says } = yield* broken({ rate: { threshold: 0.5, minimumCalls: 4 } })
      says(works)
      yield* times(3, outcome)
      says(Effect.fail(server))
      assert.deepStrictEqual(yield* times(4, outcome), ["Server", "Server", "Server", "circuit_open"])
      assert.lengthOf(calls, 6)
    }))

  it.effect("opens by default when half of at least 10 attempts failed", () =>
    Effect.gen(function*() {
      const { calls, outcome, says } = yield* broken()
      yield* times(9, outcome)
      says(works)
      assert.strictEqual(yield* outcome, "answered")
      says(Effect.fail(server))
      assert.deepStrictEqual(yield* times(2, outcome), ["Server", "circuit_open"])
      assert.lengthOf(calls, 11)
    }))

  it.effect("stays closed while fewer than half of them fail", () =>
    Effect.gen(function*() {
      const { calls, outcome, says } = yield* broken()
      for (let index = 0; index < 10; index++) {
        for (const said of [works, works, Effect.fail(server)]) {
          says(said)
          yield* outcome
        }
      }
      assert.lengthOf(calls, 30)
    }))

  it.effect("opens for attempts within 60 seconds alone, however many failed before", () =>
    Effect.gen(function*() {
      const { calls, outcome } = yield* broken()
      for (let index = 0; index < 30; index++) {
        yield* outcome
        yield* TestClock.adjust("7 seconds")
      }
      assert.lengthOf(calls, 30)
      assert.deepStrictEqual(yield* times(3, outcome), ["Server", "Server", "circuit_open"])
      assert.lengthOf(calls, 32)
    }))

  it.effect("opens for 8 seconds, and for half as long again each time, up to 20", () =>
    Effect.gen(function*() {
      const { client, outcome } = yield* broken()
      yield* times(10, outcome)
      for (const seconds of [8, 12, 18, 20, 20]) {
        const { retryAfter } = yield* Effect.flip(client.completion(ask()))
        assert.deepStrictEqual(retryAfter, Duration.seconds(seconds))
        yield* TestClock.adjust(Duration.seconds(seconds))
        assert.strictEqual(yield* outcome, "Server")
      }
    }))

  it.effect("is not opened by one call alone: its retries are made as if there were no circuit", () =>
    Effect.gen(function*() {
      const overloaded = failure("Transient", "Overloaded", { status: 529 })
      const limited = failure("RateLimit", "Requests", { status: 429 })
      for (const [error, attempts] of [[overloaded, 6], [limited, 8]] as const) {
        const { calls, client, says } = yield* broken()
        says(Effect.fail(error))
        const fiber = yield* Effect.forkChild(Effect.flip(Retry.make(client).completion(ask())))
        yield* TestClock.adjust("1 hour")
        assert.strictEqual((yield* Fiber.join(fiber)).attempts?.length, attempts - 1)
        assert.lengthOf(calls, attempts)
      }
    }))

  it.effect("does not count what was under way when it opened", () =>
    Effect.gen(function*() {
      const { calls, client, outcome, says } = yield* broken({ openDuration: "1 second" })
      says(Effect.delay(Effect.fail(server), "500 millis"))
      const late = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 25 }), () => Effect.exit(client.completion(ask())), {
          concurrency: "unbounded"
        })
      )
      yield* TestClock.adjust("500 millis")
      yield* Fiber.join(late)
      yield* TestClock.adjust("1 second")
      says(works)
      assert.strictEqual(yield* outcome, "answered")
      says(Effect.fail(server))
      assert.deepStrictEqual(yield* times(9, outcome), Array(9).fill("Server"))
      assert.lengthOf(calls, 35)
    }))

  it.effect("says what a caller needs: when it tries again", () =>
    Effect.gen(function*() {
      const { client } = yield* open()
      yield* TestClock.adjust("3 seconds")
      for (const call of [client.completion(ask()), Stream.runDrain(client.stream(ask()))]) {
        const error = yield* Effect.flip(call)
        assert.strictEqual(
          error.message,
          "Transient: test m circuit_open, retry after 5s: the circuit is open after failures"
        )
        assert.strictEqual(error.reason, "Overloaded")
        assert.isUndefined(error.retryable)
        assert.isTrue(error.isFallbackable)
      }
    }))

  it.effect("is waited for by a retry, where no fallback is ready", () =>
    Effect.gen(function*() {
      const { calls, client, says } = yield* open()
      says(works)
      const fiber = yield* Effect.forkChild(Retry.make(client).completion(ask()))
      yield* TestClock.adjust("9 seconds")
      assert.lengthOf((yield* Fiber.join(fiber)).attempts ?? [], 1)
      assert.lengthOf(calls, 2)
    }))
})

describe("while a fallback is ready", () => {
  const below = <A, E>(call: Effect.Effect<A, E>, waiting: number) =>
    Effect.provideService(call, LLMClient.Patience, { waiting, firstByte: 1000 })

  const both = (client: LLMClient.Service) => [client.completion(ask()), Stream.runDrain(client.stream(ask()))]

  it.effect("the call that opens a circuit moves on at once, and so do those that it refuses", () =>
    Effect.gen(function*() {
      for (const way of [0, 1]) {
        const { calls, client } = yield* broken({ failures: 2 })
        const call = both(client)[way]!
        const errors = yield* times(4, Effect.flip(below(call, 10_000)))
        assert.deepStrictEqual(
          errors.map(({ code, reason, retryable, status }) => [reason, status, code, retryable]),
          [
            ["Server", 500, undefined, undefined],
            ["Server", 500, undefined, false],
            ["Overloaded", undefined, "circuit_open", false],
            ["Overloaded", undefined, "circuit_open", false]
          ]
        )
        assert.lengthOf(calls, 2)
      }
    }))

  it.effect("a call that waits for another one's trial moves on too", () =>
    Effect.gen(function*() {
      const { client, says } = yield* open()
      yield* TestClock.adjust("8 seconds")
      says(Effect.never)
      yield* Effect.forkChild(client.completion(ask()), { startImmediately: true })
      assert.isUndefined((yield* Effect.flip(client.completion(ask()))).retryable)
      assert.isFalse((yield* Effect.flip(below(client.completion(ask()), 10_000))).retryable)
    }))

  it.effect("keeps what the failure says otherwise", () =>
    Effect.gen(function*() {
      const { client, says } = yield* broken({ failures: 1 })
      const cause = new Error("below")
      const given = failure("Transient", "Network", { requestId: "r", cause, attempts: [server], partial: answer() })
      says(Effect.fail(given))
      const error = yield* Effect.flip(below(client.completion(ask()), 10_000))
      assert.deepStrictEqual({ ...error }, { ...given, retryable: false })
      assert.strictEqual(error.cause, cause)
    }))

  it.effect("which does not take calls after this failure, they are as without one", () =>
    Effect.gen(function*() {
      const { client } = yield* broken({ failures: 1 })
      const patience = { waiting: 10_000, firstByte: 1000, when: () => false }
      const call = Effect.provideService(client.completion(ask()), LLMClient.Patience, patience)
      const errors = yield* times(2, Effect.flip(call))
      assert.deepStrictEqual(errors.map(({ retryable }) => retryable), [undefined, undefined])
    }))

  it.effect("which is not the case for the last member, nor without a Fallback", () =>
    Effect.gen(function*() {
      const { client } = yield* broken({ failures: 1 })
      const errors = yield* times(2, Effect.flip(below(client.completion(ask()), Infinity)))
      assert.deepStrictEqual(errors.map(({ retryable }) => retryable), [undefined, undefined])
    }))
})

it.effect("a circuit that is open for longer than a retry waits is not worth a retry", () =>
  Effect.gen(function*() {
    for (const [options, retryable] of [[{}, false], [{ maxRetryAfter: "3 minutes" }, undefined]] as const) {
      const { client, says } = yield* broken({ failures: 2, ...options })
      says(Effect.fail(failure("RateLimit", "Requests", { retryAfter: Duration.minutes(2) })))
      yield* Effect.flip(client.completion(ask()))
      // The call that opens it has no hint of its own.
      says(Effect.fail(server))
      const errors = yield* times(2, Effect.flip(client.completion(ask())))
      assert.deepStrictEqual(errors.map(({ retryable }) => retryable), [retryable, retryable])
    }
  }))

describe("the states of circuits", () => {
  it.effect("say which are open, since when and until when", () =>
    Effect.gen(function*() {
      const circuits = yield* CircuitBreaker.make({ failures: 1 })
      let next: ReturnType<Answer> = Effect.fail(server)
      const { client } = noting(() => Effect.suspend(() => next))
      const breaker = yield* through(CircuitBreaker.layer(circuits), client)
      yield* TestClock.adjust("1 second")
      yield* Effect.exit(breaker.completion(ask("a")))
      yield* TestClock.adjust("2 seconds")
      next = Effect.fail(failure("RateLimit", "Requests", { retryAfter: Duration.seconds(20) }))
      yield* Effect.exit(breaker.completion(ask("b:c")))
      const a: CircuitBreaker.State = { key: "test:a", state: "Open", since: 1000, until: 9000, openings: 1 }
      const b: CircuitBreaker.State = { key: "test:b%3Ac", state: "Open", since: 3000, until: 23_000, openings: 1 }
      assert.deepStrictEqual(yield* circuits.states, [a, b])
      yield* TestClock.adjust("6 seconds")
      assert.deepStrictEqual(yield* circuits.states, [{ ...a, state: "HalfOpen" }, b])
      yield* Effect.exit(breaker.completion(ask("a")))
      assert.deepStrictEqual((yield* circuits.states)[0], { ...a, since: 9000, until: 29_000, openings: 2 })
      next = works
      yield* TestClock.adjust("20 seconds")
      yield* breaker.completion(ask("a"))
      yield* breaker.completion(ask("b:c"))
      assert.deepStrictEqual(yield* circuits.states, [])
    }))

  it.effect("know of circuits in a store what its refusals say", () =>
    Effect.gen(function*() {
      const store = Layer.succeedContext(yield* Layer.build(Layer.fresh(Breaker.layerStoreMemory())))
      const [here, there] = yield* Effect.provide(
        Effect.all([CircuitBreaker.makeStore({ failures: 1 }), CircuitBreaker.makeStore({ failures: 1 })]),
        store
      )
      let next: ReturnType<Answer> = Effect.fail(server)
      const { client } = noting(() => Effect.suspend(() => next))
      yield* Effect.exit(here.apply(client).completion(ask()))
      assert.lengthOf(yield* there.states, 0)
      yield* TestClock.adjust("1 second")
      yield* Effect.exit(there.apply(client).completion(ask()))
      const known: CircuitBreaker.State = { key: "test:m", state: "Open", since: 1000, until: 8000, openings: 0 }
      assert.deepStrictEqual(yield* there.states, [known])
      next = works
      yield* TestClock.adjust("7 seconds")
      yield* here.apply(client).completion(ask())
      yield* there.apply(client).completion(ask())
      assert.deepStrictEqual([yield* here.states, yield* there.states], [[], []])
    }))
})

describe("names that users choose", () => {
  it.effect("are refused above 512 characters, before anything is sent", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* broken()
      const error = yield* Effect.flip(client.completion(ask("m".repeat(100_000))))
      assert.strictEqual(
        error.message,
        `ClientError: test ${"m".repeat(64)} InvalidRequest: the model has 100000 characters: at most 512 are allowed`
      )
      yield* Effect.flip((yield* broken({ key: () => "k".repeat(513) })).client.completion(ask()))
      assert.lengthOf(calls, 0)
      assert.strictEqual((yield* Effect.flip(client.completion(ask("m".repeat(512))))).reason, "Server")
    }))
})

it.effect("a clock that is set back does not keep a circuit open", () =>
  Effect.gen(function*() {
    yield* TestClock.setTime(7_200_000)
    const circuits = yield* CircuitBreaker.make({ failures: 1 })
    let next: ReturnType<Answer> = Effect.fail(server)
    const client = circuits.apply(noting(() => Effect.suspend(() => next)).client)
    yield* Effect.exit(client.completion(ask()))
    yield* TestClock.setTime(3_600_000)
    const refused = yield* Effect.flip(client.completion(ask()))
    assert.deepStrictEqual(refused.retryAfter, Duration.seconds(8))
    const [state] = yield* circuits.states
    assert.deepStrictEqual([state?.since, state?.until], [3_600_000, 3_608_000])
    yield* TestClock.adjust("8 seconds")
    next = works
    yield* client.completion(ask())
  }))

describe("a circuit tries again", () => {
  it.effect("with one call alone, and closes when that succeeds", () =>
    Effect.gen(function*() {
      const { calls, client, outcome, says } = yield* open({ openDuration: "30 seconds" })
      yield* TestClock.adjust("29999 millis")
      assert.strictEqual(yield* outcome, "circuit_open")
      yield* TestClock.adjust(1)
      says(Effect.delay(works, "5 seconds"))
      const probe = yield* Effect.forkChild(client.completion(ask()), { startImmediately: true })
      const error = yield* Effect.flip(client.completion(ask()))
      assert.strictEqual(error.code, "circuit_open")
      assert.isUndefined(error.retryAfter)
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(probe)
      says(works)
      assert.deepStrictEqual(yield* times(3, outcome), ["answered", "answered", "answered"])
      assert.lengthOf(calls, 5)
    }))

  it.effect("and opens again when that fails", () =>
    Effect.gen(function*() {
      const { calls, outcome } = yield* open({ openDuration: "30 seconds" })
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(yield* times(2, outcome), ["Server", "circuit_open"])
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(yield* times(2, outcome), ["Server", "circuit_open"])
      assert.lengthOf(calls, 3)
    }))

  it.effect("after a time that a schedule makes longer", () =>
    Effect.gen(function*() {
      const { outcome } = yield* open({ openDuration: Schedule.exponential("1 second") })
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* times(2, outcome), ["Server", "circuit_open"])
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* outcome, "circuit_open")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* outcome, "Server")
    }))

  const leaving: ReadonlyArray<
    readonly [string, (client: LLMClient.Service) => Effect.Effect<unknown, LLMError.LLMError>]
  > = [
    ["completion", (client) => client.completion(ask())],
    ["stream", (client) => Stream.runDrain(client.stream(ask()))]
  ]
  it.effect.each(leaving)("with the next call when the trying %s is interrupted", ([, call]) =>
    Effect.gen(function*() {
      const { client, outcome, says } = yield* open({}, false)
      yield* TestClock.adjust("30 seconds")
      says(Effect.never)
      const probe = yield* Effect.forkChild(call(client), { startImmediately: true })
      yield* TestClock.adjust(0)
      assert.strictEqual(yield* outcome, "circuit_open")
      yield* Fiber.interrupt(probe)
      says(works)
      assert.strictEqual(yield* outcome, "answered")
    }))

  const reads: ReadonlyArray<readonly [string, (stream: Stream.Stream<unknown, unknown>) => Effect.Effect<unknown>]> = [
    [
      "that is not read on",
      (stream) => Stream.runForEach(Stream.rechunk(stream, 1), () => Effect.never).pipe(Effect.ignore)
    ],
    ["that goes on for long", (stream) => Effect.ignore(Stream.runDrain(stream))],
    ["that is left", (stream) => Effect.ignore(Stream.runDrain(Stream.take(stream, 1)))]
  ]
  it.effect.each(reads)("with a stream too, whose first part closes it: one %s", ([, read]) =>
    Effect.gen(function*() {
      const { client, outcome, says } = yield* open()
      yield* TestClock.adjust("30 seconds")
      says(Effect.never)
      yield* Effect.forkChild(read(client.stream(ask())), { startImmediately: true })
      yield* TestClock.adjust(0)
      says(works)
      assert.deepStrictEqual(yield* times(2, outcome), ["answered", "answered"])
    }))

  it.effect("with a stream too, whose later failure counts as any other", () =>
    Effect.gen(function*() {
      const { calls, client, outcome, says } = yield* open({ failures: 2 })
      yield* outcome
      yield* TestClock.adjust("30 seconds")
      says(Effect.delay(Effect.fail(server), "1 second"))
      const probe = yield* Effect.forkChild(Effect.exit(Stream.runDrain(client.stream(ask()))), {
        startImmediately: true
      })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(probe)
      says(Effect.fail(server))
      assert.deepStrictEqual(yield* times(2, outcome), ["Server", "circuit_open"])
      assert.lengthOf(calls, 4)
    }))

  it.effect("with the next call when the trying one was never sent", () =>
    Effect.gen(function*() {
      const { outcome, says } = yield* open()
      yield* TestClock.adjust("30 seconds")
      says(Effect.fail(failure("ClientError", "Unsupported")))
      assert.strictEqual(yield* outcome, "Unsupported")
      says(Effect.fail(server))
      assert.deepStrictEqual(yield* times(2, outcome), ["Server", "circuit_open"])
    }))
})

describe("a provider's hint", () => {
  const hinted = (retryAfter: Duration.Input, tag: "RateLimit" | "Transient" = "RateLimit") =>
    Effect.fail(failure(tag, tag === "RateLimit" ? "Requests" : "Overloaded", {
      retryAfter: Duration.fromInputUnsafe(retryAfter)
    }))

  const openFor = Effect.fnUntraced(function*(
    options: CircuitBreaker.Options,
    failures: ReadonlyArray<ReturnType<Answer>>
  ) {
    const { client, outcome, says } = yield* broken({ failures: failures.length, ...options })
    for (const failure of failures) {
      says(failure)
      yield* outcome
    }
    return (yield* Effect.flip(client.completion(ask()))).retryAfter
  })

  it.effect("keeps the circuit open for longer, not for less", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* openFor({}, [hinted("2 minutes")]), Duration.minutes(2))
      assert.deepStrictEqual(yield* openFor({}, [hinted("2 minutes", "Transient")]), Duration.minutes(2))
      assert.deepStrictEqual(yield* openFor({}, [hinted("2 seconds")]), Duration.seconds(8))
    }))

  it.effect("is the longest of the failures that opened it", () =>
    Effect.gen(function*() {
      const failures = [hinted("1 minute"), hinted("2 minutes"), Effect.fail(server)]
      assert.deepStrictEqual(yield* openFor({}, failures), Duration.minutes(2))
    }))

  it.effect("is forgotten after a success", () =>
    Effect.gen(function*() {
      const { client, outcome, says } = yield* broken({ failures: 2 })
      for (const said of [hinted("2 minutes"), works, Effect.fail(server), Effect.fail(server)]) {
        says(said)
        yield* outcome
      }
      assert.deepStrictEqual((yield* Effect.flip(client.completion(ask()))).retryAfter, Duration.seconds(8))
    }))

  it.effect("has a longest", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* openFor({}, [hinted("1 day")]), Duration.minutes(5))
      assert.deepStrictEqual(
        yield* openFor({ maxOpenDuration: "1 hour" }, [hinted("1 day"), hinted("1 second")]),
        Duration.hours(1)
      )
    }))

  it.effect("counts also when it comes after the circuit opened, from a call that was under way", () =>
    Effect.gen(function*() {
      const { calls, client, outcome, says } = yield* broken({ failures: 1 })
      for (const said of [Effect.fail(server), hinted("2 minutes")]) {
        says(Effect.delay(said, `${calls.length + 1} seconds`))
        yield* Effect.forkChild(Effect.exit(client.completion(ask())), { startImmediately: true })
      }
      yield* TestClock.adjust("2 seconds")
      const told = Effect.map(Effect.flip(client.completion(ask())), ({ retryAfter }) => retryAfter)
      assert.deepStrictEqual(yield* told, Duration.minutes(2))
      yield* TestClock.adjust("119 seconds")
      assert.deepStrictEqual(yield* times(2, told), [Duration.seconds(1), Duration.seconds(1)])
      yield* TestClock.adjust("1 second")
      says(works)
      assert.deepStrictEqual(yield* times(2, outcome), ["answered", "answered"])
      assert.lengthOf(calls, 4)
    }))

  it.effect("holds once: a call that fails later, without one, opens the circuit for the time of a second opening", () =>
    Effect.gen(function*() {
      const { client, outcome, says } = yield* broken({ failures: 1 })
      says(hinted("1 day"))
      yield* outcome
      yield* TestClock.adjust("5 minutes")
      says(Effect.fail(server))
      assert.strictEqual(yield* outcome, "Server")
      assert.deepStrictEqual((yield* Effect.flip(client.completion(ask()))).retryAfter, Duration.seconds(12))
    }))
})

describe("what counts as a failure", () => {
  const ends: ReadonlyArray<readonly [LLMError.LLMError, opens: boolean]> = [
    [failure("Transient", "Network"), true],
    [failure("Transient", "Malformed"), true],
    [failure("RateLimit", "Unknown"), true],
    [failure("EmptyResponse", "NoContent"), false],
    [failure("ClientError", "InvalidRequest", { status: 400 }), false],
    [failure("ClientError", "Authentication", { status: 401 }), false],
    [failure("RateLimit", "Requests", { code: "throttled" }), false],
    [failure("Transient", "Overloaded", { code: "store_unreachable" }), false],
    [failure("Transient", "Overloaded", { code: "circuit_open", attempts: [server] }), true]
  ]
  it.effect.each(ends)("by default: %s, %s", ([error, opens]) =>
    Effect.gen(function*() {
      const { outcome, says } = yield* broken({ failures: 2 })
      says(Effect.fail(error))
      yield* times(2, outcome)
      says(works)
      assert.strictEqual(yield* outcome, opens ? "circuit_open" : "answered")
    }))

  it.effect("is the user's to say", () =>
    Effect.gen(function*() {
      const { outcome, says } = yield* open({ isFailure: ({ _tag }) => _tag === "EmptyResponse" })
      assert.strictEqual(yield* outcome, "Server")
      says(Effect.fail(failure("EmptyResponse", "NoContent")))
      assert.deepStrictEqual(yield* times(2, outcome), ["NoContent", "circuit_open"])
    }))

  it.effect("is not what our own throttle refuses", () =>
    Effect.gen(function*() {
      const { calls, client } = noting(() => works)
      const layer = CircuitBreaker.layer({ failures: 1 }).pipe(
        Layer.provide(Throttle.layer({ requestsPerMinute: 1, maxWait: "1 second" }))
      )
      const both = yield* through(layer, client)
      yield* both.completion(ask())
      yield* Effect.flip(both.completion(ask()))
      yield* TestClock.adjust("1 minute")
      yield* both.completion(ask())
      assert.lengthOf(calls, 2)
    }))

  it.effect("is not that the store of our own throttle is gone", () =>
    Effect.gen(function*() {
      const gone = new RateLimiter.RateLimiterError({
        reason: new RateLimiter.RateLimitStoreError({ message: "gone" })
      })
      const store = Layer.succeed(RateLimiter.RateLimiterStore, {
        fixedWindow: () => Effect.fail(gone),
        tokenBucket: () => Effect.fail(gone),
        adaptiveConsume: () => Effect.fail(gone),
        adaptiveFeedback: () => Effect.fail(gone)
      })
      const layer = CircuitBreaker.layer({ failures: 1 }).pipe(
        Layer.provide(Throttle.layerStore({ requestsPerMinute: 1, onStoreError: "closed" })),
        Layer.provide(store)
      )
      const both = yield* through(layer, noting(() => works).client)
      const codes = yield* times(2, Effect.map(Effect.flip(both.completion(ask())), ({ code }) => code))
      assert.deepStrictEqual(codes, ["store_unreachable", "store_unreachable"])
    }))

  it.effect("is the end of a stream, whatever came before", () =>
    Effect.gen(function*() {
      const { calls, client, says } = yield* broken({ failures: 2 })
      const run = Effect.exit(Stream.runDrain(client.stream(ask())))
      yield* run
      says(works)
      yield* run
      says(Effect.fail(server))
      yield* times(3, run)
      assert.lengthOf(calls, 4)
    }))

  it.effect("is not an interrupted call", () =>
    Effect.gen(function*() {
      const { calls, client, says } = yield* broken({ failures: 1 })
      says(Effect.never)
      for (const call of [client.completion(ask()), Stream.runDrain(client.stream(ask()))]) {
        const fiber = yield* Effect.forkChild(call, { startImmediately: true })
        yield* TestClock.adjust(0)
        yield* Fiber.interrupt(fiber)
      }
      yield* Stream.runDrain(Stream.take(client.stream(ask()), 1))
      says(works)
      yield* client.completion(ask())
      assert.lengthOf(calls, 3)
    }))
})

describe("keys", () => {
  it.effect("give each model a circuit", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* broken({ failures: 1 })
      for (const model of ["a", "b", "a", "b"]) yield* Effect.exit(client.completion(ask(model)))
      assert.lengthOf(calls, 2)
    }))

  it.effect("are the same for a call of the client's own model and one that names none", () =>
    Effect.gen(function*() {
      const { calls, client } = noting(() => Effect.fail(server))
      const breaker = yield* through(CircuitBreaker.layer({ failures: 1 }), { ...client, model: "m" })
      yield* Effect.exit(breaker.completion(ask("m")))
      const error = yield* Effect.flip(breaker.completion(Completion.make({ prompt: "Hello" })))
      assert.strictEqual(`${error.code} ${error.model}`, "circuit_open m")
      assert.lengthOf(calls, 1)
    }))

  it.effect("are what a function makes of a call", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* broken({ failures: 1, key: (_, provider) => provider })
      for (const model of ["a", "b"]) yield* Effect.exit(client.completion(ask(model)))
      assert.lengthOf(calls, 1)
    }))

  it.effect("give each provider a circuit, though one layer value stands over both", () =>
    Effect.gen(function*() {
      const a = noting(() => Effect.fail(server))
      const b = noting(() => works)
      const breaker = CircuitBreaker.layer({ failures: 1 })
      const over = (client: LLMClient.Service) => Layer.provide(breaker, Layer.succeed(LLMClient.LLMClient, client))
      const context = yield* Layer.build(Layer.mergeAll(
        Layer.provide(Layer.effect(Left, LLMClient.LLMClient), over(a.client)),
        Layer.provide(Layer.effect(Right, LLMClient.LLMClient), over(b.client))
      ))
      yield* times(2, Effect.exit(Context.get(context, Left).completion(ask())))
      yield* times(2, Context.get(context, Right).completion(ask()))
      assert.lengthOf(a.calls, 1)
      assert.lengthOf(b.calls, 2)
    }))
})

describe("a store", () => {
  /** One that answers a second after it has noted what it was told. */
  const slow = Layer.effect(
    Breaker.CircuitBreakerStore,
    Effect.map(Breaker.CircuitBreakerStore, (store) => ({
      admit: (key) => Effect.tap(store.admit(key), Effect.sleep("1 second")),
      record: (call) => Effect.delay(store.record(call), "1 second"),
      state: store.state
    }))
  ).pipe(Layer.provide(Breaker.layerStoreMemory()))

  const stored = Effect.fnUntraced(function*(answerWith: Answer) {
    const { calls, client } = noting(answerWith)
    const layer = CircuitBreaker.layerStore({ failures: 1, storeTimeout: "5 seconds" })
    return { calls, client: yield* through(Layer.provide(layer, slow), client) }
  })

  it.effect("is free for the next call when the trying one is interrupted while it is let in", () =>
    Effect.gen(function*() {
      const { calls, client } = yield* stored((_, index) => index === 0 ? Effect.fail(server) : works)
      yield* Effect.forkChild(Effect.exit(client.completion(ask())), { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      for (const call of [client.completion(ask()), Stream.runDrain(client.stream(ask()))]) {
        const fiber = yield* Effect.forkChild(call, { startImmediately: true })
        yield* TestClock.adjust("500 millis")
        yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
        yield* TestClock.adjust("3 seconds")
        assert.isDefined(fiber.pollUnsafe())
      }
      const next = yield* Effect.forkChild(client.completion(ask()), { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(next)
      assert.lengthOf(calls, 2)
    }))

  it.effect("that lets a call try when nobody waits for that any more lets the next one try too", () =>
    Effect.gen(function*() {
      let takes: Duration.Input = 0
      const late = Layer.effect(
        Breaker.CircuitBreakerStore,
        Effect.map(Breaker.CircuitBreakerStore, (store) => ({
          ...store,
          admit: (key) => Effect.tap(store.admit(key), () => Effect.sleep(takes))
        }))
      ).pipe(Layer.provide(Breaker.layerStoreMemory()))
      const { calls, client } = noting((_, index) => index === 0 ? Effect.fail(server) : works)
      const layer = CircuitBreaker.layerStore({ failures: 1, onStoreError: "closed" })
      const breaker = yield* through(Layer.provide(layer, late), client)
      yield* Effect.flip(breaker.completion(ask()))
      yield* TestClock.adjust("30 seconds")
      takes = "5 seconds"
      const probe = yield* Effect.forkChild(Effect.flip(breaker.completion(ask())), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(probe)).code, "store_unreachable")
      takes = 0
      yield* TestClock.adjust("5 seconds")
      yield* breaker.completion(ask())
      assert.lengthOf(calls, 2)
    }))

  it.effect("that is silent holds nobody who leaves", () =>
    Effect.gen(function*() {
      const silent = { admit: () => Effect.never, record: () => Effect.never, state: () => Effect.never }
      const layer = CircuitBreaker.layerStore({ storeTimeout: "10 seconds" })
      const breaker = yield* through(
        Layer.provide(layer, Layer.succeed(Breaker.CircuitBreakerStore, silent)),
        noting(() => works).client
      )
      for (const call of [breaker.completion(ask()), Stream.runDrain(breaker.stream(ask()))]) {
        const fiber = yield* Effect.forkChild(call, { startImmediately: true })
        yield* Fiber.interrupt(fiber)
      }
    }))

  it.effect("that is silent when a call ends holds nobody who leaves then", () =>
    Effect.gen(function*() {
      const store = Layer.effect(
        Breaker.CircuitBreakerStore,
        Effect.map(Breaker.CircuitBreakerStore, (store) => ({ ...store, record: () => Effect.never }))
      ).pipe(Layer.provide(Breaker.layerStoreMemory()))
      const { client, calls } = noting((_, index) => index === 0 ? works : Effect.never)
      const breaker = yield* through(
        Layer.provide(CircuitBreaker.layerStore({ storeTimeout: "10 seconds" }), store),
        client
      )
      const calling = [breaker.completion(ask()), breaker.completion(ask()), Stream.runDrain(breaker.stream(ask()))]
      for (const call of calling) {
        const fiber = yield* Effect.forkChild(call, { startImmediately: true })
        yield* TestClock.adjust(0)
        yield* Fiber.interrupt(fiber)
      }
      assert.lengthOf(calls, 3)
    }))

  it.effect("knows how a call ended before the caller does", () =>
    Effect.gen(function*() {
      const { client } = yield* stored(() => Effect.fail(server))
      const two = Effect.all([Effect.flip(client.completion(ask())), Effect.flip(client.completion(ask()))])
      const fiber = yield* Effect.forkChild(two, { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual((yield* Fiber.join(fiber)).map(({ code }) => code), [undefined, "circuit_open"])
    }))

  it.effect("serves two providers below one layer value", () =>
    Effect.gen(function*() {
      const a = noting(() => Effect.fail(server), "a")
      const b = noting(() => works, "b")
      const breaker = CircuitBreaker.layerStore({ failures: 1 })
      const over = (client: LLMClient.Service) => Layer.provide(breaker, Layer.succeed(LLMClient.LLMClient, client))
      const context = yield* Layer.build(
        Layer.mergeAll(
          Layer.provide(Layer.effect(Left, LLMClient.LLMClient), over(a.client)),
          Layer.provide(Layer.effect(Right, LLMClient.LLMClient), over(b.client))
        ).pipe(Layer.provide(Breaker.layerStoreMemory()))
      )
      yield* times(2, Effect.exit(Context.get(context, Left).completion(ask())))
      yield* times(2, Context.get(context, Right).completion(ask()))
      assert.lengthOf(a.calls, 1)
      assert.lengthOf(b.calls, 2)
    }))
})

it.effect("says that a circuit opened, also when the first calls come at once", () =>
  Effect.gen(function*() {
    const said: Array<string> = []
    const logger = Logger.layer([Logger.make(({ message }) => said.push(String(message)))])
    const { outcome } = yield* broken({ failures: 1 })
    yield* Effect.provide(outcome, logger)
    yield* TestClock.adjust(0)
    assert.deepStrictEqual(said, ["circuit opened"])
  }))

describe("options", () => {
  const bad: ReadonlyArray<readonly [option: string, options: object]> = [
    ...[0, -1, 1.5, Number.NaN].map((failures) => ["failures", { failures }] as const),
    ...[0, -1, 2, Number.NaN].map((threshold) => ["rate.threshold", { rate: { threshold } }] as const),
    ...[0, -1, Number.NaN].map((window) => ["rate.window", { rate: { window } }] as const),
    ...[0, 1.5, Number.NaN].map((minimumCalls) => ["rate.minimumCalls", { rate: { minimumCalls } }] as const),
    ["rate size", { rate: { size: 20 } }],
    ["maxRetryAfter", { maxRetryAfter: -1 }],
    ["key", { key: "k".repeat(513) }],
    ["rate", { rate: {}, failures: 1 }],
    ["rate share", { rate: { share: 1 } }],
    ...["openDuration", "maxOpenDuration"].flatMap((name) =>
      [0, -1, Number.NaN, "soon"].map((value) => [name, { [name]: value }] as const)
    ),
    ...[0, -1].map((delay) => ["openDuration", { openDuration: Schedule.spaced(delay) }] as const),
    ["openDuration", { openDuration: Schedule.recurs(0) }],
    ["isFailure", { isFailure: true }],
    ["rate", { rate: 0.5 }],
    ["rate", { rate: null }],
    ["options", null as never],
    ["key", { key: "" }],
    ["onStoreError", { onStoreError: "open" }]
  ]
  it.effect.each(bad)(
    "that cannot be kept are refused when the layer is built: %s %o",
    ([option, options]) =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(broken(options))
        const defect = Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : ""
        assert.match(defect, new RegExp(`CircuitBreaker ${option}: give`))
      })
  )
})

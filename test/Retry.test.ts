import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Completion from "../src/Completion.ts"
import * as CompletionResponse from "../src/CompletionResponse.ts"
import * as LLMClient from "../src/LLMClient.ts"
import * as LLMError from "../src/LLMError.ts"
import * as Message from "../src/Message.ts"
import * as Retry from "../src/Retry.ts"
import * as TokenUsage from "../src/TokenUsage.ts"

// The same cases in every run.
Arbitrary.configureGlobal({ check: { seed: "Retry" } })

const request = Completion.make({ model: "m", prompt: "Hello" })

const answer = CompletionResponse.make({
  choice: [Message.text("Hello!")],
  finishReason: { _tag: "Stop" },
  usage: TokenUsage.make({ inputTokens: 3, outputTokens: 2 }),
  provider: "test"
})

const spent = (outputTokens: number) =>
  CompletionResponse.make({ ...answer, choice: [], usage: TokenUsage.make({ inputTokens: 3, outputTokens }) })

const failure = (tag: LLMError.LLMError["_tag"], reason: string, more: Readonly<Record<string, unknown>> = {}) =>
  LLMError.make(tag, { provider: "test", model: "m", description: "", reason: reason as never, ...more })

const rateLimit = failure("RateLimit", "Requests")
const server = failure("Transient", "Server")
const overloaded = failure("Transient", "Overloaded")
const malformed = failure("Transient", "Malformed")
const empty = failure("EmptyResponse", "NoContent")
const invalid = failure("ClientError", "InvalidRequest")
const hinted = (retryAfter: Duration.Input) =>
  failure("RateLimit", "Requests", { retryAfter: Duration.fromInputUnsafe(retryAfter) })

const clientOf = (completion: LLMClient.Service["completion"], provider = "test"): LLMClient.Service => ({
  provider,
  completion,
  stream: () => Stream.die("these tests do not stream")
})

/** A client that fails in the given ways, one a call, and then answers; it keeps the time of every call. */
const failing = (failures: ReadonlyArray<LLMError.LLMError>, onCall: (call: number) => void = () => {}) => {
  const calls: Array<number> = []
  const client = clientOf(() =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      onCall(calls.length)
      const failure = failures[calls.length]
      calls.push(now)
      return failure === undefined ? Effect.succeed(answer) : Effect.fail(failure)
    })
  )
  return { calls, client }
}

const draw = (value: () => number): Random.Random => ({ nextDoubleUnsafe: value, nextIntUnsafe: () => 0 })

/** Holds the jitter factor at the middle of its range, which is 1, and the jitter of hints at half of theirs. */
const middle = Effect.provideService(Random.Random, draw(() => 0.5))

/** Lets the clock run until the effect has ended. */
const elapse = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(self)
    yield* TestClock.adjust("7 days")
    return yield* Fiber.await(fiber)
  })

const differences = (times: ReadonlyArray<number>) => times.slice(1).map((time, index) => time - times[index]!)

/** Calls a client that fails in the given ways; gives the waits between its calls, in milliseconds, and the end. */
const waitsOf = Effect.fnUntraced(function*(
  failures: ReadonlyArray<LLMError.LLMError>,
  policy?: Retry.Options
) {
  const { calls, client } = failing(failures)
  const exit = yield* elapse(Retry.make(client, policy).completion(request))
  return { waits: differences(calls), exit }
})

const errorOf = <A>(exit: Exit.Exit<A, LLMError.LLMError>): LLMError.LLMError => {
  assert.isTrue(Exit.isFailure(exit), "expected a failure")
  return Cause.squash((exit as Exit.Failure<A, LLMError.LLMError>).cause) as LLMError.LLMError
}

const responseOf = <E>(exit: Exit.Exit<CompletionResponse.CompletionResponse, E>) => {
  assert.isTrue(Exit.isSuccess(exit), "expected an answer")
  return (exit as Exit.Success<CompletionResponse.CompletionResponse>).value
}

const always = (error: LLMError.LLMError) => Array.from({ length: 50 }, () => error)

describe("with the jitter factor held at 1", () => {
  const cases: ReadonlyArray<readonly [name: string, error: LLMError.LLMError, waits: ReadonlyArray<number>]> = [
    ["a rate limit waits 5, 10, 20, 40, 60, 60 and 60 s, and is sent 8 times", rateLimit, [
      5000,
      10_000,
      20_000,
      40_000,
      60_000,
      60_000,
      60_000
    ]],
    ["a transient failure waits 250, 500 and 1000 ms, and is sent 4 times", server, [250, 500, 1000]],
    ["an empty response waits 250, 500 and 1000 ms, and is sent 4 times", empty, [250, 500, 1000]],
    ["an overloaded provider is given 1, 2, 4, 8 and 16 s, and is asked 6 times", overloaded, [
      1000,
      2000,
      4000,
      8000,
      16_000
    ]],
    ["a malformed answer is requested once more", malformed, [250]],
    ["a call that timed out is made once more", failure("Transient", "Timeout"), [250]],
    ["a client error is sent once", invalid, []],
    [
      "a failure that says that it is not retryable is sent once",
      failure("RateLimit", "Requests", { retryable: false }),
      []
    ],
    [
      "a failure that says that it is retryable keeps its schedule",
      failure("Transient", "Server", { retryable: true }),
      [
        250,
        500,
        1000
      ]
    ]
  ]
  it.effect.each(cases)("%s", ([, error, waits]) =>
    Effect.gen(function*() {
      const result = yield* waitsOf(always(error))
      assert.deepStrictEqual(result.waits, waits)
      assert.strictEqual(errorOf(result.exit)._tag, error._tag)
    }).pipe(middle))

  it.effect("no reason of a client error is sent again, even with a hint", () =>
    Effect.gen(function*() {
      for (const reason of LLMError.ClientErrorReason.literals) {
        const { waits } = yield* waitsOf(always(failure("ClientError", reason, { retryAfter: Duration.zero })))
        assert.deepStrictEqual(waits, [], reason)
      }
    }).pipe(middle))

  it.effect("every other reason of a tag is retried like the tag", () =>
    Effect.gen(function*() {
      const expected = [
        ...LLMError.RateLimitReason.literals.map((reason) => ["RateLimit", reason, 7] as const),
        ...LLMError.EmptyResponseReason.literals.map((reason) => ["EmptyResponse", reason, 3] as const),
        ...(["Server", "Network", "Truncated"] as const).map((reason) => ["Transient", reason, 3] as const)
      ]
      for (const [tag, reason, retries] of expected) {
        const { waits } = yield* waitsOf(always(failure(tag, reason)))
        assert.strictEqual(waits.length, retries, `${tag} ${reason}`)
      }
    }).pipe(middle))

  it.effect("a call that succeeds at last waits no longer", () =>
    Effect.gen(function*() {
      const { exit, waits } = yield* waitsOf([rateLimit, rateLimit])
      assert.deepStrictEqual(waits, [5000, 10_000])
      assert.strictEqual(responseOf(exit).text, "Hello!")
    }).pipe(middle))

  describe("mixed failures share the count of the call", () => {
    const cases: ReadonlyArray<
      readonly [name: string, failures: ReadonlyArray<LLMError.LLMError>, waits: ReadonlyArray<number>]
    > = [
      ["each failure waits as long as its own tag at this attempt", [server, rateLimit, overloaded, empty], [
        250,
        10_000,
        4000
      ]],
      ["a tag whose attempts others have used up ends the call", [rateLimit, rateLimit, rateLimit, server], [
        5000,
        10_000,
        20_000
      ]],
      ["a malformed answer as the second failure ends the call", [server, malformed], [250]],
      ["a rate limit goes on where a transient failure would have ended", [server, server, server, rateLimit], [
        250,
        500,
        1000,
        40_000
      ]],
      ["a client error ends the call at once", [server, invalid, server], [250]]
    ]
    it.effect.each(cases)("%s", ([, failures, waits]) =>
      Effect.gen(function*() {
        assert.deepStrictEqual((yield* waitsOf(failures)).waits, waits)
      }).pipe(middle))
  })

  it.effect("one retrying client counts every call on its own", () =>
    Effect.gen(function*() {
      const { calls, client } = failing([...always(server).slice(0, 4), ...always(server).slice(0, 4)])
      const call = Retry.make(client).completion(request)
      yield* elapse(call)
      yield* elapse(call)
      assert.strictEqual(calls.length, 8)
      assert.deepStrictEqual(differences(calls.slice(4)), [250, 500, 1000])
    }).pipe(middle))
})

describe("jitter", () => {
  const Bounds = Schema.Struct({
    seed: Schema.String,
    kind: Schema.Literals(["rate", "server", "overloaded", "empty"])
  })
  const rules = {
    rate: [rateLimit, [5000, 10_000, 20_000, 40_000, 60_000, 60_000, 60_000]],
    server: [server, [250, 500, 1000]],
    overloaded: [overloaded, [1000, 2000, 4000, 8000, 16_000]],
    empty: [empty, [250, 500, 1000]]
  } as const
  it.effect.prop(
    "is a factor in [0.5, 1.5), whatever the random source",
    [Bounds],
    ([{ kind, seed }]) =>
      Effect.gen(function*() {
        const [error, delays] = rules[kind]
        const { waits } = yield* waitsOf(always(error)).pipe(Random.withSeed(seed))
        assert.strictEqual(waits.length, delays.length)
        for (const [index, wait] of waits.entries()) {
          assert.isAtLeast(wait, delays[index]! * 0.5)
          assert.isAtMost(wait, delays[index]! * 1.5)
        }
      }),
    { arbitrary: { runs: 40 } }
  )

  it.effect("reaches down to half, and up to one and a half", () =>
    Effect.gen(function*() {
      const low = yield* waitsOf(always(server)).pipe(Effect.provideService(Random.Random, draw(() => 0)))
      assert.deepStrictEqual(low.waits, [125, 250, 500])
      const high = yield* waitsOf(always(server)).pipe(Effect.provideService(Random.Random, draw(() => 1 - 2 ** -53)))
      assert.deepStrictEqual(high.waits, [375, 750, 1500])
    }))

  it.effect("differs between calls", () =>
    Effect.gen(function*() {
      const first = yield* waitsOf(always(rateLimit)).pipe(Random.withSeed("one"))
      const second = yield* waitsOf(always(rateLimit)).pipe(Random.withSeed("two"))
      assert.notDeepEqual(first.waits, second.waits)
    }))
})

describe("a provider's hint", () => {
  it.effect.prop("is waited for in full, and at most a tenth longer", {
    seed: Schema.String,
    millis: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60_000 }))
  }, ({ millis, seed }) =>
    Effect.gen(function*() {
      const { waits } = yield* waitsOf([hinted(millis)]).pipe(Random.withSeed(seed))
      assert.strictEqual(waits.length, 1)
      assert.isAtLeast(waits[0]!, millis)
      assert.isAtMost(waits[0]!, Math.ceil(millis * 1.1))
    }), { arbitrary: { runs: 40 } })

  it.effect("replaces the backoff, shorter or longer", () =>
    Effect.gen(function*() {
      const at = Effect.provideService(Random.Random, draw(() => 0))
      assert.deepStrictEqual((yield* at(waitsOf([hinted("1 second")]))).waits, [1000])
      assert.deepStrictEqual((yield* at(waitsOf([hinted("42 seconds")]))).waits, [42_000])
      assert.deepStrictEqual((yield* at(waitsOf([hinted("0.4 millis")]))).waits, [1], "never less than asked for")
    }))

  it.effect("of 0 waits nothing", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* waitsOf([hinted(0), hinted(0)])).waits, [0, 0])
    }))

  it.effect("does not buy more attempts", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* waitsOf(always(hinted(0)))).waits.length, 7)
    }))

  it.effect("leaves the backoff of later failures where it was", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* waitsOf([hinted(0), rateLimit, hinted(0), rateLimit])).waits, [
        0,
        10_000,
        0,
        40_000
      ])
    }).pipe(middle))

  it.effect("of 60 s is kept, and one of 60.001 s ends the call with the hint on the error", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* middle(waitsOf([hinted(60_000)]))).waits, [63_000])
      const { exit, waits } = yield* waitsOf([server, hinted(60_001)])
      assert.strictEqual(waits.length, 1)
      const error = errorOf(exit)
      assert.strictEqual(error._tag, "RateLimit")
      assert.strictEqual(Duration.toMillis(error.retryAfter!), 60_001)
    }))

  it.effect("is measured against maxRetryAfter of the policy", () =>
    Effect.gen(function*() {
      const most = (maxRetryAfter: Duration.Input) =>
        Effect.map(waitsOf([hinted("10 minutes")], { maxRetryAfter }), ({ waits }) => waits)
      assert.deepStrictEqual(yield* middle(most("9 minutes")), [])
      assert.deepStrictEqual(yield* middle(most("10 minutes")), [630_000])
      assert.deepStrictEqual(yield* middle(most(Duration.infinity)), [630_000])
    }))

  it.effect("of any tag counts, but not on a failure that is not retryable", () =>
    Effect.gen(function*() {
      const retryAfter = Duration.seconds(2)
      const wait = (error: LLMError.LLMError) => Effect.map(middle(waitsOf([error])), ({ waits }) => waits)
      assert.deepStrictEqual(yield* wait(failure("Transient", "Server", { retryAfter })), [2100])
      assert.deepStrictEqual(yield* wait(failure("EmptyResponse", "NoContent", { retryAfter })), [2100])
      assert.deepStrictEqual(yield* wait(failure("RateLimit", "Tokens", { retryAfter, retryable: false })), [])
    }))
})

describe("equals a plain loop", () => {
  const minute = 60_000
  const rules: Readonly<Record<string, readonly [base: number, cap: number, attempts: number]>> = {
    RateLimit: [5000, minute, 8],
    Transient: [250, 5000, 4],
    Overloaded: [1000, 30_000, 6],
    Malformed: [250, 5000, 2],
    Timeout: [250, 5000, 2],
    EmptyResponse: [250, 5000, 4]
  }
  const signals = [
    ...LLMError.RateLimitReason.literals.map((reason) => ["RateLimit", reason] as const),
    ...LLMError.TransientReason.literals.map((reason) => ["Transient", reason] as const),
    ...LLMError.EmptyResponseReason.literals.map((reason) => ["EmptyResponse", reason] as const),
    // One of them is enough, or most sequences would be short.
    ["ClientError", "Quota"] as const
  ]
  const hints = [undefined, undefined, undefined, undefined, 0, 0.25, 999.5, 4200, 60_000, 60_000.5, 120_000]
  const retryables = [undefined, undefined, undefined, undefined, undefined, true, true, false]
  const index = (items: ReadonlyArray<unknown>) =>
    Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: items.length - 1 }))
  const Failures = Schema.Array(Schema.Struct({
    signal: index(signals),
    hint: index(hints),
    retryable: index(retryables),
    draw: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1, exclusiveMaximum: true }))
  })).check(Schema.isMaxLength(10))

  // Everything random that one failure decides is drawn from the same number.
  const reference = (failures: typeof Failures.Type): Array<number> => {
    const waits: Array<number> = []
    for (const [before, failure] of failures.entries()) {
      const attempt = before + 1
      const [tag, reason] = signals[failure.signal]!
      const rule = rules[reason] ?? rules[tag]
      const hint = hints[failure.hint]
      if (rule === undefined || retryables[failure.retryable] === false) break
      const [base, cap, attempts] = rule
      if (attempt >= attempts || hint !== undefined && hint > minute) break
      waits.push(
        hint === undefined
          ? Math.round(Math.min(base * 2 ** (attempt - 1), cap) * (0.5 + failure.draw))
          : Math.ceil(hint * (1 + failure.draw / 10))
      )
    }
    return waits
  }

  it.effect.prop(
    "for any sequence of failures, to the millisecond",
    [Failures],
    ([failures]) =>
      Effect.gen(function*() {
        let call = 0
        const { calls, client } = failing(
          failures.map(({ hint, retryable, signal }) => {
            const [tag, reason] = signals[signal]!
            const retryAfter = hints[hint]
            return failure(tag, reason, {
              retryable: retryables[retryable],
              ...(retryAfter !== undefined && { retryAfter: Duration.millis(retryAfter) })
            })
          }),
          (index) => call = index
        )
        const exit = yield* elapse(Retry.make(client).completion(request)).pipe(
          Effect.provideService(Random.Random, draw(() => failures[call]!.draw))
        )
        const expected = reference(failures)
        assert.deepStrictEqual(differences(calls), expected)
        assert.strictEqual(Exit.isSuccess(exit), expected.length === failures.length)
      }),
    { arbitrary: { runs: 150 } }
  )
})

describe("what failed attempts leave behind", () => {
  const first = failure("EmptyResponse", "NoContent", { partial: spent(7) })
  const second = failure("Transient", "Truncated", { partial: spent(11) })
  const usages = (attempts: ReadonlyArray<LLMError.LLMError> | undefined) =>
    attempts?.map((error) => error.partial?.usage.outputTokens)

  it.effect("an answer at once has no attempts", () =>
    Effect.gen(function*() {
      const { exit } = yield* waitsOf([])
      assert.isFalse("attempts" in responseOf(exit))
    }))

  it.effect("an answer lists the failures before it, oldest first, with their usage", () =>
    Effect.gen(function*() {
      const response = responseOf((yield* waitsOf([first, second])).exit)
      assert.deepStrictEqual(response.attempts?.map((error) => error._tag), ["EmptyResponse", "Transient"])
      assert.deepStrictEqual(usages(response.attempts), [7, 11])
      assert.strictEqual(response.usage.outputTokens, 2, "its own usage is its own")
      assert.isUndefined(answer.attempts)
    }))

  it.effect("the last error lists the failures before it, and keeps its own usage", () =>
    Effect.gen(function*() {
      const error = errorOf((yield* waitsOf([second, first, second, first])).exit)
      assert.strictEqual(error._tag, "EmptyResponse")
      assert.deepStrictEqual(usages(error.attempts), [11, 7, 11])
      assert.strictEqual(error.partial?.usage.outputTokens, 7)
    }))

  it.effect("a failure at once has no attempts and is the very same error", () =>
    Effect.gen(function*() {
      const error = errorOf((yield* waitsOf([invalid])).exit)
      assert.strictEqual(error, invalid)
      assert.isFalse("attempts" in error)
    }))

  it.effect("failures that the answer brings from below come last", () =>
    Effect.gen(function*() {
      const answers = [
        Effect.fail(server),
        Effect.succeed(CompletionResponse.make({ ...answer, attempts: [failure("Transient", "Network")] }))
      ]
      const client = clientOf(() => Effect.suspend(() => answers.shift() ?? Effect.die("called too often")))
      const response = responseOf(yield* elapse(Retry.make(client).completion(request)))
      assert.deepStrictEqual(response.attempts?.map((error) => error.reason), ["Server", "Network"])
    }))

  it.effect("an empty response is retried, and in the end fails with its answer", () =>
    Effect.gen(function*() {
      const { exit, waits } = yield* waitsOf(always(failure("EmptyResponse", "NoContent", { partial: spent(5) })))
      const error = errorOf(exit)
      assert.strictEqual(waits.length, 3)
      assert.strictEqual(error._tag, "EmptyResponse")
      assert.instanceOf(error.partial, CompletionResponse.CompletionResponse)
      assert.deepStrictEqual(error.partial?.usage, spent(5).usage)
      assert.deepStrictEqual(usages(error.attempts), [5, 5, 5])
    }))

  it.effect("one error instance for every failure makes no cycle", () =>
    Effect.gen(function*() {
      const error = errorOf((yield* waitsOf(always(server))).exit)
      assert.deepStrictEqual(error.attempts?.map((attempt) => attempt === server), [true, true, true])
      assert.isUndefined(server.attempts)
      const encoded = yield* Schema.encodeUnknownEffect(LLMError.LLMError)(error)
      assert.include(JSON.stringify(encoded), '"attempts":[{')
      assert.include(JSON.stringify(error), "Transient")
      const response = responseOf((yield* waitsOf([server, server, server])).exit)
      assert.strictEqual(response.attempts?.length, 3)
      const stored = yield* Schema.encodeUnknownEffect(CompletionResponse.CompletionResponse)(response)
      assert.include(JSON.stringify(stored), '"reason":"Server"')
    }))

  it.effect("an error keeps everything else that it said", () =>
    Effect.gen(function*() {
      const said = { status: 503, code: "overloaded_error", requestId: "req_1", body: "{}", retryable: false }
      const last = failure("Transient", "Overloaded", { ...said, cause: { why: "busy" } })
      const error = errorOf((yield* waitsOf([server, last])).exit)
      assert.instanceOf(error, LLMError.Transient)
      assert.deepStrictEqual(Object.fromEntries(Object.entries(error)), {
        ...Object.fromEntries(Object.entries(last)),
        attempts: [server]
      })
      assert.deepStrictEqual(error.cause, { why: "busy" })
    }))

  it.effect("a second run of the same effect starts without attempts", () =>
    Effect.gen(function*() {
      const { client } = failing([server])
      const call = Retry.make(client).completion(request)
      assert.strictEqual(responseOf(yield* elapse(call)).attempts?.length, 1)
      assert.isUndefined(responseOf(yield* elapse(call)).attempts)
    }))
})

describe("interruption and defects", () => {
  it.effect("an interruption during a wait stops at once", () =>
    Effect.gen(function*() {
      const { calls, client } = failing(always(rateLimit))
      const fiber = yield* Effect.forkChild(Retry.make(client).completion(request))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(calls.length, 1)
      const before = yield* Clock.currentTimeMillis
      yield* Fiber.interrupt(fiber)
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.hasInterrupts(exit))
      assert.strictEqual(yield* Clock.currentTimeMillis, before)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(calls.length, 1)
    }))

  it.effect("an interruption of the call itself reaches the client and is not retried", () =>
    Effect.gen(function*() {
      let calls = 0
      let interrupted = 0
      const client = clientOf(() =>
        Effect.suspend(() => {
          calls++
          return Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
        })
      )
      const fiber = yield* Effect.forkChild(Retry.make(client).completion(request), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual([calls, interrupted], [1, 1])
    }))

  it.effect("a defect is not retried", () =>
    Effect.gen(function*() {
      let calls = 0
      const client = clientOf(() => Effect.suspend(() => (calls++, Effect.die("broken"))))
      const exit = yield* elapse(Retry.make(client).completion(request))
      assert.isTrue(Exit.hasDies(exit))
      assert.strictEqual(calls, 1)
    }))
})

describe("every wait is logged", () => {
  interface Line {
    readonly level: string
    readonly message: unknown
    readonly annotations: Readonly<Record<string, unknown>>
  }
  const logged = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.suspend(() => {
      const lines: Array<Line> = []
      const logger = Logger.make<unknown, void>(({ fiber, logLevel, message }) => {
        lines.push({ level: logLevel, message, annotations: fiber.getRef(References.CurrentLogAnnotations) })
      })
      return self.pipe(Effect.provide(Logger.layer([logger])), Effect.as(lines))
    })

  it.effect("as a warning with the attempt, the maximum, the delay and the error", () =>
    Effect.gen(function*() {
      const limited = failure("RateLimit", "Requests", { status: 429, requestId: "req_1" })
      const lines = yield* logged(waitsOf([limited, server]))
      assert.deepStrictEqual(lines, [
        {
          level: "Warn",
          message: ["retrying completion"],
          annotations: { attempt: 1, maximum: 8, delay: "5s", error: limited.message }
        },
        {
          level: "Warn",
          message: ["retrying completion"],
          annotations: { attempt: 2, maximum: 4, delay: "500ms", error: server.message }
        }
      ])
    }).pipe(middle))

  it.effect("with the delay of a hint, where one replaced the backoff", () =>
    Effect.gen(function*() {
      const lines = yield* logged(waitsOf([hinted("20 seconds")]))
      assert.strictEqual(lines[0]?.annotations["delay"], "21s")
    }).pipe(middle))

  it.effect("and nothing is logged where nothing is waited for", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* logged(waitsOf([])), [])
      assert.deepStrictEqual(yield* logged(waitsOf([invalid])), [])
      assert.deepStrictEqual(yield* logged(waitsOf([hinted("61 seconds")])), [])
      assert.strictEqual((yield* logged(waitsOf(always(server)))).length, 3, "the last failure has no wait")
    }))
})

describe("policy", () => {
  it.effect("what it names replaces the default, and the rest stays", () =>
    Effect.gen(function*() {
      const policy: Retry.Options = {
        RateLimit: { base: "1 second", cap: "3 seconds", attempts: 5 },
        Malformed: { base: "10 millis", cap: "1 second", attempts: 3 }
      }
      assert.deepStrictEqual((yield* waitsOf(always(rateLimit), policy)).waits, [1000, 2000, 3000, 3000])
      assert.deepStrictEqual((yield* waitsOf(always(malformed), policy)).waits, [10, 20])
      assert.deepStrictEqual((yield* waitsOf(always(server), policy)).waits, [250, 500, 1000])
      assert.deepStrictEqual((yield* waitsOf(always(overloaded), policy)).waits, [1000, 2000, 4000, 8000, 16_000])
    }).pipe(middle))

  it.effect("one attempt is not retried", () =>
    Effect.gen(function*() {
      const once = { base: "1 second", cap: "1 second", attempts: 1 } as const
      assert.deepStrictEqual((yield* waitsOf(always(server), { Transient: once })).waits, [])
    }))

  it.effect("a base of 0 sends again at once", () =>
    Effect.gen(function*() {
      const now = { base: 0, cap: 0, attempts: 3 } as const
      assert.deepStrictEqual((yield* waitsOf(always(server), { Transient: now })).waits, [0, 0])
    }))

  it.effect("the default policy is the one without a policy", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* waitsOf(always(rateLimit), Retry.defaultPolicy)).waits, [
        5000,
        10_000,
        20_000,
        40_000,
        60_000,
        60_000,
        60_000
      ])
    }).pipe(middle))

  it.effect("changes the fields that it names, and keeps the others of the same kind", () =>
    Effect.gen(function*() {
      const policy: Retry.Options = {
        Transient: { attempts: 2 },
        Overloaded: { cap: "2 seconds", base: undefined },
        RateLimit: undefined,
        Timeout: { attempts: 3 },
        deadline: undefined
      }
      assert.deepStrictEqual((yield* waitsOf(always(server), policy)).waits, [250])
      assert.deepStrictEqual((yield* waitsOf(always(overloaded), policy)).waits, [1000, 2000, 2000, 2000, 2000])
      assert.deepStrictEqual((yield* waitsOf(always(failure("Transient", "Timeout")), policy)).waits, [250, 500])
      assert.deepStrictEqual((yield* waitsOf(always(rateLimit).slice(0, 2), policy)).waits, [5000, 10_000])
    }).pipe(middle))

  it.effect("tells onRetry the failure, the attempt and the delay before each wait, and of no other failure", () =>
    Effect.gen(function*() {
      const told: Array<readonly [LLMError.LLMError, number, number, number]> = []
      const policy: Retry.Options = {
        onRetry: ({ attempt, delay, error }) =>
          Effect.map(Clock.currentTimeMillis, (now) => told.push([error, attempt, Duration.toMillis(delay), now]))
      }
      const start = yield* Clock.currentTimeMillis
      const { exit } = yield* waitsOf([server, hinted("2 seconds"), invalid], policy)
      assert.strictEqual(errorOf(exit)._tag, "ClientError")
      assert.deepStrictEqual(told.map(([error]) => error.reason), ["Server", "Requests"])
      assert.deepStrictEqual(told.map(([, ...rest]) => rest), [[1, 250, start], [2, 2100, start + 250]])
    }).pipe(middle))

  const good: Retry.Backoff = { base: "1 second", cap: "2 seconds", attempts: 3 }
  const refused: ReadonlyArray<readonly [option: string, policy: Retry.Options]> = [
    ["RateLimit.attempts: give a whole number of at least 1, not 0", { RateLimit: { ...good, attempts: 0 } }],
    ["Timeout.attempts", { Timeout: { attempts: 0 } }],
    ["Transient options: give an object of base, cap, attempts, not 5", { Transient: 5 as unknown as object }],
    ["Transient retries: give one of base, cap, attempts", { Transient: { retries: 5 } as object }],
    ["options: give an object", null as unknown as object],
    ["deadline: give a duration above 0, not 0", { deadline: 0 }],
    ["onRetry: give a function, not true", { onRetry: true as never }],
    [`Transient.base: give a duration that is not negative, not "soon"`, { Transient: { base: "soon" as "1 second" } }],
    ["Transient.attempts", { Transient: { ...good, attempts: 2.5 } }],
    ["Overloaded.attempts", { Overloaded: { ...good, attempts: -1 } }],
    ["Malformed.attempts", { Malformed: { ...good, attempts: NaN } }],
    ["EmptyResponse.attempts", { EmptyResponse: { ...good, attempts: Infinity } }],
    ["RateLimit.base", { RateLimit: { ...good, base: -1 } }],
    ["EmptyResponse.cap", { EmptyResponse: { ...good, cap: "-1 seconds" } }],
    ["Transient.base", { Transient: { ...good, base: "soon" as "1 second" } }],
    ["maxRetryAfter", { maxRetryAfter: -1 }],
    ["Ratelimit", { Ratelimit: good } as Retry.Options]
  ]
  it.effect.each(refused)(
    "%s that cannot be kept is named when the layer is built, not before",
    ([option, policy]) =>
      Effect.gen(function*() {
        const layer = Layer.provide(Retry.layer(policy), Layer.succeed(LLMClient.LLMClient, failing([]).client))
        const exit = yield* Effect.exit(Effect.scoped(Layer.build(layer)))
        assert.isTrue(Exit.hasDies(exit))
        const defect = Cause.squash((exit as Exit.Failure<unknown, unknown>).cause)
        assert.include(String(defect), `Retry policy ${option}`)
        assert.throws(() => Retry.make(failing([]).client, policy), `Retry policy ${option}`)
      })
  )
})

describe("Retry.schedule", () => {
  it.effect("is a schedule whose output is the wait", () =>
    Effect.gen(function*() {
      const step = yield* Schedule.toStep(Retry.schedule())
      const outputs: Array<number> = []
      for (const error of [rateLimit, hinted("2 seconds"), server]) {
        const [output, wait] = yield* step(0, error)
        assert.deepStrictEqual(output, wait)
        outputs.push(Duration.toMillis(output))
      }
      assert.deepStrictEqual(outputs, [5000, 2100, 1000])
    }).pipe(middle))

  it.effect("ends at a client error and at a failure that is not retryable by itself", () =>
    Effect.gen(function*() {
      for (const error of [invalid, failure("Transient", "Server", { retryable: false }), hinted("61 seconds")]) {
        const step = yield* Schedule.toStep(Retry.schedule())
        assert.isTrue(Exit.isFailure(yield* Effect.exit(step(0, error))), error.message)
      }
    }))
})

describe("Retry.make", () => {
  it.effect("decorates a client and keeps what else it is", () =>
    Effect.gen(function*() {
      const { client } = failing([server])
      const more = { ...client, ping: () => "pong" }
      const retrying = Retry.make(more)
      assert.strictEqual(retrying.provider, "test")
      assert.strictEqual((retrying as typeof more).ping(), "pong")
      assert.strictEqual(responseOf(yield* elapse(retrying.completion(request))).text, "Hello!")
    }))
})

describe("Retry.layerSchedule", () => {
  const through = (
    schedule: Schedule.Schedule<unknown, LLMError.LLMError>,
    failures: ReadonlyArray<LLMError.LLMError>
  ) =>
    Effect.gen(function*() {
      const { calls, client } = failing(failures)
      const layer = Layer.provide(Retry.layerSchedule(schedule), Layer.succeed(LLMClient.LLMClient, client))
      const exit = yield* elapse(Effect.provide(LLMClient.completion(request), layer))
      return { waits: differences(calls), exit }
    })

  it.effect("retries by the user's own schedule, which also decides about hints", () =>
    Effect.gen(function*() {
      const { exit, waits } = yield* through(Schedule.spaced("3 seconds").pipe(Schedule.upTo({ times: 2 })), [
        server,
        hinted("1 hour"),
        rateLimit
      ])
      assert.deepStrictEqual(waits, [3000, 3000])
      assert.strictEqual(errorOf(exit).attempts?.length, 2)
    }))

  it.effect("gives the schedule the failures as its input", () =>
    Effect.gen(function*() {
      const onlyLimits = Schedule.spaced("1 second").pipe(
        Schedule.while(({ input }: { readonly input: LLMError.LLMError }) => input._tag === "RateLimit")
      )
      assert.deepStrictEqual((yield* through(onlyLimits, [rateLimit, server])).waits, [1000])
    }))

  it.effect("is refused when it is not a schedule", () =>
    Effect.gen(function*() {
      const { exit } = yield* through("5 seconds" as unknown as Schedule.Schedule<unknown>, [])
      assert.include(
        String(Cause.squash((exit as Exit.Failure<unknown, unknown>).cause)),
        "Retry schedule: give a Schedule"
      )
    }))

  it.effect("keeps the first and the last 50 failures, and the count and the usage of all", () =>
    Effect.gen(function*() {
      const failures = Array.from(
        { length: 1000 },
        (_, index) => failure("Transient", "Truncated", { description: String(index), partial: spent(index) })
      )
      const all = (failures.length * (failures.length - 1)) / 2
      const response = responseOf((yield* through(Schedule.forever, failures)).exit)
      const kept = [0, ...Array.from({ length: 50 }, (_, index) => 950 + index)].map(String)
      assert.deepStrictEqual(response.attempts?.map(({ description }) => description), kept)
      // They survive JSON with what is said of those that are missing.
      const encoded = yield* Schema.encodeEffect(CompletionResponse.CompletionResponse)(response)
      const { attempts } = yield* Schema.decodeUnknownEffect(CompletionResponse.CompletionResponse)(
        JSON.parse(JSON.stringify(encoded))
      )
      const { count, usage } = LLMError.total(attempts!)
      assert.deepStrictEqual([count, usage.outputTokens, usage.inputTokens], [1000, all, 3000])
      // The last failure is the error itself.
      const error = errorOf((yield* through(Schedule.forever, [...failures, invalid])).exit)
      assert.strictEqual(error._tag, "ClientError")
      assert.deepStrictEqual(error.attempts?.map(({ description }) => description), [
        "0",
        ...Array.from({ length: 49 }, (_, index) => String(951 + index))
      ])
      assert.deepStrictEqual(LLMError.total(error.attempts!), { count, usage })
    }))

  it.effect("never sends a client error or a failure that is not retryable again", () =>
    Effect.gen(function*() {
      const eager = Schedule.recurs(10)
      assert.strictEqual((yield* through(eager, always(invalid))).waits.length, 0)
      const final = failure("Transient", "Server", { retryable: false })
      assert.strictEqual((yield* through(eager, [server, final, server])).waits.length, 1)
    }))
})

describe("as a layer", () => {
  class Left extends Context.Service<Left, LLMClient.Service>()("test/Left") {}
  class Right extends Context.Service<Right, LLMClient.Service>()("test/Right") {}
  const left = Layer.effect(Left, LLMClient.LLMClient)
  const right = Layer.effect(Right, LLMClient.LLMClient)

  const flaky = (provider: string) => {
    let calls = 0
    return Layer.succeed(
      LLMClient.LLMClient,
      clientOf(
        () =>
          Effect.suspend(() =>
            calls++ === 0 ? Effect.fail(server) : Effect.succeed(CompletionResponse.make({ ...answer, provider }))
          ),
        provider
      )
    )
  }

  const layers: ReadonlyArray<readonly [name: string, layer: ReturnType<typeof Retry.layer>]> = [
    ["layer", Retry.layer()],
    ["layer with a policy", Retry.layer(Retry.defaultPolicy)],
    ["layerSchedule", Retry.layerSchedule(Schedule.recurs(1))]
  ]
  it.effect.each(layers)(
    "one value of %s provided over two providers in one graph reaches both",
    ([, retry]) =>
      Effect.gen(function*() {
        const graph = Layer.mergeAll(
          left.pipe(Layer.provide(retry), Layer.provide(flaky("a"))),
          right.pipe(Layer.provide(retry), Layer.provide(flaky("b")))
        )
        const both = Effect.gen(function*() {
          const a = yield* (yield* Left).completion(request)
          const b = yield* (yield* Right).completion(request)
          return [a, b].map(({ attempts, provider }) => [provider, attempts?.length])
        })
        const exit = yield* elapse(Effect.provide(both, graph))
        assert.deepStrictEqual(exit, Exit.succeed([["a", 1], ["b", 1]]))
      })
  )

  it.effect("one composed layer with two consumers is built once", () =>
    Effect.gen(function*() {
      const built: Array<string> = []
      const provider = Layer.effect(
        LLMClient.LLMClient,
        Effect.sync(() => {
          built.push("provider")
          return failing([]).client
        })
      )
      const spy = LLMClient.middleware(() => {
        built.push("middleware")
        return {}
      })
      const composed = spy.pipe(Layer.provide(Retry.layer()), Layer.provide(provider))
      const graph = Layer.mergeAll(Layer.provide(left, composed), Layer.provide(right, composed))
      const same = Effect.gen(function*() {
        return (yield* Left) === (yield* Right)
      })
      assert.isTrue(yield* Effect.provide(same, graph))
      assert.deepStrictEqual(built, ["provider", "middleware"])
    }))

  it.effect("keeps the provider's name", () =>
    Effect.gen(function*() {
      const client = yield* LLMClient.LLMClient
      assert.strictEqual(client.provider, "a")
    }).pipe(Effect.provide(Layer.provide(Retry.layer(), flaky("a")))))
})

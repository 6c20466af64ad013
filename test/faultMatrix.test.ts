/**
 * Every middleware, alone and in the recommended stack, against every failure, streamed or not, and with interruption at
 * every step: the calls that are made, the time they take, and what the caller sees.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Budget from "../src/Budget.ts"
import * as CircuitBreaker from "../src/CircuitBreaker.ts"
import * as Completion from "../src/Completion.ts"
import type { CompletionPart } from "../src/CompletionPart.ts"
import * as CompletionResponse from "../src/CompletionResponse.ts"
import * as Fallback from "../src/Fallback.ts"
import { LLMClient, type Service } from "../src/LLMClient.ts"
import * as LLMError from "../src/LLMError.ts"
import * as ResponseCache from "../src/ResponseCache.ts"
import * as Retry from "../src/Retry.ts"
import * as Router from "../src/Router.ts"
import * as Throttle from "../src/Throttle.ts"
import * as TokenUsage from "../src/TokenUsage.ts"
import { inThread } from "./clients.ts"
import { runs } from "./effort.ts"

// ---------------------------------------------------------------------------------------------------------------------
// A provider that does as it is told
// ---------------------------------------------------------------------------------------------------------------------

const fail = (tag: LLMError.LLMError["_tag"], reason: string, more: object = {}) =>
  LLMError.make(tag, {
    provider: "main",
    model: "m",
    description: "told to",
    status: 500,
    reason: reason as never,
    ...more
  })

const faults = {
  rateLimit: fail("RateLimit", "Requests"),
  hinted: fail("RateLimit", "Requests", { retryAfter: Duration.seconds(2) }),
  tooLong: fail("RateLimit", "Tokens", { retryAfter: Duration.minutes(3) }),
  server: fail("Transient", "Server"),
  overloaded: fail("Transient", "Overloaded"),
  malformed: fail("Transient", "Malformed"),
  final: fail("Transient", "Server", { retryable: false }),
  empty: fail("EmptyResponse", "NoContent"),
  invalid: fail("ClientError", "InvalidRequest"),
  quota: fail("ClientError", "Quota")
}
type Fault = keyof typeof faults

/** What a call does: an answer takes a second, and a stream one more from its first part to its end. */
type Act = Fault | "answer" | "silence" | { readonly midway: Fault | "silence" }

const usage = TokenUsage.make({ inputTokens: 10, outputTokens: 2 })

const answerOf = (provider: string) =>
  CompletionResponse.make({
    choice: [{ _tag: "Text", text: `${provider} answers` }],
    finishReason: { _tag: "Stop" },
    usage,
    provider
  })

const told = (name: string, acts: ReadonlyArray<Act>) => {
  const state = { calls: 0, running: 0, acts }
  const next = Effect.sync(() => {
    state.running++
    return state.acts[Math.min(state.calls++, state.acts.length - 1)]!
  })
  const ended = Effect.sync(() => {
    state.running--
  })
  const opened = (act: Act): Effect.Effect<void, LLMError.LLMError> =>
    act === "silence"
      ? Effect.never
      : Effect.andThen(
        Effect.sleep("1 second"),
        typeof act === "string" && act !== "answer" ? Effect.fail(faults[act]) : Effect.void
      )
  const rest = (act: Act): Stream.Stream<CompletionPart, LLMError.LLMError> => {
    const response = answerOf(name)
    const parts: ReadonlyArray<CompletionPart> = [
      { _tag: "TextDelta", index: 0, text: " answers" },
      { _tag: "Finish", response }
    ]
    if (typeof act === "string") return Stream.fromIterable(parts)
    return act.midway === "silence" ? Stream.never : Stream.fail(faults[act.midway])
  }
  const service: Service = {
    provider: name,
    completion: () => Effect.acquireUseRelease(next, (act) => Effect.as(opened(act), answerOf(name)), () => ended),
    stream: () =>
      Stream.unwrap(Effect.map(Effect.acquireRelease(next, () => ended), (act) =>
        Stream.concat(
          Stream.fromEffect(Effect.as(opened(act), { _tag: "TextDelta", index: 0, text: name } as const)),
          Stream.unwrap(Effect.as(Effect.sleep("1 second"), rest(act)))
        )))
  }
  return { state, layer: Layer.succeed(LLMClient, service) }
}

type Told = ReturnType<typeof told>

// ---------------------------------------------------------------------------------------------------------------------
// What stands around it
// ---------------------------------------------------------------------------------------------------------------------

type Provided = Layer.Layer<LLMClient>

const below = (layer: Provided) => (middleware: Layer.Layer<LLMClient, never, LLMClient>) =>
  Layer.provide(middleware, layer)

// One call at a time, so that a place that is lost in the queue stops everything after it.
const throttle = Throttle.layer({ requestsPerMinute: 1000, concurrency: 1 })
const breaker = CircuitBreaker.layer({ failures: 5, openDuration: "30 seconds" })
const budget = Budget.layer({ tokens: 1_000_000 })

const middlewares = {
  nothing: (main) => main,
  Retry: (main) => below(main)(Retry.layer()),
  Fallback: (main, other) => Fallback.layer([main, other]),
  Router: (main, other) => Router.layer({ m: main, o: other }),
  Throttle: (main) => below(main)(throttle),
  CircuitBreaker: (main) => below(main)(breaker),
  ResponseCache: (main) => below(main)(ResponseCache.layer()),
  Budget: (main) => below(main)(budget),
  stack: (main, other) =>
    Fallback.layer([
      Retry.layer().pipe(
        Layer.provide(breaker),
        Layer.provide(throttle),
        Layer.provide(budget),
        Layer.provide(main)
      ),
      other
    ]).pipe((layer) => below(layer)(ResponseCache.layer()))
} satisfies Record<string, (main: Provided, other: Provided) => Provided>
type Name = keyof typeof middlewares
const names = Object.keys(middlewares) as ReadonlyArray<Name>

const request = Completion.make({ model: "m", prompt: "Hello", maxTokens: 10 })

const modes = ["completion", "stream"] as const
type Mode = (typeof modes)[number]

interface Seen {
  /** The answer's provider, the error's tag and reason, or why there is neither. */
  readonly outcome: string
  /** The texts of a stream's deltas, together. */
  readonly text: string
  readonly finishes: number
}

/** A call, and what its caller gets to see. */
const call = (client: Service, mode: Mode) => {
  let text = ""
  let finishes = 0
  const run: Effect.Effect<CompletionResponse.CompletionResponse, LLMError.LLMError> = mode === "completion"
    ? client.completion(request)
    : Effect.map(
      Stream.runFold(client.stream(request), () => answerOf("none"), (last, part) => {
        if (part._tag === "TextDelta") text += part.text
        if (part._tag !== "Finish") return last
        finishes++
        return part.response
      }),
      (last) => last
    )
  const see = (exit: Exit.Exit<CompletionResponse.CompletionResponse, LLMError.LLMError>): Seen => ({
    outcome: Exit.isSuccess(exit)
      ? exit.value.provider
      : Option.match(Cause.findErrorOption(exit.cause), {
        onNone: () => Exit.hasInterrupts(exit) ? "interrupted" : "died",
        onSome: (error) => `${error._tag} ${error.reason}`
      }),
    text,
    finishes
  })
  return { run, see }
}

const build = Effect.fnUntraced(function*(name: Name, acts: ReadonlyArray<Act>) {
  const main = told("main", acts)
  const other = told("other", ["answer"])
  const context = yield* inThread(Layer.build(middlewares[name](main.layer, other.layer)))
  return { main, other, client: Context.get(context, LLMClient) }
})

// The key of a cache is a digest, which is made in real time; the test's clock stands still until it is there.
const arrived = (fiber: Fiber.Fiber<unknown, unknown>, main: Told, before: number) =>
  Effect.promise(async () => {
    while (main.state.calls === before && fiber.pollUnsafe() === undefined) await new Promise(setImmediate)
  })

/** Runs a call to its end on the test's clock; where a cache stands before a provider, that is `cached`. */
const settled = Effect.fnUntraced(function*(client: Service, mode: Mode, cached?: Told) {
  const { run, see } = call(client, mode)
  const before = cached?.state.calls ?? 0
  const began = yield* Clock.currentTimeMillis
  let ended = began
  const fiber = yield* Effect.forkChild(
    Effect.onExit(run, () => Effect.map(Clock.currentTimeMillis, (now) => ended = now)),
    { startImmediately: true }
  )
  if (cached !== undefined) yield* arrived(fiber, cached, before)
  while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust("250 millis")
  return { seconds: (ended - began) / 1000, seen: see(yield* Fiber.await(fiber)) }
})

// The jitter in the middle: backoffs as they are, hints 5 % longer.
const middle = Effect.provideService(Random.Random, { nextDoubleUnsafe: () => 0.5, nextIntUnsafe: () => 0 })

// ---------------------------------------------------------------------------------------------------------------------
// The table
// ---------------------------------------------------------------------------------------------------------------------

/** Calls of the provider, calls of the other one, seconds of a completion, and whose answer it is, if it is one. */
type Row = readonly [calls: number, others: number, seconds: number, answer?: "main" | "other"]

/** What a provider does that fails once, and what one does that always fails. */
type Rows = Readonly<Record<Fault, readonly [once: Row, always: Row]>>

const same = (row: Row): readonly [Row, Row] => [row, row]
const each = (row: (fault: Fault) => readonly [Row, Row]): Rows =>
  Object.fromEntries((Object.keys(faults) as Array<Fault>).map((fault) => [fault, row(fault)])) as Record<
    Fault,
    readonly [Row, Row]
  >

const passedOn = each(() => same([1, 0, 1]))

const table: Readonly<Record<Name, Rows>> = {
  nothing: passedOn,
  Router: passedOn,
  Throttle: passedOn,
  CircuitBreaker: passedOn,
  ResponseCache: passedOn,
  Budget: passedOn,
  Retry: {
    rateLimit: [[2, 0, 1 + 5 + 1, "main"], [8, 0, 8 + 5 + 10 + 20 + 40 + 60 + 60 + 60]],
    hinted: [[2, 0, 1 + 2.1 + 1, "main"], [8, 0, 8 + 7 * 2.1]],
    tooLong: same([1, 0, 1]),
    server: [[2, 0, 1 + 0.25 + 1, "main"], [4, 0, 4 + 0.25 + 0.5 + 1]],
    overloaded: [[2, 0, 1 + 1 + 1, "main"], [6, 0, 6 + 1 + 2 + 4 + 8 + 16]],
    malformed: [[2, 0, 1 + 0.25 + 1, "main"], [2, 0, 1 + 0.25 + 1]],
    final: same([1, 0, 1]),
    empty: [[2, 0, 1 + 0.25 + 1, "main"], [4, 0, 4 + 0.25 + 0.5 + 1]],
    invalid: same([1, 0, 1]),
    quota: same([1, 0, 1])
  },
  Fallback: { ...each(() => same([1, 1, 1 + 1, "other"])), invalid: same([1, 0, 1]) },
  // With another provider ready, waits of 10 seconds in all are begun: what would take longer moves on at once.
  stack: {
    rateLimit: [[2, 0, 1 + 5 + 1, "main"], [2, 1, 2 + 5 + 1, "other"]],
    hinted: [[2, 0, 1 + 2.1 + 1, "main"], [5, 1, 5 + 4 * 2.1 + 1, "other"]],
    tooLong: same([1, 1, 1 + 1, "other"]),
    server: [[2, 0, 1 + 0.25 + 1, "main"], [4, 1, 4 + 0.25 + 0.5 + 1 + 1, "other"]],
    overloaded: [[2, 0, 1 + 1 + 1, "main"], [4, 1, 4 + 1 + 2 + 4 + 1, "other"]],
    malformed: [[2, 0, 1 + 0.25 + 1, "main"], [2, 1, 1 + 0.25 + 1 + 1, "other"]],
    final: same([1, 1, 1 + 1, "other"]),
    empty: [[2, 0, 1 + 0.25 + 1, "main"], [4, 1, 4 + 0.25 + 0.5 + 1 + 1, "other"]],
    invalid: same([1, 0, 1]),
    quota: same([1, 1, 1 + 1, "other"])
  }
}

const errorOf = (fault: Fault): string => `${faults[fault]._tag} ${faults[fault].reason}`

for (const name of names) {
  describe(`faults through ${name}`, () => {
    for (const mode of modes) {
      for (const fault of Object.keys(faults) as Array<Fault>) {
        for (const [index, often] of (["once", "always"] as const).entries()) {
          const [calls, others, seconds, answer] = table[name][fault][index as 0 | 1]
          it.effect(`${mode}, ${fault} ${often}: ${answer ?? "the error"} after ${calls} + ${others} calls`, () =>
            Effect.gen(function*() {
              const { client, main, other } = yield* build(name, often === "once" ? [fault, "answer"] : [fault])
              const result = yield* settled(client, mode, main)
              assert.deepStrictEqual(
                { calls: main.state.calls, others: other.state.calls, ...result },
                {
                  calls,
                  others,
                  // A stream takes a second from its first part to its last.
                  seconds: Math.round((mode === "stream" && answer !== undefined ? seconds + 1 : seconds) * 1000) /
                    1000,
                  seen: {
                    outcome: answer ?? errorOf(fault),
                    text: mode === "stream" && answer !== undefined ? `${answer} answers` : "",
                    finishes: mode === "stream" && answer !== undefined ? 1 : 0
                  }
                }
              )
              assert.strictEqual(main.state.running + other.state.running, 0)
            }).pipe(middle))
        }
      }

      it.effect(`${mode}, no failure: one call for one answer`, () =>
        Effect.gen(function*() {
          const { client, main, other } = yield* build(name, ["answer"])
          const first = yield* settled(client, mode, main)
          assert.strictEqual(first.seen.outcome, "main")
          assert.strictEqual(first.seconds, mode === "stream" ? 2 : 1)
          yield* settled(client, mode, main)
          const cached = name === "ResponseCache" || name === "stack"
          assert.deepStrictEqual([main.state.calls, other.state.calls], [cached ? 1 : 2, 0])
        }))
    }

    for (const fault of Object.keys(faults) as Array<Fault>) {
      it.effect(`stream, ${fault} after the first part: the error at once, and nothing twice`, () =>
        Effect.gen(function*() {
          const { client, main, other } = yield* build(name, [{ midway: fault }, "answer"])
          const result = yield* settled(client, "stream", main)
          assert.deepStrictEqual(
            { calls: main.state.calls, others: other.state.calls, ...result },
            { calls: 1, others: 0, seconds: 2, seen: { outcome: errorOf(fault), text: "main", finishes: 0 } }
          )
        }).pipe(middle))
    }
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// At the limits
// ---------------------------------------------------------------------------------------------------------------------

/** Calls one after the other through the stack, with these limits: who answers or what fails, and after which time. */
interface Limited {
  readonly throttle?: Throttle.Options
  readonly budget?: Budget.Options
  readonly breaker?: CircuitBreaker.Options
  readonly fallback?: Fallback.Options
  readonly main: ReadonlyArray<Act>
  readonly other?: ReadonlyArray<Act>
  /** A stream takes a second longer to its answer, unless it says otherwise. */
  readonly calls: ReadonlyArray<readonly [outcome: string, seconds: number, streamed?: number]>
  readonly asked: readonly [main: number, other: number]
}

const limited: Readonly<Record<string, Limited>> = {
  "when every provider fails, the last error lists all failures": {
    main: ["server"],
    other: ["quota"],
    calls: [["ClientError Quota", 4 + 0.25 + 0.5 + 1 + 1]],
    asked: [4, 1]
  },
  "a failure that no other provider can help with ends the call": {
    main: ["server", "invalid"],
    calls: [["ClientError InvalidRequest", 1 + 0.25 + 1]],
    asked: [2, 0]
  },
  "a budget that is met refuses at once, and no other provider is asked": {
    budget: { tokens: 30 },
    main: ["answer"],
    calls: [["main", 1], ["main", 1], ["ClientError Budget", 0]],
    asked: [2, 0]
  },
  "a limit of requests is waited for no longer than another provider takes": {
    throttle: { requestsPerMinute: 2 },
    main: ["answer"],
    calls: [["main", 1], ["main", 1], ["other", 1]],
    asked: [2, 1]
  },
  "a limit of requests is waited for where patience has no end": {
    throttle: { requestsPerMinute: 2 },
    fallback: { patience: false },
    main: ["answer"],
    calls: [["main", 1], ["main", 1], ["main", 58 + 1, 56 + 2]],
    asked: [3, 0]
  },
  "what would take too long to wait for goes to the other provider": {
    throttle: { requestsPerMinute: 2, maxWait: "10 seconds" },
    main: ["answer"],
    calls: [["main", 1], ["main", 1], ["other", 1]],
    asked: [2, 1]
  },
  "the call that opens a circuit moves on at once, and so does the next one": {
    breaker: { failures: 2, maxRetryAfter: 0 },
    main: ["overloaded"],
    calls: [["other", 1 + 1 + 1 + 1], ["other", 1]],
    asked: [2, 2]
  }
}

describe("at the limits of the stack", () => {
  for (const mode of modes) {
    for (const [title, row] of Object.entries(limited)) {
      it.effect(`${mode}: ${title}`, () =>
        Effect.gen(function*() {
          const main = told("main", row.main)
          const other = told("other", row.other ?? ["answer"])
          const context = yield* Layer.build(
            Fallback.layer([
              Retry.layer().pipe(
                Layer.provide(row.breaker === undefined ? breaker : CircuitBreaker.layer(row.breaker)),
                Layer.provide(Throttle.layer(row.throttle ?? { concurrency: 1 })),
                Layer.provide(Budget.layer(row.budget ?? { tokens: 1_000_000 })),
                Layer.provide(main.layer)
              ),
              other.layer
            ], row.fallback)
          )
          const client = Context.get(context, LLMClient)
          const seen: Array<readonly [string, number]> = []
          for (const _ of row.calls) {
            const { seconds, seen: { outcome } } = yield* settled(client, mode)
            seen.push([outcome, seconds])
          }
          const expected = row.calls.map(([outcome, seconds, streamed]) => {
            const answered = outcome === "main" || outcome === "other"
            return [outcome, mode === "completion" ? seconds : streamed ?? seconds + (answered ? 1 : 0)] as const
          })
          assert.deepStrictEqual(seen, expected)
          assert.deepStrictEqual([main.state.calls, other.state.calls], row.asked)
        }).pipe(middle))
    }
  }

  it.effect("a reader that stands still keeps what it has taken, and gives it back when it goes", () =>
    Effect.gen(function*() {
      const { client, main } = yield* build("Throttle", ["answer"])
      const reader = yield* Effect.forkChild(Stream.runForEach(client.stream(request), () => Effect.never))
      yield* arrived(reader, main, 0)
      yield* TestClock.adjust("1 minute")
      const next = yield* Effect.forkChild(client.completion(Completion.make({ model: "m", prompt: "Next" })))
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(next.pollUnsafe())
      yield* Fiber.interrupt(reader)
      yield* arrived(next, main, 1)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(next)).provider, "main")
    }).pipe(middle))
})

// ---------------------------------------------------------------------------------------------------------------------
// Interruption
// ---------------------------------------------------------------------------------------------------------------------

const scripts: Readonly<Record<string, ReadonlyArray<Act>>> = {
  "an answer": ["answer"],
  "retries": ["overloaded", "hinted", "empty", "answer"],
  "silence": ["silence"],
  "silence after the first part": [{ midway: "silence" }]
}

/** After an interruption: nothing runs, nothing is called any more, and the next call gets its answer. */
const recovers = Effect.fnUntraced(function*(client: Service, main: Told, other: Told, mode: Mode) {
  assert.strictEqual(main.state.running + other.state.running, 0, "nothing runs")
  const calls = main.state.calls + other.state.calls
  yield* TestClock.adjust("10 minutes")
  assert.strictEqual(main.state.calls + other.state.calls, calls, "nothing is called any more")
  main.state.acts = ["answer"]
  const { seen } = yield* settled(client, mode, main)
  assert.strictEqual(seen.outcome, "main")
})

describe("interruption at every step", () => {
  for (const name of names) {
    for (const mode of modes) {
      for (const [title, acts] of Object.entries(scripts)) {
        it.effect(`${name}, ${mode}, ${title}`, () =>
          Effect.gen(function*() {
            // Steps of a quarter of a second, or in a sample of half a second, go through every wait and every call.
            for (let step = -1; step < 60; step++) {
              const { client, main, other } = yield* build(name, acts)
              const { run, see } = call(client, mode)
              const fiber = yield* Effect.forkChild(run, { startImmediately: true })
              if (step >= 0) {
                yield* arrived(fiber, main, 0)
                yield* TestClock.adjust(Duration.millis(step * runs(500, 250)))
              }
              const done = fiber.pollUnsafe() !== undefined
              yield* Fiber.interrupt(fiber)
              const { outcome } = see(yield* Fiber.await(fiber))
              assert.strictEqual(outcome === "interrupted", !done)
              yield* recovers(client, main, other, mode)
              if (done) break
            }
          }).pipe(Effect.scoped, middle))
      }
    }

    it.effect(`${name}: a reader that leaves a stream after any of its parts`, () =>
      Effect.gen(function*() {
        for (let parts = 0; parts <= 3; parts++) {
          const { client, main, other } = yield* build(name, ["answer"])
          const fiber = yield* Effect.forkChild(Stream.runCollect(Stream.take(client.stream(request), parts)))
          yield* arrived(fiber, main, 0)
          yield* TestClock.adjust("5 seconds")
          assert.lengthOf(yield* Fiber.join(fiber), parts)
          yield* recovers(client, main, other, "stream")
        }
      }).pipe(Effect.scoped, middle))

    it.effect(`${name}: of callers at once, one that leaves takes nothing from the others`, () =>
      Effect.gen(function*() {
        for (const mode of modes) {
          for (let leaving = 0; leaving < 3; leaving++) {
            const { client, main, other } = yield* build(name, ["answer"])
            const calls = [0, 1, 2].map(() => call(client, mode))
            const fibers = yield* Effect.forEach(calls, ({ run }) => Effect.forkChild(run, { startImmediately: true }))
            yield* arrived(fibers[0]!, main, 0)
            yield* TestClock.adjust("500 millis")
            yield* Fiber.interrupt(fibers[leaving]!)
            for (const [index, fiber] of fibers.entries()) {
              while (fiber.pollUnsafe() === undefined) {
                yield* Effect.promise(() => new Promise(setImmediate))
                yield* TestClock.adjust("1 second")
              }
              const { outcome } = calls[index]!.see(yield* Fiber.await(fiber))
              assert.strictEqual(outcome, index === leaving ? "interrupted" : "main")
            }
            yield* recovers(client, main, other, mode)
          }
        }
      }).pipe(Effect.scoped, middle))
  }
})

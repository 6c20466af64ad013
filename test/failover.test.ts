/**
 * What a caller sees of a provider that fails, with the recommended stack and its defaults: how often the failing member
 * is asked, after how many seconds the call ends, and with what. The rows are those of `npm run failover`.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import {
  CircuitBreaker,
  Completion,
  CompletionPart,
  CompletionResponse,
  Fallback,
  LLMClient,
  LLMError,
  Message,
  Retry,
  Throttle,
  TokenUsage
} from "../src/index.ts"

const request = Completion.make({ prompt: "Hello" })

const answerOf = (provider: string, text = "All well.") =>
  CompletionResponse.make({
    choice: [Message.text(text)],
    finishReason: { _tag: "Stop" },
    usage: TokenUsage.make({ inputTokens: 3, outputTokens: 2 }),
    provider,
    model: "m"
  })

const failure = (tag: LLMError.LLMError["_tag"], reason: string, more: object = {}) =>
  LLMError.make(tag, { provider: "first", model: "m", reason: reason as never, description: "", ...more })

type Outcome = Effect.Effect<CompletionResponse.CompletionResponse, LLMError.LLMError>

/** A provider by hand, which keeps the times of its calls. */
const member = (provider: string, outcome: (call: number, completion: Completion.Completion) => Outcome) => {
  const calls: Array<number> = []
  const count = { underWay: 0, most: 0 }
  const called = (completion: Completion.Completion): Outcome =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      count.most = Math.max(count.most, ++count.underWay)
      return Effect.ensuring(outcome(calls.push(now), completion), Effect.sync(() => count.underWay--))
    })
  const client: LLMClient.Service = {
    provider,
    model: "m",
    completion: called,
    stream: (completion) =>
      Stream.unwrap(Effect.match(called(completion), {
        onSuccess: (response) => Stream.fromIterable(CompletionPart.fromResponse(response)),
        // What had come of a broken stream came before it broke; its start comes with the first content.
        onFailure: (error) =>
          Stream.concat(
            Stream.fromIterable(
              error.partial === undefined || error.partial.choice.length === 0
                ? []
                : CompletionPart.fromResponse(error.partial).slice(0, -1)
            ),
            Stream.fail(error)
          )
      }))
  }
  return { calls, client, count }
}

type FakeMember = ReturnType<typeof member>

const stackOf = ({ client }: FakeMember) =>
  LLMClient.compose(Retry.layer(), CircuitBreaker.layer(), Layer.succeed(LLMClient.LLMClient, client))

const build = (layer: Layer.Layer<LLMClient.LLMClient>): Effect.Effect<LLMClient.Service, never, Scope.Scope> =>
  Effect.map(Layer.build(layer), (context) => Context.get(context, LLMClient.LLMClient))

/** The recommended stack over the given members. */
const route = (
  [first, ...others]: readonly [FakeMember, ...ReadonlyArray<FakeMember>],
  options?: Fallback.Options
): Effect.Effect<LLMClient.Service, never, Scope.Scope> =>
  build(Fallback.layer([stackOf(first), ...others.map(stackOf)], options))

const ways = ["completion", "stream"] as const
type Way = typeof ways[number]

const call = (client: LLMClient.Service, way: Way): Outcome =>
  way === "completion"
    ? client.completion(request)
    : Effect.flatMap(Stream.runCollect(client.stream(request)), (parts) => {
      const last = parts.at(-1)
      return last?._tag === "Finish" ? Effect.succeed(last.response) : Effect.die("a stream without its end")
    })

/** What the caller sees, and after how many seconds. */
const seen = Effect.fnUntraced(function*(client: LLMClient.Service, way: Way) {
  const start = yield* Clock.currentTimeMillis
  const fiber = yield* Effect.forkChild(Effect.all([Effect.result(call(client, way)), Clock.currentTimeMillis]))
  yield* TestClock.adjust("2 hours")
  const [result, end] = yield* Fiber.join(fiber)
  return {
    seconds: (end - start) / 1000,
    answer: Result.getOrUndefined(result),
    error: Result.isFailure(result) ? result.failure : undefined
  }
})

/** Every jitter as short as it can be, as long, and between. */
const jitters = [0, 0.5, 1 - 2 ** -53]

interface Case {
  readonly way: Way
  readonly jitter: number
}

/** A row, for streams and whole answers, whatever the jitter. */
const row = (name: string, test: (context: Case) => Effect.Effect<unknown, unknown, Scope.Scope>) =>
  it.effect(
    name,
    () =>
      Effect.forEach(ways, (way) =>
        Effect.forEach(jitters, (jitter) =>
          Effect.scoped(test({ way, jitter })).pipe(
            Effect.provideService(Random.Random, { nextDoubleUnsafe: () => jitter, nextIntUnsafe: () => 0 })
          )))
  )

const always = (error: LLMError.LLMError) => member("first", () => Effect.fail(error))
const well = () => member("second", () => Effect.succeed(answerOf("second")))

/** Answers after a time, unless that is longer than the first byte may take: the transport's clock, by hand. */
const slow = (time: Duration.Input) =>
  member(
    "first",
    () =>
      Effect.flatMap(LLMClient.Patience, (patience) =>
        Effect.timeoutOrElse(Effect.delay(Effect.succeed(answerOf("first")), time), {
          duration: Math.min(patience?.firstByte ?? Number.POSITIVE_INFINITY, 300_000),
          orElse: () =>
            Effect.fail(failure("Transient", "Timeout"))
        }))
  )

describe("failover", () => {
  row(
    "1: after rate limits without a hint the fallback answers within 15 s, after at most 4 calls",
    ({ way }) =>
      Effect.gen(function*() {
        const first = always(failure("RateLimit", "Unknown", { status: 429 }))
        const { answer, seconds } = yield* seen(yield* route([first, well()]), way)
        assert.strictEqual(answer?.provider, "second")
        assert.isAtMost(seconds, 15)
        assert.isAtMost(first.calls.length, 4)
        assert.strictEqual(answer?.attempts?.length, first.calls.length)
      })
  )

  row(
    "2: a member that never answers is asked once, and the fallback answers one first byte later",
    ({ way }) =>
      Effect.gen(function*() {
        const first = slow(Duration.infinity)
        const { answer, seconds } = yield* seen(yield* route([first, well()]), way)
        assert.strictEqual(answer?.provider, "second")
        assert.isAtMost(seconds, 12.1)
        assert.strictEqual(first.calls.length, 1)
      })
  )

  row("3: a first token after 20 s is not waited for, unless the options say so", ({ way }) =>
    Effect.gen(function*() {
      const first = slow("20 seconds")
      const { answer, seconds } = yield* seen(yield* route([first, well()]), way)
      assert.strictEqual(answer?.provider, "second")
      assert.isAtMost(seconds, 15)
      const patient = yield* seen(
        yield* route([slow("20 seconds"), well()], { patience: { firstByte: "30 seconds" } }),
        way
      )
      assert.deepStrictEqual([patient.answer?.provider, patient.seconds], ["first", 20])
      const full = yield* seen(yield* route([slow("2 minutes"), well()], { patience: false }), way)
      assert.deepStrictEqual([full.answer?.provider, full.seconds], ["first", 120])
    }))

  row(
    "4: an answer that breaks in the middle is whole from a retry or the fallback; a stream ends with it",
    ({ way }) =>
      Effect.gen(function*() {
        const partial = answerOf("first", "All")
        for (const [reason, calls] of [["Truncated", 4], ["Server", 4], ["Malformed", 2], ["Timeout", 1]] as const) {
          const broken = failure("Transient", reason, { partial })
          const first = always(broken)
          const { answer, error, seconds } = yield* seen(yield* route([first, well()]), way)
          if (way === "stream") {
            assert.deepStrictEqual([error?.reason, error?.partial?.text, first.calls.length], [reason, "All", 1])
            continue
          }
          assert.deepStrictEqual([answer?.provider, answer?.text], ["second", "All well."])
          assert.strictEqual(first.calls.length, calls, reason)
          assert.isAtMost(seconds, 10)
          // From a retry, where that helps.
          if (reason === "Timeout") continue
          const once = member(
            "first",
            (call) => call === 1 ? Effect.fail(broken) : Effect.succeed(answerOf("first"))
          )
          const retried = yield* seen(yield* route([once, well()]), way)
          assert.deepStrictEqual([retried.answer?.provider, retried.answer?.text], ["first", "All well."])
        }
      })
  )

  row("5: after 503 the fallback answers within 10 s", ({ way }) =>
    Effect.gen(function*() {
      const first = always(failure("Transient", "Overloaded", { status: 503, code: "server_error" }))
      const { answer, seconds } = yield* seen(yield* route([first, well()]), way)
      assert.strictEqual(answer?.provider, "second")
      assert.isAtMost(seconds, 10)
      assert.isAtMost(first.calls.length, 6)
    }))

  row(
    "6: a member that is down for 60 s is back within 25 s, and is tried by one call at a time",
    ({ way }) =>
      Effect.gen(function*() {
        const begin = yield* Clock.currentTimeMillis
        const down = 60_000
        const first = member("first", () =>
          Effect.flatMap(Clock.currentTimeMillis, (now) =>
            now - begin < down
              ? Effect.delay(Effect.fail(failure("Transient", "Overloaded", { status: 529 })), "100 millis")
              : Effect.delay(Effect.succeed(answerOf("first")), "100 millis")))
        const client = yield* route([first, well()])
        const answers: Array<readonly [at: number, provider: string | undefined]> = []
        const fibers: Array<Fiber.Fiber<unknown>> = []
        for (let at = 0; at < 100_000; at += 4_000) {
          fibers.push(
            yield* Effect.forkChild(
              Effect.map(Effect.result(call(client, way)), (result) => {
                answers.push([at, Result.getOrUndefined(result)?.provider])
              }),
              { startImmediately: true }
            )
          )
          yield* TestClock.adjust("4 seconds")
        }
        yield* TestClock.adjust("1 minute")
        yield* Effect.forEach(fibers, Fiber.await)
        assert.deepStrictEqual(answers.filter(([, provider]) => provider === undefined), [], "served throughout")
        assert.lengthOf(answers, 25)
        assert.deepStrictEqual(answers.filter(([at, provider]) => at >= down + 25_000 && provider !== "first"), [])
        // Once the circuit is open, no two calls try it together.
        const probes = first.calls.map((at) => at - begin).filter((at) => at > 30_000 && at < down)
        assert.isTrue(probes.every((at, index) => index === 0 || at - probes[index - 1]! >= 4_000), `${probes}`)
      })
  )

  row("7: the call that opens a circuit moves on at once", ({ way }) =>
    Effect.gen(function*() {
      const first = always(failure("Transient", "Overloaded", { status: 529 }))
      const client = yield* route([first, well()])
      let last: readonly [calls: number, sinceLastCall: number] = [0, 0]
      for (let turn = 0; turn < 20; turn++) {
        const before = first.calls.length
        const start = yield* Clock.currentTimeMillis
        const fiber = yield* Effect.forkChild(Effect.andThen(call(client, way), Clock.currentTimeMillis))
        for (let second = 0; second < 12; second++) yield* TestClock.adjust("1 second")
        const end = yield* Fiber.join(fiber)
        if (first.calls.length === before) {
          assert.strictEqual(end, start, "an open circuit is not waited for")
          assert.isAbove(last[0], 0)
          assert.strictEqual(last[1], 0, "milliseconds between the failure that opened it and the end of its call")
          return
        }
        last = [first.calls.length - before, end - first.calls.at(-1)!]
        yield* Effect.void
      }
      assert.fail("the circuit never opened")
    }))

  row(
    "8: a hint of 45 s is waited for alone, and with a fallback ready not at all",
    ({ way }) =>
      Effect.gen(function*() {
        const hinted = failure("RateLimit", "Requests", { status: 429, retryAfter: Duration.seconds(45) })
        const first = always(hinted)
        const { answer, seconds } = yield* seen(yield* route([first, well()]), way)
        assert.deepStrictEqual([answer?.provider, seconds, first.calls.length], ["second", 0, 1])
        const alone = member("first", (call) => call === 1 ? Effect.fail(hinted) : Effect.succeed(answerOf("first")))
        const waited = yield* seen(yield* route([alone]), way)
        assert.strictEqual(waited.answer?.provider, "first")
        assert.isAtLeast(waited.seconds, 45)
        assert.isAtMost(waited.seconds, 49.6)
      })
  )

  row(
    "9: where the deadline comes before the next try, the call fails at once with the failure itself",
    ({ way }) =>
      Effect.gen(function*() {
        const limited = failure("RateLimit", "Requests", { status: 429, retryAfter: Duration.seconds(45) })
        const { error, seconds } = yield* seen(yield* route([always(limited)], { deadline: "40 seconds" }), way)
        assert.deepStrictEqual([error?._tag, error?.status, seconds], ["RateLimit", 429, 0])
        // The last member of several keeps the deadline as well.
        const both = yield* seen(
          yield* route([always(failure("ClientError", "Quota")), always(limited)], { deadline: "40 seconds" }),
          way
        )
        assert.deepStrictEqual([both.error?._tag, both.seconds, both.error?.attempts?.length], ["RateLimit", 0, 1])
        // So does a throttle, whose place would come a minute later.
        const first = member("first", () => Effect.succeed(answerOf("first")))
        const throttled = yield* build(Fallback.layer([
          LLMClient.compose(
            Retry.layer(),
            Throttle.layer({ requestsPerMinute: 1 }),
            Layer.succeed(LLMClient.LLMClient, first.client)
          )
        ], { deadline: "40 seconds" }))
        assert.strictEqual((yield* Effect.orDie(call(throttled, way))).provider, "first")
        const refused = yield* seen(throttled, way)
        assert.deepStrictEqual([refused.error?.code, refused.seconds, first.calls.length], ["throttled", 0, 1])
      })
  )

  row(
    "10: what a content filter refused is asked of the next one, or not, as `when` says",
    ({ way }) =>
      Effect.gen(function*() {
        const filtered = failure("ClientError", "ContentFilter")
        const moved = yield* seen(yield* route([always(filtered), well()]), way)
        assert.strictEqual(moved.answer?.provider, "second")
        const kept = yield* seen(yield* route([always(filtered), well()], { when: Fallback.notContentFilter }), way)
        assert.deepStrictEqual([kept.error?.reason, kept.error?.attempts], ["ContentFilter", undefined])
        const other = failure("ClientError", "Quota")
        const quota = yield* seen(yield* route([always(other), well()], { when: Fallback.notContentFilter }), way)
        assert.strictEqual(quota.answer?.provider, "second")
        const passing = yield* seen(yield* route([always(other), well()], { when: Fallback.whenPassing }), way)
        assert.strictEqual(passing.error?.reason, "Quota")
      })
  )

  row(
    "11: a context that is too long is asked of the next model, and never again of the same one",
    ({ way }) =>
      Effect.gen(function*() {
        const long = failure("ClientError", "ContextWindow")
        const [first, same] = [always(long), always(long)]
        const { answer } = yield* seen(yield* route([first, same, well()]), way)
        assert.strictEqual(answer?.provider, "second")
        assert.deepStrictEqual([first.calls.length, same.calls.length], [1, 0])
        const alone = yield* seen(yield* route([always(long), same]), way)
        assert.strictEqual(alone.error?.reason, "ContextWindow")
        assert.strictEqual(same.calls.length, 0)
      })
  )

  row("12: an answer and an error name who answered, and what each attempt cost", ({ way }) =>
    Effect.gen(function*() {
      const used = (outputTokens: number) =>
        CompletionResponse.make({
          ...answerOf("first"),
          choice: [],
          usage: TokenUsage.make({ inputTokens: 3, outputTokens })
        })
      const empty = failure("EmptyResponse", "NoContent", { partial: used(7) })
      const cut = failure("Transient", "Truncated", { partial: used(5) })
      const first = member("first", (call) => Effect.fail(call === 1 ? empty : cut))
      const { answer } = yield* seen(yield* route([first, well()]), way)
      assert.strictEqual(answer?.provider, "second")
      const costs = answer?.attempts?.map(({ partial, provider, reason }) => [
        provider,
        reason,
        partial?.usage.outputTokens
      ])
      assert.deepStrictEqual(costs, [
        ["first", "NoContent", 7],
        ["first", "Truncated", 5],
        ["first", "Truncated", 5],
        ["first", "Truncated", 5]
      ])
      assert.strictEqual(LLMError.total(answer!.attempts!).usage.outputTokens, 22)
      // A call that its deadline cuts has those attempts as well.
      const hanging = member("second", () => Effect.never)
      const again = member("first", (call) => Effect.fail(call === 1 ? empty : cut))
      const { error, seconds } = yield* seen(yield* route([again, hanging], { deadline: "30 seconds" }), way)
      assert.deepStrictEqual([error?.reason, error?.provider, seconds], ["Timeout", "second", 30])
      assert.strictEqual(LLMError.total(error!.attempts!).usage.outputTokens, 22)
    }))
})

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
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import {
  Anthropic,
  CircuitBreaker,
  Completion,
  CompletionPart,
  CompletionResponse,
  Fallback,
  LLMClient,
  LLMError,
  Message,
  OpenAi,
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

// ---------------------------------------------------------------------------------------------------------------------
// The same over the real transport: providers' layers over a network by hand
// ---------------------------------------------------------------------------------------------------------------------

/** What a server does: says a text, waits, says nothing for ever, breaks the connection, or ends the body. */
type Step = { readonly say: string } | { readonly wait: Duration.Input } | "hang" | "reset"

/** What a request meets: steps of a body whose headers came at once, or no answer at all. */
type Server = ReadonlyArray<Step> | "no answer"

const event = (data: object | string): Step => ({
  say: `data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`
})

const ping: Step = { say: 'event: ping\ndata: {"type": "ping"}\n\n' }

/** An answer of each protocol: what comes before the text, two pieces of it, and its end. */
const spoken = {
  anthropic: {
    head: event({ type: "message_start", message: { id: "1", model: "m", usage: { input_tokens: 70 } } }),
    pieces: ["All ", "well."].map((text, index) =>
      index === 0
        ? event({ type: "content_block_start", index: 0, content_block: { type: "text", text } })
        : event({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } })
    ),
    end: [
      event({ type: "content_block_stop", index: 0 }),
      event({ type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 9 } }),
      event({ type: "message_stop" })
    ],
    error: event({ type: "error", error: { type: "api_error", message: "sorry" } })
  },
  chat: {
    head: event({ choices: [{ delta: { role: "assistant" } }] }),
    pieces: ["All ", "well."].map((content) => event({ choices: [{ delta: { content } }] })),
    end: [event({ choices: [{ delta: {}, finish_reason: "stop" }] }), event("[DONE]")],
    error: event({ error: { message: "sorry", type: "server_error" } })
  }
} as const

type Protocol = keyof typeof spoken
const protocols = Object.keys(spoken) as ReadonlyArray<Protocol>

const whole = (protocol: Protocol): ReadonlyArray<Step> => {
  const { end, head, pieces } = spoken[protocol]
  return [head, ...pieces, ...end]
}

const stepped = (request: HttpClientResponse.HttpClientResponse["request"], steps: ReadonlyArray<Step>) =>
  Stream.rechunk(
    Stream.flatMap(Stream.fromIterable(steps), (step): Stream.Stream<Uint8Array, HttpClientError.HttpClientError> => {
      if (step === "hang") return Stream.never
      if (step === "reset") {
        const cause = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" })
        const reason = new HttpClientError.TransportError({ request, cause })
        return Stream.fail(new HttpClientError.HttpClientError({ reason }))
      }
      return "say" in step
        ? Stream.succeed(new TextEncoder().encode(step.say))
        : Stream.fromEffectDrain(Effect.sleep(step.wait))
    }),
    1
  )

/** A server of a protocol, and how often it was asked. */
const speaking = (
  protocol: Protocol,
  serve: (call: number) => Server,
  options: { readonly silent?: true; readonly whole?: "unary" } = {}
) => {
  const calls: Array<number> = []
  const http = HttpClient.make((request) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const server = serve(calls.push(now))
      return server === "no answer" ? Effect.never : Effect.succeed(
        {
          status: 200,
          headers: {},
          request,
          stream: stepped(request, server)
        } as unknown as HttpClientResponse.HttpClientResponse
      )
    })
  )
  const apiKey = Redacted.make("key")
  const provider = protocol === "anthropic"
    ? Anthropic.layer({ apiKey, model: "claude-sonnet-4-6", whole: options.whole })
    : options.silent === true
    ? OpenAi.layer({ apiKey, model: "gpt-6-luna", api: "chat" })
    : OpenAi.layer({
      apiKey,
      model: "m",
      name: "my-vllm",
      baseUrl: "https://llm.example.com/v1",
      whole: options.whole
    })
  const layer = LLMClient.compose(
    Retry.layer(),
    CircuitBreaker.layer(),
    provider.pipe(Layer.provide(Layer.succeed(HttpClient.HttpClient, http)))
  )
  return { calls, layer, name: protocol === "anthropic" ? "anthropic" : options.silent ? "openai" : "my-vllm" }
}

type Speaking = ReturnType<typeof speaking>

/** The recommended stack over a provider that fails, before one that answers. */
const before = (first: Speaking, options?: Fallback.Options) =>
  build(Fallback.layer([first.layer, Layer.succeed(LLMClient.LLMClient, well().client)], options))

/** A row for each protocol besides. */
const spokenRow = (
  name: string,
  test: (context: Case & { readonly protocol: Protocol }) => Effect.Effect<unknown, unknown, Scope.Scope>
) => {
  for (const protocol of protocols) row(`${name}, ${protocol}`, (context) => test({ ...context, protocol }))
}

describe("failover over the transport", () => {
  spokenRow(
    "2: what never answers is asked once, and the fallback answers after 12 s",
    ({ protocol, way }) =>
      Effect.gen(function*() {
        const { head } = spoken[protocol]
        const pings = Array.from({ length: 600 }, () => [ping, { wait: "5 seconds" } as const]).flat()
        // Neither headers nor pings are an answer, nor is an event that says nothing.
        for (const server of ["no answer", ["hang"], [head, "hang"], pings] as ReadonlyArray<Server>) {
          const first = speaking(protocol, () => server)
          const { answer, seconds } = yield* seen(yield* before(first), way)
          assert.deepStrictEqual([answer?.provider, first.calls.length], ["second", 1])
          assert.isAtLeast(seconds, 12)
          assert.isAtMost(seconds, 12.1)
          assert.deepStrictEqual(answer?.attempts?.map(({ provider, reason }) => [provider, reason]), [
            [first.name, "Timeout"]
          ])
        }
      })
  )

  spokenRow("2: alone, what never answers is waited for as long as the provider's own clocks say", (
    { protocol, way }
  ) =>
    Effect.gen(function*() {
      const first = speaking(protocol, () => "no answer")
      const { error, seconds } = yield* seen(yield* build(Fallback.layer([first.layer])), way)
      assert.deepStrictEqual([error?.reason, first.calls.length], ["Timeout", 2])
      assert.isAtLeast(seconds, 600)
    }))

  spokenRow(
    "3: a first token after 20 s is not waited for, unless the options say so",
    ({ protocol, way }) =>
      Effect.gen(function*() {
        const server: Server = [{ wait: "20 seconds" }, ...whole(protocol)]
        const slow = () => speaking(protocol, () => server)
        const hurried = yield* seen(yield* before(slow()), way)
        assert.strictEqual(hurried.answer?.provider, "second")
        assert.isAtMost(hurried.seconds, 15)
        for (
          const options of [
            { patience: { firstByte: "30 seconds" } },
            { patience: false },
            // Who would not move on after a timeout gains nothing by an early one.
            { when: ({ reason }) => reason === "Quota" }
          ] satisfies ReadonlyArray<Fallback.Options>
        ) {
          const first = slow()
          const { answer, seconds } = yield* seen(yield* before(first, options), way)
          assert.deepStrictEqual([answer?.provider, seconds, first.calls.length], [first.name, 20, 1])
        }
      })
  )

  row("3: a model that thinks in silence is waited for", ({ way }) =>
    Effect.gen(function*() {
      const first = speaking("chat", () => [{ wait: "100 seconds" }, ...whole("chat")], { silent: true })
      const { answer, seconds } = yield* seen(yield* before(first), way)
      assert.deepStrictEqual([answer?.provider, seconds], ["openai", 100])
    }))

  spokenRow("3: what begins in time may take its time", ({ protocol, way }) =>
    Effect.gen(function*() {
      const { end, head, pieces } = spoken[protocol]
      const steps = [head, { wait: "11 seconds" }, ...pieces, { wait: "50 seconds" }, ...end] as const
      const { answer, seconds } = yield* seen(yield* before(speaking(protocol, () => steps)), way)
      assert.deepStrictEqual([answer?.text, seconds, answer?.attempts], ["All well.", 61, undefined])
    }))

  /** What comes after the first piece of an answer, how it is told, and how often the member is asked then. */
  const breaks: Readonly<Record<string, (protocol: Protocol) => readonly [ReadonlyArray<Step>, string, number]>> = {
    "a cut": () => [[], "Truncated", 4],
    "a broken connection": () => [["reset"], "Network", 4],
    "an event that is not JSON": () => [[event("{oops")], "Malformed", 2],
    "an error event": (protocol) => [[spoken[protocol].error], "Server", 4],
    "a stall": () => [["hang"], "Timeout", 1]
  }

  for (const [name, after] of Object.entries(breaks)) {
    spokenRow(
      `4: after ${name} a whole answer is whole, and a stream ends with the partial answer`,
      ({ protocol, way }) =>
        Effect.gen(function*() {
          const [steps, reason, calls] = after(protocol)
          const { head, pieces } = spoken[protocol]
          const broken = [head, pieces[0]!, ...steps]
          const first = speaking(protocol, () => broken)
          const { answer, error } = yield* seen(yield* before(first), way)
          if (way === "stream") {
            assert.deepStrictEqual([error?.reason, error?.partial?.text, first.calls.length], [reason, "All ", 1])
            return
          }
          assert.deepStrictEqual([answer?.provider, answer?.text, first.calls.length], ["second", "All well.", calls])
          assert.deepStrictEqual(
            answer?.attempts?.map(({ partial, reason }) => [reason, partial?.text]),
            Array.from({ length: calls }, () => [reason, "All "])
          )
          if (reason === "Timeout") return
          const once = speaking(protocol, (call) => call === 1 ? broken : whole(protocol))
          const retried = yield* seen(yield* before(once), way)
          assert.deepStrictEqual([retried.answer?.provider, retried.answer?.text], [once.name, "All well."])
        })
    )
  }

  // What the provider reported of the input, or the estimate of it, and an estimate of the four letters that came.
  const costOf: Record<Protocol, TokenUsage.TokenUsage> = {
    anthropic: TokenUsage.make({ inputTokens: 70, outputTokens: 2 }),
    chat: TokenUsage.make({ inputTokens: 2, outputTokens: 2 })
  }

  spokenRow(
    "12: a cut stream cost what had arrived, if the provider had not reported it",
    ({ protocol, way }) =>
      Effect.gen(function*() {
        const { head, pieces } = spoken[protocol]
        const { answer, error } = yield* seen(
          yield* before(speaking(protocol, () => [head, pieces[0]!])),
          way
        )
        const partial = way === "stream" ? error?.partial : answer?.attempts?.[0]?.partial
        assert.deepStrictEqual(partial?.usage, costOf[protocol])
        assert.deepStrictEqual(partial?.warnings?.map(({ field }) => field), ["usage"])
      })
  )

  spokenRow("12: a call of arguments that was cut cost them, too", ({ protocol, way }) =>
    Effect.gen(function*() {
      const { head } = spoken[protocol]
      const begun = protocol === "anthropic"
        ? [
          event({
            type: "content_block_start",
            index: 0,
            content_block: { type: "tool_use", id: "t", name: "f", input: {} }
          }),
          event({
            type: "content_block_delta",
            index: 0,
            delta: { type: "input_json_delta", partial_json: `{"a":"${"x".repeat(345)}` }
          })
        ]
        : [event({
          choices: [{
            delta: {
              tool_calls: [{ index: 0, id: "t", function: { name: "f", arguments: `{"a":"${"x".repeat(345)}` } }]
            }
          }]
        })]
      const { answer, error } = yield* seen(yield* before(speaking(protocol, () => [head, ...begun])), way)
      const partial = way === "stream" ? error?.partial : answer?.attempts?.[0]?.partial
      assert.isAtLeast(partial?.usage.outputTokens ?? 0, 100)
    }))

  spokenRow("12: what the provider had reported stays as it is", ({ protocol, way }) =>
    Effect.gen(function*() {
      const { end, head, pieces } = spoken[protocol]
      const usage = { prompt_tokens: 70, completion_tokens: 9, total_tokens: 79 }
      const steps = protocol === "anthropic"
        ? [head, ...pieces, end[0]!, event({ type: "message_delta", delta: {}, usage: { output_tokens: 9 } })]
        : [head, ...pieces, event({ choices: [], usage })]
      const { answer, error } = yield* seen(yield* before(speaking(protocol, () => steps)), way)
      const partial = way === "stream" ? error?.partial : answer?.attempts?.[0]?.partial
      assert.deepStrictEqual(partial?.usage, TokenUsage.make({ inputTokens: 70, outputTokens: 9 }))
      assert.isUndefined(partial?.warnings)
    }))

  spokenRow(
    "12: the attempt that a deadline interrupts is reported, with its partial answer",
    ({ protocol, way }) =>
      Effect.gen(function*() {
        const { head, pieces } = spoken[protocol]
        // A stream's deadline is over with its first part.
        const steps: Server = way === "stream" ? [head, "hang"] : [head, pieces[0]!, "hang"]
        const first = speaking(protocol, (call) => call === 1 ? [head] : steps)
        const { error, seconds } = yield* seen(
          yield* build(Fallback.layer([first.layer], { deadline: "30 seconds" })),
          way
        )
        assert.deepStrictEqual([error?._tag, error?.reason, seconds], ["Transient", "Timeout", 30])
        assert.deepStrictEqual(
          error?.attempts?.map(({ provider, reason }) => [provider, reason]),
          [[first.name, "Truncated"], [first.name, "Timeout"]]
        )
        const { partial } = error!.attempts![1]!
        if (way === "completion") assert.deepStrictEqual([partial?.text, partial?.usage], ["All ", costOf[protocol]])
        if (protocol === "anthropic") assert.strictEqual(partial?.usage.inputTokens, 70)
      })
  )

  for (const protocol of protocols) {
    it.effect(`12: so is one that is not streamed, ${protocol}`, () =>
      Effect.gen(function*() {
        for (const server of ["no answer", ["hang"]] as ReadonlyArray<Server>) {
          const first = speaking(protocol, () => server, { whole: "unary" })
          const client = yield* build(Fallback.layer([first.layer], { deadline: "30 seconds" }))
          const { error, seconds } = yield* seen(client, "completion")
          assert.deepStrictEqual([error?.reason, seconds, first.calls.length], ["Timeout", 30, 1])
          assert.deepStrictEqual(
            error?.attempts?.map(({ description, provider, reason }) => [provider, reason, description]),
            [[first.name, "Timeout", "deadline timeout after 30s"]]
          )
        }
      }))
  }
})

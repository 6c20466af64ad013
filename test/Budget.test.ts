import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Anthropic from "../src/Anthropic.ts"
import * as Budget from "../src/Budget.ts"
import * as Completion from "../src/Completion.ts"
import * as CompletionPart from "../src/CompletionPart.ts"
import * as CompletionResponse from "../src/CompletionResponse.ts"
import * as Estimate from "../src/Estimate.ts"
import * as LLMClient from "../src/LLMClient.ts"
import * as LLMError from "../src/LLMError.ts"
import * as Message from "../src/Message.ts"
import * as Prices from "../src/Prices.ts"
import * as ResponseCache from "../src/ResponseCache.ts"
import * as Retry from "../src/Retry.ts"
import * as Throttle from "../src/Throttle.ts"
import * as TokenUsage from "../src/TokenUsage.ts"
import { inThread } from "./clients.ts"
import { hear, passing, simulated } from "./testing/simulated.ts"

// The same cases in every run.
Arbitrary.configureGlobal({ check: { seed: "Budget" } })

// Estimated at 2 tokens of input.
const request = Completion.make({ model: "m", prompt: "Hello", maxTokens: 98 })

type Outcome = Effect.Effect<CompletionResponse.CompletionResponse, LLMError.LLMError>

const usage = (inputTokens: number, outputTokens: number) => TokenUsage.make({ inputTokens, outputTokens })

const answer = (tokens: TokenUsage.TokenUsage, more: Partial<CompletionResponse.CompletionResponse> = {}) =>
  CompletionResponse.make({
    choice: [],
    finishReason: { _tag: "Stop" },
    usage: tokens,
    provider: "test",
    model: "m-1",
    ...more
  })

const failure = (tag: LLMError.LLMError["_tag"], reason: string, more: Readonly<Record<string, unknown>> = {}) =>
  LLMError.make(tag, { provider: "test", model: "m", description: "", reason: reason as never, ...more })

const rateLimit = failure("RateLimit", "Requests")
const empty = failure("EmptyResponse", "NoContent", { partial: answer(usage(2, 5)) })

const clientOf = (outcome: (completion: Completion.Completion) => Outcome, provider = "test"): LLMClient.Service => ({
  provider,
  completion: outcome,
  stream: (completion) =>
    Stream.unwrap(
      Effect.map(outcome(completion), (response) => Stream.fromIterable(CompletionPart.fromResponse(response)))
    )
})

const answering = (response: CompletionResponse.CompletionResponse) => clientOf(() => Effect.succeed(response))

const over = (client: LLMClient.Service, layer: Layer.Layer<LLMClient.LLMClient, never, LLMClient.LLMClient>) =>
  Effect.map(
    Layer.build(Layer.provide(layer, Layer.succeed(LLMClient.LLMClient, client))),
    Context.get(LLMClient.LLMClient)
  )

/** Lets everything run that runs without time, and makes digests. */
const settled = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))

/** Runs a call in both of its ways. */
const both = (client: LLMClient.Service, completion = request) => [
  Effect.exit(Effect.asVoid(client.completion(completion))),
  Effect.exit(Stream.runDrain(client.stream(completion)))
]

const bad = (options: object) => options as Budget.Options

const price = ({ inputTokens, outputTokens }: TokenUsage.TokenUsage) => inputTokens / 100 + outputTokens / 10

describe("Budget", () => {
  it.effect("a call costs what the provider reports, in all and by model, and keeps nothing reserved", () =>
    Effect.gen(function*() {
      const budget = yield* Budget.make({ tokens: 1000, usd: 100, prices: price })
      const call = { tokens: usage(10, 5), cost: 0.6, calls: 1 }
      yield* (yield* over(answering(answer(usage(10, 5))), Budget.layer(budget))).completion(request)
      assert.deepStrictEqual(yield* budget.usage, {
        ...call,
        reserved: { calls: 0, tokens: 0, cost: 0 },
        models: [{ provider: "test", model: "m-1", ...call }]
      })
      const own = answer(usage(1, 1), { model: "m-2", provider: "other", cost: 7 })
      yield* hear(yield* over(answering(own), Budget.layer(budget)), request)
      const after = yield* budget.usage
      assert.deepStrictEqual(after.models.slice(1), [
        { provider: "other", model: "m-2", tokens: usage(1, 1), cost: 7, calls: 1 }
      ])
      assert.deepStrictEqual([after.tokens, after.cost, after.calls], [usage(11, 6), 7.6, 2])
    }))

  it.effect("what a call may cost is reserved while it runs", () =>
    Effect.gen(function*() {
      const budget = yield* Budget.make({ tokens: 10_000, usd: 1000, prices: { of: price }, reserve: 50 })
      const client = yield* over(clientOf(() => Effect.never), Budget.layer(budget))
      for (const [completion, output] of [[request, 98], [Completion.make({ prompt: "Hello" }), 50]] as const) {
        for (const call of both(client, completion)) {
          const fiber = yield* Effect.forkChild(call, { startImmediately: true })
          const { reserved } = yield* budget.usage
          assert.deepStrictEqual(reserved, { calls: 1, tokens: 2 + output, cost: 0.02 + output / 10 })
          yield* Fiber.interrupt(fiber)
          assert.deepStrictEqual((yield* budget.usage).reserved, { calls: 0, tokens: 0, cost: 0 })
        }
      }
    }))

  it.effect("a call that does not fit fails before anything is sent, and says which ceiling it met", () =>
    Effect.gen(function*() {
      let sent = 0
      const client = clientOf(() => Effect.sync(() => answer(usage(2, ++sent))))
      const tokens = yield* over(client, Budget.layer({ name: "tenant 7", tokens: 101 }))
      const money = yield* over(client, Budget.layer({ usd: 9.83, prices: price }))
      yield* tokens.completion(request)
      yield* money.completion(request)
      assert.strictEqual(sent, 2)
      for (
        const [client, description] of [
          [tokens, "tenant 7 of 101 tokens is exceeded: 3 spent, 0 reserved by other calls, up to 100 for this one"],
          [
            money,
            "the budget of 9.83 US dollars is exceeded: 0.22 spent, 0 reserved by other calls, up to 9.82 for this one"
          ]
        ] as const
      ) {
        const error = yield* Effect.flip(client.completion(request))
        assert.deepStrictEqual(
          [error._tag, error.reason, error.provider, error.model, error.description, error.isFallbackable],
          ["ClientError", "Budget", "test", "m", description, false]
        )
        const { error: streamed, parts } = yield* hear(client, request)
        assert.strictEqual(streamed?.description, description)
        assert.lengthOf(parts, 0)
      }
      assert.strictEqual(sent, 2)
      // What is smaller still fits.
      yield* tokens.completion(Completion.maxTokens(10)(request))
    }))

  it.effect("concurrent calls reserve before any of them ends", () =>
    Effect.gen(function*() {
      let sent = 0
      const gate = yield* Deferred.make<void>()
      const budget = yield* Budget.make({ tokens: 250 })
      const client = yield* over(
        clientOf(() =>
          Effect.suspend(() => {
            sent++
            return Effect.as(Deferred.await(gate), answer(usage(2, 3)))
          })
        ),
        Budget.layer(budget)
      )
      const fiber = yield* Effect.forkChild(
        Effect.forEach([1, 2, 3, 4], () => Effect.result(client.completion(request)), { concurrency: "unbounded" }),
        { startImmediately: true }
      )
      assert.strictEqual(sent, 2)
      yield* Deferred.succeed(gate, undefined)
      const results = yield* Fiber.join(fiber)
      assert.deepStrictEqual(results.map(({ _tag }) => _tag), ["Success", "Success", "Failure", "Failure"])
      // Now that they are settled, there is room again.
      yield* client.completion(request)
      assert.strictEqual((yield* budget.usage).tokens.totalTokens, 15)
    }))

  it.effect.each<readonly [string, Outcome, TokenUsage.TokenUsage, number]>([
    ["a failure without an answer costs nothing", Effect.fail(rateLimit), TokenUsage.zero, 1],
    ["an empty answer costs its usage", Effect.fail(empty), usage(2, 5), 1],
    [
      "a broken answer costs at least what had arrived",
      Effect.fail(failure("Transient", "Network", {
        partial: answer(usage(9, 1), { choice: [Message.text("x".repeat(35))] })
      })),
      usage(9, 10),
      1
    ],
    [
      "a broken answer of which nothing was counted is estimated",
      Effect.fail(failure("Transient", "Network", {
        partial: answer(TokenUsage.zero, { choice: [Message.text("x".repeat(35))] })
      })),
      usage(2, 10),
      1
    ],
    [
      "an answer of which nothing was counted is estimated",
      Effect.succeed(answer(TokenUsage.zero, { choice: [Message.text("x".repeat(7))] })),
      usage(2, 2),
      1
    ],
    ["a cached answer costs nothing", Effect.succeed(answer(TokenUsage.zero, { cached: true })), TokenUsage.zero, 0],
    [
      "the attempts of an answer count",
      Effect.succeed(answer(usage(10, 20), { attempts: [rateLimit, empty] })),
      usage(12, 25),
      3
    ],
    [
      "the attempts of a failure count, and theirs",
      Effect.fail(failure("EmptyResponse", "NoContent", {
        partial: answer(usage(2, 5)),
        attempts: [failure("Transient", "Server", { attempts: [empty] }), empty]
      })),
      usage(6, 15),
      4
    ]
  ])("%s", ([, outcome, tokens, calls]) =>
    Effect.gen(function*() {
      const budget = yield* Budget.make({ tokens: 100_000 })
      const client = yield* over(clientOf(() => outcome), Budget.layer(budget))
      for (const call of both(client)) {
        yield* budget.reset
        yield* call
        const spent = yield* budget.usage
        assert.deepStrictEqual([spent.tokens, spent.calls], [tokens, calls])
        assert.deepStrictEqual(spent.reserved, { calls: 0, tokens: 0, cost: 0 })
      }
    }))

  it.effect("an interrupted stream costs the request and what had arrived; an interrupted completion, all it reserved", () =>
    Effect.gen(function*() {
      const budget = yield* Budget.make({ tokens: 1000, usd: 1000, prices: price })
      const client = yield* over({
        ...clientOf(() => Effect.never),
        stream: () =>
          Stream.concat(
            Stream.make({ _tag: "TextDelta", index: 0, text: "x".repeat(35) } as const),
            Stream.fromEffectDrain(Effect.never)
          )
      }, Budget.layer(budget))
      yield* Stream.runDrain(Stream.take(client.stream(request), 1))
      const left = yield* budget.usage
      assert.deepStrictEqual([left.tokens, left.cost, left.calls], [usage(2, 10), 1.02, 1])
      yield* budget.reset
      const fiber = yield* Effect.forkChild(client.completion(request), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      const interrupted = yield* budget.usage
      assert.deepStrictEqual([interrupted.tokens, interrupted.cost], [usage(2, 98), 9.82])
      assert.deepStrictEqual(interrupted.models.map(({ model }) => model), ["m"])
    }))

  it.effect("a call that is left costs what the provider had reported, where that is more than the estimate", () =>
    Effect.gen(function*() {
      const budget = yield* Budget.make({ tokens: 1_000_000, usd: 1000, prices: price })
      const report = (usage: TokenUsage.TokenUsage) =>
        Effect.map(LLMClient.Reported, (reported) => {
          assert.isDefined(reported)
          reported.usage = () => usage
        })
      for (
        const [reported, stream, completion] of [
          [usage(50_000, 1), usage(50_000, 10), usage(50_000, 98)],
          [usage(1, 400), usage(2, 400), usage(2, 400)],
          [usage(1, 1), usage(2, 10), usage(2, 98)]
        ] as const
      ) {
        const provider: LLMClient.Service = {
          provider: "test",
          completion: () => Effect.andThen(report(reported), Effect.never),
          stream: () =>
            Stream.make({ _tag: "TextDelta", index: 0, text: "x".repeat(35) } as const).pipe(
              Stream.concat(Stream.never),
              Stream.onStart(report(reported))
            )
        }
        // A throttle above it asks for the same.
        const client = yield* over(
          provider,
          LLMClient.compose(Throttle.layer({ tokensPerMinute: 1_000_000 }), Budget.layer(budget))
        )
        yield* budget.reset
        yield* Stream.runDrain(Stream.take(client.stream(request), 1))
        assert.deepStrictEqual((yield* budget.usage).tokens, stream)
        yield* budget.reset
        yield* Fiber.interrupt(yield* Effect.forkChild(client.completion(request), { startImmediately: true }))
        assert.deepStrictEqual((yield* budget.usage).tokens, completion)
      }
      // What one call had reported says nothing of the next one.
      let calls = 0
      const client = yield* over(
        clientOf(() =>
          calls++ === 0
            ? Effect.andThen(report(usage(50_000, 1)), Effect.fail(rateLimit))
            : Effect.never
        ),
        LLMClient.compose(Throttle.layer({ tokensPerMinute: 1_000_000 }), Retry.layer(), Budget.layer(budget))
      )
      yield* budget.reset
      const fiber = yield* Effect.forkChild(client.completion(request), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(calls, 2)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual((yield* budget.usage).tokens, usage(2, 98))
    }))

  it.effect("a stream of a real provider that is left costs what was reported with its first event", () =>
    Effect.gen(function*() {
      const budget = yield* Budget.make({ tokens: 1_000_000 })
      const head = { id: "1", model: "m", usage: { input_tokens: 50_000, output_tokens: 1 } }
      const steps = [
        { type: "message_start", message: head },
        { type: "content_block_start", index: 0, content_block: { type: "text", text: "Hi" } }
      ].map((event) => `data: ${JSON.stringify(event)}\n\n`).join("")
      const http = HttpClient.make((request) =>
        Effect.succeed(
          HttpClientResponse.fromWeb(
            request,
            new Response(
              new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode(steps)) })
            )
          )
        )
      )
      const layer = LLMClient.compose(
        Budget.layer(budget),
        Anthropic.layer({ apiKey: Redacted.make("key"), model: "claude-sonnet-4-6" }).pipe(
          Layer.provide(Layer.succeed(HttpClient.HttpClient, http))
        )
      )
      const client = Context.get(yield* Layer.build(layer), LLMClient.LLMClient)
      yield* Stream.runDrain(Stream.take(client.stream(Completion.make({ prompt: "Hello" })), 1))
      assert.deepStrictEqual((yield* budget.usage).tokens, usage(50_000, 1))
    }))

  it.effect("failures that a list of attempts has left out were calls, too", () =>
    Effect.gen(function*() {
      const budget = yield* Budget.make({ tokens: 1_000_000 })
      const first = failure("EmptyResponse", "NoContent", {
        partial: answer(usage(2, 5)),
        omitted: { count: 7, usage: usage(14, 35) }
      })
      for (
        const [outcome, calls] of [
          [Effect.fail(failure("Transient", "Server", { status: 500, attempts: [first] })), 9],
          [Effect.succeed(answer(usage(0, 0), { cached: true, attempts: [first] })), 8]
        ] as ReadonlyArray<readonly [Outcome, number]>
      ) {
        yield* budget.reset
        yield* Effect.exit((yield* over(clientOf(() => outcome), Budget.layer(budget))).completion(request))
        const spent = yield* budget.usage
        assert.deepStrictEqual([spent.tokens, spent.calls], [usage(16, 40), calls])
      }
    }))

  it.effect("a price that is unknown before refuses the call, and afterwards costs what was reserved", () =>
    Effect.gen(function*() {
      for (const unknown of [NaN, -1, Infinity, undefined]) {
        const budget = yield* Budget.make({
          usd: 10,
          prices: (usage, model) => model === "m" ? price(usage) : unknown
        })
        const client = yield* over(answering(answer(usage(1, 1))), Budget.layer(budget))
        const refused = yield* Effect.flip(client.completion(Completion.make({ model: "n", prompt: "Hello" })))
        assert.strictEqual(refused.description, "the budget has no price for n")
        const nameless = yield* Effect.flip(client.completion(Completion.make({ prompt: "Hello" })))
        assert.strictEqual(nameless.description, "the budget has no price for a request without a model")
        yield* client.completion(request)
        assert.strictEqual((yield* budget.usage).cost, 9.82)
      }
      const throwing = yield* over(
        answering(answer(usage(1, 1))),
        Budget.layer({
          usd: 1,
          prices: () => {
            throw new Error("no")
          }
        })
      )
      assert.strictEqual((yield* Effect.flip(throwing.completion(request))).reason, "Budget")
    }))

  it.effect("calls at once that name no limit are sent with the one that was reserved where that is imposed, and spend no more", () =>
    Effect.gen(function*() {
      const budget = yield* Budget.make({ tokens: 100_000, impose: true })
      let sent = 0
      // As a provider does whose own limit is high: it writes as much as it may.
      const client = yield* over(
        clientOf(({ maxTokens = 60_000 }) =>
          Effect.suspend(() => {
            sent++
            return Effect.delay(Effect.succeed(answer(usage(2, maxTokens))), "1 second")
          })
        ),
        Budget.layer(budget)
      )
      const plain = Completion.make({ model: "m", prompt: "Hello" })
      const calls = Effect.forEach(Array.from({ length: 15 }, () => both(client, plain)).flat(), (call) => call, {
        concurrency: "unbounded"
      })
      const fiber = yield* Effect.forkChild(calls)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.strictEqual(sent, 24)
      assert.strictEqual((yield* budget.usage).tokens.totalTokens, 24 * 4098)
    }))

  // What is reserved, and the limit that is sent where it is imposed; otherwise the request goes out as it came.
  it.effect.each<readonly [string, object, number, number | undefined]>([
    ["none", {}, 50, 50],
    ["maxTokens", { maxTokens: 10 }, 10, 10],
    ["max_tokens", { additionalParams: { max_tokens: 50_000 } }, 50_000, undefined],
    ["the largest", { maxTokens: 10, additionalParams: { max_tokens: 50_000 } }, 50_000, 10],
    ["not the smaller", { maxTokens: 10, additionalParams: { max_tokens: 5 } }, 10, 10],
    ["max_completion_tokens", { providerParams: { test: { max_completion_tokens: 70 } } }, 70, undefined],
    ["maxOutputTokens", { additionalParams: { generationConfig: { maxOutputTokens: 80 } } }, 80, undefined],
    ["that of another provider", { providerParams: { other: { max_tokens: 90 } } }, 90, 50],
    ["thinking", { providerParams: { anthropic: { thinking: { budget_tokens: 4096 } } } }, 4146, 4146],
    ["reasoning", { additionalParams: { reasoning: { max_tokens: 30 } } }, 80, 80],
    [
      "thinkingConfig",
      { additionalParams: { generationConfig: { thinkingConfig: { thinkingBudget: 20 } } } },
      70,
      70
    ],
    ["no thinking", { additionalParams: { generationConfig: { thinkingConfig: { thinkingBudget: -1 } } } }, 50, 50],
    ["what is not a number", { additionalParams: { max_tokens: "many", generationConfig: 7 } }, 50, 50],
    ["no limit, as -1", { additionalParams: { max_tokens: -1 } }, 50, 50],
    ["no limit, as 0", { maxTokens: 0, additionalParams: { max_tokens: NaN } }, 50, 50],
    ["digits", { additionalParams: { max_tokens: "50000" } }, 50_000, undefined],
    ["n answers", { additionalParams: { n: 50 } }, 2500, 50],
    ["n answers of so many tokens", { maxTokens: 10, additionalParams: { n: "3" } }, 30, 10],
    ["candidateCount", { providerParams: { gemini: { generationConfig: { candidateCount: 4 } } } }, 200, 50],
    ["no answers", { additionalParams: { n: 0 } }, 50, 50]
  ])(
    "the largest limit of output that a request names is reserved: %s",
    ([, options, reserved, sent]) =>
      Effect.gen(function*() {
        const completion = Completion.make({ model: "m", prompt: "Hello", ...options })
        for (const impose of [true, false]) {
          const budget = yield* Budget.make({ tokens: 200_000, reserve: 50, impose })
          const asked: Array<Completion.Completion> = []
          const client = yield* over(
            clientOf((completion) => Effect.andThen(Effect.sync(() => asked.push(completion)), Effect.never)),
            Budget.layer(budget)
          )
          for (const call of both(client, completion)) {
            const fiber = yield* Effect.forkChild(call, { startImmediately: true })
            assert.strictEqual((yield* budget.usage).reserved.tokens, 2 + reserved)
            yield* Fiber.interrupt(fiber)
          }
          if (impose) assert.deepStrictEqual(asked.map(({ maxTokens }) => maxTokens || undefined), [sent, sent])
          else for (const given of asked) assert.strictEqual(given, completion)
        }
      })
  )

  it.effect.each<readonly [string, string, Readonly<Record<string, unknown>>, charged: boolean]>([
    ["that timed out", "Timeout", {}, true],
    ["whose connection broke", "Network", { code: "ECONNRESET" }, true],
    ["that the client below gave up after five minutes", "Network", { code: "UND_ERR_HEADERS_TIMEOUT" }, true],
    ["whose connection broke in its answer", "Network", { status: 200 }, true],
    ["that the provider says was late", "Timeout", { status: 504 }, false],
    ["whose connection was refused", "Network", { code: "ECONNREFUSED" }, false],
    ["to a name that is not known", "Network", { code: "ENOTFOUND" }, false],
    ["whose connection was not made in time", "Network", { code: "UND_ERR_CONNECT_TIMEOUT" }, false],
    ["to a server whose certificate is not valid", "Network", { code: "CERT_HAS_EXPIRED" }, false],
    ["that the provider failed", "Server", { status: 500 }, false]
  ])("a call %s may have been billed, or not: %s %o %s", ([, reason, more, charged]) =>
    Effect.gen(function*() {
      const budget = yield* Budget.make({ tokens: 100_000, usd: 1000, prices: price })
      const spent = Effect.fnUntraced(function*(outcome: Outcome, streamed: boolean) {
        yield* budget.reset
        yield* both(budget.apply(clientOf(() => outcome)))[streamed ? 1 : 0]!
        const { cost, tokens } = yield* budget.usage
        return [tokens, cost]
      })
      const error = failure("Transient", reason, more)
      const nothing = [TokenUsage.zero, 0]
      assert.deepStrictEqual(yield* spent(Effect.fail(error), false), charged ? [usage(2, 98), 9.82] : nothing)
      assert.deepStrictEqual(yield* spent(Effect.fail(error), true), charged ? [usage(2, 0), 0.02] : nothing)
      const attempts = Effect.succeed(answer(usage(2, 1), { attempts: [error] }))
      assert.deepStrictEqual((yield* spent(attempts, false))[0], charged ? usage(4, 99) : usage(2, 1))
    }))

  it.effect("a throttle above it keeps calls that wait from reserving anything", () =>
    Effect.gen(function*() {
      const budget = yield* Budget.make({ tokens: 100_000 })
      const context = yield* Layer.build(
        Throttle.layer({ requestsPerMinute: 1 }).pipe(
          Layer.provide(Budget.layer(budget)),
          Layer.provide(Layer.succeed(LLMClient.LLMClient, answering(answer(usage(1, 1)))))
        )
      )
      const client = Context.get(context, LLMClient.LLMClient)
      yield* client.completion(request)
      const calls = [client.completion(request), Stream.runDrain(client.stream(request))]
      const fibers = yield* Effect.forEach(calls, (call) => Effect.forkChild(Effect.timeoutOption(call, "1 second")))
      yield* TestClock.adjust("500 millis")
      assert.strictEqual((yield* budget.usage).reserved.calls, 0)
      yield* TestClock.adjust("500 millis")
      yield* Fiber.awaitAll(fibers)
      const { calls: counted, reserved, tokens } = yield* budget.usage
      assert.deepStrictEqual([counted, reserved.calls, tokens.totalTokens], [1, 0, 2])
    }))

  it.effect("what is refused by the budget is given back to a throttle above it", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(
        Throttle.layer({ requestsPerMinute: 1 }).pipe(
          Layer.provide(Budget.layer({ tokens: 50 })),
          Layer.provide(Layer.succeed(LLMClient.LLMClient, answering(answer(usage(1, 1)))))
        )
      )
      const client = Context.get(context, LLMClient.LLMClient)
      assert.strictEqual((yield* Effect.flip(client.completion(request))).reason, "Budget")
      yield* client.completion(Completion.maxTokens(10)(request))
    }))

  it.effect("a model whose price is not known is refused, unless there is one for those", () =>
    Effect.gen(function*() {
      const prices = {
        known: 1,
        of(_: TokenUsage.TokenUsage, model: string) {
          return model === "m" ? this.known : undefined
        }
      }
      const other = Completion.model("n")(request)
      const strict = (yield* Budget.make({ usd: 10, prices })).apply(answering(answer(usage(1, 1))))
      yield* strict.completion(request)
      assert.strictEqual((yield* Effect.flip(strict.completion(other))).description, "the budget has no price for n")
      const budget = yield* Budget.make({ usd: 10, prices, unknownPrice: { input: 1_000_000, output: 50_000 } })
      const lenient = budget.apply(answering(answer(usage(1, 2), { model: "n" })))
      yield* lenient.completion(other)
      assert.strictEqual((yield* budget.usage).cost, 1.1)
      // Without a ceiling in dollars they are only counted.
      yield* (yield* Budget.make({ tokens: 1000, prices })).apply(answering(answer(usage(1, 1)))).completion(other)
    }))

  it.effect("takes the table of list prices, and prices each pass of an answer by its own model", () =>
    Effect.gen(function*() {
      const budget = yield* Budget.make({ usd: 10, prices: Prices.table })
      const passes = [
        { kind: "compaction", model: "claude-haiku-4-5", usage: usage(100_000, 1000) },
        { kind: "message", usage: usage(2000, 1000) }
      ]
      const sum = answer(usage(102_000, 2000), { provider: "anthropic", model: "claude-opus-4-8", passes })
      const client = budget.apply({ ...answering(sum), provider: "anthropic" })
      yield* client.completion(Completion.model("claude-opus-4-8")(request))
      const { cost } = yield* budget.usage
      assert.isAbove(cost, 0)
      assert.strictEqual(cost, Prices.cost(sum, { at: 0 }))
      const unknown = Completion.model("no-such-model")(request)
      assert.include((yield* Effect.flip(client.completion(unknown))).description, "has no price for no-such-model")
    }))

  it.effect.each([[0.5, 6], [-1000, 0], [NaN, 0]])(
    "a provider's own figure counts where it is one: %d",
    ([cost, spent]) =>
      Effect.gen(function*() {
        const budget = yield* Budget.make({ usd: 1000, prices: () => 0.5 })
        const client = budget.apply(answering(answer(usage(1, 1), { cost: cost! })))
        for (let calls = 0; calls < 12; calls++) yield* client.completion(request)
        assert.strictEqual((yield* budget.usage).cost, spent)
      })
  )

  it.effect("a model's name of more than 512 characters is refused, and cut where the provider gives it", () =>
    Effect.gen(function*() {
      const budget = yield* Budget.make({ tokens: 10_000 })
      const client = budget.apply(answering(answer(usage(1, 1), { model: "x".repeat(100_000) })))
      const long = Completion.model("m".repeat(513))(request)
      assert.strictEqual((yield* Effect.flip(client.completion(long))).reason, "InvalidRequest")
      yield* client.completion(request)
      assert.deepStrictEqual((yield* budget.usage).models.map(({ model }) => model), ["x".repeat(512)])
    }))

  it.effect.each(["throttled", "circuit_open", "store_unreachable", "ClientError"])(
    "what was refused before it was sent does not count as a call: %s",
    (code) =>
      Effect.gen(function*() {
        const budget = yield* Budget.make({ tokens: 100_000 })
        const refused = code === "ClientError"
          ? failure("ClientError", "InvalidRequest")
          : failure("Transient", "Overloaded", { code })
        for (const call of both(budget.apply(clientOf(() => Effect.fail(refused))))) yield* call
        const attempted = answer(usage(1, 1), { attempts: [refused] })
        yield* budget.apply(answering(attempted)).completion(request)
        const { calls, models } = yield* budget.usage
        assert.deepStrictEqual([calls, models.map(({ calls }) => calls)], [1, [1]])
      })
  )

  it.effect.each<readonly [string, Outcome, TokenUsage.TokenUsage]>([
    ["an answer", Effect.succeed(answer(usage(2, 7))), usage(2, 7)],
    ["an empty answer", Effect.fail(empty), usage(2, 5)],
    ["a timeout", Effect.fail(failure("Transient", "Timeout")), usage(2, 98)],
    ["attempts", Effect.fail(failure("RateLimit", "Requests", { attempts: [empty] })), usage(2, 5)]
  ])("of equal calls that a cache above it makes once, one pays, and one that only waited and left pays nothing: %s", (
    [, outcome, tokens]
  ) =>
    Effect.gen(function*() {
      const budget = yield* Budget.make({ tokens: 100_000 })
      const gate = yield* Deferred.make<void>()
      const below = budget.apply(clientOf(() => Effect.andThen(Deferred.await(gate), outcome)))
      const client = yield* inThread(over(below, ResponseCache.layer()))
      const fibers = yield* Effect.forEach(
        [0, 0, 0],
        (way) => Effect.forkChild(both(client)[way]!, { startImmediately: true })
      )
      yield* settled
      const waiting = yield* Effect.forkChild(client.completion(request))
      yield* settled
      yield* Fiber.interrupt(waiting)
      assert.strictEqual((yield* budget.usage).calls, 0)
      yield* Deferred.succeed(gate, undefined)
      yield* Effect.forEach(fibers, Fiber.join)
      assert.deepStrictEqual((yield* budget.usage).tokens, tokens)
      assert.strictEqual((yield* budget.usage).reserved.calls, 0)
    }))

  it.effect("a request without a model has the price of the layer's own, and is in the books under it", () =>
    Effect.gen(function*() {
      const budget = yield* Budget.make({
        usd: 10,
        prices: (usage, model) => model === "m" ? price(usage) : NaN
      })
      const { model: _, ...nameless } = answer(usage(1, 1))
      const client = budget.apply({ ...answering(CompletionResponse.make(nameless)), model: "m" })
      yield* client.completion(Completion.make({ prompt: "Hello", maxTokens: 9 }))
      assert.deepStrictEqual((yield* budget.usage).models.map(({ cost, model }) => [model, cost]), [["m", 0.11]])
    }))

  it.effect("three calls of 0.1 dollars fit into 0.3, and a fourth does not", () =>
    Effect.gen(function*() {
      const budget = yield* Budget.make({ usd: 0.3, prices: () => 0.1 })
      const client = budget.apply(answering(answer(usage(1, 1))))
      for (const _ of [1, 2, 3]) yield* client.completion(request)
      assert.strictEqual((yield* Effect.flip(client.completion(request))).reason, "Budget")
    }))

  it.effect("models that users name are counted one by one up to a thousand, and the others together", () =>
    Effect.gen(function*() {
      const budget = yield* Budget.make({ tokens: 1_000_000 })
      const client = budget.apply(
        clientOf(({ model = "" }) => Effect.succeed(answer(usage(1, 1), { model })))
      )
      const names = [...Array.from({ length: 1100 }, (_, index) => `model ${index}`), "model 0", "model 1099"]
      yield* Effect.forEach(names, (model) => client.completion(Completion.model(model)(request)))
      const { calls, models } = yield* budget.usage
      assert.strictEqual(calls, 1102)
      assert.lengthOf(models, 1001)
      assert.deepStrictEqual(
        [models[0], models.at(-1)].map((entry) => [entry?.model, entry?.calls]),
        [["model 0", 2], ["other", 101]]
      )
    }))

  it.effect("reset starts again from zero, and leaves what is reserved", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const budget = yield* Budget.make({ tokens: 120 })
      const client = yield* over(
        clientOf(() => Effect.as(Deferred.await(gate), answer(usage(10, 20)))),
        Budget.layer(budget)
      )
      const fiber = yield* Effect.forkChild(client.completion(request), { startImmediately: true })
      yield* budget.reset
      assert.strictEqual((yield* Effect.flip(client.completion(request))).reason, "Budget")
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(fiber)
      assert.strictEqual((yield* Effect.flip(client.completion(request))).reason, "Budget")
      yield* budget.reset
      yield* client.completion(request)
      const { calls, models } = yield* budget.usage
      assert.deepStrictEqual([calls, models.map(({ calls }) => calls)], [1, [1]])
    }))

  it.effect("one budget stands over several providers, and one layer of options is a budget for each", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      const client = (name: string) =>
        clientOf(
          () =>
            Effect.sync(() => {
              asked.push(name)
              return answer(usage(2, 98), { provider: name })
            }),
          name
        )
      const run = Effect.fnUntraced(function*(layer: Layer.Layer<LLMClient.LLMClient, never, LLMClient.LLMClient>) {
        class A extends Context.Service<A, LLMClient.Service>()("test/A") {}
        class B extends Context.Service<B, LLMClient.Service>()("test/B") {}
        const of = (name: string) => Layer.provide(layer, Layer.succeed(LLMClient.LLMClient, client(name)))
        const context = yield* Layer.build(Layer.merge(
          Layer.provide(Layer.effect(A, LLMClient.LLMClient), of("a")),
          Layer.provide(Layer.effect(B, LLMClient.LLMClient), of("b"))
        ))
        return yield* Effect.forEach(
          [Context.get(context, A), Context.get(context, B), Context.get(context, A)],
          (client) => Effect.map(Effect.result(client.completion(request)), ({ _tag }) => _tag)
        )
      })
      const budget = yield* Budget.make({ tokens: 200 })
      assert.deepStrictEqual(yield* run(Budget.layer(budget)), ["Success", "Success", "Failure"])
      assert.deepStrictEqual((yield* budget.usage).models.map(({ provider }) => provider), ["a", "b"])
      assert.deepStrictEqual(yield* run(Budget.layer({ tokens: 100 })), ["Success", "Success", "Failure"])
      assert.deepStrictEqual(asked, ["a", "b", "a", "b"])
    }))

  it.effect("below retry it sees every attempt, above it counts them: the same sum", () =>
    Effect.gen(function*() {
      const spent = Effect.fnUntraced(function*(below: boolean, streamed: boolean) {
        const budget = yield* Budget.make({ tokens: 100_000 })
        const { client } = yield* simulated("anthropic", {
          failures: [{ _tag: "RateLimit" }, { _tag: "Empty" }]
        })
        const layers = below
          ? Layer.provide(Retry.layer(), Budget.layer(budget))
          : Layer.provide(Budget.layer(budget), Retry.layer())
        const stacked = yield* over(client, layers)
        yield* passing(streamed ? Effect.asVoid(hear(stacked, request)) : Effect.asVoid(stacked.completion(request)))
        const { calls, tokens } = yield* budget.usage
        return { calls, tokens }
      })
      for (const streamed of [false, true]) {
        const below = yield* spent(true, streamed)
        assert.isAtLeast(below.calls, 2)
        assert.isAbove(below.tokens.totalTokens, 0)
        assert.deepStrictEqual(yield* spent(false, streamed), below)
      }
    }))

  it.effect.each<readonly [string, Budget.Options]>([
    ["tokens or usd", {}],
    ["tokens", { tokens: 0 }],
    ["tokens", { tokens: -1 }],
    ["tokens", { tokens: NaN }],
    ["tokens", { tokens: 1.5 }],
    ["usd", { usd: 0, prices: price }],
    ["usd", { usd: -1, prices: price }],
    ["usd", { usd: NaN, prices: price }],
    ["usd", bad({ usd: null, prices: price })],
    ["prices", { usd: 1 }],
    ["prices", bad({ usd: 1, prices: 0.1 })],
    ["prices", bad({ usd: 1, prices: {} })],
    ["unknownPrice.input", bad({ usd: 1, unknownPrice: {} })],
    ["unknownPrice.output", { usd: 1, unknownPrice: { input: 0, output: -1 } }],
    ["unknownPrice options", bad({ usd: 1, unknownPrice: 7 })],
    ["reserve", { tokens: 1, reserve: 0 }],
    ["reserve", { tokens: 1, reserve: NaN }],
    ["impose", bad({ tokens: 1, impose: 1 })],
    ["maxTokens", bad({ tokens: 1, maxTokens: 5 })],
    ["name", { tokens: 1, name: "" }],
    ["name", bad({ tokens: 1, name: 7 })],
    ["token", bad({ tokens: 1, token: 5 })],
    ["tokens", bad({ tokens: null })]
  ])("bad options are refused when the layer is built: %s %j", ([option, options]) =>
    Effect.gen(function*() {
      for (
        const built of [
          Effect.asVoid(over(answering(answer(usage(1, 1))), Budget.layer(options))),
          Budget.make(options)
        ]
      ) {
        const exit = yield* Effect.exit(built)
        assert(Exit.isFailure(exit))
        assert.match(String(Cause.squash(exit.cause)), new RegExp(`Budget ${option}: give`))
      }
    }))
})

const Count = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100 }))

/** A call: how much it may write, what it does write, how long it takes, and how it ends. */
const Calls = Schema.NonEmptyArray(Schema.Struct({
  maxTokens: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 })),
  output: Count,
  pause: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 20 })),
  model: Schema.Literals(["a", "b", "c"]),
  end: Schema.Literals(["Answer", "Empty", "Fail", "Leave"]),
  streamed: Schema.Boolean
}))

describe("Budget, whatever calls are made at once", () => {
  it.effect.prop(
    "what is spent and reserved never exceeds the ceilings, and the sum is that of all answers and failures",
    { calls: Calls, tokens: Schema.Int.check(Schema.isBetween({ minimum: 50, maximum: 600 })) },
    ({ calls, tokens }) =>
      Effect.gen(function*() {
        const limit = tokens / 12
        const budget = yield* Budget.make({ tokens, usd: limit, prices: price })
        let seen = TokenUsage.zero
        const within = Effect.map(budget.usage, (usage) => {
          assert.isAtMost(usage.tokens.totalTokens + usage.reserved.tokens, tokens)
          // Sums of fractions are not exact.
          assert.isAtMost(usage.cost + usage.reserved.cost, limit * (1 + 1e-9))
          assert.isAtLeast(usage.reserved.tokens, 0)
        })
        const fiber = yield* Effect.forkChild(Effect.forEach(calls, (call) => {
          const completion = Completion.make({ model: call.model, prompt: "Hello", maxTokens: call.maxTokens })
          const used = usage(Estimate.inputTokens(completion), Math.min(call.output, call.maxTokens))
          const ends: Record<typeof call.end, Outcome> = {
            Answer: Effect.sync(() => {
              seen = TokenUsage.add(seen, used)
              return answer(used, { model: call.model })
            }),
            Empty: Effect.suspend(() => {
              seen = TokenUsage.add(seen, used)
              return Effect.fail(
                failure("EmptyResponse", "NoContent", { partial: answer(used, { model: call.model }) })
              )
            }),
            Fail: Effect.fail(rateLimit),
            Leave: Effect.sync(() => {
              seen = TokenUsage.add(
                seen,
                call.streamed ? usage(used.inputTokens, 0) : usage(used.inputTokens, call.maxTokens)
              )
            }).pipe(Effect.andThen(Effect.interrupt))
          }
          const client = budget.apply(clientOf(() =>
            within.pipe(
              Effect.andThen(Effect.yieldNow),
              Effect.repeat({ times: call.pause }),
              Effect.andThen(ends[call.end])
            )
          ))
          const run: Effect.Effect<unknown, LLMError.LLMError> = call.streamed
            ? Stream.runDrain(client.stream(completion))
            : client.completion(completion)
          return Effect.andThen(Effect.exit(run), within)
        }, { concurrency: "unbounded" }))
        yield* Fiber.join(fiber)
        const end = yield* budget.usage
        assert.deepStrictEqual(end.tokens, seen)
        assert.deepStrictEqual(
          end.models.map(({ tokens }) => tokens).reduce(TokenUsage.add, TokenUsage.zero),
          end.tokens
        )
        assert.strictEqual(end.models.reduce((sum, { calls }) => sum + calls, 0), end.calls)
        assert.deepStrictEqual(end.reserved, { calls: 0, tokens: 0, cost: 0 })
      }),
    { arbitrary: { runs: 60 } }
  )
})

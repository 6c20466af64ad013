import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Fiber, Layer, Redacted, type Schema } from "effect"
import { Dimensions, EmbeddingModel } from "effect/ai/EmbeddingModel"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import * as Embeddings from "../src/Embeddings.ts"
import {
  Anthropic,
  Budget,
  CircuitBreaker,
  Completion,
  Fallback,
  Gemini,
  LLMClient,
  OpenAi,
  OpenRouter,
  ResponseCache,
  Retry,
  Router,
  Throttle
} from "../src/index.ts"
import { Simulator, TestLLM } from "../src/testing/index.ts"

const apiKey = Redacted.make("sk-test")

const providers = {
  openai: { layer: OpenAi.layer({ apiKey }), model: "text-embedding-3-small", size: 1536 },
  chat: { layer: OpenAi.layer({ apiKey, api: "chat" }), model: "text-embedding-3-large", size: 3072 },
  compatible: {
    layer: OpenAi.layer({ baseUrl: "http://localhost:8000/v1" }),
    model: "nomic-embed-text",
    size: 768
  },
  mistral: { layer: OpenAi.preset("mistral").layer({ apiKey }), model: "codestral-embed", size: 768 },
  openrouter: { layer: OpenRouter.layer({ apiKey }), model: "openai/text-embedding-3-small", size: 1536 },
  gemini: { layer: Gemini.layer({ apiKey }), model: "gemini-embedding-001", size: 3072 },
  gemini2: { layer: Gemini.layer({ apiKey }), model: "gemini-embedding-2", size: 3072 }
}

const names = Object.keys(providers) as ReadonlyArray<keyof typeof providers>

type Provider = Layer.Layer<LLMClient.LLMClient, never, HttpClient.HttpClient>

/** A provider over a simulator, and what that was asked. */
const over = Effect.fnUntraced(function*(layer: Provider, options?: Simulator.Options) {
  const simulator = yield* Simulator.make(options)
  const http = Layer.succeed(HttpClient.HttpClient, simulator.client)
  return { client: Layer.provide(layer, http), simulator }
})

/** As much of the bodies as the tests look at, of all providers. */
interface Body {
  readonly model: string
  readonly input: ReadonlyArray<string>
  readonly input_type?: string
  readonly dimensions?: number
  readonly output_dimension?: number
  readonly requests: ReadonlyArray<{
    readonly content: { readonly parts: ReadonlyArray<{ readonly text: string }> }
    readonly taskType?: string
    readonly outputDimensionality?: number
  }>
}

const bodies = (simulator: Simulator.Simulator) =>
  Effect.map(simulator.requests, (requests) => requests.map(({ body }) => body as unknown as Body))

const dot = (one: Embeddings.Vector, other: Embeddings.Vector): number =>
  one.reduce((sum, value, index) => sum + value * other[index]!, 0)

const texts = ["the red fox jumps", "a red fox", "interest rates of central banks"]

describe("Embeddings", () => {
  for (const name of names) {
    const { layer, model, size } = providers[name]

    it.effect(`${name}: gives a vector for each text, in their order`, () =>
      Effect.gen(function*() {
        const { client, simulator } = yield* over(layer)
        const { usage, vectors } = yield* Effect.provide(Embeddings.embedMany(texts, { model }), client)
        assert.deepStrictEqual(vectors.map(({ length }) => length), [size, size, size])
        for (const vector of vectors) assert.closeTo(dot(vector, vector), 1, 1e-4)
        assert.isAbove(dot(vectors[0]!, vectors[1]!), dot(vectors[0]!, vectors[2]!))
        if (name !== "gemini") assert.isAbove(usage.inputTokens, 10)
        const again = yield* Effect.provide(Embeddings.embedMany([texts[1]!], { model }), client)
        assert.deepStrictEqual(again.vectors[0], vectors[1])
        assert.strictEqual((yield* simulator.requests).length, 2)
      }))

    it.effect(`${name}: asks for dimensions, and gives vectors of length 1`, () =>
      Effect.gen(function*() {
        const { client, simulator } = yield* over(layer)
        const { vectors } = yield* Effect.provide(Embeddings.embedMany(texts, { model, dimensions: 64 }), client)
        for (const vector of vectors) {
          assert.strictEqual(vector.length, 64)
          assert.closeTo(dot(vector, vector), 1, 1e-4)
        }
        const [body] = (yield* bodies(simulator)) as [Body]
        const asked = body.dimensions ?? body.output_dimension ?? body.requests[0]!.outputDimensionality
        assert.strictEqual(asked, 64)
      }))

    it.effect(`${name}: keeps to the provider's limits of one request`, () =>
      Effect.gen(function*() {
        const { client, simulator } = yield* over(layer)
        const many = Array.from({ length: 300 }, (_, index) => `text ${index}`)
        const { vectors } = yield* Effect.provide(Embeddings.embedMany(many, { model, dimensions: 8 }), client)
        assert.strictEqual(vectors.length, 300)
        const [one] =
          (yield* Effect.provide(Embeddings.embedMany([many[299]!], { model, dimensions: 8 }), client)).vectors
        assert.deepStrictEqual(vectors[299], one)
        const requests = yield* simulator.requests
        assert.strictEqual(requests.length - 1, { openai: 1, chat: 1, mistral: 2 }[name as string] ?? 3)
      }))
  }

  it.effect("says what vectors are for in each provider's own way", () =>
    Effect.gen(function*() {
      const sent = Effect.fnUntraced(function*(name: keyof typeof providers, task: Embeddings.Task) {
        const { layer, model } = providers[name]
        const { client, simulator } = yield* over(layer)
        const { warnings = [] } = yield* Effect.provide(Embeddings.embedMany(["fox"], { model, task }), client)
        const [body] = (yield* bodies(simulator)) as [Body]
        return { body, warned: warnings.map(({ field }) => field) }
      })
      const gemini = yield* sent("gemini", "query")
      assert.strictEqual(gemini.body.requests[0]!.taskType, "RETRIEVAL_QUERY")
      assert.strictEqual(gemini.body.requests[0]!.content.parts[0]!.text, "fox")
      const gemini2 = yield* sent("gemini2", "query")
      assert.isUndefined(gemini2.body.requests[0]!.taskType)
      assert.strictEqual(gemini2.body.requests[0]!.content.parts[0]!.text, "task: search result | query: fox")
      const document = yield* sent("gemini2", "document")
      assert.strictEqual(document.body.requests[0]!.content.parts[0]!.text, "title: none | text: fox")
      assert.strictEqual((yield* sent("openrouter", "document")).body.input_type, "search_document")
      assert.deepStrictEqual((yield* sent("openai", "query")).warned, ["task"])
      assert.deepStrictEqual((yield* sent("mistral", "query")).warned, ["task"])
      assert.deepStrictEqual((yield* sent("openrouter", "factChecking")).warned, ["task"])
      assert.deepStrictEqual((yield* sent("gemini", "factChecking")).warned, [])
    }))

  it.effect("merges the caller's own parameters and headers", () =>
    Effect.gen(function*() {
      const { client, simulator } = yield* over(providers.openrouter.layer)
      const options = { model: "m", additionalParams: { provider: { sort: "price" } }, headers: { "x-tenant": "7" } }
      const { cost } = yield* Effect.provide(Embeddings.embedMany(["a"], options), client)
      const [request] = yield* simulator.requests
      assert.deepStrictEqual(request!.body!["provider"], { sort: "price" })
      assert.strictEqual(request!.headers["x-tenant"], "7")
      assert.isAbove(cost!, 0)
    }))

  it.effect("asks nobody about no texts, and takes the layer's model where none is named", () =>
    Effect.gen(function*() {
      const { client, simulator } = yield* over(OpenAi.layer({ apiKey, model: "text-embedding-3-small" }))
      const none = yield* Effect.provide(Embeddings.embedMany([]), client)
      assert.deepStrictEqual(none.vectors, [])
      assert.deepStrictEqual(yield* simulator.requests, [])
      yield* Effect.provide(Embeddings.embedMany(["a"]), client)
      assert.strictEqual((yield* bodies(simulator))[0]!.model, "text-embedding-3-small")
    }))
})

const long = "word ".repeat(8_000)

describe("texts that are refused", () => {
  for (const name of ["openai", "mistral"] as const) {
    it.effect(`${name}: a text that is too long is named`, () =>
      Effect.gen(function*() {
        const { layer, model } = providers[name]
        const { client } = yield* over(layer)
        // The long one stands in a later call, after others.
        const error = yield* Embeddings.embedMany(["a", "b", "c", long, "d"], { model, batch: { texts: 2 } }).pipe(
          Effect.provide(client),
          Effect.flip
        )
        if (error._tag !== "TextRefused") return assert.fail(String(error))
        assert.strictEqual(error.reason, "TooLong")
        assert.strictEqual(error.index, 3)
        assert.strictEqual(error.characters, 40_000)
        assert.strictEqual(error.error!.reason, "ContextWindow")
        assert.include(error.message, "text 3 is too long for the model (40000 characters)")
      }))
  }

  it.effect("finds the text that is too long where the server does not say which", () =>
    Effect.gen(function*() {
      const refusal: Simulator.Failure = {
        status: 400,
        body: { error: { message: "This model's maximum context length is 512 tokens. You requested 9000", code: 400 } }
      }
      const failures = [refusal, refusal, refusal]
      const { client, simulator } = yield* over(providers.compatible.layer, { failures })
      const error = yield* Embeddings.embedMany(["a", "b", "c", "d"], { model: "bge" }).pipe(
        Effect.provide(client),
        Effect.flip
      )
      assert.strictEqual(error._tag === "TextRefused" ? error.index : -1, 0)
      assert.deepStrictEqual((yield* bodies(simulator)).map(({ input }) => input), [
        ["a", "b", "c", "d"],
        ["a", "b"],
        ["a"]
      ])
    }))

  it.effect("sends what is too much at once in halves", () =>
    Effect.gen(function*() {
      // Far more tokens than an estimate by characters says.
      const { client, simulator } = yield* over(providers.mistral.layer)
      const options = { model: "codestral-embed", dimensions: 8, batch: { texts: 1000, tokens: 1_000_000 } }
      const many = Array.from({ length: 600 }, (_, index) => `text ${index}`)
      const { vectors } = yield* Effect.provide(Embeddings.embedMany(many, options), client)
      assert.strictEqual(vectors.length, 600)
      assert.deepStrictEqual((yield* bodies(simulator)).map(({ input }) => input.length), [
        600,
        300,
        150,
        150,
        300,
        150,
        150
      ])
    }))

  it.effect("an empty text is named before anything is sent", () =>
    Effect.gen(function*() {
      const { client, simulator } = yield* over(providers.openai.layer)
      const error = yield* Effect.flip(Effect.provide(Embeddings.embedMany(["a", ""], { model: "m" }), client))
      assert.strictEqual(error.message, "TextRefused: text 1 is empty")
      assert.deepStrictEqual(yield* simulator.requests, [])
    }))

  it.effect("dimensions that the model does not keep are a failure, not other vectors", () =>
    Effect.gen(function*() {
      const body = { data: [{ index: 0, embedding: [1, 0, 0] }] }
      const { client } = yield* over(providers.compatible.layer, { failures: [{ status: 200, body }] })
      const error = yield* Effect.flip(
        Effect.provide(Embeddings.embedMany(["a"], { model: "m", dimensions: 2 }), client)
      )
      assert.include(error.message, "2 dimensions were requested, but the model returns 3")
      assert.strictEqual(error._tag === "ClientError" && error.reason, "Unsupported")
    }))

  const odd: ReadonlyArray<readonly [what: string, body: Schema.Json]> = [
    ["fewer vectors than texts", { data: [{ index: 0, embedding: [1] }] }],
    ["a place that is taken twice", { data: [{ index: 0, embedding: [1] }, { index: 0, embedding: [1] }] }],
    ["vectors of different lengths", { data: [{ index: 0, embedding: [1] }, { index: 1, embedding: [1, 2] }] }],
    ["what is no number", { data: [{ index: 0, embedding: [null] }, { index: 1, embedding: [1] }] }],
    ["bytes that are no numbers", { data: [{ index: 0, embedding: "AAA=" }, { index: 1, embedding: "AAA=" }] }],
    ["no data", {}]
  ]
  for (const [what, body] of odd) {
    it.effect(`an answer with ${what} is malformed`, () =>
      Effect.gen(function*() {
        const { client } = yield* over(providers.compatible.layer, { failures: [{ status: 200, body }] })
        const error = yield* Effect.flip(Effect.provide(Embeddings.embedMany(["a", "b"], { model: "m" }), client))
        assert.strictEqual(error.reason, "Malformed")
      }))
  }

  it.effect("places of an answer decide, not its order; without them the order does", () =>
    Effect.gen(function*() {
      const failures = [
        { status: 200, body: { data: [{ index: 1, embedding: [2] }, { index: 0, embedding: [1] }] } },
        { status: 200, body: { data: [{ embedding: [1] }, { embedding: [2] }] } }
      ]
      const { client } = yield* over(providers.compatible.layer, { failures })
      const embed = Effect.provide(Embeddings.embedMany(["a", "b"], { model: "m" }), client)
      assert.deepStrictEqual((yield* embed).vectors, [[1], [2]])
      assert.deepStrictEqual((yield* embed).vectors, [[1], [2]])
    }))
})

describe("failures", () => {
  it.effect("are those of completions", () =>
    Effect.gen(function*() {
      for (const name of names) {
        const { layer, model } = providers[name]
        const failures: Simulator.Options["failures"] = [
          { _tag: "RateLimit", retryAfter: "7 seconds" },
          { _tag: "ServerError", status: 503 },
          { _tag: "Reset", afterEvents: 0 },
          { _tag: "MalformedJson", afterEvents: 0 }
        ]
        const { client } = yield* over(layer, { failures })
        const failing = Effect.flip(Effect.provide(Embeddings.embedMany(["a"], { model }), client))
        const limited = yield* failing
        assert.strictEqual(limited._tag, "RateLimit", name)
        assert.deepStrictEqual(limited._tag === "RateLimit" && limited.retryAfter, Duration.seconds(7), name)
        assert.strictEqual((yield* failing).reason, "Overloaded", name)
        assert.strictEqual((yield* failing).reason, "Network", name)
        assert.strictEqual((yield* failing).reason, "Malformed", name)
        const unknown = yield* Effect.flip(
          Effect.provide(Embeddings.embedMany(["a"], { model: "does-not-exist" }), client)
        )
        if (name !== "openrouter") assert.strictEqual(unknown.reason, "NotFound", name)
      }
    }))

  it.effect("a provider without embeddings refuses before anything is sent", () =>
    Effect.gen(function*() {
      const { client, simulator } = yield* over(Anthropic.layer({ apiKey }))
      const error = yield* Effect.flip(Effect.provide(Embeddings.embedMany(["a"], { model: "m" }), client))
      assert.strictEqual(error.reason, "Unsupported")
      assert.deepStrictEqual(yield* simulator.requests, [])
    }))

  it.effect("a client that answers with words makes no embeddings", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.provide(Embeddings.embedMany(["a"]), TestLLM.layer(["Hello"])))
      assert.include(error.message, "makes no embeddings")
    }))

  it.effect("the total clock ends a call that takes too long, and the request with it", () =>
    Effect.gen(function*() {
      const layer = OpenAi.layer({ apiKey, timeouts: { total: "20 seconds" } })
      const { client, simulator } = yield* over(layer, { failures: [{ _tag: "Stall", afterEvents: 0 }] })
      const fiber = yield* Effect.forkChild(
        Effect.flip(Effect.provide(Embeddings.embedMany(["a"], { model: "m" }), client))
      )
      yield* TestClock.adjust("21 seconds")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error.reason, "Timeout")
      assert.strictEqual(yield* simulator.cancelled, 1)
    }))

  it.effect("no key is shown", () =>
    Effect.gen(function*() {
      const layer = OpenAi.layer({ apiKey: Redacted.make("sk-secret-1234567890") })
      const body = { error: { message: "Incorrect API key provided: sk-secret-1234567890" } }
      const { client } = yield* over(layer, { failures: [{ status: 401, body }] })
      const error = yield* Effect.flip(Effect.provide(Embeddings.embedMany(["a"], { model: "m" }), client))
      assert.strictEqual(error.reason, "Authentication")
      assert.notInclude(JSON.stringify(error), "1234567890")
    }))
})

describe("middleware", () => {
  const model = "text-embedding-3-small"

  const through = <R>(
    middleware: Layer.Layer<LLMClient.LLMClient, never, LLMClient.LLMClient | R>,
    options?: Simulator.Options
  ) =>
    Effect.map(over(providers.openai.layer, options), ({ client, simulator }) => ({
      client: Layer.provide(middleware, client),
      simulator
    }))

  it.effect("Retry waits as long as the provider asks, and sends again", () =>
    Effect.gen(function*() {
      const failures: Simulator.Options["failures"] = [{ _tag: "RateLimit", retryAfter: "7 seconds" }]
      const { client, simulator } = yield* through(Retry.layer(), { failures })
      const fiber = yield* Effect.forkChild(Effect.provide(Embeddings.embedMany(["a"], { model }), client))
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual((yield* simulator.requests).length, 1)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).vectors.length, 1)
      assert.strictEqual((yield* simulator.requests).length, 2)
    }))

  it.effect("Throttle counts texts as input tokens, and calls by the minute", () =>
    Effect.gen(function*() {
      const { client, simulator } = yield* through(Throttle.layer({ inputTokensPerMinute: 1000 }))
      const embed = Embeddings.embedMany(["x".repeat(3000)], { model })
      const fiber = yield* Effect.forkChild(Effect.provide(Effect.andThen(embed, embed), client))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* simulator.requests).length, 1)
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      assert.strictEqual((yield* simulator.requests).length, 2)
    }))

  it.effect("Budget reserves and settles what texts cost", () =>
    Effect.gen(function*() {
      const budget = yield* Budget.make({ tokens: 1000, usd: 1, unknownPrice: { input: 2, output: 0 } })
      const { client, simulator } = yield* through(Budget.layer(budget))
      yield* Effect.provide(Embeddings.embedMany(["x".repeat(2400)], { model }), client)
      const { cost, models, reserved, tokens } = yield* budget.usage
      // The provider's own count, not the estimate.
      assert.strictEqual(tokens.totalTokens, 600)
      assert.closeTo(cost, 0.0012, 1e-9)
      assert.deepStrictEqual(models.map(({ model }) => model), [model])
      assert.deepStrictEqual(reserved, { calls: 0, tokens: 0, cost: 0 })
      const error = yield* Effect.flip(Effect.provide(Embeddings.embedMany(["x".repeat(2400)], { model }), client))
      assert.strictEqual(error.reason, "Budget")
      assert.strictEqual((yield* simulator.requests).length, 1)
    }))

  it.effect("CircuitBreaker opens on failures of embeddings", () =>
    Effect.gen(function*() {
      const failures = Array.from({ length: 10 }, (): Simulator.Failure => ({ _tag: "ServerError", status: 500 }))
      const { client, simulator } = yield* through(CircuitBreaker.layer(), { failures })
      const embed = Effect.exit(Embeddings.embedMany(["a"], { model }))
      const exits = yield* Effect.provide(Effect.replicateEffect(embed, 12), client)
      assert.isTrue(exits.every(Exit.isFailure))
      assert.strictEqual((yield* simulator.requests).length, 10)
    }))

  it.effect("ResponseCache lets embeddings through", () =>
    Effect.gen(function*() {
      const { client, simulator } = yield* through(ResponseCache.layer())
      const embed = Embeddings.embedMany(["a"], { model })
      const [one, two] = yield* Effect.provide(Effect.all([embed, embed], { concurrency: 2 }), client)
      assert.deepStrictEqual(one.vectors, two.vectors)
      assert.strictEqual((yield* simulator.requests).length, 2)
    }))

  it.effect("Router and Fallback lead to the provider of the model", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.make({ failures: [{ _tag: "ServerError", status: 500 }] })
      const client = Router.layer({
        "text-*": Fallback.layer([
          OpenAi.layer({ apiKey }),
          OpenAi.layer({ apiKey, baseUrl: "https://mirror.example/v1" })
        ]),
        "gemini-*": Gemini.layer({ apiKey })
      }).pipe(Layer.provide(Layer.succeed(HttpClient.HttpClient, simulator.client)))
      const sizes = yield* Effect.forEach([model, "gemini-embedding-001"], (model) =>
        Effect.map(Embeddings.embedMany(["a"], { model }), ({ vectors }) => vectors[0]!.length)).pipe(
          Effect.provide(client)
        )
      assert.deepStrictEqual(sizes, [1536, 3072])
      const hosts = (yield* simulator.requests).map(({ url }) =>
        new URL(url).hostname
      )
      assert.deepStrictEqual(hosts, ["api.openai.com", "mirror.example", "generativelanguage.googleapis.com"])
    }))

  it.effect("completions beside embeddings stay completions", () =>
    Effect.gen(function*() {
      const { client } = yield* over(OpenAi.layer({ apiKey, model: "gpt-4.1-mini" }))
      const answer = yield* Effect.gen(function*() {
        yield* Embeddings.embedMany(["a"], { model })
        return yield* LLMClient.completion(Completion.make({ prompt: "Hi" }))
      }).pipe(Effect.provide(client))
      assert.include(answer.text, "Simulated answer")
    }))
})

describe("EmbeddingModel", () => {
  const model = "text-embedding-3-small"

  const modelOver = Effect.fnUntraced(
    function*(options: Embeddings.Options, simulated?: Simulator.Options, from: Provider = providers.openai.layer) {
      const { client, simulator } = yield* over(from, simulated)
      const context = yield* Layer.build(Layer.provide(Embeddings.layer(options), client))
      return { model: Context.get(context, EmbeddingModel), simulator }
    }
  )

  it.effect("calls of embed that run at the same time are one request", () =>
    Effect.gen(function*() {
      const { model: embedding, simulator } = yield* modelOver({ model })
      const vectors = yield* Effect.forEach(texts, (text) => embedding.embed(text), { concurrency: "unbounded" })
      assert.strictEqual((yield* simulator.requests).length, 1)
      const { embeddings, usage } = yield* embedding.embedMany(texts)
      assert.deepStrictEqual(embeddings.map(({ vector }) => vector), vectors.map(({ vector }) => vector))
      assert.strictEqual(usage.inputTokens, 16)
    }))

  it.effect("a text that is too long fails its own call alone", () =>
    Effect.gen(function*() {
      const { model: embedding } = yield* modelOver({ model })
      const exits = yield* Effect.forEach(["a", long, "", "b"], (text) => Effect.exit(embedding.embed(text)), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(exits.map(({ _tag }) => _tag), ["Success", "Failure", "Failure", "Success"])
      const error = yield* Effect.flip(embedding.embed(long))
      assert.strictEqual(error.reason._tag, "InvalidRequestError")
      assert.isFalse(error.isRetryable)
      const failure = Embeddings.failureOf(error)
      assert.strictEqual(failure._tag === "TextRefused" && failure.reason, "TooLong")
    }))

  it.effect("embedMany says which text is too long", () =>
    Effect.gen(function*() {
      const { model: embedding } = yield* modelOver({ model })
      const error = yield* Effect.flip(embedding.embedMany(["a", "b", long]))
      assert.strictEqual(error.reason._tag === "InvalidRequestError" ? error.reason.parameter : "", "input[2]")
      const failure = Embeddings.failureOf(error)
      assert.strictEqual(failure._tag === "TextRefused" ? failure.index : -1, 2)
    }))

  it.effect("failures are retryable as ours are, and keep what failed", () =>
    Effect.gen(function*() {
      const failures: Simulator.Options["failures"] = [
        { _tag: "RateLimit", retryAfter: "7 seconds" },
        { _tag: "ServerError", status: 500 },
        { _tag: "Reset", afterEvents: 0 }
      ]
      const { model: embedding } = yield* modelOver({ model }, { failures })
      const limited = yield* Effect.flip(embedding.embed("a"))
      assert.strictEqual(limited.reason._tag, "RateLimitError")
      assert.deepStrictEqual(limited.retryAfter, Duration.seconds(7))
      for (const reason of ["Server", "Network"]) {
        const error = yield* Effect.flip(embedding.embed("a"))
        assert.isTrue(error.isRetryable)
        assert.strictEqual(Embeddings.failureOf(error).reason, reason)
      }
      const { model: keyless } = yield* modelOver({ model }, undefined, OpenAi.layer({}))
      const refused = yield* Effect.flip(keyless.embedMany(["a"]))
      assert.strictEqual(refused.reason._tag, "AuthenticationError")
      assert.isFalse(refused.isRetryable)
    }))

  it.effect("one model embeds documents and questions", () =>
    Effect.gen(function*() {
      const options = { model: "gemini-embedding-001", task: "document" } as const
      const { model: embedding, simulator } = yield* modelOver(options, undefined, providers.gemini.layer)
      yield* Effect.all([embedding.embed("a"), Embeddings.task("query")(embedding.embed("b")), embedding.embed("c")], {
        concurrency: "unbounded"
      })
      yield* Embeddings.task("query")(embedding.embedMany(["d"]))
      const sent = (yield* bodies(simulator)).map(({ requests }) =>
        requests.map((request) => [request.content.parts[0]!.text, request.taskType])
      )
      assert.sameDeepMembers(sent, [
        [["a", "RETRIEVAL_DOCUMENT"], ["c", "RETRIEVAL_DOCUMENT"]],
        [["b", "RETRIEVAL_QUERY"]],
        [["d", "RETRIEVAL_QUERY"]]
      ])
    }))

  it.effect("gives its dimensions where they are set", () =>
    Effect.gen(function*() {
      const { client } = yield* over(providers.openai.layer)
      const size = yield* Effect.provide(
        Dimensions,
        Layer.provide(Embeddings.layer({ model, dimensions: 256 }), client)
      )
      assert.strictEqual(size, 256)
    }))

  it.effect("one layer over two providers is two models", () =>
    Effect.gen(function*() {
      const layer = Embeddings.layer({ dimensions: 8 })
      const http = Layer.succeed(HttpClient.HttpClient, (yield* Simulator.make()).client)
      const build = (from: Provider) =>
        Layer.build(Layer.provide(layer, Layer.provide(from, http))).pipe(
          Effect.map((context) => Context.get(context, EmbeddingModel))
        )
      const both = yield* Effect.forEach(
        [OpenAi.layer({ apiKey, model }), Gemini.layer({ apiKey, model: "gemini-embedding-001" })],
        build
      )
      assert.notStrictEqual(both[0], both[1])
    }))

  it.effect("options that cannot be kept are a defect that names them", () =>
    Effect.gen(function*() {
      const { client } = yield* over(providers.openai.layer)
      for (
        const options of [{ dimensions: 0 }, { batch: { texts: 0.5 } }, { dimension: 3 }, {
          concurrency: -1
        }] as ReadonlyArray<object>
      ) {
        const exit = yield* Effect.exit(Effect.scoped(Layer.build(Layer.provide(Embeddings.layer(options), client))))
        assert.include(String(Exit.isFailure(exit) && exit.cause), `Embeddings ${Object.keys(options)[0]}`)
      }
    }))
})

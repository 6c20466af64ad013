/** A whole answer that is read from a stream underneath is the one that comes in one piece. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as CompletionPart from "../../src/CompletionPart.ts"
import {
  Anthropic,
  Completion,
  type CompletionResponse,
  Gemini,
  LLMClient,
  LLMError,
  Message,
  OpenAi,
  OpenRouter,
  Retry,
  Tool
} from "../../src/index.ts"
import type { CommonOptions } from "../../src/Provider.ts"
import * as Simulator from "../../src/testing/Simulator.ts"
import { server as anthropic } from "../../src/wire/anthropic/wire.ts"
import { openAiServer, openRouterServer } from "../../src/wire/chat/wire.ts"
import { server as gemini } from "../../src/wire/gemini/wire.ts"
import { server as responses } from "../../src/wire/responses/wire.ts"
import type { Server } from "../../src/wire/Wire.ts"
import { apis, available, isStream, recordings, skipped } from "../conformance/corpus.ts"
import { differences, record } from "../conformance/json.ts"
import { full, sample } from "../effort.ts"

const apiKey = Redacted.make("sk-0123456789")

type Whole = NonNullable<CommonOptions["whole"]>

const layerOf = {
  "anthropic-messages": (whole: Whole) => Anthropic.layer({ apiKey, whole }),
  "openai-chat": (whole: Whole) => OpenAi.layer({ apiKey, whole, api: "chat" }),
  "openai-responses": (whole: Whole) => OpenAi.layer({ apiKey, whole }),
  "openrouter-chat": (whole: Whole) => OpenRouter.layer({ apiKey, whole }),
  "openai-compatible-chat": (whole: Whole) =>
    OpenAi.layer({ apiKey, whole, baseUrl: "https://llm.example.com/v1", name: "openai" }),
  "gemini-generate-content": (whole: Whole) => Gemini.layer({ apiKey, whole })
} as const

const servers: Readonly<Record<keyof typeof layerOf, Server>> = {
  "anthropic-messages": anthropic,
  "openai-chat": openAiServer,
  "openai-responses": responses,
  "openrouter-chat": openRouterServer,
  "openai-compatible-chat": openAiServer,
  "gemini-generate-content": gemini
}

/** An HTTP client that answers as it is told to, and what it was asked: whether for a stream, each time. */
const answering = (respond: (streamed: boolean) => readonly [status: number, body: string]) => {
  const asked: Array<boolean> = []
  const bodies: Array<string> = []
  const client = HttpClient.make((request, url) =>
    Effect.sync(() => {
      const body = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
      bodies.push(body)
      const streamed = record(JSON.parse(body))["stream"] === true || url.pathname.endsWith(":streamGenerateContent")
      asked.push(streamed)
      const [status, text] = respond(streamed)
      return HttpClientResponse.fromWeb(request, new Response(text, { status }))
    })
  )
  return { asked, bodies, layer: Layer.succeed(HttpClient.HttpClient, client) }
}

type Outcome = Result.Result<CompletionResponse.CompletionResponse, LLMError.LLMError>

const answerOf = (result: Outcome) => Result.isSuccess(result) ? result.success : result.failure.partial

const encodeError = Schema.encodeSync(LLMError.LLMError)

// A server that writes an answer again gives ids of its own where there were none, or none that may go back, and puts
// reasoning where it always does; that a text is a refusal is not known before it is over.
const places: ReadonlySet<string> = new Set(["field", "format", "index", "metadata"])

const own = (key: string, value: unknown): unknown =>
  (key === "id" && typeof value === "string" && (Message.isMintedId(value) || value.startsWith("rs_")))
    || (key === "signature" && value === JSON.stringify({ type: "refusal" }))
    || places.has(key)
    ? undefined
    : value

const plain = (result: Outcome): unknown => {
  if (Result.isSuccess(result)) return JSON.parse(JSON.stringify(result.success, own))
  // The text of the body is each body's own.
  const { body: _, ...error } = JSON.parse(JSON.stringify(encodeError(result.failure), own)) as Record<string, unknown>
  return error
}

// What a server does not write again is absent; nothing is there besides.
const otherMetadata = (unary: Outcome, streamed: Outcome): ReadonlyArray<string> => {
  const expected = record(answerOf(unary)?.metadata)
  return Object.entries(record(answerOf(streamed)?.metadata)).flatMap(([provider, said]) =>
    Object.entries(record(said)).flatMap(([key, value]) =>
      differences(record(expected[provider])[key], value, `.metadata.${provider}.${key}`)
    )
  )
}

describe("over recorded answers", () => {
  if (!available) it.skip(skipped, () => {})
  else {
    for (const api of [...apis, "openai-responses"] as const) {
      it.effect(`${api}: equal in everything`, () =>
        Effect.gen(function*() {
          const found: Array<string> = []
          let count = 0
          for (const { exchanges, id } of sample(3, recordings(api))) {
            for (const [index, exchange] of exchanges.entries()) {
              const { request, response } = exchange
              if (isStream(exchange) || response.status !== 200) continue
              const headers = {}
              const ask = Completion.make({ prompt: "Hi", model: "m" })
              const unary = yield* Effect.result(LLMClient.completion(ask)).pipe(
                Effect.provide(
                  Layer.provide(layerOf[api]("unary"), answering(() => [200, response.body]).layer)
                )
              )
              const answer = answerOf(unary)
              // What is no answer to the question that this test asks.
              if (answer === undefined || answer.choice.length === 0) continue
              const server = servers[api]
              const path = request.path.replace(/^\/v1(beta)?(?=\/)/, "")
              const asked = Result.getOrUndefined(server.decode({ body: request.body, headers, path }))
              if (asked === undefined) continue
              const encoder = server.stream({ ...asked, streamed: true, usage: true, thoughts: true }, {
                seed: "s",
                created: 1_800_000_000
              })
              const body = CompletionPart.fromResponse(answer).flatMap(encoder.part).join("")
              const streamed = yield* Effect.result(LLMClient.completion(ask)).pipe(
                Effect.provide(Layer.provide(layerOf[api]("stream"), answering(() => [200, body]).layer))
              )
              count++
              const lines = [...differences(plain(unary), plain(streamed)), ...otherMetadata(unary, streamed)]
              found.push(...lines.map((line) => `${id} #${index} ${line}`))
            }
          }
          assert.deepStrictEqual(found, [])
          assert.isAbove(count, full ? 50 : 15)
        }))
    }
  }
})

describe("over the Simulator", () => {
  const weather = Tool.make("weather", {
    description: "The weather.",
    parameters: Schema.Struct({ city: Schema.String })
  })
  const questions = {
    "a text": Completion.make({ prompt: "Why is the sky blue?" }),
    "a call": Completion.make({ prompt: "The weather?", tools: [weather] }),
    "a form": Completion.make({
      prompt: "Rome?",
      outputSchema: {
        type: "object",
        properties: { a: { type: "string" } },
        required: ["a"],
        additionalProperties: false
      }
    }),
    "an answer that is cut": Completion.make({ prompt: "Tell me everything", maxTokens: 16 })
  }
  const models = {
    "anthropic-messages": "claude-opus-5-5",
    "openai-chat": "gpt-4.1",
    "openai-responses": "gpt-6",
    "openrouter-chat": "anthropic/claude-opus-5.5",
    "gemini-generate-content": "gemini-4-pro"
  } as const

  for (const [api, model] of Object.entries(models) as ReadonlyArray<[keyof typeof models, string]>) {
    for (const [what, question] of Object.entries(questions)) {
      it.effect(`${api}: ${what}`, () =>
        Effect.gen(function*() {
          const run = (whole: Whole) =>
            Effect.result(LLMClient.completion(Completion.model(model)(question))).pipe(
              Effect.provide(Layer.provide(layerOf[api](whole), Simulator.layer()))
            )
          const unary = yield* run("unary")
          const streamed = yield* run("stream")
          const said = (result: Outcome) => {
            const answer = answerOf(result)
            return {
              error: Result.isFailure(result) ? [result.failure._tag, result.failure.reason] : undefined,
              text: answer?.text,
              calls: answer?.toolCalls.map(({ arguments: args, name }) => [name, args]),
              finish: answer?.finishReason,
              usage: { ...answer?.usage }
            }
          }
          assert.deepStrictEqual(said(streamed), said(unary))
          assert.isAbove(said(unary).usage.outputTokens ?? 0, 0)
        }))
    }
  }
})

// ---------------------------------------------------------------------------------------------------------------------
// When
// ---------------------------------------------------------------------------------------------------------------------

const chatAnswer = JSON.stringify({
  id: "1",
  model: "m",
  choices: [{ message: { content: "Hello" }, finish_reason: "stop" }]
})

const chunk = (fields: object) => `data: ${JSON.stringify({ id: "1", model: "m", ...fields })}\n\n`

const chatStream = chunk({ choices: [{ delta: { content: "Hel" } }] })
  + chunk({ choices: [{ delta: { content: "lo" }, finish_reason: "stop" }] }) + "data: [DONE]\n\n"

const hi = Completion.make({ prompt: "Hi", model: "m" })

describe("a stream is read underneath", () => {
  const elsewhere = { apiKey, baseUrl: "https://llm.example.com/v1" } as const
  const cases = [
    ["at the vendor's own address", OpenAi.layer({ apiKey, api: "chat" }), hi, true],
    ["not elsewhere", OpenAi.layer(elsewhere), hi, false],
    ["elsewhere on request", OpenAi.layer({ ...elsewhere, whole: "stream" }), hi, true],
    ["nowhere on request", OpenAi.layer({ apiKey, api: "chat", whole: "unary" }), hi, false],
    ["not for a short answer", OpenAi.layer({ apiKey, api: "chat" }), Completion.maxTokens(1024)(hi), false],
    ["for one that is longer", OpenAi.layer({ apiKey, api: "chat" }), Completion.maxTokens(1025)(hi), true],
    [
      "for a short answer on request",
      OpenAi.layer({ apiKey, api: "chat", whole: "stream" }),
      Completion.maxTokens(16)(hi),
      true
    ],
    [
      "not where the caller's own parameters say so",
      OpenAi.layer({ apiKey, api: "chat" }),
      Completion.additionalParams({ stream: false })(hi),
      false
    ]
  ] as const
  for (const [where, layer, completion, streams] of cases) {
    it.effect(where, () =>
      Effect.gen(function*() {
        const { asked, layer: http } = answering((streamed) => [200, streamed ? chatStream : chatAnswer])
        const answer = yield* Effect.provide(LLMClient.completion(completion), Layer.provide(layer, http))
        assert.strictEqual(answer.text, "Hello")
        assert.deepStrictEqual(asked, [streams])
      }))
  }

  it.effect("for an answer of any length while a fallback is ready", () =>
    Effect.gen(function*() {
      const { asked, layer } = answering((streamed) => [200, streamed ? chatStream : chatAnswer])
      const short = LLMClient.completion(Completion.maxTokens(16)(hi)).pipe(
        Effect.provide(Layer.provide(OpenAi.layer(elsewhere), layer))
      )
      yield* Effect.provideService(short, LLMClient.Patience, { waiting: 10_000, firstByte: 12_000 })
      yield* Effect.provideService(short, LLMClient.Patience, { waiting: Infinity, firstByte: Infinity })
      assert.deepStrictEqual(asked, [true, false])
    }))

  it.effect("and a server that answers whole all the same is understood", () =>
    Effect.gen(function*() {
      const { asked, layer } = answering(() => [200, chatAnswer])
      const answer = yield* Effect.provide(
        LLMClient.completion(hi),
        Layer.provide(OpenAi.layer({ apiKey, api: "chat" }), layer)
      )
      assert.strictEqual(answer.text, "Hello")
      assert.deepStrictEqual(asked, [true])
    }))
})

describe("a server that does not stream", () => {
  const refusal = JSON.stringify({
    error: { message: "Streaming is not supported here", type: "invalid_request_error" }
  })

  it.effect("is asked again, whole, and that is remembered; a call of stream is not changed", () =>
    Effect.gen(function*() {
      const { asked, bodies, layer } = answering((streamed) => streamed ? [400, refusal] : [200, chatAnswer])
      yield* Effect.gen(function*() {
        assert.strictEqual((yield* LLMClient.completion(hi)).text, "Hello")
        assert.deepStrictEqual(asked, [true, false])
        assert.strictEqual((yield* LLMClient.completion(hi)).text, "Hello")
        assert.deepStrictEqual(asked, [true, false, false])
        const error = yield* Effect.flip(Stream.runDrain(LLMClient.stream(hi)))
        assert.deepInclude(error, { _tag: "ClientError", status: 400 })
        assert.deepStrictEqual(asked, [true, false, false, true])
        assert.notInclude(bodies[1], "stream")
      }).pipe(Effect.provide(Layer.provide(OpenAi.layer({ apiKey, api: "chat" }), layer)))
    }))

  it.effect("is remembered only once it has answered: a 400 about something else may mention streams, too", () =>
    Effect.gen(function*() {
      const { asked, layer } = answering((streamed) =>
        asked.length <= 2 || !streamed ? [400, refusal] : [200, chatStream]
      )
      yield* Effect.gen(function*() {
        yield* Effect.flip(LLMClient.completion(hi))
        assert.deepStrictEqual(asked, [true, false])
        assert.strictEqual((yield* LLMClient.completion(hi)).text, "Hello")
        assert.deepStrictEqual(asked, [true, false, true])
      }).pipe(Effect.provide(Layer.provide(OpenAi.layer({ apiKey, api: "chat" }), layer)))
    }))

  it.effect("is recognized by its words: another 400 stays a failure, and nothing is sent twice", () =>
    Effect.gen(function*() {
      const wrong = JSON.stringify({ error: { message: "temperature is wrong", type: "invalid_request_error" } })
      const { asked, layer } = answering(() => [400, wrong])
      const error = yield* Effect.flip(LLMClient.completion(hi)).pipe(
        Effect.provide(Layer.provide(OpenAi.layer({ apiKey, api: "chat" }), layer))
      )
      assert.deepInclude(error, { _tag: "ClientError", reason: "InvalidRequest" })
      assert.deepStrictEqual(asked, [true])
    }))
})

it.effect("a stream that breaks off under a completion is sent again, at any point", () =>
  Effect.gen(function*() {
    const bodies = [chatStream.slice(0, 40), chatStream.slice(0, chatStream.indexOf("\n\n") + 2), chatStream]
    let sent = 0
    const { layer } = answering(() => [200, bodies[sent++]!])
    const fiber = yield* LLMClient.completion(hi).pipe(
      Effect.provide(
        Retry.layer().pipe(Layer.provide(OpenAi.layer({ apiKey, api: "chat" })), Layer.provide(layer))
      ),
      Effect.forkChild({ startImmediately: true })
    )
    yield* TestClock.adjust("1 minute")
    const answer = yield* Fiber.join(fiber)
    assert.strictEqual(answer.text, "Hello")
    assert.deepStrictEqual(answer.attempts?.map(({ reason }) => reason), ["Truncated", "Truncated"])
    assert.strictEqual(sent, 3)
  }))

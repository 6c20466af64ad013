import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import {
  Anthropic,
  Completion,
  type CompletionPart,
  CompletionResponse,
  Gemini,
  LLMClient,
  type LLMError,
  Message,
  OpenAi,
  OpenRouter
} from "../../src/index.ts"

const apiKey = Redacted.make("sk-a-key-of-some-length")
const layers = {
  anthropic: Anthropic.layer({ apiKey, model: "m" }),
  openai: OpenAi.layer({ apiKey, api: "chat", model: "m" }),
  gemini: Gemini.layer({ apiKey, model: "m" }),
  openrouter: OpenRouter.layer({ apiKey, model: "m" })
}
const providers = Object.keys(layers) as Array<keyof typeof layers>
const question = Completion.make({ prompt: "Hi" })

/** Runs an effect with a client whose server answers this. */
const against = (
  layer: Layer.Layer<LLMClient.LLMClient, never, HttpClient.HttpClient>,
  body: BodyInit,
  init: ResponseInit = {}
) => {
  let asked = 0
  const http = HttpClient.make((request) =>
    Effect.sync(() => {
      asked++
      return HttpClientResponse.fromWeb(request, new Response(body, { status: 200, ...init }))
    })
  )
  const provided = Layer.provide(layer, Layer.succeed(HttpClient.HttpClient, http))
  return {
    answer: Effect.provide(Effect.result(LLMClient.completion(question)), provided),
    failure: Effect.provide(Effect.flip(LLMClient.completion(question)), provided),
    parts: Effect.provide(Stream.runCollect(LLMClient.stream(question)), provided),
    streamFailure: Effect.provide(Effect.flip(Stream.runDrain(LLMClient.stream(question))), provided),
    run: (completion: Completion.Completion) => Effect.provide(Effect.flip(LLMClient.completion(completion)), provided),
    asked: () => asked
  }
}

const deep = (levels: number): string => "[".repeat(levels) + "]".repeat(levels)

const kind = (error: LLMError.LLMError): string => `${error._tag} ${error.reason}`

const events = (...data: ReadonlyArray<unknown>): string =>
  data.map((item) => `data: ${typeof item === "string" ? item : JSON.stringify(item)}\n\n`).join("")

describe("a body that is nested too deeply to walk through", () => {
  for (const provider of providers) {
    it.effect(`is a failure that ${provider} may have, not a defect`, () =>
      Effect.gen(function*() {
        const error = yield* against(layers[provider], `{"error":{"message":"x","z":${deep(20_000)}}}`, { status: 500 })
          .failure
        assert.strictEqual(kind(error), "Transient Server")
        assert.include(error.body, "too deep")
        const partial = yield* against(
          layers[provider],
          `{"error":{"message":"x"},"choices":[{"message":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":${
            JSON.stringify(`{"a":${deep(20_000)}}`)
          }}}]}}]}`
        ).failure
        assert.strictEqual(kind(partial), "Transient Server")
      }))
  }

  it.effect("ends a stream with a typed failure", () =>
    Effect.gen(function*() {
      const body = (rest: string) =>
        `data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"a":${
          deep(20_000)
        }}}}]}${rest}}]}\n\n`
      const failure = (rest: string) => Effect.map(against(layers.gemini, body(rest)).streamFailure, kind)
      assert.strictEqual(yield* failure(""), "Transient Truncated")
      assert.strictEqual(yield* failure(`,"finishReason":"STOP"`), "EmptyResponse MalformedToolCall")
    }))
})

it.effect("names of built-in object properties are not a defect", () =>
  Effect.gen(function*() {
    const body =
      `{"content":[{"type":"tool_use","id":"1","name":{"toString":1},"partial_json":"{"}],"stop_reason":"end_turn"}`
    assert.strictEqual(kind(yield* against(layers.anthropic, body).failure), "EmptyResponse NoContent")
    assert.strictEqual(kind(yield* against(layers.anthropic, body).streamFailure), "EmptyResponse NoContent")
  }))

describe("a failure as long as a book", () => {
  it.effect("is cut, and shows no part of a key at the cut", () =>
    Effect.gen(function*() {
      const text = Redacted.value(apiKey).repeat(200_000)
      const error = yield* against(layers.openai, JSON.stringify({ error: { message: text } }), { status: 500 }).failure
      assert.isAtMost(error.description.length, 8192)
      assert.isAtMost(error.body?.length ?? 0, 8192)
      assert.notInclude(JSON.stringify(error), "sk-a-key")
    }))
})

describe("headers and options that cannot be sent", () => {
  for (
    const [name, layer, word] of [
      ["a title with other than Latin letters", OpenRouter.layer({ apiKey, title: "Café – ☕" }), "x-openrouter-title"],
      ["a header with a line break", OpenAi.layer({ apiKey, headers: { "x-a": "b\nc" } }), "x-a"],
      ["a header with a blank in its name", OpenAi.layer({ apiKey, headers: { "bad name": "b" } }), "bad name"],
      [
        "a timeout that is not a duration",
        OpenAi.layer({ apiKey, timeouts: { total: "soon" as "1 second" } }),
        "timeouts.total"
      ],
      ["a negative timeout", OpenAi.layer({ apiKey, timeouts: { progress: -1 } }), "timeouts.progress"]
    ] as const
  ) {
    it.effect(`${name}: a defect of the layer, which says what is wrong`, () =>
      Effect.gen(function*() {
        const { answer, asked } = against(layer, "{}")
        const exit = yield* Effect.exit(answer)
        assert(Exit.isFailure(exit) && Cause.hasDies(exit.cause) && !Cause.hasFails(exit.cause))
        assert.include(String(Cause.squash(exit.cause)), word)
        assert.strictEqual(asked(), 0)
      }))
  }

  it.effect("a header of a request: the same", () =>
    Effect.gen(function*() {
      const { asked, run } = against(layers.openai, "{}")
      const error = yield* run(Completion.headers({ "x-a": "☕" })(question))
      assert.strictEqual(kind(error), "ClientError InvalidRequest")
      assert.strictEqual(asked(), 0)
    }))
})

it.effect("a key in the path of a base URL is not shown", () =>
  Effect.gen(function*() {
    const layer = OpenAi.layer({ baseUrl: "https://gateway.test/sk-path-secret-0123/v1", apiKey, model: "m" })
    const error = yield* against(layer, "Cannot POST /sk-path-secret-0123/v1/chat/completions", { status: 404 }).failure
    assert.notInclude(JSON.stringify(error), "sk-path-secret-0123")
  }))

it.effect("numbers that JSON can write and not keep do not make an answer that cannot be stored", () =>
  Effect.gen(function*() {
    const body =
      `{"choices":[{"finish_reason":"stop","message":{"content":"Hi","reasoning_details":[{"type":"reasoning.text",`
      + `"text":"x","index":0.5}]}}],"usage":{"prompt_tokens":1e999,"cost":1e999}}`
    const answer = yield* against(layers.openrouter, body).answer
    const encoded = yield* Schema.encodeEffect(CompletionResponse.CompletionResponse)(yield* Effect.fromResult(answer))
    const stored: unknown = JSON.parse(JSON.stringify(encoded))
    const again = yield* Schema.decodeUnknownEffect(CompletionResponse.CompletionResponse)(stored)
    assert.strictEqual(again.text, "Hi")
  }))

describe("a stream", () => {
  it.effect("whose error event has a flat body fails by the body", () =>
    Effect.gen(function*() {
      const flat = (data: string) => against(layers.openai, `event: error\ndata: ${data}\n\n`).streamFailure
      assert.strictEqual(kind(yield* flat(`{"message":"rate limit reached"}`)), "RateLimit Unknown")
      assert.strictEqual(kind(yield* flat(`{"type":"overloaded_error","message":"busy"}`)), "Transient Overloaded")
    }))

  it.effect("whose body is an array with an error fails by the error", () =>
    Effect.gen(function*() {
      const body = JSON.stringify([{ error: { code: 503, message: "busy", status: "UNAVAILABLE" } }])
      assert.strictEqual(kind(yield* against(layers.gemini, body).streamFailure), "Transient Overloaded")
    }))

  it.effect("that is a whole answer of several megabytes is that answer", () =>
    Effect.gen(function*() {
      const bytes = new TextEncoder().encode(
        JSON.stringify({ choices: [{ finish_reason: "stop", message: { content: "x".repeat(3_000_000) } }] })
      )
      const chunks = Array.from({ length: 48 }, (_, i) => bytes.subarray(i * 65_536, (i + 1) * 65_536))
      const parts = yield* against(
        layers.openai,
        new ReadableStream({
          start: (controller) => {
            for (const chunk of chunks) controller.enqueue(chunk)
            controller.close()
          }
        })
      ).parts
      const last = parts.at(-1)
      assert.strictEqual(last?._tag === "Finish" ? last.response.text.length : 0, 3_000_000)
    }))

  it.effect("of calls without ids keeps them apart", () =>
    Effect.gen(function*() {
      const call = (name: string) => ({ function: { name, arguments: `{"of":"${name}"}` } })
      const parts = yield* against(
        layers.openai,
        events(
          { choices: [{ delta: { tool_calls: [call("a"), call("b")] } }] },
          { choices: [{ delta: {}, finish_reason: "tool_calls" }] },
          "[DONE]"
        )
      ).parts
      const last = parts.at(-1)
      assert.deepStrictEqual(
        last?._tag === "Finish" ? last.response.toolCalls.map((call) => [call.name, call.arguments]) : [],
        [["a", { of: "a" }], ["b", { of: "b" }]]
      )
    }))

  it.effect("keeps citations and sound that can be stored", () =>
    Effect.gen(function*() {
      const stored = (parts: ReadonlyArray<CompletionPart.CompletionPart>) => {
        const last = parts.at(-1)
        assert(last?._tag === "Finish")
        return JSON.stringify(Schema.encodeSync(CompletionResponse.CompletionResponse)(last.response))
      }
      const cited = yield* against(
        layers.anthropic,
        events(
          { type: "content_block_start", index: 0, content_block: { type: "text", text: "a" } },
          { type: "content_block_delta", index: 0, delta: { type: "citations_delta" } },
          { type: "content_block_delta", index: 0, delta: { type: "citations_delta", citation: { at: 1 } } },
          { type: "message_delta", delta: { stop_reason: "end_turn" } },
          { type: "message_stop" }
        )
      ).parts
      assert.include(stored(cited), `"citations":[{"at":1}]`)
      const spoken = yield* against(
        layers.openai,
        events(
          `{"choices":[{"delta":{"audio":{"id":"1","__proto__":{"a":1}}}}]}`,
          { choices: [{ delta: { audio: { data: "AA" } }, finish_reason: "stop" }] },
          "[DONE]"
        )
      ).parts
      assert.include(stored(spoken), `{"audio":{"id":"1","__proto__":{"a":1},"data":"AA"}}`)
    }))

  it.effect("counts no call that has no name", () =>
    Effect.gen(function*() {
      const parts = yield* against(
        layers.openai,
        events(
          { choices: [{ delta: { tool_calls: [{ index: 0, id: "a", function: { arguments: "{}" } }] } }] },
          { choices: [{ delta: { tool_calls: [{ index: 1, id: "b", function: { name: "f", arguments: "{}" } }] } }] },
          { choices: [{ delta: {}, finish_reason: "tool_calls" }] }
        )
      ).parts
      // The index of what is not shown stays free.
      const [index] = parts.flatMap((part) => part._tag === "ToolCallStart" ? [part.index] : [])
      assert(index !== undefined)
      assert.deepStrictEqual(parts.slice(1, -1), [
        { _tag: "ToolCallStart", index, id: "b", name: "f" },
        { _tag: "ToolCallDelta", index, arguments: "{}" },
        { _tag: "ContentEnd", index, content: Message.toolCall({ id: "b", name: "f", arguments: {} }) }
      ])
    }))

  it.effect("whose arguments come before the name of the call passes on all of them", () =>
    Effect.gen(function*() {
      const delta = (made: object) => ({ choices: [{ delta: { tool_calls: [{ index: 0, function: made }] } }] })
      const parts = yield* against(
        layers.openai,
        events(
          delta({ arguments: '{"a"' }),
          delta({ name: "f", arguments: ":1}" }),
          { choices: [{ delta: {}, finish_reason: "tool_calls" }] }
        )
      ).parts
      assert.deepStrictEqual(
        parts.flatMap((part) => part._tag === "ToolCallDelta" ? [part.arguments] : []).join(""),
        '{"a":1}'
      )
    }))

  it.effect("that is done without a turn holds nothing", () =>
    Effect.gen(function*() {
      const body = events({ id: "x", choices: [] }, "[DONE]")
      assert.strictEqual(kind(yield* against(layers.openai, body).streamFailure), "EmptyResponse NoContent")
    }))
})

it.effect("ids that Anthropic refuses are written in its letters, the same in call and result", () =>
  Effect.gen(function*() {
    let sent = ""
    const http = HttpClient.make((request) =>
      Effect.sync(() => {
        sent = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
        return HttpClientResponse.fromWeb(request, new Response("{}"))
      })
    )
    const call = Message.toolCall({ id: "functions.w:0", name: "w", arguments: {} })
    yield* LLMClient.completion(Completion.make({
      history: [Message.user("a"), Message.assistant(call, { provider: "openrouter" })],
      prompt: Message.user(Message.toolResult({ ...call, content: "b" }))
    })).pipe(
      Effect.exit,
      Effect.provide(Layer.provide(layers.anthropic, Layer.succeed(HttpClient.HttpClient, http)))
    )
    const [, id] = /"type":"tool_use","id":"([a-zA-Z0-9_-]+)"/.exec(sent) ?? []
    assert.isDefined(id)
    assert.include(sent, `"tool_use_id":"${id}"`)
  }))

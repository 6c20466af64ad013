import Anthropic from "@anthropic-ai/sdk"
import { assert, describe, it } from "@effect/vitest"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import OpenAI from "openai"
import * as Completion from "../../src/Completion.ts"
import type * as LLMClient from "../../src/LLMClient.ts"
import * as Simulator from "../../src/testing/Simulator.ts"
import * as Tool from "../../src/Tool.ts"
import { hear, passing, type Service, services, simulated } from "./simulated.ts"

const tool = (name: string) =>
  Tool.make(name, {
    description: `Does ${name}`,
    parameters: Schema.Struct({ city: Schema.String, unit: Schema.Literals(["celsius", "kelvin"]), days: Schema.Int })
  })

const questions = {
  text: Completion.make({ prompt: "Why is the sky blue?" }),
  tools: Completion.make({ prompt: "Use get_weather", tools: [tool("get_weather")] }),
  "parallel tools": Completion.make({ prompt: "Ask alpha and beta", tools: [tool("alpha"), tool("beta")] }),
  "a cut text": Completion.make({ prompt: "Why is the sky blue?", maxTokens: 3 }),
  "a cut tool call": Completion.make({ prompt: "Use get_weather", tools: [tool("get_weather")], maxTokens: 3 }),
  "a tool call after which it is cut": Completion.make({
    prompt: "Ask alpha and beta",
    tools: [tool("alpha"), tool("beta")],
    maxTokens: 15
  }),
  "a stop sequence": Completion.make({ prompt: "Why is the sky blue?", stopSequences: [" sky"] }),
  "a stop sequence at the start": Completion.make({ prompt: "Why is the sky blue?", stopSequences: ["Simulated"] }),
  "structured output": Completion.make({
    prompt: "Invent something",
    outputSchema: Schema.Struct({ name: Schema.String, tags: Schema.Array(Schema.String) })
  }),
  "every plane of Unicode": Completion.make({ prompt: "naïve — Ω 空気 🌌👩🏽‍🚀 \u{10ffff} \u2028 \r\n end" })
} satisfies Record<string, Completion.Completion>

/** Ids that are minted are minted alike. */
const seeded = Random.withSeed("stream")

const viaStream = (client: LLMClient.Service, completion: Completion.Completion) =>
  client.stream(completion).pipe(
    Stream.runLast,
    Effect.map((last) => last._tag === "Some" && last.value._tag === "Finish" ? last.value.response : undefined),
    Effect.result,
    seeded
  )

const viaCall = (client: LLMClient.Service, completion: Completion.Completion) =>
  client.completion(completion).pipe(Effect.result, seeded)

const table = services.flatMap((provider) =>
  Object.entries(questions).map(([name, question]) => [provider, name, question] as const)
)

describe("Simulator: streams", () => {
  it.effect.each(table)(
    "%s: %s ends with the answer of the call without streaming",
    ([provider, , question]) =>
      Effect.gen(function*() {
        const { client, simulator } = yield* simulated(provider)
        const [whole, streamed] = [yield* viaCall(client, question), yield* viaStream(client, question)]
        assert.deepStrictEqual(streamed, whole)
        // An answer is read to its end, so that its connection can be used again.
        if (streamed._tag === "Success") assert.strictEqual(yield* simulator.cancelled, 0)
      })
  )

  it.effect.prop(
    "any text streams as it is",
    { provider: Schema.Literals(services), text: Schema.NonEmptyString.check(Schema.isPattern(/\S/)) },
    ({ provider, text }) =>
      Effect.gen(function*() {
        const { client } = yield* simulated(provider)
        const question = Completion.make({ prompt: text })
        const { error, parts } = yield* hear(client, question)
        const whole = yield* viaCall(client, question)
        assert.isUndefined(error)
        assert.deepStrictEqual(
          whole._tag === "Success" && whole.success.text,
          parts.map((part) => part._tag === "TextDelta" ? part.text : "").join("")
        )
      }),
    { arbitrary: { runs: 50 } }
  )
})

interface Shape {
  readonly url: string
  readonly headers?: { readonly [name: string]: string }
  readonly body: { readonly [key: string]: unknown }
}

const messages = [{ role: "user", content: "Say 空" }]
const chat = { model: "gpt-4.1-mini", messages, stream: true }
const withUsage = { ...chat, stream_options: { include_usage: true } }

const shapes = {
  anthropic: {
    url: "http://localhost/v1/messages",
    headers: { "anthropic-version": "2023-06-01" },
    body: { model: "claude-sonnet-4-6", messages, max_tokens: 100, stream: true }
  },
  openai: { url: "http://localhost/v1/chat/completions", body: withUsage },
  responses: {
    url: "http://localhost/v1/responses",
    body: { model: "gpt-4.1-mini", input: [{ role: "user", content: "Say 空" }], stream: true }
  },
  openrouter: { url: "http://localhost/openrouter/api/v1/chat/completions", body: chat },
  gemini: {
    url: "http://localhost/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
    body: { contents: [{ role: "user", parts: [{ text: "Say 空" }] }] }
  }
} satisfies Record<Service, Shape>

const respondTo = ({ body, headers = {}, url }: Shape, failure?: Simulator.Failure) =>
  Simulator.respond({ method: "POST", url: new URL(url), headers, body: JSON.stringify(body) }, { failure })

const bodyOf = (shape: Shape) => respondTo(shape).body.join("")

/** The data of every event, parsed where it is JSON. */
const dataOf = (body: string): ReadonlyArray<Record<string, unknown> | string> =>
  [...body.matchAll(/^data: (.*?)\r?$/gm)].map(([, data = ""]) =>
    data.startsWith("{") ? JSON.parse(data) as Record<string, unknown> : data
  )

describe("Simulator: how each provider streams", () => {
  it("anthropic names its events and pings", () => {
    const body = bodyOf(shapes.anthropic)
    const names = [...body.matchAll(/^event: (.*)$/gm)].map(([, name]) => name)
    assert.deepStrictEqual(Arr.dedupeAdjacent(names), [
      "message_start",
      "content_block_start",
      "ping",
      "content_block_delta",
      "content_block_stop",
      "message_delta",
      "message_stop"
    ])
    assert.deepStrictEqual(dataOf(body).map((data) => typeof data === "string" ? data : data["type"]), names)
  })

  it("openai begins with the role, sends the usage where it was asked for, and says that it is done", () => {
    const chunks = dataOf(bodyOf(shapes.openai))
    assert.include(JSON.stringify(chunks[0]), `"delta":{"role":"assistant","content":"","refusal":null}`)
    assert.deepInclude(chunks.at(-2), { choices: [] })
    assert.strictEqual(chunks.at(-1), "[DONE]")
    assert.notInclude(bodyOf({ ...shapes.openai, body: chat }), "usage")
  })

  it("openrouter comments, and says the finish reason twice", () => {
    const body = bodyOf(shapes.openrouter)
    assert.isTrue(body.startsWith(": OPENROUTER PROCESSING\n\n"))
    assert.lengthOf(body.match(/"finish_reason":"stop"/g) ?? [], 2)
    assert.lengthOf(body.match(/"usage":/g) ?? [], 1)
    assert.isTrue(body.endsWith("data: [DONE]\n\n"))
  })

  it("gemini ends its lines with CRLF, counts as it goes, and just ends", () => {
    const body = bodyOf(shapes.gemini)
    assert.notMatch(body, /[^\r]\n|DONE/)
    const chunks = dataOf(body).map((chunk) => JSON.stringify(chunk))
    const counts = chunks.map((chunk) => Number(/"candidatesTokenCount":(\d+)/.exec(chunk)?.[1]))
    assert.deepStrictEqual(counts, [...counts].sort((a, b) => a - b))
    assert.deepStrictEqual(
      chunks.map((chunk) => chunk.includes("finishReason")),
      chunks.map((_, n) => n === chunks.length - 1)
    )
  })

  it("gemini wants alt=sse for its stream", () => {
    const { body, status } = respondTo({ ...shapes.gemini, url: shapes.gemini.url.replace("?alt=sse", "") })
    assert.strictEqual(status, 400)
    assert.include(body.join(""), "alt=sse")
  })

  it.effect("brings a body in chunks that end within characters and line ends", () =>
    Effect.gen(function*() {
      const { client } = yield* Simulator.make()
      const { body, url } = shapes.gemini
      const response = yield* client.execute(HttpClientRequest.bodyJsonUnsafe(HttpClientRequest.post(url), body))
      const chunks = yield* Stream.runCollect(response.stream)
      const starts = chunks.slice(1).map((chunk) => chunk[0] ?? 0)
      assert.strictEqual(Buffer.concat(chunks).toString(), bodyOf(shapes.gemini))
      assert.isTrue(starts.some((byte) => (byte & 0xc0) === 0x80), "within a character")
      assert.isTrue(
        chunks.slice(1).some((chunk, index) => chunk[0] === 0x0a && chunks[index]?.at(-1) === 0x0d),
        "between CR and LF"
      )
    }))

  it("says the same twice", () => {
    for (const provider of services) assert.deepStrictEqual(respondTo(shapes[provider]), respondTo(shapes[provider]))
  })
})

// The simulator as the official clients know a network.
const fetchSimulated: typeof fetch = (input, init) => {
  const { body, headers, status } = Simulator.respond({
    method: init?.method ?? "GET",
    url: new URL(String(input)),
    headers: Object.fromEntries(new Headers(init?.headers)),
    body: String(init?.body)
  })
  return Promise.resolve(new Response(body.join(""), { status, headers }))
}

describe("Simulator: the official clients read its streams", () => {
  const options = { apiKey: "sk-test", fetch: fetchSimulated }
  const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] } as const

  it("anthropic", async () => {
    const stream = new Anthropic(options).messages.stream({
      model: "claude-sonnet-4-6",
      max_tokens: 100,
      messages: [{ role: "user", content: "Use get_weather" }],
      tools: [{ name: "get_weather", input_schema: { ...schema, required: ["city"] } }]
    })
    const { content, stop_reason } = await stream.finalMessage()
    assert.strictEqual(stop_reason, "tool_use")
    assert.deepInclude(content[0], { type: "tool_use", name: "get_weather", input: { city: "city" } })
  })

  it("openai", async () => {
    const stream = new OpenAI(options).chat.completions.stream({
      model: "gpt-4.1-mini",
      messages: [{ role: "user", content: "Use get_weather" }],
      tools: [{ type: "function", function: { name: "get_weather", parameters: schema } }],
      stream_options: { include_usage: true }
    })
    const { choices, usage } = await stream.finalChatCompletion()
    assert.strictEqual(choices[0]?.finish_reason, "tool_calls")
    assert.deepInclude(choices[0]?.message.tool_calls?.[0], { type: "function" })
    assert.isAbove(usage?.completion_tokens ?? 0, 0)
  })
})

const hello = Completion.make({ prompt: "Hello" })

describe.each(services)("Simulator: failures of %s", (provider) => {
  it.effect("fails before a stream as it does without one", () =>
    Effect.gen(function*() {
      const failures = [{ _tag: "RateLimit", retryAfter: "3 seconds" }, { _tag: "ServerError", status: 503 }] as const
      const [streams, calls] = [yield* simulated(provider, { failures }), yield* simulated(provider, { failures })]
      for (const _ of failures) {
        const heard = yield* hear(streams.client, hello)
        assert.deepStrictEqual(heard.parts, [])
        assert.deepStrictEqual(heard.error, yield* Effect.flip(calls.client.completion(hello)))
      }
    }))

  it.effect("streams an answer that says nothing", () =>
    Effect.gen(function*() {
      const { client } = yield* simulated(provider, { failures: [{ _tag: "Empty" }] })
      const { error, parts } = yield* hear(client, hello)
      assert.deepStrictEqual(parts, [])
      assert.strictEqual(error?._tag, "EmptyResponse")
    }))

  it.effect.each(
    [
      ["StreamError", "Server"],
      ["Cut", "Malformed"],
      ["Reset", "Network"],
      ["Stall", "Timeout"],
      ["MalformedJson", "Malformed"]
    ] as const
  )("knows %s without streaming too, and an answer as one event", ([_tag, reason]) =>
    Effect.gen(function*() {
      const { client } = yield* simulated(provider, { failures: [{ _tag, afterEvents: 0 }] })
      const error = yield* passing(Effect.flip(client.completion(hello)))
      assert.strictEqual(error.reason, reason)
      const { text } = yield* client.completion(hello)
      assert.strictEqual(text, `Simulated answer to: "Hello"`)
    }))

  it.effect("sees a stream given up by the reader", () =>
    Effect.gen(function*() {
      const { client, simulator } = yield* simulated(provider)
      yield* Stream.runDrain(Stream.take(client.stream(hello), 1))
      assert.strictEqual(yield* simulator.cancelled, 1)
    }))

  it.effect("sees a stalled stream interrupted, and a stalled call", () =>
    Effect.gen(function*() {
      const { client, simulator } = yield* simulated(provider, {
        failures: [{ _tag: "Stall", afterEvents: 2 }, { _tag: "Stall", afterEvents: 0 }]
      })
      const interrupted = [Stream.runDrain(client.stream(hello)), Effect.asVoid(client.completion(hello))]
      for (const [index, effect] of interrupted.entries()) {
        const fiber = yield* Effect.forkChild(effect)
        yield* TestClock.adjust("30 seconds")
        assert.isUndefined(fiber.pollUnsafe())
        assert.strictEqual(yield* simulator.cancelled, index)
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(yield* simulator.cancelled, index + 1)
      }
    }))

  it.effect("lets the clock for the whole answer run out", () =>
    Effect.gen(function*() {
      const { client, simulator } = yield* simulated(provider, {
        failures: [{ _tag: "Stall", afterEvents: 2 }],
        timeouts: { bytes: "1 hour", firstPart: "1 hour", progress: "1 hour", total: "10 minutes" }
      })
      const { error } = yield* passing(hear(client, hello))
      assert.strictEqual(error?.description, "total timeout after 10m")
      assert.strictEqual(yield* simulator.cancelled, 1)
    }))
})

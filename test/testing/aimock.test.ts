/** Servers by others against our services: aimock plays each of the four, and spoils its answers. */
import { type ChaosConfig, LLMock } from "@copilotkit/aimock"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Completion from "../../src/Completion.ts"
import * as LLMClient from "../../src/LLMClient.ts"
import type { LLMError } from "../../src/LLMError.ts"
import * as Message from "../../src/Message.ts"
import type { CommonOptions } from "../../src/Provider.ts"
import * as Tool from "../../src/Tool.ts"
import { hear, layers, type Service, services } from "./simulated.ts"

const paths = { anthropic: "", openai: "/v1", responses: "/v1", openrouter: "/api/v1", gemini: "" } satisfies Record<
  Service,
  string
>

/** An aimock of its own, and a provider's real layer over the network of this machine. */
const mocked = Effect.fnUntraced(function*(
  provider: Service,
  timeouts?: CommonOptions["timeouts"]
) {
  const mock = new LLMock({ host: "127.0.0.1", port: 0, logLevel: "silent", chunkSize: 5 })
  const url = yield* Effect.acquireRelease(
    Effect.promise(() => mock.start()),
    () => Effect.promise(() => mock.stop())
  )
  const context = yield* Layer.build(
    layers[provider]({ baseUrl: `${url}${paths[provider]}`, ...timeouts !== undefined && { timeouts } }).pipe(
      Layer.provide(NodeHttpClient.layerUndici)
    )
  )
  return { mock, client: Context.get(context, LLMClient.LLMClient) }
})

const text = "Because of Rayleigh scattering: 空は青い 🌌"
const question = Completion.make({ prompt: "Why is the sky blue?" })

const verdict = (error: LLMError | undefined) => `${error?._tag} · ${error?.reason}`

/** What a call without a stream and a stream fail with. */
const failures = (client: LLMClient.Service) =>
  Effect.gen(function*() {
    const whole = yield* Effect.flip(client.completion(question))
    const { error } = yield* hear(client, question)
    return [verdict(whole), verdict(error)]
  })

describe.concurrent.each(services)("%s, as aimock plays it", (provider) => {
  it.live("completes and streams a text", () =>
    Effect.gen(function*() {
      const { client, mock } = yield* mocked(provider)
      mock.onMessage(/sky/, { content: text })
      const whole = yield* client.completion(question)
      assert.strictEqual(whole.text, text)
      assert.strictEqual(whole.finishReason._tag, "Stop")
      const { error, parts } = yield* hear(client, question)
      assert.isUndefined(error)
      assert.strictEqual(parts.map((part) => part._tag === "TextDelta" ? part.text : "").join(""), text)
      const last = parts.at(-1)
      assert.strictEqual(last?._tag === "Finish" && last.response.text, text)
    }))

  it.live.each([false, true])("goes a whole round with two tools, streamed: %s", (streamed) =>
    Effect.gen(function*() {
      const { client, mock } = yield* mocked(provider)
      mock.on({ userMessage: "weather", hasToolResult: false }, {
        toolCalls: [
          { name: "get_weather", arguments: { city: "Paris" } },
          { name: "get_weather", arguments: { city: "東京" } }
        ]
      })
      mock.on({ hasToolResult: true }, { content: "Mild." })
      const ask = (completion: Completion.Completion) =>
        streamed
          ? Effect.flatMap(hear(client, completion), ({ error, parts }) => {
            const last = parts.at(-1)
            return last?._tag === "Finish" ? Effect.succeed(last.response) : Effect.die(error)
          })
          : client.completion(completion)
      const tools = [Tool.make("get_weather", {
        description: "The weather of a city",
        parameters: Schema.Struct({ city: Schema.String })
      })]
      const prompt = Message.user("What is the weather?")
      const first = yield* ask(Completion.make({ prompt, tools }))
      assert.strictEqual(first.finishReason._tag, "ToolUse")
      assert.deepStrictEqual(first.toolCalls.map((call) => call.arguments), [{ city: "Paris" }, { city: "東京" }])
      const results = first.toolCalls.map(({ id, name }) =>
        ({ _tag: "ToolResult", id, name, content: [{ _tag: "Text", text: "18 degrees" }] }) as const
      )
      const last = yield* ask(Completion.make({
        history: [prompt, first.message],
        prompt: Message.user(results),
        tools
      }))
      assert.strictEqual(last.text, "Mild.")
    }))

  it.live.each(
    [
      [400, "invalid_request_error", "ClientError · InvalidRequest"],
      [401, "authentication_error", "ClientError · Authentication"],
      [403, "permission_error", "ClientError · Permission"],
      [404, "not_found_error", "ClientError · NotFound"],
      [429, "rate_limit_error", "RateLimit · Unknown"],
      [500, "server_error", "Transient · Server"],
      [503, "overloaded_error", "Transient · Overloaded"],
      [529, "overloaded_error", "Transient · Overloaded"]
    ] as const
  )("fails with status %s, %s: %s", ([status, type, expected]) =>
    Effect.gen(function*() {
      const { client, mock } = yield* mocked(provider)
      mock.onMessage(/sky/, { error: { message: "It does not work", type }, status })
      assert.deepStrictEqual(yield* failures(client), [expected, expected])
    }))

  it.live("takes the hint of a rate limit", () =>
    Effect.gen(function*() {
      const { client, mock } = yield* mocked(provider)
      mock.onMessage(/sky/, { error: { message: "Slow down" }, status: 429, retryAfter: 7 })
      const error = yield* Effect.flip(client.completion(question))
      assert.strictEqual(error.retryAfter && Duration.toSeconds(error.retryAfter), 7)
    }))

  it.live("knows a stream that is cut, which aimock does by destroying the socket", () =>
    Effect.gen(function*() {
      const { client, mock } = yield* mocked(provider)
      // Responses says more before the first text.
      const truncateAfterChunks = provider === "responses" ? 8 : 4
      mock.onMessage(/sky/, { content: text }, { truncateAfterChunks, latency: 5 })
      const { error, parts } = yield* hear(client, question)
      assert.strictEqual(verdict(error), "Transient · Network")
      const heard = parts.map((part) => part._tag === "TextDelta" ? part.text : "").join("")
      assert.isTrue(heard !== "" && heard !== text && text.startsWith(heard))
      assert.strictEqual(error?.partial?.text, heard)
    }))

  it.live("knows a connection that breaks amid a stream", () =>
    Effect.gen(function*() {
      const { client, mock } = yield* mocked(provider)
      mock.onMessage(/sky/, { content: text.repeat(20) }, { disconnectAfterMs: 400, latency: 10 })
      const { error, parts } = yield* hear(client, question)
      assert.strictEqual(verdict(error), "Transient · Network")
      assert.isAbove(parts.length, 0)
    }))

  it.live("gives up a stream that is slower than its clock", () =>
    Effect.gen(function*() {
      const { client, mock } = yield* mocked(provider, {
        firstPart: "5 seconds",
        progress: "50 millis",
        total: "5 seconds"
      })
      mock.onMessage(/sky/, { content: text }, { latency: 200 })
      const slow = yield* hear(client, question)
      assert.strictEqual(slow.error?.description, "progress timeout after 50ms")
    }))

  it.live("gives up an answer that does not begin", () =>
    Effect.gen(function*() {
      const { client, mock } = yield* mocked(provider, {
        firstPart: "50 millis",
        progress: "5 seconds",
        total: "100 millis"
      })
      mock.onMessage(/sky/, { content: text })
      mock.setChaos({ latencyMs: 500 })
      const { error } = yield* hear(client, question)
      assert.strictEqual(error?.description, "firstPart timeout after 50ms")
      const whole = yield* Effect.flip(client.completion(question))
      assert.strictEqual(whole.description, "total timeout after 100ms")
    }))

  it.live("leaves a stream when its reader does", () =>
    Effect.gen(function*() {
      const { client, mock } = yield* mocked(provider)
      mock.onMessage(/sky/, { content: text })
      const parts = yield* Stream.runCollect(Stream.take(client.stream(question), 1))
      assert.lengthOf(parts, 1)
    }))

  it.live.each<[string, ChaosConfig, string]>([
    ["dropped requests", { dropRate: 1 }, "Transient · Server"],
    ["malformed answers", { malformedRate: 1 }, "Transient · Malformed"],
    ["rate limits", { rateLimitRate: 1 }, "RateLimit · Unknown"],
    ["broken connections", { disconnectRate: 1 }, "Transient · Network"]
  ])("names what chaos does: %s", ([, chaos, expected]) =>
    Effect.gen(function*() {
      const { client, mock } = yield* mocked(provider)
      mock.onMessage(/sky/, { content: text })
      mock.setChaos(chaos)
      assert.deepStrictEqual(yield* failures(client), [expected, expected])
      mock.clearChaos()
      assert.strictEqual((yield* client.completion(question)).text, text)
    }))
})

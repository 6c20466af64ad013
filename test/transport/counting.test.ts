import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { HttpClient } from "effect/http"
import * as Anthropic from "../../src/Anthropic.ts"
import * as Completion from "../../src/Completion.ts"
import * as Estimate from "../../src/Estimate.ts"
import * as Fallback from "../../src/Fallback.ts"
import * as LLMClient from "../../src/LLMClient.ts"
import * as Message from "../../src/Message.ts"
import * as OpenAi from "../../src/OpenAi.ts"
import * as Retry from "../../src/Retry.ts"
import * as Simulator from "../../src/testing/Simulator.ts"
import * as Throttle from "../../src/Throttle.ts"
import * as Tool from "../../src/Tool.ts"
import { layers, type Service, simulated } from "../testing/simulated.ts"

const counts = ["anthropic", "gemini", "responses"] as const satisfies ReadonlyArray<Service>

const apiKey = Redacted.make("sk-test")

const full = Completion.make({
  preamble: "You are a weather service.",
  history: [
    Message.user("And in Oslo?"),
    Message.assistant([Message.toolCall({ id: "call_1", name: "weather", arguments: { city: "Oslo" } })]),
    Message.user([Message.toolResult({ id: "call_1", name: "weather", content: "rain" })]),
    Message.assistant("It rains in Oslo.")
  ],
  prompt: "And in Rome?",
  tools: [
    Tool.make("weather", {
      description: "The weather",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] }
    })
  ],
  toolChoice: { _tag: "Auto" },
  maxTokens: 100,
  temperature: 0.5,
  topP: 0.9,
  reasoning: { effort: "none" }
})

const over = Effect.fnUntraced(
  function*(layer: Layer.Layer<LLMClient.LLMClient, never, HttpClient.HttpClient>, options?: Simulator.Options) {
    const simulator = yield* Simulator.make(options)
    return { simulator, client: Layer.provide(layer, Layer.succeed(HttpClient.HttpClient, simulator.client)) }
  }
)

describe("countTokens", () => {
  for (const service of counts) {
    it.effect(`${service}: counts what the same completion is billed for`, () =>
      Effect.gen(function*() {
        const { client, simulator } = yield* simulated(service)
        for (const completion of [Completion.make({ prompt: "Why is the sky blue?" }), full]) {
          const count = yield* client.countTokens!(completion)
          const { usage } = yield* client.completion(completion)
          assert.strictEqual(count, usage.inputTokens)
        }
        assert.strictEqual((yield* simulator.requests).length, 4)
      }))

    it.effect(`${service}: takes the caller's own parameters along`, () =>
      Effect.gen(function*() {
        const { client, simulator } = yield* simulated(service)
        const completion = Completion.make({
          prompt: "Hi",
          headers: { "x-tenant": "7" },
          additionalParams: { tools: [], ...service === "gemini" ? {} : { metadata: { user_id: "7" } } }
        })
        yield* client.countTokens!(completion)
        const [request] = yield* simulator.requests
        assert.strictEqual(request!.headers["x-tenant"], "7")
      }))

    it.effect(`${service}: fails as completions do`, () =>
      Effect.gen(function*() {
        const failures: Simulator.Options["failures"] = [
          { _tag: "RateLimit", retryAfter: "3 seconds" },
          { _tag: "ServerError", status: 500 },
          { _tag: "Cut", afterEvents: 0 },
          { status: 200, body: {} }
        ]
        const { client } = yield* simulated(service, { failures })
        const reasons = yield* Effect.replicateEffect(
          Effect.map(Effect.flip(client.countTokens!(Completion.make({ prompt: "Hi" }))), ({ _tag, reason }) =>
            `${_tag} ${reason}`),
          4
        )
        assert.match(reasons[0]!, /^RateLimit/)
        assert.deepStrictEqual(reasons.slice(1), ["Transient Server", "Transient Malformed", "Transient Malformed"])
      }))
  }

  it.effect("refuses what could not be sent as a completion either", () =>
    Effect.gen(function*() {
      const { client, simulator } = yield* simulated("anthropic")
      const error = yield* Effect.flip(client.countTokens!(Completion.make({ prompt: Message.user([]) })))
      assert.strictEqual(error.reason, "InvalidRequest")
      assert.deepStrictEqual(yield* simulator.requests, [])
    }))

  it.effect("is not there where the provider does not count", () =>
    Effect.gen(function*() {
      for (const service of ["openai", "openrouter"] as const) {
        assert.isUndefined((yield* simulated(service)).client.countTokens)
      }
    }))
})

describe("LLMClient.countTokens", () => {
  it.effect("asks the provider, through all middleware", () =>
    Effect.gen(function*() {
      const { client, simulator } = yield* over(Fallback.layer([layers.anthropic({}), layers.gemini({})]))
      const careful = Layer.provide(LLMClient.compose(Retry.layer(), Throttle.layer({ concurrency: 1 })), client)
      const count = yield* Effect.provide(LLMClient.countTokens(full), careful)
      assert.isAbove(count, 50)
      const [request] = yield* simulator.requests
      assert.match(request!.url, /\/v1\/messages\/count_tokens$/)
    }))

  it.effect("estimates where the provider does not count", () =>
    Effect.gen(function*() {
      const { client, simulator } = yield* over(layers.openai({}))
      assert.strictEqual(yield* Effect.provide(LLMClient.countTokens(full), client), Estimate.inputTokens(full))
      assert.deepStrictEqual(yield* simulator.requests, [])
    }))

  it.effect("estimates where a server of the protocol does not count", () =>
    Effect.gen(function*() {
      const failures: Simulator.Options["failures"] = [{ status: 404, body: "404 page not found" }]
      const layer = Anthropic.layer({ baseUrl: "http://localhost:4000", model: "local" })
      const { client } = yield* over(layer, { failures })
      assert.strictEqual(yield* Effect.provide(LLMClient.countTokens(full), client), Estimate.inputTokens(full))
      // At the vendor's own address it is the model that is not found.
      const { client: own } = yield* over(Anthropic.layer({ apiKey, model: "does-not-exist" }))
      assert.strictEqual((yield* Effect.flip(Effect.provide(LLMClient.countTokens(full), own))).reason, "NotFound")
    }))

  it.effect("asks no compatible server of OpenAI's protocols", () =>
    Effect.gen(function*() {
      const layer = OpenAi.layer({ baseUrl: "http://localhost:4000/v1", api: "responses", model: "local" })
      const { client, simulator } = yield* over(layer)
      assert.strictEqual(yield* Effect.provide(LLMClient.countTokens(full), client), Estimate.inputTokens(full))
      assert.deepStrictEqual(yield* simulator.requests, [])
    }))
})

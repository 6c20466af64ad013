import { assert, describe, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { Completion, LLMClient, LLMProvider, OpenAi } from "../src/index.ts"
import { presets } from "../src/wire/presets.ts"
import { recording } from "./transport/exchange.ts"

const ask = Completion.make({ model: "some-model", prompt: "Hello" })

const chatAnswer = { id: "1", model: "m", choices: [{ index: 0, message: { content: "Hi" }, finish_reason: "stop" }] }
const responsesAnswer = {
  id: "1",
  object: "response",
  status: "completed",
  model: "m",
  output: [{ type: "message", role: "assistant", content: [{ type: "output_text", text: "Hi", annotations: [] }] }]
}

const run = Effect.fnUntraced(function*(name: OpenAi.PresetName, options: OpenAi.Options) {
  const api = options.api ?? presets[name].api
  const http = recording(api === "chat" ? chatAnswer : responsesAnswer)
  const response = yield* LLMClient.completion(ask).pipe(
    Effect.provide(Layer.provide(OpenAi.preset(name).layer(options), http.layer))
  )
  return { response, sent: http.sent[0]! }
})

describe("presets", () => {
  for (const name of OpenAi.presetNames) {
    const { api, baseUrl }: { readonly api: string; readonly baseUrl?: string } = presets[name]
    it.effect(`${name}: its own address, key and API, and its name on the answer`, () =>
      Effect.gen(function*() {
        const own = {
          apiKey: Redacted.make("its-key"),
          ...(baseUrl === undefined && { baseUrl: "https://me.test/v1" })
        }
        const { response, sent } = yield* run(name, own)
        const path = api === "chat" ? "chat/completions" : "responses"
        assert.strictEqual(sent.url.href, `${baseUrl ?? "https://me.test/v1"}/${path}`)
        assert.include(
          [sent.headers["authorization"], sent.headers["api-key"]],
          name === "azure" ? "its-key" : "Bearer its-key"
        )
        assert.strictEqual(response.provider, name)
        assert.strictEqual(response.text, "Hi")
        assert.strictEqual((yield* run(name, { ...own, name: "mine" })).response.provider, "mine")
      }))

    it.effect(`${name}: its key comes from its own variable`, () =>
      Effect.gen(function*() {
        const http = recording(api === "chat" ? chatAnswer : responsesAnswer)
        const variables = {
          [presets[name].keyVariables[0]!]: "k1",
          [presets[name].baseUrlVariable]: "https://me.test/v1"
        }
        yield* LLMClient.completion(ask).pipe(
          Effect.provide(Layer.provide(LLMProvider.layer({ _tag: "OpenAi", preset: name }), [
            http.layer,
            ConfigProvider.layer(ConfigProvider.fromEnv({ env: { ...variables, OPENAI_API_KEY: "wrong" } }))
          ]))
        )
        assert.include(Object.values(http.sent[0]!.headers).join(" "), "k1")
        assert.strictEqual(http.sent[0]!.url.host, "me.test")
      }))
  }

  it.effect("another API can be chosen", () =>
    Effect.gen(function*() {
      const { sent } = yield* run("xai", { apiKey: Redacted.make("k"), api: "chat" })
      assert.strictEqual(sent.url.pathname, "/v1/chat/completions")
    }))

  it.effect("a server of which everyone has their own needs an address", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(run("azure", { apiKey: Redacted.make("k") }))
      assert.isTrue(Exit.isFailure(exit))
      assert.include(String(exit), "AZURE_OPENAI_BASE_URL")
      const missing = yield* Effect.flip(Layer.build(
        Layer.provide(
          OpenAi.preset("azure").layerConfig({ apiKey: Config.succeed(Redacted.make("k")) }),
          recording(responsesAnswer).layer
        )
      )).pipe(Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: {} }))), Effect.scoped)
      assert.instanceOf(missing, Config.ConfigError)
    }))

  it("are literals of LLMProvider, and survive JSON", () => {
    const choice: LLMProvider.LLMProvider = { _tag: "OpenAi", preset: "groq", name: "fast", api: "chat" }
    const codec = Schema.fromJsonString(LLMProvider.LLMProvider)
    assert.deepStrictEqual(Schema.decodeSync(codec)(Schema.encodeSync(codec)(choice)), choice)
    assert.isTrue(Exit.isFailure(Schema.decodeUnknownExit(LLMProvider.LLMProvider)({ _tag: "OpenAi", preset: "grog" })))
  })
})

import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { Anthropic, Completion, Gemini, LLMClient, LLMProvider, OpenAi, OpenRouter } from "../src/index.ts"
import { exchange, recording, type Sent } from "./transport/exchange.ts"

type ProviderLayer<E = never> = Layer.Layer<LLMClient.LLMClient, E, HttpClient.HttpClient>
type Env = { readonly [name: string]: string }

const question = Completion.make({ prompt: "Hi", model: "m" })

const env = (variables: Env) => ConfigProvider.layer(ConfigProvider.fromEnv({ env: { ...variables } }))

/** What the only request of a completion was. */
const sentBy = <E>(layer: ProviderLayer<E>, completion = question): Effect.Effect<Sent, E> =>
  Effect.map(exchange(layer, completion), ({ sent }) => {
    assert.lengthOf(sent, 1)
    return sent[0]!
  })

/** The same, with a layer that reads these environment variables. */
const sentWith = <E>(layer: ProviderLayer<E>, variables: Env) => sentBy(Layer.provide(layer, env(variables)))

/** What a layer that reads these environment variables fails with. */
const configError = <E>(layer: ProviderLayer<E>, variables: Env) =>
  Effect.map(Effect.flip(exchange(Layer.provide(layer, env(variables)), question)), (error) => {
    assert.instanceOf(error, Config.ConfigError)
    return String((error as unknown as Config.ConfigError).message)
  })

/** Why a layer refuses every call for want of a key; nothing is sent, streamed or not. */
const refusedBy = (layer: ProviderLayer) =>
  Effect.gen(function*() {
    const { result, sent } = yield* exchange(layer, question)
    assert.lengthOf(sent, 0)
    assert(Result.isFailure(result))
    assert.deepStrictEqual([result.failure._tag, result.failure.reason], ["ClientError", "Authentication"])
    assert.isTrue(result.failure.isFallbackable)
    const streamed = yield* Effect.flip(Stream.runDrain(LLMClient.stream(question))).pipe(
      Effect.provide(Layer.provide(layer, recording().layer))
    )
    assert.deepStrictEqual(streamed, result.failure)
    return result.failure
  })

/** What the defect of a layer says that cannot be built. */
const defectOf = (layer: ProviderLayer) =>
  Effect.map(Effect.exit(Effect.scoped(Layer.build(Layer.provide(layer, recording().layer)))), (exit) => {
    assert(Exit.isFailure(exit) && Cause.hasDies(exit.cause) && !Cause.hasFails(exit.cause))
    return String(Cause.squash(exit.cause))
  })

const authHeaders = ["authorization", "x-api-key", "x-goog-api-key"]

const credentials = (sent: Sent) => authHeaders.flatMap((name) => sent.headers[name] ?? [])

/** The providers: their key, their base URL, and where a plain request goes. */
const providers = {
  Anthropic: {
    make: Anthropic,
    name: "anthropic",
    keys: ["ANTHROPIC_API_KEY"],
    baseUrlVariable: "ANTHROPIC_BASE_URL",
    header: "x-api-key",
    sent: "secret",
    url: "https://api.anthropic.com/v1/messages"
  },
  OpenAi: {
    make: OpenAi,
    name: "openai",
    keys: ["OPENAI_API_KEY"],
    baseUrlVariable: "OPENAI_BASE_URL",
    header: "authorization",
    sent: "Bearer secret",
    url: "https://api.openai.com/v1/responses"
  },
  Gemini: {
    make: Gemini,
    name: "gemini",
    keys: ["GEMINI_API_KEY", "GOOGLE_AI_API_KEY"],
    baseUrlVariable: "GEMINI_BASE_URL",
    header: "x-goog-api-key",
    sent: "secret",
    url: "https://generativelanguage.googleapis.com/v1beta/models/m:streamGenerateContent?alt=sse"
  },
  OpenRouter: {
    make: OpenRouter,
    name: "openrouter",
    keys: ["OPENROUTER_API_KEY"],
    baseUrlVariable: "OPENROUTER_BASE_URL",
    header: "authorization",
    sent: "Bearer secret",
    url: "https://openrouter.ai/api/v1/chat/completions"
  }
} as const

const all = Object.values(providers)

const keysOfAll = Object.fromEntries(all.flatMap(({ keys }) => keys.map((key) => [key, "secret"])))

describe("the key", () => {
  for (const { header, keys, make, name, sent, url } of all) {
    for (const key of keys) {
      it.effect(`of ${name} comes from ${key}, and goes out in ${header} alone`, () =>
        Effect.gen(function*() {
          const request = yield* sentWith(make.layerConfig(), { [key]: "secret", OTHER: "x" })
          assert.strictEqual(request.url.href, url)
          assert.deepStrictEqual(credentials(request), [sent])
          assert.strictEqual(request.headers[header], sent)
          assert.notInclude(request.url.href, "secret")
          assert.notInclude(request.text, "secret")
        }))
    }

    it.effect(`of ${name} comes from the options before the environment`, () =>
      Effect.gen(function*() {
        const layer = make.layerConfig({ apiKey: Config.succeed(Redacted.make("secret")) })
        const request = yield* sentWith(layer, { [keys[0]]: "other" })
        assert.strictEqual(request.headers[header], sent)
      }))

    it.effect(`of ${name} comes from the variable that is named`, () =>
      Effect.gen(function*() {
        const layer = make.layerConfig({}, { apiKeyEnv: "MY_KEY" })
        const request = yield* sentWith(layer, { [keys[0]]: "other", MY_KEY: "secret" })
        assert.strictEqual(request.headers[header], sent)
      }))

    it.effect(`of ${name} is trimmed`, () =>
      Effect.gen(function*() {
        assert.strictEqual((yield* sentWith(make.layerConfig(), { [keys[0]]: " secret\n" })).headers[header], sent)
        const layer = make.layer({ apiKey: Redacted.make("secret\n") })
        assert.strictEqual((yield* sentBy(layer)).headers[header], sent)
      }))

    for (const variables of [{}, Object.fromEntries(keys.map((key) => [key, ""])), { [keys[0]]: " \n" }]) {
      it.effect(`of ${name} that is missing (${JSON.stringify(variables)}) fails the layer, by the variables tried`, () =>
        Effect.gen(function*() {
          const message = yield* configError(make.layerConfig(), variables)
          for (const key of keys) assert.include(message, key)
        }))
    }

    it.effect(`of ${name} that is missing from the options fails the call, by the option`, () =>
      Effect.gen(function*() {
        for (const layer of [make.layer({}), make.layer({ apiKey: Redacted.make(" ") })]) {
          const error = yield* refusedBy(layer)
          assert.include(error.description, "apiKey")
          for (const key of keys) assert.include(error.description, key)
          assert.strictEqual(error.provider, name)
          assert.strictEqual(error.model, "m")
        }
      }))

    it.effect(`of ${name} that cannot be a header fails without being shown`, () =>
      Effect.gen(function*() {
        const error = yield* refusedBy(make.layer({ apiKey: Redacted.make("sec\nret-ü") }))
        assert.include(error.description, "apiKey")
        assert.notInclude(JSON.stringify(error), "ret")
        assert.notInclude(yield* configError(make.layerConfig(), { [keys[0]]: "sec ret" }), "sec ret")
      }))
  }

  it.effect("of gemini comes from GEMINI_API_KEY first, unless that is empty", () =>
    Effect.gen(function*() {
      const both = { GEMINI_API_KEY: "secret", GOOGLE_AI_API_KEY: "other" }
      assert.strictEqual((yield* sentWith(Gemini.layerConfig(), both)).headers["x-goog-api-key"], "secret")
      const second = yield* sentWith(Gemini.layerConfig(), { ...both, GEMINI_API_KEY: "" })
      assert.strictEqual(second.headers["x-goog-api-key"], "other")
    }))

  it.effect("of openrouter comes from the variable named, else from its own, and the error names both", () =>
    Effect.gen(function*() {
      const layer = OpenRouter.layerConfig({}, { apiKeyEnv: "MY_KEY" })
      const request = yield* sentWith(layer, { OPENROUTER_API_KEY: "secret", MY_KEY: "" })
      assert.strictEqual(request.headers["authorization"], "Bearer secret")
      const message = yield* configError(layer, {})
      assert.include(message, "MY_KEY")
      assert.include(message, "OPENROUTER_API_KEY")
    }))

  it.effect("of others comes from the variable named alone, and the error names that", () =>
    Effect.gen(function*() {
      for (const { keys, make } of [providers.Anthropic, providers.OpenAi]) {
        const message = yield* configError(make.layerConfig({}, { apiKeyEnv: "MY_KEY" }), { [keys[0]]: "secret" })
        assert.include(message, "MY_KEY")
        assert.notInclude(message, keys[0])
      }
    }))
})

describe("a local base URL", () => {
  for (
    const url of [
      "http://localhost",
      "http://localhost:11434/v1",
      "https://localhost:8443",
      "http://LOCALHOST:1",
      "http://llm.localhost:1",
      "http://127.0.0.1:1",
      "https://127.0.0.1:1",
      "http://127.1.2.3",
      "http://127.1",
      "http://[::1]:1",
      "https://[::1]:1",
      "http://[0:0:0:0:0:0:0:1]:1",
      "http://0.0.0.0:1"
    ]
  ) {
    it.effect(`${url} needs no key, and gets none`, () =>
      Effect.gen(function*() {
        for (const { make } of all) {
          assert.deepStrictEqual(credentials(yield* sentBy(make.layer({ baseUrl: url }))), [])
          const layer = make.layerConfig({ baseUrl: Config.succeed(url) })
          assert.deepStrictEqual(credentials(yield* sentWith(layer, {})), [])
        }
      }))
  }

  for (
    const url of [
      "http://localhost.evil.com",
      "http://127.evil.com",
      "http://128.0.0.1",
      "http://127.0.0.1.evil.com",
      "http://evil.com/localhost",
      "http://evil.com?localhost",
      "http://notlocalhost",
      "http://[::2]:1",
      "http://0.0.0.1",
      "http://192.168.0.1"
    ]
  ) {
    it.effect(`${url} is none`, () =>
      Effect.gen(function*() {
        for (const { keys, make } of all) {
          assert.include((yield* refusedBy(make.layer({ baseUrl: url }))).description, "apiKey")
          assert.include(yield* configError(make.layerConfig({ baseUrl: Config.succeed(url) }), {}), keys[0])
        }
      }))
  }

  it.effect("gets the key that is given", () =>
    Effect.gen(function*() {
      const layer = OpenAi.layer({ baseUrl: "http://localhost:1/v1", apiKey: Redacted.make("secret") })
      assert.deepStrictEqual(credentials(yield* sentBy(layer)), ["Bearer secret"])
    }))
})

describe("the base URL", () => {
  for (const { baseUrlVariable, make, name } of all) {
    it.effect(`of ${name} comes from ${baseUrlVariable}, unless that is empty, and from the options before it`, () =>
      Effect.gen(function*() {
        const host = (layer: ProviderLayer<Config.ConfigError>, value: string) =>
          Effect.map(
            sentWith(layer, { [baseUrlVariable]: value, ...keysOfAll }),
            ({ url }) => url.host
          )
        assert.strictEqual(yield* host(make.layerConfig(), "https://gateway.example.com/x"), "gateway.example.com")
        const usual = yield* host(make.layerConfig(), "")
        assert.strictEqual(yield* host(make.layerConfig(), " "), usual)
        assert.notStrictEqual(usual, "gateway.example.com")
        const given = make.layerConfig({ baseUrl: Config.succeed("https://mine.example.com") })
        assert.strictEqual(yield* host(given, "https://gateway.example.com"), "mine.example.com")
      }))

    for (
      const baseUrl of [
        "",
        "localhost:1234",
        "example.com",
        "ftp://example.com",
        "https://",
        "/v1",
        "http://a b",
        "file:///x"
      ]
    ) {
      it.effect(`of ${name} that is malformed (${baseUrl}) is a defect, or an error of the configuration`, () =>
        Effect.gen(function*() {
          const options = { baseUrl, apiKey: Redacted.make("secret") }
          assert.include(yield* defectOf(make.layer(options)), "baseUrl: give an absolute URL")
          const message = yield* configError(make.layerConfig(Config.succeed(options)), {})
          assert.include(message, "baseUrl: give an absolute URL")
        }))
    }

    it.effect(`of ${name} that holds credentials fails without showing them`, () =>
      Effect.gen(function*() {
        const baseUrl = "https://user:hunter2@example.com"
        const options = { baseUrl, apiKey: Redacted.make("secret") }
        for (
          const message of [
            yield* defectOf(make.layer(options)),
            yield* configError(make.layerConfig(Config.succeed(options)), {})
          ]
        ) {
          assert.include(message, "baseUrl: give a URL without credentials")
          assert.notInclude(message, "hunter2")
        }
      }))
  }

  for (
    const [provider, base, url] of [
      ["Anthropic", "https://x.test", "https://x.test/v1/messages"],
      ["Anthropic", "https://x.test/", "https://x.test/v1/messages"],
      ["Anthropic", "https://x.test///", "https://x.test/v1/messages"],
      ["Anthropic", "https://x.test/v1", "https://x.test/v1/messages"],
      ["Anthropic", "https://x.test/v1/", "https://x.test/v1/messages"],
      ["Anthropic", "https://x.test/v1/messages", "https://x.test/v1/messages"],
      ["Anthropic", "https://x.test/messages/", "https://x.test/v1/messages"],
      ["Anthropic", "https://x.test/api/v1", "https://x.test/api/v1/messages"],
      ["Anthropic", "https://x.test/v1/messages?a=b", "https://x.test/v1/messages?a=b"],
      ["Anthropic", "https://x.test/anthropic?a=b&c=%20", "https://x.test/anthropic/v1/messages?a=b&c=%20"],
      ["OpenAi", "https://x.test/v1", "https://x.test/v1/chat/completions"],
      ["OpenAi", "https://x.test/v1//", "https://x.test/v1/chat/completions"],
      ["OpenAi", "https://x.test/v1/chat/completions", "https://x.test/v1/chat/completions"],
      [
        "OpenAi",
        "https://x.test/v1/chat/completions/?api-version=1",
        "https://x.test/v1/chat/completions?api-version=1"
      ],
      ["OpenAi", "https://x.test", "https://x.test/chat/completions"],
      [
        "OpenAi",
        "https://x.test/openai/deployments/d?api-version=1",
        "https://x.test/openai/deployments/d/chat/completions?api-version=1"
      ],
      ["OpenRouter", "https://x.test/api/v1/", "https://x.test/api/v1/chat/completions"],
      ["OpenRouter", "https://x.test/api/v1/chat/completions", "https://x.test/api/v1/chat/completions"],
      ["Gemini", "https://x.test/", "https://x.test/v1beta/models/m:generateContent"],
      ["Gemini", "https://x.test/v1beta", "https://x.test/v1beta/models/m:generateContent"],
      ["Gemini", "https://x.test/v1/", "https://x.test/v1beta/models/m:generateContent"],
      ["Gemini", "https://x.test/v1beta/models/", "https://x.test/v1beta/models/m:generateContent"],
      ["Gemini", "https://x.test/proxy?a=b", "https://x.test/proxy/v1beta/models/m:generateContent?a=b"],
      ["Gemini", "https://x.test/v1beta/models?a=b#c", "https://x.test/v1beta/models/m:generateContent?a=b"]
    ] as const
  ) {
    it.effect(`${base} of ${provider} leads to ${url}`, () =>
      Effect.gen(function*() {
        const layer = providers[provider].make.layer({ baseUrl: base, apiKey: Redacted.make("secret") })
        assert.strictEqual((yield* sentBy(layer)).url.href, url)
      }))
  }

  for (
    const [base, newer] of [
      ["https://api.openai.com/v1", true],
      ["https://eu.api.openai.com/v1", true],
      ["https://openai.com.evil.test/v1", false],
      ["https://notopenai.com/v1", false],
      ["http://localhost:1/v1", false]
    ] as const
  ) {
    it.effect(`${base} is ${newer ? "OpenAI itself" : "another server"}`, () =>
      Effect.gen(function*() {
        const layer = OpenAi.layer({ baseUrl: base, apiKey: Redacted.make("secret"), api: "chat" })
        const asked = question.pipe(
          Completion.tools([{ name: "a", description: "", parameters: {} }]),
          Completion.outputSchema({ type: "object" })
        )
        assert.strictEqual("response_format" in (yield* sentBy(layer, asked)).body, newer)
      }))
  }
})

describe("options", () => {
  const apiKey = Redacted.make("secret")

  it.effect("of anthropic: version and betas", () =>
    Effect.gen(function*() {
      const { headers } = yield* sentBy(Anthropic.layer({ apiKey, version: "2026-10-21", betas: ["a", "b"] }))
      assert.strictEqual(headers["anthropic-version"], "2026-10-21")
      assert.strictEqual(headers["anthropic-beta"], "a,b")
      const plain = yield* sentBy(Anthropic.layer({ apiKey, betas: [] }))
      assert.strictEqual(plain.headers["anthropic-version"], "2023-06-01")
      assert.notProperty(plain.headers, "anthropic-beta")
    }))

  it.effect("of openai: organization and project", () =>
    Effect.gen(function*() {
      const { headers } = yield* sentBy(OpenAi.layer({ apiKey, organization: "org", project: "proj" }))
      assert.strictEqual(headers["openai-organization"], "org")
      assert.strictEqual(headers["openai-project"], "proj")
      assert.notProperty((yield* sentBy(OpenAi.layer({ apiKey }))).headers, "openai-project")
    }))

  it.effect("of openrouter: referer and title", () =>
    Effect.gen(function*() {
      const { headers } = yield* sentBy(OpenRouter.layer({ apiKey, referer: "https://app.test", title: "App" }))
      assert.strictEqual(headers["http-referer"], "https://app.test")
      assert.strictEqual(headers["x-openrouter-title"], "App")
      assert.notProperty((yield* sentBy(OpenRouter.layer({ apiKey }))).headers, "http-referer")
    }))

  it.effect("come from configuration as well", () =>
    Effect.gen(function*() {
      const layer = Anthropic.layerConfig({
        model: Config.String("MODEL"),
        version: Config.succeed("v"),
        betas: Config.succeed(["a"]),
        headers: Config.succeed({ "x-one": "1" })
      })
      const request = yield* sentBy(
        Layer.provide(layer, env({ ANTHROPIC_API_KEY: "secret", MODEL: "claude-x" })),
        Completion.make({ prompt: "Hi" })
      )
      assert.strictEqual(request.body["model"], "claude-x")
      assert.strictEqual(request.headers["anthropic-version"], "v")
      assert.strictEqual(request.headers["anthropic-beta"], "a")
      assert.strictEqual(request.headers["x-one"], "1")
    }))

  it.effect("of configuration are Configs, or absent: anything else is a defect that names it", () =>
    Effect.gen(function*() {
      const given = { apiKey: Config.succeed(Redacted.make("secret")) }
      const absent = { ...given, model: undefined } as unknown as typeof given
      assert.strictEqual((yield* sentWith(OpenAi.layerConfig(absent), {})).body["model"], "m")
      const plain = { ...given, model: "gpt-6-luna" } as unknown as typeof given
      assert.include(
        yield* defectOf(Layer.orDie(OpenAi.layerConfig(plain))),
        'openai layerConfig model: give a Config, not "gpt-6-luna"'
      )
    }))

  it.effect("of configuration that cannot be read fail the layer", () =>
    Effect.gen(function*() {
      const layer = OpenAi.layerConfig({ model: Config.String("MODEL") })
      assert.include(yield* configError(layer, { OPENAI_API_KEY: "secret" }), "MODEL")
    }))

  for (const { make, name } of all) {
    it.effect(`of ${name}: the model of completions that name none`, () =>
      Effect.gen(function*() {
        const layer = make.layer({ apiKey, model: "usual" })
        const model = ({ body, url }: Sent) => body["model"] ?? /models\/(.*):/.exec(url.pathname)?.[1]
        assert.strictEqual(model(yield* sentBy(layer, Completion.make({ prompt: "Hi" }))), "usual")
        assert.strictEqual(model(yield* sentBy(layer, question)), "m")
      }))

    it.effect(`of ${name}: further headers, which win`, () =>
      Effect.gen(function*() {
        const { header } = Object.values(providers).find((provider) => provider.name === name)!
        const layer = make.layer({ apiKey, headers: { "X-Team": "a", [header.toUpperCase()]: "mine" } })
        const { headers } = yield* sentBy(layer)
        assert.strictEqual(headers["x-team"], "a")
        assert.strictEqual(headers[header], "mine")
      }))

    it.effect(`of ${name}: names the client`, () =>
      Effect.gen(function*() {
        const http = recording()
        const client = yield* LLMClient.LLMClient.pipe(
          Effect.provide(Layer.provide(make.layer({ apiKey }), http.layer))
        )
        assert.strictEqual(client.provider, name)
        const refusing = yield* LLMClient.LLMClient.pipe(Effect.provide(Layer.provide(make.layer({}), http.layer)))
        assert.strictEqual(refusing.provider, name)
      }))
  }
})

describe("options that no program should give", () => {
  const apiKey = Redacted.make("secret")

  for (
    const [what, options, says] of [
      ["a name that is unknown", { apyKey: "x" }, "apyKey"],
      ["an empty name", { name: "" }, "name"],
      ["a whole that is neither", { whole: "both" }, "whole"],
      ["a negative clock", { timeouts: { bytes: -1 } }, "timeouts.bytes"],
      ["a clock that is unknown", { timeouts: { idle: 1 } }, "idle"],
      ["a limit that is unknown", { limits: { bodies: 1 } }, "bodies"],
      ["a limit of nothing", { limits: { event: 0 } }, "limits.event"]
    ] as const
  ) {
    it.effect(`${what}: a defect of every layer`, () =>
      Effect.gen(function*() {
        for (const { make } of all) {
          assert.include(yield* defectOf(make.layer({ apiKey, ...options as object })), says)
        }
      }))
  }

  it.effect("that are undefined are absent", () =>
    Effect.gen(function*() {
      for (const { make } of all) {
        const request = yield* sentBy(make.layer({
          apiKey,
          baseUrl: undefined,
          name: undefined,
          model: undefined,
          headers: undefined,
          timeouts: undefined,
          limits: undefined,
          whole: undefined,
          tracePropagation: undefined
        }))
        assert.isDefined(request)
      }
    }))
})

describe("the name", () => {
  const named = (layer: ProviderLayer) =>
    Effect.gen(function*() {
      const { provider, baseUrl } = yield* LLMClient.LLMClient.pipe(
        Effect.provide(Layer.provide(layer, recording().layer))
      )
      const { result } = yield* exchange(layer, question)
      assert(Result.isSuccess(result), Result.isFailure(result) ? result.failure.message : "")
      assert.strictEqual(result.success.provider, provider)
      const failed = yield* exchange(layer, question, {})
      assert(Result.isFailure(failed.result))
      assert.strictEqual(failed.result.failure.provider, provider)
      return [provider, baseUrl]
    })

  for (const { make, name } of all) {
    it.effect(`of ${name} is the vendor's at its own address, the host elsewhere, and the one that is given`, () =>
      Effect.gen(function*() {
        const apiKey = Redacted.make("secret")
        assert.strictEqual((yield* named(make.layer({ apiKey })))[0], name)
        const elsewhere = { apiKey, baseUrl: "https://llm.example.com:8443/x/" }
        assert.deepStrictEqual(yield* named(make.layer(elsewhere)), [
          "llm.example.com:8443",
          "https://llm.example.com:8443/x"
        ])
        assert.strictEqual((yield* named(make.layer({ ...elsewhere, name: "my-vllm" })))[0], "my-vllm")
        assert.strictEqual((yield* named(make.layer({ apiKey, name: "mine" })))[0], "mine")
      }))
  }
})

describe("timeouts", () => {
  const never = Layer.succeed(HttpClient.HttpClient, HttpClient.make(() => Effect.never))

  const after = (timeouts: OpenAi.Options["timeouts"], wait: Duration.Input) =>
    Effect.gen(function*() {
      const layer = OpenAi.layer({ baseUrl: "http://localhost:1", ...(timeouts !== undefined && { timeouts }) })
      const fiber = yield* LLMClient.completion(question).pipe(
        Effect.flip,
        Effect.provide(Layer.provide(layer, never)),
        Effect.forkScoped
      )
      yield* TestClock.adjust(wait)
      return fiber.pollUnsafe() === undefined ? undefined : (yield* Fiber.join(fiber)).message
    })

  it.effect("end an answer that takes too long, after 10 minutes unless they say otherwise", () =>
    Effect.gen(function*() {
      assert.isUndefined(yield* after(undefined, "599 seconds"))
      assert.include(yield* after(undefined, "10 minutes"), "total timeout after 10m")
      assert.isUndefined(yield* after({ total: "1 hour" }, "59 minutes"))
      assert.include(yield* after({ total: "1 second" }, "1 second"), "total timeout after 1s")
      assert.include(yield* after({ progress: "1 second" }, "10 minutes"), "total timeout")
    }))

  it.effect("that are false let it take for ever", () =>
    Effect.gen(function*() {
      assert.isUndefined(yield* after(false, "1000 days"))
      assert.isUndefined(yield* after({ total: Duration.infinity }, "1000 days"))
    }))
})

describe("Gemini.layerProxy", () => {
  const url = "https://proxy.example.com/gemini/"
  const target = "https://proxy.example.com/gemini/v1beta/models/m:generateContent"

  for (
    const [variables, key] of [
      [{}, "oauth-proxy"],
      [{ GEMINI_API_KEY: "" }, "oauth-proxy"],
      [{ GEMINI_API_KEY: " " }, "oauth-proxy"],
      [{ GOOGLE_AI_API_KEY: "other" }, "oauth-proxy"],
      [{ GEMINI_API_KEY: "secret\n" }, "secret"],
      [{ GEMINI_API_KEY: "secret", GEMINI_BASE_URL: "https://elsewhere.test" }, "secret"]
    ] as const
  ) {
    it.effect(`sends the key ${key} with ${JSON.stringify(variables)}`, () =>
      Effect.gen(function*() {
        const request = yield* sentWith(Gemini.layerProxy(url), variables)
        assert.strictEqual(request.url.href, target)
        assert.deepStrictEqual(credentials(request), [key])
      }))
  }

  it.effect("takes the other options", () =>
    Effect.gen(function*() {
      const layer = Gemini.layerProxy(url, { model: "usual", headers: { "x-one": "1" } })
      const request = yield* sentBy(Layer.provide(layer, env({})), Completion.make({ prompt: "Hi" }))
      assert.include(request.url.pathname, "/models/usual:")
      assert.strictEqual(request.headers["x-one"], "1")
    }))

  it.effect("fails with a malformed URL", () =>
    Effect.gen(function*() {
      assert.include(yield* configError(Gemini.layerProxy("proxy"), {}), "baseUrl: give an absolute URL")
    }))
})

describe("LLMProvider", () => {
  const choices: ReadonlyArray<LLMProvider.LLMProvider> = [
    { _tag: "Anthropic" },
    { _tag: "Anthropic", baseUrl: "https://gateway.test/v1", apiKeyEnv: "MY_KEY" },
    { _tag: "Gemini" },
    { _tag: "GeminiProxy", url: "https://proxy.test" },
    { _tag: "OpenAi" },
    { _tag: "OpenAi", baseUrl: "https://gateway.test/v1", apiKeyEnv: "MY_KEY" },
    { _tag: "OpenRouter" },
    { _tag: "OpenRouter", apiKeyEnv: "MY_KEY" }
  ]

  const targets: { readonly [choice: string]: readonly [url: string, key: string] } = {
    '{"_tag":"Anthropic"}': ["https://api.anthropic.com/v1/messages", "secret"],
    '{"_tag":"Anthropic","baseUrl":"https://gateway.test/v1","apiKeyEnv":"MY_KEY"}': [
      "https://gateway.test/v1/messages",
      "mine"
    ],
    '{"_tag":"Gemini"}': [
      "https://generativelanguage.googleapis.com/v1beta/models/m:streamGenerateContent?alt=sse",
      "secret"
    ],
    '{"_tag":"GeminiProxy","url":"https://proxy.test"}': [
      "https://proxy.test/v1beta/models/m:generateContent",
      "secret"
    ],
    '{"_tag":"OpenAi"}': ["https://api.openai.com/v1/responses", "Bearer secret"],
    '{"_tag":"OpenAi","baseUrl":"https://gateway.test/v1","apiKeyEnv":"MY_KEY"}': [
      "https://gateway.test/v1/chat/completions",
      "Bearer mine"
    ],
    '{"_tag":"OpenRouter"}': ["https://openrouter.ai/api/v1/chat/completions", "Bearer secret"],
    '{"_tag":"OpenRouter","apiKeyEnv":"MY_KEY"}': [
      "https://openrouter.ai/api/v1/chat/completions",
      "Bearer mine"
    ]
  }

  for (const choice of choices) {
    const text = JSON.stringify(choice)

    it.effect(`${text} survives JSON`, () =>
      Effect.gen(function*() {
        const codec = Schema.fromJsonString(LLMProvider.LLMProvider)
        assert.strictEqual(yield* Schema.encodeEffect(codec)(choice), text)
        assert.deepStrictEqual(yield* Schema.decodeEffect(codec)(text), choice)
      }))

    it.effect(`${text} becomes the layer of its provider`, () =>
      Effect.gen(function*() {
        const request = yield* sentWith(LLMProvider.layer(choice), { ...keysOfAll, MY_KEY: "mine" })
        assert.deepStrictEqual([request.url.href, ...credentials(request)], [...targets[text]!])
      }))

    it.effect(`${text} is retried ${choice._tag === "GeminiProxy" ? "by itself" : "only where asked for"}`, () =>
      Effect.gen(function*() {
        let sent = 0
        const busy = HttpClient.make((request) =>
          Effect.sync(() => {
            sent++
            return HttpClientResponse.fromWeb(request, new Response("{}", { status: 500 }))
          })
        )
        const fiber = yield* LLMClient.completion(question).pipe(
          Effect.flip,
          Effect.provide(
            LLMProvider.layer(choice).pipe(
              Layer.provide([Layer.succeed(HttpClient.HttpClient, busy), env({ ...keysOfAll, MY_KEY: "mine" })])
            )
          ),
          Effect.forkScoped
        )
        yield* TestClock.adjust("1 hour")
        assert.strictEqual((yield* Fiber.join(fiber))._tag, "Transient")
        assert.strictEqual(sent, choice._tag === "GeminiProxy" ? 4 : 1)
      }))
  }

  it.effect("without a key fails as its provider does", () =>
    Effect.gen(function*() {
      assert.include(yield* configError(LLMProvider.layer({ _tag: "Anthropic" }), {}), "ANTHROPIC_API_KEY")
      const message = yield* configError(LLMProvider.layer({ _tag: "Gemini" }), {})
      assert.include(message, "GEMINI_API_KEY")
      assert.include(message, "GOOGLE_AI_API_KEY")
      assert.include(
        yield* configError(LLMProvider.layer({ _tag: "OpenAi", apiKeyEnv: "MY_KEY" }), keysOfAll),
        "MY_KEY"
      )
    }))

  it.effect("takes no other tag", () =>
    Effect.gen(function*() {
      const wrong: unknown = { _tag: "Cohere" }
      const result = yield* Effect.result(Schema.decodeUnknownEffect(LLMProvider.LLMProvider)(wrong))
      assert.isTrue(Result.isFailure(result))
    }))
})

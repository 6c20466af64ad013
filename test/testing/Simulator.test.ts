import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { existsSync, readFileSync } from "node:fs"
import * as Simulator from "../../src/testing/Simulator.ts"

// The tests read answers as the JSON they are; a path is a list of keys and indices.
type Json = { readonly [key: string]: unknown }
const at = (value: unknown, ...path: ReadonlyArray<string | number>): unknown =>
  path.reduce<unknown>((inner, key) => (inner as { readonly [key: string]: unknown } | undefined)?.[key], value)

const endpoints = {
  anthropic: {
    url: "https://api.anthropic.com/v1/messages",
    headers: { "x-api-key": "sk-test", "anthropic-version": "2023-06-01" }
  },
  openai: { url: "https://api.openai.com/v1/chat/completions", headers: { authorization: "Bearer sk-test" } },
  responses: { url: "https://api.openai.com/v1/responses", headers: { authorization: "Bearer sk-test" } },
  openrouter: {
    url: "https://openrouter.ai/api/v1/chat/completions",
    headers: { authorization: "Bearer sk-test" }
  },
  gemini: {
    url: "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent",
    headers: { "x-goog-api-key": "test" }
  }
} as const satisfies Record<Provider, unknown>

const providers = ["anthropic", "openai", "responses", "openrouter", "gemini"] as const
type Provider = typeof providers[number]

interface Place {
  readonly url?: string
  readonly headers?: { readonly [name: string]: string }
}

const post = (client: HttpClient.HttpClient, provider: Provider, body: unknown, place: Place = {}) =>
  Effect.gen(function*() {
    const { headers, url } = { ...endpoints[provider], ...place }
    const request = HttpClientRequest.post(url).pipe(
      HttpClientRequest.setHeaders(headers),
      HttpClientRequest.bodyText(JSON.stringify(body), "application/json")
    )
    const response = yield* client.execute(request)
    const text = yield* response.text
    const isJson = response.headers["content-type"]?.startsWith("application/json") ?? false
    const json: unknown = isJson ? JSON.parse(text) : undefined
    return { status: response.status, headers: response.headers, text, json }
  })

const ask = (provider: Provider, body: unknown, place?: Place, options?: Simulator.Options) =>
  Effect.flatMap(Simulator.make(options), ({ client }) => post(client, provider, body, place))

const models = {
  anthropic: "claude-sonnet-4-6",
  openai: "gpt-4.1-mini",
  responses: "gpt-4.1-mini",
  openrouter: "openai/gpt-4.1-mini",
  gemini: "gemini-2.5-flash"
}

const weather = {
  type: "object",
  properties: {
    city: { type: "string" },
    unit: { enum: ["celsius", "fahrenheit"], type: "string" },
    days: { type: "integer", minimum: 2 },
    note: { type: "string" }
  },
  required: ["city", "unit", "days"]
}

/** The same question in each protocol. */
const chatBody = (model: string, text: string, extra: Json = {}): Json => ({
  model,
  messages: [{ role: "user", content: text }],
  ...extra
})

const questions: Record<Provider, (text: string) => Json> = {
  anthropic: (text) => chatBody(models.anthropic, text, { max_tokens: 1000 }),
  openai: (text) => chatBody(models.openai, text),
  responses: (text) => ({ model: models.responses, input: [{ role: "user", content: text }] }),
  openrouter: (text) => chatBody(models.openrouter, text),
  gemini: (text) => ({ contents: [{ role: "user", parts: [{ text }] }] })
}

const chatTools = { tools: [{ type: "function", function: { name: "get_weather", parameters: weather } }] }
const offers: Record<Provider, Json> = {
  anthropic: { tools: [{ name: "get_weather", description: "The weather", input_schema: weather }] },
  openai: chatTools,
  responses: { tools: [{ type: "function", name: "get_weather", parameters: weather, strict: false }] },
  openrouter: chatTools,
  gemini: { tools: [{ functionDeclarations: [{ name: "get_weather", parameters: weather }] }] }
}

const forces: Record<Provider, Json> = {
  anthropic: { tool_choice: { type: "tool", name: "get_weather" } },
  openai: { tool_choice: { type: "function", function: { name: "get_weather" } } },
  responses: { tool_choice: { type: "function", name: "get_weather" } },
  openrouter: { tool_choice: "required" },
  gemini: { toolConfig: { functionCallingConfig: { mode: "ANY", allowedFunctionNames: ["get_weather"] } } }
}

const caps: Record<Provider, (tokens: number) => Json> = {
  anthropic: (tokens) => ({ max_tokens: tokens }),
  openai: (tokens) => ({ max_completion_tokens: tokens }),
  // It wants 16 of them at least.
  responses: (tokens) => ({ max_output_tokens: Math.max(16, tokens) }),
  openrouter: (tokens) => ({ max_tokens: tokens }),
  gemini: (tokens) => ({ generationConfig: { maxOutputTokens: tokens } })
}

const stops: Record<Provider, (sequence: string) => Json> = {
  anthropic: (sequence) => ({ stop_sequences: [sequence] }),
  openai: (sequence) => ({ stop: sequence }),
  // There are no stop sequences.
  responses: () => ({}),
  openrouter: (sequence) => ({ stop: [sequence] }),
  gemini: (sequence) => ({ generationConfig: { stopSequences: [sequence] } })
}

const schemas: Record<Provider, (schema: unknown) => Json> = {
  anthropic: (schema) => ({ output_config: { format: { type: "json_schema", schema } } }),
  openai: (schema) => ({ response_format: { type: "json_schema", json_schema: { name: "answer", schema } } }),
  responses: (schema) => ({ text: { format: { type: "json_schema", name: "answer", schema } } }),
  openrouter: (schema) => ({ response_format: { type: "json_schema", json_schema: { name: "answer", schema } } }),
  gemini: (schema) => ({
    generationConfig: { responseMimeType: "application/json", responseJsonSchema: schema }
  })
}

const chatText = (json: unknown) => at(json, "choices", 0, "message", "content")
const texts: Record<Provider, (json: unknown) => unknown> = {
  anthropic: (json) => at(json, "content", 0, "text"),
  openai: chatText,
  responses: (json) => at(json, "output", 0, "content", 0, "text"),
  openrouter: chatText,
  gemini: (json) => at(json, "candidates", 0, "content", "parts", 0, "text")
}

const chatFinish = (json: unknown) => at(json, "choices", 0, "finish_reason")
const finishes: Record<Provider, (json: unknown) => unknown> = {
  anthropic: (json) => at(json, "stop_reason"),
  openai: chatFinish,
  responses: (json) => at(json, "incomplete_details", "reason") ?? at(json, "status"),
  openrouter: chatFinish,
  gemini: (json) => at(json, "candidates", 0, "finishReason")
}

const chatCall = (json: unknown) => ({
  name: at(json, "choices", 0, "message", "tool_calls", 0, "function", "name"),
  arguments: JSON.parse(String(at(json, "choices", 0, "message", "tool_calls", 0, "function", "arguments"))) as unknown
})
const calls: Record<Provider, (json: unknown) => { readonly name: unknown; readonly arguments: unknown }> = {
  anthropic: (json) => ({ name: at(json, "content", 0, "name"), arguments: at(json, "content", 0, "input") }),
  openai: chatCall,
  responses: (json) => ({
    name: at(json, "output", 0, "name"),
    arguments: JSON.parse(String(at(json, "output", 0, "arguments"))) as unknown
  }),
  openrouter: chatCall,
  gemini: (json) => ({
    name: at(json, "candidates", 0, "content", "parts", 0, "functionCall", "name"),
    arguments: at(json, "candidates", 0, "content", "parts", 0, "functionCall", "args")
  })
}

/** The next turn's request: the answer goes into the history, and a tool result answers its call. */
const chatFollowUp = (body: Json, json: unknown, result: string): Json => ({
  ...body,
  messages: [
    ...body.messages as ReadonlyArray<unknown>,
    at(json, "choices", 0, "message"),
    { role: "tool", tool_call_id: at(json, "choices", 0, "message", "tool_calls", 0, "id"), content: result }
  ]
})
const followUps: Record<Provider, (body: Json, json: unknown, result: string) => Json> = {
  anthropic: (body, json, result) => ({
    ...body,
    messages: [
      ...body.messages as ReadonlyArray<unknown>,
      { role: "assistant", content: at(json, "content") },
      {
        role: "user",
        content: [{ type: "tool_result", tool_use_id: at(json, "content", 0, "id"), content: result }]
      }
    ]
  }),
  openai: chatFollowUp,
  responses: (body, json, result) => ({
    ...body,
    input: [
      ...body.input as ReadonlyArray<unknown>,
      ...at(json, "output") as ReadonlyArray<unknown>,
      { type: "function_call_output", call_id: at(json, "output", 0, "call_id"), output: result }
    ]
  }),
  openrouter: chatFollowUp,
  gemini: (body, json, result) => ({
    ...body,
    contents: [
      ...body.contents as ReadonlyArray<unknown>,
      at(json, "candidates", 0, "content"),
      { role: "user", parts: [{ functionResponse: { name: "get_weather", response: { result } } }] }
    ]
  })
}

const words = {
  anthropic: { stop: "end_turn", cut: "max_tokens", stopped: "stop_sequence", tool: "tool_use" },
  openai: { stop: "stop", cut: "length", stopped: "stop", tool: "tool_calls" },
  responses: { stop: "completed", cut: "max_output_tokens", stopped: "completed", tool: "completed" },
  openrouter: { stop: "stop", cut: "length", stopped: "stop", tool: "tool_calls" },
  gemini: { stop: "STOP", cut: "MAX_TOKENS", stopped: "STOP", tool: "STOP" }
}

const whole = 'Simulated answer to: "Why is the sky blue?"'

describe.each(providers)("Simulator: %s", (provider) => {
  const question = questions[provider]
  const finish = words[provider]

  it.effect("answers with a text about the last user text", () =>
    Effect.gen(function*() {
      const { json, status } = yield* ask(provider, question("Why is the sky blue?"))
      assert.strictEqual(status, 200)
      assert.strictEqual(texts[provider](json), whole)
      assert.strictEqual(finishes[provider](json), finish.stop)
    }))

  it.effect("calls a forced tool with a minimal valid instance of its schema", () =>
    Effect.gen(function*() {
      const { json, status, text } = yield* ask(provider, {
        ...question("Hello"),
        ...offers[provider],
        ...forces[provider]
      })
      assert.strictEqual(status, 200, text)
      assert.deepStrictEqual(calls[provider](json), {
        name: "get_weather",
        arguments: { city: "city", unit: "celsius", days: 2 }
      })
      assert.strictEqual(finishes[provider](json), finish.tool)
    }))

  it.effect.each(["Use get_weather", "please GET WEATHER now", "get-weather?"])(
    "calls a tool that the user names: %s",
    (text) =>
      Effect.gen(function*() {
        const { json } = yield* ask(provider, { ...question(text), ...offers[provider] })
        assert.strictEqual(calls[provider](json).name, "get_weather")
      })
  )

  it.effect("does not call a tool that nobody asked for", () =>
    Effect.gen(function*() {
      const { json } = yield* ask(provider, { ...question("Why is the sky blue?"), ...offers[provider] })
      assert.strictEqual(texts[provider](json), whole)
    }))

  it.effect("quotes the results that answer its call", () =>
    Effect.gen(function*() {
      const body = { ...question("Use get_weather"), ...offers[provider] }
      const { client } = yield* Simulator.make()
      const first = yield* post(client, provider, body)
      const second = yield* post(client, provider, followUps[provider](body, first.json, "23 degrees"))
      assert.strictEqual(second.status, 200, second.text)
      assert.strictEqual(texts[provider](second.json), 'Simulated answer from the tool results: "23 degrees"')
      assert.strictEqual(finishes[provider](second.json), finish.stop)
    }))

  it.effect("cuts the text at the token limit", () =>
    Effect.gen(function*() {
      const long = "Why is the sky blue? ".repeat(5)
      const { json } = yield* ask(provider, { ...question(long), ...caps[provider](3) })
      const text = provider === "responses"
        ? `Simulated answer to: ${JSON.stringify(long)}`.slice(0, 64)
        : "Simulated an"
      assert.strictEqual(texts[provider](json), text)
      assert.strictEqual(finishes[provider](json), finish.cut)
    }))

  it.effect("does not return a complete call when the limit cuts it", () =>
    Effect.gen(function*() {
      // Responses does not go below 16 tokens.
      const long = provider === "responses" ? '"type":"string","minLength":70}' : '"type":"string"}'
      const offer = JSON.stringify({ ...offers[provider], ...forces[provider] }).replace('"type":"string"}', long)
      const { json, text } = yield* ask(provider, {
        ...question("Hello"),
        ...JSON.parse(offer) as Json,
        ...caps[provider](3)
      })
      assert.strictEqual(finishes[provider](json), finish.cut)
      assert.notInclude(JSON.stringify(at(json, "output") ?? text), "celsius")
    }))

  it.effect("ends before a stop sequence", () =>
    Effect.gen(function*() {
      if (provider === "responses") return
      const { json } = yield* ask(provider, { ...question("Why is the sky blue?"), ...stops[provider](" sky") })
      assert.strictEqual(texts[provider](json), 'Simulated answer to: "Why is the')
      assert.strictEqual(finishes[provider](json), finish.stopped)
      if (provider === "anthropic") assert.strictEqual(at(json, "stop_sequence"), " sky")
    }))

  it.effect("counts tokens by the provider's own identities", () =>
    Effect.gen(function*() {
      const { json } = yield* ask(provider, question("Why is the sky blue?"))
      const usage = at(json, provider === "gemini" ? "usageMetadata" : "usage")
      const [input, output, total] = provider === "anthropic"
        ? ["input_tokens", "output_tokens", undefined]
        : provider === "responses"
        ? ["input_tokens", "output_tokens", "total_tokens"]
        : provider === "gemini"
        ? ["promptTokenCount", "candidatesTokenCount", "totalTokenCount"]
        : ["prompt_tokens", "completion_tokens", "total_tokens"]
      assert.isAbove(Number(at(usage, input)), 0)
      assert.strictEqual(at(usage, output), Math.ceil(whole.length / 4))
      if (total !== undefined) {
        assert.strictEqual(at(usage, total), Number(at(usage, input)) + Number(at(usage, output)))
      }
    }))

  it.effect.each(Object.entries({
    struct: Schema.Struct({
      name: Schema.NonEmptyString,
      age: Schema.Int.check(Schema.isBetween({ minimum: 18, maximum: 120 })),
      tags: Schema.Array(Schema.String).check(Schema.isMinLength(2)),
      address: Schema.Struct({ street: Schema.Trimmed }),
      mood: Schema.Literals(["good", "bad"]),
      nickname: Schema.optionalKey(Schema.String)
    }),
    union: Schema.Union([
      Schema.TaggedStruct("A", { value: Schema.Finite.check(Schema.isGreaterThan(0)) }),
      Schema.TaggedStruct("B", { value: Schema.String })
    ]),
    nullable: Schema.Struct({ maybe: Schema.NullOr(Schema.Struct({ deep: Schema.Boolean })) }),
    tuple: Schema.Struct({ pair: Schema.Tuple([Schema.String, Schema.Finite]) })
  }))("answers with JSON that its schema accepts: %s", ([, schema]) =>
    Effect.gen(function*() {
      const { definitions, schema: root } = Schema.toJsonSchemaDocument(schema)
      const { json, status, text } = yield* ask(provider, {
        ...question("Invent something"),
        ...schemas[provider]({ ...root, $defs: definitions })
      })
      assert.strictEqual(status, 200, text)
      const decoded = Schema.decodeUnknownExit(schema as Schema.Codec<unknown>)(
        JSON.parse(String(texts[provider](json)))
      )
      assert.strictEqual(decoded._tag, "Success", String(texts[provider](json)))
    }))

  it.effect.prop(
    "answers the same request with the same bytes, whichever layer it meets",
    { text: Schema.NonEmptyString.check(Schema.isPattern(/\S/)) },
    ({ text }) =>
      Effect.gen(function*() {
        const once = Effect.flatMap(HttpClient.HttpClient, (client) => post(client, provider, question(text))).pipe(
          Effect.provide(Simulator.layer())
        )
        const [first, second] = [yield* once, yield* once]
        assert.strictEqual(first.status, 200)
        assert.strictEqual(first.text, second.text)
        assert.deepStrictEqual({ ...first.headers }, { ...second.headers })
      }),
    { arbitrary: { runs: 20 } }
  )

  it.effect("fails as scripted, in order, and then answers", () =>
    Effect.gen(function*() {
      const { client } = yield* Simulator.make({
        failures: [
          { _tag: "RateLimit", retryAfter: "1500 millis" },
          { _tag: "RateLimit" },
          { _tag: "ServerError" },
          { _tag: "ServerError", status: 503 },
          { _tag: "ServerError", status: 529 },
          { _tag: "Empty" }
        ]
      })
      const answers = yield* Effect.forEach(
        Array.from({ length: 7 }),
        () => post(client, provider, question("Why is the sky blue?"))
      )
      assert.deepStrictEqual(answers.map(({ status }) => status), [429, 429, 500, 503, 529, 200, 200])
      assert.deepStrictEqual(texts[provider](answers[5]?.json) ?? "", "")
      assert.strictEqual(finishes[provider](answers[5]?.json), finish.stop)
      assert.strictEqual(texts[provider](answers[6]?.json), whole)
    }))
})

describe("Simulator: what each provider sends along", () => {
  it.effect("dresses ids and headers as the provider does", () =>
    Effect.gen(function*() {
      const anthropic = yield* ask("anthropic", { ...questions.anthropic("Use get_weather"), ...offers.anthropic })
      assert.match(String(at(anthropic.json, "id")), /^msg_01\w{22}$/)
      assert.match(String(at(anthropic.json, "content", 0, "id")), /^toolu_01\w{22}$/)
      assert.match(anthropic.headers["request-id"] ?? "", /^req_/)
      assert.strictEqual(anthropic.headers["anthropic-ratelimit-requests-remaining"], "3999")
      const openai = yield* ask("openai", { ...questions.openai("Use get_weather"), ...offers.openai })
      assert.match(String(at(openai.json, "id")), /^chatcmpl-\w{29}$/)
      assert.match(String(at(openai.json, "choices", 0, "message", "tool_calls", 0, "id")), /^call_\w{24}$/)
      assert.match(openai.headers["x-request-id"] ?? "", /^req_/)
      assert.strictEqual(openai.headers["x-ratelimit-remaining-requests"], "9999")
      const openrouter = yield* ask("openrouter", questions.openrouter("Hello"))
      assert.match(String(at(openrouter.json, "id")), /^gen-\d{10}-\w{20}$/)
      assert.strictEqual(at(openrouter.json, "provider"), "OpenAI")
      assert.isNumber(at(openrouter.json, "usage", "cost"))
      assert.strictEqual(at(openrouter.json, "choices", 0, "native_finish_reason"), "stop")
      const gemini = yield* ask("gemini", { ...questions.gemini("Use get_weather"), ...offers.gemini })
      assert.notProperty(at(gemini.json, "candidates", 0, "content", "parts", 0, "functionCall"), "id")
    }))

  it.effect("excludes what is written to a cache from Anthropic's input tokens", () =>
    Effect.gen(function*() {
      const system = [{ type: "text", text: "x".repeat(4000), cache_control: { type: "ephemeral" } }]
      const plain = yield* ask("anthropic", { ...questions.anthropic("Hello"), system })
      assert.isAbove(Number(at(plain.json, "usage", "cache_creation_input_tokens")), 1000)
      assert.isBelow(Number(at(plain.json, "usage", "input_tokens")), 100)
    }))

  it.effect("calls several named tools at once, unless that is switched off", () =>
    Effect.gen(function*() {
      const two = ["alpha", "beta"].map((name) => ({ type: "function", function: { name } }))
      const body = { ...questions.openai("Ask alpha and beta"), tools: two }
      const many = yield* ask("openai", body)
      assert.lengthOf(at(many.json, "choices", 0, "message", "tool_calls") as ReadonlyArray<unknown>, 2)
      const one = yield* ask("openai", { ...body, parallel_tool_calls: false })
      assert.lengthOf(at(one.json, "choices", 0, "message", "tool_calls") as ReadonlyArray<unknown>, 1)
    }))

  it.effect("sends half of a call's arguments over Chat Completions when the limit cuts them", () =>
    Effect.gen(function*() {
      const { json } = yield* ask("openai", {
        ...questions.openai("Use get_weather"),
        ...offers.openai,
        max_completion_tokens: 3
      })
      assert.strictEqual(
        at(json, "choices", 0, "message", "tool_calls", 0, "function", "arguments"),
        '{"city":"cit'
      )
    }))

  it.effect("signs the first call of Gemini 3 and wants the signature back", () =>
    Effect.gen(function*() {
      const url = endpoints.gemini.url.replace("gemini-2.5-flash", "gemini-3-flash-preview")
      const body = { ...questions.gemini("Use get_weather"), ...offers.gemini }
      const first = yield* ask("gemini", body, { url })
      const next = followUps.gemini(body, first.json, "23 degrees")
      assert.strictEqual((yield* ask("gemini", next, { url })).status, 200)
      const unsigned = JSON.parse(JSON.stringify(next).replace(/,"thoughtSignature":"\w+"/, "")) as unknown
      const refused = yield* ask("gemini", unsigned, { url })
      assert.strictEqual(refused.status, 400)
      assert.include(refused.text, "thought_signature")
    }))

  it.effect.each(
    [
      ["anthropic", { "retry-after": "2" }, ["error", "type"], "rate_limit_error"],
      ["openai", { "retry-after": "2", "retry-after-ms": "1500" }, ["error", "code"], "rate_limit_exceeded"],
      ["responses", { "retry-after": "2", "retry-after-ms": "1500" }, ["error", "code"], "rate_limit_exceeded"],
      ["openrouter", { "retry-after": "2" }, ["error", "metadata", "headers", "Retry-After"], "2"],
      ["gemini", {}, ["error", "details", 1, "retryDelay"], "1.5s"]
    ] as const
  )("hints at the delay as %s does", ([provider, headers, path, value]) =>
    Effect.gen(function*() {
      const answer = yield* ask(provider, questions[provider]("Hello"), {}, {
        failures: [{ _tag: "RateLimit", retryAfter: "1500 millis" }]
      })
      for (const [name, text] of Object.entries(headers)) assert.strictEqual(answer.headers[name], text)
      assert.strictEqual(at(answer.json, ...path), value)
    }))

  it.effect("records what was sent, without keys", () =>
    Effect.gen(function*() {
      const { client, requests } = yield* Simulator.make()
      yield* post(client, "gemini", questions.gemini("Hello"), { url: `${endpoints.gemini.url}?key=secret` })
      yield* post(client, "openai", questions.openai("Hello"))
      yield* post(client, "anthropic", questions.anthropic("Hello"))
      const all = yield* requests
      assert.deepStrictEqual(all.map(({ provider }) => provider), ["gemini", "openai", "anthropic"])
      assert.deepStrictEqual(all[1]?.body, questions.openai("Hello"))
      assert.strictEqual(all[2]?.headers["anthropic-version"], "2023-06-01")
      assert.notMatch(JSON.stringify(all), /secret|sk-test/)
    }))

  const secretHeaders = [
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "x-goog-api-key",
    "api-key",
    "x-gateway-key",
    "helicone-auth",
    "cf-aig-authorization",
    "x-amz-security-token",
    "client-secret",
    "cookie",
    "x-password"
  ]
  it.effect.each(secretHeaders)("records no header %s", (name) =>
    Effect.gen(function*() {
      const { client, requests } = yield* Simulator.make({ requireKey: false })
      yield* post(client, "openai", questions.openai("Hello"), { headers: { [name]: "hidden", "x-title": "shown" } })
      const [request] = yield* requests
      assert.strictEqual(request?.headers["x-title"], "shown")
      assert.notProperty(request?.headers, name)
      assert.notInclude(JSON.stringify(request), "hidden")
    }))

  const secretParameters = ["key", "api_key", "api-key", "apikey", "access_token", "client_secret", "Auth", "signature"]
  it.effect.each(secretParameters)("records no query parameter %s", (name) =>
    Effect.gen(function*() {
      const { client, requests } = yield* Simulator.make()
      const url = `${endpoints.gemini.url}?${name}=hidden&alt=sse&${name}=hidden`
      yield* post(client, "gemini", questions.gemini("Hello"), { url })
      assert.deepStrictEqual((yield* requests).map(({ url }) => url), [`${endpoints.gemini.url}?alt=sse`])
    }))

  it.effect("records no user and password of a URL", () =>
    Effect.gen(function*() {
      const { client, requests } = yield* Simulator.make()
      yield* post(client, "openai", questions.openai("Hello"), {
        url: "https://someone:hidden@api.openai.com/v1/chat/completions"
      })
      assert.deepStrictEqual((yield* requests).map(({ url }) => url), [endpoints.openai.url])
    }))

  it.effect("answers as not found where the model in the path is not encoded as it should be", () =>
    Effect.gen(function*() {
      const url = "https://generativelanguage.googleapis.com/v1beta/models/%E0%A4%A:generateContent"
      const answer = yield* ask("gemini", questions.gemini("Hello"), { url })
      assert.strictEqual(answer.status, 404)
      assert.strictEqual(at(answer.json, "error", "status"), "NOT_FOUND")
    }))

  const nested = (depth: number, open: string, close: string, inner = "1"): string =>
    open.repeat(depth) + inner + close.repeat(depth)
  const sent = (provider: Provider, body: HttpBody.HttpBody) =>
    Effect.gen(function*() {
      const { client } = yield* Simulator.make()
      const { headers, url } = endpoints[provider]
      const request = HttpClientRequest.post(url).pipe(
        HttpClientRequest.setHeaders(headers),
        HttpClientRequest.setBody(body)
      )
      const response = yield* client.execute(request)
      return { status: response.status, json: yield* response.json }
    })

  it.effect.each(providers)("refuses a body that is nested too deeply, as %s", (provider) =>
    Effect.gen(function*() {
      for (const deep of [nested(20_000, "[", "]"), nested(20_000, '{"a":', "}"), nested(400, '{"a":', "}")]) {
        const question = JSON.stringify(questions[provider]("Hello"))
        const answer = yield* sent(provider, HttpBody.text(`${question.slice(0, -1)},"metadata":${deep}}`))
        assert.strictEqual(answer.status, 400)
        assert.include(JSON.stringify(answer.json), "not a valid JSON object")
      }
    }))

  it.effect.each(providers)(
    "walks through bodies that are nested as deeply as they may be, as %s",
    (provider) =>
      Effect.gen(function*() {
        const array = '{"type":"array","items":'
        for (const [open, inner] of [[array, '{"type":"string"}'], ['{"anyOf":[', '{"type":"string"}']] as const) {
          const deep = JSON.parse(nested(110, open, open === array ? "}" : "]}", inner)) as Json
          const schema = { type: "object", properties: { deep }, required: ["deep"] }
          const chat = {
            tools: [{ type: "function", function: { name: "get_weather", parameters: schema } }],
            tool_choice: "required"
          }
          const tools: Record<Provider, Json> = {
            anthropic: { tools: [{ name: "get_weather", input_schema: schema }], tool_choice: { type: "any" } },
            openai: chat,
            responses: {
              tools: [{ type: "function", name: "get_weather", parameters: schema }],
              tool_choice: "required"
            },
            openrouter: chat,
            gemini: {
              tools: [{ functionDeclarations: [{ name: "get_weather", parameters: schema }] }],
              toolConfig: { functionCallingConfig: { mode: "ANY" } }
            }
          }
          const answer = yield* ask(provider, { ...questions[provider]("Hello"), ...tools[provider] })
          assert.strictEqual(answer.status, 200)
        }
      })
  )

  it.effect.each(providers)(
    "calls a tool whose schema demands more than can be, as %s",
    (provider) =>
      Effect.gen(function*() {
        for (const immense of [{ type: "string", minLength: 1e12 }, { type: "array", minItems: 1e12, items: {} }]) {
          const text = JSON.stringify({ ...questions[provider]("Hello"), ...offers[provider], ...forces[provider] })
          const body = JSON.parse(text.replace('{"type":"string"}', JSON.stringify(immense))) as unknown
          assert.strictEqual((yield* ask(provider, body)).status, 200)
        }
      })
  )

  const bytes = new TextEncoder().encode(JSON.stringify(questions.openai("Hello")))
  const raws: ReadonlyArray<readonly [string, () => unknown]> = [
    ["a text", () => new TextDecoder().decode(bytes)],
    ["an ArrayBuffer", () => bytes.buffer],
    ["a Uint8Array", () => bytes],
    ["a Blob", () => new Blob([bytes])],
    ["a ReadableStream", () => new Blob([bytes]).stream()]
  ]
  it.effect.each(raws)("reads a raw body that is %s", ([, raw]) =>
    Effect.gen(function*() {
      assert.strictEqual((yield* sent("openai", HttpBody.raw(raw()))).status, 200)
    }))

  it.effect("starts the failures again in each build of the layer", () =>
    Effect.gen(function*() {
      const simulator = Simulator.layer({ failures: [{ _tag: "ServerError" }] })
      const build = Layer.build(simulator).pipe(
        Effect.flatMap((context) =>
          post(Context.get(context, HttpClient.HttpClient), "openai", questions.openai("Hello"))
        ),
        Effect.scoped
      )
      assert.deepStrictEqual([(yield* build).status, (yield* build).status], [500, 500])
    }))
})

type Mutation = (body: Json) => unknown

const set = (fields: Json): Mutation => (body) => ({ ...body, ...fields })
const without = (field: string): Mutation => (body) =>
  Object.fromEntries(Object.entries(body).filter(([name]) => name !== field))
const messages = (...all: ReadonlyArray<unknown>): Mutation => set({ messages: all })
const contents = (...all: ReadonlyArray<unknown>): Mutation => set({ contents: all })
const config = (fields: Json): Mutation => set({ generationConfig: fields })
const user = { role: "user", content: "Hello" }
const tool = (fields: Json = {}) => ({ name: "add", input_schema: { type: "object" }, ...fields })
const fn = (fields: Json = {}) => ({ type: "function", function: { name: "add", ...fields } })
const declare = (parameters: unknown, name = "add"): Mutation =>
  set({ tools: [{ functionDeclarations: [{ name, parameters }] }] })
const use = { role: "assistant", content: [{ type: "tool_use", id: "toolu_1", name: "add", input: {} }] }
const result = { type: "tool_result", tool_use_id: "toolu_1", content: "4" }
const text = { type: "text", text: "Hello" }
const call = (id: string) => ({ id, type: "function", function: { name: "add", arguments: "{}" } })
const called = { role: "assistant", content: null, tool_calls: [call("call_1"), call("call_2")] }
const said = { role: "user", parts: [{ text: "Hello" }] }
const functionCall = { functionCall: { name: "add", args: {} } }
const functionResponse = { functionResponse: { name: "add", response: {} } }

/** Name, mutation of a good request, status, and the provider's word for it. */
type Refusal = readonly [name: string, mutate: Mutation, status: number, word: string]

const anthropicRefusals: ReadonlyArray<Refusal> = [
  ["no model", without("model"), 400, "model: Field required"],
  ["an unknown model", set({ model: "claude-does-not-exist" }), 404, "not_found_error"],
  ["no max_tokens", without("max_tokens"), 400, "max_tokens: Field required"],
  ["max_tokens of 0", set({ max_tokens: 0 }), 400, "max_tokens"],
  ["a limit as text", set({ max_tokens: "many" }), 400, "max_tokens: Input should be a valid number"],
  ["no messages", messages(), 400, "at least one message is required"],
  ["an unknown field", set({ n: 2 }), 400, "n: Extra inputs are not permitted"],
  ["an unknown field in a block", messages({ role: "user", content: [{ ...text, id: 1 }] }), 400, "Extra inputs"],
  ["an unknown block", messages({ role: "user", content: [{ type: "txt" }] }), 400, "Input tag 'txt'"],
  ["an unknown role", messages({ role: "tool", content: "x" }), 400, "messages.0.role"],
  ["content that is a number", messages({ role: "user", content: 5 }), 400, "messages.0.content"],
  ["an empty text block", messages({ role: "user", content: [{ type: "text", text: "" }] }), 400, "must be non-empty"],
  ["a blank text block", messages({ role: "user", content: "  " }), 400, "non-whitespace"],
  ["an empty message", messages({ role: "user", content: [] }, user), 400, "non-empty content"],
  ["blank end of a prefill", messages(user, { role: "assistant", content: "I " }), 400, "trailing whitespace"],
  ["temperature 1.5", set({ temperature: 1.5 }), 400, "temperature: range: 0..1"],
  ["a stray tool result", messages({ role: "user", content: [result] }), 400, "unexpected `tool_use_id`"],
  ["an unanswered call", messages(user, use, user), 400, "without `tool_result` blocks"],
  ["a call at the end", messages(user, use), 400, "without `tool_result` blocks"],
  ["text before a result", messages(user, use, { role: "user", content: [text, result] }), 400, "immediately after"],
  ["two results of a call", messages(user, use, { role: "user", content: [result, result] }), 400, "single result"],
  [
    "an id that is no word",
    messages(user, { role: "assistant", content: [text, { type: "tool_use", id: "a.b:0", name: "add", input: {} }] }),
    400,
    "messages.1.content.1.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
  ],
  [
    "an id used twice",
    messages(user, use, { role: "user", content: [result] }, use, {
      role: "user",
      content: [result]
    }),
    400,
    "must be unique"
  ],
  [
    "arguments as text",
    messages(user, {
      role: "assistant",
      content: [{ type: "tool_use", id: "toolu_1", name: "add", input: "{}" }]
    }),
    400,
    "input"
  ],
  ["two tools of a name", set({ tools: [tool(), tool()] }), 400, "Tool names must be unique"],
  ["a tool name with a dot", set({ tools: [tool({ name: "a.b" })] }), 400, "tools.0.custom.name"],
  ["a tool schema without a type", set({ tools: [tool({ input_schema: {} })] }), 400, "input_schema.type"],
  ["a tool choice without tools", set({ tool_choice: { type: "auto" } }), 400, "while providing tools"],
  ["the choice of an unknown tool", set({ tools: [tool()], tool_choice: { type: "tool", name: "sub" } }), 400, "'sub'"],
  ["thinking beyond the limit", set({ thinking: { type: "enabled", budget_tokens: 2000 } }), 400, "budget_tokens"],
  [
    "five cache markers",
    set({
      system: Array.from({ length: 5 }, () => ({ ...text, cache_control: { type: "ephemeral" } }))
    }),
    400,
    "maximum of 4 blocks"
  ]
]

const openAiRefusals: ReadonlyArray<Refusal> = [
  ["no model", without("model"), 400, "you must provide a model parameter"],
  ["an unknown model", set({ model: "gpt-does-not-exist" }), 404, "model_not_found"],
  ["no messages field", without("messages"), 400, "missing_required_parameter"],
  ["no messages", messages(), 400, "empty_array"],
  ["an unknown field", set({ top_k: 4 }), 400, "Unrecognized request argument supplied: top_k"],
  ["an unknown field in a part", messages({ role: "user", content: [{ ...text, id: 1 }] }), 400, "unknown_parameter"],
  ["an unknown role", messages({ role: "model", content: "x" }), 400, "messages[0].role"],
  ["content that is a number", messages({ role: "user", content: 5 }), 400, "invalid_type"],
  ["an assistant that says nothing", messages(user, { role: "assistant", content: null }), 400, "expected a string"],
  ["an empty content array", messages({ role: "user", content: [] }), 400, "messages[0].content"],
  ["an empty list of tools", set({ tools: [] }), 400, "[] is too short - 'tools'"],
  ["an empty list of calls", messages(user, { role: "assistant", content: "x", tool_calls: [] }), 400, "empty_array"],
  ["a tool choice without tools", set({ tool_choice: "auto" }), 400, "only allowed when 'tools'"],
  [
    "the choice of an unknown tool",
    set({
      tools: [fn()],
      tool_choice: { type: "function", function: { name: "sub" } }
    }),
    400,
    "'sub'"
  ],
  ["two tools of a name", set({ tools: [fn(), fn()] }), 400, "Duplicate"],
  ["a tool name with a dot", set({ tools: [fn({ name: "a.b" })] }), 400, "tools[0].function.name"],
  ["a tool name of 65 letters", set({ tools: [fn({ name: "a".repeat(65) })] }), 400, "string_above_max_length"],
  ["parameters without a type", set({ tools: [fn({ parameters: {} })] }), 400, "invalid_function_parameters"],
  [
    "a strict schema that is open",
    set({
      tools: [fn({ strict: true, parameters: { type: "object", properties: {} } })]
    }),
    400,
    "additionalProperties"
  ],
  [
    "a strict answer with an optional field",
    set({
      response_format: {
        type: "json_schema",
        json_schema: {
          name: "answer",
          strict: true,
          schema: {
            type: "object",
            properties: { inner: { type: "object", properties: { a: {} }, required: [], additionalProperties: false } },
            required: ["inner"],
            additionalProperties: false
          }
        }
      }
    }),
    400,
    "Missing 'a'"
  ],
  [
    "a strict answer that is no object",
    set({
      response_format: {
        type: "json_schema",
        json_schema: { name: "answer", strict: true, schema: { anyOf: [{ type: "object" }, { type: "null" }] } }
      }
    }),
    400,
    "schema must be a JSON Schema of 'type: \\\"object\\\"'"
  ],
  ["json_object without the word", set({ response_format: { type: "json_object" } }), 400, "the word 'json'"],
  [
    "a tool message that answers nothing",
    messages(user, { role: "tool", tool_call_id: "call_1", content: "4" }),
    400,
    "'tool_calls'"
  ],
  ["an unanswered call", messages(user, called, { role: "tool", tool_call_id: "call_1", content: "4" }), 400, "call_2"],
  [
    "an id of 41 letters",
    messages(
      user,
      { role: "assistant", content: null, tool_calls: [call("a".repeat(41))] },
      { role: "tool", tool_call_id: "a".repeat(41), content: "4" }
    ),
    400,
    "Invalid 'messages[1].tool_calls[0].id': string too long"
  ],
  ["max_tokens for gpt-5", set({ model: "gpt-5-mini", max_tokens: 10 }), 400, "Use 'max_completion_tokens' instead."],
  ["max_tokens for o4-mini", set({ model: "o4-mini", max_tokens: 10 }), 400, "unsupported_parameter"],
  ["max_tokens of 0", set({ max_tokens: 0 }), 400, "integer_below_min_value"],
  ["temperature 3", set({ temperature: 3 }), 400, "decimal_above_max_value"],
  ["temperature as text", set({ temperature: "hot" }), 400, "Invalid type for 'temperature'"],
  ["stream options without a stream", set({ stream_options: { include_usage: true } }), 400, "stream_options"],
  ["five stop sequences", set({ stop: ["a", "b", "c", "d", "e"] }), 400, "array_above_max_length"]
]

const items = (...all: ReadonlyArray<unknown>): Mutation => set({ input: all })
const responseTool = (fields: Json = {}) => ({ type: "function", name: "add", ...fields })
const functionCallItem = { type: "function_call", call_id: "call_1", name: "add", arguments: "{}" }

const responsesRefusals: ReadonlyArray<Refusal> = [
  ["no model", without("model"), 400, "missing_required_parameter"],
  ["an unknown model", set({ model: "gpt-does-not-exist" }), 400, "model_not_found"],
  ["no input field", without("input"), 400, "missing_required_parameter"],
  ["an empty input", items(), 400, "empty_array"],
  ["stop sequences", set({ stop: ["a"] }), 400, "Unknown parameter: 'stop'."],
  ["a seed", set({ seed: 1 }), 400, "unknown_parameter"],
  [
    "an unknown field in a part",
    items({ role: "user", content: [{ type: "input_text", text: "a", id: 1 }] }),
    400,
    "id"
  ],
  [
    "what the official client adds to a call",
    items(user, { ...functionCallItem, parsed_arguments: null }, {
      type: "function_call_output",
      call_id: "call_1",
      output: "4"
    }),
    400,
    "Unknown parameter: 'input[1].parsed_arguments'."
  ],
  ["Chat's content", items({ role: "user", content: [text] }), 400, "input[0].content"],
  ["an unknown role", items({ role: "model", content: "x" }), 400, "input[0]"],
  ["an unanswered call", items(user, functionCallItem, user), 400, "No tool output found for function call call_1."],
  [
    "an answer to nothing",
    items(user, { type: "function_call_output", call_id: "call_2", output: "4" }),
    400,
    "No tool call found for function call output with call_id call_2."
  ],
  [
    "reasoning that leads to nothing",
    items(user, { type: "reasoning", id: "rs_1", summary: [] }, user),
    400,
    "Item 'rs_1' of type 'reasoning' was provided without its required following item."
  ],
  ["Chat's tools", set({ tools: [fn()] }), 400, "tools[0]"],
  ["two tools of a name", set({ tools: [responseTool(), responseTool()] }), 400, "Duplicate"],
  ["a tool name with a dot", set({ tools: [responseTool({ name: "a.b" })] }), 400, "tools[0].name"],
  ["parameters without a type", set({ tools: [responseTool({ parameters: {} })] }), 400, "invalid_function_parameters"],
  [
    "a strict schema that is open",
    set({ tools: [responseTool({ strict: true, parameters: { type: "object", properties: {} } })] }),
    400,
    "additionalProperties"
  ],
  [
    "an answer that is no object",
    set({
      text: { format: { type: "json_schema", name: "answer", strict: true, schema: { type: "array", items: {} } } }
    }),
    400,
    "invalid_json_schema"
  ],
  [
    "the choice of an unknown tool",
    set({ tools: [responseTool()], tool_choice: { type: "function", name: "sub" } }),
    400,
    "not found"
  ],
  ["a forced tool without tools", set({ tool_choice: "required" }), 400, "Tool choice"],
  ["15 tokens", set({ max_output_tokens: 15 }), 400, "integer_below_min_value"],
  ["temperature 3", set({ temperature: 3 }), 400, "decimal_above_max_value"],
  ["an effort of a model without reasoning", set({ reasoning: { effort: "low" } }), 400, "unsupported_parameter"]
]

const openRouterRefusals: ReadonlyArray<Refusal> = [
  ["no model", without("model"), 400, "No models provided"],
  ["an unknown model", set({ model: "openai/gpt-does-not-exist" }), 400, "is not a valid model ID"],
  ["no messages", without("messages"), 400, "Input required"],
  ["an unanswered call", messages(user, called), 400, "Provider returned error"],
  ["a tool choice without tools", set({ tool_choice: "auto" }), 400, "only allowed when 'tools'"]
]

const geminiRefusals: ReadonlyArray<Refusal> = [
  ["no contents", contents(), 400, "contents is not specified"],
  ["a content without parts", contents({ role: "user", parts: [] }), 400, "parts must not be empty"],
  ["a part without data", contents({ role: "user", parts: [{ thought: true }] }), 400, "oneof field 'data'"],
  [
    "a part with two kinds of data",
    contents({ role: "user", parts: [{ text: "a", ...functionResponse }] }),
    400,
    "already set"
  ],
  ["an unknown role", contents({ role: "assistant", parts: [{ text: "a" }] }), 400, "valid role"],
  ["an unknown field", set({ messages: [] }), 400, 'Unknown name \\"messages\\"'],
  ["an unknown setting", config({ max_tokens: 5 }), 400, "at 'generation_config'"],
  ["a text that is a number", contents({ role: "user", parts: [{ text: 5 }] }), 400, "contents[0].parts[0].text"],
  [
    "$ref in parameters",
    declare({ type: "object", properties: { a: { $ref: "#/$defs/A" } } }),
    400,
    'Unknown name \\"$ref\\"'
  ],
  ["$defs in parameters", declare({ type: "object", properties: {}, $defs: {} }), 400, 'Unknown name \\"$defs\\"'],
  [
    "additionalProperties in parameters",
    declare({ type: "object", additionalProperties: false }),
    400,
    'Unknown name \\"additionalProperties\\"'
  ],
  ["an array without items", declare({ type: "object", properties: { a: { type: "array" } } }), 400, "missing field"],
  [
    "a required property that is not there",
    declare({ type: "object", required: ["b"] }),
    400,
    "property is not defined"
  ],
  ["a function name that starts with a digit", declare(undefined, "1st"), 400, "Invalid function name"],
  [
    "two functions of a name",
    set({ tools: [{ functionDeclarations: [{ name: "a" }, { name: "a" }] }] }),
    400,
    "Duplicate"
  ],
  [
    "the choice of an unknown function",
    set({
      tools: [{ functionDeclarations: [{ name: "a" }] }],
      toolConfig: { functionCallingConfig: { mode: "ANY", allowedFunctionNames: ["b"] } }
    }),
    400,
    "`b`"
  ],
  [
    "mode ANY without functions",
    set({ toolConfig: { functionCallingConfig: { mode: "ANY" } } }),
    400,
    "function_declarations"
  ],
  [
    "fewer responses than calls",
    contents(said, { role: "model", parts: [functionCall, functionCall] }, {
      role: "user",
      parts: [functionResponse]
    }),
    400,
    "number of function response parts"
  ],
  ["an unanswered call", contents(said, { role: "model", parts: [functionCall] }, said), 400, "number of function"],
  [
    "a response to nothing",
    contents({ role: "user", parts: [functionResponse] }),
    400,
    "immediately after a function call"
  ],
  ["a call at the start", contents({ role: "model", parts: [functionCall] }), 400, "immediately after a user turn"],
  ["temperature 3", config({ temperature: 3 }), 400, "temperature must be"],
  ["a limit of 0", config({ maxOutputTokens: 0 }), 400, "max_output_tokens"],
  ["a schema without the JSON type", config({ responseJsonSchema: {} }), 400, "response_mime_type"],
  [
    "JSON beside functions",
    set({
      tools: [{ functionDeclarations: [{ name: "a" }] }],
      generationConfig: { responseMimeType: "application/json" }
    }),
    400,
    "unsupported"
  ],
  [
    "system text beside a cache",
    set({
      cachedContent: "cachedContents/a",
      systemInstruction: { parts: [{ text: "a" }] }
    }),
    400,
    "CachedContent"
  ]
]

const errorShapes: Record<Provider, (status: number, json: unknown) => void> = {
  anthropic: (_, json) => {
    assert.strictEqual(at(json, "type"), "error")
    assert.isString(at(json, "error", "type"))
    assert.isString(at(json, "request_id"))
  },
  openai: (_, json) => assert.hasAllKeys(at(json, "error") as object, ["message", "type", "param", "code"]),
  responses: (_, json) => assert.hasAllKeys(at(json, "error") as object, ["message", "type", "param", "code"]),
  openrouter: (status, json) => {
    assert.strictEqual(at(json, "error", "code"), status)
    assert.isString(at(json, "user_id"))
  },
  gemini: (status, json) => {
    assert.strictEqual(at(json, "error", "code"), status)
    assert.isString(at(json, "error", "status"))
  }
}

const refuses = (provider: Provider, refusals: ReadonlyArray<Refusal>) =>
  it.effect.each(refusals)(`${provider} refuses %s`, ([, mutate, status, word]) =>
    Effect.gen(function*() {
      const answer = yield* ask(provider, mutate(questions[provider]("Hello")))
      assert.strictEqual(answer.status, status, answer.text)
      assert.include(answer.text, word)
      errorShapes[provider](status, answer.json)
    }))

describe("Simulator: what the providers refuse", () => {
  refuses("anthropic", anthropicRefusals)
  refuses("openai", openAiRefusals)
  refuses("responses", responsesRefusals)
  refuses("openrouter", openRouterRefusals)
  refuses("gemini", geminiRefusals)

  it.effect("gemini refuses an unknown model, which its path names", () =>
    Effect.gen(function*() {
      const url = endpoints.gemini.url.replace("gemini-2.5-flash", "gemini-does-not-exist")
      const answer = yield* ask("gemini", questions.gemini("Hello"), { url })
      assert.strictEqual(answer.status, 404)
      assert.strictEqual(at(answer.json, "error", "status"), "NOT_FOUND")
    }))

  it.effect("anthropic wants its version header", () =>
    Effect.gen(function*() {
      const answer = yield* ask("anthropic", questions.anthropic("Hello"), { headers: { "x-api-key": "sk-test" } })
      assert.strictEqual(answer.status, 400)
      assert.include(answer.text, "anthropic-version")
    }))

  it.effect.each(
    [
      ["anthropic", 401, "authentication_error", 401, "authentication_error"],
      ["openai", 401, "invalid_request_error", 401, "invalid_api_key"],
      ["responses", 401, "invalid_request_error", 401, "invalid_api_key"],
      ["openrouter", 401, "No auth credentials found", 401, "User not found."],
      ["gemini", 403, "PERMISSION_DENIED", 400, "API_KEY_INVALID"]
    ] as const
  )(
    "%s refuses a request without a key, and a wrong key",
    ([provider, status, word, wrong, wrongWord]) =>
      Effect.gen(function*() {
        const body = questions[provider]("Hello")
        const version = { "anthropic-version": "2023-06-01" }
        const missing = yield* ask(provider, body, { headers: version })
        assert.strictEqual(missing.status, status)
        assert.include(missing.text, word)
        const key = { authorization: "Bearer invalid", "x-api-key": "invalid", "x-goog-api-key": "invalid" }
        const answer = yield* ask(provider, body, { headers: { ...version, ...key } })
        assert.strictEqual(answer.status, wrong)
        assert.include(answer.text, wrongWord)
        const keyless = yield* ask(provider, body, { headers: version }, { requireKey: false })
        assert.strictEqual(keyless.status, 200)
      })
  )

  it.effect("asks for no key on a local host, unless told to", () =>
    Effect.gen(function*() {
      const place = { url: "http://127.0.0.1:8080/v1/chat/completions", headers: {} }
      assert.strictEqual((yield* ask("openai", questions.openai("Hello"), place)).status, 200)
      assert.strictEqual((yield* ask("openai", questions.openai("Hello"), place, { requireKey: true })).status, 401)
    }))

  it.effect("ignores unknown fields on request", () =>
    Effect.gen(function*() {
      for (const provider of providers) {
        const body = { ...questions[provider]("Hello"), surprise: true }
        assert.strictEqual((yield* ask(provider, body, {}, { unknownFields: "ignore" })).status, 200)
      }
    }))

  it.effect("answers an unknown path with 404, and what is not JSON with 400", () =>
    Effect.gen(function*() {
      for (const provider of providers) {
        const url = new URL("/nowhere", endpoints[provider].url).href
        const lost = yield* ask(provider, {}, { url })
        assert.strictEqual(lost.status, 404)
        errorShapes[provider](404, lost.json)
        const odd = yield* ask(provider, [1])
        assert.strictEqual(odd.status, 400)
        errorShapes[provider](400, odd.json)
      }
    }))
})

// Recorded traffic, where it is at hand, keeps the validation true: what the providers took, the simulator takes.
const corpus = new URL("../../../shared/corpus/", import.meta.url)
const files = {
  anthropic: "anthropic-messages.jsonl",
  openai: "openai-chat.jsonl",
  responses: "openai-responses.jsonl",
  openrouter: "openrouter-chat.jsonl",
  gemini: "gemini-generate-content.jsonl"
}

interface Recording {
  readonly id: string
  readonly exchanges: ReadonlyArray<{
    readonly request: {
      readonly path: string
      readonly query: { readonly [name: string]: string }
      readonly headers: { readonly [name: string]: string }
      readonly body: Json
    }
    readonly response: { readonly status: number }
  }>
}

describe.skipIf(!existsSync(corpus))("Simulator: recorded traffic (skipped without ../shared/corpus)", () => {
  it.effect.each(providers)("takes what %s took", (provider) =>
    Effect.gen(function*() {
      const { client } = yield* Simulator.make()
      const lines = readFileSync(new URL(files[provider], corpus), "utf8").split("\n").filter((line) => line !== "")
      const refused: Array<string> = []
      let taken = 0
      for (const line of lines) {
        const { exchanges, id } = JSON.parse(line) as Recording
        for (const { request, response } of exchanges) {
          if (response.status !== 200 || id.startsWith("openai/vllm/")) continue
          const answer = yield* post(client, provider, request.body, {
            url: `${new URL(request.path, endpoints[provider].url).href}?alt=${request.query.alt ?? ""}`,
            headers: { ...request.headers, ...endpoints[provider].headers }
          })
          if (answer.status === 200) taken++
          else refused.push(`${id}: ${answer.text}`)
        }
      }
      assert.deepStrictEqual(refused, [])
      assert.isAbove(taken, 50)
    }), 60_000)
})

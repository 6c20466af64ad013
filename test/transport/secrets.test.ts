import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Headers from "effect/http/Headers"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import * as Tracer from "effect/Tracer"
import { inspect } from "node:util"
import {
  Anthropic,
  Completion,
  type CompletionResponse,
  Gemini,
  LLMClient,
  LLMError,
  OpenAi,
  OpenRouter,
  Retry
} from "../../src/index.ts"
import { ofHeaders, ofUrl, redactJson, redactor } from "../../src/transport/secrets.ts"
import { runs, sample } from "../effort.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Keys, and the ways to write them
// ---------------------------------------------------------------------------------------------------------------------

const printable = Array.from({ length: 94 }, (_, index) => String.fromCharCode(0x21 + index))

// What JSON, URLs, HTML and regular expressions write in their own ways comes more often than the rest.
const Character = Schema.Literals([...printable, ...'\\\\\\\\""""%%%&&&<<>>\'\'$$+./{}', ...printable])

const Key = Arbitrary.array(Arbitrary.schema(Character), { minLength: 8, maxLength: 40 }).pipe(
  Arbitrary.map((characters) => characters.join(""))
)

const hex = (character: string, digits: number) => character.charCodeAt(0).toString(16).padStart(digits, "0")

const each = (write: (character: string) => string) => (text: string) => Array.from(text, write).join("")

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;"
}

const json = (text: string) => JSON.stringify(text).slice(1, -1)
const unicode = each((character) => `\\u${hex(character, 4)}`)
const html = each((character) => entities[character] ?? character)

const spellings = {
  "as it is": (text: string) => text,
  "in JSON": json,
  "in JSON in JSON": (text: string) => json(json(text)),
  "in JSON, with escaped slashes": (text: string) => json(text).replaceAll("/", "\\/"),
  "in JSON, as code points": unicode,
  "in JSON, as capital code points": each((character) => `\\u${hex(character, 4).toUpperCase()}`),
  "in JSON, every other character as a code point": (text: string) =>
    Array.from(text, (character, index) => index % 2 === 0 ? unicode(character) : json(character)).join(""),
  "in a URL": encodeURIComponent,
  "in a form": (text: string) => new URLSearchParams({ "": text }).toString().slice(1),
  "in a URL, every character": each((character) => `%${hex(character, 2)}`),
  "in a URL in a URL": (text: string) => encodeURIComponent(encodeURIComponent(text)),
  "in HTML": html,
  "in HTML, as numbers": each((character) => `&#${character.charCodeAt(0)};`),
  "in HTML, as hexadecimal numbers": each((character) => `&#x${hex(character, 2)};`)
} as const

const unescapes: ReadonlyArray<(text: string) => string> = [
  (text) =>
    text.replaceAll(
      /\\u00([0-9a-f]{2})|\\(["'\\/`])/gi,
      (_, code: string | undefined, plain: string) =>
        code === undefined ? plain : String.fromCharCode(Number.parseInt(code, 16))
    ),
  (text) => text.replaceAll(/%([0-9a-f]{2})/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16))),
  (text) =>
    text.replaceAll(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)))
      .replaceAll(/&#x([0-9a-f]+);/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
      .replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"').replaceAll("&apos;", "'")
      .replaceAll("&amp;", "&")
]

// A text, and what a reader makes of it who undoes the escapes of JSON, URLs or HTML up to three times.
const readings = (text: string): ReadonlyArray<string> => {
  const found = new Set([text])
  for (const unescape of unescapes) {
    let reading = text
    for (let round = 0; round < 3; round++) {
      const next = unescape(reading)
      if (next === reading) break
      found.add(reading = next)
    }
  }
  return [...found]
}

// ---------------------------------------------------------------------------------------------------------------------
// Calls that hold keys
// ---------------------------------------------------------------------------------------------------------------------

interface Keys {
  readonly apiKey: string
  readonly header: string
  readonly callHeader: string
  readonly query: string
}

const AnyKeys = Arbitrary.all({ apiKey: Key, header: Key, callHeader: Key, query: Key })

const providers = {
  anthropic: Anthropic.layer,
  openai: (options: OpenAi.Options) => OpenAi.layer({ ...options, api: "chat" }),
  gemini: Gemini.layer,
  openrouter: OpenRouter.layer
} as const
type Provider = keyof typeof providers
const names = Object.keys(providers) as ReadonlyArray<Provider>

// A traced call reads a stream underneath, one that is not traced does not.
const client = (provider: Provider, keys: Keys, tracePropagation: boolean) =>
  providers[provider]({
    whole: tracePropagation ? "stream" : "unary",
    apiKey: Redacted.make(keys.apiKey),
    baseUrl: `https://gateway.example/proxy?token=${encodeURIComponent(keys.query)}`,
    model: "some-model",
    headers: { "x-gateway-key": keys.header },
    tracePropagation
  })

const question = ({ callHeader }: Keys) =>
  Completion.make({ prompt: "Hello", headers: { authorization: `Bearer ${callHeader}`, "x-user-token": callHeader } })

interface Outcome {
  readonly status: number
  readonly body: string
  readonly headers: Readonly<Record<string, string>>
}

type Respond = (
  request: HttpClientRequest.HttpClientRequest
) => Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>

const respond = ({ body, headers, status }: Outcome): Respond => (request) =>
  Effect.sync(() => HttpClientResponse.fromWeb(request, new Response(body, { status, headers })))

const transportError = (request: HttpClientRequest.HttpClientRequest, cause: unknown) =>
  new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, cause }) })

// Errors of the network that repeat what was sent: where it went, and with which headers.
const unreachable = (keys: Keys): Respond => (request) => {
  const below = Object.assign(new Error(`connect ECONNREFUSED ${request.url} (${keys.header})`), {
    code: `ECONNREFUSED ${keys.apiKey}`,
    headers: request.headers
  })
  return Effect.fail(transportError(
    request,
    Object.assign(new TypeError(`fetch failed: "${json(keys.apiKey)}" ${keys.callHeader} ${unicode(keys.query)}`), {
      cause: below,
      request
    })
  ))
}

const broken = (keys: Keys): Respond => (request) =>
  Effect.sync(() =>
    HttpClientResponse.fromWeb(
      request,
      new Response(
        new ReadableStream({
          start: (controller) => controller.error(new TypeError(`terminated: ${Object.values(keys).join(" ")}`))
        })
      )
    )
  )

const all = (keys: Keys, write: (text: string) => string) => Object.values(keys).map(write).join(" | ")

// An error body that repeats every key wherever a body can hold one, and beside it an answer that does so too.
const echo = (keys: Keys) => {
  const said = `no: ${all(keys, (key) => key)}`
  const error = {
    message: said,
    code: keys.apiKey,
    type: keys.header,
    status: keys.callHeader,
    param: { [keys.apiKey]: [[keys.query]], [`x${keys.header}x`]: keys.callHeader },
    details: [{ reason: keys.query, metadata: { [keys.query]: keys.header } }],
    metadata: {
      raw: `{"error":{"message":"${all(keys, unicode)}"},"also":"${all(keys, json)}"}`,
      provider_name: keys.apiKey,
      reasons: [keys.callHeader, encodeURIComponent(keys.query)],
      headers: { "X-Echo": keys.header }
    }
  }
  return { error, request_id: keys.query, id: keys.apiKey, model: keys.header, ...answerOf(said, keys) }
}

// What every provider takes for an answer, with a tool call and a finish reason that repeat keys.
const answerOf = (text: string, keys: Keys) => ({
  content: [
    { type: "text", text },
    { type: "tool_use", id: keys.apiKey, name: keys.header, input: { [keys.query]: keys.callHeader } },
    { type: "unknown", [keys.apiKey]: keys.header }
  ],
  stop_reason: keys.query,
  stop_sequence: keys.header,
  choices: [{
    index: 0,
    message: {
      role: "assistant",
      content: text,
      reasoning: text,
      tool_calls: [{
        id: keys.apiKey,
        function: { name: keys.header, arguments: JSON.stringify({ [keys.query]: keys.callHeader }) }
      }]
    },
    finish_reason: keys.callHeader
  }],
  candidates: [{
    content: { parts: [{ text }, { functionCall: { name: keys.apiKey, args: { [keys.query]: keys.header } } }] },
    finishReason: keys.header
  }],
  responseId: keys.apiKey,
  modelVersion: keys.query
})

const escaped = (value: unknown): string =>
  JSON.stringify(value).replaceAll(/"((?:[^"\\]|\\.)*)"/g, (text) => `"${unicode(JSON.parse(text) as string)}"`)

const bodies = (keys: Keys): Readonly<Record<string, string>> => ({
  "as JSON": JSON.stringify(echo(keys)),
  "as JSON with escapes": escaped(echo(keys)),
  "as a JSON text": JSON.stringify(all(keys, (key) => key)),
  "as half a JSON": JSON.stringify(echo(keys)).slice(0, -1),
  "as half a JSON with escapes": `{"error":{"${unicode(keys.apiKey)}":"${all(keys, unicode)}","code":`,
  "as a page": `<html><body>${
    Object.values(spellings).map((write) => `<p>${all(keys, write)}</p>`).join("\n")
  }</body></html>`,
  "beyond 8 KiB": `${" ".repeat(8185)}${all(keys, (key) => key)}`
})

// An answer that is refused, which repeats every key.
const refusals = (keys: Keys): Readonly<Record<Provider, unknown>> => {
  const said = all(keys, (key) => key)
  const { candidates: _, choices: __, ...answer } = answerOf(said, keys)
  const chat = {
    choices: [{
      message: { reasoning: said, tool_calls: [{ id: said, function: { name: keys.apiKey, arguments: `{${said}` } }] },
      finish_reason: "tool_calls"
    }]
  }
  return {
    anthropic: {
      ...answer,
      content: [{ type: "thinking", thinking: said, signature: said }],
      stop_reason: "refusal",
      stop_details: { category: said }
    },
    openai: chat,
    openrouter: chat,
    gemini: { candidates: [{ finishReason: "MALFORMED_FUNCTION_CALL", finishMessage: said }], responseId: keys.apiKey }
  }
}

const outcomes = (provider: Provider, keys: Keys): Readonly<Record<string, Respond>> => {
  const headers = {
    "request-id": keys.apiKey,
    "x-request-id": `req ${keys.header}`,
    "x-echo": all(keys, (key) => key),
    location: `https://elsewhere.example/?key=${encodeURIComponent(keys.apiKey)}`
  }
  return {
    ...Object.fromEntries(
      Object.entries(bodies(keys)).flatMap(([form, body]) =>
        (form === "as JSON" ? [200, 307, 400, 401, 403, 429, 500] : [200, 401]).map((status) =>
          [`${status} ${form}`, respond({ status, headers, body })] as const
        )
      )
    ),
    "200 and nothing in it": respond({ status: 200, headers, body: JSON.stringify(refusals(keys)[provider]) }),
    "unreachable": unreachable(keys),
    "broken": broken(keys)
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// What others may see
// ---------------------------------------------------------------------------------------------------------------------

const encode = Schema.encodeSync(LLMError.LLMError)

const renderings = (error: LLMError.LLMError): Readonly<Record<string, string>> => ({
  "String(error)": String(error),
  "message": error.message,
  "JSON.stringify": JSON.stringify(error),
  "inspect": inspect(error, { depth: null, showHidden: true, getters: true, maxStringLength: null }),
  "stack": error.stack ?? "",
  "cause": inspect(error.cause, { depth: null, showHidden: true, maxStringLength: null }),
  "Schema.encode": JSON.stringify(encode(error)),
  "Cause.pretty": Cause.pretty(Cause.fail(error)),
  "inspect of the exit": inspect(Exit.fail(error), { depth: null, showHidden: true })
})

const observe = () => {
  const lines: Array<string> = []
  const spans: Array<Tracer.Span> = []
  const keep = (logger: Logger.Logger<unknown, unknown>) =>
    Logger.map(logger, (line) => {
      lines.push(typeof line === "string" ? line : inspect(line, { depth: null, showHidden: true }))
    })
  const layer = Layer.merge(
    Logger.layer([
      keep(Logger.formatSimple),
      keep(Logger.formatLogFmt),
      keep(Logger.formatJson),
      keep(Logger.formatStructured)
    ]),
    Layer.succeed(
      Tracer.Tracer,
      Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          spans.push(span)
          return span
        }
      })
    )
  )
  const seen = (): Readonly<Record<string, string>> => ({
    logs: lines.join("\n"),
    spans: spans.map((span) =>
      [
        span.name,
        inspect([...span.attributes], { depth: null }),
        inspect(span.links, { depth: null }),
        span.status._tag === "Ended" && Exit.isFailure(span.status.exit)
          ? [
            Cause.pretty(span.status.exit.cause),
            JSON.stringify(span.status.exit),
            inspect(span.status.exit, { depth: null, showHidden: true })
          ].join("\n")
          : ""
      ].join("\n")
    ).join("\n")
  })
  return { layer, seen, spans }
}

const assertNoKey = (keys: Keys, where: string, shown: Readonly<Record<string, string>>) => {
  for (const [name, text] of Object.entries(shown)) {
    for (const reading of readings(text)) {
      for (const [place, key] of Object.entries(keys)) {
        if (reading.includes(key)) {
          const at = reading.indexOf(key)
          assert.fail(`${where}: ${name} shows ${place} ${key}: …${reading.slice(Math.max(0, at - 60), at + 80)}…`)
        }
      }
    }
  }
}

const call = (
  layer: Layer.Layer<LLMClient.LLMClient, never, HttpClient.HttpClient>,
  keys: Keys,
  respond: Respond
): Effect.Effect<CompletionResponse.CompletionResponse, LLMError.LLMError> =>
  LLMClient.completion(question(keys)).pipe(
    Effect.withSpan("call"),
    Effect.tapError((error) => Effect.logError("it failed", error)),
    Effect.tapCause((cause) => Effect.logError("and why", cause)),
    Effect.provide(Layer.provide(layer, Layer.succeed(HttpClient.HttpClient, HttpClient.make(respond))))
  )

describe("no rendering of a failure shows a key", () => {
  for (const provider of names) {
    for (const tracePropagation of [false, true]) {
      it.effect.prop(
        `${provider}${tracePropagation ? ", traced" : ""}`,
        [AnyKeys],
        ([keys]) =>
          Effect.gen(function*() {
            for (
              const [name, respond] of sample(2, Object.entries(outcomes(provider, keys)), tracePropagation ? 1 : 0)
            ) {
              const { layer, seen, spans } = observe()
              const error = yield* call(client(provider, keys, tracePropagation), keys, respond).pipe(
                Effect.provide(layer),
                Effect.flip
              )
              assert.strictEqual(spans.length, tracePropagation ? 2 : 1)
              assertNoKey(keys, name, { ...renderings(error), ...seen() })
            }
          }),
        { arbitrary: { seed: `${provider} ${tracePropagation}`, runs: runs(1, 12) } }
      )
    }
  }

  it.effect.prop(
    "nor do the attempts that a retry keeps, its log, or its last error",
    [AnyKeys],
    ([keys]) =>
      Effect.gen(function*() {
        for (const provider of names) {
          const { layer, seen } = observe()
          const outcome = outcomes(provider, keys)
          const order = ["500 as JSON", "429 as JSON", "unreachable", "200 as JSON with escapes", "broken"]
          let sent = 0
          const respond: Respond = (request) => outcome[order[sent++ % order.length]!]!(request)
          const policy = { base: 0, cap: 0, attempts: order.length + 1 }
          const fiber = yield* call(
            Layer.provide(
              Retry.layer({ RateLimit: policy, Transient: policy, Overloaded: policy, Malformed: policy }),
              client(provider, keys, false)
            ),
            keys,
            respond
          ).pipe(Effect.provide(layer), Effect.flip, Effect.forkChild({ startImmediately: true }))
          yield* TestClock.adjust("1 minute")
          const error = yield* Fiber.join(fiber)
          assert.strictEqual(error.attempts?.length, order.length)
          assertNoKey(keys, provider, { ...renderings(error), ...seen() })
        }
      }),
    { arbitrary: { seed: "attempts", runs: runs(1, 12) } }
  )

  it.effect("not even of a header that cannot be sent, or of an invalid key", () =>
    Effect.gen(function*() {
      const secret = "sk-line-1\nsk-line-2"
      const shows = (texts: Readonly<Record<string, string>>) => {
        for (const [name, text] of Object.entries(texts)) {
          assert.notInclude(text, "sk-line-1", name)
          assert.notInclude(text, "sk-line-2", name)
        }
      }
      for (const provider of names) {
        const run = (headers: Readonly<Record<string, string>>, apiKey?: string) =>
          LLMClient.completion(Completion.make({ prompt: "Hello", model: "m" })).pipe(
            Effect.provide(Layer.provide(
              providers[provider]({
                baseUrl: "http://127.0.0.1:1",
                headers,
                ...(apiKey !== undefined && { apiKey: Redacted.make(apiKey) })
              }),
              FetchHttpClient.layer
            )),
            Effect.exit
          )
        const exit = yield* run({ "x-gateway-key": secret })
        assert(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
        shows({ pretty: Cause.pretty(exit.cause), inspect: inspect(exit, { depth: null, showHidden: true }) })
        const unusable = yield* run({}, secret)
        const error = Exit.isFailure(unusable) ? Cause.squash(unusable.cause) : undefined
        assert(LLMError.isLLMError(error) && error.reason === "Authentication")
        shows(renderings(error))
      }
    }))
})

describe("what is not a secret stays", () => {
  const kept = "It is production, at level high, for acme."
  const body = `data: ${JSON.stringify({ choices: [{ delta: { content: kept } }] })}\n\n`

  it.effect("in an answer and an error, though a header of that value was sent", () =>
    Effect.gen(function*() {
      const error = yield* LLMClient.completion(
        Completion.make({ prompt: "Hello", model: "m", headers: { "x-level": "high", "anthropic-version": "It is" } })
      ).pipe(
        Effect.flip,
        Effect.provide(Layer.provide(
          OpenAi.layer({
            apiKey: Redacted.make("sk-0123456789"),
            headers: { "x-env": "prod", "x-tenant": "acme" },
            organization: "product",
            api: "chat",
            whole: "stream"
          }),
          Layer.succeed(
            HttpClient.HttpClient,
            HttpClient.make((request) => Effect.succeed(HttpClientResponse.fromWeb(request, new Response(body))))
          )
        ))
      )
      assert.strictEqual(error.reason, "Truncated")
      assert.strictEqual(error.partial?.text, kept)
    }))
})

describe("the caller's own HTTP context", () => {
  const seen = Effect.gen(function*() {
    let context: Context.Context<never> | undefined
    const http = HttpClient.make((request) =>
      Effect.contextWith((now: Context.Context<never>) => {
        context = now
        return Effect.succeed(HttpClientResponse.fromWeb(request, new Response("{}")))
      })
    )
    yield* LLMClient.completion(
      Completion.make({ prompt: "Hello", model: "m", headers: { "x-session-token": "sk-call-0123" } })
    ).pipe(
      Effect.exit,
      Effect.provide(Layer.provide(
        Anthropic.layer({ apiKey: Redacted.make("sk-0123456789") }),
        Layer.succeed(HttpClient.HttpClient, http)
      ))
    )
    assert(context !== undefined)
    return context
  })

  it.effect("is kept, also where only the client's own layer was given it", () =>
    Effect.gen(function*() {
      let sent: RequestInit | undefined
      const fetch: typeof globalThis.fetch = (_, init) => {
        sent = init
        return Promise.resolve(new Response("{}"))
      }
      const http = FetchHttpClient.layer.pipe(Layer.provide([
        Layer.succeed(FetchHttpClient.Fetch, fetch),
        Layer.succeed(FetchHttpClient.RequestInit, { credentials: "include", redirect: "follow" })
      ]))
      yield* LLMClient.completion(Completion.make({ prompt: "Hello", model: "m" })).pipe(
        Effect.exit,
        Effect.provide(Layer.provide(Anthropic.layer({ apiKey: Redacted.make("sk-0123456789") }), http))
      )
      assert.strictEqual(sent?.credentials, "include")
      assert.strictEqual(sent?.redirect, "manual")
    }))

  it.effect("is kept, but for redirects, which are not followed", () =>
    Effect.gen(function*() {
      const context = yield* seen.pipe(
        Effect.provideService(FetchHttpClient.RequestInit, { keepalive: true, redirect: "follow" }),
        Effect.provideService(Headers.CurrentRedactedNames, ["x-mine"])
      )
      assert.deepStrictEqual(Context.get(context, FetchHttpClient.RequestInit as never), {
        keepalive: true,
        redirect: "manual"
      })
      const redacted = Headers.redact(
        Headers.fromInput({
          "x-mine": "1",
          "x-api-key": "2",
          "Authorization": "3",
          "x-session-token": "4",
          "x-env": "5"
        }),
        Context.get(context, Headers.CurrentRedactedNames)
      )
      assert.deepStrictEqual(
        Object.entries(redacted).flatMap(([name, value]) => Redacted.isRedacted(value) ? [name] : []).toSorted(),
        ["authorization", "x-api-key", "x-mine", "x-session-token"]
      )
    }))
})

// ---------------------------------------------------------------------------------------------------------------------
// What leaves besides the request
// ---------------------------------------------------------------------------------------------------------------------

const fixed: Keys = {
  apiKey: "sk-api-0123456789",
  header: "sk-header-0123456789",
  callHeader: "sk-call-0123456789",
  query: "sk-query-0123456789"
}

const traces = ["traceparent", "tracestate", "b3", "x-b3-traceid"]

describe("traces", () => {
  const sent = (provider: Provider, tracePropagation: boolean) =>
    Effect.gen(function*() {
      const requests: Array<HttpClientRequest.HttpClientRequest> = []
      const { layer, spans } = observe()
      yield* call(client(provider, fixed, tracePropagation), fixed, (request) => {
        requests.push(request)
        return respond({ status: 400, headers: {}, body: "" })(request)
      }).pipe(Effect.provide(layer), Effect.flip)
      assert.strictEqual(requests.length, 1)
      return { headers: requests[0]!.headers, spans }
    })

  for (const provider of names) {
    it.effect(`${provider} is told nothing of them`, () =>
      Effect.gen(function*() {
        const { headers, spans } = yield* sent(provider, false)
        for (const name of traces) assert.notProperty(headers, name)
        assert.deepStrictEqual(spans.map(({ name }) => name), ["call"])
      }))

    it.effect(`${provider} is told of them with tracePropagation, below the caller's span`, () =>
      Effect.gen(function*() {
        const { headers, spans } = yield* sent(provider, true)
        const [outer, inner] = spans
        assert.strictEqual(spans.length, 2)
        assert.strictEqual(inner?.kind, "client")
        assert.strictEqual(inner?.traceId, outer?.traceId)
        assert.include(headers["traceparent"], inner?.traceId)
        assert.include(headers["traceparent"], inner?.spanId)
        assert.strictEqual(inner?.attributes.get("http.response.status_code"), 400)
      }))
  }
})

describe("redirects", () => {
  for (const provider of names) {
    it.effect(`${provider}: are not followed, since they would carry the key to another place`, () =>
      Effect.gen(function*() {
        const requests: Array<RequestInit | undefined> = []
        const fetch: typeof globalThis.fetch = (_, init) => {
          requests.push(init)
          return Promise.resolve(
            new Response(null, { status: 307, headers: { location: "https://elsewhere.example/v1/messages" } })
          )
        }
        const error = yield* LLMClient.completion(question(fixed)).pipe(
          Effect.provide(Layer.provide(client(provider, fixed, false), FetchHttpClient.layer)),
          Effect.provideService(FetchHttpClient.Fetch, fetch),
          Effect.flip
        )
        assert.deepStrictEqual(requests.map((init) => init?.redirect), ["manual"])
        assert.strictEqual(error._tag, "ClientError")
        assert.strictEqual(error.status, 307)
      }))
  }
})

// ---------------------------------------------------------------------------------------------------------------------
// The parts
// ---------------------------------------------------------------------------------------------------------------------

describe("redactor", () => {
  for (const [name, write] of Object.entries(spellings)) {
    it.prop(`finds a key ${name}, and leaves the rest alone`, [Key], ([key]) => {
      assert.strictEqual(redactor([key])(`before [${write(key)}] after`), "before [<redacted>] after")
    }, { arbitrary: { seed: name, runs: runs(25, 200) } })
  }

  const encodings = {
    "base64": (bytes: Buffer) => bytes.toString("base64"),
    "base64 of URLs": (bytes: Buffer) => bytes.toString("base64url"),
    "base64 in JSON, with escaped slashes": (bytes: Buffer) => bytes.toString("base64").replaceAll("/", "\\/"),
    "base64 in a URL": (bytes: Buffer) => encodeURIComponent(bytes.toString("base64")),
    "hex": (bytes: Buffer) => bytes.toString("hex"),
    "capital hex": (bytes: Buffer) => bytes.toString("hex").toUpperCase()
  } as const
  for (const [name, encode] of Object.entries(encodings)) {
    it.prop(`finds a key in ${name}, wherever it stands in what was encoded`, [Key], ([key]) => {
      for (const before of ["", "a", "ab", "user:"]) {
        for (const after of ["", "c", "cd"]) {
          const redacted = redactor([key])(`<${encode(Buffer.from(before + key + after))}>`)
          // What is left beside the key has the digits of its neighbours, and no more.
          const left = redacted.replace("<redacted>", "").slice(1, -1).replaceAll(/%3D|=/g, "")
          assert.include(redacted, "<redacted>")
          assert.isAtMost(left.length, 2 * (before.length + after.length) + 2)
        }
      }
    }, { arbitrary: { seed: name, runs: runs(25, 200) } })
  }

  it("does not take a few letters for an encoded key", () =>
    assert.strictEqual(redactor(["prod"])(`${btoa("prod")} 70726f64 prod`), `${btoa("prod")} 70726f64 <redacted>`))

  it.prop("takes the longer of two keys first", [Key, Key], ([key, more]) => {
    assert.strictEqual(redactor([key, key + more])(`${key}${more}`), "<redacted>")
  }, { arbitrary: { seed: "longer", runs: runs(25, 200) } })

  it.prop("leaves a text without a key as it is", [Key, Schema.String], ([key, text]) => {
    if (!readings(text).some((reading) => reading.toLowerCase().includes(key.toLowerCase()))) {
      assert.strictEqual(redactor([key])(text), text)
    }
  }, { arbitrary: { seed: "without", runs: runs(25, 200) } })

  it("finds every occurrence", () =>
    assert.strictEqual(redactor(["abcdefgh"])("abcdefgh, abcdefghabcdefgh"), "<redacted>, <redacted><redacted>"))

  it("finds an occurrence that begins within one that was none", () =>
    assert.strictEqual(redactor(["aab-aabc"])("aab-aab-aabc"), "aab-<redacted>"))

  it("does not take a few letters for a secret", () =>
    assert.strictEqual(redactor(["", "a", "ab", "abc"])("abc abc"), "abc abc"))

  it("finds secrets as long as tokens get", () => {
    const secret = Array.from({ length: 20_000 }, (_, index) => printable[(index * 7919) % printable.length]).join("")
    assert.strictEqual(redactor([secret])(`<${json(secret)}>`), "<<redacted>>")
  })

  it("reads runs of backslashes of any length, and finds the secret at either end", () => {
    const key = "sk-0123456789abcdef"
    const run = "\\".repeat(9_000_000)
    const redacted = redactor([key])(`${key}${run}${key}${run}`)
    assert.isAbove(redacted.length, run.length)
    assert.notInclude(redacted, "0123456789")
    assert.strictEqual(redacted.split("<redacted>").length, 3)
  })
  it("does not stumble over long texts that are nearly a secret", () => {
    const text = "\\".repeat(20_000)
    assert.strictEqual(redactor(["\\\\\\\\a\\\\b"])(text), text)
  })
})

describe("redactJson", () => {
  it.prop("leaves no key in any value or name", [Key, Schema.Json], ([key, value]) => {
    const holder = { [key]: [key, { [`x${key}`]: value, y: `${key}${key}` }] }
    assert.notInclude(readings(JSON.stringify(redactJson(holder, redactor([key])))), key)
  }, { arbitrary: { seed: "json", runs: runs(25, 200) } })

  it.prop("leaves what holds none as it is", [Schema.Json], ([value]) => {
    assert.deepStrictEqual(redactJson(value, redactor(["a key that is nowhere"])), value)
  }, { arbitrary: { seed: "json", runs: runs(25, 200) } })
})

describe("the secrets of a request", () => {
  it("are the values of headers whose names say so, with and without their scheme", () =>
    assert.sameMembers(
      [
        ...new Set(ofHeaders({
          "X-Api-Key": "sk-1",
          "Authorization": "Bearer sk-2",
          "X-Session-Token": "Key  sk-3 ",
          "X-Portkey-Api-Key": "sk-4",
          "X-Author-Token": "sk-5",
          "X-Env": "prod",
          "X-Author": "Anna",
          "X-Max-Tokens": "4096",
          "X-Portkey-Provider": "openai",
          "Anthropic-Version": "2023-06-01",
          "User-Agent": "test"
        }))
      ],
      ["sk-1", "Bearer sk-2", "sk-2", "Key  sk-3", "sk-3", "sk-4", "sk-5"]
    ))

  it("are the values of a URL's query, decoded and as written, but for versions", () =>
    assert.sameMembers(
      [...new Set(ofUrl(new URL("https://gateway.example/v1?a=sk%2D1&b=sk-2&sk-3&api-version=preview")))],
      ["sk-1", "sk%2D1", "sk-2", "sk-3", ""]
    ))
})

/** The clocks of an attempt through a provider's layer, by what is known of the provider, the model and the effort. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { Anthropic, Completion, Gemini, LLMClient, type LLMError, OpenAi, OpenRouter } from "../../src/index.ts"
import type { CommonOptions } from "../../src/Provider.ts"

const apiKey = Redacted.make("sk-0123456789")

const providers = {
  anthropic: Anthropic.layer,
  openai: (options: CommonOptions) => OpenAi.layer({ ...options, baseUrl: "https://llm.example.com/v1" }),
  gemini: Gemini.layer,
  openrouter: OpenRouter.layer
} as const
type Provider = keyof typeof providers

const json = (data: object): string => `data: ${JSON.stringify(data)}\n\n`

const chat = json({ choices: [{ delta: { content: "Hello" }, finish_reason: "stop" }] })

/** A whole answer of each as a stream, the beginning of one, and what keeps its connection alive. */
const said: Readonly<Record<Provider, { readonly begin: string; readonly end: string; readonly ping: string }>> = {
  anthropic: {
    begin: json({ type: "message_start", message: { id: "1", model: "m", usage: { input_tokens: 7 } } }),
    end: json({ type: "content_block_start", index: 0, content_block: { type: "text", text: "Hello" } })
      + json({ type: "content_block_stop", index: 0 })
      + json({ type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 2 } })
      + json({ type: "message_stop" }),
    ping: 'event: ping\ndata: {"type": "ping"}\n\n'
  },
  openai: { begin: "", end: chat, ping: ": keep-alive\n\n" },
  openrouter: { begin: "", end: chat, ping: ": OPENROUTER PROCESSING\n\n" },
  gemini: {
    begin: "",
    end: json({ candidates: [{ content: { parts: [{ text: "Hello" }] }, finishReason: "STOP" }] }),
    ping: "\n"
  }
}

type Step = Duration.Input | { readonly text: string } | "hang"

/** A body that says these texts, with waits between them. */
const bodyOf = (steps: ReadonlyArray<Step>): Stream.Stream<Uint8Array> =>
  Stream.fromIterable(steps).pipe(
    Stream.mapEffect((step) =>
      step === "hang"
        ? Effect.never
        : typeof step === "object" && "text" in step
        ? Effect.succeed(new TextEncoder().encode(step.text))
        : Effect.as(Effect.sleep(step), new Uint8Array())
    ),
    Stream.filter((bytes) => bytes.length > 0),
    Stream.rechunk(1)
  )

const headersAfter = (wait: Duration.Input, steps: ReadonlyArray<Step>) => {
  const asked: Array<boolean> = []
  const client = HttpClient.make((request, url) => {
    const text = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
    asked.push(/"stream":true/.test(text) || url.pathname.endsWith(":streamGenerateContent"))
    return Effect.as(
      Effect.sleep(wait),
      { status: 200, headers: {}, request, stream: bodyOf(steps) } as unknown as HttpClientResponse.HttpClientResponse
    )
  })
  return { asked, layer: Layer.succeed(HttpClient.HttpClient, client) }
}

interface Case {
  readonly provider: Provider
  readonly model: string
  readonly effort?: NonNullable<Completion.Reasoning["effort"]>
  readonly options?: CommonOptions
  readonly headers?: Duration.Input
  readonly body: ReadonlyArray<Step>
}

const minutes = (count: number, text: string): ReadonlyArray<Step> =>
  Array.from({ length: count * 4 }, () => ["15 seconds", { text }] as const).flat()

/** What becomes of a call, streamed and whole, and when: the text, or the description of the failure. */
const outcome = ({ body, effort, headers = 0, model, options, provider }: Case) =>
  Effect.gen(function*() {
    const results: Array<{ readonly at: number; readonly is: string; readonly error?: LLMError.LLMError }> = []
    const completion = Completion.make({ prompt: "Hi", model, ...(effort && { reasoning: { effort } }) })
    for (const streamed of [true, false]) {
      const { layer } = headersAfter(headers, body)
      const started = yield* Clock.currentTimeMillis
      const run = Effect.gen(function*() {
        if (!streamed) return (yield* LLMClient.completion(completion)).text
        const last = yield* Stream.runLast(LLMClient.stream(completion))
        return last._tag === "Some" && last.value._tag === "Finish" ? last.value.response.text : ""
      })
      const timed = run.pipe(
        Effect.provide(Layer.provide(providers[provider]({ apiKey, whole: "stream", ...options }), layer)),
        Effect.exit,
        Effect.flatMap((exit) => Effect.map(Clock.currentTimeMillis, (at) => [exit, (at - started) / 1000] as const))
      )
      const fiber = yield* Effect.forkChild(timed, { startImmediately: true })
      yield* TestClock.adjust("3 hours")
      const [exit, at] = yield* Fiber.join(fiber)
      const error = Exit.findErrorOption(exit)
      if (error._tag === "Some") assert.strictEqual(error.value.reason, "Timeout")
      results.push(
        Exit.isSuccess(exit)
          ? { at, is: exit.value }
          : error._tag === "Some"
          ? { at, is: error.value.description, error: error.value }
          : { at, is: "a defect" }
      )
    }
    assert.deepStrictEqual(
      { at: results[0]!.at, is: results[0]!.is },
      { at: results[1]!.at, is: results[1]!.is },
      "streamed and whole the same"
    )
    return results[1]!
  })

const text = (value: string): Step => ({ text: value })

describe("a model that thinks for eight minutes", () => {
  const cases = [
    ["anthropic", "claude-opus-5-5"],
    ["openrouter", "anthropic/claude-opus-5.5"],
    ["openai", "gpt-6"],
    ["gemini", "gemini-4-pro"]
  ] as const
  for (const [provider, model] of cases) {
    const { begin, end, ping } = said[provider]
    it.effect(`${provider}: with pings, at effort high, answers well`, () =>
      Effect.gen(function*() {
        const { at, is } = yield* outcome({
          provider,
          model,
          effort: "high",
          body: [text(begin + ping), ...minutes(8, ping), text(end)]
        })
        assert.deepStrictEqual([at, is], [480, "Hello"])
      }))

    it.effect(`${provider}: of which nothing but pings come, dies by progress, later the more it thinks`, () =>
      Effect.gen(function*() {
        const body = [text(begin + ping), ...minutes(120, ping)]
        const high = yield* outcome({ provider, model, effort: "high", body })
        assert.deepStrictEqual([high.at, high.is], [600, "progress timeout after 10m"])
        const low = yield* outcome({ provider, model, effort: "low", body })
        assert.deepStrictEqual([low.at, low.is], [300, "progress timeout after 5m"])
      }))
  }

  it.effect("by default, has ten minutes where its default is high, and five elsewhere", () =>
    Effect.gen(function*() {
      const hang = { body: ["hang"] as const }
      const gemini = yield* outcome({ provider: "gemini", model: "gemini-4-pro", ...hang })
      assert.strictEqual(gemini.is, "progress timeout after 10m")
      const openai = yield* outcome({ provider: "openai", model: "gpt-6", ...hang })
      assert.strictEqual(openai.is, "progress timeout after 5m")
      const told = { models: { "my-*": { defaultEffort: "max", thinksByDefault: true } } } as const
      const mine = yield* outcome({ provider: "openai", model: "my-model", options: told, ...hang })
      assert.strictEqual(mine.is, "progress timeout after 10m")
    }))
})

describe("a socket that is dead", () => {
  for (const provider of ["anthropic", "openrouter"] as const) {
    it.effect(`${provider} pings, so that it dies by bytes a minute after the headers, or after what came last`, () =>
      Effect.gen(function*() {
        const dead = yield* outcome({ provider, model: "m", headers: "20 seconds", body: ["hang"] })
        assert.deepStrictEqual([dead.at, dead.is], [80, "bytes timeout after 1m"])
        const { begin, ping } = said[provider]
        const later = yield* outcome({ provider, model: "m", body: [text(begin + ping), ...minutes(2, ping), "hang"] })
        assert.deepStrictEqual([later.at, later.is], [180, "bytes timeout after 1m"])
      }))
  }

  for (const provider of ["openai", "gemini"] as const) {
    it.effect(`${provider} may be silent, so that it dies by progress`, () =>
      Effect.gen(function*() {
        const { at, is } = yield* outcome({ provider, model: "m", headers: "20 seconds", body: ["hang"] })
        assert.deepStrictEqual([at, is], [300, "progress timeout after 5m"])
      }))
  }

  it.effect("whose headers never come dies by progress as well", () =>
    Effect.gen(function*() {
      const { at, is } = yield* outcome({ provider: "anthropic", model: "m", headers: "1 day", body: [] })
      assert.deepStrictEqual([at, is], [300, "progress timeout after 5m"])
    }))

  it.effect("keeps the partial answer, with its usage", () =>
    Effect.gen(function*() {
      const { begin } = said.anthropic
      const { error } = yield* outcome({ provider: "anthropic", model: "m", body: [text(begin), "hang"] })
      assert.strictEqual(error?.partial?.usage.inputTokens, 7)
    }))
})

describe("the whole time", () => {
  const drip = Array.from({ length: 300 }, (): ReadonlyArray<Step> => [
    "30 seconds",
    text(json({ choices: [{ delta: { content: "." } }] }))
  ]).flat()

  it.effect("is an hour for a stream, however much comes", () =>
    Effect.gen(function*() {
      const { at, is } = yield* outcome({ provider: "openai", model: "m", body: drip })
      assert.deepStrictEqual([at, is], [3600, "total timeout after 1h"])
    }))

  it.effect("is ten minutes for an exchange whose bytes cannot be seen", () =>
    Effect.gen(function*() {
      const { layer } = headersAfter("1 day", [])
      const fiber = yield* LLMClient.completion(Completion.make({ prompt: "Hi", model: "gpt-6" })).pipe(
        Effect.provide(Layer.provide(providers.openai({ apiKey }), layer)),
        Effect.flip,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("599 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fiber)).description, "total timeout after 10m")
    }))
})

describe("the clocks of the HTTP client itself", () => {
  for (const code of ["UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT"]) {
    it.effect(`${code} is Timeout, not Network, so that it is asked once more at most`, () =>
      Effect.gen(function*() {
        const client = HttpClient.make((request) =>
          Effect.fail(
            new HttpClientError.HttpClientError({
              reason: new HttpClientError.TransportError({
                request,
                cause: Object.assign(new TypeError("fetch failed"), {
                  cause: Object.assign(new Error("Headers Timeout Error"), { code })
                })
              })
            })
          )
        )
        for (const provider of ["anthropic", "openai", "gemini", "openrouter"] as const) {
          for (
            const run of [
              LLMClient.completion(Completion.make({ prompt: "Hi", model: "m" })),
              Stream.runDrain(LLMClient.stream(Completion.make({ prompt: "Hi", model: "m" })))
            ]
          ) {
            const error = yield* Effect.flip(run).pipe(
              Effect.provide(
                Layer.provide(providers[provider]({ apiKey }), Layer.succeed(HttpClient.HttpClient, client))
              )
            )
            assert.deepInclude(error, { _tag: "Transient", reason: "Timeout", code })
          }
        }
      }))
  }
})

describe("below a Fallback", () => {
  const patient = (firstByte: number) => Effect.provideService(LLMClient.Patience, { waiting: 10_000, firstByte })

  const ask = (provider: Provider, completion: Completion.Completion, body: ReadonlyArray<Step>, firstByte = 12_000) =>
    Effect.gen(function*() {
      const { asked, layer } = headersAfter(0, body)
      const fiber = yield* LLMClient.completion(completion).pipe(
        patient(firstByte),
        Effect.provide(Layer.provide(providers[provider]({ apiKey }), layer)),
        Effect.exit,
        Effect.flatMap((exit) => Effect.map(Clock.currentTimeMillis, (at) => [exit, at] as const)),
        Effect.forkChild({ startImmediately: true })
      )
      const started = yield* Clock.currentTimeMillis
      yield* TestClock.adjust("2 hours")
      const [exit, at] = yield* Fiber.join(fiber)
      const error = Exit.findErrorOption(exit)
      return {
        asked,
        seconds: (at - started) / 1000,
        is: Exit.isSuccess(exit) ? exit.value.text : error._tag === "Some" ? error.value.description : ""
      }
    })

  const hi = (model: string, more: Partial<Completion.Options> = {}) =>
    Completion.make({ prompt: "Hi", model, ...more } as Completion.Options)

  it.effect("a completion reads a stream, at any address, and its first byte has the time that it is given", () =>
    Effect.gen(function*() {
      for (const provider of ["anthropic", "openai", "gemini", "openrouter"] as const) {
        const { begin, end, ping } = said[provider]
        const silent = yield* ask(provider, hi("m"), [text(begin), ...minutes(5, ping), text(end)])
        assert.deepStrictEqual(silent, { asked: [true], seconds: 12, is: "firstByte timeout after 12s" })
        const slow = yield* ask(provider, hi("m"), [text(begin), "11 seconds", text(end)])
        assert.deepStrictEqual(slow, { asked: [true], seconds: 11, is: "Hello" })
      }
    }))

  it.effect("a model that is silent while it thinks has the clocks that it has alone", () =>
    Effect.gen(function*() {
      const { end, ping } = said.openai
      const body = [...minutes(4, ping), text(end)]
      assert.deepInclude(yield* ask("openai", hi("gpt-6"), body), { seconds: 240, is: "Hello" })
      const off = hi("gpt-6", { reasoning: { effort: "none" } })
      assert.deepInclude(yield* ask("openai", off, body), { seconds: 12, is: "firstByte timeout after 12s" })
    }))

  it.effect("thinking that is begun, though it is not shown, is the first byte", () =>
    Effect.gen(function*() {
      const { begin, end } = said.anthropic
      const thinks = json({ type: "content_block_start", index: 0, content_block: { type: "thinking", thinking: "" } })
      const answer = end.replaceAll('"index":0', '"index":1')
      const body: ReadonlyArray<Step> = [
        text(begin + thinks),
        "40 seconds",
        text(json({ type: "content_block_stop", index: 0 }) + answer)
      ]
      assert.deepInclude(yield* ask("anthropic", hi("claude-opus-5-5"), body), { seconds: 40, is: "Hello" })
    }))

  it.effect("a short answer has a timeout for its first byte, too; one that is not streamed has none", () =>
    Effect.gen(function*() {
      const { asked, layer } = headersAfter("30 seconds", [])
      const ask = (whole: "auto" | "unary") =>
        LLMClient.completion(hi("m", { maxTokens: 1024 })).pipe(
          patient(12_000),
          Effect.provide(Layer.provide(providers.openai({ apiKey, whole }), layer)),
          Effect.flip,
          Effect.forkChild({ startImmediately: true })
        )
      const streamed = yield* ask("auto")
      const unary = yield* ask("unary")
      yield* TestClock.adjust("29 seconds")
      assert.deepInclude(yield* Fiber.join(streamed), { _tag: "Transient", reason: "Timeout" })
      assert.isUndefined(unary.pollUnsafe())
      assert.deepStrictEqual(asked, [true, false])
      yield* Fiber.interrupt(unary)
    }))
})

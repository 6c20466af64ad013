import { assert, describe, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as Embeddings from "../../src/Embeddings.ts"
import { Completion, LLMClient, type LLMError, Retry, Tool } from "../../src/index.ts"
import * as Acme from "./provider.ts"

const apiKey = Redacted.make("acme-secret-key")
const over = '{"over":"yes","read":3,"written":2}'
const answer = '{"words":"Hello you","read":3,"written":2}'
const streamed = `{"word":"Hello"}\n{"word":" you"}\n${over}`
const ask = Completion.make({ model: "m", prompt: "Hi" })

/** An HTTP client that answers with these statuses and bodies, one after the other, and keeps what it was sent. */
const server = (...answers: ReadonlyArray<readonly [number, string]>) => {
  const sent: Array<HttpClientRequest.HttpClientRequest> = []
  const client = HttpClient.make((request) => {
    const [status, body] = answers[Math.min(sent.length, answers.length - 1)]!
    sent.push(request)
    return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(body, { status })))
  })
  return { sent, layer: Layer.succeed(HttpClient.HttpClient, client) }
}

const acme = (options: Partial<Acme.Options>, http: Layer.Layer<HttpClient.HttpClient>) =>
  Layer.provide(Acme.layer({ apiKey, ...options }), http)

const failureOf = <A>(effect: Effect.Effect<A, LLMError.LLMError, LLMClient.LLMClient>) => Effect.flip(effect)

describe("a provider from outside", () => {
  it("is written with the public exports alone, in at most 120 lines", () => {
    const source = readFileSync(join(import.meta.dirname, "provider.ts"), "utf8")
    assert.isAtMost(source.trimEnd().split("\n").length, 120)
    const imported = [...source.matchAll(/from "([^"]+)"/g)].map(([, path]) => path)
    assert.deepStrictEqual(imported.filter((path) => !path!.startsWith("effect/")), ["../../src/index.ts"])
  })

  it.effect("answers, whole and streamed, however the body is cut", () =>
    Effect.gen(function*() {
      const whole = yield* Effect.provide(
        LLMClient.completion(ask),
        acme({ whole: "unary" }, server([200, answer]).layer)
      )
      assert.strictEqual(whole.text, "Hello you")
      assert.strictEqual(whole.provider, "acme")
      assert.strictEqual(whole.usage.totalTokens, 5)
      const { layer } = server([200, streamed])
      const parts = yield* Effect.provide(Stream.runCollect(LLMClient.stream(ask)), acme({}, layer))
      assert.deepStrictEqual(parts.map(({ _tag }) => _tag), ["Start", "TextDelta", "TextDelta", "ContentEnd", "Finish"])
      const read = yield* Effect.provide(LLMClient.completion(ask), acme({}, layer))
      assert.strictEqual(read.text, "Hello you")
    }))

  it.effect("counts tokens, and embeds texts within its own limits", () =>
    Effect.gen(function*() {
      const { layer, sent } = server([200, '{"read":3}'], [200, '{"points":[[1,0],[0,1]]}'], [
        200,
        '{"points":[[1,1]]}'
      ])
      const { count, vectors } = yield* Effect.all({
        count: LLMClient.countTokens(ask),
        vectors: Effect.map(Embeddings.embedMany(["a", "b", "c"], { model: "m", concurrency: 1 }), (all) => all.vectors)
      }).pipe(Effect.provide(acme({}, layer)))
      assert.strictEqual(count, 3)
      assert.deepStrictEqual(vectors, [[1, 0], [0, 1], [1, 1]])
      const paths = sent.map(({ url }) => new URL(url).pathname)
      assert.deepStrictEqual(paths, ["/count", "/point/m", "/point/m"])
      assert.isTrue(sent.every(({ headers }) => headers["x-signature"] !== undefined))
    }))

  it.effect("signs its requests, and no error shows the key or the signature", () =>
    Effect.gen(function*() {
      const { layer, sent } = server([400, '{"problem":{"kind":"X","words":"no: acme-secret-key 29.acme-secret-key"}}'])
      const error = yield* Effect.provide(failureOf(LLMClient.completion(ask)), acme({ team: "red" }, layer))
      assert.match(sent[0]!.headers["x-signature"]!, /^\d+\.acme-secret-key$/)
      assert.strictEqual(sent[0]!.headers["x-team"], "red")
      assert.notInclude(JSON.stringify(error) + error.message, "acme-secret-key")
    }))

  it.effect("fails with typed failures by its own words", () =>
    Effect.gen(function*() {
      const said = (kind: string) => `{"problem":{"kind":"${kind}","words":"no"}}`
      const quota = yield* Effect.provide(
        failureOf(LLMClient.completion(ask)),
        acme({}, server([418, said("NO_MORE_MONEY")]).layer)
      )
      assert.deepInclude(quota, { _tag: "ClientError", reason: "Quota", code: "NO_MORE_MONEY", provider: "acme" })
      const cut = yield* Effect.provide(
        failureOf(LLMClient.completion(ask)),
        acme({}, server([200, '{"word":"Hel"}\n']).layer)
      )
      assert.deepInclude(cut, { _tag: "Transient", reason: "Truncated" })
      assert.strictEqual(cut.partial?.text, "Hel")
      const refused = yield* Effect.provide(
        failureOf(LLMClient.completion(Completion.tools([Tool.make("f", { description: "", parameters: {} })])(ask))),
        acme({}, server([200, answer]).layer)
      )
      assert.deepInclude(refused, { _tag: "ClientError", reason: "Unsupported" })
      const keyless = yield* Effect.provide(
        failureOf(LLMClient.completion(ask)),
        Layer.provide(Acme.layer({}), server([200, answer]).layer)
      )
      assert.deepInclude(keyless, { _tag: "ClientError", reason: "Authentication" })
    }))

  it.effect("is retried, and kept to clocks and limits of size", () =>
    Effect.gen(function*() {
      const { layer, sent } = server([429, '{"problem":{"kind":"TOO_FAST","words":""}}'], [200, streamed])
      const retried = Layer.provide(Retry.layer(), acme({}, layer))
      const fiber = yield* Effect.forkChild(Effect.provide(LLMClient.completion(ask), retried))
      yield* TestClock.adjust("10 seconds")
      const response = yield* Fiber.join(fiber)
      assert.lengthOf(sent, 2)
      assert.strictEqual(response.attempts?.[0]?._tag, "RateLimit")

      const never = Layer.succeed(HttpClient.HttpClient, HttpClient.make(() => Effect.never))
      const late = yield* Effect.forkChild(Effect.provide(failureOf(LLMClient.completion(ask)), acme({}, never)))
      yield* TestClock.adjust("5 minutes")
      assert.deepInclude(yield* Fiber.join(late), { _tag: "Transient", reason: "Timeout" })

      const large = yield* Effect.provide(
        failureOf(LLMClient.completion(ask)),
        acme({ limits: { body: 10 } }, server([200, streamed]).layer)
      )
      assert.deepInclude(large, { _tag: "Transient", reason: "Malformed", retryable: false })
    }))

  it.effect("reads its configuration, and refuses options that it does not have as a defect", () =>
    Effect.gen(function*() {
      const missing = yield* Effect.flip(Layer.build(Layer.provide(Acme.layerConfig(), server([200, answer]).layer)))
      assert.instanceOf(missing, Config.ConfigError)
      const misspelt = yield* Effect.exit(
        Layer.build(acme({ modle: "m" } as Partial<Acme.Options>, server([200, answer]).layer))
      )
      assert.include(String(misspelt), "acme modle: give one of")
    }).pipe(Effect.scoped))
})

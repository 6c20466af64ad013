import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { Anthropic, Completion, Gemini, LLMClient, OpenAi, OpenRouter } from "../../src/index.ts"
import type { CommonOptions } from "../../src/Provider.ts"
import { exchange, recording } from "./exchange.ts"

const apiKey = Redacted.make("sk-0123456789")

const layers = {
  anthropic: (options: CommonOptions) => Anthropic.layer({ apiKey, ...options }),
  openai: (options: CommonOptions) => OpenAi.layer({ apiKey, api: "chat", ...options }),
  responses: (options: CommonOptions) => OpenAi.layer({ apiKey, ...options }),
  gemini: (options: CommonOptions) => Gemini.layer({ apiKey, ...options }),
  openrouter: (options: CommonOptions) => OpenRouter.layer({ apiKey, ...options })
} as const
const names = Object.keys(layers) as ReadonlyArray<keyof typeof layers>

const hi = (model: string) => Completion.make({ prompt: "Hi", model })

describe("overrides of models", () => {
  const takesNoSampling = { sampling: "none" } as const

  for (const name of ["anthropic", "responses", "gemini"] as const) {
    it.effect(`${name}: holds instead of what is known, by name or by the beginning of it`, () =>
      Effect.gen(function*() {
        const temperature = (options: CommonOptions, model: string) =>
          Effect.map(
            exchange(layers[name](options), Completion.temperature(0.5)(hi(model))),
            ({ sent }) => /"temperature":0\.5/.test(sent[0]!.text)
          )
        assert.isTrue(yield* temperature({}, "mine-1"))
        assert.isFalse(yield* temperature({ models: { "mine-1": takesNoSampling } }, "mine-1"))
        assert.isFalse(yield* temperature({ models: { "mine-*": takesNoSampling } }, "mine-1"))
        assert.isTrue(yield* temperature({ models: { "mine-*": takesNoSampling } }, "other-1"))
      }))
  }

  it.effect("is an object, or a defect", () =>
    Effect.gen(function*() {
      for (const name of names) {
        const layer = layers[name]({ models: "mine" as never })
        const exit = yield* Effect.exit(Effect.scoped(Layer.build(Layer.provide(layer, recording().layer))))
        assert(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
        assert.include(String(Cause.squash(exit.cause)), "models: give an object")
      }
    }))

  it.effect("Anthropic: what happens to thinking whose conversation was changed", () =>
    Effect.gen(function*() {
      const completion = Completion.make({
        model: "claude-fable-5-1",
        history: [
          { _tag: "User", content: [{ _tag: "Text", text: "a" }] },
          {
            _tag: "Assistant",
            provider: "anthropic",
            content: [
              { _tag: "Reasoning", content: [{ _tag: "Text", text: "hm", signature: "s" }] },
              { _tag: "Text", text: "b" }
            ]
          }
        ],
        prompt: "c"
      })
      const sent = (options: Anthropic.Options) =>
        Effect.map(exchange(Anthropic.layer({ apiKey, ...options }), completion), ({ sent }) => sent[0]!)
      const drops = yield* sent({})
      assert.include(drops.text, "block_binding")
      assert.include(drops.headers["anthropic-beta"], "thinking-binding")
      assert.notInclude((yield* sent({ thinkingMismatch: "error" })).text, "block_binding")
      const wrong = Anthropic.layer({ apiKey, thinkingMismatch: "keep" as never })
      const exit = yield* Effect.exit(Effect.scoped(Layer.build(Layer.provide(wrong, recording().layer))))
      assert(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      assert.include(String(Cause.squash(exit.cause)), "thinkingMismatch")
    }))
})

describe("a model that ends", () => {
  const logged = () => {
    const lines: Array<string> = []
    const layer = Logger.layer([
      Logger.map(Logger.formatLogFmt, (line) => {
        lines.push(line)
      })
    ])
    return { lines, layer }
  }

  // The test's clock begins with 1970.
  const ending = (shutdown: string) => ({ shutdown, replacement: "newer-1" })

  for (const name of names) {
    it.effect(`${name}: within 30 days is warned of, once`, () =>
      Effect.gen(function*() {
        const { layer, lines } = logged()
        const model = `ending-${name}`
        const models = { [model]: ending("1970-02-15"), [`${model}-late`]: ending("1970-06-01") }
        const run = (model: string) => exchange(layers[name]({ models }), hi(model)).pipe(Effect.provide(layer))
        yield* run(model)
        yield* run(`${model}-late`)
        assert.deepStrictEqual(lines, [])
        yield* TestClock.adjust("20 days")
        yield* run(model)
        yield* run(model)
        yield* run(`${model}-late`)
        yield* Effect.result(Stream.runDrain(LLMClient.stream(hi(model)))).pipe(
          Effect.provide([Layer.provide(layers[name]({ models }), recording().layer), layer])
        )
        assert.lengthOf(lines, 1)
        assert.include(lines[0], "level=WARN")
        assert.include(lines[0], `the model ${model} ends on 1970-02-15: use newer-1`)
      }))
  }

  it.effect("is named by what it is over once it is", () =>
    Effect.gen(function*() {
      const { layer, lines } = logged()
      const models = { "ended-1": ending("1970-01-02") }
      yield* TestClock.adjust("2 days")
      yield* exchange(layers.openai({ models }), hi("ended-1")).pipe(Effect.provide(layer))
      assert.include(lines[0], "the model ended-1 ended on 1970-01-02")
    }))
})

it.effect("a name above 512 characters is refused, and nothing is sent", () =>
  Effect.gen(function*() {
    for (const name of names) {
      const fits = yield* exchange(layers[name]({}), hi("m".repeat(512)))
      assert.lengthOf(fits.sent, 1)
      const { result, sent } = yield* exchange(layers[name]({}), hi("m".repeat(513)))
      assert.lengthOf(sent, 0)
      assert(Result.isFailure(result))
      assert.deepInclude(result.failure, { _tag: "ClientError", reason: "InvalidRequest" })
      assert.isBelow(result.failure.description.length, 200)
    }
  }))

import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { inspect } from "node:util"
import {
  Anthropic,
  Completion,
  type CompletionPart,
  CompletionResponse,
  Fallback,
  LLMClient,
  LLMError,
  Message,
  OpenAi,
  OpenRouter,
  Retry,
  Router,
  TokenUsage
} from "../src/index.ts"
import * as Simulator from "../src/testing/Simulator.ts"

// The same cases in every run.
Arbitrary.configureGlobal({ check: { seed: "Router" } })

const ask = (model?: string) => Completion.make({ prompt: "Hello", ...model !== undefined && { model } })

/** A layer whose client answers with its name and the model it was asked for, and which counts its builds. */
const fake = <E = never>(provider: string, before: Effect.Effect<void, E> = Effect.void) => {
  const builds = { begun: 0, opened: 0, closed: 0 }
  const respond = ({ model }: Completion.Completion) =>
    CompletionResponse.make({
      choice: [Message.text(`${provider} ${model}`)],
      finishReason: { _tag: "Stop" },
      usage: TokenUsage.zero,
      provider
    })
  const client: LLMClient.Service = {
    provider,
    completion: (completion) => Effect.sync(() => respond(completion)),
    stream: (completion) =>
      Stream.suspend(() =>
        Stream.make<[CompletionPart.CompletionPart]>({ _tag: "Finish", response: respond(completion) })
      )
  }
  const layer = Layer.effect(
    LLMClient.LLMClient,
    Effect.gen(function*() {
      yield* Effect.acquireRelease(Effect.sync(() => builds.begun++), () => Effect.sync(() => builds.closed++))
      yield* before
      builds.opened++
      return client
    })
  )
  return { layer, builds }
}

const clientOf = <E>(layer: Layer.Layer<LLMClient.LLMClient, E>): Effect.Effect<LLMClient.Service, E, Scope.Scope> =>
  Effect.map(Layer.build(layer), (context) => Context.get(context, LLMClient.LLMClient))

/** A call's end, streamed or not: the text of the answer, or the error. */
const ways: Record<
  string,
  (client: LLMClient.Service, completion: Completion.Completion) => Effect.Effect<string, LLMError.LLMError>
> = {
  completion: (client, completion) => Effect.map(client.completion(completion), ({ text }) => text),
  stream: (client, completion) =>
    Effect.map(Stream.runCollect(client.stream(completion)), (parts) => {
      const last = parts.at(-1)
      return last?._tag === "Finish" ? last.response.text : "no Finish"
    })
}

const refusalOf = (routes: Readonly<Record<string, Layer.Layer<LLMClient.LLMClient>>>) =>
  Effect.map(Effect.exit(Effect.scoped(Layer.build(Router.layer(routes)))), (exit) => {
    assert.isTrue(Exit.isSuccess(exit) || Exit.hasDies(exit))
    return Exit.isSuccess(exit) ? undefined : inspect(exit, { depth: 5 })
  })

describe("Router.countTokens", () => {
  it.effect("asks the layer of the model, and says so where that cannot count", () =>
    Effect.gen(function*() {
      const counting = Layer.succeed(LLMClient.LLMClient, {
        provider: "anthropic",
        completion: () => Effect.never,
        stream: () => Stream.never,
        countTokens: ({ model = "" }: Completion.Completion) => Effect.succeed(model.length)
      })
      const client = yield* clientOf(Router.layer({
        "claude-*": { layer: counting, model: (name) => name.slice("claude-".length) },
        "gpt-*": fake("openai").layer
      }))
      assert.strictEqual(yield* client.countTokens!(ask("claude-12345")), 5)
      const unable = yield* Effect.flip(client.countTokens!(ask("gpt-6-luna")))
      assert.deepStrictEqual([unable.reason, unable.provider, unable.model], ["Unsupported", "openai", "gpt-6-luna"])
      assert.strictEqual((yield* Effect.flip(client.countTokens!(ask("other")))).reason, "NotFound")
    }))
})

for (const [way, call] of Object.entries(ways)) {
  describe(`Router, ${way}`, () => {
    it.effect("sends a completion to the layer of its model", () =>
      Effect.gen(function*() {
        const client = yield* clientOf(Router.layer({
          "claude-*": fake("anthropic").layer,
          "gpt-5": fake("openai").layer,
          "meta/*:free": { layer: fake("openrouter").layer }
        }))
        assert.strictEqual(client.provider, "router")
        assert.strictEqual(yield* call(client, ask("claude-opus-4-8")), "anthropic claude-opus-4-8")
        assert.strictEqual(yield* call(client, ask("gpt-5")), "openai gpt-5")
        assert.strictEqual(yield* call(client, ask("meta/llama:free")), "openrouter meta/llama:free")
      }))

    it.effect("asks the layer for the model by the name that the route gives it", () =>
      Effect.gen(function*() {
        const client = yield* clientOf(Router.layer({
          "openrouter/*": { layer: fake("openrouter").layer, model: (name) => name.slice("openrouter/".length) },
          best: { layer: fake("openai").layer, model: () => undefined }
        }))
        assert.strictEqual(yield* call(client, ask("openrouter/meta/llama")), "openrouter meta/llama")
        assert.strictEqual(yield* call(client, ask("best")), "openai undefined")
      }))

    it.effect("fails for a model that no pattern matches, and without one, with the patterns", () =>
      Effect.gen(function*() {
        const client = yield* clientOf(Router.layer({ "claude-*": fake("a").layer, "gpt-5": fake("b").layer }))
        for (const model of ["gpt-50", "Claude-3", "my-claude-3", "", undefined]) {
          const error = yield* Effect.flip(call(client, ask(model)))
          assert.deepStrictEqual([error._tag, error.reason, error.provider, error.model], [
            "ClientError",
            "NotFound",
            "router",
            model ?? ""
          ])
          assert.include(error.description, "claude-*, gpt-5")
          assert.strictEqual(error.description.includes("names no model"), model === undefined)
        }
      }))

    it.effect("refuses a name of more than 512 characters, whatever its patterns, and shows only its beginning", () =>
      Effect.gen(function*() {
        const client = yield* clientOf(Router.layer({ "*": fake("any").layer }))
        assert.strictEqual(yield* call(client, ask("m".repeat(512))), `any ${"m".repeat(512)}`)
        for (const length of [513, 100_000]) {
          const error = yield* Effect.flip(call(client, ask("m".repeat(length))))
          assert.deepStrictEqual([error._tag, error.reason], ["ClientError", "InvalidRequest"])
          assert.include(error.description, `at most 512 characters, not ${length}`)
          assert.isBelow(error.message.length, 300)
        }
      }))

    it.effect("takes no noticeable time for a name as long as a name may be, nor for a longer one", () =>
      Effect.gen(function*() {
        // Patterns that agree with the name until near its end.
        const routes = Object.fromEntries(
          Array.from({ length: 40 }, (_, index) => [`a*a*a*a*b${index}`, fake("a").layer])
        )
        const client = yield* clientOf(Router.layer(routes))
        const start = performance.now()
        for (const length of [128, 256, 512, 100_000]) {
          for (let turn = 0; turn < 100; turn++) yield* Effect.flip(call(client, ask("a".repeat(length))))
        }
        assert.isBelow(performance.now() - start, 1_000)
      }))

    it.effect("builds a layer once, when it is first used, and closes it with its own scope", () =>
      Effect.gen(function*() {
        const [first, second] = [fake("first"), fake("second")]
        yield* Effect.scoped(Effect.gen(function*() {
          const client = yield* clientOf(Router.layer({ "a*": first.layer, "b*": second.layer }))
          assert.strictEqual(first.builds.begun, 0)
          yield* Effect.forEach(["a1", "a2", "a3"], (model) => call(client, ask(model)), { concurrency: "unbounded" })
          yield* call(client, ask("a4"))
          assert.deepStrictEqual(first.builds, { begun: 1, opened: 1, closed: 0 })
          assert.strictEqual(second.builds.begun, 0)
        }))
        assert.deepStrictEqual(first.builds, { begun: 1, opened: 1, closed: 1 })
        assert.strictEqual(second.builds.begun, 0)
      }))

    it.effect("goes on building for those who wait when the first who asked has gone", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const slow = fake("slow", Deferred.await(gate))
        const client = yield* clientOf(Router.layer({ "a*": slow.layer }))
        const first = yield* Effect.forkChild(call(client, ask("a1")), { startImmediately: true })
        const second = yield* Effect.forkChild(call(client, ask("a2")), { startImmediately: true })
        yield* Effect.yieldNow
        yield* Fiber.interrupt(first)
        assert.strictEqual(slow.builds.begun, 1)
        yield* Deferred.succeed(gate, undefined)
        assert.strictEqual(yield* Fiber.join(second), "slow a2")
        assert.deepStrictEqual(slow.builds, { begun: 1, opened: 1, closed: 0 })
      }))

    it.effect("goes on building for the next request when all callers have left", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const slow = fake("slow", Deferred.await(gate))
        const client = yield* clientOf(
          Router.layer({ "a*": Layer.fresh(slow.layer), "b*": fake("other").layer })
        )
        const first = yield* Effect.forkChild(call(client, ask("a1")), { startImmediately: true })
        yield* Effect.yieldNow
        yield* Fiber.interrupt(first)
        const next = yield* Effect.forkChild(call(client, ask("a2")), { startImmediately: true })
        yield* Deferred.succeed(gate, undefined)
        assert.strictEqual(yield* Fiber.join(next), "slow a2")
        assert.deepStrictEqual(slow.builds, { begun: 1, opened: 1, closed: 0 })
      }))

    it.effect("fails for a layer that cannot be built, says which and why, and tries again with the next call", () =>
      Effect.gen(function*() {
        let broken = true
        const before = Effect.suspend(() =>
          broken ? Effect.fail({ _tag: "NoDatabase", url: "redis://user:secret@host" }) : Effect.void
        )
        const once = fake("once", before)
        const below = { opened: 0, closed: 0 }
        const resource = Layer.effectDiscard(
          Effect.acquireRelease(Effect.sync(() => below.opened++), () => Effect.sync(() => below.closed++))
        )
        const client = yield* clientOf(Router.layer({ "a*": Layer.provide(once.layer, resource) }))
        const error = yield* Effect.flip(call(client, ask("a1")))
        assert.deepStrictEqual([error._tag, error.reason, error.provider, error.model], [
          "ClientError",
          "InvalidRequest",
          "router",
          "a1"
        ])
        assert.strictEqual(error.description, "the route a* could not be built: NoDatabase")
        assert.notInclude(inspect(error, { depth: 9 }), "secret")
        assert.deepStrictEqual(once.builds, { begun: 1, opened: 0, closed: 1 })
        assert.deepStrictEqual(below, { opened: 1, closed: 1 }, "what was built for it goes with it")
        broken = false
        assert.strictEqual(yield* call(client, ask("a1")), "once a1")
        assert.deepStrictEqual(once.builds, { begun: 2, opened: 1, closed: 1 })
        assert.deepStrictEqual(below, { opened: 2, closed: 1 })
      }))

    it.effect("fails as Authentication for want of a key, which a fallback can help", () =>
      Effect.gen(function*() {
        const router = Router.layer({ "claude-*": Anthropic.layerConfig() }).pipe(
          Layer.provide(Simulator.layer()),
          Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({})))
        )
        const client = yield* clientOf(router)
        const error = yield* Effect.flip(call(client, ask("claude-opus-4-8")))
        assert.deepStrictEqual([error._tag, error.reason], ["ClientError", "Authentication"])
        assert.strictEqual(
          error.description,
          "the route claude-* could not be built: apiKey is missing: give the option apiKey, or set ANTHROPIC_API_KEY"
        )
        const rest = yield* clientOf(Fallback.layer([router, fake("rest").layer]))
        assert.strictEqual(yield* call(rest, ask("claude-opus-4-8")), "rest claude-opus-4-8")
        assert.strictEqual(yield* call(rest, ask()), "rest undefined")
      }))

    it.effect("fails as the layer did where that is an error of ours", () =>
      Effect.gen(function*() {
        const down = LLMError.make("Transient", { provider: "a", model: "", reason: "Server", description: "down" })
        const client = yield* clientOf(Router.layer({ "a*": fake("a", Effect.fail(down)).layer }))
        assert.strictEqual(yield* Effect.flip(call(client, ask("a1"))), down)
      }))

    it.effect("of one value under two providers of what it needs asks each of them", () =>
      Effect.gen(function*() {
        const first = yield* Simulator.make()
        const second = yield* Simulator.make()
        const key = ConfigProvider.layer(ConfigProvider.fromUnknown({ ANTHROPIC_API_KEY: "sk-test" }))
        const routes = { "claude-*": Retry.layer().pipe(Layer.provide(Anthropic.layerConfig())) }
        for (const simulator of [first, second]) {
          const http = Layer.succeed(HttpClient.HttpClient, simulator.client)
          const client = yield* clientOf(Router.layer(routes).pipe(Layer.provide(http), Layer.provide(key)))
          yield* call(client, ask("claude-opus-4-8"))
        }
        assert.lengthOf(yield* first.requests, 1)
        assert.lengthOf(yield* second.requests, 1)
      }))
  })
}

describe("Router.layer", () => {
  it.effect("of one value builds for each of its scopes", () =>
    Effect.gen(function*() {
      const only = fake("only")
      const router = Router.layer({ "a*": only.layer })
      for (let scope = 1; scope <= 2; scope++) {
        yield* LLMClient.completion(ask("a")).pipe(Effect.provide(router))
        assert.deepStrictEqual(only.builds, { begun: scope, opened: scope, closed: scope })
      }
    }))

  it.effect("is built once for two consumers, and shares a layer that stands in two routes", () =>
    Effect.gen(function*() {
      const only = fake("only")
      const router = Router.layer({ "a*": only.layer, "b*": { layer: only.layer, model: () => "b" } })
      class A extends Context.Service<A, LLMClient.Service>()("A") {}
      class B extends Context.Service<B, LLMClient.Service>()("B") {}
      const consumers = Layer.mergeAll(Layer.effect(A, LLMClient.LLMClient), Layer.effect(B, LLMClient.LLMClient))
      yield* Effect.gen(function*() {
        yield* (yield* A).completion(ask("a1"))
        yield* (yield* B).completion(ask("b1"))
        assert.strictEqual(only.builds.begun, 1)
      }).pipe(Effect.provide(Layer.provide(consumers, router)))
    }))

  it.effect("shares a layer with the Fallback and the Router around it", () =>
    Effect.gen(function*() {
      const only = fake("only")
      const inner = Router.layer({ "a*": only.layer })
      const client = yield* clientOf(
        Fallback.layer([Router.layer({ "x/*": { layer: inner, model: (name) => name.slice(2) } }), only.layer])
      )
      assert.strictEqual((yield* client.completion(ask("x/a1"))).text, "only a1")
      assert.strictEqual((yield* client.completion(ask("other"))).text, "only other")
      assert.strictEqual(only.builds.begun, 1)
    }))

  it.effect("refuses a pattern that no name could match", () =>
    Effect.gen(function*() {
      assert.include(
        yield* refusalOf({ [`${"a".repeat(512)}*`]: layer }),
        "Router routes: give patterns of at most 512 characters"
      )
    }))

  it.effect("with real layers needs only the keys of the providers that are asked", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.make()
      const client = yield* clientOf(
        Router.layer({
          "claude-*": Anthropic.layerConfig(),
          "gpt-*": OpenAi.layerConfig({ timeouts: Config.succeed(false as const) }),
          "openrouter/*": { layer: OpenRouter.layerConfig(), model: (name) => name.slice("openrouter/".length) }
        }).pipe(
          Layer.provide(Layer.succeed(HttpClient.HttpClient, simulator.client)),
          Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ OPENROUTER_API_KEY: "sk-test" })))
        )
      )
      const { model, provider } = yield* client.completion(ask("openrouter/openai/gpt-4.1"))
      assert.strictEqual(provider, "openrouter")
      assert.include(model, "gpt-4.1")
      const [request] = yield* simulator.requests
      assert.strictEqual(request?.body?.["model"], "openai/gpt-4.1")
    }))

  const { layer } = fake("any")
  const overlaps: ReadonlyArray<readonly [string, string]> = [
    ["claude-*", "claude-opus-4"],
    ["claude-*", "*-4"],
    ["*", "gpt-5"],
    ["a*c", "ab*"],
    ["a**", "a"],
    ["*b*", "*a*"],
    ["x*y*z", "xyz"],
    ["*/llama", "meta/*"]
  ]
  for (const [first, second] of overlaps) {
    it.effect(`refuses ${first} beside ${second}, as a defect that names both`, () =>
      Effect.gen(function*() {
        for (const [one, other] of [[first, second], [second, first]] as const) {
          assert.include(
            yield* refusalOf({ [one]: layer, [other]: layer }),
            `Router routes: give patterns that share no name, unlike "${one}" and "${other}"`
          )
        }
      }))
  }

  const apart: ReadonlyArray<readonly [string, string]> = [
    ["claude-*", "gpt-*"],
    ["gpt-5", "gpt-5-mini"],
    ["a*b", "a*c"],
    ["a*b*c", "b*"],
    ["x*yy", "xy"],
    ["*.a", "*.b"],
    ["a.c", "abc"],
    ["Claude-*", "claude-*"]
  ]
  for (const [first, second] of apart) {
    it.effect(`takes ${first} beside ${second}`, () =>
      Effect.gen(function*() {
        assert.isUndefined(yield* refusalOf({ [first]: layer, [second]: layer }))
      }))
  }

  it.effect("refuses a record without patterns, and an empty pattern", () =>
    Effect.gen(function*() {
      assert.include(yield* refusalOf({}), "Router routes: give at least one pattern")
      assert.include(yield* refusalOf({ "": layer }), "Router routes: give patterns that are not empty")
    }))

  it.effect("refuses an invalid route, and unknown fields of a route", () =>
    Effect.gen(function*() {
      const routes = (route: unknown) => ({ a: route as typeof layer })
      assert.include(yield* refusalOf(routes(undefined)), `Router routes["a"]: give a layer`)
      assert.include(
        yield* refusalOf(routes({ layer, models: {} })),
        `Router routes["a"] models: give one of layer, model`
      )
      assert.include(yield* refusalOf(routes({ layer, model: "b" })), `Router routes["a"].model: give a function`)
    }))

  const pattern = Schema.Array(Schema.Literals(["a", "b", "*"])).check(Schema.isMinLength(1), Schema.isMaxLength(4))
  // Patterns as short as these share a name of at most six letters, if they share any.
  const names = Array.from(
    { length: 7 },
    (_, length) =>
      Array.from({ length: 2 ** length }, (_, bits) => bits.toString(2).padStart(length, "0").slice(0, length))
  ).flat().map((bits) => bits.replaceAll("0", "a").replaceAll("1", "b"))
  const regexOf = (pattern: string) => new RegExp(`^${pattern.replaceAll("*", "[ab]*")}$`)

  it.effect.prop(
    "refuses two patterns exactly when a name matches both, and else finds the layer of every name",
    { one: pattern, other: pattern },
    ({ one, other }) =>
      Effect.gen(function*() {
        const [first, second] = [one.join(""), other.join("")]
        if (first === second) return
        const shared = names.some((name) => regexOf(first).test(name) && regexOf(second).test(name))
        const routes = { [first]: fake("first").layer, [second]: fake("second").layer }
        assert.strictEqual((yield* refusalOf(routes)) !== undefined, shared, `${first} ${second}`)
        if (shared) return
        const client = yield* clientOf(Router.layer(routes))
        for (const name of names) {
          const found = yield* client.completion(ask(name)).pipe(
            Effect.match({ onFailure: ({ reason }) => reason, onSuccess: ({ provider }) => provider })
          )
          assert.strictEqual(
            found,
            regexOf(first).test(name) ? "first" : regexOf(second).test(name) ? "second" : "NotFound"
          )
        }
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 50 } }
  )
})

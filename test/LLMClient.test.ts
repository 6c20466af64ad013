import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as Completion from "../src/Completion.ts"
import * as CompletionPart from "../src/CompletionPart.ts"
import * as CompletionResponse from "../src/CompletionResponse.ts"
import * as LLMClient from "../src/LLMClient.ts"
import * as LLMError from "../src/LLMError.ts"
import * as Message from "../src/Message.ts"
import * as TokenUsage from "../src/TokenUsage.ts"

const answer = (provider: string, text: string) =>
  CompletionResponse.make({
    choice: [Message.text(text)],
    finishReason: { _tag: "Stop" },
    usage: TokenUsage.zero,
    provider
  })

/** A client that says which provider it is and what it was asked. */
const echo = (provider: string): LLMClient.Service => ({
  provider,
  completion: ({ prompt }) => Effect.succeed(answer(provider, JSON.stringify(prompt.content))),
  stream: ({ prompt }) =>
    Stream.fromIterable(CompletionPart.fromResponse(answer(provider, JSON.stringify(prompt.content))))
})

const provider = (name: string) => Layer.succeed(LLMClient.LLMClient, echo(name))

const request = Completion.make({ prompt: "Hello" })

const marked = LLMClient.middleware((client) => ({
  completion: (completion) =>
    Effect.map(
      client.completion(completion),
      (response) => CompletionResponse.make({ ...response, requestId: `marked ${client.provider}` })
    )
}))

describe("completion", () => {
  it.effect("runs a request with the client in the context", () =>
    Effect.gen(function*() {
      const response = yield* LLMClient.completion(Completion.make({ prompt: Message.system("Hello") }))
      assert.strictEqual(response.text, '"Hello"')
    }).pipe(Effect.provide(provider("a"))))

  it.effect("fails as the client fails", () =>
    Effect.gen(function*() {
      const failure = LLMError.make("RateLimit", { provider: "a", model: "m", description: "", reason: "Tokens" })
      const client = Layer.succeed(LLMClient.LLMClient, { ...echo("a"), completion: () => Effect.fail(failure) })
      const error = yield* LLMClient.completion(request).pipe(Effect.provide(client), Effect.flip)
      assert.isTrue(error === failure)
    }))
})

describe("middleware", () => {
  it.effect("replaces the members that it gives", () =>
    Effect.gen(function*() {
      const response = yield* LLMClient.completion(request)
      assert.strictEqual(response.requestId, "marked a")
    }).pipe(Effect.provide(Layer.provide(marked, provider("a")))))

  it.effect("keeps the members that it does not give", () =>
    Effect.gen(function*() {
      const client = yield* LLMClient.LLMClient
      assert.strictEqual(client.provider, "a")
    }).pipe(Effect.provide(Layer.provide(marked, provider("a")))))

  it.effect("may rename the client and leave its calls alone", () =>
    Effect.gen(function*() {
      const client = yield* LLMClient.LLMClient
      assert.strictEqual(client.provider, "both")
      assert.strictEqual((yield* client.completion(request)).provider, "a")
    }).pipe(
      Effect.provide(Layer.provide(LLMClient.middleware(() => ({ provider: "both" })), provider("a")))
    ))

  it.effect("keeps members that the service does not have yet", () =>
    Effect.gen(function*() {
      const later = { ...echo("a"), embed: (text: string) => text.length }
      const client = yield* LLMClient.LLMClient.pipe(
        Effect.provide(Layer.provide(marked, Layer.succeed(LLMClient.LLMClient, later)))
      )
      assert.strictEqual((client as typeof later).embed("four"), 4)
    }))

  it.effect("leaves the client that it decorates alone", () =>
    Effect.gen(function*() {
      const client = Object.freeze(echo("a"))
      const layer = Layer.provide(marked, Layer.succeed(LLMClient.LLMClient, client))
      yield* Effect.provide(LLMClient.completion(request), layer)
      assert.isUndefined((yield* client.completion(request)).requestId)
    }))

  it.effect("several of them stand around each other, the first one outermost", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const spy = (name: string) =>
        LLMClient.middleware((client) => ({
          completion: (completion) => Effect.andThen(Effect.sync(() => seen.push(name)), client.completion(completion))
        }))
      const layer = spy("outer").pipe(Layer.provide(spy("inner")), Layer.provide(provider("a")))
      yield* Effect.provide(LLMClient.completion(request), layer)
      assert.deepStrictEqual(seen, ["outer", "inner"])
    }))

  it.effect("is fresh: one value over two providers in one graph decorates each of them", () =>
    Effect.gen(function*() {
      class Left extends Context.Service<Left, LLMClient.Service>()("test/Left") {}
      class Right extends Context.Service<Right, LLMClient.Service>()("test/Right") {}
      const graph = Layer.mergeAll(
        Layer.effect(Left, LLMClient.LLMClient).pipe(Layer.provide(marked), Layer.provide(provider("a"))),
        Layer.effect(Right, LLMClient.LLMClient).pipe(Layer.provide(marked), Layer.provide(provider("b")))
      )
      const [left, right] = yield* Effect.provide(
        Effect.all([
          Effect.flatMap(Left, (client) => client.completion(request)),
          Effect.flatMap(Right, (client) => client.completion(request))
        ]),
        graph
      )
      assert.deepStrictEqual([left.requestId, right.requestId], ["marked a", "marked b"])
    }))

  it.effect("is built once where one composed layer has two consumers", () =>
    Effect.gen(function*() {
      class Left extends Context.Service<Left, LLMClient.Service>()("test/Left") {}
      class Right extends Context.Service<Right, LLMClient.Service>()("test/Right") {}
      let built = 0
      const counted = LLMClient.middleware(() => {
        built++
        return {}
      })
      const composed = Layer.provide(counted, provider("a"))
      const graph = Layer.mergeAll(
        Layer.provide(Layer.effect(Left, LLMClient.LLMClient), composed),
        Layer.provide(Layer.effect(Right, LLMClient.LLMClient), composed)
      )
      yield* Effect.provide(Effect.all([Left, Right]), graph)
      assert.strictEqual(built, 1)
    }))
})

/** The client of a consumer, by which a graph holds two of them. */
class Left extends Context.Service<Left, LLMClient.Service>()("test/Left") {}
class Right extends Context.Service<Right, LLMClient.Service>()("test/Right") {}

const twoOver = <E>(middleware: Layer.Layer<LLMClient.LLMClient, E, LLMClient.LLMClient>) =>
  Layer.mergeAll(
    Layer.effect(Left, LLMClient.LLMClient).pipe(Layer.provide(middleware), Layer.provide(provider("a"))),
    Layer.effect(Right, LLMClient.LLMClient).pipe(Layer.provide(middleware), Layer.provide(provider("b")))
  )

describe("middleware made by an effect", () => {
  class Stamp extends Context.Service<Stamp, string>()("test/Stamp") {}

  const stamped = LLMClient.middleware((client) =>
    Effect.map(Stamp, (stamp) => ({
      completion: (completion) =>
        Effect.map(
          client.completion(completion),
          (response) => CompletionResponse.make({ ...response, requestId: `${stamp} ${client.provider}` })
        )
    }))
  )

  it.effect("is given what it requires, and keeps the members that it does not give", () =>
    Effect.gen(function*() {
      const client = yield* LLMClient.LLMClient
      assert.strictEqual(client.provider, "a")
      assert.strictEqual((yield* client.completion(request)).requestId, "seen a")
    }).pipe(
      Effect.provide(stamped.pipe(Layer.provide(provider("a")), Layer.provide(Layer.succeed(Stamp, "seen"))))
    ))

  it.effect("is fresh, and its resources live as long as the layer", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const scoped = LLMClient.middleware(({ provider }) =>
        Effect.as(
          Effect.acquireRelease(
            Effect.sync(() => seen.push(`open ${provider}`)),
            () => Effect.sync(() => seen.push(`close ${provider}`))
          ),
          {}
        )
      )
      yield* Effect.provide(Effect.all([Left, Right, Effect.sync(() => seen.push("used"))]), twoOver(scoped))
      assert.deepStrictEqual(seen.slice(0, 3).toSorted(), ["open a", "open b", "used"])
      assert.deepStrictEqual(seen.slice(3).toSorted(), ["close a", "close b"])
    }))

  it.effect("fails the layer as its effect fails", () =>
    Effect.gen(function*() {
      const broken = LLMClient.middleware(() => Effect.fail("no license"))
      const error = yield* LLMClient.completion(request).pipe(
        Effect.provide(Layer.provide(broken, provider("a"))),
        Effect.flip
      )
      assert.strictEqual(error as unknown, "no license")
    }))
})

describe("compose", () => {
  const named = (name: string) =>
    LLMClient.middleware((client) => ({
      completion: (completion) =>
        Effect.map(
          client.completion(completion),
          (response) =>
            CompletionResponse.make({ ...response, requestId: `${name} ${response.requestId ?? ""}`.trim() })
        )
    }))

  it.effect("puts the first one outermost", () =>
    Effect.gen(function*() {
      const response = yield* LLMClient.completion(request)
      assert.strictEqual(response.requestId, "outer middle inner")
    }).pipe(
      Effect.provide(
        LLMClient.compose(named("outer"), named("middle"), named("inner")).pipe(
          Layer.provide(provider("a"))
        )
      )
    ))

  it.effect("one value over two providers decorates each of them, where Layer.provide would mix them", () =>
    Effect.gen(function*() {
      // Made by hand, and not fresh: only the whole can be.
      const shared = Layer.effect(LLMClient.LLMClient, LLMClient.LLMClient)
      const answers = (policies: Layer.Layer<LLMClient.LLMClient, never, LLMClient.LLMClient>) =>
        Effect.provide(
          Effect.gen(function*() {
            const left = yield* (yield* Left).completion(request)
            const right = yield* (yield* Right).completion(request)
            return [left.provider, right.provider]
          }),
          twoOver(policies)
        )
      assert.deepStrictEqual(yield* answers(LLMClient.compose(named("x"), shared)), ["a", "b"])
      assert.deepStrictEqual(yield* answers(LLMClient.compose(named("x"), named("y"))), ["a", "b"])
      assert.deepStrictEqual(yield* answers(named("x").pipe(Layer.provide(shared))), ["a", "a"])
    }))

  it.effect("takes a provider as the innermost one", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* LLMClient.completion(request)).requestId, "outer")
    }).pipe(Effect.provide(LLMClient.compose(named("outer"), provider("a")))))

  it.effect("one value used twice in it stands there twice", () =>
    Effect.gen(function*() {
      const twice = named("again")
      const response = yield* LLMClient.completion(request).pipe(
        Effect.provide(LLMClient.compose(twice, twice).pipe(Layer.provide(provider("a"))))
      )
      assert.strictEqual(response.requestId, "again again")
    }))
})

/** What holds for every middleware layer in a graph: layers are memoized by reference, and middleware must not be. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Breaker from "effect/persistence/CircuitBreaker"
import * as Persistence from "effect/persistence/Persistence"
import * as RateLimiter from "effect/persistence/RateLimiter"
import * as Budget from "../src/Budget.ts"
import * as CircuitBreaker from "../src/CircuitBreaker.ts"
import * as Completion from "../src/Completion.ts"
import { LLMClient, type Service } from "../src/LLMClient.ts"
import * as ResponseCache from "../src/ResponseCache.ts"
import * as Retry from "../src/Retry.ts"
import * as Throttle from "../src/Throttle.ts"
import { answer, noting } from "./clients.ts"

class Left extends Context.Service<Left, Service>()("test/Left") {}
class Right extends Context.Service<Right, Service>()("test/Right") {}

const left = Layer.effect(Left, LLMClient)
const right = Layer.effect(Right, LLMClient)

// What is composed is a layer of its own, and memoized again unless it says otherwise.
const composed = <R>(layer: Layer.Layer<LLMClient, never, LLMClient | R>, store: Layer.Layer<R>) =>
  Layer.fresh(Layer.provide(layer, store))

const middlewares: ReadonlyArray<readonly [string, () => Layer.Layer<LLMClient, never, LLMClient>]> = [
  ["Retry.layer", () => Retry.layer()],
  ["Throttle.layer", () => Throttle.layer({ requestsPerMinute: 10 })],
  [
    "Throttle.layerStore",
    () => composed(Throttle.layerStore({ requestsPerMinute: 10 }), RateLimiter.layerStoreMemory)
  ],
  ["CircuitBreaker.layer", () => CircuitBreaker.layer()],
  ["CircuitBreaker.layerStore", () => composed(CircuitBreaker.layerStore(), Breaker.layerStoreMemory())],
  ["ResponseCache.layer", () => ResponseCache.layer()],
  [
    "ResponseCache.layerPersisted",
    () => composed(ResponseCache.layerPersisted(), Persistence.layerMemory)
  ],
  ["Budget.layer", () => Budget.layer({ tokens: 100_000 })]
]

const request = Completion.make({ prompt: "Hello" })

const provider = (name: string) => {
  const { calls, client } = noting(() => Effect.succeed(answer({}, { provider: name })), name)
  let builds = 0
  const layer = Layer.effect(
    LLMClient,
    Effect.sync(() => {
      builds++
      return client
    })
  )
  return { calls, layer, builds: () => builds }
}

describe("in one graph", () => {
  for (const [name, make] of middlewares) {
    it.effect(`one value of ${name} over two providers reaches both`, () =>
      Effect.gen(function*() {
        const a = provider("a")
        const b = provider("b")
        const middleware = make()
        const graph = Layer.mergeAll(
          left.pipe(Layer.provide(middleware), Layer.provide(a.layer)),
          right.pipe(Layer.provide(middleware), Layer.provide(b.layer))
        )
        const both = Effect.gen(function*() {
          const clients = [yield* Left, yield* Right]
          return yield* Effect.forEach(clients, (client) =>
            Effect.map(client.completion(request), (response) => [client.provider, response.provider]))
        })
        assert.deepStrictEqual(yield* Effect.provide(both, graph), [["a", "a"], ["b", "b"]])
        assert.deepStrictEqual([a.calls.length, b.calls.length], [1, 1])
      }))

    it.effect(`${name} over a provider, with two consumers, is built once`, () =>
      Effect.gen(function*() {
        const a = provider("a")
        const composed = Layer.provide(make(), a.layer)
        const graph = Layer.mergeAll(Layer.provide(left, composed), Layer.provide(right, composed))
        const same = Effect.gen(function*() {
          return (yield* Left) === (yield* Right)
        })
        assert.isTrue(yield* Effect.provide(same, graph))
        assert.strictEqual(a.builds(), 1)
      }))
  }
})

import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Completion from "../../src/Completion.ts"
import * as LLMClient from "../../src/LLMClient.ts"
import type { CommonOptions } from "../../src/Provider.ts"
import type * as Simulator from "../../src/testing/Simulator.ts"
import { sample } from "../effort.ts"
import { type Case, cases, outcome } from "./faults.ts"
import { served } from "./served.ts"
import { layers, type Service, services } from "./simulated.ts"

const hello = Completion.make({ prompt: "Say 空" })

/** A provider's real layer over the network of this machine. */
const clientOf = (
  { baseUrls }: Simulator.Server["Service"],
  provider: Service,
  timeouts?: CommonOptions["timeouts"]
) =>
  Effect.map(
    Layer.build(
      layers[provider]({ baseUrl: baseUrls[provider], ...timeouts !== undefined && { timeouts } }).pipe(
        Layer.provide(NodeHttpClient.layerUndici)
      )
    ),
    (context) => Context.get(context, LLMClient.LLMClient)
  )

/** Waits on real time until an effect gives what is wanted. */
const eventually = <A>(effect: Effect.Effect<A>, wanted: A) =>
  Effect.gen(function*() {
    for (let tries = 0; tries < 100; tries++) {
      if ((yield* effect) === wanted) break
      yield* Effect.sleep("10 millis")
    }
    assert.strictEqual(yield* effect, wanted)
  })

const soon = "300 millis"

// What nobody would wait for by default; a busy machine may take its time up to the first part.
const clocks = ({ fault, streamed }: Case): CommonOptions["timeouts"] =>
  fault === "Stall" && streamed
    ? { firstPart: "20 seconds", progress: "2 seconds", total: "20 seconds" }
    : fault === "Stall" || fault === "NoAnswer"
    ? { firstPart: soon, progress: soon, total: soon }
    : undefined

// Hints that are instants have become a little shorter when they are read.
const instants: ReadonlySet<Simulator.FaultName> = new Set(["RetryAfterDate", "RateLimitReset"])
const withoutHint = (outcome: string): string => outcome.replace(/, retry after .*/, "")

describe("Simulator.serve", () => {
  it.live.each(services)("%s: each fault is over the network what it is in the process", (provider) =>
    Effect.forEach(
      // A sample has every other fault streamed, and the others whole.
      sample(3, cases.filter((one) => one.provider === provider), services.indexOf(provider)),
      (one) =>
        Effect.gen(function*() {
          const { fault, streamed } = one
          const server = yield* served({ failures: [fault], ...fault === "SlowDrip" && { chunkSize: 300 } })
          const client = yield* clientOf(server, provider, clocks(one))
          const found = yield* outcome(client, streamed)
          const [is, be] = instants.has(fault)
            ? [withoutHint(found), withoutHint(one.outcome)]
            : [found, one.outcome]
          assert.strictEqual(is, be, `${fault}, streamed: ${streamed}`)
        }).pipe(Effect.scoped),
      { concurrency: 16, discard: true }
    ))

  it.live("listens on a free port, and reports its address and its requests", () =>
    Effect.gen(function*() {
      const server = yield* served()
      assert.match(server.url, /^http:\/\/127\.0\.0\.1:\d+$/)
      for (const provider of services) {
        const client = yield* clientOf(server, provider)
        assert.strictEqual((yield* client.completion(hello)).text, `Simulated answer to: "Say 空"`)
      }
      const requests = yield* server.requests
      assert.deepStrictEqual(requests.map(({ provider }) => provider), [...services])
      assert.isTrue(requests.every(({ url }) => url.startsWith(server.url)))
      assert.notInclude(JSON.stringify(requests), "sk-test")
      assert.strictEqual(yield* server.cancelled, 0)
    }))

  it.live("names the loopback address where it listens on all of them", () =>
    Effect.gen(function*() {
      const { url } = yield* served({}, "0.0.0.0")
      assert.match(url, /^http:\/\/127\.0\.0\.1:\d+$/)
    }))

  it.live("sends a body in chunks that end within characters", () =>
    Effect.gen(function*() {
      const { baseUrls } = yield* served()
      const body = { model: "gpt-4.1-mini", stream: true, messages: [{ role: "user", content: "空気 ".repeat(20) }] }
      const response = yield* Effect.promise(() =>
        fetch(`${baseUrls.openai}/chat/completions`, { method: "POST", body: JSON.stringify(body) })
      )
      const chunks = yield* Stream.runCollect(
        Stream.fromReadableStream({ evaluate: () => response.body!, onError: (cause) => cause })
      )
      assert.isAbove(chunks.length, 20)
      assert.isTrue(chunks.some(([first = 0]) => (first & 0xc0) === 0x80))
      assert.isTrue(Buffer.concat(chunks).toString().endsWith("data: [DONE]\n\n"))
    }))

  it.live("sends its headers before a body that never comes, but not when it breaks before", () =>
    Effect.gen(function*() {
      const { baseUrls } = yield* served({
        failures: [{ _tag: "Stall", afterEvents: 0 }, { _tag: "Reset", afterEvents: 0 }, "ConnectionReset"]
      })
      const body = JSON.stringify({ model: "gpt-4.1-mini", messages: [{ role: "user", content: "Hello" }] })
      const ask = Effect.tryPromise((signal) =>
        fetch(`${baseUrls.openai}/chat/completions`, { method: "POST", body, signal })
      )
      const [stalled, reset] = [yield* ask, yield* ask]
      assert.deepStrictEqual([stalled.status, reset.status], [200, 200])
      yield* Effect.flip(Effect.tryPromise(() => reset.text()))
      yield* Effect.flip(ask)
      yield* Effect.promise(() => stalled.body!.cancel())
    }))

  it.live("sees a client that goes: from a stream, a stalled stream, and before any answer", () =>
    Effect.gen(function*() {
      const server = yield* served({ failures: ["SlowDrip", "Stall", "NoAnswer"] })
      const client = yield* clientOf(server, "anthropic")
      yield* Stream.runDrain(Stream.take(client.stream(hello), 1))
      yield* eventually(server.cancelled, 1)
      for (const gone of [2, 3]) {
        const fiber = yield* Effect.forkChild(Stream.runDrain(client.stream(hello)))
        yield* eventually(Effect.map(server.requests, ({ length }) => length), gone)
        yield* Effect.sleep("20 millis")
        yield* Fiber.interrupt(fiber)
        yield* eventually(server.cancelled, gone)
      }
    }))

  it.live.each(["Stall", "NoAnswer"] as const)(
    "ends with its layer, though it was to meet %s for ever",
    (fault) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const server = yield* Scope.provide(served({ failures: [fault] }), scope)
        const client = yield* clientOf(server, "openai")
        const fiber = yield* Effect.forkChild(Effect.flip(client.completion(hello)))
        yield* eventually(Effect.map(server.requests, ({ length }) => length), 1)
        yield* Effect.timeout(Scope.close(scope, Exit.void), "10 seconds")
        assert.strictEqual((yield* Fiber.join(fiber))._tag, "Transient")
      })
  )
})

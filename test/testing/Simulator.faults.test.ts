import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as TestClock from "effect/testing/TestClock"
import * as Completion from "../../src/Completion.ts"
import * as Simulator from "../../src/testing/Simulator.ts"
import { cases, expectedOf, outcome } from "./faults.ts"
import { passing, retried, services, simulated } from "./simulated.ts"

const hello = Completion.make({ prompt: "Hello" })

describe("Simulator: each fault is what ERRORS.md says", () => {
  it.effect.each(cases)(
    "$provider, $fault, streamed: $streamed: $outcome",
    ({ fault, provider, streamed, ...expected }) =>
      Effect.gen(function*() {
        const { client } = yield* simulated(provider, { failures: [fault] })
        assert.strictEqual(yield* passing(outcome(client, streamed)), expected.outcome)
        // One fault spoils one request.
        assert.strictEqual(yield* outcome(client, streamed), "Finish · Stop")
      })
  )

  it.each(services)("knows what comes of every fault of %s", (provider) => {
    assert.sameMembers([...expectedOf(provider)], [...Simulator.faultsOf(provider)])
  })

  it.effect("drips slowly, and stops when nobody reads on", () =>
    Effect.gen(function*() {
      const { client, simulator } = yield* simulated("anthropic", { failures: ["SlowDrip", "SlowDrip"] })
      const whole = yield* Effect.forkChild(client.completion(hello))
      yield* TestClock.adjust("100 millis")
      assert.isUndefined(whole.pollUnsafe())
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(whole)).text, `Simulated answer to: "Hello"`)
      const left = yield* Effect.forkChild(client.completion(hello))
      yield* TestClock.adjust("100 millis")
      yield* Fiber.interrupt(left)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* simulator.cancelled, 1)
    }))

  it.effect("dies when a provider cannot have the fault, so that no retry passes for a success", () =>
    Effect.gen(function*() {
      const { client } = yield* retried("anthropic", { failures: ["DailyQuota"] })
      const exit = yield* Effect.exit(client.completion(hello))
      assert.isTrue(Exit.hasDies(exit))
      assert.include(String(exit), "anthropic cannot have the fault DailyQuota")
    }))
})

/** What the first requests come to. */
const run = (faults: Simulator.Faults, times = 30) =>
  Effect.gen(function*() {
    const { client } = yield* simulated("openai", { faults })
    return yield* passing(Effect.all(Array.from({ length: times }, (_, index) => outcome(client, index % 2 === 0))))
  })

describe("Simulator: faults by chance", () => {
  it.effect("has the same faults for the same seed, and others for another", () =>
    Effect.gen(function*() {
      const first = yield* run({ rate: 0.5, seed: "monday" })
      assert.deepStrictEqual(yield* run({ rate: 0.5, seed: "monday" }), first)
      assert.notDeepEqual(yield* run({ rate: 0.5, seed: "tuesday" }), first)
    }))

  it.effect("uses Random without a seed", () =>
    Effect.gen(function*() {
      const seeded = Random.withSeed(run({ rate: 0.5 }), "monday")
      assert.deepStrictEqual(yield* seeded, yield* seeded)
    }))

  it.effect("keeps to the rate, and to the faults that were asked for", () =>
    Effect.gen(function*() {
      const all = yield* run({ rate: 0.3, only: ["Overloaded", "RetryInfo"], seed: 1 }, 200)
      const failed = all.filter((one) => one !== "Finish · Stop")
      assert.deepStrictEqual([...new Set(failed)], ["Transient · Overloaded"])
      assert.closeTo(failed.length, 60, 20)
      assert.deepStrictEqual([...new Set(yield* run({ rate: 0 }))], ["Finish · Stop"])
      assert.deepStrictEqual([...new Set(yield* run({ rate: 1, only: ["Cut"] }))], [
        "Transient · Truncated, after parts",
        "Transient · Malformed"
      ])
    }))

  it.effect("begins after the failures that were scripted", () =>
    Effect.gen(function*() {
      const { client } = yield* simulated("gemini", { failures: ["InvalidKey"], faults: { rate: 1, only: ["Quota"] } })
      assert.strictEqual(yield* outcome(client, false), "ClientError · Authentication")
      assert.strictEqual(yield* outcome(client, false), "ClientError · Quota")
    }))

  it.effect("keeps the last requests only", () =>
    Effect.gen(function*() {
      const { client, simulator } = yield* simulated("openai", { keep: 2 })
      for (const prompt of ["one", "two", "three"]) yield* client.completion(Completion.make({ prompt }))
      const bodies = (yield* simulator.requests).map(({ body }) => JSON.stringify(body))
      assert.lengthOf(bodies, 2)
      assert.include(bodies[0], "two")
      assert.include(bodies[1], "three")
    }))

  it.effect.each<[string, Simulator.Options]>([
    ["failures", { failures: ["NoSuchFault" as Simulator.FaultName] }],
    ["faults.only", { faults: { rate: 0.5, only: ["NoSuchFault" as Simulator.FaultName] } }],
    ["faults.only", { faults: { rate: 0.5, only: [] } }],
    ["faults.rate", { faults: { rate: -0.1 } }],
    ["faults.rate", { faults: { rate: 1.1 } }],
    ["faults.rate", { faults: { rate: NaN } }],
    ["chunkSize", { chunkSize: 0 }],
    ["keep", { keep: -1 }],
    ["keep", { keep: NaN }]
  ])("refuses %s that cannot be kept to: %o", ([option, options]) =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Layer.build(Simulator.layer(options)))
      const made = yield* Effect.exit(Simulator.make(options))
      assert.isTrue(Exit.hasDies(made))
      assert.include(String(made), `Simulator ${option}: give`)
      if (option !== "keep") assert.include(String(exit), `Simulator ${option}: give`)
    }))
})

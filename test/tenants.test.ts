import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/testing/TestClock"
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { ask, Budgets, Keys, rotate, Tenants } from "../examples/tenants.ts"
import * as Simulator from "../src/testing/Simulator.ts"
import { compiled } from "./compiled.ts"

/** The tenants of the example; what keys were looked up and sent, and a gate that requests wait at. */
const tenants = Effect.gen(function*() {
  const { client } = yield* Simulator.make()
  const lookedUp: Array<string> = []
  const sent: Array<string | undefined> = []
  const gate = { wait: Effect.void as Effect.Effect<void> }
  const http = HttpClient.tapRequest(client, (request) =>
    Effect.suspend(() => {
      sent.push(request.headers["x-api-key"])
      return gate.wait
    }))
  const keys = Layer.effect(
    Keys,
    Effect.map(Keys, ({ get, set }) => ({
      set,
      get: (tenant: string) =>
        Effect.suspend(() => {
          lookedUp.push(tenant)
          // A store of keys takes its time.
          return Effect.andThen(Effect.yieldNow, get(tenant))
        })
    }))
  ).pipe(Layer.provide(Keys.layer({ oslo: "key-of-oslo", rome: "key-of-rome" })))
  const context = yield* Layer.build(Layer.provideMerge(
    Tenants.layer,
    Layer.mergeAll(keys, Budgets.layer(1_000), Layer.succeed(HttpClient.HttpClient, http))
  ))
  return { context, gate, lookedUp, sent }
})

describe("examples/tenants", () => {
  it.effect("builds one client for each tenant, once, however many calls need it at the same time", () =>
    Effect.gen(function*() {
      const { context, lookedUp, sent } = yield* tenants
      yield* Effect.forEach(["oslo", "rome", "oslo", "rome", "oslo"], (tenant) => ask(tenant, "Hello"), {
        concurrency: "unbounded"
      }).pipe(Effect.provideContext(context))
      assert.deepStrictEqual(lookedUp.toSorted(), ["oslo", "rome"])
      assert.deepStrictEqual(
        sent.toSorted(),
        ["key-of-oslo", "key-of-oslo", "key-of-oslo", "key-of-rome", "key-of-rome"]
      )
    }))

  it.effect("releases a client that nobody needs, and keeps what its tenant has spent", () =>
    Effect.gen(function*() {
      const { context, lookedUp } = yield* tenants
      yield* Effect.gen(function*() {
        yield* ask("oslo", "Hello")
        yield* TestClock.adjust("9 minutes")
        yield* ask("oslo", "Hello")
        yield* TestClock.adjust("9 minutes")
        yield* ask("oslo", "Hello")
        assert.lengthOf(lookedUp, 1)
        const budget = yield* Budgets.use(({ get }) => get("oslo"))
        const { calls, tokens } = yield* budget.usage
        yield* TestClock.adjust("10 minutes")
        yield* ask("oslo", "Hello")
        assert.lengthOf(lookedUp, 2)
        const after = yield* budget.usage
        assert.strictEqual(after.calls, calls + 1)
        assert.isAbove(after.tokens.totalTokens, tokens.totalTokens)
      }).pipe(Effect.provideContext(context))
    }))

  it.effect("a new key is used by the next call, and calls under way end with the old one", () =>
    Effect.gen(function*() {
      const { context, gate, lookedUp, sent } = yield* tenants
      yield* Effect.gen(function*() {
        const open = yield* Deferred.make<void>()
        const reached = yield* Deferred.make<void>()
        gate.wait = Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(open))
        const before = yield* Effect.forkChild(ask("oslo", "before"))
        yield* Deferred.await(reached)
        gate.wait = Effect.void
        yield* rotate("oslo", Redacted.make("new-key-of-oslo"))
        assert.include((yield* ask("oslo", "after")).text, "after")
        assert.deepStrictEqual(sent, ["key-of-oslo", "new-key-of-oslo"])
        yield* Deferred.succeed(open, undefined)
        assert.include((yield* Fiber.join(before)).text, "before")
        assert.deepStrictEqual(lookedUp, ["oslo", "oslo"])
      }).pipe(Effect.provideContext(context))
    }))

  it.effect("a tenant that is unknown fails, until it gets a key", () =>
    Effect.gen(function*() {
      const { context } = yield* tenants
      yield* Effect.gen(function*() {
        assert.strictEqual((yield* Effect.flip(ask("bern", "Hello"))).message, "the tenant bern does not exist")
        yield* rotate("bern", Redacted.make("key-of-bern"))
        yield* ask("bern", "Hello")
      }).pipe(Effect.provideContext(context))
    }))

  it.effect("a tenant that has spent its budget is refused, and no other", () =>
    Effect.gen(function*() {
      const { context } = yield* tenants
      yield* Effect.gen(function*() {
        const error = yield* Effect.flip(Effect.forever(ask("oslo", "Hello")))
        assert.match(
          error.message,
          /^ClientError: anthropic claude-opus-5-5 Budget: the budget of tenant oslo of 1000 tokens is exceeded/
        )
        yield* ask("rome", "Hello")
      }).pipe(Effect.provideContext(context))
    }))

  it("runs", { timeout: 30_000 }, () => {
    const program = fileURLToPath(new URL("../examples/tenants.ts", import.meta.url))
    const { status, stderr, stdout } = spawnSync(process.execPath, [program], {
      encoding: "utf8",
      env: { ...process.env, ...compiled }
    })
    assert.strictEqual(stderr, "")
    assert.strictEqual(status, 0)
    for (
      const line of [
        /^oslo: Simulated answer to: "Hello from oslo"$/m,
        /^rome: ClientError: anthropic .*401 authentication_error/m,
        /^rome gets a valid key\nrome: Simulated answer to: "Hello from rome"$/m,
        /^rome: ClientError: anthropic claude-opus-5-5 Budget: the budget of tenant rome of 130 tokens is exceeded: \d+ spent/m,
        /^rome has spent \d+ tokens\n$/m
      ]
    ) assert.match(stdout, line)
    assert.notInclude(stdout, "key-of")
  })
})

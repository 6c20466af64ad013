import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Layer, Logger, Result, type Scope } from "effect"
import * as Breaker from "effect/persistence/CircuitBreaker"
import * as RateLimiter from "effect/persistence/RateLimiter"
import * as Redis from "effect/persistence/Redis"
import * as TestClock from "effect/testing/TestClock"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { type AddressInfo, connect, createServer } from "node:net"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { CircuitBreaker, Completion, type LLMClient, Throttle } from "../src/index.ts"
import { answer, failure, noting, through } from "./clients.ts"
import { compiled } from "./compiled.ts"
import * as R from "./redis.ts"

const request = Completion.make({ prompt: "Hello", model: "m" })

interface Report {
  readonly sent: number
  readonly refused: ReadonlyArray<string>
}

/** Starts a process of its own, and gives what makes it do a task. */
const member = (server: R.Server) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(async () => {
        const child = spawn(process.execPath, [join(import.meta.dirname, "fleet.ts"), String(server.port)], {
          stdio: ["pipe", "pipe", "inherit"],
          env: { ...process.env, ...compiled }
        })
        const lines = createInterface(child.stdout)
        await once(lines, "line")
        return { child, lines }
      }),
      ({ child }) => Effect.sync(() => child.kill())
    ),
    ({ child, lines }) => (task: string) =>
      Effect.promise(async (): Promise<Report> => {
        const line = once(lines, "line")
        child.stdin.write(`${task}\n`)
        return JSON.parse((await line)[0])
      })
  )

const withRedis = <E>(sentence: string, test: Effect.Effect<void, E, Scope.Scope>) =>
  it.live.skipIf(!R.installed)(
    R.installed ? sentence : `${sentence} (skipped: there is no redis-server)`,
    () => Effect.provide(test, Logger.layer([])),
    20_000
  )

const limited = (server: R.Server, client: LLMClient.Service, options: Partial<Throttle.StoreOptions> = {}) =>
  through(
    Throttle.layerStore({ requestsPerMinute: 1, maxWait: "5 seconds", storeTimeout: "10 seconds", ...options }).pipe(
      Layer.provide(RateLimiter.layerStoreRedis()),
      Layer.provide(R.client(server))
    ),
    client
  )

const open = "circuit_open"

describe("processes that share a Redis", () => {
  withRedis(
    "send together exactly as many requests as the limit allows, and open one circuit",
    Effect.gen(function*() {
      const server = yield* R.server
      const [a, b] = yield* Effect.all([member(server), member(server)], { concurrency: "unbounded" })
      const reports = yield* Effect.all([a("throttle"), b("throttle")], { concurrency: "unbounded" })
      assert.strictEqual(reports.reduce((sum, { sent }) => sum + sent, 0), 10)
      assert.deepStrictEqual(reports.flatMap(({ refused }) => refused), Array(30).fill("throttled"))
      assert.deepStrictEqual(
        yield* a("fail"),
        { sent: 3, refused: [...Array(3).fill("Server"), ...Array(17).fill(open)] }
      )
      assert.deepStrictEqual(yield* b("ask"), { sent: 0, refused: [open, open, open] })
    })
  )

  withRedis(
    "use together no more tokens than the limit allows, and no fewer than it lets them",
    Effect.gen(function*() {
      const server = yield* R.server
      const members = yield* Effect.all([member(server), member(server)], { concurrency: "unbounded" })
      const [took, reports] = yield* Effect.timed(
        Effect.forEach(members, (run) => run("tokens"), { concurrency: "unbounded" })
      )
      const used = reports.reduce((sum, { sent }) => sum + 60 * sent, 0)
      // What comes back with the time that the calls take is there for them too.
      assert.isAtMost(used, 1000 + Duration.toMillis(took) / 60)
      assert.isAtLeast(used, 900)
    })
  )

  withRedis(
    "wait for the hint that one of them received",
    Effect.gen(function*() {
      const server = yield* R.server
      const told = noting(() => Effect.fail(failure("RateLimit", "Requests", { retryAfter: Duration.seconds(30) })))
      const other = noting(() => Effect.succeed(answer()))
      yield* Effect.flip((yield* limited(server, told.client)).completion(request))
      const error = yield* Effect.flip((yield* limited(server, other.client)).completion(request))
      assert.strictEqual(error.code, "throttled")
      assert.isTrue(error.retryAfter && Duration.isGreaterThan(error.retryAfter, Duration.seconds(28)))
      assert.lengthOf(other.calls, 0)
    })
  )
})

/** A server that answers that much later than the Redis behind it. */
const farAway = (server: R.Server, delay: number) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(async () => {
        const proxy = createServer((near) => {
          const far = connect(server.port, "127.0.0.1")
          near.on("data", (chunk) => setTimeout(() => far.writable && far.write(chunk), delay))
          far.on("data", (chunk) => near.write(chunk))
          for (const socket of [near, far]) {
            socket.on("error", () => {}).on("close", () => {
              near.destroy()
              far.destroy()
            })
          }
        }).listen(0, "127.0.0.1")
        await once(proxy, "listening")
        return proxy
      }),
      (proxy) => Effect.sync(() => proxy.close())
    ),
    (proxy) => ({ ...server, port: (proxy.address() as AddressInfo).port })
  )

describe("a Redis far away", () => {
  withRedis(
    "is asked once for each call, whatever the limits and however many calls there are",
    Effect.gen(function*() {
      const server = yield* farAway(yield* R.server, 100)
      const { calls, client } = noting(() => Effect.succeed(answer()))
      const throttle = yield* limited(server, client, {
        requestsPerMinute: 6000,
        inputTokensPerMinute: 1e6,
        outputTokensPerMinute: 1e6
      })
      // The scripts are loaded.
      yield* throttle.completion(request)
      const [took] = yield* Effect.timed(
        Effect.forEach(Array.from({ length: 50 }), () => throttle.completion(request), { concurrency: "unbounded" })
      )
      assert.lengthOf(calls, 51)
      // One round trip to be let in, and one to say what was used. Four of them one after the other took 20 seconds.
      assert.isBelow(Duration.toMillis(took), 2000)
    })
  )
})

describe("a key that a store cannot use", () => {
  const codeOf = (client: LLMClient.Service, model: string) =>
    Effect.map(
      Effect.result(client.completion(Completion.model(model)(request))),
      (result) => Result.isFailure(result) ? result.failure.code ?? result.failure.reason : "answered"
    )

  const taken = (server: R.Server, keys: ReadonlyArray<string>) =>
    Effect.provide(
      Effect.flatMap(Redis.Redis, ({ send }) => Effect.forEach(keys, (key) => send("LPUSH", key, "x"))),
      R.client(server)
    )

  const said: Array<string> = []
  const logger = Logger.layer([Logger.make(({ message }) => said.push(String(message)))])

  withRedis(
    "is an error of that key: the limits and circuits of all others hold, and nothing counts as gone",
    Effect.gen(function*() {
      const server = yield* R.server
      yield* taken(server, [
        "ratelimiter:throttle:test:bad:requests",
        "circuitbreaker:circuit:test:bad"
      ])
      const answers = noting(() => Effect.succeed(answer()))
      const open = yield* limited(server, answers.client)
      const closed = yield* limited(server, answers.client, { onStoreError: "closed" })
      const fails = noting(() => Effect.fail(failure("Transient", "Server")))
      const breaker = yield* through(
        CircuitBreaker.layerStore({ failures: 1, storeTimeout: "10 seconds" }).pipe(
          Layer.provide(Breaker.layerStoreRedis()),
          Layer.provide(R.client(server))
        ),
        fails.client
      )
      assert.deepStrictEqual(yield* Effect.all([codeOf(open, "bad"), codeOf(open, "bad")]), ["answered", "answered"])
      assert.strictEqual(yield* codeOf(closed, "bad"), "store_unreachable")
      assert.deepStrictEqual(yield* Effect.all([codeOf(open, "good"), codeOf(open, "good")]), ["answered", "throttled"])
      assert.strictEqual(yield* codeOf(closed, "good"), "throttled")
      assert.deepStrictEqual(yield* Effect.all([codeOf(breaker, "bad"), codeOf(breaker, "bad")]), ["Server", "Server"])
      assert.deepStrictEqual(
        yield* Effect.all([codeOf(breaker, "good"), codeOf(breaker, "good")]),
        ["Server", "circuit_open"]
      )
      const warnings = said.filter((message) => message !== "circuit opened")
      assert.deepStrictEqual(warnings, Array(3).fill("the store cannot use what it holds under this key"))
    }).pipe(Effect.provide(logger))
  )

  withRedis(
    "cannot be made by the name of a model, though limits and circuits share a prefix",
    Effect.gen(function*() {
      const server = yield* R.server
      const { client } = noting(() => Effect.succeed(answer()))
      const both = yield* through(
        CircuitBreaker.layerStore({ onStoreError: "closed", storeTimeout: "10 seconds" }).pipe(
          Layer.provide(Throttle.layerStore({
            requestsPerMinute: 1,
            maxWait: "1 second",
            onStoreError: "closed",
            storeTimeout: "10 seconds"
          })),
          Layer.provide([
            Breaker.layerStoreRedis({ prefix: "claude:" }),
            RateLimiter.layerStoreRedis({ prefix: "claude:" })
          ]),
          Layer.provide(R.client(server))
        ),
        client
      )
      for (const model of ["m:requests", "m:adaptive", "m"]) {
        assert.deepStrictEqual(yield* Effect.all([codeOf(both, model), codeOf(both, model)]), ["answered", "throttled"])
      }
    })
  )
})

const until = <E, R>(what: Effect.Effect<boolean, E, R>) =>
  Effect.repeat(Effect.delay(what, "50 millis"), { until: (is) => is, times: 100 })

describe("when the Redis is gone", () => {
  const circuit = (server: R.Server, client: LLMClient.Service, options: CircuitBreaker.StoreOptions = {}) =>
    through(
      CircuitBreaker.layerStore({ failures: 1, storeTimeout: "10 seconds", ...options }).pipe(
        Layer.provide(Breaker.layerStoreRedis()),
        Layer.provide(R.client(server))
      ),
      client
    )

  const codeOf = (client: LLMClient.Service) =>
    Effect.map(
      Effect.result(client.completion(request)),
      (result) => Result.isFailure(result) ? result.failure.code ?? result.failure.reason : "answered"
    )

  withRedis(
    "calls go on, and the limit holds again when it is back",
    Effect.gen(function*() {
      const server = yield* R.server
      const { calls, client } = noting(() => Effect.succeed(answer()))
      const open = yield* limited(server, client)
      const closed = yield* limited(server, client, { onStoreError: "closed", key: "closed" })
      assert.strictEqual(yield* codeOf(open), "answered")
      assert.strictEqual(yield* codeOf(open), "throttled")
      yield* server.stop
      assert.deepStrictEqual(yield* Effect.all([codeOf(open), codeOf(open)]), ["answered", "answered"])
      const error = yield* Effect.flip(closed.completion(request))
      assert.strictEqual(`${error._tag} ${error.reason}`, "Transient Overloaded")
      assert.include(error.description, "the limit store cannot be reached")
      assert.lengthOf(calls, 3)
      yield* server.start
      yield* until(Effect.map(codeOf(open), (code) => code === "throttled"))
      yield* until(Effect.map(codeOf(closed), (code) => code === "answered"))
      assert.strictEqual(yield* codeOf(closed), "throttled")
    })
  )

  withRedis(
    "calls go on without a circuit, and it opens again when it is back",
    Effect.gen(function*() {
      const server = yield* R.server
      const { client } = noting(() => Effect.fail(failure("Transient", "Server")))
      const open = yield* circuit(server, client)
      const closed = yield* circuit(server, client, { onStoreError: "closed", key: "closed" })
      assert.deepStrictEqual(yield* Effect.all([codeOf(open), codeOf(open)]), ["Server", "circuit_open"])
      yield* server.stop
      assert.deepStrictEqual(yield* Effect.all([codeOf(open), codeOf(open)]), ["Server", "Server"])
      const error = yield* Effect.flip(closed.completion(request))
      assert.strictEqual(`${error._tag} ${error.reason}`, "Transient Overloaded")
      assert.include(error.description, "the circuit store cannot be reached")
      yield* server.start
      yield* until(Effect.map(codeOf(open), (code) => code === "circuit_open"))
      yield* until(Effect.map(codeOf(closed), (code) => code === "circuit_open"))
    })
  )

  const ways: ReadonlyArray<readonly [string, gone: keyof R.Server & ("stop" | "hang"), back: "start" | "goOn"]> = [
    ["has crashed", "stop", "start"],
    ["hangs", "hang", "goOn"]
  ]
  for (const [how, gone, back] of ways) {
    withRedis(
      `many calls at once wait no longer than its timeout, when it ${how}, and none is refused`,
      Effect.gen(function*() {
        const server = yield* R.server
        const options = { storeTimeout: "1 second", key: how } as const
        const answers = noting(() => Effect.succeed(answer()))
        const fails = noting(() => Effect.fail(failure("Transient", "Server")))
        const throttle = yield* limited(server, answers.client, options)
        const breaker = yield* circuit(server, fails.client, options)
        const run = (client: LLMClient.Service) =>
          Effect.timed(Effect.all(Array.from({ length: 20 }, () => codeOf(client)), { concurrency: "unbounded" }))
        yield* codeOf(throttle)
        yield* codeOf(breaker)
        yield* server[gone]
        for (const [client, code] of [[throttle, "answered"], [breaker, "Server"]] as const) {
          const [took, codes] = yield* run(client)
          assert.deepStrictEqual(codes, Array(20).fill(code))
          assert.isBelow(Duration.toMillis(took), 10_000)
        }
        yield* server[back]
        yield* until(Effect.map(codeOf(throttle), (code) => code === "throttled"))
        yield* until(Effect.map(codeOf(breaker), (code) => code === "circuit_open"))
      })
    )
  }

  withRedis(
    "the layers do not start, which is the connection's failure",
    Effect.gen(function*() {
      const server = yield* R.server
      yield* server.stop
      const exit = yield* Effect.exit(limited(server, noting(() => Effect.succeed(answer())).client))
      assert.include(Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "", "RedisError")
    })
  )

  it.effect("a store that does not answer in time counts as gone, which is said once", () =>
    Effect.gen(function*() {
      const said: Array<string> = []
      const logger = Logger.make(({ message }) => said.push(String(message)))
      const { calls, client } = noting(() => Effect.succeed(answer()))
      const limits = RateLimiter.RateLimiterStore.of({
        fixedWindow: () => Effect.never,
        tokenBucket: () => Effect.never,
        adaptiveConsume: () => Effect.never,
        adaptiveFeedback: () => Effect.never
      })
      const circuits = Breaker.CircuitBreakerStore.of({
        admit: () => Effect.never,
        record: () => Effect.never,
        state: () => Effect.never
      })
      const layer = CircuitBreaker.layerStore({ storeTimeout: "2 seconds" }).pipe(
        Layer.provide(Throttle.layerStore({ requestsPerMinute: 1 })),
        Layer.provide(Layer.succeed(RateLimiter.RateLimiterStore, limits)),
        Layer.provide(Layer.succeed(Breaker.CircuitBreakerStore, circuits))
      )
      const both = yield* Effect.provide(through(layer, client), Logger.layer([logger]))
      const run = Effect.all([both.completion(request), both.completion(request)])
      yield* Effect.forkChild(run, { startImmediately: true })
      for (let second = 0; second < 6; second++) yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(calls.map(({ at }) => at), [3000, 6000])
      assert.deepStrictEqual(said, [
        "the circuit store cannot be reached, calls go on without it",
        "the limit store cannot be reached, calls go on without it"
      ])
    }))
})

/**
 * A process of a fleet that shares a Redis: `node fleet.ts <port>`. For each line of its input, the name of a task, it
 * does the task and says in JSON what came of it.
 */
import { Effect, Layer, Logger, Result } from "effect"
import * as Breaker from "effect/persistence/CircuitBreaker"
import * as RateLimiter from "effect/persistence/RateLimiter"
import type * as Redis from "effect/persistence/Redis"
import { createInterface } from "node:readline"
import { CircuitBreaker, Completion, Throttle } from "../src/index.ts"
import { type Answer, answer, failure, noting, through } from "./clients.ts"
import * as R from "./redis.ts"

const request = Completion.make({ prompt: "Hello", model: "m" })

// On a busy machine the store may take long; calls must not go on without it.
const storeTimeout = "10 seconds"

const throttle = Throttle.layerStore({ requestsPerMinute: 10, maxWait: "5 seconds", storeTimeout }).pipe(
  Layer.provide(RateLimiter.layerStoreRedis())
)

/** Each call is estimated at 100 tokens, and uses 60. */
const tokens = Throttle.layerStore({
  tokensPerMinute: 1000,
  estimate: () => ({ inputTokens: 100, outputTokens: 0 }),
  maxWait: "1 second",
  storeTimeout
}).pipe(Layer.provide(RateLimiter.layerStoreRedis({ prefix: "tokens:" })))

const breaker = CircuitBreaker.layerStore({ failures: 3, storeTimeout }).pipe(Layer.provide(Breaker.layerStoreRedis()))

const works: Answer = () => Effect.succeed(answer())
const fails: Answer = () => Effect.fail(failure("Transient", "Server"))

const tasks = {
  tokens: { middleware: tokens, provider: () => Effect.succeed(answer({ inputTokens: 60 })), calls: 20 },
  throttle: { middleware: throttle, provider: works, calls: 20 },
  fail: { middleware: breaker, provider: fails, calls: 20 },
  ask: { middleware: breaker, provider: works, calls: 3 }
} as const

const run = Effect.fnUntraced(function*(task: keyof typeof tasks) {
  const { calls, middleware, provider } = tasks[task]
  const noted = noting(provider)
  const client = yield* through(middleware, noted.client)
  const results = yield* Effect.forEach(
    Array.from({ length: calls }),
    () => Effect.result(client.completion(request)),
    { concurrency: middleware === breaker ? 1 : "unbounded" }
  )
  const refused = results.flatMap((result) =>
    Result.isFailure(result) ? [result.failure.code ?? result.failure.reason] : []
  )
  return JSON.stringify({ sent: noted.calls.length, refused })
}, Effect.scoped)

const isTask = (line: string): line is keyof typeof tasks => line in tasks

await Effect.runPromise(
  Effect.gen(function*() {
    const redis = yield* Effect.context<Redis.Redis>()
    yield* Effect.promise(async () => {
      process.stdout.write("ready\n")
      for await (const line of createInterface(process.stdin)) {
        if (isTask(line)) process.stdout.write(`${await Effect.runPromiseWith(redis)(run(line))}\n`)
      }
    })
  }).pipe(Effect.provide([R.client({ port: Number(process.argv[2]) }), Logger.layer([])]))
)

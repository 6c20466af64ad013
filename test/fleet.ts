/**
 * A process of a fleet that shares a Redis: `node fleet.ts <port> <task>`. It says "ready", begins with the first input,
 * and then says in JSON what came of it.
 */
import { Effect, Layer, Result } from "effect"
import * as Breaker from "effect/persistence/CircuitBreaker"
import * as RateLimiter from "effect/persistence/RateLimiter"
import { once } from "node:events"
import { CircuitBreaker, Completion, LLMError, Throttle } from "../src/index.ts"
import { type Answer, answer, failure, noting, through } from "./clients.ts"
import * as R from "./redis.ts"

const request = Completion.make({ prompt: "Hello", model: "m" })

// On a busy machine the store may take long; calls must not go on without it.
const storeTimeout = "10 seconds"

const throttle = Throttle.layerStore({ requestsPerMinute: 10, maxWait: "5 seconds", storeTimeout }).pipe(
  Layer.provide(RateLimiter.layerStoreRedis())
)

const breaker = CircuitBreaker.layerStore({ failures: 3, storeTimeout }).pipe(Layer.provide(Breaker.layerStoreRedis()))

const works: Answer = () => Effect.succeed(answer())
const fails: Answer = () => Effect.fail(failure("Transient", "Server"))

const tasks = {
  throttle: { middleware: throttle, provider: works, calls: 20 },
  fail: { middleware: breaker, provider: fails, calls: 20 },
  ask: { middleware: breaker, provider: works, calls: 3 }
} as const

const [, , port, name] = process.argv
const { calls, middleware, provider } = tasks[name as keyof typeof tasks]
const noted = noting(provider)

const program = Effect.gen(function*() {
  const client = yield* through(middleware, noted.client)
  yield* Effect.promise(async () => {
    process.stdout.write("ready\n")
    await once(process.stdin, "data")
  })
  const results = yield* Effect.forEach(
    Array.from({ length: calls }),
    () => Effect.result(client.completion(request)),
    { concurrency: middleware === breaker ? 1 : "unbounded" }
  )
  const refused = results.flatMap((result) =>
    Result.isFailure(result) && LLMError.isLLMError(result.failure)
      ? [result.failure.code ?? result.failure.reason]
      : []
  )
  process.stdout.write(JSON.stringify({ sent: noted.calls.length, refused }))
}).pipe(Effect.scoped, Effect.provide(R.client({ port: Number(port) })))

await Effect.runPromise(program)
process.exit(0)

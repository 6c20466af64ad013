/** What layers made by `LLMClient.middleware` and `LLMClient.compose` fail with and require. */
import type { ConfigError } from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { HttpClient } from "effect/http/HttpClient"
import type * as Layer from "effect/Layer"
import { Anthropic, LLMClient, Retry } from "../../src/index.ts"

type Client = LLMClient.LLMClient

type Same<A, B> = [A] extends [B] ? [B] extends [A] ? true : false : false

class Database extends Context.Service<Database, string>()("test/Database") {}

const plain = LLMClient.middleware((client) => ({ completion: (completion) => client.completion(completion) }))
export const plainFails: Same<Layer.Error<typeof plain>, never> = true
export const plainNeeds: Same<Layer.Services<typeof plain>, Client> = true

const effectful = LLMClient.middleware((client) =>
  Effect.gen(function*() {
    const database = yield* Database
    yield* Effect.acquireRelease(Effect.void, () => Effect.void)
    if (database === "") return yield* Effect.fail("broken" as const)
    // What it is called with is inferred within an effect as well.
    return { completion: (completion) => client.completion(completion) } satisfies Partial<LLMClient.Service>
  })
)
export const effectfulFails: Same<Layer.Error<typeof effectful>, "broken"> = true
export const effectfulNeeds: Same<Layer.Services<typeof effectful>, Client | Database> = true
export const effectfulGives: Same<Layer.Success<typeof effectful>, Client> = true

const reading = LLMClient.middleware(() => Effect.map(LLMClient.LLMClient, (client) => ({ stream: client.stream })))
export const readingNeeds: Same<Layer.Services<typeof reading>, Client> = true

const composed = LLMClient.compose(Retry.layer(), effectful, plain)
export const composedFails: Same<Layer.Error<typeof composed>, "broken"> = true
export const composedNeeds: Same<Layer.Services<typeof composed>, Client | Database> = true

const whole = LLMClient.compose(effectful, Anthropic.layerConfig())
export const wholeFails: Same<Layer.Error<typeof whole>, ConfigError | "broken"> = true
export const wholeNeeds: Same<Layer.Services<typeof whole>, HttpClient | Database> = true

// @ts-expect-error: nothing to compose
export const nothing = LLMClient.compose()

// @ts-expect-error: a member of another type
export const wrong = LLMClient.middleware(() => ({ provider: 1 }))

/**
 * Gives the answer of an earlier equal request again, without asking the provider, and asks once where many ask the
 * same at the same time. For requests that are repeated as they are: classification, extraction, evaluations, tests.
 *
 * ```ts
 * import { Layer } from "effect"
 * import { Anthropic, ResponseCache } from "effect-llm"
 *
 * const Claude = ResponseCache.layer({ timeToLive: "10 minutes" }).pipe(Layer.provide(Anthropic.layerConfig()))
 * ```
 *
 * - Requests are equal when their JSON is, whatever the order of its keys; headers that hold credentials do not count,
 *   so give each tenant a layer, or a `scope`, of its own. Of a request only a digest is kept (SHA-256 of Web Crypto,
 *   which browsers have on secure pages). A request that is no JSON goes on to the client, which refuses it.
 * - What shall vary, such as many samples of one prompt, is not for a cache.
 * - Only answers are kept, never failures. A cached answer says `cached: true` and has no usage of its own: no tokens,
 *   cost, attempts or rate limits. What it had cost was reported to whoever asked first.
 * - `completion` and `stream` share their answers. A stream that finds nothing runs live, and fills the cache with its
 *   end; a stream from the cache brings every content of the answer in one part.
 * - Of equal calls at the same time one goes to the provider, and the others wait for its answer, and meet its failure.
 *   When its caller leaves, the call goes on as long as anyone waits for it, and is interrupted after the last. A stream
 *   lives from its reader: those who wait for it wait while it is not read on, and when its reader leaves, or a failure
 *   breaks it after its first part, one of them makes the call anew.
 *
 * `layerPersisted` keeps the answers in Redis, files or a database, where they outlive the process.
 */
import * as Cache from "effect/Cache"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Digest from "effect/crypto/Digest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Persistable from "effect/persistence/Persistable"
import * as Persistence from "effect/persistence/Persistence"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { Completion } from "./Completion.ts"
import * as CompletionPart from "./CompletionPart.ts"
import * as CompletionResponse from "./CompletionResponse.ts"
import * as Options from "./internal/options.ts"
import { LLMClient, type Service } from "./LLMClient.ts"
import type { LLMError } from "./LLMError.ts"
import * as TokenUsage from "./TokenUsage.ts"

/** What caches of every kind take. */
interface Common {
  /** How long an answer is given again; 1 hour unless set. */
  readonly timeToLive?: Duration.Input
  /**
   * Which answers are kept. Unless set, all but those that a filter cut (`ContentFilter`) or that ended for a reason of
   * the provider's own (`Other`): an answer cut at its `maxTokens` would be cut again.
   */
  readonly cacheable?: (response: CompletionResponse.CompletionResponse) => boolean
}

export interface MemoryOptions extends Common {
  /** How many answers are kept in memory; the least recently used go first. 1,024 unless set. */
  readonly capacity?: number
}

export interface PersistedOptions extends Common {
  /**
   * Who shares answers: those with the same scope in the same store, and no others. Give one for each tenant. Put into
   * it what decides about answers but stands in no request: the provider layer's default model, or its base URL.
   */
  readonly scope?: string
}

/** Where answers are kept: never fails. */
interface Store {
  readonly get: (key: string) => Effect.Effect<Option.Option<CompletionResponse.CompletionResponse>>
  readonly set: (key: string, response: CompletionResponse.CompletionResponse) => Effect.Effect<void>
}

const isCacheable = ({ finishReason: { _tag } }: CompletionResponse.CompletionResponse): boolean =>
  _tag !== "ContentFilter" && _tag !== "Other"

/** The answer as it is kept: without what was said of the call alone. */
const kept = (response: CompletionResponse.CompletionResponse): CompletionResponse.CompletionResponse => {
  const { attempts: _attempts, rateLimits: _rateLimits, ...rest } = response
  return CompletionResponse.make(rest)
}

/** The answer for those who did not pay for it. */
const replayed = (response: CompletionResponse.CompletionResponse): CompletionResponse.CompletionResponse => {
  const { cost: _cost, ...rest } = kept(response)
  return CompletionResponse.make({ ...rest, usage: TokenUsage.zero, cached: true })
}

// Entries of another form have other keys, and are never found.
const version = 1

const credentials = new Set([
  "api-key",
  "authorization",
  "cookie",
  "proxy-authorization",
  "x-api-key",
  "x-goog-api-key"
])

const withoutCredentials = (headers: Completion["headers"]) =>
  headers && Object.fromEntries(Object.entries(headers).filter(([name]) => !credentials.has(name.toLowerCase())))

const sorted = (_: string, value: unknown): unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1))
    : value

/** The same JSON for equal requests; absent when the request is none, as with a cycle in it. */
const canonical = (provider: string, scope: string | undefined, completion: Completion): Option.Option<string> =>
  Result.getSuccess(
    Result.try(() =>
      JSON.stringify({
        version,
        provider,
        scope,
        completion: { ...completion, headers: withoutCredentials(completion.headers) }
      }, sorted)
    )
  )

/** What the one call does that is made for all equal ones: none, when it was given up before its answer. */
class Call extends Context.Service<
  Call,
  Effect.Effect<Option.Option<CompletionResponse.CompletionResponse>, LLMError>
>()("effect-llm/ResponseCache/Call") {}

const encoder = new TextEncoder()

const decorate = Effect.fnUntraced(function*(client: Service, store: Store, options: PersistedOptions) {
  const { cacheable = isCacheable, scope } = options
  const { digestHex } = yield* Effect.provide(Digest.Digest, Digest.layerWebCrypto)
  // What goes on at this moment, and no longer: of how many there are, none may be forgotten.
  const flights = yield* Cache.makeWith((_key: string) => Call.use((call) => call), {
    capacity: Infinity,
    timeToLive: () => Duration.zero,
    requireServicesAt: "lookup"
  })

  const keyOf = (completion: Completion): Effect.Effect<Option.Option<string>> =>
    Option.match(canonical(client.provider, scope, completion), {
      onNone: () => Effect.succeedNone,
      onSome: (json) => Effect.asSome(digestHex(Digest.sha256, encoder.encode(json)))
    })

  /** The answer from the store, of the call that is under way, or of this one: then it is told as it came. */
  const fly = (
    key: string,
    call: Call["Service"]
  ): Effect.Effect<Option.Option<CompletionResponse.CompletionResponse>, LLMError> =>
    Effect.suspend(() => {
      let own = false
      const flight = Effect.gen(function*() {
        const stored = yield* store.get(key)
        if (Option.isSome(stored)) return stored
        own = true
        const answer = yield* call
        if (Option.isSome(answer) && cacheable(answer.value)) yield* store.set(key, kept(answer.value))
        return answer
      })
      return Cache.get(flights, key).pipe(
        Effect.provideService(Call, flight),
        Effect.repeat({ until: (answer) => own || Option.isSome(answer) }),
        Effect.map((answer) => own ? answer : Option.map(answer, replayed))
      )
    })

  const completion: Service["completion"] = Effect.fnUntraced(function*(completion) {
    const key = yield* keyOf(completion)
    if (Option.isNone(key)) return yield* client.completion(completion)
    const answer = yield* fly(key.value, Effect.asSome(client.completion(completion)))
    return Option.getOrThrow(answer)
  })

  const stream: Service["stream"] = (completion) =>
    Stream.unwrap(Effect.gen(function*() {
      const key = yield* keyOf(completion)
      if (Option.isNone(key)) return client.stream(completion)
      const leads = yield* Deferred.make<void>()
      const answer = yield* Effect.acquireRelease(
        Deferred.make<Option.Option<CompletionResponse.CompletionResponse>, LLMError>(),
        // Whoever waits for a stream that its reader left makes the call anew.
        (answer) => Deferred.succeed(answer, Option.none())
      )
      const flight = yield* Effect.forkScoped(
        fly(key.value, Effect.andThen(Deferred.succeed(leads, undefined), Deferred.await(answer)))
      )
      const found = yield* Effect.raceFirst(Effect.as(Deferred.await(leads), Option.none()), Fiber.join(flight))
      if (Option.isSome(found)) return Stream.fromIterable(CompletionPart.fromResponse(found.value))
      let started = false
      return client.stream(completion).pipe(
        Stream.mapArrayEffect((parts) => {
          started = true
          const last = parts[parts.length - 1]!
          return last._tag === "Finish"
            // The end is told when it is kept, so that an equal request after it finds it.
            ? Deferred.succeed(answer, Option.some(last.response)).pipe(
              Effect.andThen(Fiber.await(flight)),
              Effect.as(parts)
            )
            : Effect.succeed(parts)
        }),
        // Before its first part a stream fails as a completion does, so for all.
        Stream.tapError((error) => started ? Effect.void : Deferred.fail(answer, error))
      )
    }))

  return { ...client, completion, stream }
})

const check = (options: MemoryOptions & PersistedOptions): void => {
  Options.duration("ResponseCache", "timeToLive", options.timeToLive)
  Options.wholeNumber("ResponseCache", "capacity", options.capacity)
  if (options.scope === "") Options.refuse("ResponseCache", "scope", "a text that is not empty")
}

const memory = ({ capacity = 1024, timeToLive = "1 hour" }: MemoryOptions): Effect.Effect<Store> =>
  Effect.map(
    Cache.make<string, CompletionResponse.CompletionResponse>({
      capacity,
      timeToLive,
      lookup: () => Effect.die("looked up only where it is set")
    }),
    (cache) => ({
      get: (key) => Cache.getSuccess(cache, key),
      set: (key, response) => Cache.set(cache, key, response)
    })
  )

/** Keeps answers in the memory of this process, for this client alone. */
export const layer = (options: MemoryOptions = {}): Layer.Layer<LLMClient, never, LLMClient> =>
  Layer.fresh(Layer.effect(
    LLMClient,
    Effect.gen(function*() {
      check(options)
      return yield* decorate(yield* LLMClient, yield* memory(options), options)
    })
  ))

class Entry extends Persistable.Class<{ readonly payload: { readonly key: string } }>()("effect-llm/ResponseCache", {
  primaryKey: ({ key }) => key,
  success: CompletionResponse.CompletionResponse
}) {}

// A store that does not answer in this time is one that fails: the provider is slow enough.
const patience = Duration.seconds(1)

/** A store that fails is one that has nothing. What stood in it is of no concern to a log. */
const orNothing = <A, E>(what: string, self: Effect.Effect<Option.Option<A>, E>): Effect.Effect<Option.Option<A>> =>
  self.pipe(
    Effect.timeout(patience),
    Effect.catchCause((cause) => {
      const error = Cause.squash(cause)
      return Effect.logWarning(`response cache: ${what}`).pipe(
        Effect.annotateLogs(
          "error",
          error instanceof Persistence.PersistenceError || Cause.isTimeoutError(error) ? error.message : "unreadable"
        ),
        Effect.as(Option.none())
      )
    })
  )

const persisted = Effect.fnUntraced(function*({ timeToLive = "1 hour" }: PersistedOptions) {
  const persistence = yield* Persistence.Persistence
  const store = yield* persistence.make({ storeId: "effect_llm_responses", timeToLive: () => timeToLive })
  return {
    get: (key) =>
      orNothing(
        "an entry could not be read",
        Effect.map(
          store.get(new Entry({ key })),
          (exit) => exit === undefined ? Option.none() : Exit.getSuccess(exit)
        )
      ),
    set: (key, response) =>
      orNothing("an answer could not be kept", Effect.asSome(store.set(new Entry({ key }), Exit.succeed(response))))
  } satisfies Store
})

/**
 * Keeps answers in the `Persistence` of the context, for all clients with the same `scope` that share it: Redis
 * (`Persistence.layerRedis`), files (`Persistence.layerKvs` over `KeyValueStore.layerFileSystem`) or a database
 * (`Persistence.layerSql`). Nothing is kept in memory besides.
 *
 * An entry that cannot be read is a miss. So is everything while the store fails, or takes more than a second for one
 * operation: that is logged as a warning, and no call fails for it. Answers are stored as they are: whoever reads the
 * store reads them.
 *
 * Calls that are equal at the same time are made once in each process.
 */
export const layerPersisted = (
  options: PersistedOptions = {}
): Layer.Layer<LLMClient, never, LLMClient | Persistence.Persistence> =>
  Layer.fresh(Layer.effect(
    LLMClient,
    Effect.gen(function*() {
      check(options)
      return yield* decorate(yield* LLMClient, yield* persisted(options), options)
    })
  ))

/**
 * Returns the answer to an earlier equal request without calling the provider, and sends concurrent equal requests once.
 * For requests that are repeated exactly: classification, extraction, evaluations, tests.
 *
 * ```ts
 * import { Anthropic, LLMClient, ResponseCache } from "effect-llm"
 *
 * const Claude = LLMClient.compose(ResponseCache.layer({ timeToLive: "10 minutes" }), Anthropic.layerConfig())
 * ```
 *
 * - Requests are equal when their JSON is, whatever the order of its keys; a request without a model is equal to one
 *   with the layer's default. Headers count. Give each tenant its own layer or `scope`, if their requests may be equal.
 * - Only answers are kept, never failures. A cached answer says `cached: true` and has no usage: no tokens,
 *   cost, attempts or rate limits. Every caller gets a copy. `completion` and `stream` share the answers.
 * - Of concurrent equal calls one is sent to the provider, and the others wait for its answer or its failure.
 *   Completions join completions, and streams join streams: a completion never waits for the reader of a stream.
 * - When its caller leaves, a completion goes on as long as anyone waits for it, and its usage goes to the first waiting
 *   caller. A stream depends on its reader: when the reader leaves or stops reading for 30 seconds, or the stream fails
 *   after its first part, one of the waiting callers sends the request again.
 *
 * `layerPersisted` keeps the answers in Redis, files or a database, where they outlive the process.
 */

import * as Cache from "effect/Cache"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Digest from "effect/crypto/Digest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Persistable from "effect/persistence/Persistable"
import * as Persistence from "effect/persistence/Persistence"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as Completion from "./Completion.ts"
import * as CompletionPart from "./CompletionPart.ts"
import * as CompletionResponse from "./CompletionResponse.ts"
import { Embedding, type LLMClient, middleware, type Service } from "./LLMClient.ts"
import { type LLMError, make as makeError } from "./LLMError.ts"
import * as Options from "./middleware/options.ts"
import * as Steady from "./middleware/steady.ts"
import * as RemoteStore from "./middleware/store.ts"
import * as TokenUsage from "./TokenUsage.ts"

/** The options of every cache. */
interface Common {
  /** How long an answer is kept; 1 hour unless given. */
  readonly timeToLive?: Duration.Input
  /**
   * Which answers are kept. By default all but those with the finish reason `ContentFilter` or `Other`: an answer cut at
   * its `maxTokens` would be cut again.
   */
  readonly cacheable?: (response: CompletionResponse.CompletionResponse) => boolean
  /**
   * Only layers with the same scope in the same store share answers. Give one for each tenant. Include everything that
   * affects answers but is not in the request, for example the base URL: two servers with OpenAI's protocol may both be
   * `"openai"`, and two fallbacks are both `"fallback"`.
   */
  readonly scope?: string
}

export interface MemoryOptions extends Common {
  /** How many answers are kept in memory; the least recently used are removed first. 1,024 unless given. */
  readonly capacity?: number
}

export interface PersistedOptions extends Common {}

/** A store of answers that never fails. */
interface Store {
  readonly get: (key: string) => Effect.Effect<Option.Option<CompletionResponse.CompletionResponse>>
  readonly set: (key: string, response: CompletionResponse.CompletionResponse) => Effect.Effect<void>
}

const isCacheable = ({ finishReason: { _tag } }: CompletionResponse.CompletionResponse): boolean =>
  _tag !== "ContentFilter" && _tag !== "Other"

/** A copy of the answer for the store, without what belongs to the call alone. */
const kept = (response: CompletionResponse.CompletionResponse): CompletionResponse.CompletionResponse => {
  const { attempts: _attempts, rateLimits: _rateLimits, ...rest } = response
  return CompletionResponse.make(structuredClone(rest))
}

/** The answer for callers who did not pay for it. */
const replayed = (response: CompletionResponse.CompletionResponse): CompletionResponse.CompletionResponse => {
  const { cost: _cost, ...rest } = kept(response)
  return CompletionResponse.make({ ...rest, usage: TokenUsage.zero, cached: true })
}

/** The failure for callers who did not pay for it. */
const shared = (error: LLMError): LLMError => {
  const { provider } = error
  const nothing = { choice: [], finishReason: { _tag: "None" }, usage: TokenUsage.zero, provider } as const
  const partial = replayed(error.partial ?? CompletionResponse.make(nothing))
  return makeError(error._tag, { ...error, attempts: undefined, partial })
}

// Entries in another format have other keys, and are never found.
const version = 1

// After this time a reader has probably gone.
const longestPause = 30_000

const sorted = (_: string, value: unknown): unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1))
    : value

/** The same JSON for equal requests; undefined for a request that cannot be written as JSON. */
const canonical = (
  { model, provider }: Service,
  scope: string | undefined,
  completion: Completion.Completion
): Option.Option<string> =>
  Result.getSuccess(
    Result.try(() =>
      JSON.stringify({
        version,
        provider,
        scope,
        completion: Completion.model(completion.model ?? model)(completion)
      }, sorted)
    )
  )

/** The one call that is sent for all equal ones. */
interface Flight {
  readonly streamed: boolean
  /** Since when its stream is not read, in epoch milliseconds; undefined while it waits for the provider. */
  idleSince: number | undefined
  /** Whether the caller who sent it has left. */
  left: boolean
  /** Whether some caller gets its cost. */
  costReported: boolean
}

const makeFlight = (streamed: boolean): Flight => ({ streamed, idleSince: undefined, left: false, costReported: false })

/** The end of a call; without a result if it was abandoned. */
interface Landed {
  readonly flight: Flight
  readonly result: Result.Result<Option.Option<CompletionResponse.CompletionResponse>, LLMError>
  /** The answer for the other callers: the owner may modify its own at once. */
  readonly copy: Option.Option<CompletionResponse.CompletionResponse>
}

/** Sends the one call. */
class Call extends Context.Service<Call, Effect.Effect<Landed>>()("effect-llm/ResponseCache/Call") {}

const encoder = new TextEncoder()

const decorate = Effect.fnUntraced(function*(client: Service, store: Store, options: Common) {
  const { cacheable = isCacheable, scope } = options
  // If the clock is set back, an idle reader must not seem active again.
  const currentTime = Steady.make()(Clock.currentTimeMillis)
  const { digestHex } = yield* Effect.provide(Digest.Digest, Digest.layerWebCrypto)
  // The calls in flight. Unbounded, because none of them may be dropped.
  const landings = yield* Cache.makeWith((_key: string) => Call.use((call) => call), {
    capacity: Infinity,
    timeToLive: () => Duration.zero,
    requireServicesAt: "lookup"
  })
  const flights = new Map<string, Flight>()

  const keyOf = (completion: Completion.Completion): Effect.Effect<Option.Option<string>> =>
    Option.match(canonical(client, scope, completion), {
      onNone: () => Effect.succeedNone,
      onSome: (json) => Effect.asSome(digestHex(Digest.sha256, encoder.encode(json)))
    })

  /** Waits until the stream of a flight is idle, and removes it. */
  const stalled = Effect.fnUntraced(function*(lane: string, flight: Flight) {
    while (true) {
      const now = yield* currentTime
      const left = (flight.idleSince ?? now) + longestPause - now
      if (left <= 0) break
      yield* Effect.sleep(left)
    }
    if (flights.get(lane) !== flight) return
    flights.delete(lane)
    yield* Cache.invalidate(landings, lane)
  })

  /** The answer from the store, of the call in flight, or of this call, which is returned unchanged. */
  const fly = Effect.fnUntraced(function*(
    key: string,
    flight: Flight,
    call: Effect.Effect<Option.Option<CompletionResponse.CompletionResponse>, LLMError>
  ) {
    // Completions and streams do not join each other: a completion would wait for the reader of a stream.
    const lane = `${flight.streamed ? "stream" : "completion"} ${key}`
    let own = false
    const make = Effect.gen(function*() {
      flights.set(lane, flight)
      const stored = yield* store.get(key)
      flight.costReported = Option.isSome(stored)
      if (flight.costReported) return { flight, result: Result.succeed(stored), copy: stored }
      own = true
      const result = yield* Effect.result(call)
      const answer = Option.flatten(Result.getSuccess(result))
      const copy = Option.map(answer, kept)
      if (Option.isSome(copy) && Option.exists(answer, cacheable)) yield* store.set(key, copy.value)
      return { flight, result, copy }
    }).pipe(Effect.ensuring(Effect.sync(() => {
      if (flights.get(lane) === flight) flights.delete(lane)
    })))
    const landing = Effect.suspend(() => {
      const followed = flights.get(lane)
      const landing = Effect.provideService(Cache.get(landings, lane), Call, make)
      if (followed?.streamed !== true) return landing
      const given = Effect.suspend(() => own ? Effect.never : Effect.undefined)
      return Effect.raceFirst(landing, Effect.andThen(stalled(lane, followed), given))
    })
    while (true) {
      const landed = yield* Effect.onInterrupt(landing, () => Effect.sync(() => (flight.left = true)))
      if (landed === undefined) continue
      const mine = !landed.flight.costReported && (own || landed.flight.left)
      if (mine) landed.flight.costReported = true
      if (Result.isFailure(landed.result)) return yield* mine ? landed.result.failure : shared(landed.result.failure)
      const answer = landed.result.success
      if (own || Option.isSome(answer)) return mine ? answer : Option.map(landed.copy, replayed)
    }
  })

  const completion: Service["completion"] = Effect.fnUntraced(function*(completion) {
    // Vectors are not part of the answer, so embeddings are not cached.
    if ((yield* Embedding) !== undefined) return yield* client.completion(completion)
    const key = yield* keyOf(completion)
    if (Option.isNone(key)) return yield* client.completion(completion)
    const call = Effect.suspend(() => Effect.asSome(client.completion(completion)))
    return Option.getOrThrow(yield* fly(key.value, makeFlight(false), call))
  })

  const stream: Service["stream"] = (completion) =>
    Stream.unwrap(Effect.gen(function*() {
      const key = yield* keyOf(completion)
      if (Option.isNone(key)) return client.stream(completion)
      const own = makeFlight(true)
      const leads = yield* Deferred.make<void>()
      const answer = yield* Effect.acquireRelease(
        Deferred.make<Option.Option<CompletionResponse.CompletionResponse>, LLMError>(),
        // A caller that waits for an abandoned stream sends the request again.
        (answer) => Deferred.succeed(answer, Option.none())
      )
      const flight = yield* Effect.forkScoped(
        fly(key.value, own, Effect.andThen(Deferred.succeed(leads, undefined), Deferred.await(answer)))
      )
      const found = yield* Effect.raceFirst(Effect.as(Deferred.await(leads), Option.none()), Fiber.join(flight))
      if (Option.isSome(found)) return Stream.fromIterable(CompletionPart.fromResponse(found.value))
      let started = false
      own.idleSince = yield* currentTime
      const live = Stream.transformPull(client.stream(completion), (pull) =>
        Effect.succeed(Effect.gen(function*() {
          own.idleSince = undefined
          const parts = yield* pull
          started = true
          const last = parts[parts.length - 1]!
          if (last._tag === "Finish") {
            // The end is emitted after the answer is stored, so that an equal request after it finds it.
            yield* Deferred.succeed(answer, Option.some(last.response))
            yield* Fiber.await(flight)
          }
          own.idleSince = yield* currentTime
          return parts
        })))
      return Stream.tapError(live, (error) => {
        if (started) return Effect.void
        // Before its first part, a stream fails for all waiting callers, like a completion.
        own.costReported = true
        return Deferred.fail(answer, error)
      })
    }))

  return { completion, stream }
})

const common = ["timeToLive", "cacheable", "scope"]

const check = (options: MemoryOptions & PersistedOptions, names: ReadonlyArray<string>): void => {
  Options.known("ResponseCache", options, names)
  const { cacheable, capacity, scope, timeToLive } = options
  Options.duration("ResponseCache", "timeToLive", timeToLive)
  Options.wholeNumber("ResponseCache", "capacity", capacity)
  Options.callable("ResponseCache", "cacheable", cacheable)
  if (scope !== undefined && (typeof scope !== "string" || scope === "")) {
    Options.refuse("ResponseCache", "scope", "a text that is not empty")
  }
}

const memory = ({ capacity = 1024, timeToLive = "1 hour" }: MemoryOptions): Effect.Effect<Store> =>
  Effect.map(
    Cache.make<string, CompletionResponse.CompletionResponse>({
      capacity,
      timeToLive,
      lookup: () => Effect.die("looked up before it is set")
    }),
    (cache) => ({
      get: (key) => Cache.getSuccess(cache, key),
      set: (key, response) => Cache.set(cache, key, response)
    })
  )

/** Keeps answers in the memory of this process, for this client alone. */
export const layer = (options: MemoryOptions = {}): Layer.Layer<LLMClient, never, LLMClient> =>
  middleware((client) => {
    check(options, [...common, "capacity"])
    return Effect.flatMap(memory(options), (store) => decorate(client, store, options))
  })

class Entry extends Persistable.Class<{ readonly payload: { readonly key: string } }>()("effect-llm/ResponseCache", {
  primaryKey: ({ key }) => key,
  success: CompletionResponse.CompletionResponse
}) {}

// An entry that is not JSON cannot be read, but the store is reachable.
const isGone = (error: unknown): boolean =>
  error instanceof Persistence.PersistenceError && !(error.cause instanceof SyntaxError)

/** A failing store counts as empty. Its entries are not logged. */
const orNothing = <A, E>(what: string, self: Effect.Effect<Option.Option<A>, E>): Effect.Effect<Option.Option<A>> =>
  Effect.catchCause(self, (cause) =>
    isGone(Cause.squash(cause))
      ? Effect.succeedNone
      : Effect.as(Effect.logWarning(`response cache: ${what}`), Option.none()))

const persisted = Effect.fnUntraced(function*({ timeToLive = "1 hour" }: PersistedOptions) {
  const persistence = yield* Persistence.Persistence
  const store = yield* persistence.make({ storeId: "effect_llm_responses", timeToLive: () => timeToLive })
  const ask = yield* RemoteStore.make({
    name: "the answer store",
    meanwhile: "calls go on without it",
    gone: (why) => new Persistence.PersistenceError({ message: why }),
    isGone
  })
  return {
    get: (key) =>
      orNothing(
        "an entry could not be read",
        Effect.map(
          ask(store.get(new Entry({ key }))),
          (exit) => exit === undefined ? Option.none() : Exit.getSuccess(exit)
        )
      ),
    set: (key, response) =>
      orNothing(
        "an answer could not be kept",
        Effect.asSome(ask(store.set(new Entry({ key }), Exit.succeed(response))))
      )
  } satisfies Store
})

/**
 * Keeps answers in the `Persistence` of the context, for all clients with the same `scope` that share it: Redis
 * (`Persistence.layerRedis`), files (`Persistence.layerKvs` over `KeyValueStore.layerFileSystem`) or a database
 * (`Persistence.layerSql`). Nothing is kept in memory.
 *
 * An entry that cannot be read is a miss. While the store fails, or takes more than a second for an operation, calls go
 * on without it. That is logged once, as is its return. It is tried again after a second, and then after up to 30
 * seconds. No call fails because of it. Answers are stored unencrypted: everyone with access to the store can read them.
 *
 * Concurrent equal calls are sent once by each process.
 */
export const layerPersisted = (
  options: PersistedOptions = {}
): Layer.Layer<LLMClient, never, LLMClient | Persistence.Persistence> =>
  middleware((client) => {
    check(options, common)
    return Effect.flatMap(persisted(options), (store) => decorate(client, store, options))
  })

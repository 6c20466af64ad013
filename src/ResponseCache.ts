/**
 * Gives the answer of an earlier equal request again, without asking the provider, and asks once where many ask the
 * same at the same time. For requests that are repeated as they are: classification, extraction, evaluations, tests.
 *
 * ```ts
 * import { Anthropic, LLMClient, ResponseCache } from "effect-llm"
 *
 * const Claude = LLMClient.compose(ResponseCache.layer({ timeToLive: "10 minutes" }), Anthropic.layerConfig())
 * ```
 *
 * - Requests are equal when their JSON is, whatever the order of its keys; a request without a model is equal to one
 *   that names the layer's. Headers count. Tenants whose requests look the same need a layer, or a `scope`, each.
 * - Only answers are kept, never failures. A cached answer says `cached: true` and has no usage of its own: no tokens,
 *   cost, attempts or rate limits. Everyone gets a copy. `completion` and `stream` share what is kept.
 * - Of equal calls at the same time one goes to the provider, and the others wait for its answer or meet its failure.
 *   Completions join completions, and streams join streams: a completion never waits for the reader of a stream.
 * - When its caller leaves, a completion goes on as long as anyone waits for it; the first who waits then gets the
 *   answer as its own. A stream lives from its reader: when its reader leaves or has not read on for 30 seconds, or a
 *   failure breaks it after its first part, one of those who wait makes the call anew.
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

/** What caches of every kind take. */
interface Common {
  /** How long an answer is given again; 1 hour unless set. */
  readonly timeToLive?: Duration.Input
  /**
   * Which answers are kept. Unless set, all but those that a filter cut (`ContentFilter`) or that ended for a reason of
   * the provider's own (`Other`): an answer cut at its `maxTokens` would be cut again.
   */
  readonly cacheable?: (response: CompletionResponse.CompletionResponse) => boolean
  /**
   * Who shares answers: those with the same scope in the same store, and no others. Give one for each tenant. Put into
   * it what decides about answers but stands in no request, such as the base URL: two servers that speak OpenAI's
   * protocol are both `"openai"`, and two fallbacks both `"fallback"`.
   */
  readonly scope?: string
}

export interface MemoryOptions extends Common {
  /** How many answers are kept in memory; the least recently used go first. 1,024 unless set. */
  readonly capacity?: number
}

export interface PersistedOptions extends Common {}

/** Where answers are kept: never fails. */
interface Store {
  readonly get: (key: string) => Effect.Effect<Option.Option<CompletionResponse.CompletionResponse>>
  readonly set: (key: string, response: CompletionResponse.CompletionResponse) => Effect.Effect<void>
}

const isCacheable = ({ finishReason: { _tag } }: CompletionResponse.CompletionResponse): boolean =>
  _tag !== "ContentFilter" && _tag !== "Other"

/** A copy of the answer as it is kept: without what was said of the call alone. */
const kept = (response: CompletionResponse.CompletionResponse): CompletionResponse.CompletionResponse => {
  const { attempts: _attempts, rateLimits: _rateLimits, ...rest } = response
  return CompletionResponse.make(structuredClone(rest))
}

/** The answer for those who did not pay for it. */
const replayed = (response: CompletionResponse.CompletionResponse): CompletionResponse.CompletionResponse => {
  const { cost: _cost, ...rest } = kept(response)
  return CompletionResponse.make({ ...rest, usage: TokenUsage.zero, cached: true })
}

/** The failure for those who did not pay for it. */
const shared = (error: LLMError): LLMError => {
  const { provider } = error
  const nothing = { choice: [], finishReason: { _tag: "None" }, usage: TokenUsage.zero, provider } as const
  const partial = replayed(error.partial ?? CompletionResponse.make(nothing))
  return makeError(error._tag, { ...error, attempts: undefined, partial })
}

// Entries of another form have other keys, and are never found.
const version = 1

// After so long a reader has probably gone.
const longestPause = 30_000

const sorted = (_: string, value: unknown): unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1))
    : value

/** The same JSON for equal requests; absent where a request cannot be written as JSON, such as one with a cycle in it. */
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

/** The one call that is made for all equal ones. */
interface Flight {
  readonly streamed: boolean
  /** Since when its stream is not read on, in epoch milliseconds; unknown while the provider is waited for. */
  idleSince: number | undefined
  /** Whether the caller who makes it has left. */
  left: boolean
  /** Whether someone was told, or is about to be, what it cost. */
  costReported: boolean
}

const makeFlight = (streamed: boolean): Flight => ({ streamed, idleSince: undefined, left: false, costReported: false })

/** How a call ended: without an answer, when it was given up. */
interface Landed {
  readonly flight: Flight
  readonly result: Result.Result<Option.Option<CompletionResponse.CompletionResponse>, LLMError>
  /** What those get for whom it was not made: whose it is may change it at once. */
  readonly copy: Option.Option<CompletionResponse.CompletionResponse>
}

/** Makes the one call. */
class Call extends Context.Service<Call, Effect.Effect<Landed>>()("effect-llm/ResponseCache/Call") {}

const encoder = new TextEncoder()

const decorate = Effect.fnUntraced(function*(client: Service, store: Store, options: Common) {
  const { cacheable = isCacheable, scope } = options
  // A clock that is set back must not make a reader who went look as if it came back.
  const currentTime = Steady.make()(Clock.currentTimeMillis)
  const { digestHex } = yield* Effect.provide(Digest.Digest, Digest.layerWebCrypto)
  // What goes on at this moment, and no longer: of how many there are, none may be forgotten.
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

  /** Waits until a flight is not read on any more, and takes it out of the way. */
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

  /** The answer from the store, of the call that is under way, or of this one: then it is told as it came. */
  const fly = Effect.fnUntraced(function*(
    key: string,
    flight: Flight,
    call: Effect.Effect<Option.Option<CompletionResponse.CompletionResponse>, LLMError>
  ) {
    // Whoever wants a whole answer would wait as long as a reader of a stream likes to take: each joins its own kind.
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
    // Vectors are no part of an answer that could be kept.
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
        // Whoever waits for a stream that its reader left makes the call anew.
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
            // The end is told when it is kept, so that an equal request after it finds it.
            yield* Deferred.succeed(answer, Option.some(last.response))
            yield* Fiber.await(flight)
          }
          own.idleSince = yield* currentTime
          return parts
        })))
      return Stream.tapError(live, (error) => {
        if (started) return Effect.void
        // Before its first part a stream fails as a completion does, so for all.
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
      lookup: () => Effect.die("looked up only where it is set")
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

// An entry that is not JSON cannot be read, but its store is there.
const isGone = (error: unknown): boolean =>
  error instanceof Persistence.PersistenceError && !(error.cause instanceof SyntaxError)

/** A store that fails counts as one that has nothing. What stood in it is not logged. */
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
 * (`Persistence.layerSql`). Nothing is kept in memory besides.
 *
 * An entry that cannot be read is a miss. So is everything while the store fails, or takes more than a second for one
 * operation: then calls go on without it, which is logged once, as its return is, and it is asked again after a second,
 * and after up to 30 seconds while it does not come back. No call fails for it. Answers are stored as they are: whoever
 * reads the store reads them.
 *
 * Calls that are equal at the same time are made once in each process.
 */
export const layerPersisted = (
  options: PersistedOptions = {}
): Layer.Layer<LLMClient, never, LLMClient | Persistence.Persistence> =>
  middleware((client) => {
    check(options, common)
    return Effect.flatMap(persisted(options), (store) => decorate(client, store, options))
  })

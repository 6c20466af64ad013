/**
 * Sends a failed completion again, after a wait that depends on how it failed.
 *
 * ```ts
 * import { LLMClient, Retry, Throttle } from "effect-llm"
 *
 * const careful = LLMClient.compose(
 *   Retry.layer({ RateLimit: { attempts: 5 }, deadline: "2 minutes" }),
 *   Throttle.layer({ concurrency: 8 })
 * )
 * ```
 *
 * - Each kind of failure has its own backoff, exponential, capped and jittered; a provider's own hint replaces it. All
 *   kinds share the call's count of attempts, so that mixed failures stay bounded.
 * - `ClientError` is never sent again, nor is a failure that says `retryable: false`.
 * - A stream is retried only until its first part: after it, a failure ends the stream, with the answer so far in
 *   `partial`.
 * - A wait that would pass the deadline is not started: the call fails at once with its failure. The same holds below a
 *   Fallback with another member ready, for a wait beyond its patience and for a second try after a timeout.
 */

import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import type { Completion } from "./Completion.ts"
import { Deadline as CurrentDeadline, type LLMClient, middleware, Patience, type Service } from "./LLMClient.ts"
import type { LLMError } from "./LLMError.ts"
import * as Attempts from "./middleware/attempts.ts"
import * as Deadline from "./middleware/deadline.ts"
import * as Failures from "./middleware/failures.ts"
import { isFallbackReady } from "./middleware/keys.ts"
import * as Check from "./middleware/options.ts"

const owner = "Retry policy"

/** How failures of one kind are retried. */
export interface Backoff {
  /** The wait after the first failure; it doubles with every further one. Jittered by a factor in [0.5, 1.5). */
  readonly base: Duration.Input
  /** The longest wait before jitter. */
  readonly cap: Duration.Input
  /** The number of calls, including the first; at least 1. */
  readonly attempts: number
}

/** A failure that is about to be sent again. */
export interface Retried {
  readonly error: LLMError
  /** How many times the call has failed by now: 1 before the second try. */
  readonly attempt: number
  /** The wait before the next try. */
  readonly delay: Duration.Duration
}

/** The backoff of each kind of failure, and the longest hint of a provider that is honoured. */
export interface Policy {
  readonly RateLimit: Backoff
  /** `Transient` with any reason that is not named below. */
  readonly Transient: Backoff
  /** `Transient · Overloaded`. */
  readonly Overloaded: Backoff
  /** `Transient · Timeout`. */
  readonly Timeout: Backoff
  /** `Transient · Malformed`. */
  readonly Malformed: Backoff
  readonly EmptyResponse: Backoff
  /** A failure whose hint is longer than this is not retried. */
  readonly maxRetryAfter: Duration.Input
  /**
   * The longest time for all attempts and waits together, or for a stream until its first part. A call that is still
   * running then fails as `Transient · Timeout`. A call whose next try would begin later fails at once with its own
   * failure. No limit unless given.
   */
  readonly deadline?: Duration.Input | undefined
  /** Runs before each wait, for example to count retries. */
  readonly onRetry?: ((retried: Retried) => Effect.Effect<unknown>) | undefined
}

type Kind = Exclude<keyof Policy, "maxRetryAfter" | "deadline" | "onRetry">

type Optional<T> = { readonly [K in keyof T]?: T[K] | undefined }

/** Changes to a policy, field by field: `{ Transient: { attempts: 2 } }` keeps the base and the cap. */
export type Options = Optional<Omit<Policy, Kind> & { readonly [K in Kind]: Optional<Backoff> }>

const fast: Backoff = { base: "250 millis", cap: "5 seconds", attempts: 4 }

/** The default policy. */
export const defaultPolicy: Policy = {
  RateLimit: { base: "5 seconds", cap: "60 seconds", attempts: 8 },
  Transient: fast,
  Overloaded: { base: "1 second", cap: "30 seconds", attempts: 6 },
  Timeout: { ...fast, attempts: 2 },
  Malformed: { ...fast, attempts: 2 },
  EmptyResponse: fast,
  maxRetryAfter: "60 seconds"
}

const kinds = [
  "RateLimit",
  "Transient",
  "Overloaded",
  "Timeout",
  "Malformed",
  "EmptyResponse"
] as const satisfies ReadonlyArray<Kind>

// The reasons of Transient with their own backoff.
const ownBackoff: ReadonlySet<string> = new Set(["Overloaded", "Timeout", "Malformed"] satisfies Array<Kind>)

// One input type for all parts of the schedule, because joined schedules intersect their inputs.
type Failure = Pick<LLMError, "_tag" | "retryAfter" | "retryable" | "message"> & { readonly reason: string }

const kindOf = ({ _tag, reason, retryable }: Failure): Kind | undefined => {
  if (retryable === false || _tag === "ClientError") return undefined
  return _tag === "Transient" && ownBackoff.has(reason) ? reason as Kind : _tag
}

const jittered = <O, I>(self: Schedule.Schedule<O, I>): Schedule.Schedule<O, I> =>
  Schedule.modifyDelay(
    self,
    ({ duration }) =>
      Effect.map(Random.nextBetween(0.5, 1.5), (factor) => Math.round(Duration.toMillis(duration) * factor))
  )

const backoff = ({ attempts, base, cap }: Backoff): Schedule.Schedule<Duration.Duration> =>
  Schedule.min([Schedule.exponential(base), Schedule.spaced(cap)]).pipe(
    jittered,
    Schedule.upTo({ times: attempts - 1 })
  )

// A hint is always waited for in full: its jitter only adds time.
const hinted = ({ duration, input }: { readonly duration: Duration.Duration; readonly input: Failure }) => {
  const { retryAfter } = input
  return retryAfter === undefined
    ? Effect.succeed(duration)
    : Effect.map(Random.next, (share) => Math.ceil(Duration.toMillis(retryAfter) * (1 + share / 10)))
}

const present = <T extends object>(fields: T | undefined): Partial<T> =>
  Object.fromEntries(Object.entries(fields ?? {}).filter(([, value]) => value !== undefined)) as Partial<T>

const complete = (options: Options): Policy => {
  Check.known(owner, options, [...kinds, "maxRetryAfter", "deadline", "onRetry"])
  const policy: Policy = { ...defaultPolicy, ...present(options) as Partial<Policy> }
  const backoffs = kinds.map((kind): readonly [Kind, Backoff] => {
    if (options[kind] !== undefined) Check.known(`${owner} ${kind}`, options[kind], ["base", "cap", "attempts"])
    const backoff = { ...defaultPolicy[kind], ...present(options[kind]) as Partial<Backoff> }
    Check.wholeNumber(owner, `${kind}.attempts`, backoff.attempts)
    Check.wait(owner, `${kind}.base`, backoff.base)
    Check.wait(owner, `${kind}.cap`, backoff.cap)
    return [kind, backoff]
  })
  Check.wait(owner, "maxRetryAfter", policy.maxRetryAfter)
  Check.duration(owner, "deadline", policy.deadline)
  Check.callable(owner, "onRetry", policy.onRetry)
  return { ...policy, ...Object.fromEntries(backoffs) }
}

/** The waits of a policy, as far as they depend on the failures alone. */
const waits = (policy: Policy): Schedule.Schedule<Duration.Duration, LLMError> => {
  const longest = Duration.fromInputUnsafe(policy.maxRetryAfter)
  const on = (kind: Kind): Schedule.Schedule<Duration.Duration, Failure> =>
    Schedule.while(backoff(policy[kind]), ({ input }: { readonly input: Failure }) => kindOf(input) === kind)
  const parts: Schedule.Schedule<unknown, Failure> = Schedule.min(kinds.map(on) as [ReturnType<typeof on>])
  return parts.pipe(
    Schedule.modifyDelay(hinted),
    Schedule.while(({ input: { retryAfter } }) =>
      retryAfter === undefined || Duration.isLessThanOrEqualTo(retryAfter, longest)
    ),
    // The actual wait: without this, the output would be the backoff that a hint replaced.
    Schedule.map(({ duration }) => duration)
  )
}

/** Reports every wait, once it is certain. */
type Tell = (retried: Retried) => Effect.Effect<unknown>

const telling = (policy: Policy): Tell => (retried) => {
  const { attempt, delay, error } = retried
  const kind = kindOf(error)
  return Effect.annotateLogs(Effect.logWarning("retrying completion"), {
    attempt,
    ...(kind !== undefined && { maximum: policy[kind].attempts }),
    delay: Duration.format(delay),
    error: error.message
  }).pipe(Effect.andThen(policy.onRetry?.(retried) ?? Effect.void))
}

/**
 * The retries of a policy as a schedule: its output is the wait. Every wait is logged as a warning.
 *
 * Throws for an invalid policy, for example with 0 attempts. The deadline and patience of a call do not depend on its
 * failures: `layer` and `make` handle them.
 */
export const schedule = (options: Options = {}): Schedule.Schedule<Duration.Duration, LLMError> => {
  const policy = complete(options)
  const tell = telling(policy)
  return Schedule.tap(waits(policy), ({ attempt, duration, input }) => tell({ attempt, delay: duration, error: input }))
}

// No schedule retries a failure that would only repeat itself.
const isFinal = (error: LLMError): boolean => error._tag === "ClientError" || error.retryable === false

/** One call: its failures, and how long it may wait. */
interface Call {
  readonly failures: Failures.Failures
  readonly patience: Patience | undefined
  readonly bound: Deadline.Bound
}

const begin = (within: Duration.Duration): Effect.Effect<Call> =>
  Effect.gen(function*() {
    return { failures: Failures.make(), patience: yield* Patience, bound: yield* Deadline.begin(within) }
  })

/** Whether a wait may start: then it is subtracted from the patience. */
const canWait = ({ bound: { deadline }, patience }: Call, error: LLMError, wait: number): Effect.Effect<boolean> =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    if (isFinal(error) || (deadline !== undefined && now + wait >= deadline.at)) return false
    if (isFallbackReady(patience, error) && (error.reason === "Timeout" || wait > patience.waiting)) return false
    if (patience !== undefined) patience.waiting = Math.max(0, patience.waiting - wait)
    return true
  })

interface Settings {
  readonly schedule: Schedule.Schedule<unknown, LLMError>
  readonly within: Duration.Duration
  readonly tell: Tell
}

const decorate = (client: Service, { schedule, tell, within }: Settings): Pick<Service, "completion" | "stream"> => {
  /** The schedule of a call: its waits are certain, and reported. */
  const scheduleOf = (call: Call): Schedule.Schedule<unknown, LLMError> =>
    Schedule.while(
      schedule,
      ({ attempt, duration, input }) =>
        Effect.flatMap(canWait(call, input, Duration.toMillis(duration)), (begins) =>
          begins ? Effect.as(tell({ attempt, delay: duration, error: input }), true) : Effect.succeed(false))
    )

  const bounded = <A, E, R>(self: Effect.Effect<A, E, R>, { bound, failures }: Call, completion: Completion) =>
    Deadline.bounded(self, bound, {
      owner: "Retry",
      provider: () => client.provider,
      model: () => completion.model ?? client.model ?? "",
      failures: failures.all
    })

  return {
    completion: (completion) =>
      Effect.flatMap(begin(within), (call) =>
        client.completion(completion).pipe(
          Effect.provideService(CurrentDeadline, call.bound.deadline),
          Effect.tapError((error) => Effect.sync(() => call.failures.add(error))),
          Effect.retry(scheduleOf(call)),
          Effect.mapError((error) => Attempts.ofError(error, call.failures.earlier())),
          Effect.map((response) => Attempts.ofResponse(response, call.failures.all())),
          (made) => bounded(made, call, completion)
        )),
    stream: (completion) =>
      Stream.unwrap(Effect.map(begin(within), (call) => {
        const { failures } = call
        let before: ReadonlyArray<LLMError> = []
        let started = false
        let broken: LLMError | undefined
        const retried = client.stream(completion).pipe(
          Stream.provideService(CurrentDeadline, call.bound.deadline),
          Stream.mapArray((parts) => {
            started = true
            return before.length === 0 ? parts : Arr.map(parts, (part) => Attempts.ofPart(part, before))
          }),
          // After its first part, a stream is not retried.
          Stream.catch((error) => {
            if (!started) {
              failures.add(error)
              before = failures.all()
              return Stream.fail(error)
            }
            broken = Attempts.ofError(error, before)
            return Stream.empty
          }),
          Stream.retry(scheduleOf(call)),
          Stream.mapError((error) => Attempts.ofError(error, failures.earlier()))
        )
        const inTime = call.bound.deadline === undefined
          ? retried
          : Stream.transformPull(retried, (pull) => {
            const first = bounded(pull, call, completion)
            return Effect.succeed(Effect.suspend(() => started ? pull : first))
          })
        return Stream.concat(inTime, Stream.suspend(() => broken === undefined ? Stream.empty : Stream.fail(broken)))
      }))
  }
}

const byPolicy = (client: Service, options: Options = {}) => {
  const policy = complete(options)
  return decorate(client, {
    schedule: waits(policy),
    within: Duration.fromInputUnsafe(policy.deadline ?? Duration.infinity),
    tell: telling(policy)
  })
}

/** A client whose calls are retried. Throws for an invalid policy. */
export const make = (client: Service, options?: Options): Service => ({
  ...client,
  ...byPolicy(client, options)
})

/**
 * Retries the calls of the client below by a policy; fields that are left out keep their defaults. An invalid
 * policy is a defect of the layer that describes the problem.
 */
export const layer = (options?: Options): Layer.Layer<LLMClient, never, LLMClient> =>
  // The policy is read here, because Layer.suspend around a fresh layer would be memoized and shared by all providers.
  middleware((client) => byPolicy(client, options))

/**
 * Retries the calls of the client below by your own schedule, which also decides about hints. `ClientError` and failures
 * with `retryable: false` are still not sent again, and no wait is longer than the call may wait.
 * Nothing is logged: use `Schedule.tap`.
 *
 * However often it tries, answers and errors have the first and the last 50 failures in `attempts`; `LLMError.total`
 * also counts those that were left out.
 */
export const layerSchedule = (
  schedule: Schedule.Schedule<unknown, LLMError>
): Layer.Layer<LLMClient, never, LLMClient> =>
  middleware((client) => {
    if (!Schedule.isSchedule(schedule)) Check.refuse("Retry", "schedule", "a Schedule")
    return decorate(client, { schedule, within: Duration.infinity, tell: () => Effect.void })
  })

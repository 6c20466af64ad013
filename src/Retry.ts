/**
 * Sends a failed completion again, after a wait that depends on how it failed.
 *
 * Each tag has its own backoff, exponential, capped and jittered; a provider's own hint replaces it. `ClientError` is
 * never sent again, nor is a failure that says `retryable: false`. The count of attempts is the call's own, shared by
 * all tags, so that mixed failures stay bounded; a `deadline` bounds the time of all of them together.
 *
 * A stream is retried only until its first part: from then on a failure ends it, with what had come in `partial`, and
 * nothing is ever sent twice.
 *
 * ```ts
 * import { Layer } from "effect"
 * import { Anthropic, Retry } from "effect-llm"
 *
 * const Claude = Retry.layer({ RateLimit: { base: "2 seconds", cap: "30 seconds", attempts: 5 } }).pipe(
 *   Layer.provide(Anthropic.layerConfig())
 * )
 * ```
 */
import * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import type { Completion } from "./Completion.ts"
import { type LLMClient, middleware, type Service } from "./LLMClient.ts"
import { type LLMError, make as makeError } from "./LLMError.ts"
import * as Attempts from "./middleware/attempts.ts"
import * as Options from "./middleware/options.ts"

/** How failures of one kind are retried. */
export interface Backoff {
  /** The wait after the first failure; it doubles with every further one. Jittered by a factor in [0.5, 1.5). */
  readonly base: Duration.Input
  /** The longest wait before jitter. */
  readonly cap: Duration.Input
  /** Calls in all, the first included; at least 1. */
  readonly attempts: number
}

/** The backoff of each kind of failure, and the longest hint of a provider that is waited for. */
export interface Policy {
  readonly RateLimit: Backoff
  /** `Transient` of every reason that is not named below. */
  readonly Transient: Backoff
  /** `Transient · Overloaded`. */
  readonly Overloaded: Backoff
  /** `Transient · Malformed`. */
  readonly Malformed: Backoff
  readonly EmptyResponse: Backoff
  /** A failure whose hint is longer than this is not retried. */
  readonly maxRetryAfter: Duration.Input
  /**
   * The longest time for all attempts and waits together, or in a stream until its first part; then the call ends as
   * `Transient · Timeout`. None unless set.
   */
  readonly deadline?: Duration.Input
}

const fast: Backoff = { base: "250 millis", cap: "5 seconds", attempts: 4 }

/** The policy unless another is given. */
export const defaultPolicy: Policy = {
  RateLimit: { base: "5 seconds", cap: "60 seconds", attempts: 8 },
  Transient: fast,
  Overloaded: { base: "1 second", cap: "30 seconds", attempts: 6 },
  Malformed: { ...fast, attempts: 2 },
  EmptyResponse: fast,
  maxRetryAfter: "60 seconds"
}

type Kind = Exclude<keyof Policy, "maxRetryAfter" | "deadline">

const kinds = ["RateLimit", "Transient", "Overloaded", "Malformed", "EmptyResponse"] as const satisfies ReadonlyArray<
  Kind
>

// What a schedule's parts look at: one type for all errors, since schedules that are joined intersect their inputs.
type Failure = Pick<LLMError, "_tag" | "retryAfter" | "retryable" | "message"> & { readonly reason: string }

const kindOf = ({ _tag, reason, retryable }: Failure): Kind | undefined => {
  if (retryable === false || _tag === "ClientError") return undefined
  return _tag === "Transient" && (reason === "Overloaded" || reason === "Malformed") ? reason : _tag
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

// A hint is waited for in full, and never less: its jitter goes upward only.
const hinted = ({ duration, input }: { readonly duration: Duration.Duration; readonly input: Failure }) => {
  const { retryAfter } = input
  return retryAfter === undefined
    ? Effect.succeed(duration)
    : Effect.map(Random.next, (share) => Math.ceil(Duration.toMillis(retryAfter) * (1 + share / 10)))
}

const complete = (policy: Partial<Policy>): Policy => {
  const full = { ...defaultPolicy, ...policy }
  Options.known("Retry policy", policy, [...kinds, "maxRetryAfter", "deadline"])
  for (const kind of kinds) {
    const { attempts, base, cap } = full[kind]
    Options.wholeNumber("Retry policy", `${kind}.attempts`, attempts)
    Options.wait("Retry policy", `${kind}.base`, base)
    Options.wait("Retry policy", `${kind}.cap`, cap)
  }
  Options.wait("Retry policy", "maxRetryAfter", full.maxRetryAfter)
  Options.wait("Retry policy", "deadline", full.deadline)
  return full
}

/**
 * The retries of a policy as a schedule: its output is the wait. Every wait is logged as a warning.
 *
 * Throws when the policy cannot be kept, such as with 0 attempts.
 */
export const schedule = (policy: Partial<Policy> = {}): Schedule.Schedule<Duration.Duration, LLMError> => {
  const { deadline: _, maxRetryAfter, ...backoffs } = complete(policy)
  const longest = Duration.fromInputUnsafe(maxRetryAfter)
  const on = (kind: Kind): Schedule.Schedule<Duration.Duration, Failure> =>
    Schedule.while(backoff(backoffs[kind]), ({ input }: { readonly input: Failure }) => kindOf(input) === kind)
  const parts: Schedule.Schedule<unknown, Failure> = Schedule.min(kinds.map(on) as [ReturnType<typeof on>])
  return parts.pipe(
    Schedule.modifyDelay(hinted),
    Schedule.while(({ input: { retryAfter } }) =>
      retryAfter === undefined || Duration.isLessThanOrEqualTo(retryAfter, longest)
    ),
    // The wait itself: without this it would be the backoff that a hint replaced.
    Schedule.map(({ duration }) => duration),
    Schedule.tap(({ attempt, duration, input }) =>
      Effect.annotateLogs(Effect.logWarning("retrying completion"), {
        attempt,
        maximum: backoffs[kindOf(input)!].attempts,
        delay: Duration.format(duration),
        error: input.message
      })
    )
  )
}

// No schedule sends a failure again that cannot end otherwise.
const isFinal = (error: LLMError): boolean => error._tag === "ClientError" || error.retryable === false

const late = (
  client: Service,
  completion: Completion,
  deadline: Duration.Duration,
  attempts: ReadonlyArray<LLMError>
): LLMError =>
  makeError("Transient", {
    provider: client.provider,
    model: completion.model ?? attempts.at(-1)?.model ?? "",
    reason: "Timeout",
    description: `retry deadline of ${Duration.format(deadline)} passed`,
    attempts: attempts.length === 0 ? undefined : Attempts.flatten(attempts)
  })

const decorate = (
  client: Service,
  schedule: Schedule.Schedule<unknown, LLMError>,
  deadline: Duration.Duration = Duration.infinity
): Pick<Service, "completion" | "stream"> => {
  const bounded = <A, E, R>(
    self: Effect.Effect<A, E, R>,
    completion: Completion,
    failures: ReadonlyArray<LLMError>
  ): Effect.Effect<A, E | LLMError, R> =>
    Duration.isFinite(deadline)
      ? Effect.timeoutOrElse(self, {
        duration: deadline,
        orElse: () => Effect.fail(late(client, completion, deadline, failures))
      })
      : self

  return {
    completion: (completion) =>
      Effect.suspend(() => {
        const failures: Array<LLMError> = []
        return client.completion(completion).pipe(
          Effect.tapError((error) => Effect.sync(() => failures.push(error))),
          Effect.retry({ schedule, while: (error) => !isFinal(error) }),
          Effect.mapError((error) => Attempts.ofError(error, failures.slice(0, -1))),
          Effect.map((response) => Attempts.ofResponse(response, failures)),
          (call) => bounded(call, completion, failures)
        )
      }),
    stream: (completion) =>
      Stream.suspend(() => {
        const failures: Array<LLMError> = []
        let started = false
        let broken: LLMError | undefined
        const retried = client.stream(completion).pipe(
          Stream.mapArray((parts) => {
            started = true
            return failures.length === 0
              ? parts
              : Arr.map(parts, (part) => Attempts.ofPart(part, failures))
          }),
          // Until its first part nothing of a stream reached the caller; from then on nothing is sent again.
          Stream.catch((error) => {
            if (!started) {
              failures.push(error)
              return Stream.fail(error)
            }
            broken = Attempts.ofError(error, failures)
            return Stream.empty
          }),
          Stream.retry(Schedule.while(schedule, ({ input }) => !isFinal(input))),
          Stream.mapError((error) => Attempts.ofError(error, failures.slice(0, -1)))
        )
        const inTime = Duration.isFinite(deadline)
          ? Stream.transformPull(retried, (pull) => {
            const first = bounded(pull, completion, failures)
            return Effect.succeed(Effect.suspend(() => started ? pull : first))
          })
          : retried
        return Stream.concat(inTime, Stream.suspend(() => broken === undefined ? Stream.empty : Stream.fail(broken)))
      })
  }
}

const byPolicy = (client: Service, policy: Partial<Policy> = {}) =>
  decorate(
    client,
    schedule(policy),
    policy.deadline === undefined ? undefined : Duration.fromInputUnsafe(policy.deadline)
  )

/** A client whose calls are retried. */
export const make = (client: Service, policy?: Partial<Policy>): Service => ({
  ...client,
  ...byPolicy(client, policy)
})

/**
 * Retries the calls of the client below by a policy; what it leaves out keeps its default. A policy that cannot be kept
 * fails the layer as a defect that names what is wrong.
 */
export const layer = (policy?: Partial<Policy>): Layer.Layer<LLMClient, never, LLMClient> =>
  // The policy is read in here: around a fresh layer, Layer.suspend would be memoized and one for all providers again.
  middleware((client) => byPolicy(client, policy))

/**
 * Retries the calls of the client below by your own schedule, which also decides about hints. `ClientError` and failures
 * that say `retryable: false` are not sent again even so.
 */
export const layerSchedule = (
  schedule: Schedule.Schedule<unknown, LLMError>
): Layer.Layer<LLMClient, never, LLMClient> => middleware((client) => decorate(client, schedule))

/**
 * Ends a call at its deadline and reports its cost: the layers below are interrupted first, and report their attempts.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Deadline } from "../LLMClient.ts"
import { type LLMError, make as makeError } from "../LLMError.ts"
import { flatten } from "./attempts.ts"

/** A call that may have its own deadline, and an outer one. */
export interface Bound {
  /** The longest time for the call; infinite without its own deadline. */
  readonly within: Duration.Duration
  readonly outer: Deadline | undefined
  /** The earlier of both, for the layers below. */
  readonly deadline: Deadline | undefined
}

/** Begins a call; its time counts from here. */
export const begin = (within: Duration.Duration): Effect.Effect<Bound> =>
  Effect.gen(function*() {
    const outer = yield* Deadline
    const now = yield* Clock.currentTimeMillis
    const at = Math.min(outer?.at ?? Number.POSITIVE_INFINITY, now + Duration.toMillis(within))
    return { within, outer, deadline: Number.isFinite(at) ? { at, attempts: [] } : undefined }
  })

/** Who made the call, and its failures so far. */
export interface Made {
  readonly owner: string
  readonly provider: () => string
  readonly model: () => string
  readonly failures: () => ReadonlyArray<LLMError>
}

const late = (within: Duration.Duration, made: Made, attempts: ReadonlyArray<LLMError>): LLMError =>
  makeError("Transient", {
    provider: made.provider(),
    model: made.model(),
    reason: "Timeout",
    description: `${made.owner} deadline of ${Duration.format(within)} passed`,
    attempts: attempts.length === 0 ? undefined : flatten(attempts)
  })

/** Fails as `Transient · Timeout` when the call's time has passed. If an outer deadline ends it, it reports its cost. */
export const bounded = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  { deadline, outer, within }: Bound,
  made: Made
): Effect.Effect<A, E | LLMError, R> => {
  const spent = () => [...made.failures(), ...(deadline?.attempts ?? [])]
  const reporting = outer === undefined
    ? self
    : Effect.onInterrupt(self, () => Effect.sync(() => outer.attempts.push(...spent())))
  return Duration.isFinite(within)
    ? Effect.timeoutOrElse(reporting, { duration: within, orElse: () => Effect.fail(late(within, made, spent())) })
    : reporting
}

/**
 * How long a member of a Fallback may wait, and which members currently refuse calls.
 */
import * as Duration from "effect/Duration"
import type { Patience } from "../LLMClient.ts"
import type { LLMError } from "../LLMError.ts"
import { circuitOpen } from "./keys.ts"

/** For the last member: the patience of the outer Fallback, or no limit. */
export const inherited = (outer: Patience | undefined): Patience =>
  outer ?? { waiting: Number.POSITIVE_INFINITY, firstByte: Number.POSITIVE_INFINITY }

/** For a member before the last: at most the patience of the outer Fallback. */
export const limited = (
  outer: Patience | undefined,
  own: { readonly waiting: number; readonly firstByte: number; readonly when: (error: LLMError) => boolean }
): Patience => {
  let { waiting } = own
  return {
    get waiting() {
      return Math.min(waiting, outer?.waiting ?? Number.POSITIVE_INFINITY)
    },
    // A wait here counts in the outer Fallback too.
    set waiting(remaining) {
      const before = this.waiting
      if (!Number.isFinite(before)) return
      waiting -= before - remaining
      if (outer !== undefined) outer.waiting = Math.max(0, outer.waiting - (before - remaining))
    },
    firstByte: Math.min(own.firstByte, outer?.firstByte ?? Number.POSITIVE_INFINITY),
    when: (error) => own.when(error) || outer !== undefined && (outer.when?.(error) ?? error.isFallbackable)
  }
}

/** Until when one member's circuits are open, by model. */
export interface Refusals {
  /** Notes the end of a call. */
  readonly note: (model: string, error: LLMError | undefined, now: number) => void
  readonly isOpen: (model: string, now: number) => boolean
}

// Users may choose model names, so the number of entries is bounded.
const mostModels = 1_000

// While a probe runs, other calls are refused without a hint.
const untilTried = 1_000

/** Makes an empty record for one member. */
export const makeRefusals = (): Refusals => {
  const open = new Map<string, { readonly since: number; readonly until: number }>()
  return {
    note: (model, error, now) => {
      open.delete(model)
      if (error?.code !== circuitOpen) return
      const wait = error.retryAfter === undefined ? untilTried : Duration.toMillis(error.retryAfter)
      open.set(model, { since: now, until: now + wait })
      const [oldest] = open.keys()
      if (open.size > mostModels && oldest !== undefined) open.delete(oldest)
    },
    isOpen: (model, now) => {
      const refusal = open.get(model)
      // After the clock was set back, an older refusal may seem to be in the future: it is ignored.
      return refusal !== undefined && refusal.since <= now && now < refusal.until
    }
  }
}

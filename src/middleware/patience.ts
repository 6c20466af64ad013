/**
 * How long a member of a Fallback may wait, and which members are known to refuse calls for now.
 */
import * as Duration from "effect/Duration"
import type { Patience } from "../LLMClient.ts"
import type { LLMError } from "../LLMError.ts"
import { circuitOpen } from "./keys.ts"

/** For the last member: as patient as the Fallback around it, or without end. */
export const inherited = (outer: Patience | undefined): Patience =>
  outer ?? { waiting: Number.POSITIVE_INFINITY, firstByte: Number.POSITIVE_INFINITY }

/** For a member with another one ready behind it: never more patient than the Fallback around it. */
export const limited = (
  outer: Patience | undefined,
  own: { readonly waiting: number; readonly firstByte: number; readonly when: (error: LLMError) => boolean }
): Patience => {
  let { waiting } = own
  return {
    get waiting() {
      return Math.min(waiting, outer?.waiting ?? Number.POSITIVE_INFINITY)
    },
    // What is waited here is waited there as well.
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

/** Until when the circuits of one member are known to be open, by model. */
export interface Refusals {
  /** Notes how a call ended. */
  readonly note: (model: string, error: LLMError | undefined, now: number) => void
  readonly isOpen: (model: string, now: number) => boolean
}

// Users name models: what is not asked for again would be kept for ever.
const mostModels = 1_000

// While a call tries an open circuit, others are refused without a hint.
const untilTried = 1_000

/** Makes the notes of one member, of which every circuit is closed as far as is known. */
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
      // A clock that was set back says nothing of a refusal that it calls a later one.
      return refusal !== undefined && refusal.since <= now && now < refusal.until
    }
  }
}

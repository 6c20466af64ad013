/**
 * Helpers that the tables of faults share.
 */
import type { Provider, Rejection } from "../exchange.ts"
import type { Fault } from "../service.ts"

/** A fault for each service that can have it. */
export type Row = { readonly [P in Provider]?: Fault }

/** The same fault for every service, in its own words. */
export const everywhere = (fault: Fault) => ({
  anthropic: fault,
  openai: fault,
  responses: fault,
  openrouter: fault,
  gemini: fault
})

export const refusal = (rejection: Rejection): Fault => ({ _tag: "Refusal", rejection: () => rejection })

/**
 * What a provider's headers say of its rate limits, in one form for all of them.
 */

import * as Schema from "effect/Schema"

/** One limit: how much is allowed, how much is left, and how long until it is whole again (milliseconds in JSON). */
export const Window = Schema.Struct({
  limit: Schema.optionalKey(Schema.Finite),
  remaining: Schema.optionalKey(Schema.Finite),
  resetAfter: Schema.optionalKey(Schema.DurationFromMillis)
})
export interface Window extends Schema.Schema.Type<typeof Window> {}

export const RateLimits = Schema.Struct({
  requests: Schema.optionalKey(Window),
  /** Input and output tokens together. */
  tokens: Schema.optionalKey(Window),
  inputTokens: Schema.optionalKey(Window),
  outputTokens: Schema.optionalKey(Window)
})
export interface RateLimits extends Schema.Schema.Type<typeof RateLimits> {}

/**
 * Rate limits from a provider's headers, in the same form for all providers.
 */

import * as Schema from "effect/Schema"

/** One limit: the amount allowed, the amount remaining, and the time until it resets (milliseconds in JSON). */
export const Window = Schema.Struct({
  limit: Schema.optionalKey(Schema.Finite),
  remaining: Schema.optionalKey(Schema.Finite),
  resetAfter: Schema.optionalKey(Schema.DurationFromMillis)
})
export interface Window extends Schema.Schema.Type<typeof Window> {}

// By its name, so that an editor shows it and not what it stands for.
const Named: Schema.Codec<Window, typeof Window.Encoded> = Window

export const RateLimits = Schema.Struct({
  requests: Schema.optionalKey(Named),
  /** Input and output tokens together. */
  tokens: Schema.optionalKey(Named),
  inputTokens: Schema.optionalKey(Named),
  outputTokens: Schema.optionalKey(Named)
})
export interface RateLimits extends Schema.Schema.Type<typeof RateLimits> {}

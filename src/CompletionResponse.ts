/**
 * The answer of a language model, the same for every provider.
 *
 * Append `response.message` to the history to continue the conversation. It contains everything that the provider needs
 * back, including signatures and unknown blocks.
 */

import { defined, type Optional } from "./fields.ts"
import { CompletionResponse } from "./outcome.ts"

export {
  CompletionResponse,
  ContentFilter,
  FinishReason,
  MaxTokens,
  None,
  Other,
  Pass,
  Stop,
  ToolUse,
  Warning
} from "./outcome.ts"

type Fields = {
  readonly [K in keyof CompletionResponse as K extends keyof typeof CompletionResponse.fields ? K : never]:
    CompletionResponse[K]
}

/** An answer from its fields, without validation. Undefined fields are left out. */
export const make = (fields: Optional<Fields>): CompletionResponse =>
  Object.assign(Object.create(CompletionResponse.prototype), defined<Fields>(fields))

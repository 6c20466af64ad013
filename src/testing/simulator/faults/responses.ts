/**
 * Failures of OpenAI Responses after the answer has begun: an error event and a failed response, with the same code.
 * Source: OpenAI API reference, "The response object", "Streaming events".
 */
import type { Json } from "../json.ts"
import { failed, failing } from "../responses/service.ts"
import type { Fault } from "../service.ts"

/** An answer that fails with this code and status 200. */
export const failure = (code: string, message: string): Fault => ({
  _tag: "Body",
  whole: ({ response: { model = "" } }, { seed }) => failed({ code, message }, { model, seed }) as Json,
  events: ({ response: { model = "" } }, { seed }) => failing({ code, message }, { model, seed })
})

/**
 * How OpenAI Responses fails after it began to answer: an error and a response that failed, both with one code. Source:
 * OpenAI API reference, "The response object", "Streaming events".
 */
import type { Json } from "../json.ts"
import { failed, failing } from "../responses/service.ts"
import type { Fault } from "../service.ts"

/** The answer is a failure of this code, with status 200. */
export const failure = (code: string, message: string): Fault => ({
  _tag: "Body",
  whole: ({ response: { model = "" } }, { seed }) => failed({ code, message }, { model, seed }) as Json,
  events: ({ response: { model = "" } }, { seed }) => failing({ code, message }, { model, seed })
})

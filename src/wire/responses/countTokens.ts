/**
 * Asks OpenAI for the number of tokens in a request. Source: OpenAI API reference, "Get input token counts".
 */
import { integer, pick } from "../json.ts"
import type { CountTokens } from "../Wire.ts"

/** The fields of a request that the endpoint accepts. */
export const countedFields = [
  "model",
  "input",
  "instructions",
  "conversation",
  "previous_response_id",
  "tools",
  "tool_choice",
  "parallel_tool_calls",
  "reasoning",
  "text",
  "truncation",
  "personality"
] as const

export const countTokens: CountTokens = {
  request: ({ body }) => ({ path: "/responses/input_tokens", body: pick(body, countedFields) }),
  response: (body) => integer(body["input_tokens"])
}

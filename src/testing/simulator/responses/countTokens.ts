/** OpenAI's token counts, `POST …/responses/input_tokens`. Source: OpenAI API reference, "Get input token counts". */
import * as Result from "effect/Result"
import type { Call, Rejection } from "../exchange.ts"
import { type JsonObject, tokensOf } from "../json.ts"
import { refusal } from "../openai/words.ts"
import * as Rules from "./rules.ts"

const fields: ReadonlySet<string> = new Set([
  "conversation",
  "input",
  "instructions",
  "model",
  "parallel_tool_calls",
  "personality",
  "previous_response_id",
  "reasoning",
  "text",
  "tool_choice",
  "tools",
  "truncation"
])

/** The number of tokens in a request. */
export const countTokens = ({ body, unknownFields }: Call): Result.Result<JsonObject, Rejection> => {
  const unknown = Object.keys(body).find((name) => !fields.has(name))
  if (unknown !== undefined && unknownFields === "reject") {
    return Result.fail(refusal(`Unknown parameter: '${unknown}'.`, unknown, "unknown_parameter"))
  }
  return Result.map(Rules.read(body, unknownFields), (body) => ({
    object: "response.input_tokens",
    input_tokens: tokensOf(body.input) + tokensOf(body.instructions ?? undefined) + tokensOf(body.tools)
  }))
}

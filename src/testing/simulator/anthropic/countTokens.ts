/**
 * Anthropic's token counts, `POST …/v1/messages/count_tokens`. Source: Anthropic API reference, "Count Message tokens".
 */
import * as Result from "effect/Result"
import type { Call, Rejection } from "../exchange.ts"
import { isObject, type JsonObject, tokensOf } from "../json.ts"
import * as Rules from "./rules.ts"

const fields: ReadonlySet<string> = new Set([
  "cache_control",
  "context_management",
  "mcp_servers",
  "messages",
  "model",
  "output_config",
  "speed",
  "system",
  "thinking",
  "tool_choice",
  "tools",
  "user_profile_id",
  "workspace_id"
])

/** The number of tokens in a request. */
export const countTokens = ({ body, request, unknownFields }: Call): Result.Result<JsonObject, Rejection> => {
  if (request.headers["anthropic-version"] === undefined) {
    return Result.fail(Rules.invalid("anthropic-version: header is required"))
  }
  const unknown = Object.keys(body).find((name) => !fields.has(name))
  if (unknown !== undefined && unknownFields === "reject") {
    return Result.fail(Rules.invalid(`${unknown}: Extra inputs are not permitted`))
  }
  // A count has no `max_tokens`, which the rules of a message require.
  const thinking = isObject(body.thinking) ? Number(body.thinking.budget_tokens ?? 0) : 0
  return Result.map(Rules.read({ ...body, max_tokens: thinking + 1 }, unknownFields, request.headers), (body) => ({
    input_tokens: tokensOf(body.messages) + tokensOf(body.system) + tokensOf(body.tools)
  }))
}

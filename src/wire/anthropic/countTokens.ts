/**
 * Asks Anthropic for the number of tokens in a request. Source: Anthropic API reference, "Count Message tokens".
 */
import { integer, pick } from "../json.ts"
import type { CountTokens } from "../Wire.ts"
import { path } from "./shape.ts"

/** The fields of a request that the endpoint accepts. */
export const countedFields = [
  "model",
  "messages",
  "system",
  "tools",
  "tool_choice",
  "thinking",
  "output_config",
  "cache_control",
  "context_management",
  "mcp_servers",
  "speed"
] as const

export const countTokens: CountTokens = {
  request: ({ body, headers }) => ({
    path: `${path}/count_tokens`,
    body: pick(body, countedFields),
    ...headers && { headers }
  }),
  response: (body) => integer(body["input_tokens"])
}

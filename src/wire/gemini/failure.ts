/**
 * Failures of the Gemini API. Sources: Gemini API, "Troubleshooting", "Rate limits"; googleapis, google/rpc.
 */
import * as Duration from "effect/Duration"
import { client, errorUnder, failures as make } from "../failure.ts"
import * as GoogleRpc from "../googleRpc.ts"
import type { Failures, Verdict } from "../Wire.ts"

const malformedCall: Verdict = ["EmptyResponse", "MalformedToolCall"]

export const failures: Failures = make({
  words: { API_KEY_INVALID: client("Authentication"), unsupported_parameter: client("Unsupported") },
  messages: [
    {
      pattern: /\bnot supported (?:for|by|on|in) (?:this|the) model\b/i,
      verdict: client("Unsupported"),
      statuses: [400]
    }
  ],
  prefixes: [["billing_", client("Quota")]],
  finishes: {
    MALFORMED_FUNCTION_CALL: malformedCall,
    UNEXPECTED_TOOL_CALL: malformedCall,
    TOO_MANY_TOOL_CALLS: malformedCall
  },
  // Some endpoints return their error in an array.
  errorIn: (body) => errorUnder(Array.isArray(body) ? body[0] : body),
  candidates: (error) => [error["code"], error["type"], error["status"], ...GoogleRpc.reasons(error)],
  limit: GoogleRpc.quota,
  retryAfter: (_, error) => {
    const millis = GoogleRpc.retryDelay(error)
    return millis === undefined ? undefined : Duration.millis(millis)
  }
})

/**
 * Failures of the Anthropic API. Sources: Anthropic API reference, "Errors", "Rate limits", "Fast mode"; the error
 * codes that its SDK lists.
 */
import { capacity, client, failures as make, limited, overloaded } from "../failure.ts"
import { family, instant } from "../hints.ts"
import { object } from "../json.ts"
import type { Failures } from "../Wire.ts"

const fastWindows = ["input-tokens", "output-tokens"] as const

export const failures: Failures = make({
  words: {
    ramp_limit_exceeded: limited,
    capacity_exhausted: capacity,
    service_tier_capacity_exceeded: capacity,
    credit_balance_exhausted: client("Quota"),
    organization_spend_limit_exceeded: client("Quota"),
    project_spend_limit_exceeded: client("Quota"),
    enforced_spend_limit_reached: client("Quota"),
    contract_spend_limit_reached: client("Quota"),
    organization_on_hold: client("Permission"),
    overloaded_error: overloaded,
    compaction_unavailable: overloaded,
    cmek_key_unreachable: overloaded,
    request_body_too_large_after_decoding: client("TooLarge"),
    image_dimensions_too_large: client("TooLarge"),
    thread_not_found: client("NotFound"),
    tool_name_conflict: client("InvalidRequest"),
    tool_reference_unresolved: client("InvalidRequest"),
    available_tools_limit_exceeded: client("InvalidRequest")
  },
  prefixes: [
    ["billing_", client("Quota")],
    ["linked_organization_", client("Quota")],
    ["cmek_key_", client("Permission")],
    ["compaction_", client("InvalidRequest")],
    ["thread_", client("InvalidRequest")]
  ],
  messages: [
    {
      pattern: /credit balance is too low|reached your specified api usage limits/i,
      verdict: client("Quota"),
      statuses: [400]
    },
    {
      pattern: /not supported (?:for|on) this model|does not support assistant message prefill/i,
      verdict: client("Unsupported"),
      statuses: [400]
    }
  ],
  // The code in `details` says more than the type, and it is stable.
  candidates: (error) => [object(error["details"])["error_code"], error["code"], error["type"], error["status"]],
  // Fast mode has its own limits. The same request is accepted at the usual speed.
  limit: (_, headers) =>
    fastWindows.some((window) => headers[`anthropic-fast-${window}-remaining`] === "0") ? capacity : undefined,
  families: [
    family((window, figure) => `anthropic-ratelimit-${window}-${figure}`, {
      requests: "requests",
      tokens: "tokens",
      "input-tokens": "inputTokens",
      "output-tokens": "outputTokens"
    }, instant),
    family((window, figure) => `anthropic-fast-${window}-${figure}`, {
      "input-tokens": "inputTokens",
      "output-tokens": "outputTokens"
    }, instant)
  ]
})

/**
 * How Anthropic fails. Sources: Anthropic API reference, "Errors", "Rate limits".
 */
import { capacity, client, failures as make, limited, overloaded } from "../failure.ts"
import { family, instant } from "../hints.ts"
import { object } from "../json.ts"
import type { Failures } from "../Wire.ts"

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
    overloaded_error: overloaded
  },
  prefixes: [["billing_", client("Quota")], ["linked_organization_", client("Quota")]],
  messages: [{
    pattern: /credit balance is too low|reached your specified api usage limits/i,
    verdict: client("Quota"),
    statuses: [400]
  }],
  // The code of the details says more than the type, and is stable.
  candidates: (error) => [object(error["details"])["error_code"], error["code"], error["type"], error["status"]],
  families: [
    family((window, figure) => `anthropic-ratelimit-${window}-${figure}`, {
      requests: "requests",
      tokens: "tokens",
      "input-tokens": "inputTokens",
      "output-tokens": "outputTokens"
    }, instant)
  ]
})

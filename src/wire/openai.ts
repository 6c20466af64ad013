/**
 * What OpenAI's protocols share, Chat Completions and Responses: headers, codes, and the forms of media. Sources: OpenAI
 * API, "Error codes", "Rate limits".
 */
import { capacity, client } from "./failure.ts"
import * as Hints from "./hints.ts"
import type { Failures, MessageRule } from "./Wire.ts"

/** The headers that say how much is left of a limit. */
export const limits: Hints.Family = Hints.family((window, figure) => `x-ratelimit-${figure}-${window}`, {
  requests: "requests",
  tokens: "tokens"
}, Hints.goDuration)

const amount = (text: string | undefined): number => Number(text?.replaceAll(/[,_]/g, ""))

/** A single request above the limit of a minute, which no waiting makes fit. */
export const requestTooLarge: MessageRule = {
  pattern: /request too large.{0,500}?\blimit:? ([\d,_]{1,20}).{0,200}?\brequested:? ([\d,_]{1,20})/is,
  verdict: client("TooLarge"),
  statuses: [413, 429],
  holds: ([, limit, requested]) => amount(requested) > amount(limit)
}

/** OpenAI's own codes. */
export const words: Failures["words"] = {
  organization_spend_limit_exceeded: client("Quota"),
  project_spend_limit_exceeded: client("Quota"),
  credit_balance_exhausted: client("Quota"),
  capacity_exhausted: capacity,
  service_tier_capacity_exceeded: capacity,
  unsupported_value: client("Unsupported"),
  unsupported_parameter: client("Unsupported"),
  unknown_parameter: client("Unsupported")
}

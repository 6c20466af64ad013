/**
 * What OpenAI's two protocols, Chat Completions and Responses, share: headers, error codes and media formats. Sources:
 * OpenAI API, "Error codes", "Rate limits".
 */
import type { Effort } from "../Models.ts"
import { capacity, client } from "./failure.ts"
import * as Hints from "./hints.ts"
import type { Failures, MessageRule } from "./Wire.ts"

/** The headers that report how much of a limit remains. */
export const limits: Hints.Family = Hints.family((window, figure) => `x-ratelimit-${figure}-${window}`, {
  requests: "requests",
  tokens: "tokens"
}, Hints.goDuration)

const amount = (text: string | undefined): number => Number(text?.replaceAll(/[,_]/g, ""))

/** A single request larger than the limit per minute: waiting does not help. */
export const requestTooLarge: MessageRule = {
  pattern: /request too large.{0,500}?\blimit:? ([\d,_]{1,20}).{0,200}?\brequested:? ([\d,_]{1,20})/is,
  verdict: client("TooLarge"),
  statuses: [413, 429],
  holds: ([, limit, requested]) => amount(requested) > amount(limit)
}

/** The message for a setting or a content that the model does not support. */
export const unsupported: MessageRule = {
  pattern:
    /\bnot supported (?:for|with|by|on) (?:this|the|that) model\b|\brole '?\w{1,20}'? is not supported\b|function tools with reasoning_effort|\bunsupported (?:parameter|value): '/i,
  verdict: client("Unsupported"),
  statuses: [400, 422]
}

/** Messages for a conversation that is too long for the model, from servers that send no code. */
export const tooLong: MessageRule = {
  pattern: new RegExp(
    [
      "exceeds the context window",
      "maximum prompt length is",
      "reduce the length of the messages",
      "exceeds the available context size",
      "greater than the context length",
      "exceeded model token limit",
      "too large for model with .{0,40}maximum context length",
      "is longer than the model's context length",
      "exceeded .{0,40}context length",
      "range of input length should be",
      "context window exceeds limit"
    ].join("|"),
    "is"
  ),
  verdict: client("ContextWindow"),
  statuses: [400, 413, 422, undefined]
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

const budgets: ReadonlyArray<readonly [most: number, effort: Effort]> = [
  [0, "none"],
  [1024, "minimal"],
  [4096, "low"],
  [16_384, "medium"],
  [Infinity, "high"]
]

/** The effort that corresponds to a budget of reasoning tokens. */
export const effortOf = (budget: number): Effort => budgets.find(([most]) => budget <= most)?.[1] ?? "high"

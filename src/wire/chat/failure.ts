/**
 * Failures of Chat Completions: OpenAI, OpenRouter, and compatible servers. Sources: OpenAI API, "Error codes", "Rate
 * limits"; OpenRouter, "Errors and debugging", "Limits".
 */
import * as Duration from "effect/Duration"
import { capacity, client, errorUnder, failures as make, overloaded, usualMessage } from "../failure.ts"
import * as GoogleRpc from "../googleRpc.ts"
import * as Hints from "../hints.ts"
import { array, type JsonRecord, number, object, parseJson, string } from "../json.ts"
import * as OpenAi from "../openai.ts"
import type { Failures, HeaderMap, MessageRule } from "../Wire.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Errors
// ---------------------------------------------------------------------------------------------------------------------

// Some servers put the error, or a finish reason for it, into a choice.
const errorIn: Failures["errorIn"] = (body) => {
  const outer = object(Array.isArray(body) ? body[0] : body)
  const choice = object(array(outer["choices"])[0])
  return errorUnder(outer) ?? errorUnder(choice)
    ?? (choice["finish_reason"] === "error"
      ? { message: "the provider ended the answer with an error" }
      : undefined)
}

// The upstream's own body, which a router passes on.
const parsed = (text: string): JsonRecord => {
  const body = text.trimStart().startsWith("{") ? parseJson(text) : undefined
  return errorIn(body) ?? object(body)
}

const messageOf = (error: JsonRecord, depth = 0): string | undefined => {
  const metadata = object(error["metadata"])
  const raw = string(metadata["raw"])
  if (raw === undefined) return usualMessage(error)
  // Routers may stand in front of each other, so the depth is limited.
  const upstream = (depth < 4 ? messageOf(parsed(raw), depth + 1) : undefined) ?? raw
  const from = string(metadata["provider_name"])
  return `${from === undefined ? "" : `${from}: `}${upstream}`
}

const message = (error: JsonRecord): string => {
  const reasons = array(object(error["metadata"])["reasons"]).flatMap((reason) => string(reason) ?? [])
  return [messageOf(error) ?? "", reasons.join(", ")].filter((part) => part !== "").join(": ")
}

const availability = (error: JsonRecord): JsonRecord => ({
  ...object(object(error["metadata"])["availability"]),
  ...object(error["availability"])
})

const decide: Failures["decide"] = (error, { status }) => {
  if (status !== 403) return undefined
  const metadata = object(error["metadata"])
  if (string(metadata["limit_source"]) !== undefined) return client("Quota")
  return Array.isArray(metadata["reasons"]) ? client("ContentFilter") : undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// Hints
// ---------------------------------------------------------------------------------------------------------------------

const epoch = Hints.family((_, figure) => `x-ratelimit-${figure}`, { requests: "requests" }, (text, now) => {
  const at = Hints.decimal(text)
  return at === undefined ? undefined : at - now
})

// Ignores values that are not texts or numbers: `toString` may be anything in parsed JSON.
const lowerCased = (headers: JsonRecord): HeaderMap =>
  Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      typeof value === "string" || typeof value === "number" ? [[name.toLowerCase(), String(value)]] : []
    )
  )

const seconds = (value: unknown): number | undefined => {
  const amount = number(value) ?? Hints.decimal(string(value))
  return amount === undefined ? undefined : Hints.hint(amount * 1000)
}

const retryAfter: Failures["retryAfter"] = (headers, error, now) => {
  const metadata = object(error["metadata"])
  const upstream = lowerCased(object(metadata["headers"]))
  const millis = GoogleRpc.retryDelay(error)
    ?? seconds(availability(error)["retry_after"])
    ?? seconds(metadata["retry_after_seconds"])
    ?? Hints.ofHeaders(upstream, now)
    ?? Hints.exhausted(OpenAi.limits, headers, now)
    ?? Hints.hint(epoch.reset(headers["x-ratelimit-reset"], now))
    ?? Hints.hint(epoch.reset(upstream["x-ratelimit-reset"], now))
  return millis === undefined ? undefined : Duration.millis(millis)
}

// ---------------------------------------------------------------------------------------------------------------------
// Tables
// ---------------------------------------------------------------------------------------------------------------------

const freeModels: MessageRule = { pattern: /free-models-per-day/, verdict: client("DailyQuota"), statuses: [429] }

const shared: Partial<Failures> = {
  prefixes: [["billing_", client("Quota")]],
  errorIn,
  candidates: (error) => [
    object(error["details"])["error_code"],
    object(error["metadata"])["error_type"],
    error["error_type"],
    error["code"],
    error["type"],
    error["status"],
    ...GoogleRpc.reasons(error)
  ],
  message,
  decide,
  limit: GoogleRpc.quota,
  retryable: (error, headers) =>
    availability(error)["retryable"] === false || headers["x-should-retry"] === "false" ? false : undefined,
  rateLimits: Hints.rateLimits([OpenAi.limits, epoch]),
  retryAfter
}

const words: Failures["words"] = {
  ...OpenAi.words,
  in_flight_budget_exhausted: capacity,
  weight_exceeds_budget: client("Quota"),
  provider_overloaded: overloaded,
  bio_policy: client("ContentFilter"),
  cyber_policy: client("ContentFilter"),
  misalignment_policy_violation: client("ContentFilter"),
  image_content_policy_violation: client("ContentFilter"),
  authentication: client("Authentication"),
  API_KEY_INVALID: client("Authentication")
}

/** OpenAI and compatible servers. */
export const failures: Failures = make({
  ...shared,
  words,
  messages: [OpenAi.requestTooLarge, OpenAi.tooLong, OpenAi.unsupported]
})

// Source: OpenRouter, "Errors and debugging", the values of `error_type`. With `unmapped`, the status decides.
const routerWords: Failures["words"] = {
  ...words,
  max_tokens_exceeded: client("ContextWindow"),
  token_limit_exceeded: client("ContextWindow"),
  string_too_long: client("ContextWindow"),
  refusal: client("ContentFilter")
}

export const openRouterFailures: Failures = make({
  ...shared,
  words: routerWords,
  messages: [freeModels, OpenAi.tooLong, OpenAi.unsupported]
})

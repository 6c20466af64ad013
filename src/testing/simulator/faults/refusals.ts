/**
 * Refusals of the services: limits, money, problems of the provider, and invalid requests. Bodies and headers are those
 * that the providers document ("Errors" and "Rate limits" of Anthropic, OpenAI and OpenRouter, "Troubleshooting" and
 * `google.rpc` of Gemini) or that their clients are known to handle.
 */
import * as DateTime from "effect/DateTime"
import * as Headers from "effect/http/Headers"
import { gatewayPage } from "../exchange.ts"
import type { Json } from "../json.ts"
import type { Fault } from "../service.ts"
import { promptBlocked } from "./answers.ts"
import { everywhere, refusal, type Row } from "./row.ts"

const status = (code: number): Fault => ({ _tag: "Refusal", rejection: (service) => service.serverError(code) })

const limited = (millis: number | undefined): Fault => ({
  _tag: "Refusal",
  rejection: (service) => service.rateLimit(millis)
})

/** A rate limit whose only hint is in these headers. `now` is in epoch milliseconds. */
const hinted = (headers: (now: number) => { readonly [name: string]: string }): Fault => ({
  _tag: "Refusal",
  rejection: (service, now) => ({ ...service.rateLimit(undefined), headers: headers(now) })
})

const dateAfter = (now: number, millis: number): DateTime.Utc => DateTime.makeUnsafe(now + millis)

const quotaFailure = (violation: { readonly [key: string]: Json }): Json => ({
  "@type": "type.googleapis.com/google.rpc.QuotaFailure",
  violations: [violation]
})

const retryInfo = (retryDelay: string): Json => ({ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay })

const geminiQuota = (details: ReadonlyArray<Json>): Fault =>
  refusal({
    status: 429,
    type: "RESOURCE_EXHAUSTED",
    message: "You exceeded your current quota, please check your plan and billing details.",
    details
  })

const openAiLimit = "Rate limit reached for gpt-5 in organization org-simulated on"

/** OpenRouter's error type, in addition to the status. */
const errorType = (error_type: string) => ({ fields: { metadata: { error_type } } })

const insufficientQuota = {
  type: "insufficient_quota",
  code: "insufficient_quota",
  message: "You exceeded your current quota, please check your plan and billing details."
}

/** Faults by name. */
export const refusals = {
  // Rate limits, with all forms of a retry hint.
  RateLimit: everywhere(limited(undefined)),
  RetryAfter: {
    anthropic: hinted(() => ({ "retry-after": "2" })),
    openai: hinted(() => ({ "retry-after": "2" })),
    openrouter: limited(2000)
  },
  RetryAfterMillis: { openai: hinted(() => ({ "retry-after-ms": "1500", "retry-after": "2" })) },
  RetryAfterDate: everywhere(hinted((now) => ({ "retry-after": Headers.formatHttpDate(dateAfter(now, 3000)) }))),
  RetryInfo: { gemini: limited(1234) },
  RateLimitReset: {
    anthropic: hinted((now) => ({
      "anthropic-ratelimit-requests-limit": "4000",
      "anthropic-ratelimit-requests-remaining": "0",
      "anthropic-ratelimit-requests-reset": DateTime.formatIso(dateAfter(now, 4000))
    })),
    openai: hinted(() => ({ "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "0m1.5s" })),
    openrouter: hinted((now) => ({
      "X-RateLimit-Limit": "20",
      "X-RateLimit-Remaining": "0",
      "X-RateLimit-Reset": String(now + 4000)
    }))
  },
  TokenLimit: {
    anthropic: refusal({
      status: 429,
      type: "rate_limit_error",
      message: "This request would exceed your organization's rate limit of 400,000 input tokens per minute."
    }),
    openai: refusal({
      status: 429,
      type: "tokens",
      code: "rate_limit_exceeded",
      message: `${openAiLimit} tokens per min (TPM): Limit 30000, Used 29000, Requested 2000.`,
      headers: { "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "2s" }
    }),
    gemini: geminiQuota([
      quotaFailure({ quotaId: "GenerateContentInputTokensPerModelPerMinute-FreeTier", quotaValue: "250000" }),
      retryInfo("2.5s")
    ])
  },
  UpstreamRateLimit: {
    openrouter: refusal({
      status: 429,
      message: "Provider returned error",
      fields: {
        metadata: {
          raw: "openai/gpt-4.1-mini is temporarily rate-limited upstream. Please retry shortly.",
          provider_name: "OpenAI",
          headers: { "Retry-After": "5" }
        }
      }
    })
  },
  CapacityExhausted: {
    openrouter: refusal({ status: 429, message: "No capacity", ...errorType("capacity_exhausted") })
  },
  InFlightBudget: {
    openrouter: refusal({
      status: 402,
      message: "Requests in flight use up the budget",
      headers: { "Retry-After": "3" },
      ...errorType("in_flight_budget_exhausted")
    })
  },

  // Money and quotas, where waiting does not help.
  Quota: {
    anthropic: refusal({
      status: 400,
      message:
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."
    }),
    openai: refusal({ status: 429, ...insufficientQuota }),
    openrouter: refusal({ status: 402, message: "Insufficient credits", ...errorType("payment_required") }),
    gemini: refusal({ status: 402, type: "FAILED_PRECONDITION", message: "Billing is not enabled." })
  },
  SpendLimit: {
    anthropic: refusal({
      status: 429,
      type: "rate_limit_error",
      message: "Your organization has reached its spend limit.",
      fields: { details: { error_code: "enforced_spend_limit_reached" } }
    }),
    openai: refusal({
      status: 429,
      type: "insufficient_quota",
      code: "billing_hard_limit_reached",
      message: "Billing hard limit has been reached"
    }),
    openrouter: refusal({
      status: 403,
      message: "Key limit exceeded",
      fields: { metadata: { limit_source: "api_key" } }
    })
  },
  DailyQuota: {
    openrouter: refusal({
      status: 429,
      message: "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day"
    }),
    gemini: geminiQuota([
      quotaFailure({ quotaId: "GenerateRequestsPerDayPerProjectPerModel-FreeTier", quotaValue: "250" }),
      retryInfo("22s")
    ])
  },

  // Overload and failures of the provider.
  Overloaded: {
    anthropic: status(529),
    openai: status(503),
    openrouter: refusal({ status: 503, message: "Provider overloaded", ...errorType("provider_overloaded") }),
    gemini: status(503)
  },
  ServerError: everywhere(status(500)),
  BadGateway: everywhere(status(502)),
  GatewayPage: everywhere(
    refusal({ status: 502, message: "Bad gateway", html: gatewayPage(502, "Bad Gateway") })
  ),
  Unavailable: everywhere(status(503)),
  GatewayTimeout: everywhere(status(504)),
  DoNotRetry: {
    anthropic: refusal({
      status: 500,
      type: "api_error",
      message: "Internal server error",
      headers: { "x-should-retry": "false" }
    }),
    openai: refusal({
      status: 500,
      type: "server_error",
      message: "The server had an error",
      headers: { "x-should-retry": "false" }
    }),
    openrouter: refusal({
      status: 502,
      message: "Provider returned error",
      fields: { metadata: { availability: { retryable: false } } }
    })
  },

  // Problems with the request, the key or the account.
  InvalidRequest: everywhere({ _tag: "Refusal", rejection: (service) => service.invalid("The request is not valid.") }),
  InvalidKey: everywhere({ _tag: "Refusal", rejection: (service) => service.invalidKey }),
  Forbidden: {
    anthropic: refusal({
      status: 403,
      type: "permission_error",
      message: "Your API key does not have permission to use the specified resource."
    }),
    openai: refusal({
      status: 403,
      code: "unsupported_country_region_territory",
      type: "request_forbidden",
      message: "Country, region, or territory not supported"
    }),
    openrouter: refusal({ status: 403, message: "Forbidden", ...errorType("permission_denied") }),
    gemini: refusal({ status: 403, type: "PERMISSION_DENIED", message: "The caller does not have permission" })
  },
  UnpairedItem: {
    responses: refusal({
      status: 400,
      param: "input",
      message: "Item 'rs_simulated' of type 'reasoning' was provided without its required following item."
    })
  },
  UnknownModel: {
    anthropic: refusal({ status: 404, type: "not_found_error", message: "model: claude-none" }),
    openai: refusal({ status: 404, code: "model_not_found", message: "The model `gpt-none` does not exist" }),
    openrouter: refusal({ status: 404, message: "No endpoints found for none/none." }),
    gemini: refusal({ status: 404, type: "NOT_FOUND", message: "models/gemini-none is not found" })
  },
  TooLarge: {
    anthropic: refusal({
      status: 413,
      type: "request_too_large",
      message: "Request exceeds the maximum allowed number of bytes."
    }),
    openai: refusal({
      status: 429,
      type: "tokens",
      code: "rate_limit_exceeded",
      message: "Request too large for gpt-5 on tokens per min (TPM): Limit 30000, Requested 45000."
    }),
    openrouter: refusal({ status: 413, message: "Payload too large", ...errorType("payload_too_large") }),
    gemini: refusal({ status: 413, type: "INVALID_ARGUMENT", message: "Request payload size exceeds the limit" })
  },
  ContextOverflow: {
    anthropic: refusal({ status: 400, message: "prompt is too long: 208310 tokens > 200000 maximum" }),
    openai: refusal({
      status: 400,
      code: "context_length_exceeded",
      param: "messages",
      message:
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 140000 tokens. Please reduce the length of the messages."
    }),
    openrouter: refusal({
      status: 400,
      message:
        "This endpoint's maximum context length is 128000 tokens. However, you requested about 140000 tokens. Please reduce the length."
    }),
    gemini: refusal({
      status: 400,
      type: "INVALID_ARGUMENT",
      message: "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
    })
  },
  PromptBlocked: {
    openai: refusal({
      status: 400,
      code: "content_policy_violation",
      message: "Your request was rejected by our safety system."
    }),
    openrouter: refusal({
      status: 403,
      message: "Your input was flagged",
      fields: {
        metadata: { reasons: ["violence"], flagged_input: "…", provider_name: "OpenAI", model_slug: "openai/gpt-5" }
      }
    }),
    gemini: promptBlocked
  }
} as const satisfies { readonly [name: string]: Row }

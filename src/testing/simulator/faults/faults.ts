/**
 * Everything that can go wrong with a provider, by name: a row for each fault, a column for each provider that can have
 * it. Bodies and headers are those that the providers document ("Errors" and "Rate limits" of Anthropic, OpenAI and
 * OpenRouter, "Troubleshooting" and `google.rpc` of Gemini) or that their clients are known to handle.
 */
import * as DateTime from "effect/DateTime"
import * as Headers from "effect/http/Headers"
import { done } from "./chat.ts"
import {
  type Call,
  type Dialect,
  type Fault,
  gatewayPage,
  type Provider,
  type Rejection,
  type SimulatedResponse
} from "./exchange.ts"
import { idOf, type Json, truncate } from "./json.ts"
import { type Reply, silent } from "./reply.ts"
import { dataEvent } from "./wire.ts"

type Row = { readonly [P in Provider]?: Fault }

/** The same for every provider, each in its own words. */
const everywhere = (fault: Fault) => ({ anthropic: fault, openai: fault, openrouter: fault, gemini: fault })

// ---------------------------------------------------------------------------------------------------------------------
// Refusals
// ---------------------------------------------------------------------------------------------------------------------

const refusal = (rejection: Rejection): Fault => ({ _tag: "Refusal", rejection: () => rejection })

const status = (code: number): Fault => ({ _tag: "Refusal", rejection: (dialect) => dialect.serverError(code) })

const limited = (millis: number | undefined): Fault => ({
  _tag: "Refusal",
  rejection: (dialect) => dialect.rateLimit(millis)
})

/** A rate limit whose only hint are these headers, at a time in epoch milliseconds. */
const hinted = (headers: (now: number) => { readonly [name: string]: string }): Fault => ({
  _tag: "Refusal",
  rejection: (dialect, now) => ({ ...dialect.rateLimit(undefined), headers: headers(now) })
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

/** OpenRouter's name for the kind of error, beside the status. */
const errorType = (error_type: string) => ({ fields: { metadata: { error_type } } })

const insufficientQuota = {
  type: "insufficient_quota",
  code: "insufficient_quota",
  message: "You exceeded your current quota, please check your plan and billing details."
}

// ---------------------------------------------------------------------------------------------------------------------
// Other answers
// ---------------------------------------------------------------------------------------------------------------------

/** The answer ends with a word of the provider's own, and holds nothing. */
const endsWith = (finishWord: string, finishDetail?: Json): Fault => ({
  _tag: "Reply",
  reply: (reply) => ({ ...silent(reply), finishWord, ...finishDetail !== undefined && { finishDetail } })
})

/** The answer ends with a word of the provider's own, after a text. */
const endsAfterText = (finishWord: string): Fault => ({
  _tag: "Reply",
  reply: (reply) => ({ ...reply, text: reply.text ?? "As far as it came", toolCalls: [], finishWord })
})

/** The model says that it will not, and stops normally. */
const refused: Fault = {
  _tag: "Reply",
  reply: (reply) => ({
    ...reply,
    refused: true,
    text: "I'm sorry, I can't help with that.",
    toolCalls: [],
    finish: "Stop"
  })
}

/** One call whose arguments are not JSON, although the model says that it was done. */
const brokenCall: Fault = {
  _tag: "Reply",
  reply: (reply) => ({
    ...reply,
    text: undefined,
    finish: "ToolUse",
    toolCalls: [{
      name: reply.toolCalls[0]?.name ?? "get_weather",
      arguments: {},
      argumentsText: `{"city": "Par`,
      complete: false
    }]
  })
}

const body = (
  whole: (reply: Reply, call: Call) => { readonly [key: string]: Json },
  ending: ReadonlyArray<string>,
  newline?: string
): Fault => ({
  _tag: "Body",
  whole,
  events: (reply, call) => [dataEvent(whole(reply, call), newline), ...ending]
})

const geminiHead = ({ model, usage: { inputTokens } }: Reply, { seed }: Call) => ({
  usageMetadata: { promptTokenCount: inputTokens, totalTokenCount: inputTokens },
  modelVersion: model,
  responseId: idOf(`${seed} message`, 22)
})

const chatHead = ({ model, usage: { inputTokens } }: Reply, { seed }: Call) => ({
  id: `gen-${idOf(`${seed} generation`, 20)}`,
  object: "chat.completion",
  model,
  usage: { prompt_tokens: inputTokens, completion_tokens: 0, total_tokens: inputTokens }
})

const noChoices = body((reply, call) => ({ ...chatHead(reply, call), choices: [] }), [done])

const upstreamDied = { code: 502, message: "Provider disconnected unexpectedly" }

const emptyAssistant = { role: "assistant", content: "" }

// ---------------------------------------------------------------------------------------------------------------------
// Damage on the way
// ---------------------------------------------------------------------------------------------------------------------

const damage = (change: (answer: SimulatedResponse) => Partial<SimulatedResponse>): Fault => ({
  _tag: "Damage",
  damage: (answer) => ({ ...answer, ...change(answer) })
})

const half = (events: number): number => Math.floor(events / 2)

const halfOf = ({ body }: SimulatedResponse): ReadonlyArray<string> => {
  const text = body.join("")
  return [truncate(text, Math.floor(text.length / 8))]
}

/** The event at this place without its last brace. */
export const withoutBrace = (events: ReadonlyArray<string>, at: number): ReadonlyArray<string> =>
  events.map((event, index) => index === at ? event.replace(/\}(\s*)$/, "$1") : event)

// ---------------------------------------------------------------------------------------------------------------------
// The table
// ---------------------------------------------------------------------------------------------------------------------

export const faults = {
  // Rate limits, with each dialect of "try again later".
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

  // Money and quotas that waiting does not help.
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

  // Overload and trouble at the provider.
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

  // What is wrong with the request, the key or the account.
  InvalidRequest: everywhere({ _tag: "Refusal", rejection: (dialect) => dialect.invalid("The request is not valid.") }),
  InvalidKey: everywhere({ _tag: "Refusal", rejection: (dialect) => dialect.invalidKey }),
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
    gemini: body(
      (reply, call) => ({ promptFeedback: { blockReason: "PROHIBITED_CONTENT" }, ...geminiHead(reply, call) }),
      [],
      "\r\n"
    )
  },

  // Answers that are none.
  Empty: everywhere({ _tag: "Reply", reply: silent }),
  NoChoices: {
    openai: noChoices,
    openrouter: noChoices,
    gemini: body((reply, call) => geminiHead(reply, call), [], "\r\n")
  },
  AnswerBlocked: {
    anthropic: endsWith("refusal", { type: "refusal", category: "violence", explanation: "Simulated refusal." }),
    openai: endsWith("content_filter"),
    openrouter: endsWith("content_filter"),
    gemini: endsWith("SAFETY")
  },
  Refusal: {
    anthropic: endsAfterText("refusal"),
    openai: refused,
    openrouter: refused
  },
  BlockedAfterText: {
    openai: endsAfterText("content_filter"),
    openrouter: endsAfterText("content_filter"),
    gemini: endsAfterText("RECITATION")
  },
  MalformedFunctionCall: {
    openai: brokenCall,
    openrouter: brokenCall,
    gemini: endsWith("MALFORMED_FUNCTION_CALL", "Malformed function call: print(default_api.get_weather(")
  },
  OutputBudget: everywhere({ _tag: "Reply", reply: (reply) => ({ ...silent(reply), finish: "MaxTokens" }) }),
  ContextFull: { anthropic: endsWith("model_context_window_exceeded") },
  ErrorInAnswer: {
    openai: refusal({ status: 200, ...insufficientQuota }),
    openrouter: refusal({
      status: 200,
      message: "Provider returned error",
      fields: { code: 429, metadata: { raw: "rate-limited upstream", provider_name: "OpenAI" } }
    })
  },
  ErrorFinish: {
    openrouter: {
      _tag: "Body",
      whole: (reply, call) => ({
        ...chatHead(reply, call),
        choices: [{ index: 0, message: emptyAssistant, finish_reason: "error", error: upstreamDied }]
      }),
      events: (reply, call) => [
        dataEvent({
          ...chatHead(reply, call),
          object: "chat.completion.chunk",
          choices: [{ index: 0, delta: emptyAssistant, finish_reason: "error", error: upstreamDied }]
        }),
        done
      ]
    }
  },
  ErrorBeforeContent: everywhere({ _tag: "ErrorEvent", after: () => 0 }),
  ErrorAfterContent: everywhere({ _tag: "ErrorEvent", after: half }),
  ErrorAfterFinish: {
    anthropic: { _tag: "ErrorEvent", after: (events) => events },
    openai: { _tag: "ErrorEvent", after: (events) => events - 1 },
    openrouter: { _tag: "ErrorEvent", after: (events) => events - 1 },
    gemini: { _tag: "ErrorEvent", after: (events) => events }
  },

  // Answers that are damaged on their way. The first three and the last two leave nothing, or all of it.
  ConnectionReset: everywhere(damage(() => ({ body: [], ending: "Reset", unanswered: true }))),
  NoAnswer: everywhere(damage(() => ({ body: [], ending: "Stall", unanswered: true }))),
  NoBody: everywhere(damage(() => ({ body: [] }))),
  Cut: everywhere(damage((answer) => ({ body: halfOf(answer) }))),
  Reset: everywhere(damage((answer) => ({ body: halfOf(answer), ending: "Reset" }))),
  Stall: everywhere(damage((answer) => ({ body: halfOf(answer), ending: "Stall" }))),
  MalformedJson: everywhere(damage(({ body }) => ({ body: withoutBrace(body, half(body.length)) }))),
  HtmlAnswer: everywhere(
    damage(({ headers }) => ({ headers: { ...headers, "content-type": "text/html" }, body: [gatewayPage(200, "OK")] }))
  ),
  SlowDrip: everywhere(damage(() => ({ pace: 20 }))),
  SingleBytes: everywhere(damage(() => ({ chunkSize: 1 })))
} as const satisfies { readonly [name: string]: Row }

/** What can go wrong, by name. */
export type FaultName = keyof typeof faults

const names = Object.keys(faults) as ReadonlyArray<FaultName>

export const isFaultName = (name: string): name is FaultName => Object.hasOwn(faults, name)

/** What a provider does for a fault; undefined when it cannot have it. */
export const faultOf = (name: FaultName, { provider }: Pick<Dialect, "provider">): Fault | undefined =>
  (faults[name] as Row)[provider]

/** The names of the faults that a provider can have. */
export const faultsOf = (provider: Provider): ReadonlyArray<FaultName> =>
  names.filter((name) => faultOf(name, { provider }) !== undefined)

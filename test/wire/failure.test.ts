import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import {
  Anthropic,
  Completion,
  CompletionResponse,
  Gemini,
  LLMClient,
  LLMError,
  Message,
  OpenAi,
  OpenRouter,
  Retry
} from "../../src/index.ts"
import { runs } from "../effort.ts"

// ---------------------------------------------------------------------------------------------------------------------
// The providers, their answers and their errors
// ---------------------------------------------------------------------------------------------------------------------

const apiKey = Redacted.make("sk-test-0123456789")

const providers = ["anthropic", "openai", "gemini", "openrouter"] as const
type Provider = typeof providers[number]

const models = {
  anthropic: "claude-sonnet-4-6",
  openai: "gpt-5",
  gemini: "gemini-3-flash",
  openrouter: "openai/gpt-5"
} as const satisfies Record<Provider, string>

/** A whole answer is asked for as one, or is a stream underneath. */
type Whole = "unary" | "stream"

const layersOf = (whole: Whole) =>
  ({
    anthropic: Anthropic.layer({ apiKey, model: models.anthropic, whole }),
    openai: OpenAi.layer({ apiKey, api: "chat", model: models.openai, whole }),
    gemini: Gemini.layer({ apiKey, model: models.gemini, whole }),
    openrouter: OpenRouter.layer({ apiKey, model: models.openrouter, whole })
  }) satisfies Record<Provider, Layer.Layer<LLMClient.LLMClient, never, HttpClient.HttpClient>>

const layers = layersOf("unary")
const streaming = layersOf("stream")

type Json = Readonly<Record<string, unknown>>

// Every answer below reports these tokens.
const read = 12
const written = 5

const anthropicAnswer = (content: ReadonlyArray<Json>, stop_reason: string, more: Json = {}): Json => ({
  id: "msg_1",
  type: "message",
  role: "assistant",
  model: models.anthropic,
  content,
  stop_reason,
  stop_sequence: null,
  usage: { input_tokens: read, output_tokens: written },
  ...more
})

const chatAnswer = (message: Json, finish_reason: string | null, more: Json = {}): Json => ({
  id: "chatcmpl-1",
  object: "chat.completion",
  model: models.openai,
  choices: [{ index: 0, message: { role: "assistant", content: null, ...message }, finish_reason, ...more }],
  usage: { prompt_tokens: read, completion_tokens: written, total_tokens: read + written }
})

const geminiAnswer = (parts: ReadonlyArray<Json> | undefined, finishReason: string, more: Json = {}): Json => ({
  candidates: [{ ...(parts && { content: { role: "model", parts } }), finishReason, index: 0, ...more }],
  usageMetadata: {
    promptTokenCount: read,
    candidatesTokenCount: written,
    totalTokenCount: read + written
  },
  modelVersion: models.gemini,
  responseId: "resp-1"
})

const textAnswer = (provider: Provider, text: string): Json =>
  provider === "anthropic"
    ? anthropicAnswer([{ type: "text", text }], "end_turn")
    : provider === "gemini"
    ? geminiAnswer([{ text }], "STOP")
    : chatAnswer({ content: text }, "stop")

const anthropicError = (type: string, message: string, more: Json = {}): Json => ({
  type: "error",
  error: { type, message, ...more },
  request_id: "req_body"
})

const openAiError = (message: string, type: string | null, code: string | number | null = null): Json => ({
  error: { message, type, param: null, code }
})

const geminiError = (code: number, status: string, message: string, details?: ReadonlyArray<Json>): Json => ({
  error: { code, message, status, ...(details && { details }) }
})

const routerError = (code: number | string, message: string, metadata?: Json): Json => ({
  error: { code, message, ...(metadata && { metadata }) },
  user_id: "user_1"
})

const quotaFailure = (...violations: ReadonlyArray<Json>): Json => ({
  "@type": "type.googleapis.com/google.rpc.QuotaFailure",
  violations
})

const retryInfo = (retryDelay: string): Json => ({ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay })

const geminiQuota = (...details: ReadonlyArray<Json>): Json =>
  geminiError(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota.", [
    { "@type": "type.googleapis.com/google.rpc.Help", links: [] },
    ...details
  ])

// A body that says nothing that a program could read.
const page = "<html><head><title>Sorry</title></head><body><h1>Try again</h1></body></html>"

// ---------------------------------------------------------------------------------------------------------------------
// Running them
// ---------------------------------------------------------------------------------------------------------------------

interface Reply {
  /** 200 unless given. */
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  /** A text as it is, anything else as JSON. */
  readonly body: unknown
}

// The statuses of answers that have no body.
const bodyless = new Set([204, 205, 304])

const web = ({ body, headers, status = 200 }: Reply): Response =>
  new Response(bodyless.has(status) ? null : typeof body === "string" ? body : JSON.stringify(body), {
    status,
    ...(headers && { headers })
  })

const http = (respond: () => Response) =>
  Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request) => Effect.sync(() => HttpClientResponse.fromWeb(request, respond())))
  )

const question = Completion.make({ prompt: "What is the weather in Paris?" })

const afterToolResult = Completion.make({
  prompt: Message.user(Message.toolResult({ id: "call_1", name: "weather", content: "sunny" })),
  history: [
    Message.user("What is the weather in Paris?"),
    Message.assistant(Message.toolCall({ id: "call_1", name: "weather", arguments: { city: "Paris" } }))
  ]
})

const ask = (
  provider: Provider,
  reply: Reply,
  completion: Completion.Completion = question,
  whole: Whole = "unary"
) =>
  LLMClient.completion(completion).pipe(
    Effect.provide(Layer.provide((whole === "unary" ? layers : streaming)[provider], http(() => web(reply))))
  )

type Verdict =
  | `RateLimit · ${LLMError.RateLimitReason}`
  | `Transient · ${LLMError.TransientReason}`
  | `EmptyResponse · ${LLMError.EmptyResponseReason}`
  | `ClientError · ${LLMError.ClientErrorReason}`

const verdictOf = (error: LLMError.LLMError) => `${error._tag} · ${error.reason}`

// ---------------------------------------------------------------------------------------------------------------------
// Failures
// ---------------------------------------------------------------------------------------------------------------------

interface Failure extends Reply {
  readonly name: string
  readonly provider: Provider
  readonly completion?: Completion.Completion
  readonly is: Verdict
  /** What the error must carry; what is left out it must not carry. */
  readonly code?: string
  readonly retryAfter?: Duration.Input
  readonly retryable?: false
  readonly requestId?: string
  /** The HTTP status unless given. */
  readonly errorStatus?: number
  /** Whether the error carries the answer, with its usage. */
  readonly partial?: true
  /** A part of the description. */
  readonly says?: string
  /** How the answer is asked for, where that makes a difference; a server may answer a request for a stream whole. */
  readonly whole?: Whole
}

const wholes = ({ whole }: Failure): ReadonlyArray<Whole> => whole === undefined ? ["unary", "stream"] : [whole]

const fails = (expected: Failure) =>
  it.effect.each(wholes(expected))(
    `${expected.provider}: ${expected.name}: ${expected.is} (%s)`,
    (whole) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(ask(expected.provider, expected, expected.completion, whole))
        assert.isTrue(LLMError.isLLMError(error))
        assert.deepStrictEqual({
          is: verdictOf(error),
          provider: error.provider,
          model: error.model,
          status: error.status,
          code: error.code,
          retryAfter: error.retryAfter && Duration.toMillis(error.retryAfter),
          retryable: error.retryable,
          requestId: error.requestId,
          usage: error.partial && [error.partial.usage.inputTokens, error.partial.usage.outputTokens]
        }, {
          is: expected.is,
          provider: expected.provider,
          model: models[expected.provider],
          status: expected.errorStatus ?? expected.status ?? 200,
          code: expected.code,
          retryAfter: expected.retryAfter === undefined
            ? undefined
            : Duration.toMillis(Duration.fromInputUnsafe(expected.retryAfter)),
          retryable: expected.retryable,
          requestId: expected.requestId,
          usage: expected.partial && [read, written]
        })
        assert.notStrictEqual(error.description, "")
        if (expected.says !== undefined) assert.include(error.description, expected.says)
      })
  )

const row = (title: string, failures: ReadonlyArray<Failure>) => describe(title, () => failures.forEach(fails))

// The same failure, whatever the provider.
const everywhere = (failure: Omit<Failure, "provider">): ReadonlyArray<Failure> =>
  providers.map((provider) => ({ ...failure, provider }))

row("1: a rate limit", [
  ...everywhere({ name: "a bare 429", status: 429, body: "", is: "RateLimit · Unknown" }),
  ...everywhere({ name: "a 429 with a page", status: 429, body: page, is: "RateLimit · Unknown" }),
  {
    name: "rate_limit_error",
    provider: "anthropic",
    status: 429,
    headers: { "retry-after": "12", "request-id": "req_header" },
    body: anthropicError("rate_limit_error", "This request would exceed your organization's rate limit."),
    is: "RateLimit · Unknown",
    code: "rate_limit_error",
    retryAfter: "12 seconds",
    requestId: "req_header",
    says: "your organization's rate limit"
  },
  {
    name: "rate_limit_exceeded of type tokens",
    provider: "openai",
    status: 429,
    headers: { "x-request-id": "req_1", "retry-after-ms": "813" },
    body: openAiError("Rate limit reached on tokens per min (TPM)", "tokens", "rate_limit_exceeded"),
    is: "RateLimit · Tokens",
    code: "rate_limit_exceeded",
    retryAfter: "813 millis",
    requestId: "req_1"
  },
  {
    name: "rate_limit_exceeded of type requests",
    provider: "openai",
    status: 429,
    body: openAiError("Rate limit reached on requests per min (RPM)", "requests", "rate_limit_exceeded"),
    is: "RateLimit · Requests",
    code: "rate_limit_exceeded"
  },
  {
    name: "slow_down, though its status is 503",
    provider: "openai",
    status: 503,
    body: openAiError("Please reduce your request rate", "slow_down"),
    is: "RateLimit · Unknown",
    code: "slow_down"
  },
  {
    name: "error_type rate_limit_exceeded",
    provider: "openrouter",
    status: 429,
    body: routerError(429, "Rate limited", { error_type: "rate_limit_exceeded" }),
    is: "RateLimit · Unknown",
    code: "rate_limit_exceeded"
  },
  {
    name: "error_type capacity_exhausted",
    provider: "openrouter",
    status: 429,
    body: routerError(429, "No capacity", { error_type: "capacity_exhausted" }),
    is: "RateLimit · Capacity",
    code: "capacity_exhausted"
  },
  {
    name: "a message outside of an error object",
    provider: "openai",
    status: 429,
    body: { message: "Requests rate limit exceeded", request_id: "req_top" },
    is: "RateLimit · Unknown",
    requestId: "req_top",
    says: "Requests rate limit exceeded"
  }
])

const quotaCodes = [
  "insufficient_quota",
  "credit_balance_exhausted",
  "organization_spend_limit_exceeded",
  "project_spend_limit_exceeded",
  "billing_hard_limit_reached",
  "billing_not_active"
]

row(
  "2: OpenAI's quotas",
  quotaCodes.flatMap((code): ReadonlyArray<Failure> => [
    {
      name: `code ${code}`,
      provider: "openai",
      status: 429,
      body: openAiError("You exceeded your current quota", "requests", code),
      is: "ClientError · Quota",
      code
    },
    {
      name: `type ${code}`,
      provider: "openai",
      status: 429,
      body: openAiError("You exceeded your current quota", code),
      is: "ClientError · Quota",
      code
    },
    {
      name: `${code} inside a 200`,
      provider: "openai",
      body: openAiError("You exceeded your current quota", code, code),
      is: "ClientError · Quota",
      code
    }
  ])
)

row("3: Anthropic's quotas", [
  {
    name: "429 with details.error_code enforced_spend_limit_reached",
    provider: "anthropic",
    status: 429,
    body: anthropicError("rate_limit_error", "Spend limit reached", {
      details: { error_code: "enforced_spend_limit_reached" }
    }),
    is: "ClientError · Quota",
    code: "enforced_spend_limit_reached",
    requestId: "req_body"
  },
  {
    name: "402 billing_error",
    provider: "anthropic",
    status: 402,
    body: anthropicError("billing_error", "There's an issue with your billing"),
    is: "ClientError · Quota",
    code: "billing_error",
    requestId: "req_body"
  },
  ...[
    "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing.",
    "You have reached your specified API usage limits. You will regain access on 2030-01-01."
  ].map((message): Failure => ({
    name: `400 ${message.slice(0, 40)}`,
    provider: "anthropic",
    status: 400,
    body: anthropicError("invalid_request_error", message),
    is: "ClientError · Quota",
    code: "invalid_request_error",
    requestId: "req_body",
    says: message
  }))
])

row("4: Gemini's quotas of a minute", [
  {
    name: "requests, with RetryInfo",
    provider: "gemini",
    status: 429,
    body: geminiQuota(
      quotaFailure({ quotaId: "GenerateRequestsPerMinutePerProjectPerModel-FreeTier", quotaValue: "10" }),
      retryInfo("34.4s")
    ),
    is: "RateLimit · Requests",
    code: "RESOURCE_EXHAUSTED",
    retryAfter: "34400 millis"
  },
  {
    name: "tokens, with RetryInfo in nanoseconds",
    provider: "gemini",
    status: 429,
    body: geminiQuota(
      quotaFailure({ quotaId: "GenerateContentInputTokensPerModelPerMinute", quotaValue: "250000" }),
      retryInfo("45.837906927s")
    ),
    is: "RateLimit · Tokens",
    code: "RESOURCE_EXHAUSTED",
    retryAfter: Duration.millis(45837.906927)
  },
  {
    name: "no violation",
    provider: "gemini",
    status: 429,
    body: geminiError(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    is: "RateLimit · Unknown",
    code: "RESOURCE_EXHAUSTED"
  }
])

row("5: Gemini's quotas of a day", [
  {
    name: "PerDay, even with a delay",
    provider: "gemini",
    status: 429,
    body: geminiQuota(
      quotaFailure({ quotaId: "GenerateRequestsPerDayPerProjectPerModel-FreeTier", quotaValue: "250" }),
      retryInfo("22s")
    ),
    is: "ClientError · DailyQuota",
    code: "RESOURCE_EXHAUSTED",
    retryAfter: "22 seconds"
  },
  {
    name: "PerDay beside PerMinute",
    provider: "gemini",
    status: 429,
    body: geminiQuota(quotaFailure(
      { quotaId: "GenerateRequestsPerMinutePerProjectPerModel-FreeTier", quotaValue: "10" },
      { quotaId: "GenerateRequestsPerDayPerProjectPerModel-FreeTier", quotaValue: "250" }
    )),
    is: "ClientError · DailyQuota",
    code: "RESOURCE_EXHAUSTED"
  },
  ...["0", 0].map((quotaValue): Failure => ({
    name: `a quota of ${JSON.stringify(quotaValue)}`,
    provider: "gemini",
    status: 429,
    body: geminiQuota(
      quotaFailure({ quotaId: "GenerateRequestsPerMinutePerProjectPerModel-FreeTier", quotaValue }),
      retryInfo("22s")
    ),
    is: "ClientError · DailyQuota",
    code: "RESOURCE_EXHAUSTED",
    retryAfter: "22 seconds"
  }))
])

row("6: payment required", [
  {
    name: "402",
    provider: "gemini",
    status: 402,
    body: geminiError(402, "FAILED_PRECONDITION", "Your prepaid credits are used up"),
    is: "ClientError · Quota",
    code: "FAILED_PRECONDITION"
  },
  {
    name: "402 without metadata",
    provider: "openrouter",
    status: 402,
    body: routerError(402, "Insufficient credits"),
    is: "ClientError · Quota"
  },
  ...["payment_required", "weight_exceeds_budget"].map((error_type): Failure => ({
    name: `402 ${error_type}`,
    provider: "openrouter",
    status: 402,
    body: routerError(402, "This request requires more credits", { error_type }),
    is: "ClientError · Quota",
    code: error_type
  })),
  {
    name: "403 with a limit_source",
    provider: "openrouter",
    status: 403,
    body: routerError(403, "Key limit exceeded (daily limit)", {
      error_type: "permission_denied",
      limit_source: "api_key"
    }),
    is: "ClientError · Quota",
    code: "permission_denied"
  }
])

row("7: a budget in flight", [{
  name: "402 in_flight_budget_exhausted",
  provider: "openrouter",
  status: 402,
  headers: { "retry-after": "3" },
  body: routerError(402, "Too much in flight", { error_type: "in_flight_budget_exhausted" }),
  is: "RateLimit · Capacity",
  code: "in_flight_budget_exhausted",
  retryAfter: "3 seconds"
}])

row("8: free models", [{
  name: "429 free-models-per-day",
  provider: "openrouter",
  status: 429,
  body: routerError(429, "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 requests.", {
    error_type: "rate_limit_exceeded",
    headers: { "X-RateLimit-Limit": "50", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "86400000" }
  }),
  is: "ClientError · DailyQuota",
  code: "rate_limit_exceeded",
  // The test's clock begins with the epoch.
  retryAfter: "1 day"
}, {
  name: "429 free-models-per-min",
  provider: "openrouter",
  status: 429,
  body: routerError(429, "Rate limit exceeded: free-models-per-min."),
  is: "RateLimit · Unknown"
}])

describe("9: a hint that is longer than the policy waits for", () => {
  const calls = (seconds: number) =>
    Effect.gen(function*() {
      let sent = 0
      const limited = http(() => {
        sent++
        return web({ status: 429, headers: { "retry-after": String(seconds) }, body: "" })
      })
      const layer = Retry.layer({ RateLimit: { base: 0, cap: 0, attempts: 2 } }).pipe(
        Layer.provide(layers.openai),
        Layer.provide(limited)
      )
      const fiber = yield* LLMClient.completion(question).pipe(
        Effect.provide(layer),
        Effect.flip,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("2 minutes")
      return { error: yield* Fiber.join(fiber), sent }
    })

  it.effect("is not retried, keeps its tag, and the hint stands on the error", () =>
    Effect.gen(function*() {
      const { error, sent } = yield* calls(61)
      assert.strictEqual(sent, 1)
      assert.strictEqual(verdictOf(error), "RateLimit · Unknown")
      assert.deepStrictEqual(error.retryAfter, Duration.seconds(61))
    }))

  it.effect("while one that is not is waited for", () =>
    Effect.gen(function*() {
      const { sent } = yield* calls(60)
      assert.strictEqual(sent, 2)
    }))
})

const tooLarge = (limit: string, requested: string) =>
  openAiError(
    `Request too large for gpt-5 in organization org-1 on tokens per min (TPM): Limit ${limit}, Requested ${requested}. `
      + "The input or output tokens must be reduced in order to run successfully.",
    "tokens",
    "rate_limit_exceeded"
  )

row("10: a request that is larger than the limit of a minute", [
  {
    name: "R > L",
    provider: "openai",
    status: 429,
    body: tooLarge("30000", "45128"),
    is: "ClientError · TooLarge",
    code: "rate_limit_exceeded"
  },
  {
    name: "R > L, written with separators",
    provider: "openai",
    status: 429,
    body: tooLarge("9,000", "10,500"),
    is: "ClientError · TooLarge",
    code: "rate_limit_exceeded"
  },
  {
    name: "R > L with the 413 of compatible servers",
    provider: "openai",
    status: 413,
    body: tooLarge("6000", "7099"),
    is: "ClientError · TooLarge",
    code: "rate_limit_exceeded"
  },
  {
    name: "R <= L, which passes with the minute",
    provider: "openai",
    status: 429,
    body: tooLarge("30000", "30000"),
    is: "RateLimit · Tokens",
    code: "rate_limit_exceeded"
  }
])

row("11: overloaded", [
  ...[503, 529].flatMap((status) =>
    everywhere({ name: `a bare ${status}`, status, body: page, is: "Transient · Overloaded" })
  ),
  {
    name: "529 overloaded_error",
    provider: "anthropic",
    status: 529,
    body: anthropicError("overloaded_error", "Overloaded"),
    is: "Transient · Overloaded",
    code: "overloaded_error",
    requestId: "req_body"
  },
  {
    name: "overloaded_error inside a 200",
    provider: "anthropic",
    body: anthropicError("overloaded_error", "Overloaded"),
    is: "Transient · Overloaded",
    code: "overloaded_error",
    requestId: "req_body"
  },
  {
    name: "server_is_overloaded",
    provider: "openai",
    status: 500,
    body: openAiError("Our servers are overloaded", "server_error", "server_is_overloaded"),
    is: "Transient · Overloaded",
    code: "server_is_overloaded"
  },
  {
    name: "UNAVAILABLE",
    provider: "gemini",
    status: 503,
    body: geminiError(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    is: "Transient · Overloaded",
    code: "UNAVAILABLE"
  },
  {
    name: "UNAVAILABLE in the array of a streaming endpoint",
    provider: "gemini",
    status: 503,
    body: [geminiError(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")],
    is: "Transient · Overloaded",
    code: "UNAVAILABLE",
    says: "The model is overloaded"
  },
  {
    name: "error_type provider_overloaded",
    provider: "openrouter",
    status: 502,
    body: routerError(502, "Provider overloaded", { error_type: "provider_overloaded" }),
    is: "Transient · Overloaded",
    code: "provider_overloaded"
  }
])

row("12: the server's fault", [
  ...[500, 502, 504, 520, 521, 522, 523, 524, 525, 526, 527, 530, 408, 409, 425].flatMap((status) =>
    everywhere({ name: `a bare ${status}`, status, body: page, is: "Transient · Server" })
  ),
  {
    name: "api_error",
    provider: "anthropic",
    status: 500,
    body: anthropicError("api_error", "Internal server error"),
    is: "Transient · Server",
    code: "api_error",
    requestId: "req_body"
  },
  {
    name: "timeout_error",
    provider: "anthropic",
    status: 504,
    body: anthropicError("timeout_error", "The request timed out"),
    is: "Transient · Server",
    code: "timeout_error",
    requestId: "req_body"
  },
  {
    name: "server_error",
    provider: "openai",
    status: 500,
    body: openAiError("The server had an error while processing your request", "server_error"),
    is: "Transient · Server",
    code: "server_error"
  },
  {
    name: "INTERNAL",
    provider: "gemini",
    status: 500,
    body: geminiError(500, "INTERNAL", "An internal error has occurred."),
    is: "Transient · Server",
    code: "INTERNAL"
  },
  {
    name: "DEADLINE_EXCEEDED",
    provider: "gemini",
    status: 504,
    body: geminiError(504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
    is: "Transient · Server",
    code: "DEADLINE_EXCEEDED"
  },
  ...["provider_unavailable", "server", "timeout"].map((error_type): Failure => ({
    name: `error_type ${error_type}`,
    provider: "openrouter",
    status: 502,
    body: routerError(502, "Provider failed", { error_type }),
    is: "Transient · Server",
    code: error_type
  }))
])

describe("13: the network", () => {
  const failing = (cause: unknown) =>
    HttpClient.make((request) =>
      Effect.fail(
        new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, cause }) })
      )
    )

  const error = (message: string, code: string, name = "Error") => Object.assign(new Error(message), { code, name })

  const fetchFailed = (cause: unknown) => Object.assign(new TypeError("fetch failed"), { cause })

  const askOver = (provider: Provider, client: HttpClient.HttpClient) =>
    LLMClient.completion(question).pipe(
      Effect.provide(Layer.provide(layers[provider], Layer.succeed(HttpClient.HttpClient, client))),
      Effect.flip
    )

  const causes = [
    ["refused", "ECONNREFUSED", fetchFailed(error("connect ECONNREFUSED 127.0.0.1:443", "ECONNREFUSED"))],
    ["DNS", "ENOTFOUND", fetchFailed(error("getaddrinfo ENOTFOUND api.example.com", "ENOTFOUND"))],
    ["reset", "ECONNRESET", fetchFailed(error("read ECONNRESET", "ECONNRESET"))],
    ["TLS", "CERT_HAS_EXPIRED", fetchFailed(error("certificate has expired", "CERT_HAS_EXPIRED"))],
    [
      "each address refused",
      "ECONNREFUSED",
      fetchFailed(
        Object.assign(
          new AggregateError([
            error("connect ECONNREFUSED ::1:443", "ECONNREFUSED"),
            error("connect ECONNREFUSED 127.0.0.1:443", "ECONNREFUSED")
          ]),
          { code: "ECONNREFUSED" }
        )
      )
    ]
  ] as const

  for (const provider of providers) {
    for (const [name, code, cause] of causes) {
      it.effect(`${provider}: ${name}: Transient · Network that names the cause below the cause`, () =>
        Effect.gen(function*() {
          const error = yield* askOver(provider, failing(cause))
          assert.strictEqual(verdictOf(error), "Transient · Network")
          assert.strictEqual(error.code, code)
          assert.isUndefined(error.status)
          const below = cause.cause instanceof AggregateError ? cause.cause.errors[0] : cause.cause
          const said = below instanceof Error ? below.message : ""
          assert.notStrictEqual(said, "")
          assert.include(error.description, said)
          assert.instanceOf(error.cause, Error)
          assert.include(String(error.cause), said)
        }))
    }
  }

  it.effect("a body that breaks off: Transient · Network", () =>
    Effect.gen(function*() {
      const body = () =>
        new ReadableStream<Uint8Array>({
          start(controller) {
            controller.enqueue(new TextEncoder().encode('{"choices":[{"mess'))
            controller.error(
              Object.assign(new TypeError("terminated"), { cause: error("other side closed", "UND_ERR_SOCKET") })
            )
          }
        })
      const client = HttpClient.make((request) =>
        Effect.sync(() => HttpClientResponse.fromWeb(request, new Response(body())))
      )
      const failure = yield* askOver("openai", client)
      assert.strictEqual(verdictOf(failure), "Transient · Network")
      assert.strictEqual(failure.code, "UND_ERR_SOCKET")
      assert.include(failure.description, "other side closed")
    }))

  it.effect("a cause that is not an error still gives a description", () =>
    Effect.gen(function*() {
      const failure = yield* askOver("openai", failing("gone"))
      assert.strictEqual(verdictOf(failure), "Transient · Network")
      assert.notStrictEqual(failure.description, "")
    }))
})

// A client whose first request hangs where it is told to, and says when the request was given up.
const hanging = (where: "before the answer" | "inside of it") => {
  const seen = { requests: 0, closed: 0 }
  const client = HttpClient.make((request, _url, signal) => {
    seen.requests++
    if (where === "before the answer") {
      signal.addEventListener("abort", () => seen.closed++)
      return Effect.never
    }
    // As fetch does it: a body that is given up ends the request, and a request that is aborted ends the body.
    let open = true
    const close = () => {
      if (open) seen.closed++
      open = false
    }
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode('{"choices":')),
      cancel: close
    })
    signal.addEventListener("abort", close)
    return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(body)))
  })
  return { seen, layer: Layer.succeed(HttpClient.HttpClient, client) }
}

describe("14: our own clock", () => {
  const ninety = { total: "90 seconds", bytes: "2 minutes" } as const
  const timeouts = {
    anthropic: Anthropic.layer({ apiKey, model: models.anthropic, timeouts: ninety }),
    openai: OpenAi.layer({ apiKey, api: "chat", model: models.openai, timeouts: ninety }),
    gemini: Gemini.layer({ apiKey, model: models.gemini, timeouts: ninety }),
    openrouter: OpenRouter.layer({ apiKey, model: models.openrouter, timeouts: ninety })
  }

  const run = (
    layer: Layer.Layer<LLMClient.LLMClient, never, HttpClient.HttpClient>,
    where: Parameters<typeof hanging>[0],
    after: Duration.Input
  ) =>
    Effect.gen(function*() {
      const { layer: client, seen } = hanging(where)
      const fiber = yield* LLMClient.completion(question).pipe(
        Effect.provide(Layer.provide(layer, client)),
        Effect.exit,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust(after)
      const exit = fiber.pollUnsafe()
      yield* Fiber.interrupt(fiber)
      return { error: exit && Exit.isSuccess(exit) ? Exit.findErrorOption(exit.value) : undefined, seen }
    })

  for (const provider of providers) {
    for (const where of ["before the answer", "inside of it"] as const) {
      it.effect(`${provider}: ${where}: says which one, and how long it was`, () =>
        Effect.gen(function*() {
          const { error, seen } = yield* run(timeouts[provider], where, "90 seconds")
          assert.isTrue(error?._tag === "Some")
          if (error?._tag !== "Some") return
          assert.strictEqual(verdictOf(error.value), "Transient · Timeout")
          assert.strictEqual(error.value.description, "total timeout after 1m 30s")
          assert.strictEqual(error.value.model, models[provider])
          assert.deepStrictEqual(seen, { requests: 1, closed: 1 })
        }))
    }
  }

  it.effect("does not run out before its time", () =>
    Effect.gen(function*() {
      const { error } = yield* run(timeouts.openai, "before the answer", "89 seconds")
      assert.isUndefined(error)
    }))

  it.effect("is 10 minutes for a whole answer unless set, and 5 without progress for a stream", () =>
    Effect.gen(function*() {
      const before = yield* run(layers.openai, "before the answer", Duration.millis(10 * 60_000 - 1))
      assert.isUndefined(before.error)
      const { error } = yield* run(layers.openai, "before the answer", "10 minutes")
      assert.strictEqual(error?._tag === "Some" && error.value.description, "total timeout after 10m")
      const streamed = yield* run(streaming.openai, "inside of it", "5 minutes")
      assert.strictEqual(
        streamed.error?._tag === "Some" && streamed.error.value.description,
        "progress timeout after 5m"
      )
    }))

  it.effect("is off with timeouts: false", () =>
    Effect.gen(function*() {
      const layer = OpenAi.layer({ apiKey, api: "chat", model: models.openai, timeouts: false })
      const { error } = yield* run(layer, "before the answer", "365 days")
      assert.isUndefined(error)
    }))
})

const inChoice = (error: Json) => chatAnswer({ content: "The answer" }, "error", { error })

row("18: an error inside a 200", [
  ...([
    ["a number", 429, "RateLimit · Unknown"],
    ["a numeric string", "429", "RateLimit · Unknown"],
    ["a number", 503, "Transient · Overloaded"],
    ["a numeric string", "502", "Transient · Server"],
    ["a number", 400, "ClientError · InvalidRequest"],
    ["a numeric string", "401", "ClientError · Authentication"],
    ["a number", 402, "ClientError · Quota"],
    ["a numeric string", "404", "ClientError · NotFound"]
  ] as const).flatMap(([name, code, is]): ReadonlyArray<Failure> => [
    {
      name: `top level, its code ${name}: ${code}`,
      provider: "openrouter",
      body: routerError(code, "Something happened"),
      is,
      errorStatus: Number(code),
      says: "Something happened"
    },
    {
      name: `top level, its code ${name}: ${code}`,
      provider: "openai",
      body: openAiError("Something happened", null, code),
      is,
      errorStatus: Number(code)
    },
    {
      name: `in the choice, its code ${name}: ${code}`,
      provider: "openrouter",
      body: inChoice({ code, message: "Something happened" }),
      is,
      errorStatus: Number(code),
      partial: true,
      says: "Something happened"
    }
  ]),
  {
    name: "top level, its code a word",
    provider: "openrouter",
    body: routerError("server_error", "Something happened"),
    is: "Transient · Server",
    code: "server_error"
  },
  {
    name: "in the choice, its code a word",
    provider: "openrouter",
    body: inChoice({ code: "rate_limit_exceeded", message: "Something happened" }),
    is: "RateLimit · Unknown",
    code: "rate_limit_exceeded",
    partial: true
  },
  {
    name: "error_type beside a code",
    provider: "openrouter",
    body: routerError(429, "Something happened", { error_type: "provider_overloaded" }),
    is: "Transient · Overloaded",
    code: "provider_overloaded",
    errorStatus: 429
  },
  {
    name: "in the choice, error_type beside a code",
    provider: "openrouter",
    body: inChoice({ code: 502, message: "Upstream failed", metadata: { error_type: "timeout" } }),
    is: "Transient · Server",
    code: "timeout",
    errorStatus: 502,
    partial: true
  },
  {
    name: "finish_reason error without an error",
    provider: "openrouter",
    body: chatAnswer({ content: "The ans" }, "error"),
    is: "Transient · Server",
    partial: true
  },
  {
    name: "finish_reason error without an error",
    provider: "openai",
    body: chatAnswer({ content: null }, "error"),
    is: "Transient · Server",
    partial: true
  },
  {
    name: "a word that is not known, and nothing else",
    provider: "openai",
    body: openAiError("Something happened", "brand_new_error"),
    is: "Transient · Server",
    code: "brand_new_error"
  },
  {
    name: "a text for an error",
    provider: "openai",
    body: { error: "model is loading" },
    is: "Transient · Server",
    says: "model is loading"
  },
  {
    name: "an error beside an empty list of choices",
    provider: "openrouter",
    body: { ...chatAnswer({}, null), choices: [], error: { code: 524, message: "Provider timed out" } },
    is: "Transient · Server",
    errorStatus: 524,
    partial: true,
    says: "Provider timed out"
  },
  {
    name: "a code that is no status stays a code",
    provider: "openai",
    status: 400,
    body: openAiError("Service has failed", null, "1500"),
    is: "ClientError · InvalidRequest",
    code: "1500"
  },
  {
    name: "a code that is no whole number",
    provider: "openrouter",
    body: routerError(429.5, "Something happened"),
    is: "Transient · Server",
    code: "429.5"
  },
  {
    name: "invalid_request_error without a status",
    provider: "anthropic",
    body: anthropicError("invalid_request_error", "messages: at least one message is required"),
    is: "ClientError · InvalidRequest",
    code: "invalid_request_error",
    requestId: "req_body"
  },
  {
    name: "an error",
    provider: "gemini",
    body: geminiError(503, "UNAVAILABLE", "The model is overloaded."),
    is: "Transient · Overloaded",
    code: "UNAVAILABLE",
    errorStatus: 503
  },
  {
    name: "an error in an array",
    provider: "gemini",
    body: [geminiError(400, "INVALID_ARGUMENT", "Request contains an invalid argument.")],
    is: "ClientError · InvalidRequest",
    code: "INVALID_ARGUMENT",
    errorStatus: 400
  }
])

row("19: providers that say not to retry", [
  {
    name: "availability.retryable false",
    provider: "openrouter",
    status: 429,
    body: { error: { code: 429, message: "Rate limited", availability: { retryable: false, retry_after: 7 } } },
    is: "RateLimit · Unknown",
    retryable: false,
    retryAfter: "7 seconds"
  },
  {
    name: "availability.retryable false in metadata",
    provider: "openrouter",
    status: 503,
    body: routerError(503, "Unavailable", { availability: { retryable: false } }),
    is: "Transient · Overloaded",
    retryable: false
  },
  {
    name: "availability.retryable true adds nothing",
    provider: "openrouter",
    status: 503,
    body: routerError(503, "Unavailable", { availability: { retryable: true } }),
    is: "Transient · Overloaded"
  },
  ...everywhere({
    name: "x-should-retry: false",
    status: 500,
    headers: { "x-should-retry": "false" },
    body: page,
    is: "Transient · Server",
    retryable: false
  }),
  ...everywhere({
    name: "x-should-retry: true adds nothing",
    status: 400,
    headers: { "x-should-retry": "true" },
    body: page,
    is: "ClientError · InvalidRequest"
  })
])

row('20: OpenRouter\'s "Provider returned error"', [
  {
    name: "raw holds JSON",
    provider: "openrouter",
    status: 429,
    body: routerError(429, "Provider returned error", {
      raw: JSON.stringify({ error: { message: "Too many tokens for this minute", type: "tokens" } }),
      provider_name: "Azure"
    }),
    is: "RateLimit · Unknown",
    says: "Azure: Too many tokens for this minute"
  },
  {
    name: "raw holds JSON with the message at its top",
    provider: "openrouter",
    status: 400,
    body: routerError(400, "Provider returned error", {
      raw: JSON.stringify({ object: "error", message: "Temperature must be at most 1" }),
      provider_name: "Mistral"
    }),
    is: "ClientError · InvalidRequest",
    says: "Mistral: Temperature must be at most 1"
  },
  {
    name: "raw is plain text",
    provider: "openrouter",
    status: 502,
    body: routerError(502, "Provider returned error", { raw: "upstream connect error", provider_name: "Together" }),
    is: "Transient · Server",
    says: "Together: upstream connect error"
  },
  {
    name: "raw without a provider",
    provider: "openrouter",
    status: 502,
    body: routerError(502, "Provider returned error", { raw: "upstream connect error" }),
    is: "Transient · Server",
    says: "upstream connect error"
  },
  {
    name: "raw inside a 200",
    provider: "openrouter",
    body: inChoice({
      code: 429,
      message: "Provider returned error",
      metadata: { raw: "slow down", provider_name: "Groq" }
    }),
    is: "RateLimit · Unknown",
    errorStatus: 429,
    partial: true,
    says: "Groq: slow down"
  },
  {
    name: "no raw",
    provider: "openrouter",
    status: 502,
    body: routerError(502, "Provider returned error", { provider_name: "Azure" }),
    is: "Transient · Server",
    says: "Provider returned error"
  }
])

row("21: statuses", [
  ...[400, 405, 406, 412, 415, 418, 422, 428, 431, 451].flatMap((status) =>
    everywhere({ name: `a bare ${status}`, status, body: page, is: "ClientError · InvalidRequest" })
  ),
  ...([
    [401, "Authentication"],
    [402, "Quota"],
    [403, "Permission"],
    [404, "NotFound"],
    [410, "NotFound"],
    [413, "TooLarge"]
  ] as const).flatMap(([status, reason]) => [
    ...everywhere({ name: `a bare ${status}`, status, body: "", is: `ClientError · ${reason}` }),
    ...everywhere({ name: `a ${status} with a page`, status, body: page, is: `ClientError · ${reason}` })
  ]),
  ...everywhere({
    name: "a redirect, which is not followed",
    status: 307,
    body: "",
    is: "ClientError · InvalidRequest"
  })
])

row("21: words", [
  ...([
    ["invalid_request_error", 400, "InvalidRequest"],
    ["authentication_error", 401, "Authentication"],
    ["permission_error", 403, "Permission"],
    ["not_found_error", 404, "NotFound"],
    ["request_too_large", 413, "TooLarge"]
  ] as const).map(([type, status, reason]): Failure => ({
    name: type,
    provider: "anthropic",
    status,
    body: anthropicError(type, "Something about it"),
    is: `ClientError · ${reason}`,
    code: type,
    requestId: "req_body",
    says: "Something about it"
  })),
  {
    name: "an invalid key, with the status in the body too",
    provider: "openai",
    status: 401,
    headers: { "content-type": "text/plain" },
    body: {
      error: {
        message: "Incorrect API key provided",
        type: "invalid_request_error",
        code: "invalid_api_key",
        param: null
      },
      status: 401
    },
    is: "ClientError · Authentication",
    code: "invalid_api_key"
  },
  {
    name: "model_not_found",
    provider: "openai",
    status: 404,
    body: openAiError("The model `gpt-9` does not exist", "invalid_request_error", "model_not_found"),
    is: "ClientError · NotFound",
    code: "model_not_found"
  },
  {
    name: "model_not_found beside a 400",
    provider: "openai",
    status: 400,
    body: openAiError("The requested model 'gpt-9' does not exist.", "invalid_request_error", "model_not_found"),
    is: "ClientError · NotFound",
    code: "model_not_found"
  },
  {
    name: "a code that is not known beside a weak type",
    provider: "openai",
    status: 400,
    body: openAiError("Invalid 'temperature'", "invalid_request_error", "decimal_above_max_value"),
    is: "ClientError · InvalidRequest",
    code: "decimal_above_max_value"
  },
  {
    name: "a status beats invalid_request_error",
    provider: "openai",
    status: 403,
    body: openAiError("Forbidden", "invalid_request_error", "forbidden"),
    is: "ClientError · Permission",
    code: "forbidden"
  },
  {
    name: "an error at the top of the body, with the model's name",
    provider: "openai",
    status: 400,
    body: { object: "error", message: "Invalid model: tiny", type: "invalid_model", param: null, code: "1500" },
    is: "ClientError · NotFound",
    code: "invalid_model",
    says: "Invalid model: tiny"
  },
  {
    name: "a text for an error",
    provider: "openai",
    status: 404,
    body: { error: "Specified model not found: tiny" },
    is: "ClientError · NotFound",
    says: "Specified model not found: tiny"
  },
  {
    name: "a detail for an error",
    provider: "openai",
    status: 422,
    body: { detail: "messages: field required" },
    is: "ClientError · InvalidRequest",
    says: "messages: field required"
  },
  {
    name: "an invalid key, which is a 400",
    provider: "gemini",
    status: 400,
    body: geminiError(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", [
      { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: "API_KEY_INVALID", domain: "googleapis.com" }
    ]),
    is: "ClientError · Authentication",
    code: "API_KEY_INVALID"
  },
  {
    name: "INVALID_ARGUMENT",
    provider: "gemini",
    status: 400,
    body: geminiError(400, "INVALID_ARGUMENT", "Invalid value at 'generation_config'"),
    is: "ClientError · InvalidRequest",
    code: "INVALID_ARGUMENT"
  },
  {
    name: "FAILED_PRECONDITION",
    provider: "gemini",
    status: 400,
    body: geminiError(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
    is: "ClientError · InvalidRequest",
    code: "FAILED_PRECONDITION"
  },
  {
    name: "PERMISSION_DENIED",
    provider: "gemini",
    status: 403,
    body: geminiError(403, "PERMISSION_DENIED", "Your API key was reported as leaked."),
    is: "ClientError · Permission",
    code: "PERMISSION_DENIED"
  },
  {
    name: "NOT_FOUND",
    provider: "gemini",
    status: 404,
    body: geminiError(404, "NOT_FOUND", "models/gemini-9 is not found for API version v1beta"),
    is: "ClientError · NotFound",
    code: "NOT_FOUND"
  },
  {
    name: "a code and a message",
    provider: "openrouter",
    status: 400,
    body: routerError(400, "openai/gpt-99 is not a valid model ID"),
    is: "ClientError · InvalidRequest",
    says: "openai/gpt-99 is not a valid model ID"
  },
  {
    name: "error_type invalid_request",
    provider: "openrouter",
    status: 400,
    body: routerError(400, "Bad parameters", { error_type: "invalid_request" }),
    is: "ClientError · InvalidRequest",
    code: "invalid_request"
  }
])

row("22: a conversation that is too long", [
  {
    name: "context_length_exceeded",
    provider: "openai",
    status: 400,
    body: openAiError(
      "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
      "invalid_request_error",
      "context_length_exceeded"
    ),
    is: "ClientError · ContextWindow",
    code: "context_length_exceeded"
  },
  {
    name: "context_length_exceeded inside a 200",
    provider: "openai",
    body: openAiError("Your input exceeds the context window", "invalid_request_error", "context_length_exceeded"),
    is: "ClientError · ContextWindow",
    code: "context_length_exceeded"
  },
  {
    name: "a number of tokens, and no code",
    provider: "openai",
    status: 400,
    body: openAiError("This model's maximum context length is 32768 tokens.", "BadRequestError", 400),
    is: "ClientError · ContextWindow",
    code: "BadRequestError"
  },
  {
    name: "exceed_context_size_error of a local server",
    provider: "openai",
    status: 400,
    body: openAiError("the request exceeds the available context size", "exceed_context_size_error", 400),
    is: "ClientError · ContextWindow",
    code: "exceed_context_size_error"
  },
  {
    name: "prompt is too long",
    provider: "anthropic",
    status: 400,
    body: anthropicError("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
    is: "ClientError · ContextWindow",
    code: "invalid_request_error",
    requestId: "req_body"
  },
  {
    name: "prompt is too long inside a 200",
    provider: "anthropic",
    body: anthropicError("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
    is: "ClientError · ContextWindow",
    code: "invalid_request_error",
    requestId: "req_body"
  },
  {
    name: "stop reason model_context_window_exceeded without content",
    provider: "anthropic",
    body: anthropicAnswer([], "model_context_window_exceeded"),
    is: "ClientError · ContextWindow",
    partial: true
  },
  {
    name: "input token count exceeds the maximum",
    provider: "gemini",
    status: 400,
    body: geminiError(
      400,
      "INVALID_ARGUMENT",
      "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
    ),
    is: "ClientError · ContextWindow",
    code: "INVALID_ARGUMENT"
  },
  {
    name: "error_type context_length_exceeded",
    provider: "openrouter",
    status: 400,
    body: routerError(400, "Too long", { error_type: "context_length_exceeded" }),
    is: "ClientError · ContextWindow",
    code: "context_length_exceeded"
  },
  {
    name: "the endpoint's maximum context length",
    provider: "openrouter",
    status: 400,
    body: routerError(400, "This endpoint's maximum context length is 131072 tokens. However, you requested 150000."),
    is: "ClientError · ContextWindow"
  },
  {
    name: "prompt is too long, said by the provider behind it",
    provider: "openrouter",
    status: 400,
    body: routerError(400, "Provider returned error", {
      error_type: "invalid_request",
      raw: JSON.stringify(anthropicError("invalid_request_error", "prompt is too long: 210000 tokens > 200000")),
      provider_name: "Anthropic"
    }),
    is: "ClientError · ContextWindow",
    code: "invalid_request",
    says: "Anthropic: prompt is too long"
  }
])

const geminiFilters = ["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY"]

const rating = { category: "HARM_CATEGORY_HARASSMENT", probability: "HIGH", blocked: true }

row("23: filters that left nothing", [
  {
    name: "promptFeedback.blockReason",
    provider: "gemini",
    body: {
      promptFeedback: { blockReason: "SAFETY", safetyRatings: [rating] },
      usageMetadata: { promptTokenCount: read, candidatesTokenCount: written, totalTokenCount: read + written },
      modelVersion: models.gemini
    },
    is: "ClientError · ContentFilter",
    partial: true,
    says: "SAFETY, HARM_CATEGORY_HARASSMENT"
  },
  {
    name: "promptFeedback.blockReason beside an empty candidate",
    provider: "gemini",
    body: { ...geminiAnswer(undefined, "STOP"), candidates: [], promptFeedback: { blockReason: "PROHIBITED_CONTENT" } },
    is: "ClientError · ContentFilter",
    partial: true,
    says: "PROHIBITED_CONTENT"
  },
  ...geminiFilters.flatMap((finish): ReadonlyArray<Failure> => [
    {
      name: `finish ${finish}`,
      provider: "gemini",
      body: geminiAnswer(undefined, finish, { safetyRatings: [rating] }),
      is: "ClientError · ContentFilter",
      partial: true,
      says: `${finish}, HARM_CATEGORY_HARASSMENT`
    },
    {
      name: `finish ${finish} after thoughts`,
      provider: "gemini",
      body: geminiAnswer([{ text: "Let me see", thought: true }], finish),
      is: "ClientError · ContentFilter",
      partial: true,
      says: finish
    }
  ]),
  ...(["openai", "openrouter"] as const).map((provider): Failure => ({
    name: "finish content_filter",
    provider,
    body: chatAnswer({ content: "" }, "content_filter"),
    is: "ClientError · ContentFilter",
    partial: true,
    says: "content_filter"
  })),
  {
    name: "400 content_filter",
    provider: "openai",
    status: 400,
    body: openAiError("The response was filtered", null, "content_filter"),
    is: "ClientError · ContentFilter",
    code: "content_filter"
  },
  {
    name: "400 content_policy_violation",
    provider: "openai",
    status: 400,
    body: openAiError("Rejected by the safety system", "invalid_request_error", "content_policy_violation"),
    is: "ClientError · ContentFilter",
    code: "content_policy_violation"
  },
  {
    name: "refusal, with its category",
    provider: "anthropic",
    body: anthropicAnswer([], "refusal", { stop_details: { type: "refusal", category: "cyber", explanation: "No." } }),
    is: "ClientError · ContentFilter",
    partial: true,
    says: "cyber"
  },
  {
    name: "refusal without a category",
    provider: "anthropic",
    body: anthropicAnswer([], "refusal", { stop_details: null }),
    is: "ClientError · ContentFilter",
    partial: true,
    says: "refusal"
  },
  {
    name: "moderation",
    provider: "openrouter",
    status: 403,
    body: routerError(403, "Your input was flagged", {
      reasons: ["violence"],
      flagged_input: "how to",
      provider_name: "OpenAI",
      model_slug: "openai/gpt-5"
    }),
    is: "ClientError · ContentFilter",
    says: "violence"
  }
])

const openAiCall = (args: unknown, name = "weather") => ({
  tool_calls: [{ id: "call_1", type: "function", function: { name, arguments: args } }]
})

const chats = ["openai", "openrouter"] as const

row("25: malformed tool calls", [
  ...["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"].map((finish): Failure => ({
    name: finish,
    provider: "gemini",
    body: geminiAnswer(undefined, finish, { finishMessage: "print(weather('Paris'))" }),
    is: "EmptyResponse · MalformedToolCall",
    partial: true,
    says: finish
  })),
  {
    name: "MALFORMED_FUNCTION_CALL even with text",
    provider: "gemini",
    body: geminiAnswer([{ text: "Let me look that up." }], "MALFORMED_FUNCTION_CALL"),
    is: "EmptyResponse · MalformedToolCall",
    partial: true
  },
  ...chats.flatMap((provider) =>
    ["tool_calls", "stop"].map((finish): Failure => ({
      name: `arguments that are not JSON, finish ${finish}`,
      provider,
      body: chatAnswer(openAiCall('{"city": "Par'), finish),
      is: "EmptyResponse · MalformedToolCall",
      partial: true,
      says: "weather"
    }))
  ),
  ...chats.map((provider): Failure => ({
    name: "one of two calls is not JSON",
    provider,
    body: chatAnswer({
      content: "I look it up.",
      tool_calls: [...openAiCall("{}").tool_calls, ...openAiCall("{city: Paris}", "time").tool_calls]
    }, "tool_calls"),
    is: "EmptyResponse · MalformedToolCall",
    partial: true,
    says: "time"
  }))
])

row("26: answers without an answer", [
  {
    name: "end_turn with no content",
    provider: "anthropic",
    body: anthropicAnswer([], "end_turn"),
    is: "EmptyResponse · NoContent",
    partial: true
  },
  {
    name: "end_turn with an empty text",
    provider: "anthropic",
    body: anthropicAnswer([{ type: "text", text: "" }], "end_turn"),
    is: "EmptyResponse · NoContent",
    partial: true
  },
  {
    name: "end_turn with nothing but thinking",
    provider: "anthropic",
    body: anthropicAnswer([{ type: "thinking", thinking: "Hm", signature: "sig" }], "end_turn"),
    is: "EmptyResponse · NoContent",
    partial: true
  },
  ...chats.flatMap((provider): ReadonlyArray<Failure> => [
    {
      name: "choices: []",
      provider,
      body: { ...chatAnswer({}, "stop"), choices: [] },
      is: "EmptyResponse · NoContent",
      partial: true
    },
    {
      name: "choices: [] after a tool result",
      provider,
      body: { ...chatAnswer({}, "stop"), choices: [] },
      completion: afterToolResult,
      is: "EmptyResponse · NoContent",
      partial: true
    },
    {
      name: "an empty text",
      provider,
      body: chatAnswer({ content: "" }, "stop"),
      is: "EmptyResponse · NoContent",
      partial: true
    },
    {
      name: "no text",
      provider,
      body: chatAnswer({ content: null }, "stop"),
      is: "EmptyResponse · NoContent",
      partial: true
    },
    {
      name: "reasoning alone",
      provider,
      body: chatAnswer({ content: "", reasoning: "Hm" }, "stop"),
      is: "EmptyResponse · NoContent",
      partial: true
    },
    {
      name: "no text and no finish reason",
      provider,
      body: chatAnswer({ content: null }, null),
      is: "EmptyResponse · NoContent",
      partial: true
    }
  ]),
  {
    name: "STOP without parts",
    provider: "gemini",
    body: geminiAnswer(undefined, "STOP"),
    is: "EmptyResponse · NoContent",
    partial: true
  },
  {
    name: "STOP with nothing but thoughts",
    provider: "gemini",
    body: geminiAnswer([{ text: "Hm", thought: true }], "STOP"),
    is: "EmptyResponse · NoContent",
    partial: true
  },
  ...([undefined, []] as const).map((candidates): Failure => ({
    name: `candidates ${JSON.stringify(candidates)} without a block reason`,
    provider: "gemini",
    body: { ...geminiAnswer(undefined, "STOP"), candidates },
    is: "EmptyResponse · NoContent",
    partial: true
  })),
  {
    name: "no candidates after a tool result",
    provider: "gemini",
    body: { ...geminiAnswer(undefined, "STOP"), candidates: undefined },
    completion: afterToolResult,
    is: "EmptyResponse · NoContent",
    partial: true
  }
])

row("28: a budget that went to reasoning", [
  {
    name: "max_tokens with no content",
    provider: "anthropic",
    body: anthropicAnswer([], "max_tokens"),
    is: "ClientError · OutputBudget",
    partial: true
  },
  {
    name: "max_tokens with nothing but thinking",
    provider: "anthropic",
    body: anthropicAnswer([{ type: "thinking", thinking: "Hm", signature: "sig" }], "max_tokens"),
    is: "ClientError · OutputBudget",
    partial: true,
    says: "maxTokens"
  },
  {
    name: "max_tokens after a tool result",
    provider: "anthropic",
    body: anthropicAnswer([], "max_tokens"),
    completion: afterToolResult,
    is: "ClientError · OutputBudget",
    partial: true
  },
  {
    name: "a tool call that was cut",
    provider: "anthropic",
    body: anthropicAnswer([{ type: "tool_use", id: "toolu_1", name: "weather", input: {} }], "max_tokens"),
    is: "ClientError · OutputBudget",
    partial: true
  },
  ...chats.flatMap((provider): ReadonlyArray<Failure> => [
    {
      name: "length with no text",
      provider,
      body: chatAnswer({ content: "" }, "length"),
      is: "ClientError · OutputBudget",
      partial: true
    },
    {
      name: "length with nothing but reasoning",
      provider,
      body: chatAnswer({ content: null, reasoning: "Hm" }, "length"),
      is: "ClientError · OutputBudget",
      partial: true
    },
    {
      name: "a tool call that was cut",
      provider,
      body: chatAnswer(openAiCall('{"city": "Par'), "length"),
      is: "ClientError · OutputBudget",
      partial: true
    }
  ]),
  {
    name: "only the word of the provider behind it says that the call was cut",
    provider: "openrouter",
    body: chatAnswer(openAiCall('{"city": "Par'), "tool_calls", { native_finish_reason: "max_output_tokens" }),
    is: "ClientError · OutputBudget",
    partial: true
  },
  {
    name: "MAX_TOKENS without parts",
    provider: "gemini",
    body: geminiAnswer(undefined, "MAX_TOKENS"),
    is: "ClientError · OutputBudget",
    partial: true
  },
  {
    name: "MAX_TOKENS with nothing but thoughts",
    provider: "gemini",
    body: geminiAnswer([{ text: "Hm", thought: true }], "MAX_TOKENS"),
    is: "ClientError · OutputBudget",
    partial: true
  }
])

const noAnswers: ReadonlyArray<readonly [name: string, body: unknown, says: string, streamed: Verdict, says: string]> =
  [
    ["a page", page, "not JSON", "Transient · Malformed", "not an event stream"],
    // A stream of nothing is one that broke off before its first event.
    ["nothing", "", "no body", "Transient · Truncated", "ended before"],
    ["blanks", " \n", "no body", "Transient · Truncated", "ended before"],
    ["half of a JSON text", '{"id": "x", "choi', "not JSON", "Transient · Malformed", "not an event stream"],
    ["an empty object", {}, "lacks", "Transient · Malformed", "lacks"],
    ["an object of another kind", { object: "list", data: [] }, "lacks", "Transient · Malformed", "lacks"],
    ["null", null, "lacks", "Transient · Malformed", "not an event stream"],
    ["an array", [], "lacks", "Transient · Malformed", "not an event stream"],
    ["a text", '"hello"', "lacks", "Transient · Malformed", "not an event stream"],
    ["a number", 42, "lacks", "Transient · Malformed", "not an event stream"]
  ]

row("30: bodies that are no answer", [
  ...noAnswers.flatMap(([name, body, says, is, streamed]) =>
    ([["unary", "Transient · Malformed", says], ["stream", is, streamed]] as const).flatMap(([whole, is, says]) =>
      everywhere({
        name,
        body,
        whole,
        is,
        says,
        headers: { "x-request-id": "req_1" },
        requestId: "req_1"
      })
    )
  ),
  ...everywhere({
    name: "an event stream",
    body: "data: {}\n\ndata: [DONE]\n\n",
    whole: "unary",
    is: "Transient · Malformed",
    says: "not JSON"
  })
])

row(
  "33: an error that is nothing but words",
  [
    "Rate limit reached, please wait",
    "Too Many Requests",
    "You have exceeded the limit of tokens per minute",
    "Limit of 10 requests per minute reached"
  ].flatMap((message): ReadonlyArray<Failure> => [
    {
      name: `a message: ${message}`,
      provider: "openai",
      body: { error: { message } },
      is: "RateLimit · Unknown",
      says: message
    },
    {
      name: `a text: ${message}`,
      provider: "openai",
      body: { error: message },
      is: "RateLimit · Unknown",
      says: message
    }
  ])
)

// ---------------------------------------------------------------------------------------------------------------------
// The rows from 34 on; those of circuits (41), of Responses (45 to 49) and of Output (55) have tests of their own
// ---------------------------------------------------------------------------------------------------------------------

const detailed = (
  status: number,
  type: string,
  error_code: string,
  is: Verdict,
  more: Partial<Failure> = {}
): Failure => ({
  name: `${status} details.error_code ${error_code}`,
  provider: "anthropic",
  status,
  body: anthropicError(type, "It cannot be done.", { details: { error_code } }),
  is,
  code: error_code,
  requestId: "req_body",
  ...more
})

row("34: Anthropic's limit of a ramp", [
  detailed(429, "rate_limit_error", "ramp_limit_exceeded", "RateLimit · Unknown", {
    headers: { "retry-after": "30" },
    retryAfter: "30 seconds"
  })
])

row("35: further quotas of Anthropic", [
  detailed(429, "rate_limit_error", "contract_spend_limit_reached", "ClientError · Quota"),
  detailed(402, "billing_error", "linked_organization_suspended", "ClientError · Quota")
])

row("36: an organization or a key on hold", [
  detailed(400, "invalid_request_error", "organization_on_hold", "ClientError · Permission"),
  detailed(400, "invalid_request_error", "cmek_key_disabled", "ClientError · Permission")
])

row("37: what will be there again", [
  detailed(529, "overloaded_error", "compaction_unavailable", "Transient · Overloaded"),
  detailed(503, "api_error", "cmek_key_unreachable", "Transient · Overloaded")
])

row("38: 503 with a word that says no more than server error", [
  ...["server_error", "api_error", "internal_error"].flatMap((type): ReadonlyArray<Failure> => [
    {
      name: `type ${type}, code null`,
      provider: "openai",
      status: 503,
      body: openAiError("The server is busy", type),
      is: "Transient · Overloaded",
      code: type
    },
    {
      name: `type ${type} at 500`,
      provider: "openai",
      status: 500,
      body: openAiError("The server is busy", type),
      is: "Transient · Server",
      code: type
    }
  ]),
  {
    name: "api_error",
    provider: "anthropic",
    status: 503,
    body: anthropicError("api_error", "The server is busy"),
    is: "Transient · Overloaded",
    code: "api_error",
    requestId: "req_body"
  }
])

row("39: too large once it is unpacked", [
  detailed(413, "request_too_large", "request_body_too_large_after_decoding", "ClientError · TooLarge"),
  detailed(400, "invalid_request_error", "image_dimensions_too_large", "ClientError · TooLarge")
])

row("40: requests that contradict themselves", [
  ...[
    "compaction_block_invalid",
    "thread_busy",
    "tool_name_conflict",
    "tool_reference_unresolved",
    "available_tools_limit_exceeded"
  ].map((code) => detailed(400, "invalid_request_error", code, "ClientError · InvalidRequest")),
  detailed(404, "not_found_error", "thread_not_found", "ClientError · NotFound")
])

row("42: the limits of fast mode", [
  {
    name: "429 with nothing left of the fast tokens",
    provider: "anthropic",
    status: 429,
    // The test's clock begins with the epoch.
    headers: {
      "anthropic-fast-output-tokens-remaining": "0",
      "anthropic-fast-output-tokens-reset": "1970-01-01T00:00:17Z"
    },
    body: anthropicError("rate_limit_error", "Fast mode is at its limit."),
    is: "RateLimit · Capacity",
    code: "rate_limit_error",
    retryAfter: "17 seconds",
    requestId: "req_body"
  },
  {
    name: "429 with some of them left",
    provider: "anthropic",
    status: 429,
    headers: { "anthropic-fast-output-tokens-remaining": "10" },
    body: anthropicError("rate_limit_error", "Slow down."),
    is: "RateLimit · Unknown",
    code: "rate_limit_error",
    requestId: "req_body"
  }
])

describe("43: a refusal with details", () => {
  for (const whole of ["unary", "stream"] as const) {
    it.effect(`names its category and keeps the explanation (${whole})`, () =>
      Effect.gen(function*() {
        const stop_details = { type: "refusal", category: "cyber", explanation: "It may do harm." }
        const refused = (content: ReadonlyArray<Json>) => ({
          body: anthropicAnswer(content, "refusal", { stop_details })
        })
        const error = yield* Effect.flip(ask("anthropic", refused([]), question, whole))
        assert.strictEqual(verdictOf(error), "ClientError · ContentFilter")
        assert.include(error.description, "cyber")
        assert.deepStrictEqual(error.partial?.metadata?.["anthropic"], { stop_details })
        const answer = yield* ask("anthropic", refused([{ type: "text", text: "I" }]), question, whole)
        assert.deepStrictEqual(answer.finishReason, { _tag: "ContentFilter" })
        assert.deepStrictEqual(answer.metadata?.["anthropic"], { stop_details })
      }))
  }
})

row("44: what this model does not take", [
  ...["unsupported_value", "unsupported_parameter", "unknown_parameter"].map((code): Failure => ({
    name: `400 ${code}`,
    provider: "openai",
    status: 400,
    body: openAiError("It is not taken.", "invalid_request_error", code),
    is: "ClientError · Unsupported",
    code
  })),
  ...[
    "'temperature' is not supported for this model.",
    "Unsupported value: 'messages[0].role' does not support 'system': role 'system' is not supported with this model.",
    "Function tools with reasoning_effort are not supported for gpt-6 in /v1/chat/completions."
  ].flatMap((message) =>
    (["openai", "openrouter"] as const).map((provider): Failure => ({
      name: `400 ${message.slice(0, 40)}`,
      provider,
      status: 400,
      body: openAiError(message, "invalid_request_error"),
      is: "ClientError · Unsupported",
      code: "invalid_request_error"
    }))
  ),
  {
    name: "400 not supported for this model",
    provider: "gemini",
    status: 400,
    body: geminiError(400, "INVALID_ARGUMENT", "topK is not supported for this model."),
    is: "ClientError · Unsupported",
    code: "INVALID_ARGUMENT"
  },
  {
    name: "400 not supported on this model",
    provider: "anthropic",
    status: 400,
    body: anthropicError("invalid_request_error", "tool_choice: forcing is not supported on this model."),
    is: "ClientError · Unsupported",
    code: "invalid_request_error",
    requestId: "req_body"
  }
])

row(
  "50: a context that overflows, in words",
  [
    "Your input exceeds the context window of this model.",
    "This model's maximum prompt length is 131072 but the request contains 140000 tokens.",
    "Please reduce the length of the messages or completion.",
    "the request exceeds the available context size, try increasing it",
    "The number of tokens to keep is greater than the context length",
    "Your request exceeded model token limit: 262144",
    "Prompt contains 140001 tokens, too large for model with 131072 maximum context length",
    "The input (140001 tokens) is longer than the model's context length (131072 tokens).",
    "Requested tokens exceeded the model's context length",
    "Range of input length should be [1, 98304]",
    "invalid params, context window exceeds limit"
  ].flatMap((message): ReadonlyArray<Failure> => [
    {
      name: `400 ${message}`,
      provider: "openai",
      status: 400,
      body: openAiError(message, null),
      is: "ClientError · ContextWindow"
    },
    {
      name: `nothing but ${message}`,
      provider: "openrouter",
      body: { error: { message } },
      is: "ClientError · ContextWindow"
    }
  ])
)

row("50: a chat whose finish says so", [{
  name: "model_context_window_exceeded",
  provider: "openai",
  body: chatAnswer({ content: "" }, "model_context_window_exceeded"),
  is: "ClientError · ContextWindow",
  partial: true
}])

row("51: thinking of another conversation", [{
  name: "400 about a signature",
  provider: "anthropic",
  status: 400,
  body: anthropicError("invalid_request_error", "messages.1.content.0: Invalid `signature` in `thinking` block"),
  is: "ClientError · InvalidRequest",
  code: "invalid_request_error",
  requestId: "req_body"
}])

const routerTypes = {
  context_length_exceeded: "ClientError · ContextWindow",
  max_tokens_exceeded: "ClientError · ContextWindow",
  token_limit_exceeded: "ClientError · ContextWindow",
  string_too_long: "ClientError · ContextWindow",
  payload_too_large: "ClientError · TooLarge",
  content_policy_violation: "ClientError · ContentFilter",
  refusal: "ClientError · ContentFilter"
} as const satisfies Readonly<Record<string, Verdict>>

row("52: OpenRouter's types of errors", [
  ...Object.entries(routerTypes).map(([error_type, is]): Failure => ({
    name: error_type,
    provider: "openrouter",
    status: 400,
    body: routerError(400, "It cannot be done", { error_type }),
    is,
    code: error_type
  })),
  ...([[400, "ClientError · InvalidRequest"], [502, "Transient · Server"]] as const).map(([status, is]): Failure => ({
    name: `unmapped, by its status ${status}`,
    provider: "openrouter",
    status,
    body: routerError(status, "It cannot be done", { error_type: "unmapped" }),
    is,
    code: "unmapped"
  }))
])

row(
  "53: further filters of Gemini, without content",
  ["ESCALATION", "PUP_LIMITED_DISABLED", "MODEL_ARMOR"].map((finish): Failure => ({
    name: finish,
    provider: "gemini",
    body: geminiAnswer(undefined, finish),
    is: "ClientError · ContentFilter",
    partial: true,
    says: finish
  }))
)

describe("56: above the limits", () => {
  const small = { body: "1 KiB", event: "512 B" } as const
  const layersOf = (whole: Whole) => ({
    anthropic: Anthropic.layer({ apiKey, model: "m", whole, limits: small }),
    openai: OpenAi.layer({ apiKey, api: "chat", model: "m", whole, limits: small }),
    gemini: Gemini.layer({ apiKey, model: "m", whole, limits: small }),
    openrouter: OpenRouter.layer({ apiKey, model: "m", whole, limits: small })
  })
  const long = "x".repeat(2000)
  const values = JSON.stringify({ choices: Array.from({ length: 1_000_001 }, () => 0) })

  for (const provider of providers) {
    for (
      const [what, whole, layer, body, says] of [
        ["a body", "unary", layersOf("unary"), `{"a":"${long}"}`, "limits.body"],
        ["a body", "stream", layersOf("stream"), `: ${long}`, "limits.body"],
        ["an event", "stream", layersOf("stream"), `data: ${long.slice(0, 900)}`, "limits.event"],
        ["a number of values", "unary", layers, values, "1,000,000 JSON values"],
        ["a number of values", "stream", streaming, `data: ${values}\n\n`, "1,000,000 JSON values"]
      ] as const
    ) {
      it.effect(`${provider}: ${what}: Transient · Malformed, which is not sent again (${whole})`, () =>
        Effect.gen(function*() {
          const error = yield* LLMClient.completion(question).pipe(
            Effect.provide(Layer.provide(layer[provider], http(() => web({ body })))),
            Effect.flip
          )
          assert.strictEqual(verdictOf(error), "Transient · Malformed")
          assert.strictEqual(error.retryable, false)
          assert.include(error.description, says)
        }))
    }
  }
})

describe("32: requests that we refuse to send", () => {
  const audio = Message.audio(Message.base64("AAAA", "audio/wav"))
  const refused = [
    [
      "a kind of content that it does not take",
      "anthropic",
      { prompt: Message.user([audio]) },
      "ClientError · Unsupported"
    ],
    ["no prompt", "openai", { prompt: "" }, "ClientError · InvalidRequest"],
    ["a message without content", "gemini", { prompt: Message.user([]) }, "ClientError · InvalidRequest"],
    ["a budget of nothing", "openrouter", { prompt: "Hi", maxTokens: 0 }, "ClientError · InvalidRequest"]
  ] as const satisfies ReadonlyArray<readonly [string, Provider, Completion.Options, Verdict]>
  for (const [name, provider, options, is] of refused) {
    it.effect(`${provider}: ${name}: ${is}, and nothing is sent`, () =>
      Effect.gen(function*() {
        let sent = 0
        const client = http(() => {
          sent++
          return web({ body: textAnswer(provider, "Hello") })
        })
        const error = yield* LLMClient.completion(Completion.make(options)).pipe(
          Effect.provide(Layer.provide(layers[provider], client)),
          Effect.flip
        )
        assert.strictEqual(verdictOf(error), is)
        assert.isUndefined(error.status)
        assert.isUndefined(error.body)
        assert.strictEqual(sent, 0)
      }))
  }
})

// ---------------------------------------------------------------------------------------------------------------------
// Successes that look like failures
// ---------------------------------------------------------------------------------------------------------------------

interface Success {
  readonly name: string
  readonly provider: Provider
  readonly body: Json
  readonly completion?: Completion.Completion
  readonly finish: CompletionResponse.FinishReason["_tag"]
  /** The tags of the contents; one text unless given. */
  readonly choice?: ReadonlyArray<Message.AssistantContent["_tag"]>
}

const succeeds = (expected: Success) =>
  it.effect(`${expected.provider}: ${expected.name}: an answer`, () =>
    Effect.gen(function*() {
      const response = yield* ask(expected.provider, expected, expected.completion)
      assert.deepStrictEqual({
        finish: response.finishReason._tag,
        choice: response.choice.map(({ _tag }) => _tag),
        usage: [response.usage.inputTokens, response.usage.outputTokens]
      }, { finish: expected.finish, choice: expected.choice ?? ["Text"], usage: [read, written] })
    }))

const answers = (title: string, successes: ReadonlyArray<Success>) => describe(title, () => successes.forEach(succeeds))

answers("24: filters that left something", [
  ...geminiFilters.map((finish): Success => ({
    name: `finish ${finish}`,
    provider: "gemini",
    body: geminiAnswer([{ text: "Once upon" }], finish),
    finish: "ContentFilter"
  })),
  ...chats.flatMap((provider): ReadonlyArray<Success> => [
    {
      name: "finish content_filter",
      provider,
      body: chatAnswer({ content: "Once upon" }, "content_filter"),
      finish: "ContentFilter"
    },
    {
      name: "a refusal in words",
      provider,
      body: chatAnswer({ content: null, refusal: "I can't help with that." }, "content_filter"),
      finish: "ContentFilter"
    },
    {
      name: "a call beside content_filter is not what the answer ended for",
      provider,
      body: chatAnswer(openAiCall("{}"), "content_filter"),
      finish: "ContentFilter",
      choice: ["ToolCall"]
    }
  ]),
  {
    name: "refusal",
    provider: "anthropic",
    body: anthropicAnswer([{ type: "text", text: "Once upon" }], "refusal"),
    finish: "ContentFilter"
  }
])

answers("22, 28: answers that were cut", [
  {
    name: "max_tokens",
    provider: "anthropic",
    body: anthropicAnswer([{ type: "text", text: "Once upon" }], "max_tokens"),
    finish: "MaxTokens"
  },
  {
    name: "model_context_window_exceeded",
    provider: "anthropic",
    body: anthropicAnswer([{ type: "text", text: "Once upon" }], "model_context_window_exceeded"),
    finish: "MaxTokens"
  },
  ...["max_tokens", "model_context_window_exceeded"].map((stop_reason): Success => ({
    name: `${stop_reason} within a tool call, which is left out`,
    provider: "anthropic",
    body: anthropicAnswer([
      { type: "text", text: "I look it up." },
      { type: "tool_use", id: "toolu_1", name: "weather", input: {} }
    ], stop_reason),
    finish: "MaxTokens"
  })),
  ...chats.map((provider): Success => ({
    name: "length within a tool call, which is left out",
    provider,
    body: chatAnswer({ content: "I look it up.", ...openAiCall('{"city": "Par') }, "length"),
    finish: "MaxTokens"
  })),
  { name: "MAX_TOKENS", provider: "gemini", body: geminiAnswer([{ text: "Once" }], "MAX_TOKENS"), finish: "MaxTokens" }
])

answers("27: turns that may be empty", [
  {
    name: "end_turn with no content after a tool result",
    provider: "anthropic",
    body: anthropicAnswer([], "end_turn"),
    completion: afterToolResult,
    finish: "Stop",
    choice: []
  },
  ...chats.map((provider): Success => ({
    name: "stop with no text after a tool result",
    provider,
    body: chatAnswer({ content: "" }, "stop"),
    completion: afterToolResult,
    finish: "Stop",
    choice: []
  })),
  {
    name: "STOP without parts after a tool result",
    provider: "gemini",
    body: geminiAnswer(undefined, "STOP"),
    completion: afterToolResult,
    finish: "Stop",
    choice: []
  },
  {
    name: "a stop sequence that came at once",
    provider: "anthropic",
    body: anthropicAnswer([], "stop_sequence", { stop_sequence: "END" }),
    finish: "Stop",
    choice: []
  }
])

const png = "iVBORw0KGgo="

answers("29: output that is no text", [
  {
    name: "an image",
    provider: "gemini",
    body: geminiAnswer([{ inlineData: { mimeType: "image/png", data: png } }], "STOP"),
    finish: "Stop",
    choice: ["Image"]
  },
  {
    name: "code that was run",
    provider: "gemini",
    body: geminiAnswer([{ executableCode: { language: "PYTHON", code: "1 + 1" } }], "STOP"),
    finish: "Stop",
    choice: ["ProviderBlock"]
  },
  {
    name: "an image",
    provider: "openrouter",
    body: chatAnswer({
      content: "",
      images: [{ type: "image_url", image_url: { url: `data:image/png;base64,${png}` } }]
    }, "stop"),
    finish: "Stop",
    choice: ["Image"]
  },
  {
    name: "audio",
    provider: "openai",
    body: chatAnswer(
      { content: null, audio: { id: "audio_1", data: "AAAA", transcript: "Hi", expires_at: 0 } },
      "stop"
    ),
    finish: "Stop",
    choice: ["ProviderBlock"]
  },
  {
    name: "a block that is not known",
    provider: "anthropic",
    body: anthropicAnswer([{ type: "brand_new_block", payload: 1 }], "end_turn"),
    finish: "Stop",
    choice: ["ProviderBlock"]
  },
  {
    name: "a tool call",
    provider: "anthropic",
    body: anthropicAnswer([{ type: "tool_use", id: "toolu_1", name: "weather", input: {} }], "tool_use"),
    finish: "ToolUse",
    choice: ["ToolCall"]
  }
])

// ---------------------------------------------------------------------------------------------------------------------
// What words do not decide
// ---------------------------------------------------------------------------------------------------------------------

row("a message's words do not decide where a status or a code does", [
  ...everywhere({
    name: "a 400 that talks of a rate limit",
    status: 400,
    body: { error: { message: "Unknown parameter: rate limit. Too many requests per minute are configured." } },
    is: "ClientError · InvalidRequest"
  }),
  ...everywhere({
    name: "a 500 that talks of a 400, a 401 and a 429",
    status: 500,
    body: "upstream said 400 Bad Request, then 401, then 429 too many requests",
    is: "Transient · Server"
  }),
  ...everywhere({
    name: "a 401 that talks of an overload",
    status: 401,
    body: { error: { message: "Overloaded: rate limit exceeded, quota exceeded, prompt is too long" } },
    is: "ClientError · Authentication"
  }),
  ...everywhere({
    name: "a 429 that talks of quotas, billing and context",
    status: 429,
    body: { error: { message: "quota exceeded; insufficient_quota; prompt is too long; maximum context length" } },
    is: "RateLimit · Unknown"
  }),
  ...everywhere({
    name: "a 503 that talks of a context",
    status: 503,
    body: { error: { message: "the maximum context length is being raised, prompt is too long to wait" } },
    is: "Transient · Overloaded"
  }),
  {
    name: "Anthropic's words for a balance",
    provider: "openai",
    status: 400,
    body: openAiError("Your credit balance is too low", "invalid_request_error"),
    is: "ClientError · InvalidRequest",
    code: "invalid_request_error"
  },
  {
    name: "OpenRouter's words for free models",
    provider: "openai",
    status: 429,
    body: openAiError("Rate limit exceeded: free-models-per-day", "requests"),
    is: "RateLimit · Requests",
    code: "requests"
  },
  {
    name: "a code beats the words for a context",
    provider: "openai",
    status: 400,
    body: openAiError("Filtered. (A shorter one would do: the prompt is too long.)", null, "content_filter"),
    is: "ClientError · ContentFilter",
    code: "content_filter"
  },
  {
    name: "a code without a status beats the words for a limit",
    provider: "openai",
    body: openAiError("Too many requests for this tier: rate limit", "server_error"),
    is: "Transient · Server",
    code: "server_error"
  },
  {
    name: "a type that is not known is no invitation to read the words",
    provider: "openai",
    body: openAiError("rate limit", "brand_new_error"),
    is: "Transient · Server",
    code: "brand_new_error"
  },
  {
    name: "a status inside the body beats the words",
    provider: "openrouter",
    body: routerError(400, "Provider returned error: rate limit"),
    is: "ClientError · InvalidRequest",
    errorStatus: 400
  }
])

describe("a model's own words are an answer", () => {
  for (const provider of providers) {
    for (
      const text of [
        "rate limit exceeded",
        "Error: 429 Too Many Requests",
        '{"error":{"code":500,"message":"Internal error"}}',
        "prompt is too long"
      ]
    ) {
      it.effect(`${provider}: ${text}`, () =>
        Effect.gen(function*() {
          const response = yield* ask(provider, { body: textAnswer(provider, text) })
          assert.strictEqual(response.text, text)
          assert.strictEqual(response.finishReason._tag, "Stop")
        }))
    }
    it.effect(`${provider}: an error that is null is ignored`, () =>
      Effect.gen(function*() {
        const response = yield* ask(provider, { body: { ...textAnswer(provider, "Hello"), error: null } })
        assert.strictEqual(response.text, "Hello")
      }))
  }
})

// ---------------------------------------------------------------------------------------------------------------------
// Interruption
// ---------------------------------------------------------------------------------------------------------------------

describe("31: interruption by the caller", () => {
  for (const provider of providers) {
    for (const where of ["before the answer", "inside of it"] as const) {
      it.effect(`${provider}: ${where}: is no error, and the request is closed`, () =>
        Effect.gen(function*() {
          const { layer, seen } = hanging(where)
          const failed = yield* Ref.make(false)
          const fiber = yield* LLMClient.completion(question).pipe(
            Effect.tapError(() => Ref.set(failed, true)),
            Effect.provide(Retry.layer().pipe(Layer.provide(layers[provider]), Layer.provide(layer))),
            Effect.forkChild({ startImmediately: true })
          )
          // Lets the request be sent, and its body be waited for.
          yield* TestClock.adjust("1 second")
          assert.strictEqual(seen.requests, 1)
          yield* Fiber.interrupt(fiber)
          const exit = yield* Fiber.await(fiber)
          assert.isTrue(Exit.hasInterrupts(exit))
          assert.isFalse(Exit.hasFails(exit))
          assert.isFalse(yield* Ref.get(failed))
          assert.deepStrictEqual(seen, { requests: 1, closed: 1 })
        }))
    }
  }
})

// ---------------------------------------------------------------------------------------------------------------------
// What an error carries
// ---------------------------------------------------------------------------------------------------------------------

describe("an error", () => {
  it.effect("renders in one line", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ask("anthropic", {
        status: 429,
        headers: { "retry-after": "12", "request-id": "req_011" },
        body: anthropicError("rate_limit_error", "Slower, please")
      }))
      const line =
        "RateLimit: anthropic claude-sonnet-4-6 429 rate_limit_error, retry after 12s: Slower, please (req_011)"
      assert.strictEqual(error.message, line)
      assert.strictEqual(String(error), line)
    }))

  it.effect("names its reason where the provider gave no code", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ask("gemini", { status: 502, body: "" }))
      assert.strictEqual(error.message, "Transient: gemini gemini-3-flash 502 Server: HTTP 502 without a message")
    }))

  it("leaves out of its line what it does not know", () => {
    const error = LLMError.make("ClientError", { reason: "Budget", provider: "openai", model: "", description: "" })
    assert.strictEqual(error.message, "ClientError: openai Budget")
  })

  it.effect("holds at most 8 KiB of the body", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ask("openai", { status: 500, body: "x".repeat(100_000) }))
      assert.strictEqual(error.body?.length, 8192)
    }))

  it.effect("holds the body as it came", () =>
    Effect.gen(function*() {
      const body = openAiError("No", "server_error")
      const error = yield* Effect.flip(ask("openai", { status: 500, body }))
      assert.deepStrictEqual(JSON.parse(error.body ?? ""), body)
      const html = yield* Effect.flip(ask("openai", { status: 502, body: page }))
      assert.strictEqual(html.body, page)
      const nothing = yield* Effect.flip(ask("openai", { status: 502, body: "" }))
      assert.isFalse("body" in nothing)
    }))

  it.effect("holds what the headers say of limits", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ask("openai", {
        status: 429,
        headers: {
          "x-ratelimit-limit-requests": "60",
          "x-ratelimit-remaining-requests": "0",
          "x-ratelimit-reset-requests": "1m30s"
        },
        body: ""
      }))
      assert.deepStrictEqual(error.rateLimits, {
        requests: { limit: 60, remaining: 0, resetAfter: Duration.seconds(90) }
      })
      assert.deepStrictEqual(error.retryAfter, Duration.seconds(90))
    }))

  it.effect("leaves out what it does not know", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ask("openai", { status: 500, body: "" }))
      for (
        const key of ["code", "requestId", "retryAfter", "retryable", "rateLimits", "partial", "attempts", "cause"]
      ) {
        assert.isFalse(key in error && error[key as keyof LLMError.LLMError] !== undefined, key)
      }
    }))

  it.effect("of an empty answer holds that answer", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ask("anthropic", {
        headers: { "request-id": "req_1" },
        body: anthropicAnswer([{ type: "thinking", thinking: "Hm", signature: "sig" }], "end_turn")
      }))
      assert.strictEqual(error.partial?.reasoning, "Hm")
      assert.strictEqual(error.partial?.requestId, "req_1")
      assert.strictEqual(error.partial?.finishReason._tag, "Stop")
    }))

  it("is distinguished from other values", () => {
    assert.isFalse(LLMError.isLLMError(new Error("no")))
    assert.isFalse(LLMError.isLLMError({ _tag: "RateLimit" }))
    assert.isFalse(LLMError.isLLMError(undefined))
  })
})

describe("isFallbackable", () => {
  const reasons = {
    RateLimit: { Requests: true, Tokens: true, Capacity: true, Unknown: true },
    Transient: {
      Overloaded: true,
      Server: true,
      Network: true,
      Timeout: true,
      Truncated: true,
      Malformed: true
    },
    EmptyResponse: { NoContent: true, MalformedToolCall: true, MalformedOutput: true },
    ClientError: {
      InvalidRequest: false,
      Authentication: true,
      Permission: true,
      NotFound: true,
      TooLarge: true,
      Quota: true,
      DailyQuota: true,
      ContextWindow: true,
      ContentFilter: true,
      OutputBudget: false,
      Unsupported: true,
      Budget: false
    }
  } satisfies {
    readonly RateLimit: Record<LLMError.RateLimitReason, boolean>
    readonly Transient: Record<LLMError.TransientReason, boolean>
    readonly EmptyResponse: Record<LLMError.EmptyResponseReason, boolean>
    readonly ClientError: Record<LLMError.ClientErrorReason, boolean>
  }
  for (const tag of ["RateLimit", "Transient", "EmptyResponse", "ClientError"] as const) {
    for (const [reason, expected] of Object.entries(reasons[tag])) {
      it(`${tag} · ${reason}: ${expected ? "another provider may do it" : "no other provider would"}`, () => {
        const error = LLMError.make(tag, {
          reason: reason as never,
          provider: "openai",
          model: "gpt-5",
          description: "no"
        })
        assert.strictEqual(error.isFallbackable, expected)
      })
    }
  }
})

// ---------------------------------------------------------------------------------------------------------------------
// Whatever a provider sends
// ---------------------------------------------------------------------------------------------------------------------

const Value = Schema.Union([
  Schema.Json,
  Schema.Literals(["", "0", "429", "400.5", "1e999", "NaN", "requests", "billing_x", "__proto__", "toString", "error"]),
  Schema.Literals([0, -1, 0.5, 429.5, 400, 503, 1e21, Number.MAX_VALUE])
])

type Fields = Readonly<Record<string, Schema.Schema<unknown>>>

// Mostly an object that has some of these fields, now and then anything else.
const some = (fields: Fields) => {
  const object = Schema.Struct(
    Object.fromEntries(Object.entries(fields).map(([name, schema]) => [name, Schema.optionalKey(schema)]))
  )
  return Schema.Union([object, object, object, Value])
}

const values = (...names: ReadonlyArray<string>): Fields => Object.fromEntries(names.map((name) => [name, Value]))

const words = (...literals: ReadonlyArray<string>) => {
  const known = Schema.Literals(literals)
  return Schema.Union([known, known, known, Value])
}

const AnyError = some({
  ...values("message", "status", "detail"),
  code: words("429", "503", "insufficient_quota", "rate_limit_exceeded", "content_filter"),
  type: words("tokens", "requests", "overloaded_error", "invalid_request_error"),
  details: Schema.Array(some({
    ...values("@type", "reason", "retryDelay"),
    violations: Schema.Array(some(values("quotaId", "quotaValue")))
  })),
  metadata: some(values("raw", "provider_name", "error_type", "limit_source", "reasons", "headers", "availability")),
  availability: some(values("retryable", "retry_after"))
})

const common = { ...values("id", "model", "request_id", "message", "object", "type", "code"), error: AnyError }

const ChatBody = Schema.Struct({
  choices: Schema.Array(some({
    ...values("index", "native_finish_reason"),
    finish_reason: words("stop", "length", "tool_calls", "content_filter", "error"),
    error: AnyError,
    message: some({
      ...values("content", "refusal", "reasoning", "reasoning_details", "images", "audio", "function_call"),
      tool_calls: Schema.Array(some({ id: Value, function: some({ name: Value, arguments: words("{}", "[1]", "{") }) }))
    })
  })),
  usage: some({
    ...values("prompt_tokens", "completion_tokens", "total_tokens", "cost", "reasoning_tokens"),
    prompt_tokens_details: some(values("cached_tokens", "cache_write_tokens")),
    completion_tokens_details: some(values("reasoning_tokens"))
  })
})

// Answers of each provider, whose parts may be anything.
const answersOf = {
  anthropic: Schema.Struct({
    content: Schema.Array(some({
      ...values("text", "thinking", "signature", "data", "id", "name", "input", "citations"),
      type: words("text", "tool_use", "thinking", "redacted_thinking", "server_tool_use")
    })),
    stop_reason: words("end_turn", "max_tokens", "tool_use", "refusal", "stop_sequence"),
    stop_sequence: Value,
    stop_details: some(values("category", "explanation")),
    usage: some({
      ...values("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"),
      output_tokens_details: some(values("thinking_tokens"))
    })
  }),
  openai: ChatBody,
  openrouter: ChatBody,
  gemini: Schema.Struct({
    candidates: Schema.Array(some({
      ...values("finishMessage"),
      finishReason: words("STOP", "MAX_TOKENS", "SAFETY", "MALFORMED_FUNCTION_CALL"),
      safetyRatings: Schema.Array(some(values("category", "blocked"))),
      content: some({
        parts: Schema.Array(some({
          ...values("text", "thought", "thoughtSignature", "executableCode"),
          functionCall: some(values("id", "name", "args")),
          inlineData: some({ data: Value, mimeType: words("image/png", "audio/wav") }),
          fileData: some({ fileUri: Value, mimeType: words("image/png") })
        }))
      })
    })),
    promptFeedback: some(values("blockReason", "safetyRatings")),
    usageMetadata: some(values("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount"))
  })
} as const

const hintHeaders = [
  "retry-after",
  "retry-after-ms",
  "x-ratelimit-limit",
  "x-ratelimit-remaining",
  "x-ratelimit-reset",
  "x-ratelimit-remaining-tokens",
  "x-ratelimit-reset-tokens",
  "anthropic-ratelimit-tokens-limit",
  "anthropic-ratelimit-tokens-remaining",
  "anthropic-ratelimit-tokens-reset",
  "request-id"
] as const

const HeaderValue = Schema.Union([
  Schema.Literals(["0", "-1", "1e9", "NaN", "9".repeat(400), "1s", "999999h", "2026-01-15T12:00:00Z"]),
  Schema.String.check(Schema.isPattern(/^[ -~]*$/))
])

const AnyHeaders = Schema.Array(Schema.Tuple([Schema.Literals(hintHeaders), HeaderValue]))

const AnyStatus = Schema.Int.check(Schema.isBetween({ minimum: 200, maximum: 599 }))

describe("whatever a provider sends is an answer or one of the four errors, which survives JSON", () => {
  const toJson = Schema.encodeSync(LLMError.LLMError)
  const fromJson = Schema.decodeUnknownSync(LLMError.LLMError)
  const answerToJson = Schema.encodeSync(CompletionResponse.CompletionResponse)
  const answerFromJson = Schema.decodeUnknownSync(CompletionResponse.CompletionResponse)

  const holds = (provider: Provider, reply: Reply) =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(ask(provider, reply))
      assert.isFalse(Exit.hasDies(exit), String(exit))
      if (Exit.isSuccess(exit)) {
        const written: unknown = JSON.parse(JSON.stringify(answerToJson(exit.value)))
        assert.deepStrictEqual(JSON.parse(JSON.stringify(answerToJson(answerFromJson(written)))), written)
      } else {
        const error = Option.getOrThrow(Exit.findErrorOption(exit))
        const written: unknown = JSON.parse(JSON.stringify(toJson(error)))
        assert.strictEqual(fromJson(written).message, error.message)
      }
    })

  for (const provider of providers) {
    it.effect.prop(
      `${provider}, with any answer`,
      [answersOf[provider], AnyHeaders],
      ([body, headers]) => holds(provider, { body, headers: Object.fromEntries(headers) }),
      { arbitrary: { seed: provider, runs: runs(60, 300) } }
    )

    it.effect.prop(
      `${provider}, with any error`,
      [some(common), AnyStatus, AnyHeaders],
      ([body, status, headers]) => holds(provider, { status, body, headers: Object.fromEntries(headers) }),
      { arbitrary: { seed: provider, runs: runs(60, 300) } }
    )
  }
})

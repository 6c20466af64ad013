/** Anthropic Messages, `POST …/v1/messages`. */
import * as Result from "effect/Result"
import { server } from "../../../wire/anthropic/wire.ts"
import type { Outgoing } from "../../../wire/Wire.ts"
import { changed } from "../decide.ts"
import { dataEvent, withData } from "../events.ts"
import { bearer, type Rejection, wholeSeconds } from "../exchange.ts"
import { idOf, isObject, type JsonObject, tokensOf } from "../json.ts"
import type { Service } from "../service.ts"
import type { Body } from "./body.ts"
import * as Rules from "./rules.ts"

const cachedTokens = (body: Body): number =>
  Rules.cacheMarkers(body) === 0 ? 0 : tokensOf(body.tools) + tokensOf(body.system)

const rateLimitHeaders = (remaining: number): { readonly [name: string]: string } => ({
  "anthropic-ratelimit-requests-limit": "4000",
  "anthropic-ratelimit-requests-remaining": String(remaining),
  "anthropic-ratelimit-requests-reset": "2026-01-01T00:00:01Z",
  "anthropic-ratelimit-input-tokens-limit": "2000000",
  "anthropic-ratelimit-input-tokens-remaining": "1999000",
  "anthropic-ratelimit-input-tokens-reset": "2026-01-01T00:00:01Z",
  "anthropic-ratelimit-output-tokens-limit": "400000",
  "anthropic-ratelimit-output-tokens-remaining": "399000",
  "anthropic-ratelimit-output-tokens-reset": "2026-01-01T00:00:01Z",
  "anthropic-ratelimit-tokens-limit": "2400000",
  "anthropic-ratelimit-tokens-remaining": "2398000",
  "anthropic-ratelimit-tokens-reset": "2026-01-01T00:00:01Z"
})

const requestId = (seed: string): string => `req_01${idOf(`${seed} request`, 22)}`

const tier = { service_tier: "standard", inference_geo: "global" }

/** What the first event of a stream counts: nothing is written yet. */
const firstUsage = ({ response: { usage } }: Outgoing): JsonObject => ({
  input_tokens: usage.inputTokens - usage.cacheWriteTokens - usage.cachedInputTokens,
  cache_creation_input_tokens: usage.cacheWriteTokens,
  cache_read_input_tokens: usage.cachedInputTokens,
  output_tokens: 1,
  ...tier
})

const dressed = (answer: Outgoing) => (data: JsonObject): JsonObject => {
  const { message, stop_details, ...rest } = data
  if (isObject(message)) return { ...data, message: { ...message, usage: firstUsage(answer) } }
  return isObject(data.delta) && stop_details !== undefined
    ? { ...rest, delta: { ...data.delta, stop_details } }
    : data
}

/** The first ping comes as soon as the answer begins. */
const events: Service["events"] = (events, answer, _, ping) => {
  const begun = events.findIndex((event) => event.startsWith("event: content_block_start"))
  const all = events.map((event) =>
    /^event: message_(?:start|delta)\n/.test(event) ? withData(event, dressed(answer)) : event
  )
  return begun < 0 ? all : [...all.slice(0, begun + 1), ping, ...all.slice(begun + 1)]
}

const refuse = (rejection: Rejection, seed: string) => ({
  headers: { "request-id": requestId(seed), "x-should-retry": String(rejection.status >= 429), ...rejection.headers },
  body: {
    type: "error",
    error: { type: rejection.type ?? "invalid_request_error", message: rejection.message, ...rejection.fields },
    request_id: requestId(seed)
  }
})

const serverErrors: { readonly [status: number]: readonly [type: string, message: string] } = {
  500: ["api_error", "Internal server error"],
  502: ["api_error", "Bad gateway"],
  503: ["api_error", "Service unavailable"],
  504: ["timeout_error", "Request timed out"],
  529: ["overloaded_error", "Overloaded"]
}

const keyError = (message: string): Rejection => ({ status: 401, type: "authentication_error", message })

const event = (data: { readonly type: string; readonly [key: string]: unknown }): string =>
  `event: ${data.type}\n${dataEvent(data)}`

const legible: ReadonlySet<unknown> = new Set(["text", "image", "document", "tool_result"])

const without = (content: unknown): unknown =>
  Array.isArray(content)
    ? content.filter((block) => isObject(block) && legible.has(block.type)).map((block: JsonObject) => ({
      ...block,
      ...block.type === "tool_result" ? { content: without(block.content) } : {}
    }))
    : content

/** The simulated model does not look into what only the provider's own tools write. */
const readable = (body: JsonObject): JsonObject => ({
  ...body,
  messages: Array.isArray(body.messages)
    ? body.messages.map((message: unknown) =>
      isObject(message) && message.role === "user" ? { ...message, content: without(message.content) } : message
    )
    : body.messages
})

const check: Service["check"] = (call) =>
  call.request.headers["anthropic-version"] === undefined
    ? Result.fail(Rules.invalid("anthropic-version: header is required"))
    : Result.map(Rules.read(call.body, call.unknownFields), (body) => ({
      inputTokens: tokensOf(body.messages) + tokensOf(body.system) + tokensOf(body.tools),
      cacheWriteTokens: cachedTokens(body)
    }))

const overloaded = { type: "overloaded_error", message: "Overloaded" }

export const anthropic: Service = {
  provider: "anthropic",
  server,
  key: ({ headers }) => headers["x-api-key"] || bearer(headers),
  missingKey: keyError("x-api-key header is required"),
  invalidKey: keyError("invalid x-api-key"),
  invalid: Rules.invalid,
  notFound: () => ({ status: 404, type: "not_found_error", message: "Not Found" }),
  check,
  readable,
  answerId: (seed) => `msg_01${idOf(`${seed} message`, 22)}`,
  callId: (seed, index) => `toolu_01${idOf(`${seed} tool ${index}`, 22)}`,
  headers: (seed) => ({
    "request-id": requestId(seed),
    "anthropic-organization-id": "simulated",
    ...rateLimitHeaders(3999)
  }),
  streamType: "text/event-stream; charset=utf-8",
  dress: (answer) =>
    changed(answer, { metadata: { anthropic: { usage: tier, ...answer.response.metadata?.["anthropic"] } } }),
  events,
  streamError: (_, { seed }) => event({ type: "error", error: overloaded, request_id: requestId(seed) }),
  refuse,
  rateLimit: (millis) => ({
    status: 429,
    type: "rate_limit_error",
    message: "This request would exceed your organization's rate limit of 4,000 requests per minute.",
    headers: millis === undefined ? {} : { ...rateLimitHeaders(0), "retry-after": wholeSeconds(millis) }
  }),
  serverError: (status) => {
    const [type, message] = serverErrors[status] ?? ["api_error", "Internal server error"]
    return { status, type, message }
  }
}

/** Anthropic Messages, `POST …/v1/messages`. */
import * as Result from "effect/Result"
import type * as Message from "../../../Message.ts"
import { server } from "../../../wire/anthropic/wire.ts"
import type { Outgoing } from "../../../wire/Wire.ts"
import { changed } from "../decide.ts"
import { dataEvent, withData } from "../events.ts"
import { bearer, type Call, type Rejection, wholeSeconds } from "../exchange.ts"
import { idOf, isObject, type JsonObject, tokensOf } from "../json.ts"
import type { Service } from "../service.ts"
import * as Binding from "./binding.ts"
import type { Body } from "./body.ts"
import * as Models from "./models.ts"
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

/** The usage in the first event of a stream, before any output. */
const firstUsage = ({ response: { usage } }: Outgoing): JsonObject => ({
  input_tokens: usage.inputTokens - usage.cacheWriteTokens - usage.cachedInputTokens,
  cache_creation_input_tokens: usage.cacheWriteTokens,
  cache_read_input_tokens: usage.cachedInputTokens,
  output_tokens: 1,
  ...tier
})

/** All thinking is signed. Dropped blocks are reported to requests that ask for it. */
const dress = (answer: Outgoing, { body }: Call): Outgoing => {
  const { choice, metadata } = answer.response
  const dropped = Binding.dropped(body as unknown as Body)
  return changed(answer, {
    choice: choice.map((content) =>
      content._tag === "Reasoning"
        ? {
          ...content,
          content: content.content.map((part) =>
            part._tag === "Text" && part.signature === undefined
              ? { ...part, signature: Binding.signature(body) }
              : part
          )
        }
        : content
    ),
    metadata: {
      anthropic: {
        usage: tier,
        ...dropped.length > 0 ? { input_transformations: dropped } : {},
        ...metadata?.["anthropic"]
      }
    }
  })
}

/** The thinking of a model. Since Claude 4.7, its text is only returned on request. */
const thought = ({ body }: Call, text: string): Message.Reasoning | undefined => {
  const model = String(body.model)
  const { display, type } = isObject(body.thinking) ? body.thinking : {}
  const thinks = type === undefined ? Models.has(model, "thinksByItself") : type !== "disabled"
  const shown = display === undefined ? !Models.has(model, "textOmitted") : display === "summarized"
  return thinks ? { _tag: "Reasoning", content: [{ _tag: "Text", text: shown ? text : "" }] } : undefined
}

const dressed = (answer: Outgoing) => (data: JsonObject): JsonObject => {
  const { input_transformations: _, message, stop_details, ...rest } = data
  if (isObject(message)) {
    const transformations = answer.response.metadata?.["anthropic"]?.["input_transformations"]
    const dropped = transformations === undefined ? {} : { input_transformations: transformations }
    return { ...data, message: { ...message, ...dropped, usage: firstUsage(answer) } }
  }
  return isObject(data.delta) && stop_details !== undefined
    ? { ...rest, delta: { ...data.delta, stop_details } }
    : rest
}

/** A thinking block begins without its signature, which comes in its own event. */
const unsigned = (event: string): ReadonlyArray<string> => {
  if (!event.startsWith("event: content_block_start")) return [event]
  let signed: string | undefined
  const start = withData(event, (data) => {
    const block = isObject(data.content_block) ? data.content_block : {}
    if (block.type !== "thinking" || block.signature === "") return data
    signed = dataEvent({
      type: "content_block_delta",
      index: data.index,
      delta: { type: "signature_delta", signature: block.signature }
    })
    return { ...data, content_block: { ...block, signature: "" } }
  })
  return signed === undefined ? [event] : [start, `event: content_block_delta\n${signed}`]
}

/** The first ping comes at the beginning of the answer. */
const events: Service["events"] = (events, answer, _, ping) => {
  const all = events.flatMap((event) =>
    /^event: message_(?:start|delta)\n/.test(event) ? [withData(event, dressed(answer))] : unsigned(event)
  )
  const begun = all.findIndex((event) => event.startsWith("event: content_block_start"))
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

/** The simulated model ignores the blocks of server tools. */
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
    : Result.map(Rules.read(call.body, call.unknownFields, call.request.headers), (body) => ({
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
  dress,
  events,
  thought,
  // Pings begin with the first block.
  silence: { after: 3, every: 30_000 },
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

/** Anthropic Messages, `POST …/v1/messages`. */
import * as Result from "effect/Result"
import type { Body } from "./body.ts"
import * as Rules from "./rules.ts"
import { bearer, type Call, type Dialect, type Rejection, wholeSeconds } from "../exchange.ts"
import { idOf, type Json, textOf, tokensOf } from "../json.ts"
import type { Ask, Choice, Finish, Reply } from "../decide.ts"
import { dataEvent, pieces } from "../events.ts"

const choiceOf = (choice: Body["tool_choice"]): Choice => {
  if (choice === undefined || choice.type === "auto") return "auto"
  return choice.type === "tool" ? [choice.name] : choice.type === "any" ? "required" : "none"
}

const cachedTokens = (body: Body): number =>
  Rules.cacheMarkers(body) === 0 ? 0 : tokensOf(body.tools) + tokensOf(body.system)

const askOf = (body: Body): Ask => {
  const turns = Rules.turns(body)
  const users = turns.filter((turn) => turn.role === "user")
  const last = turns.at(-1)
  const cacheWriteTokens = cachedTokens(body)
  return {
    model: body.model,
    userText: users.map((turn) => textOf(turn.blocks)).findLast((text) => text !== "") ?? "",
    toolResults: last?.role === "user" ? Rules.toolResults(last).map((result) => textOf(result.content)) : [],
    tools: (body.tools ?? []).filter(Rules.isCustom)
      .map((tool) => ({ name: tool.name, parameters: tool.input_schema })),
    choice: choiceOf(body.tool_choice),
    parallel: !(body.tool_choice !== undefined && "disable_parallel_tool_use" in body.tool_choice &&
      body.tool_choice.disable_parallel_tool_use === true),
    outputSchema: body.output_config?.format?.schema,
    maxTokens: body.max_tokens,
    stopSequences: body.stop_sequences ?? [],
    inputTokens: tokensOf(body.messages) + tokensOf(body.system) + tokensOf(body.tools),
    cacheWriteTokens
  }
}

const stopReasons: { readonly [finish in Finish]: string } = {
  Stop: "end_turn",
  StopSequence: "stop_sequence",
  MaxTokens: "max_tokens",
  ToolUse: "tool_use"
}

const toolUseId = (seed: string, index: number): string => `toolu_01${idOf(`${seed} tool ${index}`, 22)}`

const contentOf = (reply: Reply, seed: string): ReadonlyArray<Json> => [
  ...reply.text === undefined ? [] : [{ type: "text", text: reply.text }],
  ...reply.toolCalls.map((call, index) => ({
    type: "tool_use",
    id: toolUseId(seed, index),
    name: call.name,
    input: call.complete ? call.arguments : {}
  }))
]

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

const render = (reply: Reply, { seed }: Call) => {
  const { cacheWriteTokens, inputTokens, outputTokens } = reply.usage
  return {
    headers: { "request-id": requestId(seed), "anthropic-organization-id": "simulated", ...rateLimitHeaders(3999) },
    body: {
      model: reply.model,
      id: `msg_01${idOf(`${seed} message`, 22)}`,
      type: "message",
      role: "assistant",
      content: contentOf(reply, seed),
      stop_reason: reply.finishWord ?? stopReasons[reply.finish],
      stop_sequence: reply.stopSequence ?? null,
      stop_details: reply.finishDetail ?? null,
      usage: {
        input_tokens: inputTokens - cacheWriteTokens,
        cache_creation_input_tokens: cacheWriteTokens,
        cache_read_input_tokens: 0,
        cache_creation: { ephemeral_5m_input_tokens: cacheWriteTokens, ephemeral_1h_input_tokens: 0 },
        output_tokens: outputTokens,
        service_tier: "standard",
        inference_geo: "global"
      }
    }
  }
}

const event = (data: { readonly type: string; readonly [key: string]: Json }): string =>
  `event: ${data.type}\n${dataEvent(data)}`

interface Block {
  readonly start: Json
  readonly deltas: ReadonlyArray<Json>
}

const blocksOf = (reply: Reply, seed: string): ReadonlyArray<Block> => [
  ...reply.text === undefined ? [] : [{
    start: { type: "text", text: "" },
    deltas: pieces(reply.text).map((text) => ({ type: "text_delta", text }))
  }],
  ...reply.toolCalls.map((call, index) => ({
    start: { type: "tool_use", id: toolUseId(seed, index), name: call.name, input: {} },
    deltas: ["", ...pieces(call.argumentsText)].map((json) => ({ type: "input_json_delta", partial_json: json }))
  }))
]

const blockEvents = ({ deltas, start }: Block, index: number): ReadonlyArray<string> => [
  event({ type: "content_block_start", index, content_block: start }),
  ...index === 0 ? [event({ type: "ping" })] : [],
  ...deltas.map((delta) => event({ type: "content_block_delta", index, delta })),
  event({ type: "content_block_stop", index })
]

const stream = (reply: Reply, call: Call) => {
  const { body, headers } = render(reply, call)
  const { stop_details, stop_reason, stop_sequence, usage, ...message } = body
  const { cache_creation_input_tokens, cache_read_input_tokens, input_tokens, output_tokens } = usage
  return {
    headers: { ...headers, "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" },
    events: [
      event({
        type: "message_start",
        message: {
          ...message,
          content: [],
          stop_reason: null,
          stop_sequence: null,
          stop_details: null,
          usage: { ...usage, output_tokens: 1 }
        }
      }),
      ...blocksOf(reply, call.seed).flatMap(blockEvents),
      event({
        type: "message_delta",
        delta: { stop_reason, stop_sequence, stop_details },
        usage: { input_tokens, cache_creation_input_tokens, cache_read_input_tokens, output_tokens }
      }),
      event({ type: "message_stop" })
    ]
  }
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

const read = (call: Call): Result.Result<Ask, Rejection> =>
  call.request.headers["anthropic-version"] === undefined
    ? Result.fail(Rules.invalid("anthropic-version: header is required"))
    : Result.map(Rules.read(call.body, call.unknownFields), askOf)

const overloaded = { type: "overloaded_error", message: "Overloaded" }

export const anthropic: Dialect = {
  provider: "anthropic",
  streams: ({ body }) => body.stream === true,
  key: ({ headers }) => headers["x-api-key"] || bearer(headers),
  missingKey: keyError("x-api-key header is required"),
  invalidKey: keyError("invalid x-api-key"),
  invalid: Rules.invalid,
  notFound: () => ({ status: 404, type: "not_found_error", message: "Not Found" }),
  read,
  render,
  stream,
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

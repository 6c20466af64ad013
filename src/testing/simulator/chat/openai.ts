/** OpenAI Chat Completions, `POST …/chat/completions`, and the same as OpenRouter speaks it. */
import * as Result from "effect/Result"
import { type Body, decode } from "./body.ts"
import * as Rules from "./rules.ts"
import {
  bearer,
  type Call,
  type Dialect,
  gatewayPage,
  isUnknownModel,
  type Rejection,
  wholeSeconds
} from "../exchange.ts"
import { idOf, isObject, type Json, textOf, tokensOf } from "../json.ts"
import type { Ask, Choice, Finish, Reply } from "../decide.ts"
import * as Shape from "../shape.ts"
import { dataEvent, pieces } from "../events.ts"

/** Answers are dated by one fixed second, so that they can be compared. */
const created = 1_767_225_600

const choiceOf = (choice: Body["tool_choice"]): Choice => {
  if (choice === undefined || choice === "auto") return "auto"
  if (typeof choice === "string") return choice
  if (choice.type === "function") return [choice.function.name]
  return choice.type === "allowed_tools" && choice.allowed_tools.mode === "auto" ? "auto" : "required"
}

const stopsOf = (stop: Body["stop"]): ReadonlyArray<string> => typeof stop === "string" ? [stop] : stop ?? []

const schemaOf = (format: Body["response_format"]): unknown => {
  if (format?.type === "json_schema") return format.json_schema.schema ?? {}
  return format?.type === "json_object" ? { type: "object" } : undefined
}

/** The tool messages at the end of the conversation. */
const lastResults = (messages: Body["messages"]): ReadonlyArray<string> => {
  const lastOther = messages.findLastIndex((message) => message.role !== "tool")
  return messages.slice(lastOther + 1).map((message) => textOf(message.content))
}

const askOf = (body: Body): Ask => ({
  model: body.model,
  userText: body.messages.filter((message) => message.role === "user").map((message) => textOf(message.content))
    .findLast((text) => text !== "") ?? "",
  toolResults: lastResults(body.messages),
  tools: Rules.functionsOf(body).map(({ name, parameters }) => ({ name, parameters })),
  choice: choiceOf(body.tool_choice),
  parallel: body.parallel_tool_calls !== false,
  outputSchema: schemaOf(body.response_format),
  maxTokens: body.max_completion_tokens ?? body.max_tokens ?? undefined,
  stopSequences: stopsOf(body.stop),
  inputTokens: tokensOf(body.messages) + tokensOf(body.tools),
  cacheWriteTokens: 0
})

const finishReasons: { readonly [finish in Finish]: string } = {
  Stop: "stop",
  StopSequence: "stop",
  MaxTokens: "length",
  ToolUse: "tool_calls"
}

const callId = (seed: string, index: number): string => `call_${idOf(`${seed} tool ${index}`, 24)}`

const finishOf = ({ finish, finishWord }: Reply): string => finishWord ?? finishReasons[finish]

const toolCallsOf = (reply: Reply, seed: string): { readonly [key: string]: Json } =>
  reply.toolCalls.length === 0
    ? {}
    : {
      tool_calls: reply.toolCalls.map((call, index) => ({
        id: callId(seed, index),
        type: "function",
        function: { name: call.name, arguments: call.argumentsText }
      }))
    }

const contentOf = (reply: Reply): string | null =>
  reply.toolCalls.length > 0 || reply.refused === true ? null : reply.text ?? ""

const refusalOf = (reply: Reply): string | null => reply.refused === true ? reply.text ?? "" : null

/** A call begins with its id and name, its arguments follow in fragments; a text comes in pieces. */
const deltasOf = (reply: Reply, seed: string): ReadonlyArray<{ readonly [key: string]: Json }> => [
  ...reply.toolCalls.flatMap((call, index) => [
    {
      tool_calls: [{ index, id: callId(seed, index), type: "function", function: { name: call.name, arguments: "" } }]
    },
    ...pieces(call.argumentsText).map((fragment) => ({ tool_calls: [{ index, function: { arguments: fragment } }] }))
  ]),
  ...pieces(contentOf(reply) ?? "").map((content) => ({ content })),
  ...pieces(refusalOf(reply) ?? "").map((refusal) => ({ refusal }))
]

/** Ends every stream. */
export const done = "data: [DONE]\n\n"

const counts = ({ usage }: Reply): { readonly [key: string]: Json } => ({
  prompt_tokens: usage.inputTokens,
  completion_tokens: usage.outputTokens,
  total_tokens: usage.inputTokens + usage.outputTokens
})

const requestId = (seed: string): string => `req_${idOf(`${seed} request`, 32).toLowerCase()}`

const openAiHeaders = (seed: string, remaining: number): { readonly [name: string]: string } => ({
  "x-request-id": requestId(seed),
  "openai-organization": "simulated",
  "openai-processing-ms": "42",
  "openai-version": "2020-10-01",
  "x-ratelimit-limit-requests": "10000",
  "x-ratelimit-limit-tokens": "2000000",
  "x-ratelimit-remaining-requests": String(remaining),
  "x-ratelimit-remaining-tokens": "1999000",
  "x-ratelimit-reset-requests": "6ms",
  "x-ratelimit-reset-tokens": "30ms"
})

const renderOpenAi = (reply: Reply, { seed }: Call) => ({
  headers: openAiHeaders(seed, 9999),
  body: {
    id: `chatcmpl-${idOf(`${seed} message`, 29)}`,
    object: "chat.completion",
    created,
    model: reply.model,
    choices: [{
      index: 0,
      message: {
        role: "assistant",
        content: contentOf(reply),
        ...toolCallsOf(reply, seed),
        refusal: refusalOf(reply),
        annotations: []
      },
      logprobs: null,
      finish_reason: finishOf(reply)
    }],
    usage: {
      ...counts(reply),
      prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
      completion_tokens_details: {
        reasoning_tokens: 0,
        audio_tokens: 0,
        accepted_prediction_tokens: 0,
        rejected_prediction_tokens: 0
      }
    },
    service_tier: "default",
    system_fingerprint: `fp_${idOf("fingerprint", 10).toLowerCase()}`
  }
})

/** The usage comes in a chunk of its own, and only when it was asked for. */
const streamOpenAi = (reply: Reply, call: Call) => {
  const { body, headers } = renderOpenAi(reply, call)
  const { choices: _, usage, ...head } = body
  const withUsage = isObject(call.body.stream_options) && call.body.stream_options.include_usage === true
  const chunks = [
    { role: "assistant", content: reply.toolCalls.length > 0 ? null : "", refusal: null },
    ...deltasOf(reply, call.seed),
    {}
  ].map((delta, index, all) => ({
    choices: [{
      index: 0,
      delta,
      logprobs: null,
      finish_reason: index === all.length - 1 ? finishOf(reply) : null
    }],
    ...withUsage ? { usage: null } : {}
  }))
  return {
    headers: { ...headers, "content-type": "text/event-stream; charset=utf-8" },
    events: [
      ...[...chunks, ...withUsage ? [{ choices: [], usage }] : []].map((chunk, index) =>
        dataEvent({
          ...head,
          object: "chat.completion.chunk",
          ...chunk,
          obfuscation: idOf(`${call.seed} obfuscation ${index}`, 8)
        })
      ),
      done
    ]
  }
}

const refuseOpenAi = (rejection: Rejection, seed: string) => ({
  headers: { ...openAiHeaders(seed, 9999), ...rejection.headers },
  body: {
    error: {
      message: rejection.message,
      type: rejection.type ?? "invalid_request_error",
      param: rejection.param ?? null,
      code: rejection.code ?? null,
      ...rejection.fields
    }
  }
})

const firstFlaw = (flaw: Rejection | undefined, ask: () => Ask): Result.Result<Ask, Rejection> =>
  flaw === undefined ? Result.succeed(ask()) : Result.fail(flaw)

const readOpenAi = (call: Call): Result.Result<Ask, Rejection> =>
  Result.flatMap(
    Result.mapError(decode(call.body, call.unknownFields), Rules.rejectionOf),
    (body) => firstFlaw(Rules.broken(Rules.openAiRules, body), () => askOf(body))
  )

const overloaded: Pick<Rejection, "type" | "code" | "message"> = {
  type: "service_unavailable_error",
  code: "server_is_overloaded",
  message: "Our servers are currently overloaded. Please try again later."
}

const serverError: Pick<Rejection, "type" | "message"> = {
  type: "server_error",
  message: "The server had an error while processing your request. Sorry about that!"
}

const openAiServerErrors: { readonly [status: number]: Omit<Rejection, "status"> } = {
  500: serverError,
  502: { message: "Bad gateway", html: gatewayPage(502, "Bad Gateway") },
  503: overloaded,
  504: { message: "Gateway time-out", html: gatewayPage(504, "Gateway Time-out") },
  529: overloaded
}

export const openai: Dialect = {
  provider: "openai",
  streams: ({ body }) => body.stream === true,
  key: ({ headers }) => bearer(headers),
  missingKey: {
    status: 401,
    message:
      "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
  },
  invalidKey: {
    status: 401,
    code: "invalid_api_key",
    message: "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys."
  },
  invalid: Rules.invalid,
  notFound: ({ method, url }) => ({
    status: 404,
    type: "invalid_request_error",
    message: `Invalid URL (${method} ${url.pathname})`
  }),
  read: readOpenAi,
  render: renderOpenAi,
  stream: streamOpenAi,
  streamError: () => dataEvent(refuseOpenAi({ status: 500, ...serverError }, "").body),
  refuse: refuseOpenAi,
  rateLimit: (millis) => ({
    status: 429,
    type: "requests",
    code: "rate_limit_exceeded",
    message: "Rate limit reached for requests per min (RPM): Limit 10000, Used 10000, Requested 1.",
    headers: millis === undefined ? {} : {
      "retry-after-ms": String(millis),
      "retry-after": wholeSeconds(millis),
      "x-ratelimit-remaining-requests": "0",
      "x-ratelimit-reset-requests": `${millis}ms`
    }
  }),
  serverError: (status) => ({ status, message: "", ...openAiServerErrors[status] })
}

const upstreamNames: { readonly [prefix: string]: string } = {
  anthropic: "Anthropic",
  deepseek: "DeepSeek",
  google: "Google",
  mistralai: "Mistral",
  openai: "OpenAI",
  "x-ai": "xAI"
}

const upstreamName = (model: string): string => upstreamNames[model.split("/")[0] ?? ""] ?? "Simulated"

const nativeReasons: { readonly [finish in Finish]: string } = {
  Stop: "stop",
  StopSequence: "stop",
  MaxTokens: "max_output_tokens",
  ToolUse: "completed"
}

const nativeOf = ({ finish, finishWord }: Reply): string => finishWord ?? nativeReasons[finish]

/** In dollars: 1 per million tokens read, 4 per million written. */
const costOf = ({ usage }: Reply): number =>
  Number((usage.inputTokens / 1_000_000 + usage.outputTokens / 250_000).toFixed(9))

const generationId = (seed: string): string => `gen-${created}-${idOf(`${seed} generation`, 20)}`

const renderOpenRouter = (reply: Reply, { seed }: Call) => ({
  headers: { "x-generation-id": generationId(seed) },
  body: {
    id: generationId(seed),
    provider: upstreamName(reply.model),
    model: reply.model,
    object: "chat.completion",
    created,
    choices: [{
      logprobs: null,
      finish_reason: finishOf(reply),
      native_finish_reason: nativeOf(reply),
      index: 0,
      message: {
        role: "assistant",
        content: contentOf(reply),
        refusal: refusalOf(reply),
        reasoning: null,
        ...toolCallsOf(reply, seed)
      }
    }],
    system_fingerprint: null,
    usage: {
      ...counts(reply),
      cost: costOf(reply),
      is_byok: false,
      prompt_tokens_details: { cached_tokens: 0, cache_write_tokens: 0, audio_tokens: 0, video_tokens: 0 },
      cost_details: { upstream_inference_cost: null },
      completion_tokens_details: { reasoning_tokens: 0, image_tokens: 0, audio_tokens: 0 }
    }
  }
})

const processing = ": OPENROUTER PROCESSING\n\n"

const openRouterHead = (reply: Reply, { seed }: Call) => ({
  id: generationId(seed),
  provider: upstreamName(reply.model),
  model: reply.model,
  object: "chat.completion.chunk",
  created
})

/** The finish reason comes twice, the second time with the usage. */
const streamOpenRouter = (reply: Reply, call: Call) => {
  const { headers, body: { usage } } = renderOpenRouter(reply, call)
  const chunk = (delta: { readonly [key: string]: Json }, last: boolean, extra = {}) =>
    dataEvent({
      ...openRouterHead(reply, call),
      choices: [{
        index: 0,
        delta: { role: "assistant", content: "tool_calls" in delta ? null : "", ...delta },
        finish_reason: last ? finishOf(reply) : null,
        native_finish_reason: last ? nativeOf(reply) : null
      }],
      ...extra
    })
  const [first = chunk({}, false), ...rest] = deltasOf(reply, call.seed).map((delta) => chunk(delta, false))
  return {
    headers: { ...headers, "content-type": "text/event-stream" },
    events: [
      processing + processing + first,
      ...rest,
      processing + chunk({}, true),
      chunk({}, true, { usage }),
      done
    ]
  }
}

const openRouterStreamError = (reply: Reply, call: Call): string =>
  dataEvent({
    ...openRouterHead(reply, call),
    error: { code: "server_error", message: "Provider disconnected unexpectedly" },
    choices: [{ index: 0, delta: { content: "" }, finish_reason: "error" }]
  })

const metadataOf = (rejection: Rejection): { readonly [key: string]: Json } => {
  if (rejection.upstream === undefined) {
    return rejection.headers === undefined
      ? {}
      : { metadata: { headers: rejection.headers } }
  }
  return { metadata: { raw: JSON.stringify(rejection.upstream), provider_name: rejection.type ?? "Simulated" } }
}

const refuseOpenRouter = (rejection: Rejection) => ({
  headers: rejection.headers ?? {},
  body: {
    error: { message: rejection.message, code: rejection.status, ...metadataOf(rejection), ...rejection.fields },
    user_id: "user_simulated"
  }
})

const openRouterShape = (flaw: Shape.Flaw): Rejection => {
  const place = Shape.dotted(flaw.path)
  if (flaw.kind === "missing" && place === "messages") {
    return Rules.invalid('Input required: specify "prompt" or "messages"')
  }
  if (flaw.kind === "missing" && place === "model") return Rules.invalid("No models provided")
  return Rules.invalid(
    `${place}: ${
      flaw.kind === "missing" ? "Required" : `Invalid input: expected ${flaw.types.join(" or ") || "another value"}`
    }`
  )
}

const fromUpstream = (body: Body, rejection: Rejection): Rejection => ({
  status: rejection.status,
  message: "Provider returned error",
  type: upstreamName(body.model),
  upstream: refuseOpenAi(rejection, "").body
})

const readOpenRouter = (call: Call): Result.Result<Ask, Rejection> =>
  Result.flatMap(Result.mapError(decode(call.body, "ignore"), openRouterShape), (body) => {
    if (body.model === "") return Result.fail(Rules.invalid("No models provided"))
    if (isUnknownModel(body.model)) return Result.fail(Rules.invalid(`${body.model} is not a valid model ID`))
    if (body.messages.length === 0) return Result.fail(Rules.invalid("Input must have at least 1 token."))
    const flaw = Rules.broken(Rules.upstreamRules, body)
    return firstFlaw(flaw === undefined ? undefined : fromUpstream(body, flaw), () => askOf(body))
  })

const openRouterServerErrors: { readonly [status: number]: string } = {
  500: "Internal Server Error",
  502: "Provider returned error",
  503: "No instances available",
  504: "Provider timed out",
  529: "Provider overloaded"
}

export const openrouter: Dialect = {
  provider: "openrouter",
  streams: openai.streams,
  key: openai.key,
  missingKey: { status: 401, message: "No auth credentials found" },
  invalidKey: { status: 401, message: "User not found." },
  invalid: Rules.invalid,
  notFound: () => ({ status: 404, message: "Not Found" }),
  read: readOpenRouter,
  render: renderOpenRouter,
  stream: streamOpenRouter,
  streamError: openRouterStreamError,
  refuse: refuseOpenRouter,
  rateLimit: (millis) => ({
    status: 429,
    message: "Rate limit exceeded: requests-per-minute.",
    headers: {
      "X-RateLimit-Limit": "20",
      "X-RateLimit-Remaining": "0",
      ...millis === undefined ? {} : { "Retry-After": wholeSeconds(millis) }
    }
  }),
  serverError: (status) => ({ status, message: openRouterServerErrors[status] ?? "Internal Server Error" })
}

/** OpenRouter's Chat Completions, `POST …/api/v1/chat/completions`. */
import * as Result from "effect/Result"
import type { CompletionResponse } from "../../../CompletionResponse.ts"
import { openRouterServer } from "../../../wire/chat/server.ts"
import type { Outgoing } from "../../../wire/Wire.ts"
import { changed } from "../decide.ts"
import { dataEvent, withData } from "../events.ts"
import { type Call, isUnknownModel, type Rejection, wholeSeconds } from "../exchange.ts"
import { created, idOf, isObject, type Json, type JsonObject } from "../json.ts"
import { invalid } from "../openai/words.ts"
import type { Service } from "../service.ts"
import * as Shape from "../shape.ts"
import { type Body, decode } from "./body.ts"
import { callId, factsOf, oneChoice, openai, refuseOpenAi, refusing } from "./openai.ts"
import * as Rules from "./rules.ts"

const upstreamNames: { readonly [prefix: string]: string } = {
  anthropic: "Anthropic",
  deepseek: "DeepSeek",
  google: "Google",
  mistralai: "Mistral",
  openai: "OpenAI",
  "x-ai": "xAI"
}

const upstreamName = (model: string): string => upstreamNames[model.split("/")[0] ?? ""] ?? "Simulated"

const nativeReasons: { readonly [finish in CompletionResponse["finishReason"]["_tag"]]?: string } = {
  Stop: "stop",
  MaxTokens: "max_output_tokens",
  ToolUse: "completed",
  ContentFilter: "content_filter"
}

/** In dollars: 1 per million input tokens, 4 per million output tokens. */
const costOf = ({ usage }: CompletionResponse): number =>
  Number((usage.inputTokens / 1_000_000 + usage.outputTokens / 250_000).toFixed(9))

const generationId = (seed: string): string => `gen-${created}-${idOf(`${seed} generation`, 20)}`

const dress = (answer: Outgoing): Outgoing => {
  const { cost, finishReason, metadata } = answer.response
  const native_finish_reason = finishReason._tag === "Other" ? finishReason.reason : nativeReasons[finishReason._tag]
  return changed(answer, {
    cost: cost ?? costOf(answer.response),
    metadata: { openrouter: { native_finish_reason: native_finish_reason ?? null, ...metadata?.["openrouter"] } }
  })
}

const processing = ": OPENROUTER PROCESSING\n\n"

const choiceIn = (data: JsonObject): JsonObject | undefined => {
  const [choice] = Array.isArray(data.choices) ? data.choices as ReadonlyArray<unknown> : []
  return isObject(choice) ? choice : undefined
}

/** Every chunk has the role. */
const dressed = (provider: string, native: unknown) => (data: JsonObject): JsonObject => {
  const choice = choiceIn(data)
  if (choice === undefined) return { ...data, provider }
  const delta = isObject(choice.delta) ? choice.delta : {}
  const content = "tool_calls" in delta ? null : ""
  return {
    ...data,
    provider,
    choices: [{ native_finish_reason: native, ...choice, delta: { content, ...delta, role: "assistant" } }]
  }
}

/** The finish reason is sent twice, the second time with the usage. */
const events: Service["events"] = (events, answer) => {
  const { metadata, model = "" } = answer.response
  const native = metadata?.["openrouter"]?.["native_finish_reason"]
  const chunks = refusing(events, answer).map((event, index, all) =>
    withData(event, dressed(upstreamName(model), index < all.length - 3 ? null : native))
  )
  const [first = "", ...rest] = chunks.slice(0, -3)
  const [finish = "", usage = "", done = ""] = chunks.slice(-3)
  let last: JsonObject = {}
  withData(finish, (data) => last = data)
  return [
    processing + processing + first,
    ...rest,
    processing + finish,
    withData(usage, (data) => ({ ...last, ...data, choices: last.choices })),
    done
  ]
}

const streamError: Service["streamError"] = ({ response: { model = "" } }, { seed }: Call) =>
  dataEvent({
    id: generationId(seed),
    provider: upstreamName(model),
    model,
    object: "chat.completion.chunk",
    created,
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

const refuse = (rejection: Rejection) => ({
  headers: rejection.headers ?? {},
  body: {
    error: { message: rejection.message, code: rejection.status, ...metadataOf(rejection), ...rejection.fields },
    user_id: "user_simulated"
  }
})

const openRouterShape = (flaw: Shape.Flaw): Rejection => {
  const place = Shape.dotted(flaw.path)
  if (flaw.kind === "missing" && place === "messages") {
    return invalid('Input required: specify "prompt" or "messages"')
  }
  if (flaw.kind === "missing" && place === "model") return invalid("No models provided")
  return invalid(
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

const check: Service["check"] = (call) =>
  Result.flatMap(Result.mapError(decode(call.body, "ignore"), openRouterShape), (body) => {
    if (body.model === "") return Result.fail(invalid("No models provided"))
    if (isUnknownModel(body.model)) return Result.fail(invalid(`${body.model} is not a valid model ID`))
    if (body.messages.length === 0) return Result.fail(invalid("Input must have at least 1 token."))
    return Result.mapError(Rules.checked(Rules.upstreamRules, body, factsOf), (flaw) => fromUpstream(body, flaw))
  })

const openRouterServerErrors: { readonly [status: number]: string } = {
  500: "Internal Server Error",
  502: "Provider returned error",
  503: "No instances available",
  504: "Provider timed out",
  529: "Provider overloaded"
}

export const openrouter: Service = {
  provider: "openrouter",
  server: openRouterServer,
  key: openai.key,
  missingKey: { status: 401, message: "No auth credentials found" },
  invalidKey: { status: 401, message: "User not found." },
  invalid,
  notFound: () => ({ status: 404, message: "Not Found" }),
  check,
  readable: oneChoice,
  answerId: generationId,
  callId,
  headers: (seed) => ({ "x-generation-id": generationId(seed) }),
  streamType: "text/event-stream",
  dress,
  body: (body, answer) => ({ provider: upstreamName(answer.response.model ?? ""), ...body }),
  events,
  thought: (_, text) => ({
    _tag: "Reasoning",
    field: "reasoning",
    content: [{ _tag: "Text", text, format: "unknown", index: 0 }]
  }),
  silence: { after: 0, every: 10_000 },
  streamError,
  refuse,
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

/** Gemini generateContent and streamGenerateContent, `POST …/v1beta/models/{model}:generateContent`. */
import * as Result from "effect/Result"
import * as Message from "../../../Message.ts"
import { server } from "../../../wire/gemini/wire.ts"
import type { Outgoing } from "../../../wire/Wire.ts"
import { changed } from "../decide.ts"
import { dataEvent, withData } from "../events.ts"
import { bearer, type Call, gatewayPage, isUnknownModel, type Rejection } from "../exchange.ts"
import { idOf, type JsonObject, tokensOf } from "../json.ts"
import type { Service } from "../service.ts"
import type { Body } from "./body.ts"
import { hop } from "./continuation.ts"
import * as Rules from "./rules.ts"

/** Google sends no request id in its headers. */
const headers = { "server-timing": "gfet4t7; dur=42", "x-gemini-service-tier": "standard" }

const usageOf = ({ response: { usage } }: Outgoing, candidatesTokenCount: number): JsonObject => ({
  promptTokenCount: usage.inputTokens,
  ...usage.reasoningTokens > 0 ? { thoughtsTokenCount: usage.reasoningTokens } : {},
  candidatesTokenCount,
  totalTokenCount: usage.inputTokens + usage.reasoningTokens + candidatesTokenCount,
  promptTokensDetails: [{ modality: "TEXT", tokenCount: usage.inputTokens }],
  serviceTier: "standard"
})

/** Gemini 3 signs the first call of an answer, and adds a finish message. */
const dress = (whole: Outgoing, call: Call): Outgoing => {
  const { seed } = call
  const answer = hop(whole, call)
  const { choice, finishReason, metadata, model = "" } = answer.response
  const first = choice.findIndex(({ _tag }) => _tag === "ToolCall")
  const message = finishReason._tag === "ToolUse" ? { finishMessage: "Model generated function call(s)." } : {}
  return changed(answer, {
    choice: choice.map((content, index) =>
      index === first && content._tag === "ToolCall" && content.signature === undefined && Rules.signs(model)
        ? { ...content, signature: idOf(`${seed} signature`, 64) }
        : content
    ),
    metadata: { gemini: { ...message, ...metadata?.["gemini"] } }
  })
}

const body = (body: JsonObject, answer: Outgoing): JsonObject => {
  const { outputTokens, reasoningTokens } = answer.response.usage
  return { ...body, usageMetadata: usageOf(answer, outputTokens - reasoningTokens) }
}

/** The counts grow with the chunks. */
const events: Service["events"] = (events, answer) => {
  const { outputTokens, reasoningTokens } = answer.response.usage
  const all = outputTokens - reasoningTokens
  return events.map((event, index) =>
    withData(event, (data) => ({
      ...data,
      usageMetadata: usageOf(answer, Math.floor(all * (index + 1) / events.length))
    }))
  )
}

const refuse = (rejection: Rejection) => ({
  headers: { ...headers, ...rejection.headers },
  body: {
    error: {
      code: rejection.status,
      message: rejection.message,
      status: rejection.type ?? "INVALID_ARGUMENT",
      ...rejection.details === undefined ? {} : { details: rejection.details },
      ...rejection.fields
    }
  }
})

const unknownModel = (call: Call): Rejection => ({
  status: 404,
  type: "NOT_FOUND",
  message: `models/${call.pathModel} is not found for API version ${
    /\/(v1[a-z]*)\/models/.exec(call.request.url.pathname)?.[1]
  }, or is not supported for generateContent. Call ModelService.ListModels to see the list of available models and their supported methods.`
})

const check: Service["check"] = (call) => {
  if (isUnknownModel(call.pathModel)) return Result.fail(unknownModel(call))
  // Without `alt=sse`, the service sends one JSON array, which no client reads as a stream.
  const { pathname, searchParams } = call.request.url
  if (pathname.endsWith(":streamGenerateContent") && searchParams.get("alt") !== "sse") {
    return Result.fail(Rules.invalid("The simulator streams as server-sent events only: add alt=sse to the query."))
  }
  return Result.map(Rules.read(call.body, call.pathModel, call.unknownFields), (body: Body) => ({
    inputTokens: tokensOf(body.contents ?? []) + tokensOf(body.systemInstruction) + tokensOf(body.tools),
    json: body.generationConfig?.responseMimeType === "application/json"
  }))
}

const quotaFailure = {
  "@type": "type.googleapis.com/google.rpc.QuotaFailure",
  violations: [{
    quotaMetric: "generativelanguage.googleapis.com/generate_content_paid_tier_requests",
    quotaId: "GenerateRequestsPerMinutePerProjectPerModel",
    quotaDimensions: { location: "global" },
    quotaValue: "1000"
  }]
}

const unavailable = { type: "UNAVAILABLE", message: "The model is overloaded. Please try again later." }

const serverErrors: { readonly [status: number]: Omit<Rejection, "status"> } = {
  500: { type: "INTERNAL", message: "An internal error has occurred. Please retry." },
  502: { message: "Bad gateway", html: gatewayPage(502, "Bad Gateway") },
  503: unavailable,
  504: { type: "DEADLINE_EXCEEDED", message: "The request timed out. Please try again." },
  529: unavailable
}

export const gemini: Service = {
  provider: "gemini",
  server,
  key: ({ headers, url }) => headers["x-goog-api-key"] || url.searchParams.get("key") || bearer(headers),
  missingKey: {
    status: 403,
    type: "PERMISSION_DENIED",
    message:
      "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API."
  },
  invalidKey: {
    status: 400,
    type: "INVALID_ARGUMENT",
    message: "API key not valid. Please pass a valid API key.",
    details: [{
      "@type": "type.googleapis.com/google.rpc.ErrorInfo",
      reason: "API_KEY_INVALID",
      domain: "googleapis.com",
      metadata: { service: "generativelanguage.googleapis.com" }
    }]
  },
  invalid: Rules.invalid,
  notFound: ({ url }) => ({
    status: 404,
    type: "NOT_FOUND",
    message: `The requested URL ${url.pathname} was not found on this server.`
  }),
  check,
  answerId: (seed) => idOf(`${seed} message`, 22),
  // Gemini's calls have no ids.
  callId: Message.mintId,
  headers: () => headers,
  streamType: "text/event-stream",
  dress,
  body,
  events,
  // Gemini returns thoughts on request, and signs the content that follows from them.
  thought: ({ pathModel }, text) =>
    Rules.signs(pathModel) || pathModel.startsWith("gemini-2.5")
      ? { _tag: "Reasoning", content: [{ _tag: "Text", text }] }
      : undefined,
  silence: { after: 0 },
  streamError: () => dataEvent(refuse({ status: 503, ...unavailable }).body, "\r\n"),
  refuse,
  rateLimit: (millis) => ({
    status: 429,
    type: "RESOURCE_EXHAUSTED",
    message: "You exceeded your current quota, please check your plan and billing details.",
    details: [
      quotaFailure,
      ...millis === undefined
        ? []
        : [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: `${millis / 1000}s` }]
    ]
  }),
  serverError: (status) => ({ status, message: "", ...serverErrors[status] })
}

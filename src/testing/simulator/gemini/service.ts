/** Gemini generateContent and streamGenerateContent, `POST …/v1beta/models/{model}:generateContent`. */
import * as Result from "effect/Result"
import { bearer, type Call, type Dialect, gatewayPage, isUnknownModel, type Rejection } from "../exchange.ts"
import type { Body } from "./body.ts"
import * as Rules from "./rules.ts"
import { idOf, isObject, type Json, textOf, tokensOf } from "../json.ts"
import type { Ask, Choice, Finish, Reply } from "../decide.ts"
import { dataEvent, pieces } from "../events.ts"

const choiceOf = (config: Body["toolConfig"]): Choice => {
  const { allowedFunctionNames = [], mode } = config?.functionCallingConfig ?? {}
  if (mode === "NONE") return "none"
  if (mode !== "ANY") return "auto"
  return allowedFunctionNames.length > 0 ? allowedFunctionNames : "required"
}

/** A result is an object; where it holds one of these, that is what the tool gave: clients differ. */
const resultText = (response: unknown): string => {
  const { content, output, result } = isObject(response) ? response : {}
  const value = result ?? output ?? content ?? response
  return typeof value === "string" ? value : JSON.stringify(value ?? {})
}

const schemaOf = (
  { responseJsonSchema, responseMimeType, responseSchema }: NonNullable<Body["generationConfig"]>
) =>
  responseJsonSchema ?? responseSchema ??
    (responseMimeType === "application/json" ? { type: "object" } : undefined)

const askOf = (body: Body, model: string): Ask => {
  const { contents = [], generationConfig = {} } = body
  const users = contents.filter((content) => content.role !== "model")
  return {
    model,
    userText: users.map((content) => textOf(content.parts)).findLast((text) => text !== "") ?? "",
    toolResults: Rules.responsesOf(contents.at(-1)).map((one) => resultText(one.response)),
    tools: Rules.declarationsOf(body).map(({ name, parameters, parametersJsonSchema }) => ({
      name,
      parameters: parametersJsonSchema ?? parameters
    })),
    choice: choiceOf(body.toolConfig),
    parallel: true,
    outputSchema: schemaOf(generationConfig),
    maxTokens: generationConfig.maxOutputTokens,
    stopSequences: generationConfig.stopSequences ?? [],
    inputTokens: tokensOf(contents) + tokensOf(body.systemInstruction) + tokensOf(body.tools),
    cacheWriteTokens: 0
  }
}

const finishReasons: { readonly [finish in Finish]: string } = {
  Stop: "STOP",
  StopSequence: "STOP",
  MaxTokens: "MAX_TOKENS",
  ToolUse: "STOP"
}

/** A half-written call is not shown; Gemini 3 signs the first call of an answer. */
const callsOf = (reply: Reply, seed: string): ReadonlyArray<Json> =>
  reply.toolCalls.filter((call) => call.complete).map((call, index) => ({
    functionCall: { name: call.name, args: call.arguments },
    ...index === 0 && Rules.signs(reply.model) ? { thoughtSignature: idOf(`${seed} signature`, 64) } : {}
  }))

const textsOf = (texts: ReadonlyArray<string>): ReadonlyArray<Json> => texts.map((text) => ({ text }))

/** Google names no request in its headers. */
const headers = { "server-timing": "gfet4t7; dur=42", "x-gemini-service-tier": "standard" }

/** One answer, or one chunk of it: of the chunks only the last names the finish reason. */
const bodyOf = (
  reply: Reply,
  seed: string,
  chunk: { readonly parts: ReadonlyArray<Json>; readonly outputTokens: number; readonly last: boolean }
) => ({
  candidates: [{
    content: { ...chunk.parts.length === 0 ? {} : { parts: chunk.parts }, role: "model" },
    ...chunk.last ? { finishReason: reply.finishWord ?? finishReasons[reply.finish] } : {},
    ...chunk.last && reply.finishDetail !== undefined ? { finishMessage: reply.finishDetail } : {},
    ...chunk.last && reply.finish === "ToolUse" ? { finishMessage: "Model generated function call(s)." } : {},
    index: 0
  }],
  usageMetadata: {
    promptTokenCount: reply.usage.inputTokens,
    candidatesTokenCount: chunk.outputTokens,
    totalTokenCount: reply.usage.inputTokens + chunk.outputTokens,
    promptTokensDetails: [{ modality: "TEXT", tokenCount: reply.usage.inputTokens }],
    serviceTier: "standard"
  },
  modelVersion: reply.model,
  responseId: idOf(`${seed} message`, 22)
})

const render = (reply: Reply, { seed }: Call) => ({
  headers,
  body: bodyOf(reply, seed, {
    parts: [...textsOf(reply.text === undefined ? [] : [reply.text]), ...callsOf(reply, seed)],
    outputTokens: reply.usage.outputTokens,
    last: true
  })
})

const event = (data: Json): string => dataEvent(data, "\r\n")

/** Texts come one by one, calls whole and together; the counts grow with the chunks. */
const stream = (reply: Reply, { seed }: Call) => {
  const calls = callsOf(reply, seed)
  const grouped = [
    ...textsOf(pieces(reply.text ?? "")).map((part) => [part]),
    ...calls.length === 0 ? [] : [calls]
  ]
  const all = grouped.length === 0 ? [[]] : grouped
  return {
    headers: { ...headers, "content-type": "text/event-stream" },
    events: all.map((parts, index) =>
      event(bodyOf(reply, seed, {
        parts,
        outputTokens: Math.floor(reply.usage.outputTokens * (index + 1) / all.length),
        last: index === all.length - 1
      }))
    )
  }
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

const streams = ({ request }: Call): boolean => request.url.pathname.endsWith(":streamGenerateContent")

const read = (call: Call): Result.Result<Ask, Rejection> => {
  if (isUnknownModel(call.pathModel)) return Result.fail(unknownModel(call))
  // Without it the service writes one JSON array, which no client of it reads as it comes.
  if (streams(call) && call.request.url.searchParams.get("alt") !== "sse") {
    return Result.fail(Rules.invalid("The simulator streams as server-sent events only: add alt=sse to the query."))
  }
  return Result.map(Rules.read(call.body, call.pathModel, call.unknownFields), (body) => askOf(body, call.pathModel))
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

export const gemini: Dialect = {
  provider: "gemini",
  streams,
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
  read,
  render,
  stream,
  streamError: () => event(refuse({ status: 503, ...unavailable }).body),
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

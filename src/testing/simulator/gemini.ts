/** Gemini generateContent, `POST …/v1beta/models/{model}:generateContent`. */
import * as Result from "effect/Result"
import { bearer, type Call, type Dialect, gatewayPage, isUnknownModel, type Rejection } from "./exchange.ts"
import type { Body } from "./geminiBody.ts"
import * as Rules from "./geminiRules.ts"
import { idOf, type Json, textOf, tokensOf } from "./json.ts"
import type { Ask, Choice, Finish, Reply } from "./reply.ts"

const choiceOf = (config: Body["toolConfig"]): Choice => {
  const { allowedFunctionNames = [], mode } = config?.functionCallingConfig ?? {}
  if (mode === "NONE") return "none"
  if (mode !== "ANY") return "auto"
  return allowedFunctionNames.length > 0 ? allowedFunctionNames : "required"
}

/** A result is an object; `{ "result": "text" }` and `{ "output": "text" }` stand for their text. */
const resultText = (response: unknown): string => {
  const object = response as { readonly result?: unknown; readonly output?: unknown } | undefined
  const value = object?.result ?? object?.output ?? object
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
const partsOf = (reply: Reply, seed: string): ReadonlyArray<Json> => [
  ...reply.text === undefined ? [] : [{ text: reply.text }],
  ...reply.toolCalls.filter((call) => call.complete).map((call, index) => ({
    functionCall: { name: call.name, args: call.arguments },
    ...index === 0 && reply.model.startsWith("gemini-3") ? { thoughtSignature: idOf(`${seed} signature`, 64) } : {}
  }))
]

/** Google names no request in its headers. */
const headers = { "server-timing": "gfet4t7; dur=42", "x-gemini-service-tier": "standard" }

const render = (reply: Reply, { seed }: Call) => {
  const parts = partsOf(reply, seed)
  const { inputTokens, outputTokens } = reply.usage
  return {
    headers,
    body: {
      candidates: [{
        content: { ...parts.length === 0 ? {} : { parts }, role: "model" },
        finishReason: finishReasons[reply.finish],
        ...reply.finish === "ToolUse" ? { finishMessage: "Model generated function call(s)." } : {},
        index: 0
      }],
      usageMetadata: {
        promptTokenCount: inputTokens,
        candidatesTokenCount: outputTokens,
        totalTokenCount: inputTokens + outputTokens,
        promptTokensDetails: [{ modality: "TEXT", tokenCount: inputTokens }],
        serviceTier: "standard"
      },
      modelVersion: reply.model,
      responseId: idOf(`${seed} message`, 22)
    }
  }
}

const refuse = (rejection: Rejection) => ({
  headers: { ...headers, ...rejection.headers },
  body: {
    error: {
      code: rejection.status,
      message: rejection.message,
      status: rejection.type ?? "INVALID_ARGUMENT",
      ...rejection.details === undefined ? {} : { details: rejection.details }
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

const read = (call: Call): Result.Result<Ask, Rejection> =>
  isUnknownModel(call.pathModel)
    ? Result.fail(unknownModel(call))
    : Result.map(Rules.read(call.body, call.pathModel, call.unknownFields), (body) => askOf(body, call.pathModel))

const quotaFailure = {
  "@type": "type.googleapis.com/google.rpc.QuotaFailure",
  violations: [{
    quotaMetric: "generativelanguage.googleapis.com/generate_content_paid_tier_requests",
    quotaId: "GenerateRequestsPerMinutePerProjectPerModel",
    quotaDimensions: { location: "global" },
    quotaValue: "1000"
  }]
}

const serverErrors: { readonly [status: number]: Omit<Rejection, "status"> } = {
  500: { type: "INTERNAL", message: "An internal error has occurred. Please retry." },
  502: { message: "Bad gateway", html: gatewayPage(502, "Bad Gateway") },
  503: { type: "UNAVAILABLE", message: "The model is overloaded. Please try again later." },
  504: { type: "DEADLINE_EXCEEDED", message: "The request timed out. Please try again." },
  529: { type: "UNAVAILABLE", message: "The model is overloaded. Please try again later." }
}

export const gemini: Dialect = {
  provider: "gemini",
  streams: ({ request }) => request.url.pathname.endsWith(":streamGenerateContent"),
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

/**
 * Finds the service of a request by its path and host.
 */
import type * as Result from "effect/Result"
import * as Anthropic from "./anthropic/countTokens.ts"
import { anthropic } from "./anthropic/service.ts"
import * as Chat from "./chat/embeddings.ts"
import { openai } from "./chat/openai.ts"
import { openrouter } from "./chat/openrouter.ts"
import type { Call, Provider, Rejection, SimulatedRequest } from "./exchange.ts"
import * as GeminiCounts from "./gemini/countTokens.ts"
import * as GeminiVectors from "./gemini/embeddings.ts"
import { gemini } from "./gemini/service.ts"
import { decodePercent, type JsonObject } from "./json.ts"
import * as Responses from "./responses/countTokens.ts"
import { responses } from "./responses/service.ts"
import type { Service } from "./service.ts"

/** An endpoint without a model: a token count, or embeddings. */
export type Reply = (call: Call) => Result.Result<JsonObject, Rejection>

interface Route {
  readonly service: Service
  /** The group `model` matches a model in the path. */
  readonly path: RegExp
  /** A host of the service, whatever the path. */
  readonly host: RegExp
  /** Missing if the model answers. */
  readonly reply?: Reply
}

const nowhere = /^$/

/** The first route with a matching path; otherwise the first with a matching host, for a 404 in its words. */
const routes: ReadonlyArray<Route> = [
  {
    service: gemini,
    path: /\/v1(?:alpha|beta)?\/models\/(?<model>[^/:]+):(?:streamGenerateContent|generateContent)$/,
    host: /googleapis\.com$/
  },
  {
    service: gemini,
    path: /\/v1(?:alpha|beta)?\/models\/(?<model>[^/:]+):countTokens$/,
    host: nowhere,
    reply: GeminiCounts.countTokens
  },
  {
    service: gemini,
    path: /\/v1(?:alpha|beta)?\/models\/(?<model>[^/:]+):(?:batchEmbedContents|embedContent)$/,
    host: nowhere,
    reply: GeminiVectors.embeddings
  },
  { service: anthropic, path: /\/v1\/messages\/count_tokens$/, host: nowhere, reply: Anthropic.countTokens },
  { service: responses, path: /\/responses\/input_tokens$/, host: nowhere, reply: Responses.countTokens },
  { service: openrouter, path: /\/api\/v1\/embeddings$/, host: nowhere, reply: Chat.embeddings },
  { service: openai, path: /\/embeddings$/, host: nowhere, reply: Chat.embeddings },
  { service: openrouter, path: /\/api\/v1\/chat\/completions$/, host: /openrouter/ },
  { service: anthropic, path: /\/v1\/messages$/, host: /anthropic/ },
  { service: responses, path: /\/responses$/, host: nowhere },
  { service: openai, path: /\/chat\/completions$/, host: /./ }
]

const chatPath = /\/chat\/completions$/

const routeOf = ({ url }: SimulatedRequest): Route | undefined =>
  chatPath.test(url.pathname) && /openrouter/.test(url.host + url.pathname)
    ? routes.find(({ reply, service }) => service === openrouter && reply === undefined)
    : routes.find(({ path }) => path.test(url.pathname))

const byHost = ({ url }: SimulatedRequest): Service =>
  routes.find(({ host }) => host.test(url.hostname))?.service ?? openai

/** The service for a request. */
export const serviceFor = (request: SimulatedRequest): Service => routeOf(request)?.service ?? byHost(request)

/** The endpoint without a model for a request, if there is one. */
export const replyOf = (request: SimulatedRequest): Reply | undefined => routeOf(request)?.reply

/** The service whose protocol a request speaks. */
export const providerOf = (request: SimulatedRequest): Provider => serviceFor(request).provider

/** The model in the path; empty if it is in the body, undefined for an unknown path. */
export const pathModel = (request: SimulatedRequest): string | undefined => {
  const route = routeOf(request)
  return route && decodePercent(route.path.exec(request.url.pathname)?.groups?.model ?? "")
}

/**
 * From one plain HTTP request to one plain HTTP response, without effects: finds the protocol, checks the key, lets the
 * protocol read the request, decides the answer and renders it.
 */
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import { anthropic } from "./anthropic.ts"
import { openai, openrouter } from "./chat.ts"
import type { Call, Dialect, Failure, Provider, Rejection, SimulatedRequest, SimulatedResponse } from "./exchange.ts"
import { gemini } from "./gemini.ts"
import { idOf, parseObject } from "./json.ts"
import { decide, empty } from "./reply.ts"

export interface Settings {
  /** Whether a key must be sent: by default everywhere but on local hosts. */
  readonly requireKey?: boolean | undefined
  readonly unknownFields?: "reject" | "ignore" | undefined
  /** What this request is to fail with. */
  readonly failure?: Failure | undefined
}

interface Route {
  readonly dialect: Dialect
  /** The group `model` is the model, where the path names it. */
  readonly path: RegExp
  /** A host that speaks the protocol, whatever the path. */
  readonly host: RegExp
}

/** The first route whose path matches; else the first whose host does, for a 404 in its words. */
const routes: ReadonlyArray<Route> = [
  {
    dialect: gemini,
    path: /\/v1(?:alpha|beta)?\/models\/(?<model>[^/:]+):(?:streamGenerateContent|generateContent)$/,
    host: /googleapis\.com$/
  },
  { dialect: openrouter, path: /\/api\/v1\/chat\/completions$/, host: /openrouter/ },
  { dialect: anthropic, path: /\/v1\/messages$/, host: /anthropic/ },
  { dialect: openai, path: /\/chat\/completions$/, host: /./ }
]

const chatPath = /\/chat\/completions$/

const routeOf = ({ url }: SimulatedRequest): Route | undefined =>
  chatPath.test(url.pathname) && /openrouter/.test(url.host + url.pathname)
    ? routes.find(({ dialect }) => dialect === openrouter)
    : routes.find(({ path }) => path.test(url.pathname))

const byHost = ({ url }: SimulatedRequest): Dialect =>
  routes.find(({ host }) => host.test(url.hostname))?.dialect ?? openai

/** Which provider's protocol a request speaks. */
export const providerOf = (request: SimulatedRequest): Provider =>
  (routeOf(request)?.dialect ?? byHost(request)).provider

const isLocal = ({ hostname }: URL): boolean =>
  hostname === "localhost" || hostname.endsWith(".localhost") || hostname.startsWith("127.") || hostname === "[::1]" ||
  hostname === "0.0.0.0"

const keyProblem = (dialect: Dialect, request: SimulatedRequest, settings: Settings): Rejection | undefined => {
  if (!(settings.requireKey ?? !isLocal(request.url))) return undefined
  const key = dialect.key(request)?.trim()
  if (key === undefined || key === "") return dialect.missingKey
  return key.toLowerCase().includes("invalid") ? dialect.invalidKey : undefined
}

const jsonType = "application/json"

const refused = (dialect: Dialect, rejection: Rejection, seed: string): SimulatedResponse => {
  const { body, headers } = dialect.refuse(rejection, seed)
  return rejection.html === undefined
    ? { status: rejection.status, headers: { "content-type": jsonType, ...headers }, body: JSON.stringify(body) }
    : { status: rejection.status, headers: { "content-type": "text/html" }, body: rejection.html }
}

const failed = (dialect: Dialect, failure: Failure | undefined): Rejection | undefined => {
  switch (failure?._tag) {
    case "RateLimit":
      return dialect.rateLimit(
        failure.retryAfter === undefined ? undefined : Duration.toMillis(failure.retryAfter)
      )
    case "ServerError":
      return dialect.serverError(failure.status ?? 500)
    default:
      return undefined
  }
}

const answered = (
  dialect: Dialect,
  call: Call,
  failure: Failure | undefined
): Result.Result<SimulatedResponse, Rejection> =>
  Result.map(dialect.read(call), (ask) => {
    const { body, headers } = dialect.render(failure?._tag === "Empty" ? empty(ask) : decide(ask), call)
    return { status: 200, headers: { "content-type": jsonType, ...headers }, body: JSON.stringify(body) }
  })

const unstreamed = "The simulator does not stream yet: send this request without streaming."

/** The answer to a request: the same request has the same answer, byte for byte. */
export const respond = (request: SimulatedRequest, settings: Settings = {}): SimulatedResponse => {
  const seed = idOf(`${request.url.pathname} ${request.body}`, 32)
  const route = routeOf(request)
  const dialect = route?.dialect ?? byHost(request)
  const refuse = (rejection: Rejection): SimulatedResponse => refused(dialect, rejection, seed)
  const failure = failed(dialect, settings.failure)
  if (failure !== undefined) return refuse(failure)
  if (route === undefined || request.method !== "POST") return refuse(dialect.notFound(request))
  const keyRefusal = keyProblem(dialect, request, settings)
  if (keyRefusal !== undefined) return refuse(keyRefusal)
  const body = parseObject(request.body)
  if (body === undefined) return refuse(dialect.invalid("The request body is not a valid JSON object."))
  const pathModel = decodeURIComponent(route.path.exec(request.url.pathname)?.groups?.model ?? "")
  const call: Call = { request, body, pathModel, seed, unknownFields: settings.unknownFields ?? "reject" }
  if (dialect.streams(call)) return refuse(dialect.invalid(unstreamed))
  return Result.match(answered(dialect, call, settings.failure), {
    onFailure: refuse,
    onSuccess: (response) => response
  })
}

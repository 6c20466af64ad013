/**
 * From one plain HTTP request to one plain HTTP response, without effects: finds the protocol, checks the key, lets the
 * protocol read the request, decides the answer and renders it.
 */
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import { anthropic } from "./anthropic.ts"
import { openai, openrouter } from "./chat.ts"
import type {
  Call,
  Dialect,
  Failure,
  Provider,
  Rejection,
  SimulatedRequest,
  SimulatedResponse,
  Streamed
} from "./exchange.ts"
import { gemini } from "./gemini.ts"
import { idOf, type JsonObject, parseObject } from "./json.ts"
import { decide, empty, type Reply } from "./reply.ts"

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

const refusal = (
  status: number,
  headers: SimulatedResponse["headers"],
  text: string
): SimulatedResponse => ({ status, headers, body: [text], ending: "End" })

const refused = (dialect: Dialect, rejection: Rejection, seed: string): SimulatedResponse => {
  const { body, headers } = dialect.refuse(rejection, seed)
  return rejection.html === undefined
    ? refusal(rejection.status, { "content-type": jsonType, ...headers }, JSON.stringify(body))
    : refusal(rejection.status, { "content-type": "text/html" }, rejection.html)
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

const streamed = (dialect: Dialect, reply: Reply, call: Call): Streamed => {
  if (dialect.streams(call)) return dialect.stream(reply, call)
  const { body, headers } = dialect.render(reply, call)
  return { headers: { "content-type": jsonType, ...headers }, events: [JSON.stringify(body)] }
}

/** The events up to where they fail, and how they end. */
const brokenOff = (
  events: ReadonlyArray<string>,
  failure: Failure | undefined,
  error: () => string
): Pick<SimulatedResponse, "body" | "ending"> => {
  if (failure === undefined || !("afterEvents" in failure)) return { body: events, ending: "End" }
  const before = events.slice(0, failure.afterEvents)
  switch (failure._tag) {
    case "StreamError":
      return { body: [...before, error()], ending: "End" }
    case "MalformedJson": {
      const [next = "", ...rest] = events.slice(failure.afterEvents)
      return { body: [...before, next.replace(/\}(\s*)$/, "$1"), ...rest], ending: "End" }
    }
    default:
      return { body: before, ending: failure._tag === "Cut" ? "End" : failure._tag }
  }
}

const answered = (
  dialect: Dialect,
  call: Call,
  failure: Failure | undefined
): Result.Result<SimulatedResponse, Rejection> =>
  Result.flatMap(dialect.read(call), (ask) => {
    if (failure?._tag === "StreamError" && !dialect.streams(call)) return Result.fail(dialect.serverError(500))
    const reply = failure?._tag === "Empty" ? empty(ask) : decide(ask)
    const { events, headers } = streamed(dialect, reply, call)
    return Result.succeed({
      status: 200,
      headers,
      ...brokenOff(events, failure, () => dialect.streamError(reply, call))
    })
  })

/** The same for a request and its stream. */
const seedOf = ({ body, url }: SimulatedRequest, fields: JsonObject | undefined): string => {
  const { stream: _, stream_options: __, ...rest } = fields ?? { body }
  return idOf(`${url.pathname.replace(/:\w+$/, "")} ${JSON.stringify(rest)}`, 32)
}

/** The answer to a request: the same request has the same answer, byte for byte. */
export const respond = (request: SimulatedRequest, settings: Settings = {}): SimulatedResponse => {
  const body = parseObject(request.body)
  const seed = seedOf(request, body)
  const route = routeOf(request)
  const dialect = route?.dialect ?? byHost(request)
  const refuse = (rejection: Rejection): SimulatedResponse => refused(dialect, rejection, seed)
  const failure = failed(dialect, settings.failure)
  if (failure !== undefined) return refuse(failure)
  if (route === undefined || request.method !== "POST") return refuse(dialect.notFound(request))
  const keyRefusal = keyProblem(dialect, request, settings)
  if (keyRefusal !== undefined) return refuse(keyRefusal)
  if (body === undefined) return refuse(dialect.invalid("The request body is not a valid JSON object."))
  const pathModel = decodeURIComponent(route.path.exec(request.url.pathname)?.groups?.model ?? "")
  const call: Call = { request, body, pathModel, seed, unknownFields: settings.unknownFields ?? "reject" }
  return Result.match(answered(dialect, call, settings.failure), {
    onFailure: refuse,
    onSuccess: (response) => response
  })
}

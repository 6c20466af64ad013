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
  Fault,
  Provider,
  Rejection,
  SimulatedRequest,
  SimulatedResponse
} from "./exchange.ts"
import { type FaultName, faultOf, withoutBrace } from "./faults.ts"
import { gemini } from "./gemini.ts"
import { decodePercent, idOf, type Json, type JsonObject, parseObject } from "./json.ts"
import { decide, type Reply, silent } from "./reply.ts"
import { dataEvent } from "./wire.ts"

export interface Settings {
  /** Whether a key must be sent: by default everywhere but on local hosts. */
  readonly requireKey?: boolean | undefined
  readonly unknownFields?: "reject" | "ignore" | undefined
  /** What this request is to fail with. */
  readonly failure?: Failure | FaultName | undefined
  /** Epoch milliseconds, for hints that are instants; the beginning of 2026 by default. */
  readonly now?: number | undefined
}

const defaultNow = 1_767_225_600_000

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

/** A scripted failure as the fault of a provider; undefined when the provider cannot have it. */
const toFault = (failure: Failure | FaultName, dialect: Dialect): Fault | undefined => {
  if (typeof failure === "string") return faultOf(failure, dialect)
  switch (failure._tag) {
    case "RateLimit": {
      const millis = failure.retryAfter === undefined ? undefined : Duration.toMillis(failure.retryAfter)
      return { _tag: "Refusal", rejection: () => dialect.rateLimit(millis) }
    }
    case "ServerError":
      return { _tag: "Refusal", rejection: () => dialect.serverError(failure.status ?? 500) }
    case "Empty":
      return { _tag: "Reply", reply: silent }
    case "StreamError":
      return { _tag: "ErrorEvent", after: () => failure.afterEvents }
    case "MalformedJson":
      return {
        _tag: "Damage",
        damage: (answer) => ({ ...answer, body: withoutBrace(answer.body, failure.afterEvents) })
      }
    default:
      return {
        _tag: "Damage",
        damage: (answer) => ({
          ...answer,
          body: answer.body.slice(0, failure.afterEvents),
          ending: failure._tag === "Cut" ? "End" : failure._tag
        })
      }
  }
}

const answer = (headers: SimulatedResponse["headers"], body: ReadonlyArray<string>): SimulatedResponse => ({
  status: 200,
  headers,
  body,
  ending: "End"
})

/** The reply; its headers with another body, where one is given. */
const answerTo = (
  dialect: Dialect,
  reply: Reply,
  call: Call,
  instead?: { readonly whole: () => Json; readonly events: (events: ReadonlyArray<string>) => ReadonlyArray<string> }
): SimulatedResponse => {
  if (dialect.streams(call)) {
    const { events, headers } = dialect.stream(reply, call)
    return answer(headers, instead?.events(events) ?? events)
  }
  const { body, headers } = dialect.render(reply, call)
  return answer({ "content-type": jsonType, ...headers }, [JSON.stringify(instead?.whole() ?? body)])
}

const answered = (
  dialect: Dialect,
  call: Call,
  fault: Fault | undefined,
  now: number
): Result.Result<SimulatedResponse, Rejection> =>
  Result.flatMap(dialect.read(call), (ask) => {
    const reply = decide(ask)
    switch (fault?._tag) {
      case undefined:
        return Result.succeed(answerTo(dialect, reply, call))
      case "Reply":
        return Result.succeed(answerTo(dialect, fault.reply(reply), call))
      case "Damage":
        return Result.succeed(fault.damage(answerTo(dialect, reply, call)))
      case "Body":
        return Result.succeed(answerTo(dialect, reply, call, {
          whole: () => fault.whole(reply, call),
          events: () => fault.events(reply, call)
        }))
      case "Refusal": {
        const { body } = dialect.refuse(fault.rejection(dialect, now), call.seed)
        return Result.succeed(answerTo(dialect, reply, call, { whole: () => body, events: () => [dataEvent(body)] }))
      }
      case "ErrorEvent":
        if (!dialect.streams(call)) return Result.fail(dialect.serverError(500))
        return Result.succeed(answerTo(dialect, reply, call, {
          whole: () => null,
          events: (events) => [...events.slice(0, fault.after(events.length)), dialect.streamError(reply, call)]
        }))
    }
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
  const fault = settings.failure === undefined ? undefined : toFault(settings.failure, dialect)
  if (settings.failure !== undefined && fault === undefined) {
    return refuse({ status: 501, message: `The simulator knows no fault ${settings.failure} of ${dialect.provider}.` })
  }
  const now = settings.now ?? defaultNow
  const rejection = fault?._tag === "Refusal" ? fault.rejection(dialect, now) : undefined
  if (rejection !== undefined && rejection.status !== 200) return refuse(rejection)
  const pathModel = route && decodePercent(route.path.exec(request.url.pathname)?.groups?.model ?? "")
  if (pathModel === undefined || request.method !== "POST") return refuse(dialect.notFound(request))
  const keyRefusal = keyProblem(dialect, request, settings)
  if (keyRefusal !== undefined) return refuse(keyRefusal)
  if (body === undefined) return refuse(dialect.invalid("The request body is not a valid JSON object."))
  const call: Call = { request, body, pathModel, seed, unknownFields: settings.unknownFields ?? "reject" }
  return Result.match(answered(dialect, call, fault, now), {
    onFailure: refuse,
    onSuccess: (response) => response
  })
}

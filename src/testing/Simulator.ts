/**
 * Language model providers in the process: an `HttpClient` that speaks Anthropic Messages, OpenAI and OpenRouter Chat
 * Completions and Gemini generateContent as the real services do. Requests are checked as strictly as the services
 * check them, and refused in their words; answers, ids and token counts depend on the request alone.
 *
 * Use it to test an application with its real provider layers, without keys, network or a bill: what the providers
 * would refuse fails here too. It needs no recordings, and it says nothing about how good a prompt is.
 *
 * ```ts
 * import { Layer } from "effect"
 * import { Anthropic } from "effect-llm"
 * import { Simulator } from "effect-llm/testing"
 *
 * // The first request meets a rate limit, the next one is answered.
 * const Provider = Anthropic.layerConfig().pipe(
 *   Layer.provide(Simulator.layer({ failures: [{ _tag: "RateLimit", retryAfter: "2 seconds" }] }))
 * )
 * ```
 *
 * - The text quotes the last user text, or the results of the tools that the last turn brings.
 * - A tool is called when the tool choice forces it, or when the last user text names it (`get_weather`,
 *   `get weather`); its arguments are a minimal valid instance of its schema. So is an answer with an output schema.
 * - A token is four characters. Token limits and stop sequences cut the answer.
 * - A model whose name holds `does-not-exist` or `nonexistent` is unknown, a key that holds `invalid` is wrong.
 * - Streams bring the same answer in deltas, in chunks that end within characters and line ends.
 */
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import type { Failure, Provider, SimulatedRequest, SimulatedResponse } from "./simulator/exchange.ts"
import { parseObject } from "./simulator/json.ts"
import { providerOf, respond } from "./simulator/respond.ts"
import { chunks } from "./simulator/wire.ts"

export type { Failure, Provider, SimulatedRequest, SimulatedResponse } from "./simulator/exchange.ts"
export {
  /** The answer to one plain request, as a pure function. */
  respond,
  type Settings
} from "./simulator/respond.ts"

export interface Options {
  /**
   * Whether a request without a key is refused. By default it is everywhere but on local hosts (`localhost`,
   * `*.localhost`, `127.0.0.0/8`, `[::1]`, `0.0.0.0`).
   */
  readonly requireKey?: boolean
  /**
   * Whether fields that the provider does not know are refused, as Anthropic, OpenAI and Gemini do (the default), or
   * passed over, as many compatible servers do. OpenRouter always passes them over.
   */
  readonly unknownFields?: "reject" | "ignore"
  /** What the first requests fail with, one for one, in their order. */
  readonly failures?: ReadonlyArray<Failure>
}

/** A request as it came in, without its keys. */
export interface RecordedRequest {
  readonly provider: Provider
  readonly url: string
  /** Names in lower case; those that hold keys or cookies are left out. */
  readonly headers: { readonly [name: string]: string | undefined }
  /** The parsed JSON object, or undefined when it was none. */
  readonly body: { readonly [key: string]: unknown } | undefined
}

export interface Simulator {
  readonly client: HttpClient.HttpClient
  /** Every request up to now, in order. */
  readonly requests: Effect.Effect<ReadonlyArray<RecordedRequest>>
  /** How many answers the client gave up before their end: what it reads no further, and what it interrupts. */
  readonly cancelled: Effect.Effect<number>
}

const keyHeaders: ReadonlySet<string> = new Set([
  "authorization",
  "proxy-authorization",
  "x-api-key",
  "x-goog-api-key",
  "cookie"
])

const withoutKey = (url: URL): string => {
  const bare = new URL(url)
  bare.searchParams.delete("key")
  return bare.href
}

const recorded = (request: SimulatedRequest): RecordedRequest => ({
  provider: providerOf(request),
  url: withoutKey(request.url),
  headers: Object.fromEntries(Object.entries(request.headers).filter(([name]) => !keyHeaders.has(name))),
  body: parseObject(request.body)
})

const decoder = new TextDecoder()

/** The body's text; a form is not one that any of the protocols takes. */
const bodyText = (body: HttpClientRequest.HttpClientRequest["body"]): Effect.Effect<string> => {
  switch (body._tag) {
    case "Uint8Array":
      return Effect.succeed(decoder.decode(body.body))
    case "Raw":
      return Effect.succeed(String(body.body))
    case "Stream":
      return Stream.mkString(Stream.decodeText(body.stream)).pipe(Effect.orElseSucceed(() => ""))
    default:
      return Effect.succeed("")
  }
}

/** What a client of the network meets when the other side breaks the connection. */
const connectionReset = (): Error =>
  new TypeError("terminated", { cause: Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }) })

const bodyStream = (
  { body, ending }: SimulatedResponse,
  signal: AbortSignal,
  onCancel: () => void
): ReadableStream<Uint8Array> => {
  const waiting = chunks(body.join(""))
  let next = 0
  let over = false
  const cancel = (): void => {
    if (!over) onCancel()
    over = true
  }
  return new ReadableStream({
    start: (controller) => {
      signal.addEventListener("abort", () => {
        if (!over) controller.error(signal.reason)
        cancel()
      })
    },
    pull: (controller) => {
      const chunk = waiting[next++]
      if (chunk !== undefined) return controller.enqueue(chunk)
      if (ending === "Stall") return
      over = true
      if (ending === "End") controller.close()
      else controller.error(connectionReset())
    },
    cancel
  }, { highWaterMark: 0 })
}

/** A simulator of its own, with what it was asked: for tests that look at what was sent. */
export const make = Effect.fnUntraced(function*(options: Options = {}) {
  const { failures = [], requireKey, unknownFields } = options
  const log = yield* Ref.make<ReadonlyArray<RecordedRequest>>([])
  let cancelled = 0
  const client = HttpClient.make(Effect.fnUntraced(function*(request, url, signal) {
    const simulated = { method: request.method, url, headers: request.headers, body: yield* bodyText(request.body) }
    const before = yield* Ref.getAndUpdate(log, (all) => [...all, recorded(simulated)])
    const response = respond(simulated, { requireKey, unknownFields, failure: failures[before.length] })
    const { headers, status } = response
    return HttpClientResponse.fromWeb(
      request,
      new Response(bodyStream(response, signal, () => cancelled++), { status, headers })
    )
  }))
  return { client, requests: Ref.get(log), cancelled: Effect.sync(() => cancelled) } satisfies Simulator as Simulator
})

/** The simulator as the `HttpClient` of provider layers. Every build of the layer starts with the first failure. */
export const layer = (options?: Options): Layer.Layer<HttpClient.HttpClient> =>
  Layer.effect(HttpClient.HttpClient, Effect.map(make(options), ({ client }) => client))

/**
 * Simulated language model services. They speak Anthropic Messages, OpenAI Chat Completions and Responses, OpenRouter's
 * Chat Completions and Gemini generateContent like the real ones, in the process (`layer`, an `HttpClient`) or on a
 * port (`serve`). They check requests as strictly as the services, and refuse them in their words. Answers, ids and
 * token counts depend only on the request, unless a test provides them (`answer`). See docs/testing.md.
 *
 * ```ts
 * import { Layer } from "effect"
 * import { Anthropic } from "effect-llm"
 * import { Simulator } from "effect-llm/testing"
 *
 * // The first request hits a rate limit, the second breaks off, the third is answered.
 * const Scripted = Anthropic.layerConfig().pipe(
 *   Layer.provide(Simulator.layer({ failures: [{ _tag: "RateLimit", retryAfter: "2 seconds" }, "Cut"] }))
 * )
 *
 * // One request in five fails, in a way in which this provider can fail. The seed makes a run repeatable.
 * const Unreliable = Anthropic.layerConfig().pipe(
 *   Layer.provide(Simulator.layer({ faults: { rate: 0.2, seed: "monday" }, answer: () => "Quite so." }))
 * )
 * ```
 */

import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { Asked, Options } from "./simulator/core.ts"
import * as Core from "./simulator/core.ts"
import { connectionReset, toReadableStream, toStream } from "./simulator/deliver.ts"
import type { Provider } from "./simulator/exchange.ts"

export type { Answerer, Given } from "./simulator/answer.ts"
export type { Asked, Faults, Options, RecordedRequest } from "./simulator/core.ts"
export type { Canned, Failure, Provider, SimulatedRequest, SimulatedResponse } from "./simulator/exchange.ts"
export {
  type FaultName,
  /** The names of the faults that a service can have. */
  faultsOf
} from "./simulator/faults/faults.ts"
export {
  /** The response to one request, as a pure function. */
  respond,
  type Settings
} from "./simulator/respond.ts"

export interface Simulator extends Asked {
  readonly client: HttpClient.HttpClient
}

const decoder = new TextDecoder()

/** The text of a body. No protocol accepts a form. */
const bodyText = (body: HttpClientRequest.HttpClientRequest["body"]): Effect.Effect<string> => {
  switch (body._tag) {
    case "Uint8Array":
      return Effect.succeed(decoder.decode(body.body))
    case "Raw":
      // fetch also accepts bytes, a Blob, a stream or a text.
      return Effect.tryPromise(() => new Response(body.body as BodyInit).text()).pipe(Effect.orElseSucceed(() => ""))
    case "Stream":
      return Stream.mkString(Stream.decodeText(body.stream)).pipe(Effect.orElseSucceed(() => ""))
    default:
      return Effect.succeed("")
  }
}

/** A simulator with its requests, for tests that check what was sent. */
export const make = Effect.fnUntraced(function*(options: Options = {}): Effect.fn.Return<Simulator> {
  const { answer, cancelled, onCancel, requests } = yield* Core.make(options)
  const client = HttpClient.make(Effect.fnUntraced(function*(request, url, signal) {
    const body = yield* bodyText(request.body)
    const response = yield* answer({ method: request.method, url, headers: request.headers, body })
    const { delay = 0, headers, status } = response
    if (delay > 0) yield* Effect.onInterrupt(Effect.sleep(delay), () => Effect.sync(onCancel))
    if (response.unanswered === true) {
      if (response.ending === "Stall") return yield* Effect.onInterrupt(Effect.never, () => Effect.sync(onCancel))
      return yield* new HttpClientError.HttpClientError({
        reason: new HttpClientError.TransportError({ request, cause: connectionReset() })
      })
    }
    const context = yield* Effect.context()
    const wait = (millis: number) => Effect.runPromiseWith(context)(Effect.sleep(millis), { signal })
    return HttpClientResponse.fromWeb(
      request,
      new Response(toReadableStream(response, signal, wait, onCancel), { status, headers })
    )
  }))
  return { client, requests, cancelled }
})

/**
 * The simulator as the `HttpClient` of provider layers. Every build of the layer starts with the first failure again.
 * It keeps no requests, so it can be called any number of times.
 */
export const layer = (options?: Options): Layer.Layer<HttpClient.HttpClient> =>
  Layer.effect(HttpClient.HttpClient, Effect.map(make({ ...options, keep: 0 }), ({ client }) => client))

/** A simulator on a port. */
export class Server extends Context.Service<
  Server,
  Asked & {
    /** Its address without a path: `http://127.0.0.1:4000`. */
    readonly url: string
    /** The base URLs for the provider layers and the official clients. */
    readonly baseUrls: { readonly [P in Provider]: string }
  }
>()("effect-llm/testing/Simulator/Server") {}

const urlOf = ({ address }: HttpServer.HttpServer["Service"]): Effect.Effect<string> =>
  NetAddress.isUnixPathAddress(address)
    ? Effect.die(new Error("Simulator.serve: give a server that listens on a port"))
    : Effect.orDie(Effect.fromResult(Result.map(NetAddress.toUrl(address), (url) => {
      if (NetAddress.isUnspecified(address.address)) url.hostname = NetAddress.formatIp(NetAddress.ipv4Loopback)
      return url.origin
    })))

const makeServer = Effect.fnUntraced(function*(options: Options) {
  const { answer, cancelled, onCancel, requests } = yield* Core.make(options)
  const defects: Array<unknown> = []
  const server = yield* HttpServer.HttpServer
  const url = yield* urlOf(server)
  const closing = yield* Deferred.make<void>()
  const closed = Deferred.await(closing)
  const app = Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    const response = yield* answer({
      method: request.method,
      url: Option.getOrElse(HttpServerRequest.toURL(request), () => new URL(url)),
      headers: request.headers,
      body: yield* Effect.orElseSucceed(request.text, () => "")
    }).pipe(Effect.catchDefect((defect) => {
      defects.push(defect)
      return Effect.succeed(Core.defective(defect))
    }))
    const { delay = 0, ending, headers, status, unanswered } = response
    if (delay > 0) {
      yield* Effect.onInterrupt(
        Effect.interruptible(Effect.timeoutOption(closed, delay)),
        () => Effect.sync(onCancel)
      )
    }
    if (unanswered === true && ending === "Stall") {
      yield* Effect.onInterrupt(Effect.interruptible(closed), () => Effect.sync(onCancel))
    }
    return HttpServerResponse.stream(
      // A body that breaks before its first byte is sent without headers.
      unanswered === true ? Stream.die(connectionReset()) : toStream(response, closed, onCancel),
      { status, headers, ...headers["content-type"] !== undefined && { contentType: headers["content-type"] } }
    )
  })
  yield* server.serve(app)
  const end = Effect.suspend((): Effect.Effect<void> =>
    defects.length === 0
      ? Effect.void
      : Effect.failCause(Cause.fromReasons(defects.map((one) => Cause.makeDieReason(one))))
  )
  yield* Effect.addFinalizer(() => Effect.andThen(Deferred.succeed(closing, undefined), end))
  return {
    url,
    baseUrls: { anthropic: url, openai: `${url}/v1`, responses: `${url}/v1`, openrouter: `${url}/api/v1`, gemini: url },
    requests,
    cancelled
  }
})

/**
 * The simulator as a server, for other clients and other processes: all five services on one port, over the
 * `HttpServer` that you provide. With port 0 the system finds a free one.
 *
 * ```ts
 * import { NodeHttpServer } from "@effect/platform-node"
 * import { Console, Effect, Layer } from "effect"
 * import { Simulator } from "effect-llm/testing"
 * import { createServer } from "node:http"
 *
 * const Server = Simulator.serve({ faults: { rate: 0.2, seed: "monday" } }).pipe(
 *   Layer.provide(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" }))
 * )
 *
 * const program = Effect.gen(function*() {
 *   const { baseUrls } = yield* Simulator.Server
 *   yield* Console.log(`OPENAI_BASE_URL=${baseUrls.openai}`)
 * }).pipe(Effect.provide(Server))
 * ```
 *
 * A broken connection is a destroyed socket. A stalled one ends with the client or the layer. A defect, such as a fault
 * that the service cannot have, is the status 501 for the client, and the end of the layer fails with it.
 */
export const serve = (options: Options = {}): Layer.Layer<Server, never, HttpServer.HttpServer> =>
  Layer.effect(Server, makeServer(options))

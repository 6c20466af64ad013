/**
 * Sends a request to a provider, and distinguishes an answer from a failure: for completions, embeddings and batches.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import type { HttpClientError } from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as HttpTraceContext from "effect/http/HttpTraceContext"
import * as UrlParams from "effect/http/UrlParams"
import type { LLMError } from "../LLMError.ts"
import type * as Models from "../Models.ts"
import type { Signal } from "../wire/failure.ts"
import { parseJson } from "../wire/json.ts"
import type { Wire } from "../wire/Wire.ts"
import { baseOf } from "./address.ts"
import { mergeHeaders, unsendable } from "./headers.ts"
import { type Attempt, toError } from "./judge.ts"
import * as secrets from "./secrets.ts"
import { failureLimit, type Limits, readText } from "./sizes.ts"
import type { Given } from "./timeouts.ts"

/** Puts credentials on a request: a key into a header, a signature over the request, a token that expires. */
export type Auth = (
  request: HttpClientRequest.HttpClientRequest
) => Effect.Effect<HttpClientRequest.HttpClientRequest, LLMError>

/** A provider's address, protocol, credentials and settings. */
export interface Endpoint {
  readonly wire: Wire
  readonly baseUrl: URL
  /** The default model. */
  readonly model: string | undefined
  /** The caller's facts about models, which replace the built-in ones. */
  readonly models: Models.Overrides | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly auth: Auth
  /** The secrets that `auth` adds to requests, as far as they are known before. */
  readonly secrets: ReadonlyArray<string>
  /** The timeouts that the caller set. */
  readonly timeouts: Given
  readonly limits: Limits
  /** Whether `completion` reads a stream underneath. */
  readonly whole: "stream" | "unary" | "auto"
  /** Whether this is the vendor's own address. */
  readonly own: boolean
  readonly tracePropagation: boolean
}

/** A request to send. */
export interface Outgoing {
  readonly path: string
  /** The wire's own headers. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** The caller's headers of this request. */
  readonly userHeaders?: Readonly<Record<string, string>> | undefined
  readonly accept: string
  /** The JSON text. */
  readonly text: string
}

/** A response whose status announces an answer. */
export interface Opened {
  readonly response: HttpClientResponse
  readonly received: Attempt
}

export interface Exchange {
  /** An attempt before its response. */
  readonly attempt: (model: string, userHeaders: Readonly<Record<string, string>> | undefined) => Attempt
  readonly fail: (signal: Signal, attempt: Attempt) => Effect.Effect<never, LLMError>
  readonly networkFailure: (attempt: Attempt) => (cause: HttpClientError) => Effect.Effect<never, LLMError>
  /** Sends a request, and returns the response if its status announces an answer. */
  readonly send: (outgoing: Outgoing, attempt: Attempt) => Effect.Effect<Opened, LLMError>
}

export const invalid = (description: string): Signal => ({ _tag: "Refused", reason: "InvalidRequest", description })

/** The error text for a header that cannot be sent. */
export const unfit = (name: string): string => `the header ${name} cannot be sent: HTTP does not allow its characters`

const always = () => true

// Keeps the caller's settings of the HTTP client, and adds: providers do not see the caller's traces, and keys are not
// shown.
const httpContext = (context: Context.Context<never>): Context.Context<never> =>
  Context.mergeAll(
    context,
    Context.make(HttpClient.TracerDisabledWhen, always),
    Context.make(Headers.CurrentRedactedNames, [
      ...Context.get(context, Headers.CurrentRedactedNames),
      secrets.secretName
    ]),
    Context.make(UrlParams.CurrentRedactedNames, [/./])
  ) as Context.Context<never>

// No redirect carries a key to another place. The other settings of fetch may be known to the client alone, such as those
// that its layer was built with: a request is where they are in the context. `send` sets back what is set here.
const withoutRedirects = HttpClient.mapRequestEffect((request) =>
  Effect.withFiber((fiber) => {
    const init = Context.getOrUndefined(fiber.context, FetchHttpClient.RequestInit)
    fiber.setContext(Context.add(fiber.context, FetchHttpClient.RequestInit, { ...init, redirect: "manual" }))
    return Effect.succeed(request)
  })
)

type Send = (request: HttpClientRequest.HttpClientRequest) => Effect.Effect<HttpClientResponse, LLMError>

// The span of a request. The HTTP client's own span would end with errors that contain the request, and so the key.
const traced = (send: Send, { hostname }: URL): Send => (request) =>
  Effect.useSpan(
    `http.client ${request.method}`,
    { kind: "client", attributes: { "http.request.method": request.method, "server.address": hostname } },
    (span) =>
      Effect.tap(
        send(HttpClientRequest.setHeaders(request, HttpTraceContext.toHeaders(span))),
        ({ status }) => Effect.sync(() => span.attribute("http.response.status_code", status))
      )
  )

// The headers that `auth` added to a request: all of them count as secrets.
const added = (
  before: HttpClientRequest.HttpClientRequest,
  after: HttpClientRequest.HttpClientRequest
): ReadonlyArray<string> =>
  after === before
    ? []
    : Object.entries(after.headers).flatMap(([name, value]) => before.headers[name] === value ? [] : [value])

/** The exchange with an endpoint. */
export const make = (endpoint: Endpoint, http: HttpClient.HttpClient): Exchange => {
  const { baseUrl, wire: { failures, name } } = endpoint
  const base = baseOf(baseUrl)
  const client = withoutRedirects(http)
  const url = (path: string): string =>
    `${base}${path}${path.includes("?") ? baseUrl.search.replace("?", "&") : baseUrl.search}`

  const attemptWith = (
    model: string,
    userHeaders: Readonly<Record<string, string>> | undefined,
    more: ReadonlyArray<string> = []
  ): Attempt => {
    // Secrets are collected when the first text is redacted.
    let redact: Attempt["redact"] | undefined
    const collect = () =>
      secrets.redactor([
        ...endpoint.secrets,
        ...secrets.ofValues(more),
        ...secrets.ofUrl(baseUrl),
        ...secrets.ofHeaders(endpoint.headers),
        ...secrets.ofHeaders(userHeaders ?? {})
      ])
    return { provider: name, model, redact: (text) => (redact ??= collect())(text) }
  }

  const fail: Exchange["fail"] = (signal, attempt) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.fail(toError(failures, signal, attempt, now)))

  const networkFailure: Exchange["networkFailure"] = (attempt) => (cause) =>
    cause.reason._tag === "InvalidUrlError" || cause.reason._tag === "EncodeError"
      ? fail(invalid("the request cannot be sent: check baseUrl and headers"), attempt)
      : fail({ _tag: "Network", cause }, attempt)

  return {
    attempt: attemptWith,
    fail,
    networkFailure,
    send: Effect.fnUntraced(
      function*({ accept, headers, path, text, userHeaders }, before): Effect.fn.Return<Opened, LLMError> {
        const wrong = unsendable(userHeaders ?? {})
        if (wrong !== undefined) return yield* fail(invalid(unfit(wrong)), before)
        const bare = HttpClientRequest.post(url(path), {
          headers: mergeHeaders({ accept }, headers, endpoint.headers, userHeaders),
          body: HttpBody.text(text, "application/json")
        })
        const request = yield* endpoint.auth(bare)
        const attempt = { ...before, redact: attemptWith(before.model, userHeaders, added(bare, request)).redact }
        const onNetworkFailure = networkFailure(attempt)
        const execute: Send = (request) => Effect.catch(client.execute(request), onNetworkFailure)
        const response = yield* (endpoint.tracePropagation ? traced(execute, baseUrl) : execute)(request)
        const received: Attempt = { ...attempt, status: response.status, headers: response.headers }
        if (response.status >= 200 && response.status < 300) return { response, received }
        const { text: failure } = yield* Effect.catch(readText(response, failureLimit), onNetworkFailure)
        return yield* fail({ _tag: "Failed", text: failure, body: parseJson(failure) }, received)
      },
      Effect.updateContext(httpContext)
    )
  }
}

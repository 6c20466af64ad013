/**
 * Runs a Protocol over an `HttpClient`: the only place where a provider has effects.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import type { HttpClientError } from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpTraceContext from "effect/http/HttpTraceContext"
import * as UrlParams from "effect/http/UrlParams"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type { Completion } from "../Completion.ts"
import type { CompletionResponse } from "../CompletionResponse.ts"
import type { Service } from "../LLMClient.ts"
import type { LLMError } from "../LLMError.ts"
import * as Message from "../Message.ts"
import * as failure from "./failure.ts"
import { array, isObject, type JsonRecord, merge, parseJson } from "./json.ts"
import type { Protocol } from "./Protocol.ts"
import * as secrets from "./secrets.ts"
import { validate } from "./validate.ts"

/** How long one attempt may take. */
export interface Timeouts {
  /** Until the first part of an answer that is streamed. */
  readonly firstPart: Duration.Duration
  /** Between two parts of an answer that is streamed. */
  readonly idle: Duration.Duration
  /** For the whole answer, streamed or not. */
  readonly total: Duration.Duration
}

/** Where a protocol is spoken, and with which credentials. */
export interface Endpoint {
  readonly protocol: Protocol
  readonly baseUrl: URL
  /** The model of completions that name none. */
  readonly model: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly timeouts: Timeouts | undefined
  readonly tracePropagation: boolean
}

type Attempt = Omit<failure.Context, "now">

// Headers that hold a list; those of a request are added to those of the provider's options.
const lists = new Set(["anthropic-beta"])

const mergeHeaders = (...all: ReadonlyArray<Readonly<Record<string, string>> | undefined>): Record<string, string> => {
  const merged: Record<string, string> = {}
  for (const headers of all) {
    for (const [name, value] of Object.entries(headers ?? {})) {
      const key = name.toLowerCase()
      const before = merged[key]
      merged[key] = before !== undefined && lists.has(key)
        ? [...new Set([...before.split(","), ...value.split(",")])].join(",")
        : value
    }
  }
  return merged
}

// What the caller adds wins, except for tools, which are added to those of the completion.
const mergeParams = (body: JsonRecord, params: JsonRecord | undefined): JsonRecord => {
  if (params === undefined) return body
  const tools = [...array(body["tools"]), ...array(params["tools"])]
  return { ...merge(body, params), ...(tools.length > 0 && { tools }) }
}

const encode = (endpoint: Endpoint, completion: Completion, model: string) => {
  const { body, headers, path } = endpoint.protocol.request(completion, model)
  const merged = mergeParams(
    mergeParams(body, completion.additionalParams),
    completion.providerParams?.[endpoint.protocol.provider]
  )
  return { path, headers, text: JSON.stringify(merged) }
}

const unwritable = "the completion cannot be written as JSON: look for a cycle, a BigInt or too deep a nesting in its"
  + " additionalParams, providerParams, schemas, tool arguments and tool results"

const invalid = (description: string): failure.Signal => ({ _tag: "Refused", reason: "InvalidRequest", description })

// Providers are told nothing of the caller's traces, no redirect carries a key to another place, and no key is shown.
const httpContext = (endpoint: Endpoint): Context.Context<never> =>
  Context.mergeAll(
    Context.make(HttpClient.TracerDisabledWhen, () => true),
    Context.make(Headers.CurrentRedactedNames, [
      ...Headers.CurrentRedactedNames.defaultValue(),
      ...Object.keys(endpoint.headers)
    ]),
    Context.make(UrlParams.CurrentRedactedNames, [/./]),
    Context.make(FetchHttpClient.RequestInit, { redirect: "manual" })
  ) as Context.Context<never>

type Send = (
  request: HttpClientRequest.HttpClientRequest
) => Effect.Effect<HttpClientResponse.HttpClientResponse, LLMError>

// The span of a request. The HTTP client's own would end with errors that hold the request, and with it the key.
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

/** The client of an endpoint. */
export const make = (endpoint: Endpoint): Effect.Effect<Service, never, HttpClient.HttpClient> =>
  Effect.map(HttpClient.HttpClient, (http): Service => {
    const { baseUrl, protocol, timeouts } = endpoint
    const { provider } = protocol
    const context = httpContext(endpoint)
    const base = baseUrl.origin + baseUrl.pathname.replace(/\/+$/, "")

    const fail = (signal: failure.Signal, attempt: Attempt): Effect.Effect<never, LLMError> =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.fail(failure.fromSignal(signal, { ...attempt, now })))

    const attemptOf = (completion: Completion, model: string): Attempt => {
      // Secrets are collected when there is something to take them out of.
      let redact: Attempt["redact"] | undefined
      const collect = () =>
        secrets.redactor([
          ...secrets.ofUrl(baseUrl),
          ...secrets.ofHeaders(endpoint.headers),
          ...secrets.ofHeaders(completion.headers ?? {})
        ])
      return { provider, model, redact: (text) => (redact ??= collect())(text) }
    }

    const toRequest = (completion: Completion, model: string) =>
      Result.try(() => encode(endpoint, completion, model)).pipe(
        Result.map(({ headers, path, text }) =>
          HttpClientRequest.post(`${base}${path}${baseUrl.search}`, {
            headers: mergeHeaders(
              { accept: "application/json" },
              headers,
              endpoint.headers,
              completion.headers
            ),
            body: HttpBody.text(text, "application/json")
          })
        )
      )

    const networkFailure = (attempt: Attempt) => (cause: HttpClientError): Effect.Effect<never, LLMError> =>
      cause.reason._tag === "InvalidUrlError" || cause.reason._tag === "EncodeError"
        ? fail(invalid("the request cannot be sent: check baseUrl and headers"), attempt)
        : fail({ _tag: "Network", cause }, attempt)

    const decode = (
      text: string,
      completion: Completion,
      attempt: Attempt
    ): Effect.Effect<CompletionResponse, LLMError> => {
      const body = parseJson(text)
      if (body === undefined) {
        const description = text.trim() === "" ? "the answer has no body" : "the answer is not JSON"
        return fail({ _tag: "Malformed", text, description }, attempt)
      }
      return Effect.contextWith((services: Context.Context<never>) => {
        const random = Context.get(services, Random.Random)
        let answerId: string | undefined
        const mintId = (index: number) =>
          Message.mintId(answerId ??= Math.floor(random.nextDoubleUnsafe() * 2 ** 50).toString(36), index)
        const answer = isObject(body) ? protocol.response(body, mintId) : undefined
        const now = Context.get(services, Clock.Clock).currentTimeMillisUnsafe()
        const response = answer === undefined ? undefined : failure.toResponse(answer, { ...attempt, now })
        if (failure.errorIn(body) !== undefined) {
          return fail({ _tag: "Failed", text, body }, { ...attempt, ...(response && { partial: response }) })
        }
        if (answer === undefined || response === undefined) {
          return fail({ _tag: "Malformed", text, description: "the answer lacks what every answer has" }, attempt)
        }
        const signal = failure.judge(answer, completion)
        return signal === undefined ? Effect.succeed(response) : fail(signal, { ...attempt, partial: response })
      })
    }

    const send = Effect.fnUntraced(function*(completion: Completion): Effect.fn.Return<CompletionResponse, LLMError> {
      const model = completion.model ?? endpoint.model ?? ""
      const attempt = attemptOf(completion, model)
      if (model === "") {
        return yield* fail(invalid("no model: set it on the completion, or as the layer's default"), attempt)
      }
      const refused = validate(protocol, completion)
      if (refused !== undefined) return yield* fail(refused, attempt)
      const request = toRequest(completion, model)
      if (Result.isFailure(request)) {
        return yield* fail(invalid(unwritable), attempt)
      }
      const onNetworkFailure = networkFailure(attempt)
      const execute: Send = (request) => Effect.catch(http.execute(request), onNetworkFailure)
      const response = yield* (endpoint.tracePropagation ? traced(execute, baseUrl) : execute)(request.success)
      const received: Attempt = { ...attempt, status: response.status, headers: response.headers }
      const text = yield* Effect.catch(response.text, onNetworkFailure)
      return yield* response.status >= 200 && response.status < 300
        ? decode(text, completion, received)
        : fail({ _tag: "Failed", text, body: parseJson(text) }, received)
    }, Effect.provideContext(context))

    return {
      provider,
      completion: (completion) =>
        timeouts === undefined || !Duration.isFinite(timeouts.total)
          ? send(completion)
          : Effect.timeoutOrElse(send(completion), {
            duration: timeouts.total,
            orElse: () =>
              fail(
                { _tag: "Timeout", clock: "total", after: timeouts.total },
                attemptOf(completion, completion.model ?? endpoint.model ?? "")
              )
          })
    }
  })

/** A client that refuses every call, for options that cannot be used. */
export const refusing = ({ provider }: Protocol, description: string): Service => ({
  provider,
  completion: (completion) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) =>
      Effect.fail(failure.fromSignal(invalid(description), {
        provider,
        model: completion.model ?? "",
        now,
        redact: (text) => text
      })))
})

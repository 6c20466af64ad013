/**
 * Runs a Protocol over an `HttpClient`: the only place where a provider has effects.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
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
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as HttpTraceContext from "effect/http/HttpTraceContext"
import * as UrlParams from "effect/http/UrlParams"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Completion } from "../Completion.ts"
import type { CompletionPart } from "../CompletionPart.ts"
import type { CompletionResponse } from "../CompletionResponse.ts"
import type { Service } from "../LLMClient.ts"
import type { LLMError } from "../LLMError.ts"
import * as Message from "../Message.ts"
import * as failure from "../wire/failure.ts"
import { array, isObject, type JsonRecord, merge, parseJson } from "../wire/json.ts"
import { type Protocol, readAnswer } from "../wire/Wire.ts"
import { mergeHeaders, unsendable } from "./headers.ts"
import * as secrets from "./secrets.ts"
import * as Session from "./session.ts"
import { exceeded, failureLimit, type Limits, readText } from "./sizes.ts"
import { type Timeouts, watch } from "./timeouts.ts"
import { validate } from "./validate.ts"

/** Where a protocol is spoken, and with which credentials. */
export interface Endpoint {
  readonly protocol: Protocol
  readonly baseUrl: URL
  /** The model of completions that name none. */
  readonly model: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly timeouts: Timeouts | undefined
  readonly limits: Limits
  readonly tracePropagation: boolean
}

type Attempt = Omit<failure.Context, "now">

type Parts = Arr.NonEmptyReadonlyArray<CompletionPart>

interface Opened {
  readonly response: HttpClientResponse
  readonly received: Attempt
}

// What the caller adds wins, except for tools, which are added to those of the completion.
const mergeParams = (body: JsonRecord, params: JsonRecord | undefined): JsonRecord => {
  if (params === undefined) return body
  const tools = [...array(body["tools"]), ...array(params["tools"])]
  return { ...merge(body, params), ...(tools.length > 0 && { tools }) }
}

const encode = (endpoint: Endpoint, completion: Completion, model: string, streamed: boolean) => {
  const { body, headers, path } = endpoint.protocol.request(completion, model, streamed)
  const merged = mergeParams(
    mergeParams(body, completion.additionalParams),
    completion.providerParams?.[endpoint.protocol.provider]
  )
  return { path, headers, text: JSON.stringify(merged), stream: merged["stream"] }
}

const unwritable = "the completion cannot be written as JSON: look for a cycle, a BigInt or too deep a nesting in its"
  + " additionalParams, providerParams, schemas, tool arguments and tool results"

const otherwise = "stream in additionalParams or providerParams is not what was called: leave it out, and call"
  + " LLMClient.stream for a stream, LLMClient.completion for a whole answer"

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
) => Effect.Effect<HttpClientResponse, LLMError>

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
    const { baseUrl, limits, protocol, timeouts } = endpoint
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

    const toRequest = (completion: Completion, model: string, streamed: boolean) =>
      Result.try(() => encode(endpoint, completion, model, streamed)).pipe(
        // What has a `toJSON` of its own may be written as anything, even as nothing.
        Result.filterOrFail(({ text }) => String(text).startsWith("{"), () => unwritable),
        Result.mapError(() => unwritable),
        Result.filterOrFail(({ stream }) => stream === undefined || (stream ?? false) === streamed, () => otherwise),
        Result.map(({ headers, path, text }) =>
          HttpClientRequest.post(
            `${base}${path}${path.includes("?") ? baseUrl.search.replace("?", "&") : baseUrl.search}`,
            {
              headers: mergeHeaders(
                { accept: streamed ? "text/event-stream" : "application/json" },
                headers,
                endpoint.headers,
                completion.headers
              ),
              body: HttpBody.text(text, "application/json")
            }
          )
        )
      )

    const networkFailure = (attempt: Attempt) => (cause: HttpClientError): Effect.Effect<never, LLMError> =>
      cause.reason._tag === "InvalidUrlError" || cause.reason._tag === "EncodeError"
        ? fail(invalid("the request cannot be sent: check baseUrl and headers"), attempt)
        : fail({ _tag: "Network", cause }, attempt)

    // Sends a request, and gives the response once its status says that an answer follows.
    const open = Effect.fnUntraced(
      function*(completion: Completion, streamed: boolean): Effect.fn.Return<Opened, LLMError> {
        const model = completion.model ?? endpoint.model ?? ""
        const attempt = attemptOf(completion, model)
        if (model.trim() === "") {
          return yield* fail(invalid("no model: set it on the completion, or as the layer's default"), attempt)
        }
        if (/(^|\/)\.{1,2}(\/|$)/.test(model)) {
          return yield* fail(invalid("the model's name leads to another path: give the name of a model"), attempt)
        }
        const unfit = unsendable(completion.headers ?? {})
        if (unfit !== undefined) {
          return yield* fail(invalid(`the header ${unfit} cannot be sent: HTTP does not allow its characters`), attempt)
        }
        const refused = validate(protocol, completion)
        if (refused !== undefined) return yield* fail(refused, attempt)
        const request = toRequest(completion, model, streamed)
        if (Result.isFailure(request)) {
          return yield* fail(invalid(request.failure), attempt)
        }
        const onNetworkFailure = networkFailure(attempt)
        const execute: Send = (request) => Effect.catch(http.execute(request), onNetworkFailure)
        const response = yield* (endpoint.tracePropagation ? traced(execute, baseUrl) : execute)(request.success)
        const received: Attempt = { ...attempt, status: response.status, headers: response.headers }
        if (response.status < 200 || response.status >= 300) {
          const { text } = yield* Effect.catch(readText(response, failureLimit), onNetworkFailure)
          return yield* fail({ _tag: "Failed", text, body: parseJson(text) }, received)
        }
        return { response, received }
      },
      Effect.provideContext(context)
    )

    const decode = (
      text: string,
      mintId: (index: number) => string,
      completion: Completion,
      attempt: Attempt
    ): Effect.Effect<CompletionResponse, LLMError> => {
      const body = parseJson(text)
      if (body === undefined) {
        const description = text.trim() === "" ? "the answer has no body" : "the answer is not JSON"
        return fail({ _tag: "Malformed", text, description }, attempt)
      }
      const answer = isObject(body) ? readAnswer(protocol, body, mintId) : undefined
      return Effect.flatMap(Clock.currentTimeMillis, (now) => {
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

    const complete = Effect.fnUntraced(
      function*(completion: Completion): Effect.fn.Return<CompletionResponse, LLMError> {
        const { received, response } = yield* open(completion, false)
        const { text, whole } = yield* Effect.catch(readText(response, limits.body), networkFailure(received))
        if (!whole) return yield* fail(exceeded(limits, "body", text), received)
        return yield* decode(text, yield* minting, completion, received)
      }
    )

    // One channel for a whole stream: every layer of operators would cost each delta its share.
    const stream = (completion: Completion): Stream.Stream<CompletionPart, LLMError> =>
      Stream.fromChannel(Channel.fromTransform((_, scope) =>
        Effect.contextWith((services: Context.Context<never>) => {
          const { expire, pull } = read(completion, services, scope)
          return timeouts === undefined ? Effect.succeed(pull) : watch(pull, scope, timeouts, isLast, expire)
        })
      ))

    const read = (completion: Completion, services: Context.Context<never>, scope: Scope.Scope) => {
      let attempt = attemptOf(completion, completion.model ?? endpoint.model ?? "")
      let session: Session.Session | undefined
      let parts: Pull.Pull<Parts, LLMError> | undefined

      const start = ({ received, response }: Opened): Pull.Pull<Parts, LLMError> => {
        const clock = Context.get(services, Clock.Clock)
        attempt = received
        session = Session.make({
          protocol,
          limits,
          mintId: mintWith(Context.get(services, Random.Random)),
          toResponse: (answer) => failure.toResponse(answer, { ...received, now: clock.currentTimeMillisUnsafe() }),
          judge: (answer) => failure.judge(answer, completion)
        })
        return Effect.flatMap(
          Channel.toPullScoped(Stream.toChannel(response.stream), scope),
          (body) => parts = take(session!, body)
        )
      }

      let ended = false
      // Gives what the session has, and reads on when it has nothing.
      const take = (
        session: Session.Session,
        body: Pull.Pull<Arr.NonEmptyReadonlyArray<Uint8Array>, HttpClientError>
      ): Pull.Pull<Parts, LLMError> => {
        const next = Pull.matchEffect(body, {
          onSuccess: (chunks) => {
            session.feed(chunks)
            return loop
          },
          onFailure: (cause) => {
            const error = Cause.findErrorOption(cause)
            if (Option.isNone(error)) return Effect.failCause(cause as Cause.Cause<never>)
            ended = true
            session.fail({ _tag: "Network", cause: error.value })
            return loop
          },
          onDone: () => {
            ended = true
            session.end()
            return loop
          }
        })
        // Reads on after the last part, so that the connection can be used again, but not for ever.
        let reads = 0
        const rest: Pull.Pull<never, HttpClientError> = Effect.flatMap(
          body,
          () => ++reads < 64 ? rest : Cause.done()
        )
        const drain = rest.pipe(
          Effect.timeoutOption("100 millis"),
          Effect.exit,
          Effect.andThen(Cause.done())
        )
        const loop: Pull.Pull<Parts, LLMError> = Effect.suspend(() => {
          const parts = session.take()
          if (Arr.isReadonlyArrayNonEmpty(parts)) return Effect.succeed(parts)
          const signal = session.failure()
          if (signal !== undefined) {
            const partial = session.partial()
            return fail(signal, partial === undefined ? attempt : { ...attempt, partial })
          }
          if (ended) return Cause.done()
          return session.finished() ? drain : next
        })
        return loop
      }

      const begin = Effect.flatMap(open(completion, true), start)
      return {
        pull: Effect.suspend(() => parts ?? begin),
        // What had come when a clock ran out is given still; if it was the whole answer, it is one.
        expire: (clock: keyof Timeouts, after: Duration.Duration): Pull.Pull<Parts, LLMError> => {
          const signal = { _tag: "Timeout", clock, after } as const
          ended = true
          session?.fail(signal)
          return parts ?? fail(signal, attempt)
        }
      }
    }

    return {
      provider,
      ...(endpoint.model !== undefined && { model: endpoint.model }),
      stream,
      completion: (completion) =>
        timeouts === undefined || !Duration.isFinite(timeouts.total)
          ? complete(completion)
          : Effect.timeoutOrElse(complete(completion), {
            duration: timeouts.total,
            orElse: () =>
              fail(
                { _tag: "Timeout", clock: "total", after: timeouts.total },
                attemptOf(completion, completion.model ?? endpoint.model ?? "")
              )
          })
    }
  })

const isLast = (parts: Parts): boolean => parts.at(-1)?._tag === "Finish"

// Names the tool calls of one answer that came without an id.
const mintWith = (random: { nextDoubleUnsafe(): number }): (index: number) => string => {
  let answer: string | undefined
  return (index) => Message.mintId(answer ??= Math.floor(random.nextDoubleUnsafe() * 2 ** 50).toString(36), index)
}

const minting = Effect.map(Random.Random, mintWith)

/** A client that refuses every call, for options that cannot be used. */
export const refusing = ({ provider }: Protocol, description: string): Service => {
  const refuse = (completion: Completion): Effect.Effect<never, LLMError> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) =>
      Effect.fail(failure.fromSignal(invalid(description), {
        provider,
        model: completion.model ?? "",
        now,
        redact: (text) => text
      })))
  return { provider, completion: refuse, stream: (completion) => Stream.fromEffect(refuse(completion)) }
}

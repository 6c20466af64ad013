/**
 * Runs a Protocol over an `HttpClient`: the only place where a provider has effects.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
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
import * as UrlParams from "effect/http/UrlParams"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { Completion } from "../Completion.ts"
import type { CompletionPart } from "../CompletionPart.ts"
import type { CompletionResponse } from "../CompletionResponse.ts"
import type { Service } from "../LLMClient.ts"
import type { LLMError } from "../LLMError.ts"
import * as Message from "../Message.ts"
import * as failure from "./failure.ts"
import { array, isObject, type JsonRecord, merge, parseJson } from "./json.ts"
import type { Protocol } from "./Protocol.ts"
import * as secrets from "./secrets.ts"
import * as Session from "./session.ts"
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
  readonly tracePropagation: boolean
}

type Attempt = Omit<failure.Context, "now">

interface Opened {
  readonly response: HttpClientResponse
  readonly received: Attempt
}

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

const encode = (endpoint: Endpoint, completion: Completion, model: string, streamed: boolean) => {
  const { body, headers, path } = endpoint.protocol.request(completion, model, streamed)
  const merged = mergeParams(
    mergeParams(body, completion.additionalParams),
    completion.providerParams?.[endpoint.protocol.provider]
  )
  return { path, headers, text: JSON.stringify(merged) }
}

const invalid = (description: string): failure.Signal => ({ _tag: "Refused", reason: "InvalidRequest", description })

// Providers are told nothing of the caller's traces, no redirect carries a key to another place, and no key is shown.
const httpContext = (endpoint: Endpoint): Context.Context<never> =>
  Context.mergeAll(
    Context.make(HttpClient.TracerPropagationEnabled, endpoint.tracePropagation),
    Context.make(HttpClient.TracerDisabledWhen, () => !endpoint.tracePropagation),
    Context.make(Headers.CurrentRedactedNames, [
      ...Headers.CurrentRedactedNames.defaultValue(),
      "x-goog-api-key",
      "api-key"
    ]),
    Context.make(UrlParams.CurrentRedactedNames, [/./]),
    Context.make(FetchHttpClient.RequestInit, { redirect: "manual" })
  ) as Context.Context<never>

/** The client of an endpoint. */
export const make = (endpoint: Endpoint): Effect.Effect<Service, never, HttpClient.HttpClient> =>
  Effect.map(HttpClient.HttpClient, (http): Service => {
    const { baseUrl, protocol, timeouts } = endpoint
    const { provider } = protocol
    const context = httpContext(endpoint)
    const base = baseUrl.origin + baseUrl.pathname.replace(/\/+$/, "")

    const fail = (signal: failure.Signal, attempt: Attempt): Effect.Effect<never, LLMError> =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.fail(failure.fromSignal(signal, { ...attempt, now })))

    const attemptOf = (completion: Completion, model: string): Attempt => ({
      provider,
      model,
      // Secrets are collected when there is something to take them out of.
      redact: (text) =>
        secrets.redactor([
          ...secrets.ofUrl(baseUrl),
          ...secrets.ofHeaders(endpoint.headers),
          ...secrets.ofHeaders(completion.headers ?? {})
        ])(text)
    })

    const toRequest = (completion: Completion, model: string, streamed: boolean) =>
      Result.try(() => encode(endpoint, completion, model, streamed)).pipe(
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
        if (model === "") {
          return yield* fail(invalid("no model: set it on the completion, or as the layer's default"), attempt)
        }
        const refused = validate(protocol, completion)
        if (refused !== undefined) return yield* fail(refused, attempt)
        const request = toRequest(completion, model, streamed)
        if (Result.isFailure(request)) {
          return yield* fail(invalid("the completion cannot be written as JSON: it is cyclic or too deep"), attempt)
        }
        const onNetworkFailure = networkFailure(attempt)
        const response = yield* Effect.catch(http.execute(request.success), onNetworkFailure)
        const received: Attempt = { ...attempt, status: response.status, headers: response.headers }
        if (response.status < 200 || response.status >= 300) {
          const text = yield* Effect.catch(response.text, onNetworkFailure)
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
      const answer = isObject(body) ? protocol.response(body, mintId) : undefined
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
        const text = yield* Effect.catch(response.text, networkFailure(received))
        return yield* decode(text, yield* minting, completion, received)
      }
    )

    // What a stream was heard to say, for the watchdog outside of it.
    interface Heard {
      session: Session.Session | undefined
      attempt: Attempt
    }

    const heardSoFar = ({ attempt, session }: Heard): Attempt => {
      const partial = session?.partial()
      return partial === undefined ? attempt : { ...attempt, partial }
    }

    const parts =
      (completion: Completion, heard: Heard, services: Context.Context<never>) =>
      ({ received, response }: Opened): Stream.Stream<CompletionPart, LLMError> => {
        const clock = Context.get(services, Clock.Clock)
        const session = Session.make({
          protocol,
          mintId: mintWith(Context.get(services, Random.Random)),
          toResponse: (answer) => failure.toResponse(answer, { ...received, now: clock.currentTimeMillisUnsafe() }),
          judge: (answer) => failure.judge(answer, completion)
        })
        heard.session = session
        heard.attempt = received
        return Stream.transformPull(response.stream, (pull) => {
          let ended = false
          const end = () => {
            ended = true
            session.end()
          }
          // Reads on after the last part, so that the connection can be used again, but does not wait for it.
          const drain = pull.pipe(
            Effect.forever({ disableYield: true }),
            Effect.timeoutOption("100 millis"),
            Effect.exit
          )
          const next = Pull.catchDone(Effect.map(pull, session.feed), () => Effect.sync(end)).pipe(
            Effect.catch((cause: HttpClientError) =>
              Effect.sync(() => {
                ended = true
                session.fail({ _tag: "Network", cause })
              })
            )
          )
          const loop: Pull.Pull<Arr.NonEmptyReadonlyArray<CompletionPart>, LLMError> = Effect.suspend(() => {
            const parts = session.take()
            if (Arr.isReadonlyArrayNonEmpty(parts)) return Effect.succeed(parts)
            const signal = session.failure()
            if (signal !== undefined) return fail(signal, heardSoFar(heard))
            if (ended) return Cause.done()
            if (session.finished()) return Effect.flatMap(drain, () => Cause.done())
            return Effect.flatMap(next, () => loop)
          })
          return Effect.succeed(loop)
        })
      }

    const stream = (completion: Completion): Stream.Stream<CompletionPart, LLMError> =>
      Stream.suspend(() => {
        const heard: Heard = {
          session: undefined,
          attempt: attemptOf(completion, completion.model ?? endpoint.model ?? "")
        }
        const opened = Stream.unwrap(Effect.contextWith((services: Context.Context<never>) =>
          Effect.map(open(completion, true), parts(completion, heard, services))
        ))
        if (timeouts === undefined) {
          return opened
        }
        return watch(opened, timeouts, isLast, (clock, after, now) => {
          const signal = { _tag: "Timeout", clock, after } as const
          heard.session?.fail(signal)
          return failure.fromSignal(heard.session?.failure() ?? signal, { ...heardSoFar(heard), now })
        }).pipe(
          // An answer that was there when a clock ran out is one.
          Stream.catch((error) => {
            const rest = Stream.fromIterable(heard.session?.take() ?? [])
            return heard.session?.finished() === true ? rest : Stream.concat(rest, Stream.fail(error))
          })
        )
      })

    return {
      provider,
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

const isLast = (parts: ReadonlyArray<CompletionPart>): boolean => parts.at(-1)?._tag === "Finish"

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

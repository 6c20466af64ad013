/**
 * Completions over an exchange: a whole answer, or a stream of its parts.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type { HttpClientError } from "effect/http/HttpClientError"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Completion } from "../Completion.ts"
import type { CompletionPart } from "../CompletionPart.ts"
import type { CompletionResponse, Warning } from "../CompletionResponse.ts"
import type { Service } from "../LLMClient.ts"
import type { LLMError } from "../LLMError.ts"
import * as Message from "../Message.ts"
import type { Signal } from "../wire/failure.ts"
import { array, isObject, type JsonRecord, merge, parseJson } from "../wire/json.ts"
import { readAnswer, type Wire } from "../wire/Wire.ts"
import * as Exchange from "./exchange.ts"
import { type Attempt, judge, toError, toResponse } from "./judge.ts"
import * as Session from "./session.ts"
import { exceeded, readText } from "./sizes.ts"
import { type Timeouts, watch } from "./timeouts.ts"
import { validate } from "./validate.ts"

type Parts = Arr.NonEmptyReadonlyArray<CompletionPart>

// What the caller adds wins, except for tools, which are added to those of the completion.
const mergeParams = (body: JsonRecord, params: JsonRecord | undefined): JsonRecord => {
  if (params === undefined) return body
  const tools = [...array(body["tools"]), ...array(params["tools"])]
  return { ...merge(body, params), ...(tools.length > 0 && { tools }) }
}

interface Encoded {
  readonly path: string
  readonly headers: Readonly<Record<string, string>> | undefined
  readonly text: string
  readonly warnings: ReadonlyArray<Warning> | undefined
}

const unwritable = Exchange.invalid(
  "the completion cannot be written as JSON: look for a cycle, a BigInt or too deep a nesting in its additionalParams,"
    + " providerParams, schemas, tool arguments and tool results"
)

const otherwise = Exchange.invalid(
  "stream in additionalParams or providerParams is not what was called: leave it out, and call LLMClient.stream for a"
    + " stream, LLMClient.completion for a whole answer"
)

const encode = (
  wire: Wire,
  completion: Completion,
  model: string,
  streamed: boolean
): Result.Result<Encoded, Signal> => {
  const written = Result.try((): Encoded | Signal => {
    const request = wire.request(completion, model, streamed)
    if ("_tag" in request) return request
    const { additionalParams, providerParams = {} } = completion
    const names = wire.vendor === wire.name ? [wire.vendor] : [wire.vendor, wire.name]
    const merged = names.reduce(
      (body, name) => mergeParams(body, Object.hasOwn(providerParams, name) ? providerParams[name] : undefined),
      mergeParams(request.body, additionalParams)
    )
    const { stream } = merged
    if (stream !== undefined && (stream ?? false) !== streamed) return otherwise
    return { path: request.path, headers: request.headers, text: JSON.stringify(merged), warnings: request.warnings }
  })
  if (Result.isFailure(written)) return Result.fail(unwritable)
  if ("_tag" in written.success) return Result.fail(written.success)
  // What has a `toJSON` of its own may be written as anything, even as nothing.
  return String(written.success.text).startsWith("{") ? Result.succeed(written.success) : Result.fail(unwritable)
}

// A name that users choose goes into keys, logs and paths.
const longestModel = 512

const checkModel = (model: string): Signal | undefined =>
  model.trim() === ""
    ? Exchange.invalid("no model: set it on the completion, or as the layer's default")
    : model.length > longestModel
    ? Exchange.invalid(`the model's name has ${model.length} characters: give one of at most ${longestModel}`)
    : /(^|\/)\.{1,2}(\/|$)/.test(model)
    ? Exchange.invalid("the model's name leads to another path: give the name of a model")
    : undefined

/** The client of an endpoint. */
export const make = (endpoint: Exchange.Endpoint): Effect.Effect<Service, never, HttpClient.HttpClient> =>
  Effect.map(HttpClient.HttpClient, (http): Service => {
    const { baseUrl, limits, timeouts, wire } = endpoint
    const { failures, name } = wire
    const exchange = Exchange.make(endpoint, http)
    const { fail, networkFailure } = exchange
    const modelOf = (completion: Completion): string => completion.model ?? endpoint.model ?? ""
    const attemptOf = (completion: Completion): Attempt => exchange.attempt(modelOf(completion), completion.headers)

    const open = Effect.fnUntraced(
      function*(completion: Completion, streamed: boolean): Effect.fn.Return<Exchange.Opened, LLMError> {
        const attempt = attemptOf(completion)
        const { model } = attempt
        const refused = checkModel(model) ?? validate(wire, completion)
        if (refused !== undefined) return yield* fail(refused, attempt)
        const encoded = encode(wire, completion, model, streamed)
        if (Result.isFailure(encoded)) return yield* fail(encoded.failure, attempt)
        const { headers, path, text, warnings } = encoded.success
        const accept = streamed ? wire.framing.accept : "application/json"
        const outgoing = { accept, headers, path, text, userHeaders: completion.headers }
        return yield* exchange.send(outgoing, warnings === undefined ? attempt : { ...attempt, warnings })
      }
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
      const answer = isObject(body) ? readAnswer(() => wire.response(body, mintId)) : undefined
      return Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const response = answer && toResponse(failures, answer, attempt, now)
        if (failures.errorIn(body) !== undefined) {
          return fail({ _tag: "Failed", text, body }, { ...attempt, partial: response })
        }
        if (answer === undefined || response === undefined) {
          return fail({ _tag: "Malformed", text, description: "the answer lacks what every answer has" }, attempt)
        }
        const signal = judge(failures, answer, completion)
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
      let attempt = attemptOf(completion)
      let session: Session.Session | undefined
      let parts: Pull.Pull<Parts, LLMError> | undefined

      const start = ({ received, response }: Exchange.Opened): Pull.Pull<Parts, LLMError> => {
        const clock = Context.get(services, Clock.Clock)
        attempt = received
        session = Session.make({
          wire,
          limits,
          model: received.model,
          mintId: mintWith(Context.get(services, Random.Random)),
          toResponse: (answer) => toResponse(failures, answer, received, clock.currentTimeMillisUnsafe()),
          judge: (answer) => judge(failures, answer, completion)
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
            return fail(signal, { ...attempt, partial: session.partial() })
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
      provider: name,
      baseUrl: baseUrl.origin + baseUrl.pathname.replace(/\/+$/, ""),
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
                attemptOf(completion)
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

/** A client that refuses every call, such as for want of a key. */
export const refusing = (wire: Wire, signal: Signal): Service => {
  const refuse = (completion: Completion): Effect.Effect<never, LLMError> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) =>
      Effect.fail(toError(
        wire.failures,
        signal,
        { provider: wire.name, model: completion.model ?? "", redact: (text) => text },
        now
      )))
  return { provider: wire.name, completion: refuse, stream: (completion) => Stream.fromEffect(refuse(completion)) }
}

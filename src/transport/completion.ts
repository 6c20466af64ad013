/**
 * Completions over an exchange: whole answers, and streams of their parts.
 */
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { Completion } from "../Completion.ts"
import type { CompletionPart } from "../CompletionPart.ts"
import type { CompletionResponse } from "../CompletionResponse.ts"
import { Deadline, Embedding, Patience, Reported, type Service } from "../LLMClient.ts"
import type { LLMError } from "../LLMError.ts"
import type { Signal } from "../wire/failure.ts"
import { isObject, type JsonRecord, parseJson } from "../wire/json.ts"
import { type Answer, readAnswer, type Wire } from "../wire/Wire.ts"
import { baseOf } from "./address.ts"
import * as Ask from "./ask.ts"
import * as Ending from "./ending.ts"
import * as Exchange from "./exchange.ts"
import { type Attempt, judge, toError, toResponse } from "./judge.ts"
import * as Request from "./request.ts"
import { exceeded, hasTooManyValues, readText, tooManyValues } from "./sizes.ts"
import { type Further, mintWith, type Parts, pull } from "./stream.ts"
import { resolve } from "./timeouts.ts"
import { validate } from "./validate.ts"

// Shorter answers arrive soon enough without streaming.
const shortAnswer = 1024

// Whether a failure means that the server does not stream.
const refusesStream = ({ description, status }: LLMError): boolean =>
  (status === 400 || status === 422) && /\bstream/i.test(description.slice(0, 2048))

const minting = Effect.map(Random.Random, mintWith)

/** The partial answer, if it takes several requests. */
interface Progress {
  partial: CompletionResponse | undefined
}

/** The client of an endpoint. */
export const make = (endpoint: Exchange.Endpoint): Effect.Effect<Service, never, HttpClient.HttpClient> =>
  Effect.map(HttpClient.HttpClient, (http): Service => {
    const { baseUrl, limits, timeouts, whole, wire } = endpoint
    const { failures, name } = wire
    const exchange = Exchange.make(endpoint, http)
    const { fail, networkFailure } = exchange
    const modelOf = (completion: Completion): string => completion.model ?? endpoint.model ?? ""
    const attemptOf = (completion: Completion): Attempt => exchange.attempt(modelOf(completion), completion.headers)
    // Set to false once the server has refused to stream.
    let streams = true

    const open = Effect.fnUntraced(
      function*(
        completion: Completion,
        streamed: boolean,
        further?: Further
      ): Effect.fn.Return<Exchange.Opened, LLMError> {
        const attempt = { ...attemptOf(completion), partial: further?.partial }
        const { model } = attempt
        const refused = Request.checkModel(model) ?? validate(wire, completion)
        if (refused !== undefined) return yield* fail(refused, attempt)
        yield* Ending.warn(endpoint, model)
        const encoded = Request.encode(wire, completion, model, streamed, further?.fields)
        if (Result.isFailure(encoded)) return yield* fail(encoded.failure, attempt)
        const { headers, path, text, warnings } = encoded.success
        const accept = streamed ? wire.framing.accept : "application/json"
        const outgoing = { accept, headers, path, text, userHeaders: completion.headers }
        return yield* exchange.send(outgoing, warnings === undefined ? attempt : { ...attempt, warnings })
      }
    )

    // An early timeout is useless to a Fallback that would not move on after it.
    const movesOn = (patience: Patience, completion: Completion): boolean => {
      if (!Number.isFinite(patience.firstByte) || patience.when === undefined) return true
      const signal = { _tag: "Timeout", clock: "firstByte", after: Duration.millis(patience.firstByte) } as const
      return patience.when(toError(failures, signal, attemptOf(completion), 0))
    }

    const clocksOf = (completion: Completion, patience: Patience | undefined, streamed: boolean) => {
      const { long, silent } = wire.thinking?.(completion, modelOf(completion)) ?? { long: false, silent: false }
      return resolve(timeouts, {
        pings: wire.pings === true,
        long,
        firstByte: silent || patience === undefined || !movesOn(patience, completion) ? Infinity : patience.firstByte,
        streamed
      })
    }

    // One channel for a whole stream: each further operator would slow down every delta.
    const pullOf = (completion: Completion, whole: boolean): Channel.Channel<Parts, LLMError> =>
      Channel.fromTransform((_, scope) =>
        Effect.contextWith((services: Context.Context<never>) =>
          Effect.flatMap(Patience, (patience) =>
            pull(
              {
                endpoint,
                exchange,
                completion,
                open: (further) => open(completion, true, further),
                attempt: attemptOf(completion),
                timeouts: clocksOf(completion, patience, true),
                whole
              },
              services,
              scope
            ))
        )
      )

    const stream = (completion: Completion): Stream.Stream<CompletionPart, LLMError> =>
      Stream.fromChannel(pullOf(completion, false))

    // The answer at the end of an internal stream.
    const collected = (completion: Completion): Effect.Effect<CompletionResponse, LLMError> =>
      Effect.scopedWith((scope) =>
        Effect.flatMap(Channel.toPullScoped(pullOf(completion, true), scope), (next) => {
          const loop: Pull.Pull<CompletionResponse, LLMError> = Effect.flatMap(next, (parts) => {
            const last = parts[parts.length - 1]!
            // Reads the rest too, so that the connection can be reused.
            return last._tag === "Finish" ? Effect.as(Effect.exit(next), last.response) : loop
          })
          // Not reached: a stream that ends without its last part has already failed.
          return Effect.catchIf(loop, Cause.isDone, () => fail({ _tag: "Truncated" }, attemptOf(completion)))
        })
      )

    const decode = (
      text: string,
      body: unknown,
      read: (body: JsonRecord) => Answer | undefined,
      completion: Completion,
      attempt: Attempt
    ): Effect.Effect<CompletionResponse, LLMError> => {
      if (body === undefined) {
        const description = text.trim() === "" ? "the answer has no body" : "the answer is not JSON"
        return fail({ _tag: "Malformed", text, description }, attempt)
      }
      const answer = isObject(body) ? read(body) : undefined
      return Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const response = answer && toResponse(failures, answer, attempt, now)
        if (failures.errorIn(body) !== undefined) {
          return fail({ _tag: "Failed", text, body }, { ...attempt, partial: response ?? attempt.partial })
        }
        if (answer === undefined || response === undefined) {
          return fail({ _tag: "Malformed", text, description: "the answer lacks required fields" }, attempt)
        }
        const signal = judge(failures, answer, completion)
        return signal === undefined ? Effect.succeed(response) : fail(signal, { ...attempt, partial: response })
      })
    }

    // Sends as many requests as the answer takes; `progress` holds the partial answer.
    const exchanged = Effect.fnUntraced(
      function*(completion: Completion, progress: Progress): Effect.fn.Return<CompletionResponse, LLMError> {
        const bodies: Array<JsonRecord> = []
        const mintId = yield* minting
        const read = (body: JsonRecord) => readAnswer(() => wire.response(body, mintId, bodies))
        let further: Further | undefined
        while (true) {
          const { received, response } = yield* open(completion, false, further)
          const attempt: Attempt = { ...received, partial: further?.partial }
          const { text, whole } = yield* Effect.catch(readText(response, limits.body), networkFailure(attempt))
          if (!whole) return yield* fail(exceeded(limits, "body", text), attempt)
          if (hasTooManyValues(text)) return yield* fail(tooManyValues, attempt)
          const body = parseJson(text)
          const fields = isObject(body)
            ? Result.getOrUndefined(Result.try(() => wire.continues?.([...bodies, body], completion, received.model)))
            : undefined
          const answer = isObject(body) && fields !== undefined ? read(body) : undefined
          if (fields === undefined || answer === undefined) return yield* decode(text, body, read, completion, attempt)
          bodies.push(body as JsonRecord)
          progress.partial = toResponse(failures, answer, received, yield* Clock.currentTimeMillis)
          further = { fields, partial: progress.partial }
        }
      }
    )

    const unary = (completion: Completion): Effect.Effect<CompletionResponse, LLMError> =>
      Effect.contextWith((services: Context.Context<never>) => {
        const clock = Context.get(services, Clock.Clock)
        const started = clock.currentTimeMillisUnsafe()
        const progress: Progress = { partial: undefined }
        const late = (clock: string, after: Duration.Duration) =>
          fail({ _tag: "Timeout", clock, after }, { ...attemptOf(completion), ...progress })
        const { total } = clocksOf(completion, undefined, false)
        const after = Duration.millis(total)
        const inTime = Number.isFinite(total)
          ? Effect.timeoutOrElse(exchanged(completion, progress), {
            duration: after,
            orElse: () => late("total", after)
          })
          : exchanged(completion, progress)
        const reported = Context.get(services, Reported)
        if (reported !== undefined) reported.usage = () => progress.partial?.usage
        const deadline = Context.get(services, Deadline)
        return deadline === undefined ? inTime : Effect.onInterrupt(inTime, () => {
          const cut = late("deadline", Duration.millis(clock.currentTimeMillisUnsafe() - started))
          return Effect.map(Effect.flip(cut), (error) => deadline.attempts.push(error))
        })
      })

    // While a fallback is ready, an answer of any length must show in time that it has begun.
    const readsStream = (completion: Completion, patience: Patience | undefined): boolean =>
      whole === "stream"
      || (whole === "auto" && (
        Number.isFinite(patience?.firstByte ?? Infinity)
        || ((completion.maxTokens ?? Infinity) > shortAnswer && (endpoint.own || patience !== undefined))
      ))

    const embed = Ask.embedding(endpoint, http)
    const countTokens = Ask.counting(endpoint, http)

    const complete = (completion: Completion): Effect.Effect<CompletionResponse, LLMError> =>
      Effect.contextWith((services: Context.Context<never>) => {
        const embedding = Context.get(services, Embedding)
        if (embedding !== undefined) return embed(completion, embedding)
        const patience = Context.get(services, Patience)
        if (!streams || !readsStream(completion, patience) || Request.asksWhole(wire, completion)) {
          return unary(completion)
        }
        return Effect.catchIf(collected(completion), refusesStream, () =>
          // Remembered once the server has answered without: the words may have been about something else.
          Effect.tap(unary(completion), () => Effect.sync(() => streams = false)))
      })

    return {
      provider: name,
      baseUrl: baseOf(baseUrl),
      ...(endpoint.model !== undefined && { model: endpoint.model }),
      stream,
      completion: complete,
      ...(countTokens && { countTokens }),
      ...(wire.embeddings && { embeds: wire.embeddings.most })
    }
  })

/** A client that refuses every call, for example because the key is missing. */
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

/**
 * Token counts and embeddings: requests with a JSON answer that are not completions.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Result from "effect/Result"
import type { Completion } from "../Completion.ts"
import * as CompletionResponse from "../CompletionResponse.ts"
import type { Embedding } from "../LLMClient.ts"
import type { LLMError } from "../LLMError.ts"
import * as TokenUsage from "../TokenUsage.ts"
import { type AskedVectors, embeddingFailures } from "../wire/embeddings.ts"
import { client, type Signal } from "../wire/failure.ts"
import { isObject, type JsonRecord, parseJson } from "../wire/json.ts"
import type { WireRequest } from "../wire/Wire.ts"
import * as Exchange from "./exchange.ts"
import type { Attempt } from "./judge.ts"
import * as Request from "./request.ts"
import { exceeded, hasTooManyValues, readText, tooManyValues } from "./sizes.ts"
import { validate } from "./validate.ts"

const usualTimeout = 2 * 60_000

interface Replied {
  readonly body: JsonRecord
  readonly text: string
  readonly received: Attempt
}

const malformed = (text: string, description: string): Signal => ({ _tag: "Malformed", text, description })

const lacking = (text: string): Signal => malformed(text, "the answer lacks required fields")

// Sends a request and reads its answer as a JSON object.
const ask = (
  endpoint: Exchange.Endpoint,
  { fail, networkFailure, send }: Exchange.Exchange,
  { body, headers, path }: WireRequest,
  userHeaders: Completion["headers"],
  attempt: Attempt
): Effect.Effect<Replied, LLMError> => {
  const { limits, timeouts: { total = usualTimeout }, wire: { failures } } = endpoint
  const asked = Effect.gen(function*() {
    const written = Result.try(() => JSON.stringify(body))
    if (Result.isFailure(written)) return yield* fail(Request.unwritable, attempt)
    const accept = "application/json"
    const { received, response } = yield* send({ accept, headers, path, text: written.success, userHeaders }, attempt)
    const { text, whole } = yield* Effect.catch(readText(response, limits.body), networkFailure(received))
    if (!whole) return yield* fail(exceeded(limits, "body", text), received)
    if (hasTooManyValues(text)) return yield* fail(tooManyValues, received)
    const answer = parseJson(text)
    if (failures.errorIn(answer) !== undefined) return yield* fail({ _tag: "Failed", text, body: answer }, received)
    return isObject(answer)
      ? { body: answer, text, received }
      : yield* fail(malformed(text, "the answer is not a JSON object"), received)
  })
  const after = Duration.millis(total)
  return Number.isFinite(total)
    ? Effect.timeoutOrElse(asked, {
      duration: after,
      orElse: () => fail({ _tag: "Timeout", clock: "total", after }, attempt)
    })
    : asked
}

// A reader may throw, for example when the body is nested too deeply for recursion.
const read = <A>(reader: () => A | undefined): A | undefined => Result.getOrUndefined(Result.try(reader))

// ---------------------------------------------------------------------------------------------------------------------
// Token counts
// ---------------------------------------------------------------------------------------------------------------------

const notThere: ReadonlySet<number | undefined> = new Set([404, 405, 501])

/** Counts the input tokens of requests; undefined if the wire cannot. */
export const counting = (
  endpoint: Exchange.Endpoint,
  http: HttpClient.HttpClient
): ((completion: Completion) => Effect.Effect<number, LLMError>) | undefined => {
  const { own, wire } = endpoint
  const { countTokens } = wire
  if (countTokens === undefined) return undefined
  const exchange = Exchange.make(endpoint, http)
  const { fail } = exchange
  return Effect.fnUntraced(function*(completion): Effect.fn.Return<number, LLMError> {
    const model = completion.model ?? endpoint.model ?? ""
    const attempt = exchange.attempt(model, completion.headers)
    const refused = Request.checkModel(model) ?? validate(wire, completion)
    if (refused !== undefined) return yield* fail(refused, attempt)
    const fields = Request.fields(wire, completion, model, false)
    if (Result.isFailure(fields)) return yield* fail(fields.failure, attempt)
    const asked = countTokens.request(fields.success, model)
    const { body, received, text } = yield* Effect.catchIf(
      ask(endpoint, exchange, asked, completion.headers, attempt),
      // Compatible servers may not count tokens.
      ({ status }) => !own && notThere.has(status),
      ({ status }) =>
        fail(
          { _tag: "Refused", reason: "Unsupported", description: `this server does not count tokens (${status})` },
          attempt
        )
    )
    return read(() => countTokens.response(body)) ?? (yield* fail(lacking(text), received))
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// Embeddings
// ---------------------------------------------------------------------------------------------------------------------

const noEmbeddings: Signal = {
  _tag: "Refused",
  reason: "Unsupported",
  description: "this provider has no embeddings: use one of OpenAI, Gemini, OpenRouter, Mistral or a compatible server"
}

const otherDimensions = (requested: number, returned: number): Signal => ({
  _tag: "Unanswered",
  verdict: client("Unsupported"),
  description:
    `${requested} dimensions were requested, but the model returns ${returned}: leave dimensions out or change the model`
})

/** Embeds texts; `completion` is the completion that has them as its prompt. */
export const embedding = (
  endpoint: Exchange.Endpoint,
  http: HttpClient.HttpClient
): (completion: Completion, embedding: Embedding) => Effect.Effect<CompletionResponse.CompletionResponse, LLMError> => {
  const { embeddings, failures } = endpoint.wire
  const wire = { ...endpoint.wire, failures: embeddingFailures(failures) }
  const embeddingEndpoint = { ...endpoint, wire }
  const exchange = Exchange.make(embeddingEndpoint, http)
  const { fail } = exchange
  return Effect.fnUntraced(function*(completion, embedding) {
    const { dimensions, task, texts } = embedding
    const model = completion.model ?? endpoint.model ?? ""
    const attempt = exchange.attempt(model, completion.headers)
    const refused = embeddings === undefined ? noEmbeddings : Request.checkModel(model)
    if (embeddings === undefined || refused !== undefined) return yield* fail(refused ?? noEmbeddings, attempt)
    const asked: AskedVectors = { texts, model, dimensions, task }
    const { body, warnings, ...rest } = embeddings.request(asked)
    const request = { ...rest, body: Request.withParams(wire, completion, body) }
    const { body: answer, received, text } = yield* ask(
      embeddingEndpoint,
      exchange,
      request,
      completion.headers,
      attempt
    )
    const embedded = read(() => embeddings.response(answer, asked))
    if (embedded === undefined) return yield* fail(lacking(text), received)
    const { cost, inputTokens, vectors } = embedded
    if (vectors.length !== texts.length) {
      return yield* fail(
        malformed(text, `${texts.length} texts were sent, but ${vectors.length} vectors were returned`),
        received
      )
    }
    const length = vectors[0]?.length ?? 0
    if (dimensions !== undefined && length !== dimensions) {
      return yield* fail(otherDimensions(dimensions, length), received)
    }
    embedding.vectors = vectors
    const { headers = {} } = received
    return CompletionResponse.make({
      choice: [],
      finishReason: { _tag: "Stop" },
      usage: TokenUsage.make({ inputTokens: inputTokens ?? 0 }),
      provider: wire.name,
      model: embedded.model,
      requestId: failures.requestId(headers, answer),
      rateLimits: failures.rateLimits(headers, yield* Clock.currentTimeMillis),
      cost,
      warnings
    })
  })
}

/**
 * Replays recorded exchanges through the real provider layers, over an `HttpClient` that answers what was recorded.
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import {
  Anthropic,
  Completion,
  type CompletionPart,
  type CompletionResponse,
  Gemini,
  LLMClient,
  type LLMError,
  type Message,
  OpenAi,
  OpenRouter
} from "../../src/index.ts"
import { type Exchange, isStream, type Json, type Recording } from "./corpus.ts"
import { record, text } from "./json.ts"
import { bodyOf, type Conversation, conversation } from "./wire.ts"

/** A request as the library sent it. */
export interface Sent {
  readonly method: string
  readonly url: URL
  readonly body: Json
}

/** A recorded exchange, and what became of it. */
export interface Replayed {
  readonly index: number
  readonly exchange: Exchange
  readonly conversation: Conversation
  readonly sent: Sent
  readonly result: Result.Result<CompletionResponse.CompletionResponse, LLMError.LLMError>
}

/** How an exchange is run; undefined leaves it out. */
export type Run = (
  client: LLMClient.Service,
  completion: Completion.Completion,
  exchange: Exchange
) => Effect.Effect<CompletionResponse.CompletionResponse, LLMError.LLMError> | undefined

/** Runs every exchange whose answer is no stream. */
export const withoutStreaming: Run = (client, completion, exchange) =>
  isStream(exchange) ? undefined : client.completion(completion)

/** Runs every exchange, as a stream where one was recorded; `heard` keeps the parts. */
export const streaming =
  (heard: Map<Exchange, ReadonlyArray<CompletionPart.CompletionPart>>): Run => (client, completion, exchange) => {
    if (!isStream(exchange)) return client.completion(completion)
    const parts: Array<CompletionPart.CompletionPart> = []
    heard.set(exchange, parts)
    return Effect.map(
      Stream.runForEach(client.stream(completion), (part) => Effect.sync(() => parts.push(part))),
      () => answerOf(parts)
    )
  }

/** The answer that ends a stream; one without it is a defect, which fails the test. */
export const answerOf = (
  parts: ReadonlyArray<CompletionPart.CompletionPart>
): CompletionResponse.CompletionResponse => {
  const last = parts.at(-1)
  assert(last?._tag === "Finish", "the stream ends without Finish")
  return last.response
}

/** The provider layer for a recording: the one of its provider, or OpenAI's at the address of a compatible server. */
const layerFor = (recording: Recording): Layer.Layer<LLMClient.LLMClient, never, HttpClient.HttpClient> => {
  const options = { apiKey: Redacted.make("key"), whole: "unary" } as const
  const path = recording.exchanges[0]?.request.path ?? ""
  switch (recording.api) {
    case "anthropic-messages":
      // One of them is a gateway's.
      return Anthropic.layer({ ...options, baseUrl: `https://api.anthropic.com${path.replace(/\/v1\/messages$/, "")}` })
    case "gemini-generate-content":
      return Gemini.layer(options)
    case "openrouter-chat":
      return OpenRouter.layer(options)
    case "openai-chat":
      return OpenAi.layer({ ...options, api: "chat" })
    case "openai-compatible-chat":
      return OpenAi.layer({
        ...options,
        name: "openai",
        baseUrl: `https://${recording.provider}.test${path.replace(/\/chat\/completions$/, "")}`
      })
  }
}

/** The model of a request: Gemini has it in the path. */
export const modelOf = ({ request }: Exchange): string =>
  text(request.body["model"]) || decodeURIComponent(/models\/([^:]+):/.exec(request.path)?.[1] ?? "")

const bodyText = (body: { readonly _tag: string; readonly body?: unknown }): string =>
  body.body instanceof Uint8Array ? new TextDecoder().decode(body.body) : String(body.body)

/** What a response is made of: the recorded text, or another body. */
type Body = string | ReadableStream<Uint8Array>

/**
 * Runs `use` with the client of a recording; whatever the client asks is answered with the current exchange, or with
 * another body in its place.
 */
export const withClient = <A>(
  recording: Recording,
  use: (
    client: LLMClient.Service,
    answer: (exchange: Exchange, body?: Body) => { readonly sent: () => Sent | undefined }
  ) => Effect.Effect<A>
): Effect.Effect<A> => {
  let current: { readonly response: Exchange["response"]; readonly body: Body } | undefined
  let sent: Sent | undefined
  const http = HttpClient.make((request, url) =>
    Effect.sync(() => {
      sent = { method: request.method, url, body: bodyOf(bodyText(request.body)) }
      const { body, response: { headers, status } } = current!
      return HttpClientResponse.fromWeb(request, new Response(body, { status, headers }))
    })
  )
  return LLMClient.LLMClient.use((client) =>
    use(client, ({ response }, body = response.body) => {
      current = { response, body }
      sent = undefined
      return { sent: () => sent }
    })
  ).pipe(Effect.provide(Layer.provide(layerFor(recording), Layer.succeed(HttpClient.HttpClient, http))))
}

const completionOf = (
  exchange: Exchange,
  messages: Conversation["messages"]
): Completion.Completion =>
  Completion.make({ model: modelOf(exchange), prompt: messages.at(-1)!, history: messages.slice(0, -1) })

/**
 * Replays the exchanges of a recording in order, as one conversation: the answers that are decoded are what the later
 * requests hold as their history.
 */
export const replay = (recording: Recording, run: Run = withoutStreaming): Effect.Effect<ReadonlyArray<Replayed>> =>
  withClient(recording, (client, answer) =>
    Effect.gen(function*() {
      const answers: Array<{ readonly exchange: number; readonly message: Message.Assistant }> = []
      const replayed: Array<Replayed> = []
      for (const [index, exchange] of recording.exchanges.entries()) {
        const spoken = conversation(recording.api, exchange.request.body, answers)
        const { sent } = answer(exchange)
        const effect = run(client, completionOf(exchange, spoken.messages), exchange)
        if (effect === undefined) continue
        const result = yield* Effect.result(effect)
        if (Result.isSuccess(result)) answers.push({ exchange: index, message: result.success.message })
        replayed.push({
          index,
          exchange,
          conversation: spoken,
          sent: sent() ?? { method: "none", url: new URL("about:blank"), body: {} },
          result
        })
      }
      return replayed
    }))

/** The request that is sent when a conversation goes on with these messages. */
export const followUp = (
  recording: Recording,
  exchange: Exchange,
  messages: Conversation["messages"]
): Effect.Effect<Json> =>
  withClient(recording, (client, answer) => {
    const { sent } = answer(exchange)
    return Effect.map(
      Effect.exit(client.completion(completionOf(exchange, messages))),
      () => record(sent()?.body)
    )
  })

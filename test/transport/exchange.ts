/**
 * Runs a completion through a real provider layer, over an `HttpClient` that keeps what was sent and answers what it is
 * told to.
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import {
  Anthropic,
  type Completion,
  type CompletionResponse,
  Gemini,
  LLMClient,
  type LLMError,
  OpenAi,
  OpenRouter
} from "../../src/index.ts"

export type Json = { readonly [key: string]: unknown }

/** What stands at a path of keys and indices. */
export const at = (value: unknown, ...path: ReadonlyArray<string | number>): unknown =>
  path.reduce<unknown>((inner, key) => (inner as Json | undefined)?.[key], value)

/** A request as it went out. */
export interface Sent {
  readonly method: string
  readonly url: URL
  readonly headers: { readonly [name: string]: string | undefined }
  readonly text: string
  readonly body: Json
}

export interface Exchange {
  readonly sent: ReadonlyArray<Sent>
  readonly result: Result.Result<CompletionResponse.CompletionResponse, LLMError.LLMError>
}

type ProviderLayer<E = never> = Layer.Layer<LLMClient.LLMClient, E, HttpClient.HttpClient>

// Whole answers are asked for as such: what is read of a stream underneath has tests of its own.
const options = { apiKey: Redacted.make("key"), whole: "unary" } as const

/** The layer of a provider, by our name for it; `compatible` is OpenAI's at another address. */
export const layers = {
  anthropic: Anthropic.layer(options),
  openai: OpenAi.layer({ ...options, api: "chat" }),
  compatible: OpenAi.layer({ ...options, baseUrl: "https://llm.example.com/v1" }),
  gemini: Gemini.layer(options),
  openrouter: OpenRouter.layer(options)
} as const satisfies { readonly [name: string]: ProviderLayer }

export type Name = keyof typeof layers

export const names = Object.keys(layers) as ReadonlyArray<Name>

/** What the provider is called by its answers and errors: elsewhere than at the vendor's address, the host. */
export const providerOf = (name: Name): string => name === "compatible" ? "llm.example.com" : name

/** Whose parameters the provider takes. */
export const vendorOf = (name: Name): string => name === "compatible" ? "openai" : name

const chat = { id: "1", model: "m", choices: [{ index: 0, message: { content: "Hello" }, finish_reason: "stop" }] }

/** A plain answer of each. */
export const answers: { readonly [N in Name]: Json } = {
  anthropic: { id: "1", model: "m", content: [{ type: "text", text: "Hello" }], stop_reason: "end_turn" },
  openai: chat,
  compatible: chat,
  openrouter: chat,
  gemini: { candidates: [{ content: { parts: [{ text: "Hello" }] }, finishReason: "STOP" }] }
}

const textOf = (body: HttpClientRequest.HttpClientRequest["body"]): string =>
  body._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : ""

/** An answer that every provider could have given. */
const anyAnswer: Json = {
  ...answers.anthropic,
  ...answers.openai,
  ...answers.gemini,
  status: "completed",
  output: [{ type: "message", role: "assistant", content: [{ type: "output_text", text: "Hello" }] }]
}

/** An `HttpClient` that answers one body, and what it was asked. */
export const recording = (answer: unknown = anyAnswer) => {
  const sent: Array<Sent> = []
  const client = HttpClient.make((request, url) =>
    Effect.sync(() => {
      const text = textOf(request.body)
      sent.push({ method: request.method, url, headers: request.headers, text, body: JSON.parse(text) as Json })
      return HttpClientResponse.fromWeb(request, Response.json(answer))
    })
  )
  return { sent, layer: Layer.succeed(HttpClient.HttpClient, client) }
}

/** Runs completions one after the other with one client of a layer. */
export const exchange = <E>(
  layer: ProviderLayer<E>,
  completion: Completion.Completion,
  answer?: unknown
): Effect.Effect<Exchange, E> => {
  const http = recording(answer)
  return LLMClient.completion(completion).pipe(
    Effect.result,
    Effect.provide(Layer.provide(layer, http.layer)),
    Effect.map((result) => ({ sent: http.sent, result }))
  )
}

/** What goes out for a completion that is fit to be sent. */
export const sendTo = (name: Name) => (completion: Completion.Completion): Effect.Effect<Sent> =>
  Effect.map(exchange(layers[name], completion, answers[name]), ({ result, sent }) => {
    assert(Result.isSuccess(result), Result.isFailure(result) ? String(result.failure) : "")
    assert.lengthOf(sent, 1)
    return sent[0]!
  })

export const bodyTo = (name: Name) => (completion: Completion.Completion): Effect.Effect<Json> =>
  Effect.map(sendTo(name)(completion), ({ body }) => body)

/** Why a completion is refused; nothing is sent. */
export const refusal = (name: Name) => (completion: Completion.Completion): Effect.Effect<LLMError.ClientError> =>
  Effect.map(exchange(layers[name], completion, answers[name]), ({ result, sent }) => {
    assert.lengthOf(sent, 0)
    assert(Result.isFailure(result), "it was sent")
    assert(result.failure._tag === "ClientError")
    return result.failure
  })

/** What a body is read as. */
export const readBy =
  (name: Name, completion: Completion.Completion) =>
  (body: unknown): Effect.Effect<CompletionResponse.CompletionResponse, LLMError.LLMError> =>
    Effect.flatMap(exchange(layers[name], completion, body), ({ result }) => Effect.fromResult(result))

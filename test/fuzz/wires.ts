/**
 * Answers to begin from: recorded traffic where it stands beside the project, else what the Simulator answers.
 */
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Anthropic, Completion, Gemini, LLMClient, OpenAi, OpenRouter, Tool } from "../../src/index.ts"
import { respond } from "../../src/testing/simulator/respond.ts"
import { available, isStream, recordings } from "../conformance/corpus.ts"

export type Provider = keyof typeof apis

export interface Wire {
  readonly stream: boolean
  readonly status: number
  readonly body: string
}

/** Where the answers come from. */
export const source: string = available ? "recordings" : "the Simulator's answers"

const apis = {
  anthropic: "anthropic-messages",
  openai: "openai-chat",
  responses: "openai-responses",
  openrouter: "openrouter-chat",
  gemini: "gemini-generate-content"
} as const

// Longer ones take longer, and have nothing that the shorter ones have not.
const longest = 20_000

const recorded = (provider: Provider): ReadonlyArray<Wire> =>
  recordings(apis[provider]).flatMap(({ exchanges }) =>
    exchanges.map((exchange) => ({
      stream: isStream(exchange),
      status: exchange.response.status,
      body: exchange.response.body
    }))
  ).filter(({ body }) => body.length < longest)

const tools = [Tool.make("weather", { description: "", parameters: Schema.Struct({ city: Schema.String }) })]

const layers = {
  anthropic: (options: { readonly apiKey: Redacted.Redacted }) =>
    Anthropic.layer({ ...options, model: "claude-sonnet-4-6" }),
  openai: (options: { readonly apiKey: Redacted.Redacted }) =>
    OpenAi.layer({ ...options, api: "chat", model: "gpt-4.1-mini" }),
  responses: (options: { readonly apiKey: Redacted.Redacted }) => OpenAi.layer({ ...options, model: "gpt-4.1-mini" }),
  openrouter: (options: { readonly apiKey: Redacted.Redacted }) =>
    OpenRouter.layer({ ...options, model: "openai/gpt-4.1-mini" }),
  gemini: (options: { readonly apiKey: Redacted.Redacted }) => Gemini.layer({ ...options, model: "gemini-2.5-flash" })
} as const

/** What the Simulator answers: a text and a call, streamed and not. */
const simulated = (provider: Provider): ReadonlyArray<Wire> => {
  const seen: Array<Wire> = []
  const http = HttpClient.make((request, url) => {
    const body = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
    const answer = respond({ method: request.method, url, headers: request.headers, body }, {})
    const stream = request.headers["accept"] === "text/event-stream"
    seen.push({ stream, status: answer.status, body: answer.body.join("") })
    // What becomes of the call is of no interest.
    return Effect.interrupt
  })
  const layer = Layer.provide(
    layers[provider]({ apiKey: Redacted.make("sk-test") }),
    Layer.succeed(HttpClient.HttpClient, http)
  )
  const hello = Completion.make({ prompt: "Tell me about the sea" })
  for (const completion of [hello, hello.pipe(Completion.tools(tools), Completion.toolChoice(Tool.required))]) {
    Effect.runSyncExit(Effect.provide(LLMClient.completion(completion), layer))
    Effect.runSyncExit(Effect.provide(Stream.runDrain(LLMClient.stream(completion)), layer))
  }
  return seen
}

export const wires = (provider: Provider): ReadonlyArray<Wire> => available ? recorded(provider) : simulated(provider)

import * as Effect from "effect/Effect"
import type { HttpClient } from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Anthropic from "../../src/Anthropic.ts"
import * as Completion from "../../src/Completion.ts"
import * as Gemini from "../../src/Gemini.ts"
import * as LLMClient from "../../src/LLMClient.ts"
import * as Message from "../../src/Message.ts"
import * as OpenAi from "../../src/OpenAi.ts"
import * as Tool from "../../src/Tool.ts"
import { type Make, models, type ProtocolName, type Size } from "../Client.ts"
import { question, tools, turns } from "../conversation.ts"

const providers = { openai: OpenAi.layer, anthropic: Anthropic.layer, gemini: Gemini.layer }

const history = turns.map(({ role, text }) => role === "user" ? Message.user(text) : Message.assistant(text))

const definitions = tools.map(({ description, name, parameters }) =>
  Tool.make(name, { description, parameters: { ...parameters } })
)

export const effectLlmClient = (protocol: ProtocolName, http: Layer.Layer<HttpClient>): Make => (url) => {
  const runtime = ManagedRuntime.make(
    providers[protocol]({
      apiKey: Redacted.make("sk-bench"),
      baseUrl: protocol === "openai" ? `${url}/v1` : url,
      model: models[protocol]
    }).pipe(Layer.provide(http))
  )
  const completion = (size: Size) =>
    size === "small"
      ? Completion.make({ prompt: question, maxTokens: 1024 })
      : Completion.make({
        history: history.slice(0, -1),
        prompt: history.at(-1)!,
        tools: definitions,
        maxTokens: 1024
      })
  return {
    complete: (size) => runtime.runPromise(Effect.map(LLMClient.completion(completion(size)), ({ text }) => text)),
    stream: (size) =>
      runtime.runPromise(Effect.suspend(() => {
        let text = ""
        return LLMClient.stream(completion(size)).pipe(
          Stream.runForEach((part) =>
            Effect.sync(() => {
              if (part._tag === "TextDelta") text += part.text
            })
          ),
          Effect.map(() => text)
        )
      }))
  }
}

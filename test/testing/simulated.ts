import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as Anthropic from "../../src/Anthropic.ts"
import * as Gemini from "../../src/Gemini.ts"
import * as LLMClient from "../../src/LLMClient.ts"
import * as OpenAi from "../../src/OpenAi.ts"
import * as OpenRouter from "../../src/OpenRouter.ts"
import type { CommonOptions } from "../../src/Provider.ts"
import * as Retry from "../../src/Retry.ts"
import * as Simulator from "../../src/testing/Simulator.ts"

export { hear, type Heard } from "./hear.ts"

/** The providers over the first of their protocols. */
export const providers = ["anthropic", "openai", "openrouter", "gemini"] as const
export type Provider = typeof providers[number]

/** All simulated services, OpenAI Responses too. */
export const services = [...providers, "responses"] as const
export type Service = typeof services[number]

const apiKey = Redacted.make("sk-test")

export const layers = {
  anthropic: (options) => Anthropic.layer({ apiKey, model: "claude-sonnet-4-6", ...options }),
  openai: (options) => OpenAi.layer({ apiKey, api: "chat", model: "gpt-4.1-mini", ...options }),
  responses: (options) => OpenAi.layer({ apiKey, api: "responses", model: "gpt-4.1-mini", ...options }),
  openrouter: (options) => OpenRouter.layer({ apiKey, model: "openai/gpt-4.1-mini", ...options }),
  gemini: (options) => Gemini.layer({ apiKey, model: "gemini-2.5-flash", ...options })
} satisfies Record<
  Service,
  (options: CommonOptions) => Layer.Layer<LLMClient.LLMClient, never, HttpClient.HttpClient>
>

/** A provider's real layer over a simulator of its own; whole answers are asked for as such, unless told otherwise. */
export const simulated = Effect.fnUntraced(function*(
  provider: Service,
  options: Simulator.Options & Pick<CommonOptions, "timeouts" | "model" | "whole"> = {}
): Effect.fn.Return<
  { readonly client: LLMClient.Service; readonly simulator: Simulator.Simulator },
  never,
  Scope.Scope
> {
  const { model, timeouts, whole = "unary", ...rest } = options
  const simulator = yield* Simulator.make(rest)
  const context = yield* Layer.build(
    layers[provider]({ whole, timeouts, ...model !== undefined && { model } }).pipe(
      Layer.provide(Layer.succeed(HttpClient.HttpClient, simulator.client))
    )
  )
  return { client: Context.get(context, LLMClient.LLMClient), simulator }
})

/** The same with retry. */
export const retried = (provider: Service, options?: Parameters<typeof simulated>[1]) =>
  Effect.map(simulated(provider, options), ({ client, simulator }) => ({ client: Retry.make(client), simulator }))

/** Lets five seconds pass whenever nothing else happens, until the effect is done. */
export const passing = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
  const fiber = yield* Effect.forkChild(effect)
  while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust("5 seconds")
  return yield* Fiber.join(fiber)
})

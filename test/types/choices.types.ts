/** What the layers that choose among layers fail with and need: what any of those does. */
import type { ConfigError } from "effect/Config"
import type { HttpClient } from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { Anthropic, Fallback, Gemini, type LLMClient, OpenAi, Retry, Router } from "../../src/index.ts"

type Client = LLMClient.LLMClient

const claude = Retry.layer().pipe(Layer.provide(Anthropic.layerConfig()))
const gemini = Gemini.layer({ apiKey: Redacted.make("key") })
declare const custom: Layer.Layer<Client, "broken", "Database">

type Same<A, B> = [A] extends [B] ? [B] extends [A] ? true : false : false

const all = Fallback.layer([claude, { layer: gemini, models: { "*": undefined } }, { layer: custom }])
export const fails: Same<Layer.Error<typeof all>, ConfigError | "broken"> = true
export const needs: Same<Layer.Services<typeof all>, HttpClient | "Database"> = true

const two = Fallback.layer([gemini, { layer: gemini }])
export const never: Same<Layer.Error<typeof two>, never> = true

// @ts-expect-error: without a member there is nothing to ask
export const none = Fallback.layer([])

const routed = Router.layer({
  "claude-*": claude,
  "gpt-*": { layer: OpenAi.layerConfig() },
  "x/*": { layer: custom, model: (name) => name.slice(2) }
})
export const routedFails: Same<Layer.Error<typeof routed>, never> = true
export const routedNeeds: Same<Layer.Services<typeof routed>, HttpClient | "Database"> = true
export const gives: Same<Layer.Success<typeof routed>, Client> = true

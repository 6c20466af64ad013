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

const all = Fallback.layer([claude, { layer: gemini, models: { "*": undefined } }, { layer: custom }])
export const fails: Layer.Layer<Client, ConfigError | "broken", HttpClient | "Database"> = all
export const never: Layer.Layer<Client, never, HttpClient> = Fallback.layer([gemini, { layer: gemini }])
// @ts-expect-error: it fails with what its members fail with
export const quiet: Layer.Layer<Client, ConfigError, HttpClient | "Database"> = all
// @ts-expect-error: it needs what its members need
export const free: Layer.Layer<Client, ConfigError | "broken", HttpClient> = all
// @ts-expect-error: without a member there is nothing to ask
export const none = Fallback.layer([])

const routed = Router.layer({
  "claude-*": claude,
  "gpt-*": { layer: OpenAi.layerConfig() },
  "x/*": { layer: custom, model: (name) => name.slice(2) }
})
export const routes: Layer.Layer<Client, never, HttpClient | "Database"> = routed
// @ts-expect-error: it needs what its routes need
export const freeRoutes: Layer.Layer<Client, never, HttpClient> = routed

/**
 * The choice of a provider as data: for a configuration file, a command-line flag or a database row.
 *
 * ```ts
 * import { Schema } from "effect"
 * import { LLMProvider } from "effect-llm"
 *
 * const provider = Schema.decodeUnknownSync(LLMProvider.LLMProvider)({ _tag: "OpenAi", baseUrl: "http://localhost:8080/v1" })
 * const layer = LLMProvider.layer(provider)
 * ```
 */

import * as Config from "effect/Config"
import type { HttpClient } from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as AnthropicApi from "./Anthropic.ts"
import * as GeminiApi from "./Gemini.ts"
import type { LLMClient } from "./LLMClient.ts"
import * as OpenAiApi from "./OpenAi.ts"
import * as OpenRouterApi from "./OpenRouter.ts"
import * as Retry from "./Retry.ts"

const baseUrl = Schema.optionalKey(Schema.String)
/** The name of this instance in answers and errors. */
const name = Schema.optionalKey(Schema.String)
/** The environment variable of the key, instead of the provider's usual one. */
const apiKeyEnv = Schema.optionalKey(Schema.String)

export const Anthropic = Schema.TaggedStruct("Anthropic", { name, baseUrl, apiKeyEnv })
export const Gemini = Schema.TaggedStruct("Gemini", { name })
/** Gemini behind an OAuth proxy; retry is included. */
export const GeminiProxy = Schema.TaggedStruct("GeminiProxy", { url: Schema.String })
/** OpenAI, or a compatible server: a known one by `preset`, or any other by `baseUrl`. */
export const OpenAi = Schema.TaggedStruct("OpenAi", {
  name,
  baseUrl,
  apiKeyEnv,
  api: Schema.optionalKey(Schema.Literals(["responses", "chat"])),
  preset: Schema.optionalKey(Schema.Literals(OpenAiApi.presetNames))
})
export const OpenRouter = Schema.TaggedStruct("OpenRouter", { name, apiKeyEnv })

export interface Anthropic extends Schema.Schema.Type<typeof Anthropic> {}
export interface Gemini extends Schema.Schema.Type<typeof Gemini> {}
export interface GeminiProxy extends Schema.Schema.Type<typeof GeminiProxy> {}
export interface OpenAi extends Schema.Schema.Type<typeof OpenAi> {}
export interface OpenRouter extends Schema.Schema.Type<typeof OpenRouter> {}

export type LLMProvider = Anthropic | Gemini | GeminiProxy | OpenAi | OpenRouter
export const LLMProvider: Schema.Codec<LLMProvider> = Schema.Union([Anthropic, Gemini, GeminiProxy, OpenAi, OpenRouter])

const at = ({ baseUrl, name }: { readonly baseUrl?: string; readonly name?: string }) => ({
  ...(name !== undefined && { name: Config.succeed(name) }),
  ...(baseUrl !== undefined && { baseUrl: Config.succeed(baseUrl) })
})

/** The layer of a provider; keys come from the environment. */
export const layer = (provider: LLMProvider): Layer.Layer<LLMClient, Config.ConfigError, HttpClient> => {
  switch (provider._tag) {
    case "Anthropic":
      return AnthropicApi.layerConfig(at(provider), provider)
    case "Gemini":
      return GeminiApi.layerConfig(at(provider))
    case "GeminiProxy":
      return Layer.provide(Retry.layer(), GeminiApi.layerProxy(provider.url))
    case "OpenAi": {
      const layers = provider.preset === undefined ? OpenAiApi : OpenAiApi.preset(provider.preset)
      const api = provider.api === undefined ? {} : { api: Config.succeed(provider.api) }
      return layers.layerConfig({ ...at(provider), ...api }, provider)
    }
    case "OpenRouter":
      return OpenRouterApi.layerConfig(at(provider), provider)
  }
}

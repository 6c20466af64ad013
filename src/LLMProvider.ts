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
/** The environment variable that holds the key, in place of the provider's usual one. */
const apiKeyEnv = Schema.optionalKey(Schema.String)

export const Anthropic = Schema.TaggedStruct("Anthropic", { baseUrl, apiKeyEnv })
export const Gemini = Schema.TaggedStruct("Gemini", {})
/** Gemini behind an OAuth proxy; comes with retry applied. */
export const GeminiProxy = Schema.TaggedStruct("GeminiProxy", { url: Schema.String })
export const OpenAi = Schema.TaggedStruct("OpenAi", { baseUrl, apiKeyEnv })
export const OpenRouter = Schema.TaggedStruct("OpenRouter", { apiKeyEnv })

export const LLMProvider = Schema.Union([Anthropic, Gemini, GeminiProxy, OpenAi, OpenRouter])
export type LLMProvider = typeof LLMProvider.Type

const at = ({ baseUrl }: { readonly baseUrl?: string }) =>
  baseUrl === undefined ? {} : { baseUrl: Config.succeed(baseUrl) }

/** The layer of a provider; keys come from the environment. */
export const layer = (provider: LLMProvider): Layer.Layer<LLMClient, Config.ConfigError, HttpClient> => {
  switch (provider._tag) {
    case "Anthropic":
      return AnthropicApi.layerConfig(at(provider), provider)
    case "Gemini":
      return GeminiApi.layerConfig()
    case "GeminiProxy":
      return Layer.provide(Retry.layer(), GeminiApi.layerProxy(provider.url))
    case "OpenAi":
      return OpenAiApi.layerConfig(at(provider), provider)
    case "OpenRouter":
      return OpenRouterApi.layerConfig({}, provider)
  }
}

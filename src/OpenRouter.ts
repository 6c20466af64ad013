/**
 * OpenRouter as an `LLMClient`: many providers' models behind one key.
 *
 * ```ts
 * import { Config } from "effect"
 * import { OpenRouter } from "effect-llm"
 *
 * // the key from OPENROUTER_API_KEY
 * OpenRouter.layerConfig({ model: Config.succeed("anthropic/claude-sonnet-4.6"), title: Config.succeed("My app") })
 * ```
 */
import * as provider from "./Provider.ts"
import { openRouter } from "./wire/chat/request.ts"

export interface Options extends provider.CommonOptions {
  /** The address of your application, for OpenRouter's rankings. */
  readonly referer?: string
  /** The name of your application, for OpenRouter's rankings. */
  readonly title?: string
}

const keyVariable = "OPENROUTER_API_KEY"

const layers = provider.layers<Options>({
  protocol: () => openRouter,
  baseUrl: "https://openrouter.ai/api/v1",
  suffix: /\/*(\/chat\/completions)?\/*$/,
  keyVariables: [keyVariable],
  baseUrlVariable: "OPENROUTER_BASE_URL",
  auth: (key) => ({ authorization: `Bearer ${key}` }),
  headers: ({ referer, title }) => ({ "http-referer": referer, "x-openrouter-title": title })
}, ({ apiKeyEnv }) => apiKeyEnv === undefined ? [keyVariable] : [apiKeyEnv, keyVariable])

/** The provider from options; an option that cannot be used fails every call as `ClientError · InvalidRequest`. */
export const layer = layers.layer

/**
 * The provider from configuration: the variable named, else `OPENROUTER_API_KEY`; `OPENROUTER_BASE_URL` where set; and
 * what the options say. What is missing or unusable fails the layer as a `ConfigError`.
 */
export const layerConfig = layers.layerConfig

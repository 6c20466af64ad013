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

import * as Provider from "./Provider.ts"
import { openRouter } from "./wire/chat/wire.ts"

export interface Options extends Provider.CommonOptions {
  /** The address of your application, for OpenRouter's rankings. */
  readonly referer?: string | undefined
  /** The name of your application, for OpenRouter's rankings. */
  readonly title?: string | undefined
}

const keyVariable = "OPENROUTER_API_KEY"

const layers = Provider.layers<Options>({
  vendor: "openrouter",
  wire: ({ name, options }) => openRouter(name, options),
  baseUrl: "https://openrouter.ai/api/v1",
  endings: ["/chat/completions"],
  options: ["referer", "title"],
  keyVariables: [keyVariable],
  baseUrlVariable: "OPENROUTER_BASE_URL",
  auth: (key) => ({ authorization: `Bearer ${key}` }),
  headers: ({ referer, title }) => ({ "http-referer": referer, "x-openrouter-title": title })
}, ({ apiKeyEnv }) => apiKeyEnv === undefined ? [keyVariable] : [apiKeyEnv, keyVariable])

/** The provider from options. Without a key each call fails as `ClientError · Authentication`. */
export const layer: Provider.FromOptions<Options> = layers.layer

/**
 * The provider from configuration: `OPENROUTER_API_KEY` (or the named variable), `OPENROUTER_BASE_URL` if set, and the
 * options. Missing or invalid configuration fails the layer with a `ConfigError`.
 */
export const layerConfig: Provider.FromConfig<Options> = layers.layerConfig

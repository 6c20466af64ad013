/**
 * OpenAI's Chat Completions as an `LLMClient`, and every server that speaks it, by `baseUrl`: vLLM, llama.cpp, Ollama,
 * DeepSeek, Groq, Mistral and many more.
 *
 * ```ts
 * import { Config } from "effect"
 * import { OpenAi } from "effect-llm"
 *
 * // the key from OPENAI_API_KEY
 * OpenAi.layerConfig({ model: Config.succeed("gpt-6-luna") })
 *
 * // a server on this machine, which needs no key
 * OpenAi.layer({ baseUrl: "http://localhost:11434/v1", model: "qwen3" })
 * ```
 */

import * as Provider from "./Provider.ts"
import { compatible, openAi } from "./wire/chat/wire.ts"

export interface Options extends Provider.CommonOptions {
  readonly organization?: string | undefined
  readonly project?: string | undefined
}

const address = "https://api.openai.com/v1"

const layers = Provider.layers<Options>({
  vendor: "openai",
  wire: ({ baseUrl, name, options }) => (Provider.isOwn(address, baseUrl) ? openAi : compatible)(name, options),
  baseUrl: address,
  suffix: /\/*(\/chat\/completions)?\/*$/,
  options: ["organization", "project"],
  keyVariables: ["OPENAI_API_KEY"],
  baseUrlVariable: "OPENAI_BASE_URL",
  auth: (key) => ({ authorization: `Bearer ${key}` }),
  headers: ({ organization, project }) => ({ "openai-organization": organization, "openai-project": project })
})

/** The provider from options. Without a key each call fails as `ClientError · Authentication`. */
export const layer: Provider.FromOptions<Options> = layers.layer

/**
 * The provider from configuration: `OPENAI_API_KEY` (or the variable named), `OPENAI_BASE_URL` where set, and what the
 * options say. What is missing or unusable fails the layer as a `ConfigError`.
 */
export const layerConfig: Provider.FromConfig<Options> = layers.layerConfig

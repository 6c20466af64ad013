/**
 * OpenAI's Chat Completions as an `LLMClient`, and every server that speaks it, by `baseUrl`: vLLM, llama.cpp, Ollama,
 * DeepSeek, Groq, Mistral and many more.
 *
 * ```ts
 * import { Config } from "effect"
 * import { OpenAi } from "effect-llm"
 *
 * // the key from OPENAI_API_KEY
 * OpenAi.layerConfig({ model: Config.succeed("gpt-5") })
 *
 * // a server on this machine, which needs no key
 * OpenAi.layer({ baseUrl: "http://localhost:11434/v1", model: "qwen3" })
 * ```
 */
import * as provider from "./Provider.ts"
import { compatible, openAi } from "./wire/chat/request.ts"

export interface Options extends provider.CommonOptions {
  readonly organization?: string
  readonly project?: string
}

const layers = provider.layers<Options>({
  protocol: ({ hostname }) => hostname === "openai.com" || hostname.endsWith(".openai.com") ? openAi : compatible,
  baseUrl: "https://api.openai.com/v1",
  suffix: /\/*(\/chat\/completions)?\/*$/,
  keyVariables: ["OPENAI_API_KEY"],
  baseUrlVariable: "OPENAI_BASE_URL",
  auth: (key) => ({ authorization: `Bearer ${key}` }),
  headers: ({ organization, project }) => ({ "openai-organization": organization, "openai-project": project })
})

/** The provider from options; an option that cannot be used fails every call as `ClientError · InvalidRequest`. */
export const layer = layers.layer

/**
 * The provider from configuration: `OPENAI_API_KEY` (or the variable named), `OPENAI_BASE_URL` where set, and what the
 * options say. What is missing or unusable fails the layer as a `ConfigError`.
 */
export const layerConfig = layers.layerConfig

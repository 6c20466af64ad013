/**
 * OpenAI as an `LLMClient`, by its Responses API or by Chat Completions; and every server that speaks either, by
 * `baseUrl`: vLLM, llama.cpp, Ollama, DeepSeek, Groq, Mistral and many more.
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
import { responses } from "./wire/responses/wire.ts"
import type { Wire } from "./wire/Wire.ts"

export interface Options extends Provider.CommonOptions {
  /**
   * The API that is spoken: `"responses"` at OpenAI's own address and `"chat"` elsewhere, unless set. Responses knows no
   * stop sequences; on Chat Completions the models of today take tools only without reasoning.
   */
  readonly api?: "responses" | "chat" | undefined
  readonly organization?: string | undefined
  readonly project?: string | undefined
}

const address = "https://api.openai.com/v1"

const wire = (name: string, own: boolean, options: Options): Wire => {
  const { api = own ? "responses" : "chat", models } = options
  return api === "responses" ? responses({ name, native: own, models }) : (own ? openAi : compatible)(name, options)
}

const layers = Provider.layers<Options>({
  vendor: "openai",
  wire: ({ baseUrl, name, options }) => wire(name, Provider.isOwn(address, baseUrl), options),
  baseUrl: address,
  endings: ["/chat/completions", "/responses"],
  options: ["api", "organization", "project"],
  check: ({ api = "chat" }) => ["responses", "chat"].includes(api) ? undefined : `api: give "responses" or "chat"`,
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

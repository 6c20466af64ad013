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
import * as Presets from "./wire/presets.ts"
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

const own = (name: string, atHome: boolean, options: Options): Wire => {
  const { api = atHome ? "responses" : "chat", models } = options
  return api === "responses"
    ? responses({ name, native: atHome, models })
    : (atHome ? openAi : compatible)(name, options)
}

const isApi = ({ api = "chat" }: Options): string | undefined =>
  ["responses", "chat"].includes(api) ? undefined : `api: give "responses" or "chat"`

const address = "https://api.openai.com/v1"

const endings = ["/chat/completions", "/responses"]

const bearer = (key: string) => ({ authorization: `Bearer ${key}` })

const layers = Provider.layers<Options>({
  vendor: "openai",
  wire: ({ baseUrl, name, options }) => own(name, Provider.isOwn(address, baseUrl), options),
  baseUrl: address,
  endings,
  options: ["api", "organization", "project"],
  check: isApi,
  keyVariables: ["OPENAI_API_KEY"],
  baseUrlVariable: "OPENAI_BASE_URL",
  auth: bearer,
  headers: ({ organization, project }) => ({ "openai-organization": organization, "openai-project": project })
})

/** The provider from options. Without a key each call fails as `ClientError · Authentication`. */
export const layer: Provider.FromOptions<Options> = layers.layer

/**
 * The provider from configuration: `OPENAI_API_KEY` (or the variable named), `OPENAI_BASE_URL` where set, and what the
 * options say. What is missing or unusable fails the layer as a `ConfigError`.
 */
export const layerConfig: Provider.FromConfig<Options> = layers.layerConfig

// ---------------------------------------------------------------------------------------------------------------------
// Presets
// ---------------------------------------------------------------------------------------------------------------------

/** The name of a server that is known: "groq", "deepseek", "ollama" and others. */
export type PresetName = Presets.Name

/** The names of all servers that are known. */
export const presetNames: ReadonlyArray<PresetName> = Object.keys(Presets.presets) as Array<PresetName>

// Nobody's address: a server of which everyone has their own needs a base URL.
const nowhere = "https://base-url-is-missing.invalid"

/**
 * The layers of a server that is known by name: its address, the variables of its key, its API, and what it takes in
 * another way than OpenAI. `layer` and `layerConfig` take the options of `OpenAi`.
 *
 * ```ts
 * import { Config } from "effect"
 * import { OpenAi } from "effect-llm"
 *
 * // the key from GROQ_API_KEY
 * const Groq = OpenAi.preset("groq").layerConfig({ model: Config.succeed("openai/gpt-oss-120b") })
 * ```
 */
export const preset = (name: PresetName): Provider.Layers<Options> => {
  const known: Presets.Preset = Presets.presets[name]
  return Provider.layers<Options>({
    vendor: "openai",
    preset: name,
    wire: ({ name: instance, options: { api = known.api, models } }) =>
      api === "responses"
        ? responses({ name: instance, native: false, stateless: known.stateless, models })
        : compatible(instance, { models, service: known.service ?? name, particulars: known.chat }),
    baseUrl: known.baseUrl ?? nowhere,
    endings,
    options: ["api", "organization", "project"],
    check: (options) =>
      isApi(options)
        ?? (known.baseUrl === undefined && options.baseUrl === undefined
          ? `baseUrl: give the address of your own, or set ${known.baseUrlVariable}`
          : undefined),
    keyVariables: known.keyVariables,
    baseUrlVariable: known.baseUrlVariable,
    auth: (key) => known.keyHeader === undefined ? bearer(key) : { [known.keyHeader]: key },
    headers: ({ organization, project }) => ({ "openai-organization": organization, "openai-project": project })
  })
}

/**
 * OpenAI as an `LLMClient`, with its Responses API or Chat Completions; and compatible servers, with `baseUrl`: vLLM,
 * llama.cpp, Ollama, DeepSeek, Groq, Mistral and many more.
 *
 * ```ts
 * import { Config } from "effect"
 * import { OpenAi } from "effect-llm"
 *
 * // the key from OPENAI_API_KEY
 * OpenAi.layerConfig({ model: Config.succeed("gpt-6-luna") })
 *
 * // a local server, which needs no key
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
   * The API to use: `"responses"` at OpenAI's own address and `"chat"` elsewhere, unless given. Responses does not support
   * stop sequences; with Chat Completions, current models accept tools only without reasoning.
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
 * The provider from configuration: `OPENAI_API_KEY` (or the named variable), `OPENAI_BASE_URL` if set, and the options.
 * Missing or invalid configuration fails the layer with a `ConfigError`.
 */
export const layerConfig: Provider.FromConfig<Options> = layers.layerConfig

// ---------------------------------------------------------------------------------------------------------------------
// Presets
// ---------------------------------------------------------------------------------------------------------------------

/** The name of a preset: "groq", "deepseek", "ollama" and others. */
export type PresetName = Presets.Name

/** The names of all presets. */
export const presetNames: ReadonlyArray<PresetName> = Object.keys(Presets.presets) as Array<PresetName>

// A reserved address: self-hosted servers need a base URL.
const nowhere = "https://base-url-is-missing.invalid"

/**
 * The layers of a known server: its address, key variables, API, and differences from OpenAI. `layer` and `layerConfig`
 * take the options of `OpenAi`.
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
          ? `baseUrl: give the address of your server, or set ${known.baseUrlVariable}`
          : undefined),
    keyVariables: known.keyVariables,
    baseUrlVariable: known.baseUrlVariable,
    auth: (key) => known.keyHeader === undefined ? bearer(key) : { [known.keyHeader]: key },
    headers: ({ organization, project }) => ({ "openai-organization": organization, "openai-project": project })
  })
}

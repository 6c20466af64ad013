/**
 * Anthropic's Messages API as an `LLMClient`, and compatible servers, with `baseUrl`.
 *
 * ```ts
 * import { Config, Redacted } from "effect"
 * import { Anthropic } from "effect-llm"
 *
 * // the key from ANTHROPIC_API_KEY
 * Anthropic.layerConfig({ model: Config.succeed("claude-sonnet-4-6") })
 *
 * // or by hand
 * Anthropic.layer({ apiKey: Redacted.make("sk-ant-..."), model: "claude-sonnet-4-6" })
 * ```
 */

import * as Provider from "./Provider.ts"
import { anthropic } from "./wire/anthropic/wire.ts"

export interface Options extends Provider.CommonOptions {
  /** The version of the API, `2023-06-01` unless given. */
  readonly version?: string | undefined
  /** Beta features to enable, by Anthropic's names. */
  readonly betas?: ReadonlyArray<string> | undefined
  /**
   * What happens to thinking in a history that was changed before it, on models that bind thinking to the text before it:
   * Anthropic drops it with a warning in the answer (`"drop"`, the default), or refuses the request.
   */
  readonly thinkingMismatch?: "drop" | "error" | undefined
}

const layers = Provider.layers<Options>({
  vendor: "anthropic",
  wire: ({ name, options }) => anthropic(name, options),
  baseUrl: "https://api.anthropic.com",
  endings: ["/v1/messages", "/messages", "/v1"],
  options: ["version", "betas", "thinkingMismatch"],
  check: ({ thinkingMismatch = "drop" }) =>
    ["drop", "error"].includes(thinkingMismatch) ? undefined : `thinkingMismatch: give "drop" or "error"`,
  keyVariables: ["ANTHROPIC_API_KEY"],
  baseUrlVariable: "ANTHROPIC_BASE_URL",
  auth: (key) => ({ "x-api-key": key }),
  headers: ({ betas = [], version = "2023-06-01" }) => ({
    "anthropic-version": version,
    "anthropic-beta": betas.length === 0 ? undefined : betas.join(",")
  })
})

/** The provider from options. Without a key each call fails as `ClientError · Authentication`. */
export const layer: Provider.FromOptions<Options> = layers.layer

/**
 * The provider from configuration: `ANTHROPIC_API_KEY` (or the named variable), `ANTHROPIC_BASE_URL` if set, and the
 * options. Missing or invalid configuration fails the layer with a `ConfigError`.
 */
export const layerConfig: Provider.FromConfig<Options> = layers.layerConfig

/**
 * Google's Gemini API (generateContent) as an `LLMClient`. The key goes out in a header, never in the URL.
 *
 * ```ts
 * import { Config } from "effect"
 * import { Gemini } from "effect-llm"
 *
 * // the key from GEMINI_API_KEY, else from GOOGLE_AI_API_KEY
 * Gemini.layerConfig({ model: Config.succeed("gemini-3.8-flash") })
 * ```
 */

import * as Config from "effect/Config"
import type { HttpClient } from "effect/http/HttpClient"
import type * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { LLMClient } from "./LLMClient.ts"
import * as Provider from "./Provider.ts"
import { gemini } from "./wire/gemini/wire.ts"

export interface Options extends Provider.CommonOptions {}

const layers = Provider.layers<Options>({
  vendor: "gemini",
  wire: ({ name, options }) => gemini(name, options),
  baseUrl: "https://generativelanguage.googleapis.com",
  endings: ["/v1beta/models", "/v1/models", "/models", "/v1beta", "/v1"],
  keyVariables: ["GEMINI_API_KEY", "GOOGLE_AI_API_KEY"],
  baseUrlVariable: "GEMINI_BASE_URL",
  auth: (key) => ({ "x-goog-api-key": key })
})

/** The provider from options. Without a key each call fails as `ClientError · Authentication`. */
export const layer: Provider.FromOptions<Options> = layers.layer

/**
 * The provider from configuration: `GEMINI_API_KEY`, else `GOOGLE_AI_API_KEY` (or the named variable), `GEMINI_BASE_URL` if
 * set, and the options. Missing or invalid configuration fails the layer with a `ConfigError`.
 */
export const layerConfig: Provider.FromConfig<Options> = layers.layerConfig

/** The provider behind an OAuth proxy at `url`, which requires a key but ignores it: `GEMINI_API_KEY`, if set. */
export const layerProxy = (
  url: string,
  options?: Omit<Options, "apiKey" | "baseUrl">
): Layer.Layer<LLMClient, Config.ConfigError, HttpClient> =>
  layers.layerConfig(Config.map(
    Config.withDefault(Config.String("GEMINI_API_KEY"), ""),
    (key): Partial<Options> => ({ ...options, baseUrl: url, apiKey: Redacted.make(key.trim() || "oauth-proxy") })
  ))

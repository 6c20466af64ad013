/** What the bridges to effect/ai give, fail with and require. */
import type * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as AiTool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import type { ConfigError } from "effect/Config"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { HttpClient } from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as EffectAi from "../../src/EffectAi.ts"
import { Anthropic, Completion, LLMClient, Retry, Telemetry } from "../../src/index.ts"

type Same<A, B> = [A] extends [B] ? [B] extends [A] ? true : false : false

type Model = typeof EffectAi.layerLanguageModel
export const modelGives: Same<Layer.Success<Model>, LanguageModel.LanguageModel> = true
export const modelFails: Same<Layer.Error<Model>, never> = true
export const modelNeeds: Same<Layer.Services<Model>, LLMClient.LLMClient> = true

class Config extends Context.Service<Config, { readonly limit: number | undefined }>()("test/Config") {}

// The services that a package of effect/ai reads its options from are whatever they are.
const client = EffectAi.layerClient({ configure: ({ maxTokens }) => Context.make(Config, { limit: maxTokens }) })
export const clientGives: Same<Layer.Success<typeof client>, LLMClient.LLMClient> = true
export const clientNeeds: Same<Layer.Services<typeof client>, LanguageModel.LanguageModel> = true

const whole = EffectAi.layerLanguageModel.pipe(
  Layer.provide(LLMClient.compose(Telemetry.layer(), Retry.layer(), Telemetry.layerAttempts(), Anthropic.layerConfig()))
)
export const wholeFails: Same<Layer.Error<typeof whole>, ConfigError> = true
export const wholeNeeds: Same<Layer.Services<typeof whole>, HttpClient> = true

const Look = AiTool.make("look", { parameters: Schema.Struct({ at: Schema.String }), success: Schema.Finite })
const call = LanguageModel.generateText({ prompt: "x", toolkit: Toolkit.make(Look) }).pipe(
  EffectAi.withCompletion(Completion.maxTokens(5))
)
// What `withCompletion` wraps keeps its types.
export const callFails: Same<Effect.Error<typeof call>, AiError.AiError> = true
export const callNeeds: Same<Effect.Services<typeof call>, LanguageModel.LanguageModel | AiTool.Handler<"look">> = true

// @ts-expect-error: no such option
EffectAi.layerClient({ providr: "acme" })

// @ts-expect-error: attempts have no metrics
Telemetry.layerAttempts({ metrics: true })

// @ts-expect-error: no such names
Telemetry.layer({ names: "newest" })

// What may be recorded is a message, or nothing.
export const redacting = Telemetry.layer({ content: (message) => message._tag === "System" ? undefined : message })

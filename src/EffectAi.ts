/**
 * Bridges to `effect/ai`, both ways.
 *
 * `layerLanguageModel` makes any `LLMClient` a `LanguageModel`, with its middleware (retry, fallback, limits, caches): for
 * `Chat`, `Toolkit`, MCP and other code that uses effect/ai.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Anthropic, Completion, LLMClient, Retry } from "effect-llm"
 * import * as EffectAi from "effect-llm/EffectAi"
 * import * as LanguageModel from "effect/ai/LanguageModel"
 *
 * const program = LanguageModel.generateText({ prompt: "Why is the sky blue?" }).pipe(
 *   EffectAi.withCompletion(Completion.maxTokens(200)),
 *   Effect.provide(EffectAi.layerLanguageModel),
 *   Effect.provide(LLMClient.compose(Retry.layer(), Anthropic.layerConfig()))
 * )
 * ```
 *
 * `layerClient` makes any `LanguageModel` an `LLMClient`, to use effect/ai's other providers below our middleware.
 *
 * Import it by its path, `effect-llm/EffectAi`: programs that do not use effect/ai do not load it.
 */
export { layerClient, make as makeClient, type Options as ClientOptions } from "./interop/client.ts"
export { fromPrompt, toPrompt } from "./interop/conversation.ts"
export {
  CurrentCompletion,
  layerLanguageModel,
  make as makeLanguageModel,
  withCompletion
} from "./interop/languageModel.ts"

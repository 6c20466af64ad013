/** What we send for embeddings and counts of tokens, held against the SDKs by the type checker alone. */
import type * as Anthropic from "@anthropic-ai/sdk/resources/messages/messages"
import type * as Google from "@google/genai"
import type { Layer } from "effect"
import type { Dimensions, EmbeddingModel } from "effect/ai/EmbeddingModel"
import type { EmbeddingCreateParams } from "openai/resources/embeddings"
import type { InputTokenCountParams } from "openai/resources/responses/input-tokens"
import * as Embeddings from "../../src/Embeddings.ts"
import type { LLMClient } from "../../src/index.ts"
import type { countedFields as anthropicFields } from "../../src/wire/anthropic/countTokens.ts"
import { encode as encodeChat } from "../../src/wire/chat/embeddings.ts"
import type { AskedVectors } from "../../src/wire/embeddings.ts"
import { encode as encodeGemini } from "../../src/wire/gemini/embeddings.ts"
import type { countedFields as responsesFields } from "../../src/wire/responses/countTokens.ts"
import { none, type Plain, type Unknown } from "./exact.ts"

export const openai = (asked: AskedVectors): Plain<EmbeddingCreateParams> => encodeChat(asked, "base64")

export const openaiNames = none<Unknown<ReturnType<typeof encodeChat>, Plain<EmbeddingCreateParams>>>()

type Config = Plain<Google.EmbedContentConfig>

/** The SDK puts the settings of one request beside each of its texts. */
interface GeminiRequest extends Pick<Config, "taskType" | "outputDimensionality" | "title"> {
  readonly model: string
  readonly content: Plain<Google.Content>
}

interface GeminiBody {
  readonly requests: ReadonlyArray<GeminiRequest>
}

export const gemini = (asked: AskedVectors): GeminiBody => encodeGemini(asked)

export const geminiNames = none<Unknown<ReturnType<typeof encodeGemini>, GeminiBody>>()

/** Two fields are known to the beta alone. */
export const anthropicCounted = none<
  Exclude<
    typeof anthropicFields[number],
    keyof Anthropic.MessageCountTokensParams | "context_management" | "mcp_servers"
  >
>()

export const responsesCounted = none<Exclude<typeof responsesFields[number], keyof InputTokenCountParams>>()

/** Every field that OpenAI counts is taken along. */
export const responsesLeft = none<Exclude<keyof InputTokenCountParams, typeof responsesFields[number]>>()

type Model = Layer.Layer<EmbeddingModel, never, LLMClient.LLMClient>

export const model: Model = Embeddings.layer({ model: "text-embedding-3-small" })

export const sized: Layer.Layer<EmbeddingModel | Dimensions, never, LLMClient.LLMClient> = Embeddings.layer({
  dimensions: 512
})

// @ts-expect-error: nobody knows the dimensions
export const unsized: typeof sized = Embeddings.layer({ model: "text-embedding-3-small" })

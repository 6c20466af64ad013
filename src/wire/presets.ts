/**
 * Servers that speak OpenAI's protocols, as data: their address, their key, and their differences. Sources: each
 * provider's API reference, as of November 2026; recorded traffic for Groq, DeepSeek, Mistral and Perplexity.
 */
import type { Particulars } from "./chat/shape.ts"

/** A server that speaks one of OpenAI's protocols. */
export interface Preset {
  /** The address; absent when every customer has their own, to be given as `baseUrl`. */
  readonly baseUrl?: string
  /** The environment variable for the address. */
  readonly baseUrlVariable: string
  /** The environment variables for the key, in order; empty when the server needs no key. */
  readonly keyVariables: ReadonlyArray<string>
  /** The default protocol. */
  readonly api: "chat" | "responses"
  /** The header for the key; a bearer token unless given. */
  readonly keyHeader?: "api-key"
  /** The name of the service in the tables of models, if it differs from the preset's name. */
  readonly service?: string
  /** How its Chat Completions differ. */
  readonly chat?: Particulars
  /** Responses: the server stores nothing and returns encrypted reasoning. */
  readonly stateless?: boolean
}

/** The servers known by name, for `OpenAi.preset` and `LLMProvider`. */
export const presets = {
  azure: {
    baseUrlVariable: "AZURE_OPENAI_BASE_URL",
    keyVariables: ["AZURE_OPENAI_API_KEY"],
    keyHeader: "api-key",
    api: "responses",
    stateless: true,
    // A deployment's name does not tell its model. All models there accept the newer field.
    chat: { maxTokens: "max_completion_tokens", reasoning: "none", schemaAfterTools: false }
  },
  cerebras: {
    baseUrl: "https://api.cerebras.ai/v1",
    baseUrlVariable: "CEREBRAS_BASE_URL",
    keyVariables: ["CEREBRAS_API_KEY"],
    api: "chat",
    chat: { maxTokens: "max_completion_tokens" }
  },
  deepseek: {
    baseUrl: "https://api.deepseek.com",
    baseUrlVariable: "DEEPSEEK_BASE_URL",
    keyVariables: ["DEEPSEEK_API_KEY"],
    api: "chat",
    // Recorded: "Thinking mode does not support this tool_choice".
    chat: { toggle: "thinking", forcedTools: "withoutThinking" }
  },
  fireworks: {
    baseUrl: "https://api.fireworks.ai/inference/v1",
    baseUrlVariable: "FIREWORKS_BASE_URL",
    keyVariables: ["FIREWORKS_API_KEY"],
    api: "chat"
  },
  groq: {
    baseUrl: "https://api.groq.com/openai/v1",
    baseUrlVariable: "GROQ_BASE_URL",
    keyVariables: ["GROQ_API_KEY"],
    api: "chat"
  },
  "llama.cpp": {
    baseUrl: "http://localhost:8080/v1",
    baseUrlVariable: "LLAMACPP_BASE_URL",
    keyVariables: ["LLAMACPP_API_KEY"],
    service: "llamacpp",
    api: "chat"
  },
  "lm-studio": {
    baseUrl: "http://localhost:1234/v1",
    baseUrlVariable: "LMSTUDIO_BASE_URL",
    keyVariables: ["LMSTUDIO_API_KEY"],
    service: "lmstudio",
    api: "chat"
  },
  mistral: {
    baseUrl: "https://api.mistral.ai/v1",
    baseUrlVariable: "MISTRAL_BASE_URL",
    keyVariables: ["MISTRAL_API_KEY"],
    api: "chat",
    // It refuses unknown fields, and always reports the usage of a stream.
    chat: {
      media: "mistral",
      reasoning: "content",
      requiredWord: "any",
      schemaAfterTools: false,
      seedField: "random_seed",
      streamOptions: false
    }
  },
  ollama: {
    baseUrl: "http://localhost:11434/v1",
    baseUrlVariable: "OLLAMA_BASE_URL",
    keyVariables: ["OLLAMA_API_KEY"],
    api: "chat"
  },
  perplexity: {
    baseUrl: "https://api.perplexity.ai",
    baseUrlVariable: "PERPLEXITY_BASE_URL",
    keyVariables: ["PERPLEXITY_API_KEY", "PPLX_API_KEY"],
    api: "chat",
    // Its thinking is part of the text. It always reports the usage of a stream.
    chat: { reasoning: "none", streamOptions: false }
  },
  together: {
    baseUrl: "https://api.together.ai/v1",
    baseUrlVariable: "TOGETHER_BASE_URL",
    keyVariables: ["TOGETHER_API_KEY", "TOGETHER_AI_API_KEY"],
    api: "chat",
    chat: { toggle: "reasoning" }
  },
  vllm: {
    baseUrl: "http://localhost:8000/v1",
    baseUrlVariable: "VLLM_BASE_URL",
    keyVariables: ["VLLM_API_KEY"],
    api: "chat"
  },
  xai: {
    baseUrl: "https://api.x.ai/v1",
    baseUrlVariable: "XAI_BASE_URL",
    keyVariables: ["XAI_API_KEY"],
    api: "responses",
    stateless: true
  }
} as const satisfies Readonly<Record<string, Preset>>

export type Name = keyof typeof presets

/** The preset with this name. */
export const find = (name: Name): Preset => presets[name]

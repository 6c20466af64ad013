/**
 * Servers that speak OpenAI's protocols, as data: where they are, where their key stands, and what each needs. Sources:
 * each provider's API reference, as of November 2026; recorded traffic for Groq, DeepSeek, Mistral and Perplexity.
 */
import type { Particulars } from "./chat/shape.ts"

/** A server that speaks one of OpenAI's protocols. */
export interface Preset {
  /** The address; absent where everyone has their own, which `baseUrl` then gives. */
  readonly baseUrl?: string
  /** The environment variable that may hold the address. */
  readonly baseUrlVariable: string
  /** The environment variables that may hold the key; empty where there is none. */
  readonly keyVariables: ReadonlyArray<string>
  /** The protocol to speak unless another is asked for. */
  readonly api: "chat" | "responses"
  /** The header of the key; a bearer token unless given. */
  readonly keyHeader?: "api-key"
  /** The name under which its models are known, where that is not the preset's. */
  readonly service?: string
  /** What it does in another way over Chat Completions. */
  readonly chat?: Particulars
  /** Whether it keeps no answers, and hands out its reasoning encrypted, over Responses. */
  readonly stateless?: boolean
}

/** The servers that are known by name; `OpenAi.preset` and `LLMProvider` take the names. */
export const presets = {
  azure: {
    baseUrlVariable: "AZURE_OPENAI_BASE_URL",
    keyVariables: ["AZURE_OPENAI_API_KEY"],
    keyHeader: "api-key",
    api: "responses",
    stateless: true,
    // The name of a deployment does not tell its model, and all models there take the newer field.
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
    // It refuses fields that it does not know, and tells the usage of every stream.
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
    // What it thinks stands in the text; it tells the usage of every stream.
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

/** The preset of a name. */
export const find = (name: Name): Preset => presets[name]

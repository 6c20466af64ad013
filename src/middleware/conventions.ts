/**
 * The names of OpenTelemetry's conventions for generative AI, as data. The conventions are in development, so their names
 * are only here.
 */
import type { FinishReason } from "../CompletionResponse.ts"

/** The source of the current names, and when they were read. */
export const source = {
  repository: "open-telemetry/semantic-conventions-genai",
  documents: ["docs/gen-ai/client-inference.md", "docs/gen-ai/gen-ai-token-metrics.md"],
  commit: "024a4f944a1291fcb627c9c47da69e79868dd15e",
  read: "2026-11-26",
  stability: "Development"
} as const

/**
 * Which names to use: those of the conventions' own repository, or the earlier ones
 * (open-telemetry/semantic-conventions 1.37 to 1.41), which many backends still read.
 */
export const conventions = ["current", "earlier"] as const
export type Convention = typeof conventions[number]

/** The attributes of spans and metrics. */
export const attributes = {
  operation: "gen_ai.operation.name",
  provider: "gen_ai.provider.name",
  conversation: "gen_ai.conversation.id",
  outputType: "gen_ai.output.type",
  requestModel: "gen_ai.request.model",
  maxTokens: "gen_ai.request.max_tokens",
  temperature: "gen_ai.request.temperature",
  topP: "gen_ai.request.top_p",
  seed: "gen_ai.request.seed",
  stopSequences: "gen_ai.request.stop_sequences",
  effort: "gen_ai.request.reasoning.level",
  stream: "gen_ai.request.stream",
  responseId: "gen_ai.response.id",
  responseModel: "gen_ai.response.model",
  finishReasons: "gen_ai.response.finish_reasons",
  firstChunk: "gen_ai.response.time_to_first_chunk",
  input: "gen_ai.usage.input_tokens",
  output: "gen_ai.usage.output_tokens",
  cacheRead: "gen_ai.usage.cache_read.input_tokens",
  cacheWrite: "gen_ai.usage.cache_write.input_tokens",
  cacheWriteEarlier: "gen_ai.usage.cache_creation.input_tokens",
  reasoning: "gen_ai.usage.reasoning.output_tokens",
  instructions: "gen_ai.system_instructions",
  inputMessages: "gen_ai.input.messages",
  outputMessages: "gen_ai.output.messages",
  tokenType: "gen_ai.token.type",
  modality: "gen_ai.token.modality",
  errorType: "error.type",
  status: "http.response.status_code",
  address: "server.address",
  port: "server.port"
} as const

/** Our own attributes, for which the conventions have no name. */
export const ownAttributes = {
  attempt: "effect_llm.attempt",
  attempts: "effect_llm.attempts",
  cached: "effect_llm.cached",
  cost: "effect_llm.cost",
  warnings: "effect_llm.warnings"
} as const

/** Every operation is a chat: no provider completes plain text. */
export const operation = "chat"

/** The error type if the caller left, or a defect ended the call. */
export const interrupted = "interrupted"
export const died = "defect"

const seconds = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]

const powersOfFour = Array.from({ length: 14 }, (_, power) => 4 ** power)

/** The measurements of a call: `spent` counts all its attempts, `answer` only the answer. */
export type Measure =
  | "duration"
  | "firstChunk"
  | "outputChunk"
  | "spentInput"
  | "spentOutput"
  | "spentCacheRead"
  | "spentCacheWrite"
  | "spentReasoning"
  | "answerInput"
  | "answerOutput"

export interface Instrument {
  readonly convention: Convention
  readonly name: string
  readonly measure: Measure
  readonly kind: "histogram" | "counter"
  readonly unit: "s" | "{token}"
  readonly description: string
  /** The upper bounds of a histogram's buckets. */
  readonly boundaries?: ReadonlyArray<number>
  /** Labels besides those of the request and the answer. */
  readonly labels?: Readonly<Record<string, string>>
}

const time = (convention: Convention, name: string, measure: Measure, description: string): Instrument => ({
  convention,
  name,
  measure,
  kind: "histogram",
  unit: "s",
  boundaries: seconds,
  description
})

// Counts are not split by modality.
const unknownModality = { [attributes.modality]: "unknown" }

const counter = (name: string, measure: Measure, description: string): Instrument => ({
  convention: "current",
  name: `gen_ai.client.inference.usage.${name}`,
  measure,
  kind: "counter",
  unit: "{token}",
  labels: unknownModality,
  description
})

const perOperation = (name: string, measure: Measure, description: string): Instrument => ({
  convention: "current",
  name: `gen_ai.client.inference.operation.${name}`,
  measure,
  kind: "histogram",
  unit: "{token}",
  boundaries: powersOfFour,
  description
})

const usageEarlier = (type: "input" | "output", measure: Measure): Instrument => ({
  convention: "earlier",
  name: "gen_ai.client.token.usage",
  measure,
  kind: "histogram",
  unit: "{token}",
  boundaries: powersOfFour,
  labels: { [attributes.tokenType]: type },
  description: "Tokens of a request, by direction."
})

const firstChunk = "Time until the first part of a streamed answer."
const outputChunk = "Time between the chunks of a streamed answer."
const duration = "Time until an answer is complete, or the call has failed."

/** The metrics, one row for each name. */
export const instruments: ReadonlyArray<Instrument> = [
  time("current", "gen_ai.client.inference.duration", "duration", duration),
  time("current", "gen_ai.client.inference.time_to_first_chunk", "firstChunk", firstChunk),
  time("current", "gen_ai.client.inference.time_per_output_chunk", "outputChunk", outputChunk),
  counter("input_tokens", "spentInput", "Input tokens, cached ones included."),
  counter("output_tokens", "spentOutput", "Output tokens, reasoning included."),
  counter("cache_read.input_tokens", "spentCacheRead", "Input tokens that were read from the provider's cache."),
  counter("cache_write.input_tokens", "spentCacheWrite", "Input tokens that were written to the provider's cache."),
  counter("reasoning.output_tokens", "spentReasoning", "Output tokens that were reasoning."),
  perOperation("input_tokens", "answerInput", "Input tokens of one answer."),
  perOperation("output_tokens", "answerOutput", "Output tokens of one answer."),
  time("earlier", "gen_ai.client.operation.duration", "duration", duration),
  time("earlier", "gen_ai.client.operation.time_to_first_chunk", "firstChunk", firstChunk),
  time("earlier", "gen_ai.client.operation.time_per_output_chunk", "outputChunk", outputChunk),
  usageEarlier("input", "spentInput"),
  usageEarlier("output", "spentOutput")
]

/** The conventions' names of providers that differ from ours, by the name of an instance or by its host. */
const providers: Readonly<Record<string, string>> = {
  gemini: "gcp.gemini",
  azure: "azure.ai.openai",
  mistral: "mistral_ai",
  "api.mistral.ai": "mistral_ai",
  moonshot: "moonshot_ai",
  "api.moonshot.ai": "moonshot_ai",
  xai: "x_ai",
  "api.x.ai": "x_ai",
  "api.deepseek.com": "deepseek",
  "api.groq.com": "groq",
  "api.perplexity.ai": "perplexity"
}

export const providerName = (provider: string): string =>
  Object.hasOwn(providers, provider) ? providers[provider]! : provider

const finishReasons = {
  None: "error",
  Stop: "stop",
  MaxTokens: "length",
  ToolUse: "tool_call",
  ContentFilter: "content_filter"
} as const satisfies Record<Exclude<FinishReason["_tag"], "Other">, string>

/** The finish reason in the words of the conventions; without one from the provider, it is an unexpected end. */
export const finishReason = (reason: FinishReason): string =>
  reason._tag === "Other" ? reason.reason : finishReasons[reason._tag]

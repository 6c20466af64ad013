/**
 * Token usage: the total of an answer and its passes. Source: Anthropic API reference, "Messages", `usage.iterations`.
 */
import type { Pass } from "../../CompletionResponse.ts"
import * as TokenUsage from "../../TokenUsage.ts"
import { array, isObject, type JsonRecord, number, object, string } from "../json.ts"
import { passesApart } from "./shape.ts"

// `input_tokens` excludes the tokens that were read from the cache or written to it.
const counts = (usage: JsonRecord, reasoningTokens: number): TokenUsage.TokenUsage => {
  const read = number(usage["cache_read_input_tokens"]) ?? 0
  const written = number(usage["cache_creation_input_tokens"]) ?? 0
  return TokenUsage.make({
    inputTokens: (number(usage["input_tokens"]) ?? 0) + read + written,
    outputTokens: number(usage["output_tokens"]) ?? 0,
    cachedInputTokens: read,
    cacheWriteTokens: written,
    longCacheWriteTokens: number(object(usage["cache_creation"])["ephemeral_1h_input_tokens"]) ?? 0,
    reasoningTokens
  })
}

const sum = (passes: ReadonlyArray<Pass>): TokenUsage.TokenUsage =>
  passes.reduce((total, { usage }) => TokenUsage.add(total, usage), TokenUsage.zero)

const isApart = ({ kind }: Pass): boolean => passesApart.has(kind)

// Reasoning tokens are only reported for the total. They are assigned to the last passes, up to the output of each.
const withReasoning = (passes: ReadonlyArray<Pass>, reasoningTokens: number): ReadonlyArray<Pass> => {
  let unassigned = reasoningTokens
  return passes.toReversed().map((pass) => {
    const reasoning = isApart(pass) ? 0 : Math.min(unassigned, pass.usage.outputTokens)
    unassigned -= reasoning
    return reasoning === 0 ? pass : { ...pass, usage: { ...pass.usage, reasoningTokens: reasoning } }
  }).toReversed()
}

/** The billed usage: the sum of all passes, some of which the provider leaves out of its total. */
export const billed = (
  usage: JsonRecord,
  answered: string | undefined
): { readonly usage: TokenUsage.TokenUsage; readonly passes?: ReadonlyArray<Pass> } => {
  const reasoning = number(object(usage["output_tokens_details"])["thinking_tokens"]) ?? 0
  const whole = counts(usage, reasoning)
  const passes = array(usage["iterations"]).filter(isObject).map((entry): Pass => {
    const model = string(entry["model"])
    return {
      kind: string(entry["type"]) ?? "message",
      ...(model !== undefined && model !== answered && { model }),
      usage: counts(entry, 0)
    }
  })
  if (passes.length === 0 || (passes.length === 1 && !isApart(passes[0]!))) return { usage: whole }
  const apart = passes.filter(isApart)
  const within = sum(passes.filter((pass) => !isApart(pass)))
  // If the passes add up to less than the total, the list is incomplete.
  const complete = within.inputTokens >= whole.inputTokens && within.outputTokens >= whole.outputTokens
  const all = complete
    ? withReasoning(passes, whole.reasoningTokens)
    : [...apart, { kind: "message", usage: whole }]
  return { usage: sum(all), passes: all }
}

const counted: ReadonlySet<string> = new Set([
  "input_tokens",
  "output_tokens",
  "cache_read_input_tokens",
  "cache_creation_input_tokens",
  "cache_creation",
  "output_tokens_details",
  "iterations",
  "cost"
])

/** The other fields of the usage: the service tier, the region, the speed, the uses of server tools. */
export const uncounted = (usage: JsonRecord): JsonRecord =>
  Object.fromEntries(Object.entries(usage).filter(([key, value]) => !counted.has(key) && value !== null))

/** The counts as the provider writes them. Reading them gives the same usage. */
export const written = (usage: TokenUsage.TokenUsage): JsonRecord => ({
  input_tokens: usage.inputTokens - usage.cachedInputTokens - usage.cacheWriteTokens,
  cache_creation_input_tokens: usage.cacheWriteTokens,
  cache_read_input_tokens: usage.cachedInputTokens,
  ...(usage.cacheWriteTokens > 0 && {
    cache_creation: {
      ephemeral_5m_input_tokens: usage.cacheWriteTokens - usage.longCacheWriteTokens,
      ephemeral_1h_input_tokens: usage.longCacheWriteTokens
    }
  }),
  output_tokens: usage.outputTokens,
  ...(usage.reasoningTokens > 0 && { output_tokens_details: { thinking_tokens: usage.reasoningTokens } })
})

/** The usage of an answer and its passes, as the provider writes them. */
export const billing = (usage: TokenUsage.TokenUsage, passes: ReadonlyArray<Pass> | undefined): JsonRecord => {
  if (passes === undefined || passes.length === 0) return written(usage)
  const fallback = passes.findLast(({ kind }) => kind === "fallback_message")
  const within = fallback === undefined ? passes.filter((pass) => !isApart(pass)) : [fallback]
  return {
    ...written({ ...sum(within), reasoningTokens: usage.reasoningTokens }),
    iterations: passes.map(({ kind, model, usage }) => ({
      type: kind,
      ...(model !== undefined && { model }),
      ...written({ ...usage, reasoningTokens: 0 })
    }))
  }
}

/**
 * Adapts a completion to its model: drops or changes what the model does not support over the Responses API, with a
 * warning. Sources: OpenAI API reference, "Reasoning", "Latest model".
 */
import * as Completion from "../../Completion.ts"
import type { Warning } from "../../CompletionResponse.ts"
import * as Models from "../../Models.ts"
import { effortOf } from "../openai.ts"
import type { Refused } from "../Wire.ts"
import type { Options } from "./shape.ts"

/** The adapted completion, and the changes. */
export interface Fitted {
  readonly completion: Completion.Completion
  readonly warnings: ReadonlyArray<Warning>
}

/** OpenAI's minimum for `max_output_tokens`. */
const leastTokens = 16

type Change = Partial<Pick<Completion.Completion, "maxTokens" | "reasoning" | "seed" | "temperature" | "topP">>

// Replaces fields. An undefined field is left out.
const without = (completion: Completion.Completion, change: { [K in keyof Change]: Change[K] | undefined }) =>
  Completion.make({ ...completion, ...change })

const changes = (warnings: Array<Warning>) => (field: string, description: string): void => {
  warnings.push({ field, description })
}

const fitReasoning = (
  { reasoning }: Completion.Completion,
  rules: Models.Rules,
  model: string,
  warn: (field: string, description: string) => void
): Completion.Reasoning | undefined => {
  if (reasoning === undefined) return undefined
  const { budgetTokens, effort, ...rest } = reasoning
  const asked = effort ?? (budgetTokens === undefined ? undefined : effortOf(budgetTokens))
  if (rules.thinking?.length === 0) {
    if (asked !== undefined && asked !== "none") {
      warn("reasoning", `${model} does not reason: the setting is left out`)
    }
    return undefined
  }
  const sent = asked && Models.nearestEffort(rules, asked, "responses")
  if (budgetTokens !== undefined) {
    warn(
      "reasoning.budgetTokens",
      effort === undefined && sent !== undefined
        ? `${model} has no token budget: effort ${sent} is sent instead`
        : `${model} has no token budget: it is left out`
    )
  }
  if (effort !== undefined && sent !== effort) {
    warn(
      "reasoning.effort",
      sent === undefined
        ? `${model} does not support effort: it is left out`
        : `${model} does not support effort ${effort}: ${sent} is sent instead`
    )
  }
  return { ...rest, ...(sent !== undefined && { effort: sent }) }
}

// Whether the model supports temperature and top_p at this effort.
const samples = (rules: Models.Rules, effort: Models.Effort | undefined): boolean => {
  switch (rules.sampling) {
    case "none":
      return false
    case "withoutThinking":
      return Models.effectiveEffort(rules, effort, "responses") === "none"
    default:
      return true
  }
}

/** The completion adapted to its model, or why that is not possible. */
export const fit = (options: Options, completion: Completion.Completion, model: string): Fitted | Refused => {
  const { native, vendor = "openai" } = options
  if ((completion.stopSequences ?? []).length > 0) {
    return {
      _tag: "Refused",
      reason: "Unsupported",
      description: 'stopSequences: the Responses API has none: leave them out, or use api: "chat"'
    }
  }
  const rules = Models.find(vendor, model, options.models)
  const warnings: Array<Warning> = []
  const warn = changes(warnings)
  const reasoning = fitReasoning(completion, rules, model, warn)
  const { maxTokens, seed } = completion
  let { temperature, topP } = completion
  if (!samples(rules, reasoning?.effort)) {
    // 1 is the default.
    for (const [field, value] of [["temperature", temperature], ["topP", topP]] as const) {
      if (value !== undefined && value !== 1) {
        warn(field, `${model} does not support it while it reasons: it is left out`)
      }
    }
    temperature = topP = undefined
  }
  if (seed !== undefined) warn("seed", "the Responses API has no seed: it is left out")
  const raised = native && maxTokens !== undefined && maxTokens < leastTokens ? leastTokens : maxTokens
  if (raised !== maxTokens) {
    warn("maxTokens", `the minimum of OpenAI is ${leastTokens}: ${leastTokens} is sent instead`)
  }
  return {
    completion: without(completion, { reasoning, temperature, topP, maxTokens: raised, seed: undefined }),
    warnings
  }
}

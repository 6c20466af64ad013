/**
 * The thinking settings that each model supports. Source: Anthropic API reference, "Extended thinking", "Adaptive
 * thinking", "Effort".
 */
import type { Reasoning } from "../../Completion.ts"
import type { Warning } from "../../CompletionResponse.ts"
import * as Models from "../../Models.ts"

type Display = "summarized" | "omitted"

export type Thinking =
  | { readonly type: "disabled" }
  | { readonly type: "between_tools" }
  | { readonly type: "enabled"; readonly budget_tokens: number; readonly display?: Display }
  | {
    readonly type: "adaptive"
    readonly display?: Display
    readonly block_binding?: { readonly prefix_mismatch_behavior: "drop_block" }
  }

type Effort = Models.Effort

/** The efforts that the wire supports. */
export type SentEffort = Exclude<Effort, "none" | "minimal">

/** The fields to send for a `reasoning`. */
export interface Thought {
  readonly thinking?: Thinking | undefined
  readonly effort?: SentEffort | undefined
  readonly warnings: ReadonlyArray<Warning>
}

// The budgets that correspond to efforts, for models that take one or the other.
const budgets = [
  ["minimal", 1024],
  ["low", 4096],
  ["medium", 10_000],
  ["high", 20_000],
  ["xhigh", 32_000],
  ["max", 48_000]
] as const satisfies ReadonlyArray<readonly [Effort, number]>

const budgetOf = (effort: Effort): number => budgets.find(([name]) => name === effort)?.[1] ?? 0

const effortOf = (budget: number): Effort => budgets.find(([, tokens]) => budget <= tokens)?.[0] ?? "max"

// For an unknown model the effort is sent as requested. The wire has no word for "minimal".
const sent = (effort: Effort | undefined): SentEffort | undefined =>
  effort === undefined || effort === "none" ? undefined : effort === "minimal" ? "low" : effort

const warning = (field: "effort" | "budgetTokens", description: string): Warning => ({
  field: `reasoning.${field}`,
  description
})

const nothing: Thought = { warnings: [] }

// The display setting is only sent when it differs from the model's default.
const display = (summary: boolean | undefined, rules: Models.Rules): { readonly display?: Display } => {
  if (summary === undefined) return {}
  const wanted = summary ? "summarized" : "omitted"
  return rules.thinkingText === wanted ? {} : { display: wanted }
}

const off = (rules: Models.Rules): Thought => {
  if (rules.thinking?.length === 0 || rules.thinksByDefault === false) return nothing
  if (rules.thinkingOff !== false) return { thinking: { type: "disabled" }, warnings: [] }
  if (rules.leastThinking !== undefined) {
    return {
      thinking: { type: rules.leastThinking },
      warnings: [warning("effort", `sent as ${rules.leastThinking}: the thinking of this model cannot be turned off`)]
    }
  }
  const least = sent(Models.nearestEffort(rules, "minimal"))
  return {
    effort: least,
    warnings: [
      warning("effort", `sent as ${least ?? "nothing"}: the thinking of this model cannot be turned off`)
    ]
  }
}

const adaptive = ({ budgetTokens, effort, summary }: Reasoning, rules: Models.Rules): Thought => {
  const asked = effort ?? (budgetTokens === undefined ? undefined : effortOf(budgetTokens))
  const taken = asked && sent(Models.nearestEffort(rules, asked))
  const warnings = effort === undefined && budgetTokens !== undefined
    ? [warning("budgetTokens", `sent as effort ${taken ?? "of the model's own"}: the model does not support a budget`)]
    : effort !== undefined && taken !== effort
    ? [warning("effort", taken === undefined ? "left out: the model does not support an effort" : `sent as ${taken}`)]
    : []
  // Asking for a summary does not turn thinking on.
  const thinks = asked !== undefined || rules.thinksByDefault === true
  const shown = display(summary, rules)
  return {
    thinking: thinks && (asked !== undefined || shown.display !== undefined)
      ? { type: "adaptive", ...shown }
      : undefined,
    effort: taken,
    warnings
  }
}

const enabled = ({ budgetTokens, effort, summary }: Reasoning, rules: Models.Rules, maxTokens: number): Thought => {
  const asked = budgetTokens ?? (effort && budgetOf(effort))
  if (asked === undefined) return nothing
  const field = budgetTokens === undefined ? "effort" : "budgetTokens"
  const { maximum = Infinity, minimum = 1 } = rules.thinkingBudget ?? {}
  // The budget is part of the output limit and must leave room for the answer.
  const budget = Math.floor(Math.min(Math.max(asked, minimum), maximum, maxTokens - 1))
  if (budget < minimum) {
    return { warnings: [warning(field, `left out: maxTokens leaves less than ${minimum} tokens to think`)] }
  }
  const level = effort && rules.efforts !== undefined && rules.efforts.length > 0
    ? sent(Models.nearestEffort(rules, effort))
    : undefined
  const warnings = budget === budgetTokens
    ? []
    : [warning(field, `sent as a budget of ${budget} tokens`)]
  return {
    thinking: { type: "enabled", budget_tokens: budget, ...display(summary, rules) },
    effort: level,
    warnings: level !== undefined && level === effort && budgetTokens === undefined ? [] : warnings
  }
}

/** The fields to send for a `reasoning`, given the rules of the model. */
export const think = (reasoning: Reasoning | undefined, rules: Models.Rules, maxTokens: number): Thought => {
  if (reasoning === undefined) return nothing
  const { budgetTokens, effort } = reasoning
  if (effort === "none" || (effort === undefined && budgetTokens !== undefined && budgetTokens <= 0)) return off(rules)
  const forms = rules.thinking
  if (forms?.length === 0) {
    return effort === undefined && budgetTokens === undefined
      ? nothing
      : { warnings: [warning(effort === undefined ? "budgetTokens" : "effort", "left out: the model does not think")] }
  }
  const takesBudget = forms === undefined || forms.includes("enabled")
  const takesAdaptive = forms === undefined || forms.includes("adaptive")
  return takesBudget && (budgetTokens !== undefined || !takesAdaptive)
    ? enabled(reasoning, rules, maxTokens)
    : adaptive(reasoning, rules)
}

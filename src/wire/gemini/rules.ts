/**
 * What Gemini's models refuse, and what is sent instead. Source: Google AI for Developers, "Thinking".
 */
import type { Completion, Reasoning } from "../../Completion.ts"
import type { Warning } from "../../CompletionResponse.ts"
import { type JsonRecord, merge, object } from "../json.ts"
import { vendor } from "./shape.ts"

type Effort = NonNullable<Reasoning["effort"]>

/** The part of a model's rules that is needed here. */
interface Rules {
  readonly thinking: "level" | "budget"
  readonly efforts: ReadonlyArray<Effort>
  readonly budget: { readonly minimum: number; readonly maximum: number }
}

const rulesOf = (model: string): Rules => ({
  thinking: /gemini-2\.\d/.test(model) ? "budget" : "level",
  efforts: /gemini-(3(\.[0-6])?-|3(\.[0-6])?$)/.test(model) && !/-pro/.test(model)
    ? ["minimal", "low", "medium", "high"]
    : ["low", "medium", "high"],
  budget: /-pro/.test(model) ? { minimum: 128, maximum: 32_768 } : { minimum: 0, maximum: 24_576 }
})

// What an effort is in tokens, where thinking has a budget. Source: "OpenAI compatibility", "Thinking".
const budgets: Readonly<Record<Effort, number>> = {
  none: 0,
  minimal: 512,
  low: 1024,
  medium: 8192,
  high: 24_576,
  xhigh: 32_768,
  max: 32_768
}

const order = Object.keys(budgets) as ReadonlyArray<Effort>

// The level of a model that is nearest to what was asked for; of two, the lower one.
const nearest = (levels: ReadonlyArray<Effort>, effort: Effort): Effort | undefined => {
  const wanted = order.indexOf(effort)
  const distance = (level: Effort): number => Math.abs(order.indexOf(level) - wanted)
  return levels.toSorted((a, b) => distance(a) - distance(b))[0]
}

const effortOf = (tokens: number): Effort =>
  order.filter((effort) => effort !== "xhigh" && effort !== "max")
    .toSorted((a, b) => Math.abs(budgets[a] - tokens) - Math.abs(budgets[b] - tokens))[0]!

/** What the caller's own parameters say in this place. */
const params = (completion: Completion, name: string): JsonRecord => {
  const all = [completion.additionalParams, completion.providerParams?.[vendor], completion.providerParams?.[name]]
  return all.reduce<JsonRecord>((merged, params) => params === undefined ? merged : merge(merged, params), {})
}

/** A request made to fit its model. */
export interface Fitted {
  readonly thinkingConfig?: {
    readonly includeThoughts?: boolean
    readonly thinkingLevel?: Uppercase<Exclude<Effort, "none">>
    readonly thinkingBudget?: number
  }
  readonly warnings: ReadonlyArray<Warning>
}

const levelOf = ({ budgetTokens, effort }: Reasoning, { efforts }: Rules, warnings: Array<Warning>) => {
  const wanted = effort ?? (budgetTokens === undefined ? undefined : effortOf(budgetTokens))
  const level = wanted && nearest(efforts, wanted)
  if (level === undefined || level === "none") return {}
  if (budgetTokens !== undefined) {
    warnings.push({
      field: "reasoning.budgetTokens",
      description: `the model takes no budget of tokens: thinkingLevel ${level} was sent`
    })
  }
  if (effort !== undefined && level !== effort) {
    warnings.push({
      field: "reasoning.effort",
      description: effort === "none"
        ? `the model always thinks: its lowest level, ${level}, was sent`
        : `the model has no level ${effort}: its nearest, ${level}, was sent`
    })
  }
  return { thinkingLevel: level.toUpperCase() as Uppercase<typeof level> }
}

const budgetOf = ({ budgetTokens, effort }: Reasoning, { budget }: Rules, warnings: Array<Warning>) => {
  const wanted = budgetTokens ?? (effort && budgets[effort])
  if (wanted === undefined) return {}
  const thinkingBudget = Math.min(Math.max(Math.floor(wanted), budget.minimum), budget.maximum)
  if (effort === "none" && budgetTokens === undefined && thinkingBudget > 0) {
    warnings.push({
      field: "reasoning.effort",
      description: `the model always thinks: its smallest budget, ${thinkingBudget} tokens, was sent`
    })
  } else if (budgetTokens !== undefined && thinkingBudget !== budgetTokens) {
    warnings.push({
      field: "reasoning.budgetTokens",
      description: `the model takes ${budget.minimum} to ${budget.maximum} tokens: ${thinkingBudget} was sent`
    })
  }
  return { thinkingBudget }
}

/** What of a completion goes to this model of the instance `name`, in a form that the model takes. */
export const fit = (completion: Completion, model: string, name: string): Fitted => {
  const warnings: Array<Warning> = []
  const { parallelToolCalls, reasoning, tools } = completion
  if (parallelToolCalls === false && tools.length > 0) {
    warnings.push({ field: "parallelToolCalls", description: "Gemini cannot be held to one call: it was left out" })
  }
  const own = object(object(params(completion, name)["generationConfig"])["thinkingConfig"])
  // Level and budget refuse each other: the caller's own counts.
  const decided = own["thinkingLevel"] !== undefined || own["thinkingBudget"] !== undefined
  const rules = rulesOf(model)
  const thinkingConfig = reasoning && {
    ...(reasoning.summary !== undefined && { includeThoughts: reasoning.summary }),
    ...(!decided && (rules.thinking === "budget" ? budgetOf : levelOf)(reasoning, rules, warnings))
  }
  return { warnings, ...(thinkingConfig && Object.keys(thinkingConfig).length > 0 && { thinkingConfig }) }
}

/**
 * Adapts a completion to its model: drops or changes what the model does not support, with a warning, when the meaning
 * survives, and refuses the completion when it does not. Source: Google AI for Developers, "Thinking", "Gemini 3
 * Developer Guide", "Long decode".
 */
import type { Completion, Reasoning } from "../../Completion.ts"
import type { Warning } from "../../CompletionResponse.ts"
import * as Models from "../../Models.ts"
import { type JsonRecord, merge, number, object } from "../json.ts"
import type { Refused, Wire } from "../Wire.ts"
import { vendor } from "./shape.ts"

/** The options of an instance. */
export interface Options {
  /** Overrides of the built-in rules for models. */
  readonly models?: Models.Overrides | undefined
}

type Effort = Models.Effort

/** The settings to send. */
export interface Fitted {
  readonly temperature: number | undefined
  readonly topP: number | undefined
  readonly maxOutputTokens: number | undefined
  readonly thinkingConfig: ThinkingConfig | undefined
  readonly warnings: ReadonlyArray<Warning>
}

export interface ThinkingConfig {
  readonly includeThoughts?: boolean
  readonly thinkingLevel?: Uppercase<Exclude<Effort, "none">>
  readonly thinkingBudget?: number
}

type Warn = (field: string, description: string) => void

// ---------------------------------------------------------------------------------------------------------------------
// Thinking
// ---------------------------------------------------------------------------------------------------------------------

// The budgets that correspond to efforts. Source: "OpenAI compatibility".
const budgets: Readonly<Record<Effort, number>> = {
  none: 0,
  minimal: 512,
  low: 1024,
  medium: 8192,
  high: 24_576,
  xhigh: 32_768,
  max: 32_768
}

const levels: ReadonlyArray<Effort> = ["none", "minimal", "low", "medium", "high"]

// The effort with the nearest budget; the lower one of two.
const effortOf = (tokens: number): Effort =>
  levels.reduce((best, level) => Math.abs(budgets[level] - tokens) < Math.abs(budgets[best] - tokens) ? level : best)

const levelOf = ({ budgetTokens, effort }: Reasoning, rules: Models.Rules, warn: Warn): ThinkingConfig => {
  const wanted = effort ?? (budgetTokens === undefined ? undefined : effortOf(budgetTokens))
  const level = wanted && Models.nearestEffort(rules, wanted)
  if (level === undefined) return {}
  if (budgetTokens !== undefined) {
    warn("reasoning.budgetTokens", `the model has no thinking budget: level ${level} was sent instead`)
  }
  if (effort !== undefined && level !== effort) {
    warn(
      "reasoning.effort",
      effort === "none"
        ? `the model always thinks: its lowest level, ${level}, was sent`
        : `the model has no level ${effort}: the nearest one, ${level}, was sent`
    )
  }
  // An unknown model may support a budget of 0, which turns thinking off.
  return level === "none"
    ? { thinkingBudget: 0 }
    : { thinkingLevel: level.toUpperCase() as Uppercase<Exclude<Effort, "none">> }
}

const budgetOf = (
  { budgetTokens, effort }: Reasoning,
  { thinkingBudget: { maximum = Infinity, minimum } = { minimum: 0 }, thinkingOff }: Models.Rules,
  warn: Warn
): ThinkingConfig => {
  const wanted = budgetTokens ?? (effort && budgets[effort])
  if (wanted === undefined) return {}
  const off = wanted <= 0 && thinkingOff === true
  const thinkingBudget = off ? 0 : Math.min(Math.max(Math.floor(wanted), minimum), maximum)
  if (budgetTokens !== undefined && thinkingBudget !== budgetTokens) {
    warn("reasoning.budgetTokens", `the model supports ${minimum} to ${maximum} tokens: ${thinkingBudget} was sent`)
  } else if (effort === "none" && budgetTokens === undefined && thinkingBudget > 0) {
    warn("reasoning.effort", `the model always thinks: its smallest budget, ${thinkingBudget} tokens, was sent`)
  }
  return { thinkingBudget }
}

const thinkingOf = (
  { reasoning }: Completion,
  rules: Models.Rules,
  callers: JsonRecord,
  warn: Warn
): ThinkingConfig | undefined => {
  if (reasoning === undefined) return undefined
  if (rules.thinking?.length === 0) {
    if (reasoning.effort !== "none") warn("reasoning", "left out: the model does not think")
    return undefined
  }
  // A level and a budget cannot be combined: the caller's own parameters win.
  const decided = callers["thinkingLevel"] !== undefined || callers["thinkingBudget"] !== undefined
  const config: ThinkingConfig = {
    ...(reasoning.summary !== undefined && { includeThoughts: reasoning.summary }),
    ...(decided ? {} : (rules.thinking?.[0] === "budget" ? budgetOf : levelOf)(reasoning, rules, warn))
  }
  return Object.keys(config).length === 0 ? undefined : config
}

// ---------------------------------------------------------------------------------------------------------------------
// Sampling and limits
// ---------------------------------------------------------------------------------------------------------------------

const samplingOf = ({ temperature, topP }: Completion, rules: Models.Rules, warn: Warn) => {
  if (rules.sampling !== "none") return { temperature, topP }
  const why = "left out: the model does not support sampling settings"
  // 1 is the default.
  if (temperature !== undefined && temperature !== 1) warn("temperature", why)
  if (topP !== undefined) warn("topP", why)
  return { temperature: undefined, topP: undefined }
}

/**
 * The output limit of the first request. Without streaming, the service refuses a higher one; follow-up requests bring
 * the rest.
 */
export const firstLimit = (completion: Completion, model: string, { models }: Options): number | undefined => {
  const { continues, maxOutput } = Models.find(vendor, model, models)
  return continues === true && maxOutput !== undefined && (completion.maxTokens ?? 0) > maxOutput.unary
    ? maxOutput.unary
    : undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// Requests
// ---------------------------------------------------------------------------------------------------------------------

/** The generation settings in the caller's own parameters. */
const ownConfig = (completion: Completion, name: string): JsonRecord => {
  const { additionalParams, providerParams = {} } = completion
  const named = [vendor, name].map((key) => Object.hasOwn(providerParams, key) ? providerParams[key] : undefined)
  return object(
    [additionalParams, ...named].reduce<JsonRecord>(
      (merged, params) => params === undefined ? merged : merge(merged, params),
      {}
    )["generationConfig"]
  )
}

/** The settings for this model of the instance `name`, or why the completion is refused. */
export const fit = (
  completion: Completion,
  model: string,
  streamed: boolean,
  name: string,
  options: Options = {}
): Fitted | Refused => {
  const rules = Models.find(vendor, model, options.models)
  const warnings: Array<Warning> = []
  const warn: Warn = (field, description) => void warnings.push({ field, description })
  const callers = ownConfig(completion, name)
  if ((number(callers["candidateCount"]) ?? 1) > 1 && rules.thinking?.includes("level") === true) {
    return {
      _tag: "Refused",
      reason: "Unsupported",
      description:
        `generationConfig.candidateCount: ${model} returns only one candidate; leave it out, and send several requests`
    }
  }
  if (
    completion.outputSchema !== undefined && completion.tools.length > 0 && rules.structuredOutputWithTools === false
  ) {
    return {
      _tag: "Refused",
      reason: "Unsupported",
      description: `outputSchema: ${model} does not support it together with tools; leave out one of them`
    }
  }
  if (completion.parallelToolCalls === false && completion.tools.length > 0) {
    warn("parallelToolCalls", "left out: Gemini cannot be limited to one call")
  }
  return {
    ...samplingOf(completion, rules, warn),
    maxOutputTokens: (streamed ? undefined : firstLimit(completion, model, options)) ?? completion.maxTokens,
    thinkingConfig: thinkingOf(completion, rules, object(callers["thinkingConfig"]), warn),
    warnings
  }
}

/** How a model thinks at the effort of a request. */
export const thinking = ({ models }: Options): NonNullable<Wire["thinking"]> => ({ reasoning = {} }, model) => {
  const rules = Models.find(vendor, model, models)
  const { budgetTokens } = reasoning
  const effort = reasoning.effort ?? (budgetTokens === undefined ? undefined : effortOf(budgetTokens))
  return {
    long: Models.thinksLong(rules, effort),
    // Thoughts are only sent when the request asks for them.
    silent: Models.isSilent(rules, effort) && reasoning.summary !== true
  }
}

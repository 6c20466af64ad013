/**
 * What Gemini's models refuse, in Google's words where they are known. Sources: Gemini API documentation, "Thinking",
 * "Generating content", "Long decode".
 */
import type { Rejection, Rule } from "../exchange.ts"
import type { Body } from "./body.ts"

const invalid = (message: string): Rejection => ({ status: 400, type: "INVALID_ARGUMENT", message })

/** The version of a model: 3.5 is 305; undefined if the name has none. */
const versionOf = (model: string): number | undefined => {
  const [, major, minor = "0"] = /^gemini-(\d+)(?:\.(\d+))?-/.exec(model) ?? []
  return major === undefined ? undefined : Number(major) * 100 + Number(minor)
}

const since = (version: number) => (model: string): boolean => (versionOf(model) ?? 0) >= version

/** Whether the model continues an answer over several requests. */
export const continues = since(400)

/** The output limit of one request. */
export const perRequest = (model: string, streamed: boolean): number =>
  streamed || /-hydrogen/.test(model) ? 65_536 : 32_768

const levelsOf = (model: string): ReadonlyArray<string> => {
  const all = ["low", "medium", "high"]
  if (model.startsWith("gemini-4-hydrogen")) return [...all, "xhigh"]
  return since(307)(model) || /-pro/.test(model) ? all : ["minimal", ...all]
}

const budgets: ReadonlyArray<readonly [name: RegExp, least: number, most: number]> = [
  [/^gemini-2\.5-pro/, 128, 32_768],
  [/^gemini-2\.5-flash/, 0, 24_576]
]

const thinking = (model: string): Rule<Body> => ({ generationConfig: { thinkingConfig } = {} }) => {
  const { thinkingBudget: budget, thinkingLevel } = thinkingConfig ?? {}
  const level = thinkingLevel?.toLowerCase()
  if (level !== undefined && budget !== undefined) {
    return invalid("You can only set only one of thinking budget and thinking level.")
  }
  const version = versionOf(model)
  if (version === undefined) return undefined
  if (level !== undefined && version < 300) return invalid("Thinking level is not supported for this model.")
  if (level !== undefined && !levelsOf(model).includes(level)) {
    return invalid(`Thinking level ${level.toUpperCase()} is not supported for this model.`)
  }
  const [, least, most] = budgets.find(([name]) => name.test(model)) ?? []
  if (budget === undefined || least === undefined || most === undefined || budget === -1) return undefined
  if (budget === 0 && least > 0) return invalid("Budget 0 is invalid. This model only works in thinking mode.")
  return budget < least || budget > most
    ? invalid(`The thinking budget ${budget} is invalid. Please choose a value between ${least} and ${most}.`)
    : undefined
}

/** The refusal by the requested model, if any. */
export const rulesOf = (model: string): ReadonlyArray<Rule<Body>> => [
  ({ generationConfig }) =>
    (generationConfig?.candidateCount ?? 1) > 1 && since(300)(model)
      ? invalid("Multiple candidates is not enabled for this model")
      : undefined,
  thinking(model),
  ({ continuationToken }) =>
    continuationToken !== undefined && !continues(model)
      ? invalid("continuation_token is not supported for this model.")
      : undefined
]

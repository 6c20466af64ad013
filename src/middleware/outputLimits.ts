/**
 * How much a request lets a model write: its limits of output, in our words or in a provider's own.
 */
import type { Completion } from "../Completion.ts"

const object = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null ? value as Readonly<Record<string, unknown>> : {}

const limitNames = ["max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens"]

const choiceNames = ["n", "candidateCount", "candidate_count"]

// Each setting of a request in the provider's own words, and those that Gemini puts below.
const settingsOf = ({ additionalParams = {}, providerParams = {} }: Completion, providers: ReadonlyArray<string>) =>
  [additionalParams, ...providers.map((provider) => object(providerParams[provider]))].flatMap((params) => [
    params,
    object(params["generationConfig"]),
    object(params["generation_config"])
  ])

// Some servers take numbers as text. A limit that is not above 0 is ignored: to some, -1 means no limit.
const amount = (value: unknown): number => {
  const number = typeof value === "string" && /^\d{1,15}$/.test(value) ? Number(value) : value
  return typeof number === "number" && number > 0 ? number : 0
}

const largest = (values: ReadonlyArray<unknown>): number => Math.max(0, ...values.map(amount))

/** What a request says of the tokens that its answer may have. */
export interface OutputLimits {
  /** The largest limit that it names anywhere; 0 where it names none. */
  readonly named: number
  /** Whether a limit holds for the client that is asked, and not only for another provider. */
  readonly isBound: boolean
  /** The tokens of reasoning that it asks for: its limit has to lie above them. */
  readonly reasoning: number
  /** How many answers it asks for, of which each may be as long. */
  readonly choices: number
}

/** Reads the limits of a request to a client of that name. */
export const outputLimits = (completion: Completion, provider: string): OutputLimits => {
  const everywhere = settingsOf(completion, Object.keys(completion.providerParams ?? {}))
  const limits = (settings: typeof everywhere) => [
    completion.maxTokens,
    ...settings.flatMap((params) => limitNames.map((name) => params[name]))
  ]
  return {
    named: largest(limits(everywhere)),
    isBound: largest(limits(settingsOf(completion, [provider]))) > 0,
    reasoning: largest([
      completion.reasoning?.budgetTokens,
      ...everywhere.flatMap((params) => [
        object(params["thinking"])["budget_tokens"],
        object(params["reasoning"])["max_tokens"],
        object(params["thinkingConfig"])["thinkingBudget"]
      ])
    ]),
    choices: Math.max(1, largest(everywhere.flatMap((params) => choiceNames.map((name) => params[name]))))
  }
}

/** The most tokens that the answers may have; those of a request that names no limit are taken to have `otherwise`. */
export const mostOutput = ({ choices, isBound, named, reasoning }: OutputLimits, otherwise: number): number =>
  choices * Math.max(named, isBound ? 0 : otherwise + reasoning)

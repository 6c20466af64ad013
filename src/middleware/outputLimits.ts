/**
 * The output limits of a request, in our fields or in a provider's own.
 */
import type { Completion } from "../Completion.ts"

const object = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null ? value as Readonly<Record<string, unknown>> : {}

const limitNames = ["max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens"]

const choiceNames = ["n", "candidateCount", "candidate_count"]

// The provider's own settings of a request, and Gemini's nested ones.
const settingsOf = ({ additionalParams = {}, providerParams = {} }: Completion, providers: ReadonlyArray<string>) =>
  [additionalParams, ...providers.map((provider) => object(providerParams[provider]))].flatMap((params) => [
    params,
    object(params["generationConfig"]),
    object(params["generation_config"])
  ])

// Some servers accept numbers as text. Limits that are not above 0 are ignored: some servers use -1 for no limit.
const amount = (value: unknown): number => {
  const number = typeof value === "string" && /^\d{1,15}$/.test(value) ? Number(value) : value
  return typeof number === "number" && number > 0 ? number : 0
}

const largest = (values: ReadonlyArray<unknown>): number => Math.max(0, ...values.map(amount))

/** The limits of a request for its output tokens. */
export interface OutputLimits {
  /** The largest limit that it names anywhere; 0 if it names none. */
  readonly named: number
  /** Whether a limit applies to this client, and not only to another provider. */
  readonly isBound: boolean
  /** The requested reasoning tokens: the limit has to be above them. */
  readonly reasoning: number
  /** How many answers it requests; the limit applies to each. */
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

/** The most output tokens of a request; `otherwise` is used for one without a limit. */
export const mostOutput = ({ choices, isBound, named, reasoning }: OutputLimits, otherwise: number): number =>
  choices * Math.max(named, isBound ? 0 : otherwise + reasoning)

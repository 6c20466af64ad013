/**
 * What OpenAI's models refuse over each of its protocols, in the API's words where they are known. Sources: OpenAI API
 * reference, "Create a model response", "Create chat completion"; OpenAI, "Deprecations".
 */
import type { Rejection, Rule } from "../exchange.ts"
import { refusal } from "./words.ts"

/** The settings of a request that depend on the model. */
export interface Wanted {
  readonly api: "chat" | "responses"
  readonly model: string
  readonly effort: string | undefined
  readonly temperature: number | undefined
  readonly topP: number | undefined
  /** Whether the request has functions. */
  readonly tools: boolean
  /** Whether the request has the older `prompt_cache_retention`. */
  readonly cacheRetention: boolean
}

interface Model {
  readonly efforts: ReadonlyArray<string>
  /** The default effort. */
  readonly usual: string
  /** When Chat Completions supports functions: always, at effort `none`, without an effort, or never. */
  readonly chatTools: "always" | "atNone" | "never"
  /** Whether the model is only available over Responses. */
  readonly responsesOnly?: true
  readonly cacheOptionsOnly?: true
}

const fromLow = ["low", "medium", "high", "xhigh", "max"]
const fromNone = ["none", ...fromLow]
const upToXhigh = ["none", "low", "medium", "high", "xhigh"]
const upToHigh = ["minimal", "low", "medium", "high"]

// The first matching pattern wins. Models that do not reason match none.
const models: ReadonlyArray<readonly [name: RegExp, model: Model]> = [
  [/^gpt-[56][\d.]*-chat/, { efforts: ["medium"], usual: "medium", chatTools: "always" }],
  [/^gpt-6\.1-sol/, { efforts: fromLow, usual: "medium", chatTools: "never", cacheOptionsOnly: true }],
  [/^gpt-6-astra/, { efforts: fromLow, usual: "medium", chatTools: "never", cacheOptionsOnly: true }],
  [/^gpt-6(?:\.\d+)?(?:-|$)/, { efforts: fromNone, usual: "medium", chatTools: "atNone", cacheOptionsOnly: true }],
  [/^gpt-5\.[6-9](?:-|$)/, { efforts: fromNone, usual: "medium", chatTools: "atNone" }],
  [/^gpt-5\.5(?:-|$)/, { efforts: upToXhigh, usual: "medium", chatTools: "atNone" }],
  [/^gpt-5\.4(?:-|$)/, { efforts: upToXhigh, usual: "none", chatTools: "atNone" }],
  [/^gpt-5\.[23](?:-|$)/, { efforts: upToXhigh, usual: "none", chatTools: "always" }],
  [/^gpt-5\.1(?:-|$)/, { efforts: ["none", "low", "medium", "high"], usual: "none", chatTools: "always" }],
  [/^gpt-5-pro/, { efforts: ["high"], usual: "high", chatTools: "always", responsesOnly: true }],
  [/^gpt-5(?:-|$)/, { efforts: upToHigh, usual: "medium", chatTools: "always" }],
  [/^o\d+(?:-mini)?-pro/, { efforts: fromLow.slice(0, 3), usual: "medium", chatTools: "always", responsesOnly: true }],
  [/^o\d/, { efforts: fromLow.slice(0, 3), usual: "medium", chatTools: "always" }]
]

const modelOf = (name: string): Model | undefined => models.find(([pattern]) => pattern.test(name))?.[1]

/** Whether a model reasons for such a request. */
export const reasons = ({ effort, model }: Pick<Wanted, "effort" | "model">): boolean => {
  const found = modelOf(model)
  return found !== undefined && (effort ?? found.usual) !== "none"
}

const effortField = { chat: "reasoning_effort", responses: "reasoning.effort" } as const

const efforts: Rule<Wanted> = ({ api, effort, model }) => {
  if (effort === undefined) return undefined
  const found = modelOf(model)
  const field = effortField[api]
  // Models that do not reason refuse the field. Unknown models are not checked.
  if (found === undefined) {
    return /^gpt-(?:3|4)/.test(model)
      ? refusal(
        api === "chat"
          ? `Unrecognized request argument supplied: ${field}`
          : `Unsupported parameter: '${field}' is not supported with this model.`,
        field,
        api === "chat" ? null : "unsupported_parameter"
      )
      : undefined
  }
  return found.efforts.includes(effort)
    ? undefined
    : refusal(
      `Unsupported value: '${field}' does not support '${effort}' with this model. Supported values are: ${
        found.efforts.map((one) => `'${one}'`).join(", ")
      }.`,
      field,
      "unsupported_value"
    )
}

const chatTools: Rule<Wanted> = (wanted) => {
  const { api, model, tools } = wanted
  const found = modelOf(model)
  const supported = found?.chatTools === "atNone" ? !reasons(wanted) : found?.chatTools !== "never"
  return api !== "chat" || !tools || supported
    ? undefined
    : refusal(
      `Function tools with reasoning_effort are not supported for ${model} in /v1/chat/completions. ${
        /^gpt-5\.[45]/.test(model)
          ? "Please use /v1/responses instead."
          : "To use function tools, use /v1/responses or set reasoning_effort to 'none'."
      }`,
      "reasoning_effort"
    )
}

const samplingRefused = (api: Wanted["api"], field: string, value: number): Rejection =>
  api === "chat"
    ? refusal(
      `Unsupported value: '${field}' does not support ${value} with this model. Only the default (1) value is supported.`,
      field,
      "unsupported_value"
    )
    : refusal(`Unsupported parameter: '${field}' is not supported with this model.`, field)

const sampling: Rule<Wanted> = (wanted) => {
  if (!reasons(wanted)) return undefined
  const { api, temperature, topP } = wanted
  for (const [field, value] of [["temperature", temperature], ["top_p", topP]] as const) {
    if (value !== undefined && (value !== 1 || api === "responses")) return samplingRefused(api, field, value)
  }
  return undefined
}

/** The refusal by the requested model, if any. */
export const rules: ReadonlyArray<Rule<Wanted>> = [
  ({ api, model }) =>
    api === "chat" && modelOf(model)?.responsesOnly === true
      ? {
        ...refusal(
          "This model is only supported in v1/responses and not in v1/chat/completions.",
          "model"
        ),
        status: 404
      }
      : undefined,
  efforts,
  chatTools,
  sampling,
  ({ cacheRetention, model }) =>
    cacheRetention && modelOf(model)?.cacheOptionsOnly === true
      ? refusal(
        "Unsupported parameter: 'prompt_cache_retention' is not supported with this model. Use 'prompt_cache_options' instead.",
        "prompt_cache_retention",
        "unsupported_parameter"
      )
      : undefined
]

/**
 * What Anthropic's models refuse, each from one version of its line on, in the API's words where they are known.
 * Sources: Anthropic API reference, "Errors", "Create a message", "Versions"; the migration guides of the models.
 */
import type { Headers, Rejection } from "../exchange.ts"
import type { Body } from "./body.ts"

type Line = "opus" | "sonnet" | "haiku" | "fable"

/** Versions of each line: 5.5 is 505. */
type From = { readonly [L in Line]?: number }

const families: From = { opus: 407, sonnet: 500, haiku: 500, fable: 500 }

// The first version with each trait.
const since = {
  system: { opus: 408, sonnet: 505, haiku: 505, fable: 500 },
  withoutForcedTools: { opus: 505, sonnet: 505, fable: 501 },
  withoutSampling: families,
  withoutEnabled: families,
  withAdaptive: { ...families, opus: 406, sonnet: 406 },
  withoutDisabled: { opus: 505, sonnet: 505, fable: 500 },
  disabledUpToHigh: { opus: 500, haiku: 505 },
  betweenTools: { sonnet: 505 },
  withoutPrefill: { ...families, opus: 406 },
  binding: { opus: 505, sonnet: 505, fable: 501 },
  textOmitted: families,
  thinksByItself: { opus: 500, sonnet: 500, haiku: 505, fable: 500 }
} satisfies { readonly [rule: string]: From }

export type Trait = keyof typeof since

interface Model {
  readonly line: Line
  readonly version: number
}

const modelOf = (name: string): Model | undefined => {
  const [, line, major, minor = "0"] =
    /^claude-(opus|sonnet|haiku|fable|mythos)-(\d)(?:-(\d{1,2}))?(?:-\d{8})?$/.exec(name) ?? []
  return line === undefined
    ? undefined
    : { line: line === "mythos" ? "fable" : line as Line, version: Number(major) * 100 + Number(minor) }
}

/** Whether a model has a trait. An unknown model has none. */
export const has = (name: string, trait: Trait): boolean => {
  const model = modelOf(name)
  return model !== undefined && model.version >= ((since[trait] as From)[model.line] ?? Infinity)
}

const allEfforts = ["low", "medium", "high", "xhigh", "max"]

const effortsOf = (name: string): ReadonlyArray<string> | undefined => {
  const model = modelOf(name)
  if (model === undefined) return undefined
  if (has(name, "withoutSampling")) return allEfforts
  if (model.version === 406 && model.line !== "haiku") return ["low", "medium", "high", "max"]
  return model.version === 405 && model.line === "opus" ? ["low", "medium", "high"] : []
}

const outputOf = (name: string): number | undefined => {
  const model = modelOf(name)
  return model === undefined || model.version < 405 ? undefined : model.version < 406 ? 64_000 : 128_000
}

const invalid = (message: string): Rejection => ({ status: 400, type: "invalid_request_error", message })

const notSupported = (what: string, instead = ""): Rejection =>
  invalid(`${what} is not supported for this model.${instead}`)

const isForced = ({ tool_choice: choice }: Body): boolean => choice?.type === "any" || choice?.type === "tool"

type Rule = (body: Body, headers: Headers) => Rejection | undefined

const newVersion = "2026-10-21"

/** The header for the setting of what to do with thinking from another conversation. */
export const bindingBeta = "thinking-binding-controls-2026-08-01"

const sampling: Rule = (body, headers) => {
  const setting = (["temperature", "top_p", "top_k"] as const).find((name) => body[name] !== undefined)
  if (setting === undefined) return undefined
  if (headers["anthropic-version"] === newVersion) return invalid(`${setting}: Extra inputs are not permitted`)
  if (!has(body.model, "withoutSampling")) return undefined
  if ((body.temperature ?? 1) !== 1) return notSupported("A `temperature` other than 1")
  if ((body.top_p ?? 1) < 0.99) return notSupported("A `top_p` below 0.99")
  return body.top_k === undefined ? undefined : notSupported("`top_k`")
}

const withEffort = `Use "thinking.type.adaptive" and "output_config.effort" to control thinking behavior.`

const thinking: Rule = ({ model, output_config, thinking }) => {
  const above = output_config?.effort === "xhigh" || output_config?.effort === "max"
  switch (thinking?.type) {
    case "enabled":
      return has(model, "withoutEnabled") ? notSupported(`"thinking.type.enabled"`, ` ${withEffort}`) : undefined
    case "adaptive":
      return modelOf(model) === undefined || has(model, "withAdaptive")
        ? undefined
        : invalid("adaptive thinking is not supported on this model")
    case "disabled":
      if (has(model, "withoutDisabled")) return notSupported(`"thinking.type.disabled"`, ` ${withEffort}`)
      return above && has(model, "disabledUpToHigh")
        ? notSupported(`"thinking.type.disabled" with effort "${output_config?.effort}"`)
        : undefined
    case "between_tools":
      if (!has(model, "betweenTools")) return notSupported(`"thinking.type.between_tools"`)
      return above ? notSupported(`"thinking.type.between_tools" with effort "${output_config?.effort}"`) : undefined
    default:
      return undefined
  }
}

const efforts: Rule = ({ model, output_config }) => {
  const effort = output_config?.effort ?? undefined
  const efforts = effortsOf(model)
  return effort === undefined || efforts === undefined || efforts.includes(effort)
    ? undefined
    : notSupported(`output_config.effort: "${effort}"`)
}

const binding: Rule = ({ thinking }, headers) =>
  thinking?.type === "adaptive" && thinking.block_binding !== undefined
    && !(headers["anthropic-beta"] ?? "").split(",").map((beta) => beta.trim()).includes(bindingBeta)
    ? invalid("thinking.adaptive.block_binding: Extra inputs are not permitted")
    : undefined

/** Whether a message is the assistant's and does not end with an open server tool call. */
const endsTurn = (message: Body["messages"][number] | undefined): boolean =>
  message?.role === "assistant"
  && !(typeof message.content !== "string" && (message.content.at(-1)?.type ?? "").endsWith("_tool_result"))

const systemTurns: Rule = ({ messages, model }) => {
  const at = messages.findIndex(({ role }) => role === "system")
  if (at < 0 || modelOf(model) === undefined) return undefined
  if (at === 0) return invalid("messages.0: use the top-level 'system' parameter")
  // Sonnet 5 accepts it and ignores it.
  if (!has(model, "system") && !/^claude-sonnet-5(?:-\d{8})?$/.test(model)) {
    return invalid("role 'system' is not supported on this model")
  }
  const misplaced = messages.findIndex(({ role }, index) =>
    role === "system" && (endsTurn(messages[index - 1]) || messages[index + 1]?.role === "user")
  )
  return misplaced < 0
    ? undefined
    : invalid(`messages.${misplaced}: role 'system' must follow a user turn and come before an assistant turn`)
}

/** The refusal by the requested model, if any. */
export const rules: ReadonlyArray<Rule> = [
  sampling,
  (body) =>
    isForced(body) && has(body.model, "withoutForcedTools")
      ? invalid(`tool_choice: type "tool" and "any" are not supported for this model.`)
      : undefined,
  thinking,
  efforts,
  binding,
  systemTurns,
  ({ max_tokens, model }) => {
    const most = outputOf(model)
    return most === undefined || max_tokens <= most
      ? undefined
      : invalid(
        `max_tokens: ${max_tokens} > ${most}, which is the maximum allowed number of output tokens for ${model}`
      )
  },
  ({ messages }, headers) =>
    headers["anthropic-version"] === newVersion &&
      messages.some(({ content, role }) =>
        role === "assistant" && typeof content !== "string" && content.some(({ type }) => type === "document")
      )
      ? invalid("messages: `document` blocks are not permitted in assistant messages")
      : undefined
]

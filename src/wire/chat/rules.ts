/**
 * Adapts a completion to its model: drops or changes what the model does not support, with a warning, when the meaning
 * survives, and refuses the completion when it does not. Sources: OpenAI API reference, "Reasoning", "Chat", and the
 * refusals of Chat Completions; OpenRouter API reference, "Reasoning tokens"; DeepSeek API, "Thinking mode".
 */
import * as Completion from "../../Completion.ts"
import type { Warning } from "../../CompletionResponse.ts"
import type * as Message from "../../Message.ts"
import * as Models from "../../Models.ts"
import type { ToolChoice } from "../../Tool.ts"
import { hasOtherTools } from "../encode.ts"
import { effortOf } from "../openai.ts"
import type { Refused } from "../Wire.ts"
import type { Speaker } from "./messages.ts"
import type { Dialect } from "./shape.ts"

/** The adapted completion, and how to send it. */
export interface Fitted {
  readonly completion: Completion.Completion
  readonly warnings: ReadonlyArray<Warning>
  /** The model's own name for the effort. */
  readonly effortWord?: string | undefined
  /** Whether the server's switch turns reasoning on or off. */
  readonly toggled?: boolean | undefined
  readonly maxTokensField: "max_tokens" | "max_completion_tokens"
  /** Whether the output schema must wait until no tool will be called. */
  readonly schemaAfterTools: boolean
  /** Whether every assistant message must have `reasoning_content`, even an empty one. */
  readonly reasoningInTurns: boolean
}

type Warn = (field: string, description: string) => void

const unsupported = (description: string): Refused => ({ _tag: "Refused", reason: "Unsupported", description })

// The caller's own parameters override ours.
const saysItself = ({ additionalParams, providerParams }: Completion.Completion, speaker: Speaker, field: string) =>
  [additionalParams, providerParams?.[speaker.vendor], providerParams?.[speaker.name]].some((params) =>
    params?.[field] !== undefined
  )

const hasTools = (completion: Completion.Completion, { name, vendor }: Speaker): boolean =>
  completion.tools.length > 0 || hasOtherTools(completion, vendor, name)

// ---------------------------------------------------------------------------------------------------------------------
// Reasoning
// ---------------------------------------------------------------------------------------------------------------------

interface Asked {
  readonly reasoning: Completion.Reasoning
  readonly toggled?: boolean | undefined
}

// The effort to send for the requested one, and whether to use the server's switch.
const fitEffort = (dialect: Dialect, rules: Models.Rules, model: string, effort: Models.Effort, warn: Warn) => {
  const efforts = Models.effortsOf(rules, "chat")
  const switched = dialect.toggle !== undefined && rules.thinking?.includes("toggle") === true
  if (effort === "none" && rules.thinkingOff === true && efforts?.includes("none") === false) {
    if (switched) return { toggled: false }
    if (dialect.asksReasoning === "reasoning") return { effort }
  }
  const sent = Models.nearestEffort(rules, effort, "chat")
  if (sent !== effort && !(switched && sent === undefined)) {
    warn(
      "reasoning.effort",
      sent === undefined
        ? `${model} does not support effort: it was left out`
        : `${model} does not support effort ${effort}: ${sent} was sent instead`
    )
  }
  return { effort: sent, toggled: switched && effort !== "none" ? true : undefined }
}

const fitReasoning = (
  speaker: Speaker,
  rules: Models.Rules,
  model: string,
  { budgetTokens, effort, summary }: Completion.Reasoning,
  warn: Warn
): Asked => {
  if (rules.thinking?.length === 0) {
    if ((effort ?? "none") !== "none" || (budgetTokens ?? 0) > 0) {
      warn("reasoning", `${model} does not reason: it was left out`)
    }
    return { reasoning: {} }
  }
  const shown = summary === undefined ? {} : { summary }
  // OpenRouter accepts an effort or a budget, and converts it for the model.
  const counts = speaker.asksReasoning === "reasoning"
  if (counts && effort === undefined) {
    return { reasoning: { ...shown, ...(budgetTokens !== undefined && { budgetTokens }) } }
  }
  const asked = effort ?? (budgetTokens === undefined ? undefined : effortOf(budgetTokens))
  const { effort: sent, toggled } = asked === undefined
    ? { effort: undefined, toggled: undefined }
    : fitEffort(speaker, rules, model, asked, effort === undefined ? () => {} : warn)
  if (budgetTokens !== undefined) {
    warn(
      "reasoning.budgetTokens",
      effort !== undefined
        ? "was left out: an effort was given too"
        : `was sent as effort ${sent ?? asked}: Chat Completions has no reasoning budget`
    )
  }
  return { reasoning: { ...shown, ...(sent !== undefined && { effort: sent }) }, toggled }
}

// ---------------------------------------------------------------------------------------------------------------------
// Tools
// ---------------------------------------------------------------------------------------------------------------------

// OpenAI's models from gpt-5.4 on support tools over Chat Completions only while they do not reason; some never do.
const fitTools = (
  completion: Completion.Completion,
  speaker: Speaker,
  rules: Models.Rules,
  model: string,
  asked: Asked,
  warn: Warn
): Asked | Refused => {
  if (!hasTools(completion, speaker)) return asked
  if (rules.chatTools === "never") {
    return unsupported(`tools: ${model} does not support tools over Chat Completions: use api: "responses"`)
  }
  if (rules.chatTools !== "onlyAtNone" || saysItself(completion, speaker, "reasoning_effort")) return asked
  const { effort } = asked.reasoning
  if (effort === "none" || (effort === undefined && rules.defaultEffort === "none")) return asked
  if (effort !== undefined) {
    return unsupported(
      `reasoning.effort: ${model} supports tools over Chat Completions only at effort none: use api: "responses", or effort none`
    )
  }
  warn(
    "reasoning.effort",
    `none was sent: ${model} supports tools over Chat Completions only at effort none; api: "responses" supports both`
  )
  return { ...asked, reasoning: { ...asked.reasoning, effort: "none" } }
}

type Chosen = Pick<Completion.Completion, "toolChoice" | "tools">

const fitChoice = (
  { toolChoice, tools }: Completion.Completion,
  speaker: Speaker,
  rules: Models.Rules,
  model: string,
  thinks: boolean,
  warn: Warn
): Chosen | Refused => {
  if (toolChoice === undefined) return { tools }
  const never = rules.forcedTools === "no"
  const notNow = thinks && (rules.forcedTools === "withoutEnabledThinking" || speaker.forcedTools === "withoutThinking")
  if ((toolChoice._tag !== "Required" && toolChoice._tag !== "Specific") || (!never && !notNow)) {
    return { tools, toolChoice }
  }
  const why = `${model} cannot be made to call a tool${never ? "" : " while it thinks"}`
  if (toolChoice.otherwise !== "auto") {
    return unsupported(
      `toolChoice: ${why}; let it choose with otherwise: "auto"${never ? "" : ", or set reasoning.effort to none"}`
    )
  }
  warn("toolChoice", `sent as Auto: ${why}`)
  // With named tools we can at least remove the others, so that no other tool is called.
  const offered = toolChoice._tag === "Specific" ? tools.filter(({ name }) => toolChoice.names.includes(name)) : tools
  return { tools: offered, toolChoice: { _tag: "Auto" } satisfies ToolChoice }
}

// ---------------------------------------------------------------------------------------------------------------------
// The rest
// ---------------------------------------------------------------------------------------------------------------------

type Sampled = { readonly [Field in "temperature" | "topP"]: number | undefined }

const fitSampling = (
  { temperature, topP }: Completion.Completion,
  rules: Models.Rules,
  model: string,
  thinks: boolean,
  warn: Warn
): Sampled => {
  if (rules.sampling === "none" || (rules.sampling === "withoutThinking" && thinks)) {
    for (const [field, value] of [["temperature", temperature], ["topP", topP]] as const) {
      // 1 is the default.
      if (value === undefined || value === 1) continue
      warn(field, `was left out: ${model} does not support it${rules.sampling === "none" ? "" : " while it reasons"}`)
    }
    return { temperature: undefined, topP: undefined }
  }
  if (rules.temperatureOrTopP === true && temperature !== undefined && topP !== undefined) {
    warn("topP", `was left out: ${model} supports topP or temperature, not both`)
    return { temperature, topP: undefined }
  }
  return { temperature, topP }
}

// On models that do not support system messages in the middle, all of them move to the beginning.
const fitMessages = (
  completion: Completion.Completion,
  rules: Models.Rules
): Pick<Completion.Completion, "history" | "prompt"> => {
  const { history, prompt } = completion
  if (rules.systemInMiddle !== "hoisted" && rules.systemInMiddle !== "ignored") return { history, prompt }
  const messages = Completion.messages(completion)
  const system = messages.filter((message) => message._tag === "System")
  const others = messages.filter((message): message is Message.User | Message.Assistant => message._tag !== "System")
  const last = others.at(-1)
  return system.length === 0 || last === undefined
    ? { history, prompt }
    : { history: [...system, ...others.slice(0, -1)], prompt: last }
}

const endsWithAssistant = (completion: Completion.Completion): boolean =>
  Completion.messages(completion).findLast((message) => message._tag !== "System")?._tag === "Assistant"

const problemOf = (completion: Completion.Completion, rules: Models.Rules, model: string): Refused | undefined => {
  if (rules.responsesOnly === true) {
    return unsupported(`model: ${model} is not available over Chat Completions: use api: "responses"`)
  }
  if (rules.prefill === false && endsWithAssistant(completion)) {
    return unsupported(`prompt: ${model} does not continue an assistant message; end with a user message`)
  }
  return completion.outputSchema !== undefined && rules.structuredOutput === false
    ? unsupported(`outputSchema: ${model} does not support structured output`)
    : undefined
}

/** The completion adapted to its model, or why that is not possible. */
export const fit = (speaker: Speaker, completion: Completion.Completion, model: string): Fitted | Refused => {
  const rules = Models.find(speaker.service ?? speaker.name, model, speaker.models)
  const problem = problemOf(completion, rules, model)
  if (problem !== undefined) return problem
  const warnings: Array<Warning> = []
  const warn: Warn = (field, description) => {
    warnings.push({ field, description })
  }
  const wanted = fitReasoning(speaker, rules, model, completion.reasoning ?? {}, warn)
  const asked = fitTools(completion, speaker, rules, model, wanted, warn)
  if ("_tag" in asked) return asked
  const { reasoning, toggled } = asked
  const thinks = toggled !== false
    && (reasoning.budgetTokens !== undefined || Models.effectiveEffort(rules, reasoning.effort, "chat") !== "none")
  const chosen = fitChoice(completion, speaker, rules, model, thinks, warn)
  if ("_tag" in chosen) return chosen
  return {
    completion: Completion.make({
      ...completion,
      ...fitMessages(completion, rules),
      ...fitSampling(completion, rules, model, thinks, warn),
      ...chosen,
      reasoning: Object.keys(reasoning).length === 0 ? undefined : reasoning
    }),
    warnings,
    effortWord: reasoning.effort && rules.effortNames?.[reasoning.effort],
    toggled,
    maxTokensField: speaker.maxTokens === "byModel" ? rules.maxTokensField ?? "max_tokens" : speaker.maxTokens,
    schemaAfterTools: speaker.schemaAfterTools || rules.structuredOutputWithTools === false,
    reasoningInTurns: speaker.reasoning === "field" && rules.replayReasoningContent === true
  }
}

/**
 * Adapts a completion to its model: drops or changes what the model does not support, with a warning, when the meaning
 * survives, and refuses the completion when it does not. Source: Anthropic API reference, "Migration guide" of each
 * model, "Effort", "Adaptive thinking", "Mid-conversation system messages".
 */
import * as Completion from "../../Completion.ts"
import type { Warning } from "../../CompletionResponse.ts"
import * as Models from "../../Models.ts"
import { hasOtherTools, present } from "../encode.ts"
import { object, string } from "../json.ts"
import type { Refused } from "../Wire.ts"
import { problemOf } from "./schema.ts"
import { vendor } from "./shape.ts"
import { type SentEffort, think, type Thinking } from "./thinking.ts"

/** The options of an instance that affect its requests. */
export interface Options {
  /** The version of the API. From 2026-10-21 on, no model accepts sampling settings. */
  readonly version?: string | undefined
  /** Overrides of the built-in rules for models. */
  readonly models?: Models.Overrides | undefined
  /**
   * What to do on models that bind thinking to its conversation, when the history contains thinking and was changed:
   * the provider either drops it and reports that in the warnings, or refuses the request.
   */
  readonly thinkingMismatch?: "drop" | "error" | undefined
}

/** The adapted completion, and the settings that are not part of the conversation. */
export interface Fitted {
  /** The completion without the unsupported settings. */
  readonly completion: Completion.Completion
  readonly maxTokens: number
  readonly thinking?: Thinking | undefined
  readonly effort?: SentEffort | undefined
  /** Whether system messages stay in their place in the conversation. */
  readonly systemInPlace: boolean
  readonly betas: ReadonlyArray<string>
  readonly warnings: ReadonlyArray<Warning>
}

// The default output limit for an unknown model: every server that speaks this wire accepts it.
const fallbackLimit = 4096

const refused = (description: string): Refused => ({ _tag: "Refused", reason: "Unsupported", description })

// The `thinking` from the caller's own parameters, which override ours.
const ownThinking = ({ additionalParams, providerParams }: Completion.Completion, name: string): string | undefined =>
  string(
    [providerParams?.[name], providerParams?.[vendor], additionalParams]
      .map((params) => object(object(params)["thinking"])["type"])
      .find((type) => type !== undefined)
  )

// ---------------------------------------------------------------------------------------------------------------------
// Sampling
// ---------------------------------------------------------------------------------------------------------------------

// Versions are dates.
const withoutSampling = "2026-10-21"

const sampling = (
  { temperature, topP }: Completion.Completion,
  rules: Models.Rules,
  thinks: boolean,
  version: string,
  warnings: Array<Warning>
): Pick<Completion.Completion, "temperature" | "topP"> => {
  const refused = version >= withoutSampling
    ? `version ${version} of the API does not support sampling settings`
    : rules.sampling === "none"
    ? "the model does not support sampling settings"
    : rules.sampling === "withoutThinking" && thinks
    ? "the model does not support it while it thinks"
    : undefined
  // No warning is needed when the dropped value is the default.
  const taken = (
    field: "temperature" | "topP",
    value: number | undefined,
    usual: boolean,
    why: string | undefined
  ): number | undefined => {
    if (why === undefined || value === undefined) return value
    if (!usual) warnings.push({ field, description: `left out: ${why}` })
    return undefined
  }
  const kept = taken("temperature", temperature, temperature === 1, refused)
  const other = rules.temperatureOrTopP === true && kept !== undefined
    ? "the model supports topP or temperature, not both"
    : undefined
  return {
    ...present("temperature", kept),
    ...present("topP", taken("topP", topP, topP !== undefined && topP >= 0.99, refused ?? other))
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Tools
// ---------------------------------------------------------------------------------------------------------------------

type Tools = Pick<Completion.Completion, "toolChoice" | "tools">

const toolsOf = (
  completion: Completion.Completion,
  model: string,
  name: string,
  mayForce: boolean,
  warnings: Array<Warning>
): Tools | Refused => {
  const { toolChoice, tools } = completion
  if (toolChoice === undefined) return { tools }
  const forced = toolChoice._tag === "Required" || toolChoice._tag === "Specific"
  if (!forced || mayForce || (tools.length === 0 && !hasOtherTools(completion, vendor, name))) {
    return { tools, toolChoice }
  }
  if (toolChoice.otherwise !== "auto") {
    return refused(
      `toolChoice: ${model} cannot be made to call a tool; let it choose with otherwise: "auto", or ask for the form of `
        + "the answer with outputSchema"
    )
  }
  warnings.push({ field: "toolChoice", description: `sent as Auto: ${model} cannot be made to call a tool` })
  // With one named tool we can at least remove the others, so that no other tool is called.
  const offered = toolChoice._tag === "Specific"
    ? tools.filter((tool) => toolChoice.names.includes(tool.name))
    : tools
  return { tools: offered, toolChoice: { _tag: "Auto" } }
}

// ---------------------------------------------------------------------------------------------------------------------
// Conversation
// ---------------------------------------------------------------------------------------------------------------------

// Whether the conversation ends with assistant text to continue (prefill). A turn that the provider paused goes back
// unchanged.
const endsWithPrefill = (completion: Completion.Completion, name: string): boolean => {
  const last = Completion.messages(completion).findLast((message) => message._tag !== "System")
  if (last?._tag !== "Assistant") return false
  const end = last.content.at(-1)
  return !(end?._tag === "ProviderBlock" && end.provider === name)
}

// Whether the request contains thinking that the provider may consider part of another conversation.
const holdsThinking = (completion: Completion.Completion, name: string): boolean =>
  Completion.messages(completion).some((message) =>
    message._tag === "Assistant" && (message.provider === undefined || message.provider === name)
    && message.content.some((content) => content._tag === "Reasoning")
  )

const bindingBeta = "thinking-binding-controls-2026-08-01"

const dropping = { block_binding: { prefix_mismatch_behavior: "drop_block" } } as const

// ---------------------------------------------------------------------------------------------------------------------
// All of it
// ---------------------------------------------------------------------------------------------------------------------

/** The completion adapted to its model, or why that is not possible. */
export const fit = (
  completion: Completion.Completion,
  model: string,
  name: string,
  { models, thinkingMismatch = "drop", version = "2023-06-01" }: Options = {}
): Fitted | Refused => {
  const rules = Models.find(vendor, model, models)
  const maxTokens = completion.maxTokens ?? rules.defaultMaxTokens ?? fallbackLimit
  const warnings: Array<Warning> = []
  if (rules.prefill === false && endsWithPrefill(completion, name)) {
    return refused(`prompt: ${model} does not continue an assistant message; end with a user message`)
  }
  if (completion.outputSchema !== undefined) {
    if (rules.structuredOutput === false) return refused(`outputSchema: ${model} does not support structured output`)
    const problem = problemOf(completion.outputSchema)
    if (problem !== undefined) return refused(`outputSchema: ${problem}`)
  }
  const asked = think(completion.reasoning, rules, maxTokens)
  warnings.push(...asked.warnings)
  const own = ownThinking(completion, name)
  const type = own ?? asked.thinking?.type
  const tools = toolsOf(
    completion,
    model,
    name,
    rules.forcedTools !== "no" && !(rules.forcedTools === "withoutEnabledThinking" && type === "enabled"),
    warnings
  )
  if ("_tag" in tools) return tools
  const thinks = type === undefined ? rules.thinksByDefault === true : type !== "disabled"
  const sampled = sampling(completion, rules, thinks, version, warnings)
  if (completion.seed !== undefined) {
    warnings.push({
      field: "seed",
      description: "left out: Anthropic has no seed, so repeated requests may get different answers"
    })
  }
  const drops = rules.thinkingBound === true && thinkingMismatch === "drop" && holdsThinking(completion, name)
    && (type === undefined || type === "adaptive")
  const { temperature: _, toolChoice: __, tools: ___, topP: ____, ...rest } = completion
  return {
    completion: Completion.make({ ...rest, ...sampled, ...tools }),
    maxTokens,
    thinking: drops ? { type: "adaptive", ...asked.thinking, ...dropping } : asked.thinking,
    effort: asked.effort,
    systemInPlace: rules.systemInMiddle === "yes",
    betas: drops ? [bindingBeta] : [],
    warnings
  }
}

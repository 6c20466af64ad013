/**
 * The facts about a model, and the shape of the tables that hold them. A missing field is unknown and restricts
 * nothing: the request is sent as it is, and the service decides.
 */

/** How much a model thinks, from least to most. */
export const efforts = ["none", "minimal", "low", "medium", "high", "xhigh", "max"] as const
export type Effort = typeof efforts[number]

/** OpenAI's two protocols. */
export type Api = "chat" | "responses"

/**
 * How a request asks for thinking: `adaptive` and `enabled` are Anthropic's types of `thinking` (`enabled` has a token
 * budget), `level` and `budget` are Gemini's `thinkingLevel` and `thinkingBudget`, `effort` is a `reasoning_effort` or
 * `reasoning.effort`, and `toggle` is a switch of compatible servers (`thinking: { type: "enabled" | "disabled" }`).
 */
export type ThinkingForm = "adaptive" | "enabled" | "level" | "budget" | "effort" | "toggle"

export type Media = "image" | "pdf" | "audio" | "video"

export interface Rules {
  /** The family of the rules, such as `claude-opus-5-5`. Missing for an unknown name. */
  readonly family?: string
  /** The model's vendor: `anthropic`, `openai`, `google`, `deepseek`, ... Another service may serve it. */
  readonly vendor?: string
  /**
   * Whether the version is missing from the tables or from the name. The rules are those of the newest known version
   * before it.
   */
  readonly assumed?: boolean

  /** Input and output tokens together. */
  readonly contextWindow?: number
  /** Input tokens alone, if the service has such a limit. */
  readonly maxInput?: number
  /** The maximum output of one request, including thinking. It may be lower without streaming. */
  readonly maxOutput?: { readonly streamed: number; readonly unary: number }
  /**
   * Whether an answer longer than `maxOutput` ends as `CONTINUATION` and continues with a follow-up request, up to the
   * context window, which input, thoughts and output share.
   */
  readonly continues?: boolean
  /** The output limit to send when the service requires one and the caller set none. */
  readonly defaultMaxTokens?: number
  /** The field for the output limit in Chat Completions, if `max_tokens` is refused. */
  readonly maxTokensField?: "max_completion_tokens"

  /** Whether temperature, top_p and top_k are supported: always, while the model does not think, or never. */
  readonly sampling?: "all" | "withoutThinking" | "none"
  /** Whether temperature and top_p cannot be combined. */
  readonly temperatureOrTopP?: boolean

  /** How a request asks for thinking, the best form first. Empty if the model does not think. */
  readonly thinking?: ReadonlyArray<ThinkingForm>
  /** The supported efforts or levels. Empty if none may be sent. */
  readonly efforts?: ReadonlyArray<Effort>
  /** The efforts that only the Responses API supports. */
  readonly responsesEfforts?: ReadonlyArray<Effort>
  /** The names to send for efforts, if they differ. */
  readonly effortNames?: Readonly<Partial<Record<Effort, string>>>
  /** The effort of a request without one, while the model thinks. */
  readonly defaultEffort?: Effort
  /** Whether the model thinks by default. */
  readonly thinksByDefault?: boolean
  /** Whether thinking can be turned off. */
  readonly thinkingOff?: boolean
  /** The setting for the least thinking, if it cannot be turned off. */
  readonly leastThinking?: "between_tools"
  /** The efforts that can be combined with disabled thinking or `leastThinking`; missing if all can. */
  readonly thinkingOffEfforts?: ReadonlyArray<Effort>
  /** The token budgets that `enabled` and `budget` support. */
  readonly thinkingBudget?: { readonly minimum: number; readonly maximum?: number }
  /** Whether the text of the thinking is returned by default. */
  readonly thinkingText?: "omitted" | "summarized"
  /** Whether no byte may arrive while the model thinks: neither its text nor a ping. */
  readonly silentThinking?: boolean
  /**
   * Whether thinking is bound to the preceding conversation: after a change of history it is invalid, and refused by
   * default.
   */
  readonly thinkingBound?: boolean
  /** Whether reasoning must be sent back as `reasoning_content`. */
  readonly replayReasoningContent?: boolean

  /** Whether a tool can be forced: never, or not together with the thinking type `enabled`. */
  readonly forcedTools?: "yes" | "no" | "withoutEnabledThinking"
  /** Whether Chat Completions supports tools: always, only at effort `none`, or never. Responses always does. */
  readonly chatTools?: "yes" | "onlyAtNone" | "never"
  /** Whether the model is only available over the Responses API. */
  readonly responsesOnly?: boolean
  /** Whether messages have a `phase`, which must be sent back. */
  readonly phase?: boolean
  /** Whether `prompt_cache_retention` is supported. */
  readonly cacheRetention?: boolean
  /** Whether `prompt_cache_options` and breakpoints on parts are supported. */
  readonly cacheBreakpoints?: boolean

  /**
   * System messages after the first turn: supported in place, or moved to the beginning because the service refuses
   * them there (`hoisted`) or ignores them (`ignored`).
   */
  readonly systemInMiddle?: "yes" | "hoisted" | "ignored"
  /** Whether a conversation may end with an assistant message, which the model continues. */
  readonly prefill?: boolean
  /** Whether the model supports structured output, also together with tools. */
  readonly structuredOutput?: boolean
  readonly structuredOutputWithTools?: boolean
  /** The input media besides text. */
  readonly media?: ReadonlyArray<Media>

  /** The shutdown date, as `2026-12-11`. */
  readonly shutdown?: string
  /** The earliest possible shutdown date. */
  readonly shutdownNotBefore?: string
  /** The replacement that the vendor recommends. */
  readonly replacement?: string
  /** Whether `replacement` answers requests after the shutdown, at its own price, instead of a refusal. */
  readonly answeredByReplacement?: boolean
}

/** The rules of one version of a line: `5.5` is 505. */
export type Version = readonly [version: number, rules: Rules & { readonly family: string }]

/** Models whose names differ only in the version. */
export interface Line {
  /** Matches the beginning of a name. The groups `major` and `minor`, if present, are its version. */
  readonly name: RegExp
  /** Newest first. */
  readonly versions: readonly [Version, ...ReadonlyArray<Version>]
}

/** A line whose versions all have the same rules. */
export const alike = (name: RegExp, rules: Version[1]): Line => ({ name, versions: [[0, rules]] })

/** An output limit with and without streaming. */
export const upTo = (tokens: number): { readonly streamed: number; readonly unary: number } => ({
  streamed: tokens,
  unary: tokens
})

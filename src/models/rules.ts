/**
 * What there is to know of a model: the fields of its rules, and the shape of the tables that hold them.
 *
 * A field that is absent is not known, and what is not known restricts nothing: the request is sent as it was asked for,
 * and the service decides.
 */

/** How much a model shall think, from least to most. */
export const efforts = ["none", "minimal", "low", "medium", "high", "xhigh", "max"] as const
export type Effort = typeof efforts[number]

/** Which of OpenAI's two protocols a request is sent by. */
export type Api = "chat" | "responses"

/**
 * How thinking is asked for: `adaptive` and `enabled` are Anthropic's types of `thinking` (`enabled` takes a budget of
 * tokens), `level` and `budget` are Gemini's `thinkingLevel` and `thinkingBudget`, `effort` is a `reasoning_effort` or
 * `reasoning.effort`, `toggle` a switch that compatible servers have (`thinking: { type: "enabled" | "disabled" }`).
 */
export type ThinkingForm = "adaptive" | "enabled" | "level" | "budget" | "effort" | "toggle"

export type Media = "image" | "pdf" | "audio" | "video"

export interface Rules {
  /** The family that the rules are of, such as `claude-opus-5-5`. Absent where the name says nothing. */
  readonly family?: string
  /** Who made the model: `anthropic`, `openai`, `google`, `deepseek`, ... It may be served by others. */
  readonly vendor?: string
  /** Whether the tables lack the version, or the name has none: the rules are those of the newest before it. */
  readonly assumed?: boolean

  /** Tokens of input and output together. */
  readonly contextWindow?: number
  /** Tokens of input alone, where the service has such a limit. */
  readonly maxInput?: number
  /** The most tokens that one request brings, thinking included; a unary request may bring fewer. */
  readonly maxOutput?: { readonly streamed: number; readonly unary: number }
  /**
   * Whether an answer beyond `maxOutput` ends as `CONTINUATION` and goes on with a further request: as far as the
   * context window reaches, which input, thoughts and output then share.
   */
  readonly continues?: boolean
  /** What is sent as the limit where the service requires one and the caller set none. */
  readonly defaultMaxTokens?: number
  /** The field of Chat Completions that limits the answer, where the older `max_tokens` is refused. */
  readonly maxTokensField?: "max_completion_tokens"

  /** Temperature, top_p and top_k: taken, taken while the model does not think, or refused or ignored. */
  readonly sampling?: "all" | "withoutThinking" | "none"
  /** Whether only one of temperature and top_p is taken. */
  readonly temperatureOrTopP?: boolean

  /** How thinking is asked for, best first; empty where the model does not think. */
  readonly thinking?: ReadonlyArray<ThinkingForm>
  /** The efforts or levels that are taken, as they are sent; empty where none may be sent. */
  readonly efforts?: ReadonlyArray<Effort>
  /** What of `efforts` only the Responses API takes. */
  readonly responsesEfforts?: ReadonlyArray<Effort>
  /** What is sent for an effort where that is not its own name. */
  readonly effortNames?: Readonly<Partial<Record<Effort, string>>>
  /** The effort of a request that sets none, while the model thinks. */
  readonly defaultEffort?: Effort
  /** Whether the model thinks when the request says nothing of it. */
  readonly thinksByDefault?: boolean
  /** Whether thinking can be turned off. */
  readonly thinkingOff?: boolean
  /** What turns thinking down as far as it goes, where it cannot be turned off. */
  readonly leastThinking?: "between_tools"
  /** The efforts that may stand beside thinking that is off or `leastThinking`; absent where all of them may. */
  readonly thinkingOffEfforts?: ReadonlyArray<Effort>
  /** The budgets of tokens that `enabled` and `budget` take. */
  readonly thinkingBudget?: { readonly minimum: number; readonly maximum?: number }
  /** Whether the text of the thinking is sent when the request says nothing of it. */
  readonly thinkingText?: "omitted" | "summarized"
  /** Whether no byte may come while the model thinks: neither its text nor a ping. */
  readonly silentThinking?: boolean
  /** Whether thinking is bound to what stands before it: changed history makes it unusable, and is refused by default. */
  readonly thinkingBound?: boolean
  /** Whether an assistant's thinking has to go back as `reasoning_content`. */
  readonly replayReasoningContent?: boolean

  /** Whether a tool may be forced: never, or not together with the thinking type `enabled`. */
  readonly forcedTools?: "yes" | "no" | "withoutEnabledThinking"
  /** Whether Chat Completions takes tools: always, only while the effort is `none`, or never. Responses always does. */
  readonly chatTools?: "yes" | "onlyAtNone" | "never"
  /** Whether the model is reached by the Responses API alone. */
  readonly responsesOnly?: boolean
  /** Whether messages carry a `phase`, which goes back with them. */
  readonly phase?: boolean
  /** Whether `prompt_cache_retention` is taken. */
  readonly cacheRetention?: boolean
  /** Whether `prompt_cache_options` and breakpoints on parts are taken. */
  readonly cacheBreakpoints?: boolean

  /**
   * System messages after the first turn: taken where they stand, or to be hoisted to the beginning, because they are
   * refused there (`hoisted`) or are taken and then ignored (`ignored`).
   */
  readonly systemInMiddle?: "yes" | "hoisted" | "ignored"
  /** Whether a conversation may end with an assistant's message, which the model continues. */
  readonly prefill?: boolean
  /** Whether an answer can be held to a JSON Schema, and whether it can while there are tools. */
  readonly structuredOutput?: boolean
  readonly structuredOutputWithTools?: boolean
  /** What it reads besides text. */
  readonly media?: ReadonlyArray<Media>

  /** The day from which the model is gone, as `2026-12-11`. */
  readonly shutdown?: string
  /** The day before which it stays for certain. */
  readonly shutdownNotBefore?: string
  /** What its vendor recommends instead. */
  readonly replacement?: string
  /** Whether requests are answered by `replacement` after the shutdown, at its price, instead of being refused. */
  readonly answeredByReplacement?: boolean
}

/** The rules of one version of a line: `5.5` is 505. */
export type Version = readonly [version: number, rules: Rules & { readonly family: string }]

/** Models that share a name but for the version. */
export interface Line {
  /** Matches the beginning of a name; the groups `major` and `minor`, where there are any, are its version. */
  readonly name: RegExp
  /** Newest first. */
  readonly versions: readonly [Version, ...ReadonlyArray<Version>]
}

/** A line of which all versions are alike. */
export const alike = (name: RegExp, rules: Version[1]): Line => ({ name, versions: [[0, rules]] })

/** A limit that is the same for streamed and unary requests. */
export const upTo = (tokens: number): { readonly streamed: number; readonly unary: number } => ({
  streamed: tokens,
  unary: tokens
})

/**
 * What a request asks for, and what the simulated model answers, apart from any wire: each protocol reads its request
 * into an `Ask`, and renders the `Reply` that `decide` gives.
 */
import * as Instance from "./instance.ts"
import { isObject, type Json, tokens, truncate } from "./json.ts"

export interface OfferedTool {
  readonly name: string
  /** JSON Schema of the arguments. */
  readonly parameters: unknown
}

/** `auto`, `none`, `required`, or the names of which one must be called. */
export type Choice = "auto" | "none" | "required" | ReadonlyArray<string>

export interface Ask {
  readonly model: string
  /** The text of the last user turn that had one. */
  readonly userText: string
  /** The results that the last turn brings, as texts; none when it is not a turn of tool results. */
  readonly toolResults: ReadonlyArray<string>
  readonly tools: ReadonlyArray<OfferedTool>
  readonly choice: Choice
  /** Whether several calls may stand in one answer. */
  readonly parallel: boolean
  /** JSON Schema of the answer, when it must be JSON. */
  readonly outputSchema: unknown
  readonly maxTokens: number | undefined
  readonly stopSequences: ReadonlyArray<string>
  /** Estimated tokens of the prompt. */
  readonly inputTokens: number
  /** The part of them that is marked to be cached. */
  readonly cacheWriteTokens: number
}

export interface ToolCall {
  readonly name: string
  readonly arguments: Json
  /** The arguments as they were written: half of a JSON text when the answer was cut. */
  readonly argumentsText: string
  readonly complete: boolean
}

export type Finish = "Stop" | "StopSequence" | "MaxTokens" | "ToolUse"

export interface Reply {
  readonly model: string
  /** Absent when the model only calls tools, or says nothing. */
  readonly text: string | undefined
  /** The text says that the model will not, which Chat Completions tells from an answer. */
  readonly refused?: true
  readonly toolCalls: ReadonlyArray<ToolCall>
  readonly finish: Finish
  /** The provider's own word for how it ended, instead of the one for `finish`. */
  readonly finishWord?: string
  /** What the provider says of that word. */
  readonly finishDetail?: Json
  /** Which sequence ended it, for `StopSequence`. */
  readonly stopSequence: string | undefined
  readonly usage: {
    readonly inputTokens: number
    readonly outputTokens: number
    readonly cacheWriteTokens: number
  }
}

const quoted = (text: string): string => JSON.stringify(text.length > 500 ? `${truncate(text, 125)}…` : text)

/** Lower-case words between single spaces, so that `get_weather`, `get-weather` and `Get weather` are one. */
const words = (text: string): string => ` ${text.toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, " ").trim()} `

const mentioned = (ask: Ask): ReadonlyArray<OfferedTool> => {
  const spoken = words(ask.userText)
  return ask.tools.filter((tool) => spoken.includes(words(tool.name)))
}

const calledTools = (ask: Ask): ReadonlyArray<OfferedTool> => {
  if (ask.choice === "none" || ask.tools.length === 0) return []
  if (ask.choice === "auto") return ask.toolResults.length > 0 ? [] : mentioned(ask)
  const { choice } = ask
  const allowed = choice === "required" ? ask.tools : ask.tools.filter((tool) => choice.includes(tool.name))
  const wanted = allowed.filter((tool) => mentioned(ask).includes(tool))
  return wanted.length > 0 ? wanted : allowed.slice(0, 1)
}

const callOf = (tool: OfferedTool): ToolCall => {
  const value = Instance.make(tool.parameters)
  const input = isObject(value) ? value as Json : {}
  return { name: tool.name, arguments: input, argumentsText: JSON.stringify(input), complete: true }
}

const cutCall = (call: ToolCall, limit: number): ToolCall => {
  const argumentsText = truncate(call.argumentsText, limit)
  return { ...call, argumentsText, complete: argumentsText.length === call.argumentsText.length }
}

const usageOf = (ask: Ask, outputTokens: number): Reply["usage"] => ({
  inputTokens: ask.inputTokens,
  outputTokens,
  cacheWriteTokens: ask.cacheWriteTokens
})

const callReply = (ask: Ask, tools: ReadonlyArray<OfferedTool>): Reply => {
  const calls = tools.map(callOf)
  const limit = ask.maxTokens ?? Infinity
  const kept: Array<ToolCall> = []
  let spent = 0
  for (const call of calls) {
    if (spent >= limit) break
    kept.push(cutCall(call, limit - spent))
    spent += tokens(call.argumentsText)
  }
  const finished = kept.length === calls.length && kept.every((call) => call.complete)
  return {
    model: ask.model,
    text: undefined,
    toolCalls: kept,
    finish: finished ? "ToolUse" : "MaxTokens",
    stopSequence: undefined,
    usage: usageOf(ask, Math.min(spent, limit))
  }
}

const spokenText = (ask: Ask): string => {
  if (ask.outputSchema !== undefined) return JSON.stringify(Instance.make(ask.outputSchema))
  if (ask.toolResults.length > 0) {
    return `Simulated answer from the tool results: ${ask.toolResults.map(quoted).join(", ")}`
  }
  return `Simulated answer to: ${quoted(ask.userText)}`
}

/** The sequence that comes first in the text, and where. */
const firstStop = (
  text: string,
  sequences: ReadonlyArray<string>
): { readonly at: number; readonly sequence: string } | undefined =>
  sequences
    .map((sequence) => ({ sequence, at: text.indexOf(sequence) }))
    .filter(({ at, sequence }) => at >= 0 && sequence !== "")
    .sort((a, b) => a.at - b.at)[0]

const textReply = (ask: Ask): Reply => {
  const whole = spokenText(ask)
  const stop = firstStop(whole, ask.stopSequences)
  const upToStop = stop === undefined ? whole : whole.slice(0, stop.at)
  const text = truncate(upToStop, ask.maxTokens ?? Infinity)
  const cut = text.length < upToStop.length
  return {
    model: ask.model,
    text: text === "" ? undefined : text,
    toolCalls: [],
    finish: cut ? "MaxTokens" : stop === undefined ? "Stop" : "StopSequence",
    stopSequence: cut ? undefined : stop?.sequence,
    usage: usageOf(ask, Math.max(1, tokens(text)))
  }
}

/** The answer to a request: a pure function of it. */
export const decide = (ask: Ask): Reply => {
  const tools = calledTools(ask)
  return tools.length > 0 ? callReply(ask, ask.parallel ? tools : tools.slice(0, 1)) : textReply(ask)
}

/** The same without text and tool calls, stopped normally. */
export const silent = (reply: Reply): Reply => ({
  ...reply,
  text: undefined,
  toolCalls: [],
  finish: "Stop",
  stopSequence: undefined,
  usage: { ...reply.usage, outputTokens: 1 }
})

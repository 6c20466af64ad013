/**
 * The simulated model: a pure function of the completion, without any wire.
 */
import * as Completion from "../../Completion.ts"
import * as CompletionResponse from "../../CompletionResponse.ts"
import { defined } from "../../fields.ts"
import type * as Message from "../../Message.ts"
import * as TokenUsage from "../../TokenUsage.ts"
import type * as Tool from "../../Tool.ts"
import type { Outgoing } from "../../wire/Wire.ts"
import * as Instance from "./instance.ts"
import { isObject, tokens, truncate } from "./json.ts"
import type { Facts } from "./service.ts"

/** The other inputs of an answer. */
export interface Setting extends Facts {
  readonly provider: string
  readonly model: string
  readonly answerId: string
  readonly callId: (index: number) => string
}

const quoted = (text: string): string => JSON.stringify(text.length > 500 ? `${truncate(text, 125)}…` : text)

// ---------------------------------------------------------------------------------------------------------------------
// What was asked
// ---------------------------------------------------------------------------------------------------------------------

type User = Extract<Message.Message, { _tag: "User" }>

const textOf = ({ content }: User): string => content.flatMap((one) => one._tag === "Text" ? [one.text] : []).join("\n")

/** The text of the last user turn that contains one. */
const userTextOf = (completion: Completion.Completion): string =>
  Completion.messages(completion).flatMap((message) => message._tag === "User" ? [textOf(message)] : [])
    .findLast((text) => text !== "") ?? ""

const resultsIn = (message: Message.Message | undefined): ReadonlyArray<Message.ToolResult> =>
  message?._tag === "User" ? message.content.filter((content) => content._tag === "ToolResult") : []

/** The result of a tool. Clients wrap it into an object under different names. */
const unwrapped = (value: unknown): unknown => {
  const { content, output, result } = isObject(value) ? value : {}
  return result ?? output ?? content ?? value
}

const resultText = ({ content }: Message.ToolResult): string =>
  content.flatMap((one) => {
    if (one._tag === "Text") return [one.text]
    if (one._tag !== "Json") return []
    const value = unwrapped(one.value)
    return [typeof value === "string" ? value : JSON.stringify(value)]
  }).join("\n")

/** The tool results at the end of the conversation, as texts. */
const toolResultsOf = (completion: Completion.Completion): ReadonlyArray<string> => {
  const messages = Completion.messages(completion)
  const before = messages.findLastIndex((message) => resultsIn(message).length === 0)
  return messages.slice(before + 1).flatMap(resultsIn).map(resultText)
}

/** Lower-case words separated by single spaces, so that `get_weather`, `get-weather` and `Get weather` are equal. */
const words = (text: string): string => ` ${text.toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, " ").trim()} `

const mentioned = (completion: Completion.Completion): ReadonlyArray<Tool.ToolDefinition> => {
  const spoken = words(userTextOf(completion))
  return completion.tools.filter((tool) => spoken.includes(words(tool.name)))
}

const calledTools = (completion: Completion.Completion): ReadonlyArray<Tool.ToolDefinition> => {
  const { toolChoice: choice, tools } = completion
  if (choice?._tag === "None" || tools.length === 0) return []
  if (choice === undefined || choice._tag === "Auto") {
    return toolResultsOf(completion).length > 0 ? [] : mentioned(completion)
  }
  const allowed = choice._tag === "Required" ? tools : tools.filter((tool) => choice.names.includes(tool.name))
  const wanted = allowed.filter((tool) => mentioned(completion).includes(tool))
  return wanted.length > 0 ? wanted : allowed.slice(0, 1)
}

// ---------------------------------------------------------------------------------------------------------------------
// What is answered
// ---------------------------------------------------------------------------------------------------------------------

interface Said extends Pick<Outgoing, "cutCall"> {
  readonly choice: ReadonlyArray<Message.AssistantContent>
  readonly finish: "Stop" | "MaxTokens" | "ToolUse"
  readonly stopSequence?: string | undefined
  readonly outputTokens: number
}

const argumentsOf = (tool: Tool.ToolDefinition): Message.ToolCall["arguments"] => {
  const value = Instance.make(tool.parameters)
  return isObject(value) ? value as Message.ToolCall["arguments"] : {}
}

/** The calls within the token limit. The last one may be cut. */
const calls = (
  tools: ReadonlyArray<Tool.ToolDefinition>,
  limit: number,
  idOf: (index: number) => string
): Said => {
  const choice: Array<Message.ToolCall> = []
  let cutCall: Outgoing["cutCall"]
  let spent = 0
  for (const [index, tool] of tools.entries()) {
    const args = argumentsOf(tool)
    const text = JSON.stringify(args)
    const kept = truncate(text, limit - spent)
    if (spent >= limit) break
    spent += tokens(text)
    if (kept === text) choice.push({ _tag: "ToolCall", id: idOf(index), name: tool.name, arguments: args })
    else cutCall = { id: idOf(index), name: tool.name, arguments: kept }
  }
  const finish = choice.length === tools.length ? "ToolUse" : "MaxTokens"
  return { choice, cutCall, finish, outputTokens: Math.min(spent, limit) }
}

const spokenText = (completion: Completion.Completion, { json }: Facts): string => {
  const schema = completion.outputSchema ?? (json === true ? { type: "object" } : undefined)
  if (schema !== undefined) return JSON.stringify(Instance.make(schema))
  const results = toolResultsOf(completion)
  return results.length > 0
    ? `Simulated answer from the tool results: ${results.map(quoted).join(", ")}`
    : `Simulated answer to: ${quoted(userTextOf(completion))}`
}

/** The first stop sequence in the text, with its position. */
const firstStop = (
  text: string,
  sequences: ReadonlyArray<string>
): { readonly at: number; readonly sequence: string } | undefined =>
  sequences
    .map((sequence) => ({ sequence, at: text.indexOf(sequence) }))
    .filter(({ at, sequence }) => at >= 0 && sequence !== "")
    .sort((a, b) => a.at - b.at)[0]

const spoken = (whole: string, { maxTokens = Infinity, stopSequences = [] }: Completion.Completion): Said => {
  const stop = firstStop(whole, stopSequences)
  const upToStop = stop === undefined ? whole : whole.slice(0, stop.at)
  const text = truncate(upToStop, maxTokens)
  const cut = text.length < upToStop.length
  return {
    choice: text === "" ? [] : [{ _tag: "Text", text }],
    finish: cut ? "MaxTokens" : "Stop",
    stopSequence: cut ? undefined : stop?.sequence,
    outputTokens: Math.max(1, tokens(text))
  }
}

/** The answer to a completion. The same request always gets the same answer. */
export const decide = (completion: Completion.Completion, setting: Setting): Outgoing => {
  const called = calledTools(completion)
  const tools = completion.parallelToolCalls === false ? called.slice(0, 1) : called
  const outcome = tools.length > 0
    ? calls(tools, completion.maxTokens ?? Infinity, setting.callId)
    : spoken(spokenText(completion, setting), completion)
  return {
    cutCall: outcome.cutCall,
    response: CompletionResponse.make({
      provider: setting.provider,
      model: setting.model,
      id: setting.answerId,
      choice: outcome.choice,
      finishReason: { _tag: outcome.finish },
      stopSequence: outcome.stopSequence,
      usage: TokenUsage.make({
        inputTokens: setting.inputTokens,
        outputTokens: outcome.outputTokens,
        cacheWriteTokens: setting.cacheWriteTokens ?? 0
      })
    })
  }
}

type Counts = Pick<TokenUsage.TokenUsage, "inputTokens" | "outputTokens" | "reasoningTokens">

/** An answer with changed fields. */
export const changed = (
  answer: Outgoing,
  { inputTokens, outputTokens, reasoningTokens, ...fields }:
    & Partial<Parameters<typeof CompletionResponse.make>[0]>
    & Partial<Counts>
): Outgoing => {
  const counts = defined<Partial<Counts>>({ inputTokens, outputTokens, reasoningTokens })
  return {
    ...answer,
    response: CompletionResponse.make({
      ...answer.response,
      ...fields,
      usage: TokenUsage.make({ ...answer.response.usage, ...counts })
    })
  }
}

/** The answer without text and tool calls, with a normal end. */
export const silent = (answer: Outgoing): Outgoing => ({
  response: changed(answer, {
    choice: [],
    finishReason: { _tag: "Stop" },
    stopSequence: undefined,
    outputTokens: 1
  }).response
})

/** The text of an answer, or another text if it has none. */
export const textOr = ({ response }: Outgoing, text: string): Message.Text => ({
  _tag: "Text",
  text: response.text || text
})

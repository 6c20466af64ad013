/**
 * The script of a `TestLLM`: what may be in it, how it is read, and what a reply of it is. Pure.
 */
import * as Duration from "effect/Duration"
import type * as Schema from "effect/Schema"
import * as TextDiff from "effect/TextDiff"
import * as Completion from "../Completion.ts"
import { type CompletionPart, fromResponse } from "../CompletionPart.ts"
import * as CompletionResponse from "../CompletionResponse.ts"
import * as LLMError from "../LLMError.ts"
import type * as Message from "../Message.ts"
import * as Options from "../middleware/options.ts"
import * as TokenUsage from "../TokenUsage.ts"
import { isObject, parseJson } from "../wire/json.ts"

/** A failure in short: what it leaves out is what such a failure usually says. */
export type Failure = {
  readonly [Tag in LLMError.LLMError["_tag"]]: {
    readonly _tag: Tag
    /** `Requests`, `Server`, `NoContent` or `InvalidRequest` unless given. */
    readonly reason?: Extract<LLMError.LLMError, { readonly _tag: Tag }>["reason"]
    readonly retryAfter?: Duration.Input
    readonly description?: string
    readonly status?: number
    readonly code?: string
    readonly retryable?: boolean
  }
}[LLMError.LLMError["_tag"]]

type ResponseFields = {
  readonly [K in keyof CompletionResponse.CompletionResponse as K extends keyof AnyFields ? K : never]:
    CompletionResponse.CompletionResponse[K]
}
type AnyFields = typeof CompletionResponse.CompletionResponse.fields

/** What an answer holds: `choice` as it is, or else `reasoning`, `text` and `toolCalls`, in that order. */
export interface AnswerFields extends Partial<Omit<ResponseFields, "usage">> {
  readonly text?: string
  readonly reasoning?: string
  /** A call without an `id` gets one. */
  readonly toolCalls?: ReadonlyArray<
    { readonly name: string; readonly arguments: Schema.Json; readonly id?: string }
  >
  /** Zero unless given. */
  readonly usage?: Parameters<typeof TokenUsage.make>[0]
}

/** A whole answer; see `answer`. */
export interface Answer {
  readonly _tag: "Answer"
  readonly fields: AnswerFields
}

/** What a stream does next: emits a text or another part, waits, or fails. */
export type Step = string | CompletionPart | Duration.Duration | Failure | LLMError.LLMError

/** An answer in its parts; see `parts`. */
export interface Parts {
  readonly _tag: "Parts"
  readonly steps: ReadonlyArray<Step>
  readonly rest: Omit<AnswerFields, "choice" | "text" | "reasoning" | "toolCalls">
}

/** See `never`. */
export interface Never {
  readonly _tag: "Never"
}

/** See `after`. */
export interface After {
  readonly _tag: "After"
  readonly delay: Duration.Input
  readonly reply: Reply
}

/** See `expect` and `when`. */
export interface Conditional {
  readonly _tag: "Expect" | "When"
  readonly match: Match
  readonly reply: Reply
}

/** What a call is answered with: a text is the answer itself. */
export type Reply =
  | string
  | CompletionResponse.CompletionResponse
  | Answer
  | Parts
  | Failure
  | LLMError.LLMError
  | Never
  | After
  | Conditional

/** What a completion should be: a predicate, or the fields that are to be equal (`model`: the one asked for). */
export type Match = ((completion: Completion.Completion) => boolean) | Partial<Completion.Options>

/**
 * What a client is to reply: in the order of the calls; by model, each with an order of its own; or computed from the
 * completion and the number of the call, from 0 (then nothing can be left over; undefined refuses the call).
 */
export type Script =
  | ReadonlyArray<Reply>
  | { readonly [model: string]: ReadonlyArray<Reply> }
  | ((completion: Completion.Completion, call: number) => Reply | undefined)

// ---------------------------------------------------------------------------------------------------------------------
// Reading the script
// ---------------------------------------------------------------------------------------------------------------------

/** A reply, with what was said around it. */
export interface Entry {
  readonly when: ReadonlyArray<Match>
  readonly expect: ReadonlyArray<Match>
  readonly delay: Duration.Duration
  readonly reply: Exclude<Reply, string | After | Conditional | CompletionResponse.CompletionResponse>
}

const refuse = (where: string, give: string): never => Options.refuse("TestLLM script", where, give)

const reasons = {
  RateLimit: LLMError.RateLimitReason.literals,
  Transient: LLMError.TransientReason.literals,
  EmptyResponse: LLMError.EmptyResponseReason.literals,
  ClientError: LLMError.ClientErrorReason.literals
} satisfies Record<Failure["_tag"], ReadonlyArray<string>>

const usual = {
  RateLimit: "Requests",
  Transient: "Server",
  EmptyResponse: "NoContent",
  ClientError: "InvalidRequest"
} satisfies { [Tag in Failure["_tag"]]: (typeof reasons)[Tag][number] }

/** Whether a step is a failure, in short or as it is. */
export const isFailure = (step: object): step is Failure | LLMError.LLMError =>
  "_tag" in step && String(step._tag) in reasons

const checkFailure = (where: string, { _tag, reason, retryAfter }: Failure | LLMError.LLMError): void => {
  if (reason !== undefined && !(reasons[_tag] as ReadonlyArray<string>).includes(reason)) {
    refuse(where, `one of the reasons of ${_tag}: ${reasons[_tag].join(", ")}`)
  }
  Options.wait("TestLLM script", `${where} retryAfter`, retryAfter)
}

const checkSteps = (where: string, steps: ReadonlyArray<Step>): void => {
  if (steps.length === 0) refuse(where, "at least one part")
  const open = new Map<number, string>()
  for (const [index, step] of steps.entries()) {
    const at = `${where} part ${index}`
    if (step === "") refuse(at, "a text that is not empty: no provider's stream brings empty parts")
    if (typeof step === "string") continue
    if (Duration.isDuration(step)) Options.wait("TestLLM script", at, step)
    else if (isFailure(step)) checkFailure(at, step)
    else if (step._tag === "ToolCallStart") open.set(step.index, "")
    else if (step._tag === "ToolCallDelta") {
      const before = open.get(step.index) ?? refuse(at, "the ToolCallStart of this index before its arguments")
      if (step.arguments === "") refuse(at, "arguments that are not empty")
      open.set(step.index, before + step.arguments)
    } else if (step._tag !== "Finish" && step.text === "") refuse(at, "a text that is not empty")
    if ((isFailure(step) || "response" in step) && index < steps.length - 1) refuse(at, "the end of the answer last")
  }
  if (steps.some((step) => typeof step === "object" && isFailure(step))) return
  for (const [index, json] of open) {
    if (argumentsOf(json) === undefined) refuse(`${where} tool call ${index}`, `arguments in JSON, not ${json}`)
  }
}

const checkAnswer = (where: string, { choice, text, toolCalls = [] }: AnswerFields): void => {
  if (choice === undefined && text === undefined && toolCalls.length === 0) {
    refuse(where, "a text, tool calls, or a choice (which may be empty)")
  }
  if (text === "") refuse(where, "a text that is not empty, or the failure EmptyResponse")
  if (toolCalls.some(({ name }) => name === "")) refuse(where, "tool calls with names")
}

/** Reads one reply. */
export const read = (where: string, reply: Reply): Entry => {
  if (typeof reply === "string") return read(where, { _tag: "Answer", fields: { text: reply } })
  if (reply instanceof CompletionResponse.CompletionResponse) {
    return read(where, { _tag: "Answer", fields: { ...reply } })
  }
  const plain = { when: [], expect: [], delay: Duration.zero }
  switch (reply?._tag) {
    case "After": {
      Options.wait("TestLLM script", `${where} delay`, reply.delay)
      const entry = read(where, reply.reply)
      return { ...entry, delay: Duration.sum(Duration.fromInputUnsafe(reply.delay), entry.delay) }
    }
    case "When":
    case "Expect": {
      const kind = reply._tag === "When" ? "when" : "expect"
      if (typeof reply.match !== "function" && Object.keys(reply.match).length === 0) {
        refuse(where, `a predicate or a field to ${kind}`)
      }
      const entry = read(where, reply.reply)
      return { ...entry, [kind]: [reply.match, ...entry[kind]] }
    }
    case "Parts":
      checkSteps(where, reply.steps)
      return { ...plain, reply }
    case "Answer":
      checkAnswer(where, reply.fields)
      return { ...plain, reply }
    case "Never":
      return { ...plain, reply }
    default:
      if (!isObject(reply) || !isFailure(reply)) return refuse(where, "a reply")
      checkFailure(where, reply)
      return { ...plain, reply }
  }
}

/** Reads a script; what cannot be kept is refused as a defect. */
export const readAll = (script: Exclude<Script, Function>): Array<Entry> =>
  isList(script)
    ? script.map((reply, index) => read(`reply ${index}`, reply))
    : Object.entries(script).flatMap(([model, replies]) =>
      replies.map((reply, index) => read(`${model} reply ${index}`, { _tag: "When", match: { model }, reply }))
    )

const isList = (script: Exclude<Script, Function>): script is ReadonlyArray<Reply> => Array.isArray(script)

// ---------------------------------------------------------------------------------------------------------------------
// Expected and got
// ---------------------------------------------------------------------------------------------------------------------

// What is left out of every view: a message of nothing but a text is that text, and the order of keys says nothing.
const view = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(view)
  if (!isObject(value)) return value
  const { _tag, content } = value
  const only = Array.isArray(content) && content.length === 1 ? content[0] as unknown : undefined
  if (typeof _tag === "string" && Object.keys(value).length === 2 && isObject(only) && only["_tag"] === "Text") {
    if (Object.keys(only).length === 2) return { [_tag]: only["text"] }
  }
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, view(value[key])]))
}

// A line of a text as it is; only what cannot be seen, and the backslash that says so, is escaped.
const line = (text: string): string => JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"')

// Like JSON, but differences can be seen in it: a text of several lines has them one below the other, and all numbers
// have a name.
const print = (value: unknown, indent: string): string => {
  const inner = `${indent}  `
  if (typeof value === "string") {
    return value.includes("\n")
      ? ["|", ...value.split("\n").map((text) => `${inner}| ${line(text)}`)].join("\n")
      : JSON.stringify(value)
  }
  if (Object.is(value, -0)) return "-0"
  if (typeof value !== "object" || value === null) return String(value)
  const [open, close] = Array.isArray(value) ? "[]" : "{}"
  const items = Array.isArray(value)
    ? value.map((item) => print(item, inner))
    : Object.entries(value).flatMap(([key, item]) =>
      item === undefined ? [] : [`${JSON.stringify(key)}: ${print(item, inner)}`]
    )
  return items.length === 0
    ? `${open}${close}`
    : `${open}\n${items.map((item) => inner + item).join(",\n")}\n${indent}${close}`
}

/** A value as a reader likes it. */
export const show = (value: unknown): string => `${print(view(value), "")}\n`

/** How a completion differs from what it should be; undefined when it does not. */
export const difference = (match: Match, completion: Completion.Completion): string | undefined => {
  if (typeof match === "function") {
    return match(completion) ? undefined : `expected that it fulfils ${String(match)}\ngot ${show(completion)}`
  }
  const whole: Readonly<Record<string, unknown>> = { ...Completion.make({ prompt: "", ...match }) }
  const got: Readonly<Record<string, unknown>> = { ...completion }
  const fields = Object.keys(match).sort()
  const pick = (from: Readonly<Record<string, unknown>>) =>
    show(Object.fromEntries(fields.flatMap((field) => from[field] === undefined ? [] : [[field, from[field]]])))
  const edits = TextDiff.lines(pick(whole), pick(got), { maxEdits: 1000 })
  return TextDiff.unified(edits, { fromFile: "expected", toFile: "got" }) || undefined
}

/** How a completion differs from the next reply that is left, when none of them is for it. */
export const nearest = (
  script: Exclude<Script, Function>,
  left: ReadonlyArray<Entry>,
  completion: Completion.Completion
): string => {
  const differs = (match: Match | undefined) => match && difference(match, completion)
  // The first condition of a reply by model is that model.
  const [next] = isList(script) ? left : left.filter(({ when }) => differs(when[0]) === undefined)
  if (next !== undefined) return `From the next one it differs by\n${next.when.map(differs).find((text) => text)}`
  const models = Object.keys(script).filter((model) =>
    left.some(({ when: [first] }) => typeof first === "object" && first.model === model)
  )
  return `Replies are left for ${models.join(", ")}`
}

// ---------------------------------------------------------------------------------------------------------------------
// Replying
// ---------------------------------------------------------------------------------------------------------------------

/** What a reply may depend on. */
export interface Asked {
  readonly call: number
  readonly provider: string
  readonly model: string
}

/** What happens next in an answer: a part, a wait, or a failure. It ends with a `Finish` or a failure. */
export type Resolved = CompletionPart | Duration.Duration | LLMError.LLMError

const argumentsOf = (text: string): Schema.Json | undefined => parseJson(text || "{}") as Schema.Json | undefined

const choiceOf = ({ call }: Asked, fields: AnswerFields): ReadonlyArray<Message.AssistantContent> => {
  if (fields.choice !== undefined) return fields.choice
  const { reasoning, text, toolCalls = [] } = fields
  return [
    ...(reasoning === undefined ? [] : [{ _tag: "Reasoning", content: [{ _tag: "Text", text: reasoning }] } as const]),
    ...(text === undefined ? [] : [{ _tag: "Text", text } as const]),
    ...toolCalls.map((fields, index) => ({ _tag: "ToolCall", id: `call_${call}_${index}`, ...fields } as const))
  ]
}

const respond = (asked: Asked, fields: AnswerFields): CompletionResponse.CompletionResponse => {
  const { reasoning: _, text: __, toolCalls: ___, usage, ...rest } = fields
  const choice = choiceOf(asked, fields)
  return CompletionResponse.make({
    provider: asked.provider,
    model: asked.model,
    finishReason: { _tag: choice.some(({ _tag }) => _tag === "ToolCall") ? "ToolUse" : "Stop" },
    ...rest,
    choice,
    usage: TokenUsage.make(usage ?? {})
  })
}

const fail = (
  { model, provider }: Asked,
  failure: Failure | LLMError.LLMError,
  partial?: CompletionResponse.CompletionResponse
): LLMError.LLMError => {
  if (LLMError.isLLMError(failure)) return failure
  const { _tag, retryAfter, ...rest } = failure
  return LLMError.make(_tag, {
    provider,
    model,
    reason: usual[_tag],
    description: "",
    partial,
    ...rest,
    retryAfter: retryAfter === undefined ? undefined : Duration.fromInputUnsafe(retryAfter)
  })
}

// The contents that parts add up to; a call whose arguments are not whole is none.
const join = (parts: ReadonlyArray<CompletionPart>): ReadonlyArray<Message.AssistantContent> => {
  const contents: Array<
    ["TextDelta" | "ReasoningDelta", string] | [{ readonly id: string; readonly name: string }, string]
  > = []
  const calls = new Map<number, (typeof contents)[number]>()
  for (const part of parts) {
    const last = contents.at(-1)
    if (part._tag === "ToolCallStart") {
      const call: (typeof contents)[number] = [{ id: part.id, name: part.name }, ""]
      calls.set(part.index, call)
      contents.push(call)
    } else if (part._tag === "ToolCallDelta") {
      const call = calls.get(part.index)
      if (call !== undefined) call[1] += part.arguments
    } else if (part._tag !== "Finish") {
      if (last?.[0] === part._tag) last[1] += part.text
      else contents.push([part._tag, part.text])
    }
  }
  return contents.flatMap(([kind, text]): ReadonlyArray<Message.AssistantContent> => {
    if (kind === "TextDelta") return [{ _tag: "Text", text }]
    if (kind === "ReasoningDelta") return [{ _tag: "Reasoning", content: [{ _tag: "Text", text }] }]
    const args = argumentsOf(text)
    return args === undefined ? [] : [{ _tag: "ToolCall", ...kind, arguments: args }]
  })
}

// An answer that is there as a whole is streamed word by word, and arguments in two pieces.
const split = (part: CompletionPart): ReadonlyArray<CompletionPart> => {
  switch (part._tag) {
    case "TextDelta":
    case "ReasoningDelta":
      return (part.text.match(/\s*\S+|\s+$/g) ?? []).map((text) => ({ ...part, text }))
    case "ToolCallDelta": {
      const characters = Array.from(part.arguments)
      const half = Math.ceil(characters.length / 2)
      const pieces = [characters.slice(0, half), characters.slice(half)].filter(({ length }) => length > 0)
      return pieces.map((piece) => ({ ...part, arguments: piece.join("") }))
    }
    default:
      return [part]
  }
}

/** The steps of a reply. */
export const resolve = (asked: Asked, reply: Exclude<Entry["reply"], Never>): ReadonlyArray<Resolved> => {
  if (reply._tag === "Answer") return fromResponse(respond(asked, reply.fields)).flatMap(split)
  if (reply._tag !== "Parts") return [fail(asked, reply)]
  const emitted: Array<CompletionPart> = []
  const resolved = reply.steps.map((step): Resolved => {
    if (typeof step !== "string" && Duration.isDuration(step)) return step
    if (typeof step !== "string" && isFailure(step)) {
      if (emitted.length === 0) return fail(asked, step)
      const partial = respond(asked, { finishReason: { _tag: "None" }, ...reply.rest, choice: join(emitted) })
      return fail(asked, step, partial)
    }
    const part: CompletionPart = typeof step === "string" ? { _tag: "TextDelta", text: step } : step
    emitted.push(part)
    return part
  })
  const last = resolved.at(-1)!
  return "_tag" in last && (last._tag === "Finish" || isFailure(last))
    ? resolved
    : [...resolved, { _tag: "Finish", response: respond(asked, { ...reply.rest, choice: join(emitted) }) }]
}

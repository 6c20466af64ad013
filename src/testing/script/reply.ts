/**
 * Resolves a reply for a particular call. Pure.
 */
import * as Duration from "effect/Duration"
import { type CompletionPart, fromResponse } from "../../CompletionPart.ts"
import * as CompletionResponse from "../../CompletionResponse.ts"
import * as LLMError from "../../LLMError.ts"
import type * as Message from "../../Message.ts"
import * as TokenUsage from "../../TokenUsage.ts"
import { choiceOf } from "./answer.ts"
import { type AnswerFields, type Entry, type Failure, isFailure, type Never } from "./script.ts"
import { arrange, type Part } from "./steps.ts"

/** The call to answer. */
export interface Asked {
  readonly call: number
  readonly provider: string
  readonly model: string
}

/** The next step of an answer: parts that arrive together, a wait, or a failure. */
export type Resolved = ReadonlyArray<CompletionPart> | Duration.Duration | LLMError.LLMError

const usual = {
  RateLimit: "Requests",
  Transient: "Server",
  EmptyResponse: "NoContent",
  ClientError: "InvalidRequest"
} satisfies { [Tag in Failure["_tag"]]: Extract<LLMError.LLMError, { readonly _tag: Tag }>["reason"] }

const callId = ({ call }: Asked, index: number): string => `call_${call}_${index}`

const respond = (asked: Asked, fields: AnswerFields): CompletionResponse.CompletionResponse => {
  const { reasoning: _, text: __, toolCalls: ___, usage, ...rest } = fields
  const choice = choiceOf(fields, (index) => callId(asked, index))
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
  const { _tag, reason = usual[_tag], retryAfter, ...rest } = failure
  return LLMError.make(_tag, {
    provider,
    model,
    reason: reason as never,
    description: "",
    partial,
    ...rest,
    retryAfter: retryAfter === undefined ? undefined : Duration.fromInputUnsafe(retryAfter)
  })
}

// A complete answer is streamed word by word, and arguments in two pieces.
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

/** `Start` is emitted together with the first other part. */
const started = (first: CompletionPart, steps: ReadonlyArray<Resolved>): ReadonlyArray<Resolved> => {
  const at = steps.findIndex(Array.isArray)
  return steps.map((step, index) => index === at ? [first, ...step as ReadonlyArray<CompletionPart>] : step)
}

const whole = (response: CompletionResponse.CompletionResponse): ReadonlyArray<Resolved> => {
  const [start, ...parts] = fromResponse(response)
  return started(start!, parts.flatMap(split).map((part) => [part]))
}

/** The steps of a reply. The last one is a `Finish` or a failure. */
export const resolve = (asked: Asked, reply: Exclude<Entry["reply"], Never>): ReadonlyArray<Resolved> => {
  if (reply._tag === "Answer") return whole(respond(asked, reply.fields))
  if (reply._tag !== "Parts") return [fail(asked, reply)]
  const { choice, finish, start, steps } = arrange("", reply)
  const withId = (part: Part): CompletionPart =>
    part._tag === "ToolCallStart"
      ? { ...part, id: part.id ?? callId(asked, part.index) }
      : part._tag === "ContentEnd"
      ? { ...part, content: identified(part.index, part.content) }
      : part
  const identified = (index: number, content: Message.AssistantContent): Message.AssistantContent =>
    content._tag === "ToolCall" && content.id === "" ? { ...content, id: callId(asked, index) } : content
  const contents = choice.map(({ content, index }) => identified(index, content))
  const response = finish ?? respond(asked, { ...reply.rest, choice: contents })
  const resolved = steps.map((step): Resolved => {
    if (Array.isArray(step)) return step.map(withId)
    if (Duration.isDuration(step)) return step
    const partial = contents.length === 0 && !steps.some(Array.isArray)
      ? undefined
      : respond(asked, { finishReason: { _tag: "None" }, ...reply.rest, choice: contents })
    return fail(asked, step as Failure | LLMError.LLMError, partial)
  })
  const last = steps.at(-1)!
  const ended = !Array.isArray(last) && isFailure(last)
    ? resolved
    : [...resolved, [{ _tag: "Finish", response } as const]]
  return started(start ?? fromResponse(response)[0]!, ended)
}

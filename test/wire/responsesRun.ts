/**
 * Runs bodies through a wire as the transport does, and holds the parts that come of a stream to what they promise.
 */
import type * as Completion from "../../src/Completion.ts"
import type { CompletionPart } from "../../src/CompletionPart.ts"
import type { CompletionResponse } from "../../src/CompletionResponse.ts"
import type { LLMError } from "../../src/LLMError.ts"
import { judge, toError, toResponse } from "../../src/transport/judge.ts"
import * as Session from "../../src/transport/session.ts"
import { parseJson } from "../../src/wire/json.ts"
import { readAnswer, type Wire } from "../../src/wire/Wire.ts"
import { differences } from "../conformance/json.ts"

export interface Run {
  readonly parts: ReadonlyArray<CompletionPart>
  readonly response?: CompletionResponse | undefined
  readonly error?: LLMError | undefined
}

export const mintId = (index: number): string => `minted_${index}`

const attempt = (wire: Wire, completion: Completion.Completion, status: number) => ({
  provider: wire.name,
  model: completion.model ?? "",
  redact: (text: string) => text,
  status
})

/** A stream that comes in these pieces. */
export const streamed = (
  wire: Wire,
  completion: Completion.Completion,
  pieces: ReadonlyArray<Uint8Array>,
  status = 200
): Run => {
  const about = attempt(wire, completion, status)
  const session = Session.make({
    wire,
    limits: { body: 1 << 30, event: 1 << 30 },
    model: about.model,
    mintId,
    toResponse: (answer) => toResponse(wire.failures, answer, about, 0),
    judge: (answer) => judge(wire.failures, answer, completion)
  })
  const parts: Array<CompletionPart> = []
  for (const piece of pieces) {
    session.feed([piece])
    parts.push(...session.take())
  }
  session.end()
  parts.push(...session.take())
  const signal = session.failure()
  const last = parts.at(-1)
  return {
    parts,
    response: last?._tag === "Finish" ? last.response : undefined,
    error: signal && toError(wire.failures, signal, { ...about, partial: session.partial() }, 0)
  }
}

const utf8 = new TextEncoder()

export const streamedText = (wire: Wire, completion: Completion.Completion, text: string): Run =>
  streamed(wire, completion, [utf8.encode(text)])

/** A body that comes as a whole. */
export const whole = (wire: Wire, completion: Completion.Completion, text: string, status = 200): Run => {
  const about = attempt(wire, completion, status)
  const body = parseJson(text)
  const failed = (signal: Parameters<typeof toError>[1]): Run => ({
    parts: [],
    error: toError(wire.failures, signal, about, 0)
  })
  if (status >= 300 || wire.failures.errorIn(body) !== undefined) return failed({ _tag: "Failed", text, body })
  const answer = readAnswer(() => wire.response(body as {}, mintId))
  if (answer === undefined) return failed({ _tag: "Malformed", text, description: "no answer" })
  const signal = judge(wire.failures, answer, completion)
  return signal === undefined
    ? { parts: [], response: toResponse(wire.failures, answer, about, 0) }
    : failed(signal)
}

const isDelta = (part: CompletionPart): part is Extract<CompletionPart, { readonly index: number }> => "index" in part

// What a part shows; an empty one shows nothing.
const shown = (part: CompletionPart): string | undefined =>
  part._tag === "TextDelta" || part._tag === "ReasoningDelta"
    ? part.text
    : part._tag === "ToolCallDelta"
    ? part.arguments
    : undefined

/** Where the parts of a stream break what they promise; `partial` is what the error of a stream that failed holds. */
export const broken = ({ error, parts, response }: Run): ReadonlyArray<string> => {
  const lines: Array<string> = []
  const ends = parts.filter((part) => part._tag === "ContentEnd")
  const answer = response ?? error?.partial
  if (parts.length > 0 && parts[0]?._tag !== "Start") lines.push("the first part is not Start")
  if (parts.filter(({ _tag }) => _tag === "Start").length > 1) lines.push("Start comes twice")
  if (parts.some((part) => shown(part) === "")) lines.push("an empty delta")
  const endedAt = new Set<number>()
  for (const part of parts) {
    if (!isDelta(part)) continue
    if (endedAt.has(part.index)) lines.push(`a part behind the end of content ${part.index}`)
    if (part._tag === "ContentEnd") endedAt.add(part.index)
  }
  const calls = new Map<number, { readonly id: string; readonly name: string; text: string }>()
  for (const part of parts) {
    if (part._tag === "ToolCallStart") {
      if (calls.has(part.index)) lines.push(`call ${part.index} starts twice`)
      calls.set(part.index, { id: part.id, name: part.name, text: "" })
    } else if (part._tag === "ToolCallDelta") {
      const call = calls.get(part.index)
      if (call === undefined) lines.push(`a delta before the start of call ${part.index}`)
      else call.text += part.arguments
    } else if (part._tag === "ContentEnd" && part.content._tag === "ToolCall") {
      const { arguments: args, id, name } = part.content
      const call = calls.get(part.index)
      lines.push(
        ...differences(
          { id, name, arguments: args },
          call && { id: call.id, name: call.name, arguments: call.text.trim() === "" ? {} : parseJson(call.text) },
          `call ${part.index}`
        )
      )
    }
  }
  if (response !== undefined) {
    const inOrder = ends.toSorted((a, b) => a.index - b.index).map(({ content }) => content)
    lines.push(...differences(response.choice, inOrder, "contents"))
  }
  // Of texts that came at the same time, the pieces are in their order and the texts in theirs.
  const texts = parts.flatMap((part) => part._tag === "TextDelta" ? part.index : [])
  if (answer !== undefined && texts.every((index, at) => at === 0 || index >= texts[at - 1]!)) {
    const final = answer.choice.some((content) => content._tag === "Text" && content.phase === "final_answer")
    const text = parts.map((part) =>
      part._tag === "TextDelta" && !(final && part.phase === "commentary") ? part.text : ""
    ).join("")
    lines.push(...differences(answer.text, text, "text"))
  }
  return lines
}

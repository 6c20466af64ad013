/**
 * Completes the steps of a streamed reply: the content of each piece, the end of each content, and the answer. Pure.
 */
import * as Duration from "effect/Duration"
import * as Equal from "effect/Equal"
import type * as CompletionPart from "../../CompletionPart.ts"
import type { CompletionResponse } from "../../CompletionResponse.ts"
import type * as LLMError from "../../LLMError.ts"
import type * as Message from "../../Message.ts"
import * as Options from "../../middleware/options.ts"
import { parseJson } from "../../wire/json.ts"
import { type Failure, isFailure, type Parts, type PartStep } from "./script.ts"

type ToolCallStart = Omit<CompletionPart.ToolCallStart, "id"> & { readonly id?: string }

/** A part with its index. A call may still lack its id. */
export type Part = Exclude<CompletionPart.CompletionPart, CompletionPart.ToolCallStart> | ToolCallStart

interface Content {
  readonly index: number
  readonly content: Message.AssistantContent
}

/** A streamed reply with all its parts. */
export interface Arranged {
  readonly start: CompletionPart.Start | undefined
  readonly steps: ReadonlyArray<ReadonlyArray<Part> | Duration.Duration | Failure | LLMError.LLMError>
  /** The contents of the answer. A call without an id has an empty one. */
  readonly choice: ReadonlyArray<Content>
  /** The answer, if the steps contain it. */
  readonly finish: CompletionResponse | undefined
}

type Piece = Exclude<PartStep, CompletionPart.Start | CompletionPart.Finish>

/** A content so far. */
interface Open {
  readonly index: number
  readonly kind: Message.AssistantContent["_tag"]
  /** Fields from its first piece. */
  readonly first: Partial<Pick<Message.Text, "phase"> & Pick<Message.ToolCall, "id" | "name" | "signature">>
  text: string
  /** The position of its last piece among the steps. */
  last: number
  /** The content as a step gave it. */
  given: Message.AssistantContent | undefined
}

const refuse = (where: string, give: string): never => Options.refuse("TestLLM script", where, give)

const present = <A extends object>(fields: A): { [K in keyof A]?: Exclude<A[K], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never

const argumentsOf = (text: string): Message.ToolCall["arguments"] | undefined =>
  parseJson(text || "{}") as Message.ToolCall["arguments"] | undefined

/** The content made of its pieces; undefined for a call with incomplete arguments. */
const contentOf = ({ first, given, kind, text }: Open): Message.AssistantContent | undefined => {
  if (given !== undefined) return given
  if (kind === "Text") return { _tag: "Text", text, ...first }
  if (kind === "Reasoning") return { _tag: "Reasoning", content: [{ _tag: "Text", text }] }
  const args = argumentsOf(text)
  return args === undefined ? undefined : { _tag: "ToolCall", id: "", name: "", ...first, arguments: args }
}

/** The parts that belong to a content. */
const saidBy = (content: Message.AssistantContent): unknown => {
  switch (content._tag) {
    case "Text":
      return content.text
    case "Reasoning":
      return content.content.map((part) => part._tag === "Text" || part._tag === "Summary" ? part.text : "").join("")
    case "ToolCall":
      return [content.name, content.arguments]
    default:
      return undefined
  }
}

const same = (one: Message.AssistantContent, other: Message.AssistantContent): boolean =>
  one._tag === other._tag && Equal.equals(saidBy(one), saidBy(other))

/** Finds the content of each piece. */
const collector = () => {
  const contents: Array<Open> = []
  let current: Open | undefined

  const open = (at: string, index: number | undefined, kind: Open["kind"], first: Open["first"] = {}): Open => {
    const next = (contents.at(-1)?.index ?? -1) + 1
    if (index !== undefined && index < next) refuse(at, "indices in the order in which contents first appear")
    const content: Open = { index: index ?? next, kind, first, text: "", last: 0, given: undefined }
    contents.push(content)
    return content
  }

  const find = (at: string, index: number | undefined, kind: Open["kind"]): Open | undefined => {
    if (index === undefined) return current?.kind === kind && current.given === undefined ? current : undefined
    const content = contents.find((content) => content.index === index)
    if (content !== undefined && (content.kind !== kind || content.given !== undefined)) {
      refuse(at, `an index other than ${index}, which is that of another content`)
    }
    return content
  }

  const text = (at: string, { index, phase }: Extract<Piece, { _tag: "TextDelta" }>): Open => {
    const found = find(at, index, "Text")
    return found !== undefined && (index !== undefined || phase === undefined || phase === found.first.phase)
      ? found
      : open(at, index, "Text", present({ phase }))
  }

  const end = (at: string, { content: given, index }: Extract<Piece, { _tag: "ContentEnd" }>): Open => {
    const found = find(at, index, given._tag)
    if (found === undefined && given._tag === "ToolCall") refuse(at, "the ToolCallStart of this call before its end")
    const content = found ?? open(at, index, given._tag)
    const made = found && contentOf(found)
    if (made !== undefined && !same(made, given)) refuse(at, "the content that its pieces make")
    content.given = given
    return content
  }

  const contentFor = (at: string, piece: Piece): Open => {
    switch (piece._tag) {
      case "TextDelta":
        return text(at, piece)
      case "ReasoningDelta":
        return find(at, piece.index, "Reasoning") ?? open(at, piece.index, "Reasoning")
      case "ToolCallStart":
        return open(
          at,
          piece.index,
          "ToolCall",
          present({ id: piece.id, name: piece.name, signature: piece.signature })
        )
      case "ToolCallDelta":
        return find(at, piece.index, "ToolCall") ?? refuse(at, "the ToolCallStart of this index before its arguments")
      case "ContentEnd":
        return end(at, piece)
    }
  }

  /** The piece with the index of its content. `place` is its position among the steps. */
  const take = (at: string, piece: Piece, place: number): Part => {
    if ("text" in piece && piece.text === "") refuse(at, "a text that is not empty")
    if ("arguments" in piece && piece.arguments === "") refuse(at, "arguments that are not empty")
    const content = contentFor(at, piece)
    if ("text" in piece) content.text += piece.text
    if ("arguments" in piece) content.text += piece.arguments
    content.last = place
    current = content
    return { ...piece, index: content.index }
  }

  return { contents, take, current: () => current }
}

const isPart = (step: unknown): step is PartStep =>
  typeof step === "object" && step !== null && !Duration.isDuration(step) && !isFailure(step)

/** Reads the steps of a streamed reply. Steps that no provider would send are refused as a defect. */
export const arrange = (where: string, { rest, steps }: Parts): Arranged => {
  if (steps.length === 0) refuse(where, "at least one part")
  const { contents, current, take } = collector()
  const arranged: Array<Arranged["steps"][number]> = []
  let start: CompletionPart.Start | undefined
  let finish: CompletionResponse | undefined
  let fails = false
  for (const [place, step] of steps.entries()) {
    const at = `${where} part ${place}`
    if (fails || finish !== undefined) refuse(`${where} part ${place - 1}`, "the end of the answer last")
    if (typeof step === "string") {
      if (step === "") refuse(at, "a text that is not empty: no provider's stream brings empty parts")
      arranged.push([take(at, { _tag: "TextDelta", text: step }, arranged.length)])
    } else if (!isPart(step)) {
      fails = !Duration.isDuration(step)
      arranged.push(step)
    } else if (step._tag === "Start") {
      if (start !== undefined || contents.length > 0) refuse(at, "the Start first")
      start = step
    } else if (step._tag === "Finish") finish = step.response
    else arranged.push([take(at, step, arranged.length)])
  }
  const isCut = (finish?.finishReason ?? rest.finishReason)?._tag === "MaxTokens"
  const made = contents.flatMap((open): ReadonlyArray<Content> => {
    const content = contentOf(open)
    if (content !== undefined) return [{ index: open.index, content }]
    return fails || (isCut && open === current())
      ? []
      : refuse(`${where} tool call ${open.index}`, `arguments in JSON, not ${open.text}`)
  })
  if (
    finish !== undefined &&
    (made.length !== finish.choice.length || made.some(({ content }, at) => !same(content, finish!.choice[at]!)))
  ) refuse(`${where} Finish`, "the answer that the parts add up to")
  const choice = made.map(({ content, index }, at) => ({ index, content: finish?.choice[at] ?? content }))
  for (const { content, index } of choice) {
    const open = contents.find((one) => one.index === index)!
    // When an answer breaks off, its last content may be incomplete.
    if (open.given !== undefined || (fails && open === current())) continue
    arranged[open.last] = [...arranged[open.last] as ReadonlyArray<Part>, { _tag: "ContentEnd", index, content }]
  }
  return { start, steps: arranged, choice, finish }
}

/**
 * The parts of an answer as contents, one after the other: of a stream, whose texts come in pieces, and of a whole body.
 */
import type { CompletionPart } from "../../CompletionPart.ts"
import type * as Message from "../../Message.ts"
import { present } from "../encode.ts"
import { isObject, type JsonRecord, object, parseJson, string, survives } from "../json.ts"
import { type PartialArgs, partialArgs } from "./partialArgs.ts"

/** Makes contents of parts. */
export interface Contents {
  /** Takes in a part, and adds what it brings. */
  readonly add: (part: JsonRecord, parts: Array<CompletionPart>) => void
  /** Ends the text that is open. */
  readonly close: (parts: Array<CompletionPart>) => void
  /** Says that the next part goes on from the last one, though it comes in another body. */
  readonly goesOn: () => void
  /** How many parts have come that changed the answer without adding anything. */
  readonly changes: () => number
  /** The contents as far as they came, without a call that is not whole. */
  readonly choice: () => Array<Message.AssistantContent>
  /** What is wrong with a call; `ended` says that no more of one comes though the answer was not cut. */
  readonly malformed: (ended: boolean) => string | undefined
}

interface OpenText {
  readonly index: number
  readonly thought: boolean
  text: string
  signature: string | undefined
}

interface OpenCall {
  readonly index: number
  readonly id: string
  readonly name: string
  readonly args: PartialArgs
  signature: string | undefined
}

// What is no data of a part, but said of it.
const beside: ReadonlySet<string> = new Set(["text", "thought", "thoughtSignature"])

// The arguments of a whole call; undefined when they are none.
const argumentsOf = (args: unknown): JsonRecord | undefined => {
  if (args === undefined || args === null) return {}
  const value = typeof args === "string" ? parseJson(args) : args
  return isObject(value) ? value : undefined
}

const imageOf = (part: JsonRecord): Message.Image["source"] | undefined => {
  const inline = object(part["inlineData"])
  const file = object(part["fileData"])
  const mediaType = string(inline["mimeType"]) ?? string(file["mimeType"])
  if (mediaType?.startsWith("image/") !== true) return undefined
  const data = string(inline["data"])
  const url = string(file["fileUri"])
  return data !== undefined
    ? { _tag: "Base64", data, mediaType }
    : url !== undefined
    ? { _tag: "Url", url, mediaType }
    : undefined
}

/** Contents for the instance `name`; in a `whole` body every part is a content of its own. */
export const contents = (name: string, mintId: (index: number) => string, whole: boolean): Contents => {
  const all: Array<Message.AssistantContent | undefined> = []
  let count = 0
  let minted = 0
  let text: OpenText | undefined
  let call: OpenCall | undefined
  let broken: string | undefined
  let joined = false
  let changes = 0

  const end = (index: number, content: Message.AssistantContent, parts: Array<CompletionPart>): void => {
    all[index] = content
    parts.push({ _tag: "ContentEnd", index, content })
  }

  const contentOf = ({ signature, text, thought }: OpenText): Message.AssistantContent | undefined =>
    thought
      ? { _tag: "Reasoning", content: [{ _tag: "Text", text, ...present("signature", signature) }] }
      : text === "" && signature === undefined
      ? undefined
      : { _tag: "Text", text, ...present("signature", signature) }

  const close = (parts: Array<CompletionPart>): void => {
    const content = text && contentOf(text)
    if (text !== undefined && content !== undefined) end(text.index, content, parts)
    text = undefined
  }

  const addText = (part: JsonRecord, thought: boolean, parts: Array<CompletionPart>): void => {
    const piece = typeof part["text"] === "string" ? part["text"] : ""
    if (text !== undefined && text.thought !== thought) close(parts)
    text ??= { index: count++, thought, text: "", signature: undefined }
    text.text += piece
    text.signature = string(part["thoughtSignature"])
    if (piece !== "") {
      parts.push({ _tag: thought ? "ReasoningDelta" : "TextDelta", index: text.index, text: piece })
    }
    // A signature closes a text; it often comes with one of its own that is empty.
    if (text.signature !== undefined) close(parts)
  }

  const addOther = (content: Message.AssistantContent, parts: Array<CompletionPart>): void => {
    close(parts)
    end(count++, content, parts)
  }

  const malformedCall = (of: string, why: string): void => {
    broken ??= `the arguments of the call of ${of} ${why}`
  }

  const start = (index: number, { id, name, signature }: Omit<OpenCall, "index" | "args">): CompletionPart => ({
    _tag: "ToolCallStart",
    index,
    id,
    name,
    ...present("signature", signature)
  })

  const endCall = (
    index: number,
    { id, name, signature }: Omit<OpenCall, "index" | "args">,
    args: JsonRecord,
    parts: Array<CompletionPart>
  ): void => {
    const given = args as Message.ToolCall["arguments"]
    // What cannot be kept cannot be written either.
    if (survives(args)) parts.push({ _tag: "ToolCallDelta", index, arguments: JSON.stringify(args) })
    end(index, { _tag: "ToolCall", id, name, arguments: given, ...present("signature", signature) }, parts)
  }

  // Goes on with the call that is open.
  const addPieces = (open: OpenCall, value: JsonRecord, parts: Array<CompletionPart>): void => {
    const { args, partialArgs, willContinue } = value
    changes++
    if (args !== undefined && args !== null && Object.keys(object(args)).length > 0) {
      malformedCall(open.name, "come whole and in pieces")
      call = undefined
    } else if (!open.args.add(partialArgs)) {
      malformedCall(open.name, "come in pieces that do not fit together")
      call = undefined
    } else if (willContinue !== true && !open.args.waits()) {
      endCall(open.index, open, open.args.value(), parts)
      call = undefined
    }
  }

  const addCall = (value: JsonRecord, signature: string | undefined, parts: Array<CompletionPart>): void => {
    const name = string(value["name"])
    const id = string(value["id"])
    if (call !== undefined && (name === undefined || (id !== undefined && id === call.id))) {
      call.signature ??= signature
      return addPieces(call, value, parts)
    }
    // A call without a name cannot be run.
    if (name === undefined) return
    if (call !== undefined) malformedCall(call.name, "did not come to their end")
    call = undefined
    close(parts)
    const index = count++
    const head = { id: id ?? mintId(minted++), name, signature }
    parts.push(start(index, head))
    if (value["willContinue"] === true || Array.isArray(value["partialArgs"])) {
      call = { ...head, index, args: partialArgs() }
      return addPieces(call, value, parts)
    }
    const args = argumentsOf(value["args"])
    if (args === undefined) malformedCall(name, "are no object")
    else endCall(index, head, args, parts)
  }

  return {
    add: (part, parts) => {
      if (whole && !joined) close(parts)
      joined = false
      const signature = string(part["thoughtSignature"])
      const thought = part["thought"] === true
      if (isObject(part["functionCall"])) return addCall(part["functionCall"], signature, parts)
      if (thought ? Object.keys(part).every((key) => beside.has(key)) : typeof part["text"] === "string") {
        return addText(part, thought, parts)
      }
      const source = thought ? undefined : imageOf(part)
      if (source !== undefined) addOther({ _tag: "Image", source, ...present("signature", signature) }, parts)
      // Code that the provider ran, pictures that it thought with, and kinds of parts that are not known here.
      else if (Object.keys(part).length > 0) {
        addOther({ _tag: "ProviderBlock", provider: name, block: part as Message.ProviderBlock["block"] }, parts)
      }
    },
    close,
    goesOn: () => {
      joined = true
    },
    changes: () => changes,
    choice: () => {
      const open = text && contentOf(text)
      const found = text === undefined ? all : Object.assign([...all], { [text.index]: open })
      return found.filter((content) => content !== undefined)
    },
    malformed: (ended) =>
      broken ?? (ended && call ? `the arguments of the call of ${call.name} did not come to their end` : undefined)
  }
}

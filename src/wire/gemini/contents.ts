/**
 * Turns the parts of an answer into contents, one after the other. In a stream, texts come in pieces.
 */
import type { CompletionPart } from "../../CompletionPart.ts"
import type * as Message from "../../Message.ts"
import { present } from "../encode.ts"
import { isObject, type JsonRecord, object, parseJson, string, survives } from "../json.ts"
import { type PartialArgs, partialArgs } from "./partialArgs.ts"

/** Collects parts as contents. */
export interface Contents {
  /** Reads a part and emits what it adds. */
  readonly add: (part: JsonRecord, parts: Array<CompletionPart>) => void
  /** Ends the open text. */
  readonly close: (parts: Array<CompletionPart>) => void
  /** The next part continues the last one, although it comes in another body. */
  readonly goesOn: () => void
  /** How many parts changed the answer without emitting anything. */
  readonly changes: () => number
  /** The contents so far, without incomplete calls. */
  readonly choice: () => Array<Message.AssistantContent>
  /** Why a call cannot be read. `ended` means that nothing more of it can follow, although the answer was not cut. */
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

// Fields of a part that are not its data.
const notData: ReadonlySet<string> = new Set(["text", "thought", "thoughtSignature"])

// The arguments of a complete call; undefined when they are not an object.
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

/** Contents for the instance `name`. In a `whole` body every part is a content of its own. */
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
    // A signature ends a text. It often comes in a part of its own, with an empty text.
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
    const value = args as Message.ToolCall["arguments"]
    // Arguments that cannot be stored cannot be serialized either.
    if (survives(args)) parts.push({ _tag: "ToolCallDelta", index, arguments: JSON.stringify(args) })
    end(index, { _tag: "ToolCall", id, name, arguments: value, ...present("signature", signature) }, parts)
  }

  // Continues the open call.
  const addPieces = (open: OpenCall, value: JsonRecord, parts: Array<CompletionPart>): void => {
    const { args, partialArgs, willContinue } = value
    changes++
    if (args !== undefined && args !== null && Object.keys(object(args)).length > 0) {
      malformedCall(open.name, "came both complete and in pieces")
      call = undefined
    } else if (!open.args.add(partialArgs)) {
      malformedCall(open.name, "came in pieces that contradict each other")
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
    if (call !== undefined) malformedCall(call.name, "are incomplete")
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
    if (args === undefined) malformedCall(name, "are not an object")
    else endCall(index, head, args, parts)
  }

  return {
    add: (part, parts) => {
      if (whole && !joined) close(parts)
      joined = false
      const signature = string(part["thoughtSignature"])
      const thought = part["thought"] === true
      if (isObject(part["functionCall"])) return addCall(part["functionCall"], signature, parts)
      if (thought ? Object.keys(part).every((key) => notData.has(key)) : typeof part["text"] === "string") {
        return addText(part, thought, parts)
      }
      const source = thought ? undefined : imageOf(part)
      if (source !== undefined) addOther({ _tag: "Image", source, ...present("signature", signature) }, parts)
      // Code that the provider ran, images from its thinking, and unknown kinds of parts.
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
      broken ?? (ended && call ? `the arguments of the call of ${call.name} are incomplete` : undefined)
  }
}

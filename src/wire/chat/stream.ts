/**
 * The chunks of a Chat Completions stream, put together to the body that the call without streaming gives. Sources:
 * OpenAI API reference, "Chat streaming"; OpenRouter API reference, "Streaming", "Reasoning tokens".
 */
import type { CompletionPart } from "../../CompletionPart.ts"
import { array, isObject, type JsonRecord, number, object, parseJson, put, string } from "../json.ts"
import type { StreamDecoder } from "../Wire.ts"

interface Call {
  id: string | undefined
  name: string
  arguments: string
  /** Which of the answer's calls this is; a call without a name is none. */
  number: number | undefined
}

// Servers write arguments as pieces of a text, as the whole value, or as null for none.
const argumentsText = (value: unknown): string =>
  typeof value === "string" ? value : value === undefined || value === null ? "" : JSON.stringify(value)

const isWhole = (args: string): boolean => args.endsWith("}") && parseJson(args) !== undefined

// Some gateways give every call of a turn the same index: a new id together with a new start is a new call. Others give
// every fragment of one call a new id, which is not. Where there are no ids, a call is new when the one before is whole.
const isNewCall = (call: Call, id: string | undefined, name: string | undefined, args: string): boolean =>
  name !== undefined && (id === undefined
    ? args !== "" && isWhole(call.arguments)
    : id !== call.id && (name !== call.name || args === "" || isWhole(call.arguments)))

const detailKey = (detail: JsonRecord): string =>
  `${String(detail["type"])}:${String(number(detail["index"]) ?? string(detail["id"]) ?? "")}`

const concatenated = ["text", "summary", "data"]

export const chatStream = (mintId: (index: number) => string): StreamDecoder => {
  let id: string | undefined
  let model: string | undefined
  let usage: JsonRecord | undefined
  let finish: string | undefined
  let native: string | undefined
  let text = ""
  let refusal = ""
  let thinking = ""
  let reasoning = ""
  let field: string | undefined
  let hasChoice = false
  let done = false
  const details = new Map<string, Record<string, unknown>>()
  const images: Array<unknown> = []
  const audio: Record<string, unknown> = {}
  const calls: Array<Call> = []
  const slots = new Map<number, number>()
  let started = 0

  const addText = (piece: string | undefined, parts: Array<CompletionPart>): void => {
    if (piece === undefined) return
    text += piece
    parts.push({ _tag: "TextDelta", text: piece })
  }

  const addThinking = (piece: string, parts: Array<CompletionPart>): void => {
    if (piece === "") return
    thinking += piece
    parts.push({ _tag: "ReasoningDelta", text: piece })
  }

  const addContent = (content: unknown, parts: Array<CompletionPart>): void => {
    if (typeof content === "string") return addText(string(content), parts)
    for (const part of array(content).map(object)) {
      if (part["type"] === "thinking") {
        for (const item of array(part["thinking"])) addThinking(string(object(item)["text"]) ?? "", parts)
      } else addText(string(part["text"]), parts)
    }
  }

  const addReasoning = (delta: JsonRecord, parts: Array<CompletionPart>): void => {
    const name = string(delta["reasoning_content"]) !== undefined ? "reasoning_content" : "reasoning"
    const plain = string(delta[name])
    let fromDetails = ""
    if (plain !== undefined) {
      field = name
      reasoning += plain
    }
    for (const detail of array(delta["reasoning_details"]).filter(isObject)) {
      fromDetails += string(detail["text"]) ?? string(detail["summary"]) ?? ""
      const key = detailKey(detail)
      const before = details.get(key)
      if (before === undefined) details.set(key, { ...detail })
      else {
        for (const name in detail) {
          const value = detail[name]
          if (value === null || value === undefined) continue
          put(before, name, concatenated.includes(name) ? `${string(before[name]) ?? ""}${String(value)}` : value)
        }
      }
    }
    // Details repeat what the plain text says.
    const piece = plain ?? fromDetails
    if (piece !== "") parts.push({ _tag: "ReasoningDelta", text: piece })
  }

  const addCall = (fragment: JsonRecord, parts: Array<CompletionPart>): void => {
    const slot = number(fragment["index"]) ?? 0
    const id = string(fragment["id"])
    const made = object(fragment["function"])
    const name = string(made["name"])
    const piece = argumentsText(made["arguments"])
    let index = slots.get(slot)
    if (index === undefined || isNewCall(calls[index]!, id, name, piece)) {
      index = calls.push({ id, name: "", arguments: "", number: undefined }) - 1
      slots.set(slot, index)
    }
    const call = calls[index]!
    call.id ??= id
    if (call.name === "" && name !== undefined) call.name = name
    // A literal null stands for no arguments, or for arguments that are still to come.
    call.arguments = call.arguments === "null" ? piece : call.arguments + piece
    if (call.name === "") return
    const fresh = call.number === undefined ? call.arguments : piece
    if (call.number === undefined) {
      call.number = started++
      parts.push({ _tag: "ToolCallStart", index: call.number, id: call.id ??= mintId(index), name: call.name })
    }
    if (fresh !== "" && call.arguments !== "null") {
      parts.push({ _tag: "ToolCallDelta", index: call.number, arguments: fresh })
    }
  }

  const addAudio = (delta: JsonRecord): void => {
    for (const name in delta) {
      const value = delta[name]
      const before = audio[name]
      put(
        audio,
        name,
        typeof value === "string" && typeof before === "string" && name !== "id" ? before + value : value
      )
    }
  }

  const complete = (): boolean => finish !== undefined || done

  const message = (): JsonRecord => ({
    content: thinking === ""
      ? text
      : [
        { type: "thinking", thinking: [{ type: "text", text: thinking }] },
        ...(text === "" ? [] : [{ type: "text", text }])
      ],
    refusal,
    ...(field !== undefined && { [field]: reasoning }),
    reasoning_details: [...details.values()],
    // A call that the stream broke off in is none, even if nothing of its arguments had come, or only what may stand for
    // arguments that are still to come.
    tool_calls: calls.filter((call) => complete() || (call.arguments !== "" && call.arguments !== "null"))
      .map(({ arguments: args, id, name }) => ({ id, function: { name, arguments: args } })),
    images,
    ...(Object.keys(audio).length > 0 && { audio })
  })

  return {
    event: (event, parts) => {
      // Azure opens with an event that names neither.
      id ??= string(event["id"])
      model ??= string(event["model"])
      if (isObject(event["usage"])) usage = event["usage"]
      else if (isObject(object(event["x_groq"])["usage"])) usage = object(object(event["x_groq"])["usage"])
      const choice = array(event["choices"]).find((choice) => isObject(choice) && (number(choice["index"]) ?? 0) === 0)
      if (!isObject(choice)) return
      hasChoice = true
      const delta = object(choice["delta"])
      addReasoning(delta, parts)
      addContent(delta["content"], parts)
      const refused = string(delta["refusal"])
      if (refused !== undefined) {
        refusal += refused
        if (text === "") parts.push({ _tag: "TextDelta", text: refused })
      }
      for (const fragment of array(delta["tool_calls"])) if (isObject(fragment)) addCall(fragment, parts)
      if (isObject(delta["function_call"])) addCall({ function: delta["function_call"] }, parts)
      for (const image of array(delta["images"])) images.push(image)
      if (isObject(delta["audio"])) addAudio(delta["audio"])
      finish = string(choice["finish_reason"]) ?? finish
      native = string(choice["native_finish_reason"]) ?? native
    },
    end: () => {
      done = true
    },
    done: () => done,
    complete,
    body: () => ({
      id,
      model,
      choices: hasChoice ? [{ index: 0, message: message(), finish_reason: finish, native_finish_reason: native }] : [],
      ...(usage && { usage })
    })
  }
}

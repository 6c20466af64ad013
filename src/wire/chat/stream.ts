/**
 * Assembles the chunks of a stream into the answer that the call without streaming returns. Sources: OpenAI API
 * reference, "Chat streaming"; OpenRouter API reference, "Streaming", "Reasoning tokens".
 */
import type { CompletionPart } from "../../CompletionPart.ts"
import type * as Message from "../../Message.ts"
import { present } from "../encode.ts"
import { array, isObject, type JsonRecord, object, put, string } from "../json.ts"
import { type Answer, sound, type StreamDecoder } from "../Wire.ts"
import { type Call, fragmentsOf, indexOf, isEmpty, isOpen, isWhole, make as makeCalls } from "./calls.ts"
import { gather, gatherChoices } from "./gather.ts"
import {
  argumentsOf,
  audioOf,
  cost,
  ending,
  imageOf,
  metadataOf,
  notJson,
  otherParts,
  otherWord,
  reasoningOf,
  thinkingTexts,
  unread,
  unreadUsage,
  usage
} from "./response.ts"
import { reasoningFields } from "./shape.ts"

/** A content of the answer so far. Its position in the list is its index. */
type Item =
  | ReasoningItem
  | TextItem
  | CallItem
  | { readonly _tag: "Image"; readonly image: unknown }
  | { readonly _tag: "Audio"; readonly audio: Record<string, unknown> }

interface ReasoningItem {
  readonly _tag: "Reasoning"
  readonly message: Record<string, unknown>
  readonly details: Details
}

interface TextItem {
  readonly _tag: "Text" | "Thinking"
  text: string
}

interface CallItem {
  readonly _tag: "Call"
  readonly call: Call
  readonly id: string
}

type Details = Map<string, Record<string, unknown>>

const detailKey = (detail: JsonRecord): string =>
  `${String(detail["type"])}:${String(indexOf(detail["index"]) ?? string(detail["id"]) ?? "")}`

const concatenated: ReadonlySet<string> = new Set(["text", "summary", "data"])

// Details of the same type and index are pieces of one.
const addDetail = (details: Details, detail: JsonRecord): void => {
  const key = detailKey(detail)
  const before = details.get(key)
  if (before === undefined) {
    details.set(key, { ...detail })
    return
  }
  for (const name in detail) {
    const value = detail[name]
    if (value === null || value === undefined) continue
    put(before, name, concatenated.has(name) ? `${string(before[name]) ?? ""}${String(value)}` : value)
  }
}

const addAudio = (audio: Record<string, unknown>, delta: JsonRecord): void => {
  for (const name in delta) {
    const value = delta[name]
    const before = audio[name]
    put(audio, name, typeof value === "string" && typeof before === "string" && name !== "id" ? before + value : value)
  }
}

/** A decoder for one stream, for the instance `name`. */
export const stream = (name: string) => (mintId: (index: number) => string): StreamDecoder => {
  let id: string | undefined
  let model: string | undefined
  let reported: JsonRecord | undefined
  let finish: string | undefined
  let native: string | undefined
  let hasChoice = false
  let hasText = false
  let done = false
  const items: Array<Item> = []
  const places: { [Tag in "Reasoning" | "Text" | "Thinking"]?: number | undefined } = {}
  const callPlaces = new Map<Call, number>()
  const ended = new Map<number, Message.AssistantContent>()
  let unseen = 0
  const calls = makeCalls()
  let current: Call | undefined
  const body: Record<string, unknown> = {}
  const rest: Record<string, unknown> = {}
  const refusals: Array<string> = []
  const others = gatherChoices()

  // Reasoning and audio get an index when they produce their first part.
  let reasoning: ReasoningItem | undefined
  let audio: Record<string, unknown> | undefined

  // Another content begins, so hidden reasoning is complete.
  const settle = (parts: Array<CompletionPart>): void => {
    if (reasoning === undefined || places.Reasoning !== undefined || contentOf(reasoning).length === 0) return
    end(items.push(reasoning) - 1, parts)
    reasoning = undefined
  }

  // The open item of a kind, and its index.
  const textOf = (tag: "Text" | "Thinking", parts: Array<CompletionPart>): readonly [TextItem, number] => {
    if (places[tag] === undefined) {
      settle(parts)
      places[tag] = items.push({ _tag: tag, text: "" }) - 1
    }
    return [items[places[tag]] as TextItem, places[tag]]
  }

  const addText = (text: string | undefined, parts: Array<CompletionPart>): void => {
    if (text === undefined) return
    // In a list of contents, a text after reasoning is a new content.
    places.Thinking = undefined
    const [item, index] = textOf("Text", parts)
    item.text += text
    parts.push({ _tag: "TextDelta", index, text })
  }

  const addThinking = (text: string, parts: Array<CompletionPart>): void => {
    if (text === "") return
    places.Text = undefined
    const [item, index] = textOf("Thinking", parts)
    item.text += text
    parts.push({ _tag: "ReasoningDelta", index, text })
  }

  const addContent = (content: unknown, parts: Array<CompletionPart>): void => {
    if (typeof content === "string") {
      if (content !== "") hasText = true
      return addText(string(content), parts)
    }
    let textBefore = false
    for (const part of array(content).map(object)) {
      if (part["type"] === "thinking") {
        for (const text of thinkingTexts(part)) addThinking(text, parts)
        continue
      }
      const text = string(part["text"]) ?? string(part["refusal"])
      if (text === undefined) continue
      hasText = true
      // Each text in a list is a content of its own.
      if (textBefore) places.Text = undefined
      textBefore = true
      addText(text, parts)
    }
    gather(rest, { content: otherParts(content) })
  }

  const addReasoning = (delta: JsonRecord, parts: Array<CompletionPart>): void => {
    const field = reasoningFields.find((name) => string(delta[name]) !== undefined)
    const plain = field && string(delta[field])
    const newDetails = array(delta["reasoning_details"]).filter(isObject)
    if (plain === undefined && newDetails.length === 0) return
    reasoning ??= { _tag: "Reasoning", message: {}, details: new Map() }
    const { details, message } = reasoning
    if (field !== undefined && plain !== undefined) message[field] = `${string(message[field]) ?? ""}${plain}`
    for (const detail of newDetails) addDetail(details, detail)
    // Details repeat the plain text, in the same chunk or an earlier one.
    const repeated = plain ?? (reasoningFields.some((name) => message[name] !== undefined) ? "" : undefined)
    const text = repeated ??
      newDetails.map((detail) => string(detail["text"]) ?? string(detail["summary"]) ?? "").join("")
    if (text === "") {
      if (newDetails.some((detail) => string(detail["data"] ?? detail["signature"]) !== undefined)) unseen++
      return
    }
    const index = places.Reasoning ??= items.push(reasoning) - 1
    parts.push({ _tag: "ReasoningDelta", index, text })
  }

  const addRefusal = (delta: JsonRecord, parts: Array<CompletionPart>): void => {
    const refusal = string(delta["refusal"])
    if (refusal === undefined) return
    refusals.push(refusal)
    // A refusal that repeats the text is not added again.
    if (!hasText) addText(refusal, parts)
  }

  const addCall = (fragment: JsonRecord, parts: Array<CompletionPart>): void => {
    const added = calls.add(fragment)
    if (added === undefined) return
    const { call, isNew, piece } = added
    // The previous call is complete if its text is. Other contents may still continue.
    if (isNew && current !== undefined && isWhole(current) && calls.certain()) endCall(current, parts)
    current = call
    if (call.name === "" || call.ended) {
      unseen++
      return
    }
    const begun = callPlaces.get(call)
    const fresh = begun === undefined ? call.arguments : piece
    const index = begun ?? startCall(call, parts)
    if (fresh !== "" && !isEmpty(call)) parts.push({ _tag: "ToolCallDelta", index, arguments: fresh })
  }

  const startCall = (call: Call, parts: Array<CompletionPart>): number => {
    settle(parts)
    const id = call.id ?? mintId(call.position)
    const index = items.push({ _tag: "Call", call, id }) - 1
    callPlaces.set(call, index)
    const start = { _tag: "ToolCallStart", index, id, name: call.name } as const
    parts.push(call.signature === undefined ? start : { ...start, signature: call.signature })
    return index
  }

  const endCall = (call: Call, parts: Array<CompletionPart>): void => {
    const index = callPlaces.get(call)
    if (index !== undefined) end(index, parts)
  }

  const complete = (): boolean => finish !== undefined || done

  // A call is dropped if the stream ended inside it.
  const callOf = ({ call, id }: CallItem): ReadonlyArray<Message.ToolCall> => {
    if (isOpen(call) || (isEmpty(call) && !complete())) return []
    const value = argumentsOf(call.arguments, ending(finish, native).truncated)
    return value === undefined ? [] : [{
      _tag: "ToolCall",
      id,
      name: call.name,
      arguments: value as Message.ToolCall["arguments"],
      ...present("signature", call.signature)
    }]
  }

  const contentOf = (item: Item): ReadonlyArray<Message.AssistantContent> => {
    switch (item._tag) {
      case "Reasoning":
        return reasoningOf({ ...item.message, reasoning_details: [...item.details.values()] })
      case "Thinking":
        return [{ _tag: "Reasoning", content: [{ _tag: "Text", text: item.text }] }]
      case "Text":
        return [{ _tag: "Text", text: item.text }]
      case "Call":
        return callOf(item)
      case "Image":
        return imageOf(item.image)
      case "Audio":
        return audioOf(item.audio, name)
    }
  }

  const contentAt = (index: number): Message.AssistantContent | undefined =>
    ended.get(index) ?? contentOf(items[index]!)[0]

  // Emits the `ContentEnd` of a content that is complete and can be stored.
  const end = (index: number, parts: Array<CompletionPart>): void => {
    const content = contentAt(index)
    if (content === undefined || ended.has(index) || sound(content) === undefined) return
    ended.set(index, content)
    const item = items[index]!
    if (item._tag === "Call") item.call.ended = true
    parts.push({ _tag: "ContentEnd", index, content })
  }

  const malformedCall = (truncated: boolean): string | undefined => {
    if (truncated) return undefined
    const broken = calls.calls.findLast(({ arguments: args, ended, name }) =>
      !ended && name !== "" && argumentsOf(args, false) === undefined
    )
    return broken === undefined ? calls.doubt() : notJson(broken.name)
  }

  const addChoice = (choice: JsonRecord, parts: Array<CompletionPart>): void => {
    hasChoice = true
    const delta = object(choice["delta"])
    addReasoning(delta, parts)
    addContent(delta["content"], parts)
    addRefusal(delta, parts)
    for (const fragment of fragmentsOf(delta)) addCall(fragment, parts)
    for (const image of array(delta["images"])) {
      unseen++
      settle(parts)
      end(items.push({ _tag: "Image", image }) - 1, parts)
    }
    if (isObject(delta["audio"])) {
      unseen++
      addAudio(audio ??= {}, delta["audio"])
    }
    const { refusal: _, ...more } = unread(delta, "message")
    gather(rest, { ...unread(choice, "choice"), ...more })
    finish = string(choice["finish_reason"]) ?? finish
    native = string(choice["native_finish_reason"]) ?? native
  }

  const answer = (): Answer => {
    const { truncated, ...ends } = ending(finish, native)
    const usageGiven = reported ?? {}
    return {
      choice: [
        ...items.flatMap((_, index) => contentAt(index) ?? []),
        ...(reasoning !== undefined && places.Reasoning === undefined ? contentOf(reasoning) : []),
        ...audioOf(audio, name)
      ],
      ...ends,
      malformedCall: malformedCall(truncated),
      absent: !hasChoice,
      usage: usage(usageGiven),
      cost: cost(usageGiven),
      id,
      model,
      metadata: metadataOf(
        body,
        rest,
        otherWord({ finish_reason: finish, native_finish_reason: native }),
        { refusal: refusals.join(""), choices: others.choices(), usage: unreadUsage(usageGiven) }
      )
    }
  }

  return {
    event: (event, parts) => {
      // Azure's first event has neither.
      id ??= string(event["id"])
      model ??= string(event["model"])
      if (isObject(event["usage"])) reported = event["usage"]
      else if (isObject(object(event["x_groq"])["usage"])) reported = object(object(event["x_groq"])["usage"])
      for (const [key, value] of Object.entries(unread(event, "body"))) put(body, key, value)
      for (const choice of array(event["choices"]).filter(isObject)) {
        const index = indexOf(choice["index"]) ?? 0
        if (index === 0) addChoice(choice, parts)
        else others.add(index, choice)
      }
    },
    end: () => {
      done = true
    },
    done: () => done,
    complete,
    close: (parts) => {
      items.forEach((_, index) => end(index, parts))
      settle(parts)
      if (audio === undefined) return
      end(items.push({ _tag: "Audio", audio }) - 1, parts)
      audio = undefined
    },
    changes: () => unseen,
    head: () => ({ id, model }),
    answer
  }
}

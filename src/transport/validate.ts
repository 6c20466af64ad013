/**
 * Finds out why a completion cannot be sent, before it is sent. The rules are the same for all providers; each has a
 * table of what it accepts.
 */
import * as Completion from "../Completion.ts"
import type * as Message from "../Message.ts"
import { hasOtherTools } from "../wire/encode.ts"
import type { Media, Refused, Wire } from "../wire/Wire.ts"

const invalid = (description: string): Refused => ({ _tag: "Refused", reason: "InvalidRequest", description })

const unsupported = (description: string): Refused => ({ _tag: "Refused", reason: "Unsupported", description })

const sourceNames = { Url: "by URL", Base64: "as base64 data", FileId: "by file id" } as const

const list = (items: Iterable<string>): string => [...items].join(", ")

const checkMedia = (
  wire: Wire,
  what: string,
  media: Media | undefined,
  source: Message.Source
): Refused | undefined => {
  const taken = media?.[source._tag]
  if (taken === undefined) {
    const others = Object.keys(media ?? {}) as Array<keyof typeof sourceNames>
    return unsupported(
      `${wire.name} does not take ${what} ${sourceNames[source._tag]}${
        others.length === 0 ? "" : `: send it ${list(others.map((tag) => sourceNames[tag]))}`
      }`
    )
  }
  if (source._tag === "Base64" && taken !== true && !taken.includes(source.mediaType)) {
    return unsupported(`${wire.name} does not take ${what} of type ${source.mediaType}: use ${list(taken)}`)
  }
  const exempt = wire.accepts.urlWithoutMediaType
  if (
    source._tag === "Url" && source.mediaType === undefined && exempt !== undefined
    && !exempt.some((start) => source.url.startsWith(start))
  ) {
    return invalid(`${wire.name} needs the mediaType of ${what} by URL: Message.url(url, mediaType)`)
  }
  return undefined
}

const checkUserContent = (wire: Wire, content: Message.UserContent): Refused | undefined => {
  switch (content._tag) {
    case "Text":
      return undefined
    case "ToolResult":
      if (content.id === "") return invalid("a tool result has no id: give it the id of the call that it answers")
      for (const item of content.content) {
        const refused = item._tag === "Image" || item._tag === "Document"
          ? checkMedia(
            wire,
            `${item._tag.toLowerCase()} content in a tool result`,
            wire.accepts.toolResult?.[item._tag],
            item.source
          )
          : undefined
        if (refused !== undefined) return refused
      }
      return undefined
    default:
      return checkMedia(
        wire,
        `${content._tag.toLowerCase()} content`,
        wire.accepts.user[content._tag],
        content.source
      )
  }
}

const checkAssistantContent = (
  wire: Wire,
  content: Message.AssistantContent
): Refused | undefined => {
  switch (content._tag) {
    case "Image":
      return checkMedia(wire, "an image in an assistant message", wire.accepts.assistant, content.source)
    case "ToolCall":
      return content.id === "" || content.name === ""
        ? invalid("a tool call in the history has no id or no name: keep both as they came with the answer")
        : undefined
    default:
      return undefined
  }
}

const checkMessage = (wire: Wire, message: Message.Message): Refused | undefined => {
  switch (message._tag) {
    case "System":
      return undefined
    case "User":
      if (message.content.length === 0) return invalid("a user message is empty: give it at least one content")
      for (const content of message.content) {
        const refused = checkUserContent(wire, content)
        if (refused !== undefined) return refused
      }
      return undefined
    case "Assistant":
      for (const content of message.content) {
        const refused = checkAssistantContent(wire, content)
        if (refused !== undefined) return refused
      }
      return undefined
  }
}

const isBlank = (message: Message.Message): boolean =>
  message._tag === "System"
    ? message.content.trim() === ""
    : message.content.every((content) => content._tag === "Text" && content.text.trim() === "")

// The union of what the providers accept in the name of a tool.
const toolName = /^[A-Za-z0-9_.:-]{1,128}$/

const checkTools = (wire: Wire, completion: Completion.Completion): Refused | undefined => {
  const names = new Set<string>()
  for (const { name } of completion.tools) {
    if (name === "") return invalid("a tool has no name: give it one")
    if (!toolName.test(name)) {
      return invalid(
        `no provider takes the tool name ${JSON.stringify(name)}: use letters, digits, _ and -, at most 64 of them`
      )
    }
    if (names.has(name)) return invalid(`the tool name ${name} is given twice: rename one of the two tools`)
    names.add(name)
  }
  const choice = completion.toolChoice
  if (choice === undefined) return undefined
  // Tools may also be in additionalParams, where their names are not known.
  const hasOthers = hasOtherTools(completion, wire.vendor, wire.name)
  if (names.size === 0 && !hasOthers) {
    return choice._tag === "None"
      ? undefined
      : invalid("toolChoice is set, but there are no tools: give tools, or leave toolChoice out")
  }
  if (choice._tag !== "Specific") return undefined
  if (choice.names.length === 0) return invalid("toolChoice names no tool: name at least one")
  const unknown = choice.names.filter((name) => !names.has(name))
  if (unknown.length > 0 && !hasOthers) {
    return invalid(`toolChoice names ${list(unknown)}, which is not among the tools ${list(names)}`)
  }
  return choice.names.length > 1 && wire.accepts.severalToolNames !== true
    ? unsupported(
      `${wire.name} can be made to call one tool by name, not one of several: name one, or use Required`
    )
    : undefined
}

const ranges = [
  ["maxTokens", (value: number) => Number.isSafeInteger(value) && value > 0, "a positive whole number"],
  ["temperature", (value: number) => Number.isFinite(value) && value >= 0, "a number of at least 0"],
  ["topP", (value: number) => value > 0 && value <= 1, "a number above 0, and at most 1"],
  ["seed", Number.isSafeInteger, "a whole number"]
] as const satisfies ReadonlyArray<readonly [keyof Completion.Completion, (value: number) => boolean, string]>

const checkSettings = (completion: Completion.Completion): Refused | undefined => {
  for (const [name, isFit, give] of ranges) {
    const value = completion[name]
    if (value !== undefined && !isFit(value)) return invalid(`${name} is ${value}: give ${give}`)
  }
  const budget = completion.reasoning?.budgetTokens
  if (budget !== undefined && !(Number.isSafeInteger(budget) && budget >= 0)) {
    return invalid(`reasoning.budgetTokens is ${budget}: give a whole number of at least 0`)
  }
  return completion.stopSequences?.includes("") === true
    ? invalid("stopSequences contains an empty text: leave it out")
    : undefined
}

/** Why a completion cannot be sent to this provider, or undefined if it can. */
export const validate = (wire: Wire, completion: Completion.Completion): Refused | undefined => {
  if (isBlank(completion.prompt)) return invalid("the prompt is empty: give it a text or other content")
  if (Completion.messages(completion).every((message) => message._tag === "System" || isBlank(message))) {
    return invalid("there are only system messages: give a user message as the prompt")
  }
  const refused = checkSettings(completion) ?? checkTools(wire, completion)
  if (refused !== undefined) return refused
  for (const message of Completion.messages(completion)) {
    const refused = checkMessage(wire, message)
    if (refused !== undefined) return refused
  }
  return undefined
}

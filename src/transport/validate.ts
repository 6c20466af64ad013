/**
 * Finds what keeps a completion from being sent, before it is: the same rules for every provider, over its table of
 * what it accepts.
 */
import * as Completion from "../Completion.ts"
import type * as Message from "../Message.ts"
import { hasOtherTools } from "../wire/encode.ts"
import type { Signal } from "../wire/failure.ts"
import type { Media, Protocol } from "../wire/Wire.ts"

type Refused = Extract<Signal, { readonly _tag: "Refused" }>

const invalid = (description: string): Refused => ({ _tag: "Refused", reason: "InvalidRequest", description })

const unsupported = (description: string): Refused => ({ _tag: "Refused", reason: "Unsupported", description })

const sourceNames = { Url: "by URL", Base64: "as base64 data", FileId: "by file id" } as const

const list = (items: Iterable<string>): string => [...items].join(", ")

const checkMedia = (
  protocol: Protocol,
  what: string,
  media: Media | undefined,
  source: Message.Source
): Refused | undefined => {
  const taken = media?.[source._tag]
  if (taken === undefined) {
    const others = Object.keys(media ?? {}) as Array<keyof typeof sourceNames>
    return unsupported(
      `${protocol.provider} does not take ${what} ${sourceNames[source._tag]}${
        others.length === 0 ? "" : `: send it ${list(others.map((tag) => sourceNames[tag]))}`
      }`
    )
  }
  if (source._tag === "Base64" && taken !== true && !taken.includes(source.mediaType)) {
    return unsupported(`${protocol.provider} does not take ${what} of type ${source.mediaType}: use ${list(taken)}`)
  }
  const exempt = protocol.accepts.urlWithoutMediaType
  if (
    source._tag === "Url" && source.mediaType === undefined && exempt !== undefined
    && !exempt.some((start) => source.url.startsWith(start))
  ) {
    return invalid(`${protocol.provider} needs the mediaType of ${what} by URL: Message.url(url, mediaType)`)
  }
  return undefined
}

const checkUserContent = (protocol: Protocol, content: Message.UserContent): Refused | undefined => {
  switch (content._tag) {
    case "Text":
      return undefined
    case "ToolResult":
      if (content.id === "") return invalid("a tool result has no id: give it the id of the call that it answers")
      for (const item of content.content) {
        const refused = item._tag === "Image"
          ? checkMedia(protocol, "an image in a tool result", protocol.accepts.toolResult, item.source)
          : undefined
        if (refused !== undefined) return refused
      }
      return undefined
    default:
      return checkMedia(
        protocol,
        `${content._tag.toLowerCase()} content`,
        protocol.accepts.user[content._tag],
        content.source
      )
  }
}

const checkAssistantContent = (
  protocol: Protocol,
  content: Message.AssistantContent
): Refused | undefined => {
  switch (content._tag) {
    case "Image":
      return checkMedia(protocol, "an image in an assistant message", protocol.accepts.assistant, content.source)
    case "ToolCall":
      return content.id === "" || content.name === ""
        ? invalid("a tool call in the history has no id or no name: keep both as they came with the answer")
        : undefined
    default:
      return undefined
  }
}

const checkMessage = (protocol: Protocol, message: Message.Message): Refused | undefined => {
  switch (message._tag) {
    case "System":
      return undefined
    case "User":
      if (message.content.length === 0) return invalid("a user message holds nothing: give it at least one content")
      for (const content of message.content) {
        const refused = checkUserContent(protocol, content)
        if (refused !== undefined) return refused
      }
      return undefined
    case "Assistant":
      for (const content of message.content) {
        const refused = checkAssistantContent(protocol, content)
        if (refused !== undefined) return refused
      }
      return undefined
  }
}

const isBlank = (message: Message.Message): boolean =>
  message._tag === "System"
    ? message.content.trim() === ""
    : message.content.every((content) => content._tag === "Text" && content.text.trim() === "")

// What any of the providers takes in the name of a tool; each of them takes less.
const toolName = /^[A-Za-z0-9_.:-]{1,128}$/

const checkTools = (protocol: Protocol, completion: Completion.Completion): Refused | undefined => {
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
  // Tools may also come through additionalParams, where their names cannot be known.
  const hasOthers = hasOtherTools(completion, protocol.provider)
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
  return choice.names.length > 1 && protocol.accepts.severalToolNames !== true
    ? unsupported(
      `${protocol.provider} can be made to call one tool by name, not one of several: name one, or use Required`
    )
    : undefined
}

const checkSettings = ({ maxTokens, stopSequences = [], temperature }: Completion.Completion): Refused | undefined => {
  if (maxTokens !== undefined && !(Number.isSafeInteger(maxTokens) && maxTokens > 0)) {
    return invalid(`maxTokens is ${maxTokens}: give a positive whole number`)
  }
  if (stopSequences.includes("")) return invalid("stopSequences hold an empty text: leave it out")
  return temperature !== undefined && !(Number.isFinite(temperature) && temperature >= 0)
    ? invalid(`temperature is ${temperature}: give a number of at least 0`)
    : undefined
}

/** Why a completion cannot be sent to this provider, or undefined when it can. */
export const validate = (protocol: Protocol, completion: Completion.Completion): Refused | undefined => {
  if (isBlank(completion.prompt)) return invalid("the prompt is empty: give it a text or another content")
  if (Completion.messages(completion).every((message) => message._tag === "System" || isBlank(message))) {
    return invalid("there are only system messages: give a user message as the prompt")
  }
  const refused = checkSettings(completion) ?? checkTools(protocol, completion)
  if (refused !== undefined) return refused
  for (const message of Completion.messages(completion)) {
    const refused = checkMessage(protocol, message)
    if (refused !== undefined) return refused
  }
  return undefined
}

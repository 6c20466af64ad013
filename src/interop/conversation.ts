/**
 * Converts conversations between the `Prompt` of effect/ai and the messages of a `Completion`, both ways, without loss.
 */
import * as Prompt from "effect/ai/Prompt"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Message from "../Message.ts"
import { fromCache, fromFile, kindOf, type Marked, toCache, toFile, toImage } from "./files.ts"
import { fromMessage as fromAssistantMessage, key, toAssistant } from "./turns.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Tool results
// ---------------------------------------------------------------------------------------------------------------------

const toModelOutput = (content: Message.ToolResultContent): Prompt.ToolModelOutputPart => {
  switch (content._tag) {
    case "Image":
    case "Document":
      return toFile(content)
    case "Text":
      return Prompt.textPart({ text: content.text })
    case "Json":
      return Prompt.textPart({ text: JSON.stringify(content.value) })
  }
}

/** A result of one text or one JSON value becomes that value; any other becomes its contents and their text form. */
const valueOf = ({ content }: Message.ToolResult): Pick<Prompt.ToolResultPart, "result" | "modelOutput"> => {
  const [only, ...others] = content
  if (others.length === 0 && only?._tag === "Json") return { result: only.value }
  if (others.length === 0 && only?._tag === "Text") return { result: only.text }
  return { result: content, modelOutput: content.map(toModelOutput) }
}

// ---------------------------------------------------------------------------------------------------------------------
// From a prompt to messages
// ---------------------------------------------------------------------------------------------------------------------

const fromModelOutput = (part: Prompt.ToolModelOutputPart): Message.ToolResultContent =>
  part.type === "text"
    ? Message.text(part.text)
    : kindOf(part) === "image"
    ? toImage(part)
    : Message.text(Prompt.toolModelOutputToText([part]))

const fromResultValue = (result: unknown): ReadonlyArray<Message.ToolResultContent> => {
  if (result === undefined) return []
  return [typeof result === "string" ? Message.text(result) : Message.json(result as Schema.Json)]
}

const fromResult = (part: Prompt.ToolResultPart, marked: Marked): Message.ToolResult => ({
  ...Message.toolResult({
    id: part.id,
    name: part.name,
    content: part.modelOutput?.map(fromModelOutput) ?? fromResultValue(part.result),
    isError: part.isFailure
  }),
  ...marked
})

type UserPart = Prompt.UserMessagePart | Prompt.ToolResultPart

const decodeOwn = Schema.decodeUnknownOption(Schema.Struct({ content: Message.UserContent }))

const readPart = (part: UserPart, marked: Marked): Message.UserContent => {
  switch (part.type) {
    case "text":
      return Message.text(part.text, marked)
    case "file":
      return fromFile(part, marked)
    case "tool-result":
      return fromResult(part, marked)
  }
}

// Whether a part still matches the content that it carries; the data of files is not compared.
const says = (part: UserPart, content: Message.UserContent): boolean => {
  switch (part.type) {
    case "text":
      return content._tag === "Text" && content.text === part.text
    case "file":
      return content._tag !== "Text" && content._tag !== "ToolResult"
    case "tool-result":
      if (content._tag !== "ToolResult" || content.id !== part.id) return false
      return Equal.equals(valueOf(content).result, part.result) && (content.isError === true) === part.isFailure
  }
}

const fromUserPart = (part: UserPart, marked: Marked): Message.UserContent => {
  const carried = part.options[key] === undefined ? undefined : Option.getOrUndefined(decodeOwn(part.options[key]))
  return carried !== undefined && says(part, carried.content) ? carried.content : readPart(part, marked)
}

const userMessage = (contents: ReadonlyArray<Message.UserContent>): ReadonlyArray<Message.Message> =>
  contents.length === 0 ? [] : [Message.user(contents)]

const fromMessage = (message: Prompt.Message): ReadonlyArray<Message.Message> => {
  // A cache mark on a message belongs to its last part.
  const marked = (options: Prompt.ProviderOptions, index: number): Marked =>
    index === message.content.length - 1 ? fromCache(options, message.options) : fromCache(options)
  switch (message.role) {
    case "system":
      return [Message.system(message.content, fromCache(message.options))]
    case "user":
      return userMessage(message.content.map((part, index) => fromUserPart(part, marked(part.options, index))))
    case "assistant":
      return [toAssistant(message)]
    case "tool":
      return userMessage(
        message.content.flatMap((part, index) =>
          part.type === "tool-result" ? [fromUserPart(part, marked(part.options, index))] : []
        )
      )
  }
}

/** The messages of a prompt, in order. */
export const fromPrompt = (prompt: Prompt.Prompt): ReadonlyArray<Message.Message> => prompt.content.flatMap(fromMessage)

// ---------------------------------------------------------------------------------------------------------------------
// From messages to a prompt
// ---------------------------------------------------------------------------------------------------------------------

const toResult = (result: Message.ToolResult): Prompt.ToolResultPart =>
  Prompt.toolResultPart({
    id: result.id,
    name: result.name,
    isFailure: result.isError === true,
    ...valueOf(result),
    providerExecuted: false,
    options: toCache(result)
  })

// A part, carrying the content itself if the part cannot represent all of it.
const exact = <P extends UserPart>(part: P, content: Message.UserContent): P =>
  Equal.equals(readPart(part, fromCache(part.options)), content)
    ? part
    : { ...part, options: { ...part.options, [key]: { content: content as unknown as Schema.Json } } }

const toUser = ({ content }: Message.User): ReadonlyArray<Prompt.Message> => {
  const results = content.flatMap((one) => one._tag === "ToolResult" ? [exact(toResult(one), one)] : [])
  const others = content.flatMap((one): ReadonlyArray<Prompt.UserMessagePart> => {
    if (one._tag === "ToolResult") return []
    return [
      one._tag === "Text"
        ? exact(Prompt.textPart({ text: one.text, options: toCache(one) }), one)
        : exact(toFile(one), one)
    ]
  })
  return [
    ...(results.length === 0 ? [] : [Prompt.toolMessage({ content: results })]),
    ...(others.length === 0 ? [] : [Prompt.userMessage({ content: others })])
  ]
}

const toMessage = (message: Message.Message): ReadonlyArray<Prompt.Message> => {
  switch (message._tag) {
    case "System":
      return [Prompt.systemMessage({ content: message.content, options: toCache(message) })]
    case "User":
      return toUser(message)
    case "Assistant":
      return [fromAssistantMessage(message)]
  }
}

/** The prompt with these messages. Tool results come before the other contents of their turn. */
export const toPrompt = (messages: ReadonlyArray<Message.Message>): Prompt.Prompt =>
  Prompt.fromMessages(messages.flatMap(toMessage))

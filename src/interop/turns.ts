/**
 * Converts a model's turns to and from effect/ai. What its parts have no place for (signatures, redacted reasoning,
 * citations, provider blocks, ids) is kept under the key `effect-llm` in the options of a part. effect/ai keeps them in
 * `Chat`, its export and its persistence.
 *
 * A part is converted back to its original content only if it still matches it: a user's changes win.
 */
import * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Message from "../Message.ts"
import { isObject, object } from "../wire/json.ts"
import { fromCache, toImage } from "./files.ts"

/** The key of effect-llm's own data in the options and metadata of effect/ai. */
export const key = "effect-llm"

const Carried = Schema.Struct({
  /** The message's id at the provider, and the provider's name: on one part of the turn. */
  ...Message.Assistant.mapFields(({ id, provider }) => ({ id, provider })).fields,
  /** The index of the content in the turn, if parts may be in another order. */
  index: Schema.optionalKey(Schema.Int),
  /** The content, if the part does not represent all of it. */
  content: Schema.optionalKey(Message.AssistantContent)
})
interface Carried extends Schema.Schema.Type<typeof Carried> {}

const decodeCarried = Schema.decodeUnknownOption(Carried)

const nothing: Carried = {}

const carriedOf = (options: Prompt.ProviderOptions): Carried =>
  options[key] === undefined ? nothing : Option.getOrElse(decodeCarried(options[key]), () => nothing)

/** Our data as metadata of a part, in JSON. */
export const metadata = (carried: Carried): Response.ProviderMetadata => ({ [key]: carried as unknown as Schema.Json })

// ---------------------------------------------------------------------------------------------------------------------
// From contents to parts
// ---------------------------------------------------------------------------------------------------------------------

/** A part of a turn in a whole answer. */
export type Spoken = Extract<Response.PartEncoded, { readonly type: "text" | "reasoning" | "tool-call" | "file" }>

const readable = (content: Message.Reasoning): ReadonlyArray<string> =>
  content.content.flatMap((part) => part._tag === "Text" || part._tag === "Summary" ? [part.text] : [])

/** The part that represents a content as far as possible; undefined if none does. */
export const toPart = (content: Message.AssistantContent): Spoken | undefined => {
  switch (content._tag) {
    case "Text":
      return content.text === "" ? undefined : { type: "text", text: content.text }
    case "Reasoning": {
      const text = readable(content).join("\n")
      return text === "" ? undefined : { type: "reasoning", text }
    }
    case "ToolCall":
      return { type: "tool-call", id: content.id, name: content.name, params: content.arguments }
    case "Image":
      return content.source._tag === "Base64"
        ? { type: "file", mediaType: content.source.mediaType, data: content.source.data }
        : undefined
    case "ProviderBlock":
      return undefined
  }
}

const fromSpoken = (part: Spoken): Message.AssistantContent => {
  switch (part.type) {
    case "text":
      return Message.text(part.text)
    case "reasoning":
      return { _tag: "Reasoning", content: [{ _tag: "Text", text: part.text }] }
    case "tool-call":
      return Message.toolCall({ id: part.id, name: part.name, arguments: part.params as Schema.Json })
    case "file":
      return Message.image(Message.base64(part.data, part.mediaType))
  }
}

/** The part for a content that effect/ai cannot represent. */
export const silent = { type: "reasoning", text: "" } as const

/** The data of a content that its part cannot represent. */
export const remainder = (content: Message.AssistantContent, part: Spoken | undefined): Carried =>
  part !== undefined && Equal.equals(fromSpoken(part), content) ? nothing : { content }

/** The parts of a message. Each carries what it cannot represent, the first one also the message's id and provider. */
export const fromAssistant = ({ content, id, provider }: Message.Assistant): ReadonlyArray<Spoken> => {
  const whose: Carried = { ...(id !== undefined && { id }), ...(provider !== undefined && { provider }) }
  const parts = content.map((one, index): Spoken => {
    const part = toPart(one)
    const carried = { ...remainder(one, part), ...(index === 0 && whose) }
    return Object.keys(carried).length === 0 ? part ?? silent : { ...part ?? silent, metadata: metadata(carried) }
  })
  return parts.length === 0 && Object.keys(whose).length > 0 ? [{ ...silent, metadata: metadata(whose) }] : parts
}

// ---------------------------------------------------------------------------------------------------------------------
// From parts to contents
// ---------------------------------------------------------------------------------------------------------------------

// Whether a part still matches the content that it carries.
const says = (part: Prompt.AssistantMessagePart, content: Message.AssistantContent): boolean => {
  switch (part.type) {
    case "text":
      return content._tag === "Text" && content.text === part.text
    case "reasoning":
      if (content._tag !== "Reasoning") return part.text === "" && toPart(content) === undefined
      // Streams join the texts.
      return readable(content).join("\n") === part.text || readable(content).join("") === part.text
    case "tool-call":
      return content._tag === "ToolCall" && content.id === part.id && content.name === part.name &&
        Equal.equals(content.arguments, part.params)
    case "file":
      return content._tag === "Image" && Equal.equals(toImage(part).source, content.source)
    case "tool-result":
    case "tool-approval-request":
      return false
  }
}

// Reasoning as effect/ai's Anthropic package stores it, so that its conversations can continue here.
const fromReasoning = (part: Prompt.ReasoningPart): Message.Reasoning => {
  const { redactedData, signature } = object(object(part.options["anthropic"])["info"])
  return {
    _tag: "Reasoning",
    content: typeof redactedData === "string"
      ? [{ _tag: "Redacted", data: redactedData }]
      : [{ _tag: "Text", text: part.text, ...(typeof signature === "string" && { signature }) }]
  }
}

const fromPart = (part: Prompt.AssistantMessagePart): ReadonlyArray<Message.AssistantContent> => {
  switch (part.type) {
    case "text":
      return part.text === "" ? [] : [Message.text(part.text, fromCache(part.options))]
    case "reasoning":
      return part.text === "" && part.options["anthropic"] === undefined ? [] : [fromReasoning(part)]
    case "file":
      return [toImage(part)]
    case "tool-call":
      // A tool that the provider ran itself becomes one of the provider's blocks.
      return part.providerExecuted ? [] : [
        Message.toolCall({
          id: part.id,
          name: part.name,
          arguments: part.params as Schema.Json,
          ...fromCache(part.options)
        })
      ]
    case "tool-result":
    case "tool-approval-request":
      return []
  }
}

/** The message of a turn. */
export const toAssistant = (message: Prompt.AssistantMessage): Message.Assistant => {
  let whose: Pick<Carried, "id" | "provider"> = {}
  let place = -1
  const placed = message.content.flatMap((part) => {
    const { content, id, index, provider } = carriedOf(part.options)
    if (id !== undefined || provider !== undefined) whose = { ...whose, ...defined({ id, provider }) }
    // A part that the user inserted stays after the part before it.
    place = index ?? place
    const at = place
    const contents = content !== undefined && says(part, content) ? [content] : fromPart(part)
    return contents.map((content) => ({ at, content }))
  })
  // Sorting is stable.
  return Message.assistant(placed.sort((a, b) => a.at - b.at).map(({ content }) => content), whose)
}

const defined = ({ id, provider }: { readonly id: string | undefined; readonly provider: string | undefined }) => ({
  ...(id !== undefined && { id }),
  ...(provider !== undefined && { provider })
})

// ---------------------------------------------------------------------------------------------------------------------
// Turns of the models of effect/ai
// ---------------------------------------------------------------------------------------------------------------------

const PromptParts = Schema.Struct({ content: Schema.Array(Prompt.AssistantMessagePart) })
const encodeParts = Schema.encodeSync(PromptParts)
const decodeParts = Schema.decodeUnknownOption(PromptParts)

/** The name of the block for the parts of an effect/ai model, with its metadata. */
export const foreign = "effect-ai"

// The visible content of a turn: if it is unchanged, the carried parts still apply.
const visible = (contents: ReadonlyArray<Message.AssistantContent>) => ({
  text: contents.flatMap((content) => content._tag === "Text" ? [content.text] : []).join(""),
  calls: contents.flatMap((content) =>
    content._tag === "ToolCall" ? [{ id: content.id, name: content.name, arguments: content.arguments }] : []
  )
})

const isPlain = (part: Prompt.AssistantMessagePart): boolean =>
  Object.keys(part.options).length === 0 && !(part.type === "tool-call" && part.providerExecuted) &&
  part.type !== "tool-result" && part.type !== "tool-approval-request"

/**
 * The contents of a turn that an effect/ai model wrote. What they cannot represent (the provider's metadata, calls that
 * the provider ran itself) is kept in a separate block.
 */
export const fromForeign = (message: Prompt.AssistantMessage): ReadonlyArray<Message.AssistantContent> => {
  const { content } = toAssistant(message)
  if (message.content.some((part) => part.options[key] !== undefined) || message.content.every(isPlain)) return content
  const block = encodeParts(message) as unknown as Schema.JsonObject
  return [...content, { _tag: "ProviderBlock", provider: foreign, block }]
}

// The original parts of the effect/ai model, if they still match this message.
const ownParts = ({ content }: Message.Assistant): ReadonlyArray<Prompt.AssistantMessagePart> | undefined => {
  const block = content.find((one) => one._tag === "ProviderBlock" && one.provider === foreign)
  if (block?._tag !== "ProviderBlock" || !isObject(block.block)) return undefined
  const parts = Option.getOrUndefined(decodeParts(block.block))?.content
  const others = content.filter((one) => one !== block)
  return parts !== undefined && Equal.equals(visible(parts.flatMap(fromPart)), visible(others)) ? parts : undefined
}

/** The turn of a message. */
export const fromMessage = (message: Message.Assistant): Prompt.AssistantMessage =>
  Prompt.assistantMessage({
    content: ownParts(message) ?? fromAssistant(message).map(({ metadata: options = {}, ...part }) =>
      // The union type of all parts cannot express which fields belong to which type.
      Prompt.makePart(
        part.type,
        { ...part, options, ...(part.type === "tool-call" && { providerExecuted: false }) } as never
      )
    )
  })

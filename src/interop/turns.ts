/**
 * Turns of a model in both vocabularies. What the parts of effect/ai have no place for (signatures, redacted reasoning,
 * citations, a provider's own blocks, ids) travels under the key `effect-llm` in the options of a part, which effect/ai
 * carries through `Chat`, its export and its persistence, and comes back from there.
 *
 * A part brings back the content that it was made of as long as it still says the same: what a user changed counts.
 */
import * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Message from "../Message.ts"
import { isObject, object } from "../wire/json.ts"
import { fromCache, toImage } from "./files.ts"

/** Under this key stands in options and metadata of effect/ai what only effect-llm knows. */
export const key = "effect-llm"

const Carried = Schema.Struct({
  /** The provider's id of the message, and the provider that wrote it: on one part of the turn. */
  ...Message.Assistant.mapFields(({ id, provider }) => ({ id, provider })).fields,
  /** The place of the content among those of the turn, where parts may come in another order. */
  index: Schema.optionalKey(Schema.Int),
  /** The content, where the part does not say all of it. */
  content: Schema.optionalKey(Message.AssistantContent)
})
interface Carried extends Schema.Schema.Type<typeof Carried> {}

const decodeCarried = Schema.decodeUnknownOption(Carried)

const nothing: Carried = {}

const carriedOf = (options: Prompt.ProviderOptions): Carried =>
  options[key] === undefined ? nothing : Option.getOrElse(decodeCarried(options[key]), () => nothing)

/** What is carried, as metadata of a part; all of it is JSON. */
export const metadata = (carried: Carried): Response.ProviderMetadata => ({ [key]: carried as unknown as Schema.Json })

// ---------------------------------------------------------------------------------------------------------------------
// From contents to parts
// ---------------------------------------------------------------------------------------------------------------------

/** A part of a turn, as a whole answer brings it. */
export type Spoken = Extract<Response.PartEncoded, { readonly type: "text" | "reasoning" | "tool-call" | "file" }>

const readable = (content: Message.Reasoning): ReadonlyArray<string> =>
  content.content.flatMap((part) => part._tag === "Text" || part._tag === "Summary" ? [part.text] : [])

/** The part that says a content, as far as a part can; undefined where none does. */
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

/** What stands for a content of which no part says anything. */
export const silent = { type: "reasoning", text: "" } as const

/** What of a content has to be carried beside its part. */
export const remainder = (content: Message.AssistantContent, part: Spoken | undefined): Carried =>
  part !== undefined && Equal.equals(fromSpoken(part), content) ? nothing : { content }

/** The parts of a message: each carries what it does not say, the first one whose message it is. */
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

// Whether a part still says what the content does that it carries.
const says = (part: Prompt.AssistantMessagePart, content: Message.AssistantContent): boolean => {
  switch (part.type) {
    case "text":
      return content._tag === "Text" && content.text === part.text
    case "reasoning":
      if (content._tag !== "Reasoning") return part.text === "" && toPart(content) === undefined
      // Streams give the texts one behind the other.
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

// Reasoning as the Anthropic package of effect/ai keeps it, so that a conversation begun there can go on here.
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
      // What a provider ran itself is one of its own blocks.
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
    // A part that the user put in stays behind the one before it.
    place = index ?? place
    const at = place
    const contents = content !== undefined && says(part, content) ? [content] : fromPart(part)
    return contents.map((content) => ({ at, content }))
  })
  // Sorting keeps the order of those that have the same place.
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

/** The name under which the parts of a model of effect/ai travel, for its own metadata. */
export const foreign = "effect-ai"

// What everybody sees of a turn: as long as it is as it was, so is the rest.
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
 * The contents of a turn that a model of effect/ai wrote. What they cannot say (the metadata of its provider, calls that
 * the provider ran itself) travels in a block of its own.
 */
export const fromForeign = (message: Prompt.AssistantMessage): ReadonlyArray<Message.AssistantContent> => {
  const { content } = toAssistant(message)
  if (message.content.some((part) => part.options[key] !== undefined) || message.content.every(isPlain)) return content
  const block = encodeParts(message) as unknown as Schema.JsonObject
  return [...content, { _tag: "ProviderBlock", provider: foreign, block }]
}

// The parts as the model of effect/ai wrote them, where they are those of this message still.
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
      // The fields of a part belong to its type, which the type of all of them cannot say.
      Prompt.makePart(
        part.type,
        { ...part, options, ...(part.type === "tool-call" && { providerExecuted: false }) } as never
      )
    )
  })

/**
 * Tool call ids that a provider accepts. A conversation from another provider contains ids in that provider's format,
 * which this one may refuse. Their values do not matter, as long as a call and its result have the same one.
 */
import * as Hash from "effect/Hash"
import type * as Message from "../Message.ts"

/** The ids that a provider accepts. */
export interface CallIds {
  /** Whether it accepts this id. `own` means that it wrote the id itself, or that the message names no provider. */
  readonly fits: (id: string, own: boolean) => boolean
  /** Whether ids must be unique in the whole conversation. Within a turn they always must be. */
  readonly unique?: true
}

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// Mistral's format is the strictest, so these ids are valid everywhere.
const length = 9

const short = (seed: string): string => {
  let id = ""
  for (let index = 0; index < length; index++) {
    // One hash has enough bits for five letters.
    const hash = Hash.string(`${Math.floor(index / 5)} ${seed}`) >>> 0
    id += alphabet[Math.floor(hash / alphabet.length ** (index % 5)) % alphabet.length]
  }
  return id
}

const isCall = (content: Message.AssistantContent): content is Message.ToolCall => content._tag === "ToolCall"

const isOwn = (message: Message.Assistant, provider: string): boolean =>
  message.provider === undefined || message.provider === provider

// Usually all ids can be sent as they are.
const allFit = (messages: ReadonlyArray<Message.Message>, provider: string, { fits, unique }: CallIds): boolean => {
  const seen = new Set<string>()
  for (const message of messages) {
    if (message._tag !== "Assistant") continue
    if (unique !== true) seen.clear()
    for (const { id } of message.content.filter(isCall)) {
      if (!fits(id, isOwn(message, provider)) || seen.has(id)) return false
      seen.add(id)
    }
  }
  return true
}

/**
 * Replaces every id that the provider would refuse, in calls and results. Distinct calls keep distinct ids, and the
 * same messages always get the same ids, because the provider's prompt cache depends on it.
 */
export const fitIds = (
  messages: ReadonlyArray<Message.Message>,
  provider: string,
  form: CallIds
): ReadonlyArray<Message.Message> => {
  if (allFit(messages, provider, form)) return messages
  const taken = new Set(
    messages.flatMap((message) =>
      message._tag === "Assistant" ? message.content.filter(isCall).map(({ id }) => id) : []
    )
  )
  // The ids that later calls cannot use.
  const seen = new Set<string>()
  // How many names were generated for an id. Those names stay taken.
  const tried = new Map<string, number>()
  // For each id, its names in the last turn that used it, in the order of its calls, and how many have a result.
  const current = new Map<string, { readonly names: Array<string>; answered: number }>()

  const nameOf = (id: string, own: boolean): string => {
    const again = seen.has(id)
    seen.add(id)
    if (form.fits(id, own) && !again) return id
    let round = tried.get(id) ?? 0
    let name = ""
    do name = short(round === 0 ? id : `${id} ${round}`)
    while (++round && taken.has(name))
    tried.set(id, round)
    taken.add(name)
    return name
  }

  // Extra results belong to the last call.
  const answerOf = (id: string): string => {
    const turn = current.get(id)
    if (turn === undefined) return id
    const { answered, names } = turn
    if (answered < names.length - 1) turn.answered++
    return names[answered]!
  }

  return messages.map((message) => {
    switch (message._tag) {
      case "System":
        return message
      case "User":
        return {
          ...message,
          content: message.content.map((content) =>
            content._tag === "ToolResult" ? { ...content, id: answerOf(content.id) } : content
          ) as ReadonlyArray<Message.UserContent> as Message.User["content"]
        }
      case "Assistant": {
        const inTurn = new Map<string, Array<string>>()
        if (form.unique !== true) seen.clear()
        const content = message.content.map((content) => {
          if (!isCall(content)) return content
          const id = nameOf(content.id, isOwn(message, provider))
          const names = inTurn.get(content.id)
          if (names === undefined) inTurn.set(content.id, [id])
          else names.push(id)
          return { ...content, id }
        })
        for (const [id, names] of inTurn) current.set(id, { names, answered: 0 })
        return { ...message, content }
      }
    }
  })
}

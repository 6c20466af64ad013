/**
 * Ids of tool calls that a provider takes. A conversation that another provider began holds ids of that one's form, which
 * this one may refuse; what they are means nothing, as long as a call and its result have the same.
 */
import * as Hash from "effect/Hash"
import type * as Message from "../Message.ts"

/** Which ids a provider takes. */
export interface CallIds {
  /** Whether it takes this id; `own` says that it wrote the id itself, or that the message names no provider. */
  readonly fits: (id: string, own: boolean) => boolean
  /** Whether it refuses an id that a call of an earlier turn has too; of one turn, no two calls may have the same. */
  readonly unique?: true
}

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// The narrowest form of all, Mistral's: what fits there fits everywhere.
const length = 9

const short = (seed: string): string => {
  let id = ""
  for (let index = 0; index < length; index++) {
    // One hash has the bits for five letters.
    const hash = Hash.string(`${Math.floor(index / 5)} ${seed}`) >>> 0
    id += alphabet[Math.floor(hash / alphabet.length ** (index % 5)) % alphabet.length]
  }
  return id
}

const isCall = (content: Message.AssistantContent): content is Message.ToolCall => content._tag === "ToolCall"

const isOwn = (message: Message.Assistant, provider: string): boolean =>
  message.provider === undefined || message.provider === provider

// Whether all ids can be sent as they are, as is usual.
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
 * The messages with every id that the provider would refuse replaced, in calls and results alike. No two calls become
 * one, and the same messages get the same ids, which a provider's prompt cache depends on.
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
  // The ids that no further call may have.
  const seen = new Set<string>()
  // How many names were tried for an id: those stay taken.
  const tried = new Map<string, number>()
  // The ids that stand for an id in the turn that last used it, in the order of its calls, and how many have a result.
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

  // Further results of a call answer its last one.
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

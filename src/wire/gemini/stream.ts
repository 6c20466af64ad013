/**
 * Reads the events of a stream, each of which is a body with a piece of the answer. Source: Google AI for Developers,
 * Gemini API reference, "streamGenerateContent".
 */
import type { Wire } from "../Wire.ts"
import { reader } from "./response.ts"

export const stream = (name: string): Wire["stream"] => (mintId) => {
  const { answer, changes, close, complete, goOn, head, take, token } = reader(name, mintId, false)
  return {
    event: take,
    // The stream has no end marker: token counts may follow the finish reason.
    done: () => false,
    complete,
    close,
    head,
    answer,
    changes,
    continues: () => {
      const continuationToken = token()
      if (continuationToken === undefined) return undefined
      goOn()
      return { continuationToken }
    }
  }
}

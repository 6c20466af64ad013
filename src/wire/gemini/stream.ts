/**
 * The events of a Gemini stream: each is a body with a piece of the answer. Source: Google AI for Developers, Gemini API
 * reference, "streamGenerateContent".
 */
import type { Wire } from "../Wire.ts"
import { reader } from "./response.ts"

export const stream = (name: string): Wire["stream"] => (mintId) => {
  const { answer, close, complete, head, take } = reader(name, mintId, false)
  // No word says that nothing comes any more: the counts of tokens may come behind the end of the answer.
  return { event: take, done: () => false, complete, close, head, answer }
}

/**
 * What an answer that a test gives by its fields holds. Pure.
 */
import type * as Message from "../../Message.ts"
import type { AnswerFields } from "./script.ts"

/** The contents of an answer; a call without an id gets the one for its place among the calls. */
export const choiceOf = (
  { choice, reasoning, text, toolCalls = [] }: AnswerFields,
  idOf: (index: number) => string
): ReadonlyArray<Message.AssistantContent> =>
  choice ?? [
    ...(reasoning === undefined ? [] : [{ _tag: "Reasoning", content: [{ _tag: "Text", text: reasoning }] } as const]),
    ...(text === undefined ? [] : [{ _tag: "Text", text } as const]),
    ...toolCalls.map((fields, index) => ({ _tag: "ToolCall", id: idOf(index), ...fields } as const))
  ]

/**
 * The contents of an answer that a test gives by its fields. Pure.
 */
import type * as Message from "../../Message.ts"
import type { AnswerFields } from "./script.ts"

/** The contents of an answer. A call without an id gets one from its position among the calls. */
export const choiceOf = (
  { choice, reasoning, text, toolCalls = [] }: AnswerFields,
  idOf: (index: number) => string
): ReadonlyArray<Message.AssistantContent> =>
  choice ?? [
    ...(reasoning === undefined ? [] : [{ _tag: "Reasoning", content: [{ _tag: "Text", text: reasoning }] } as const]),
    ...(text === undefined ? [] : [{ _tag: "Text", text } as const]),
    ...toolCalls.map((fields, index) => ({ _tag: "ToolCall", id: idOf(index), ...fields } as const))
  ]

/**
 * What a stream emits: deltas as they arrive, and once, at the end, the whole answer. A stream that fails ends without
 * it; the error's `partial` is the answer as far as it had come.
 *
 * ```ts
 * import { Effect, Stream, Terminal } from "effect"
 * import { Completion, LLMClient } from "effect-llm"
 *
 * const program = Effect.gen(function*() {
 *   const { display } = yield* Terminal.Terminal
 *   yield* LLMClient.stream(Completion.make({ prompt: "Tell me a story" })).pipe(
 *     Stream.runForEach((part) => part._tag === "TextDelta" ? display(part.text) : Effect.void)
 *   )
 * })
 * ```
 */
import * as Schema from "effect/Schema"
import { CompletionResponse, withAttempts as responseWithAttempts } from "./CompletionResponse.ts"
import type { LLMError } from "./LLMError.ts"

/** A piece of the answer's text; never empty. */
export const TextDelta = Schema.TaggedStruct("TextDelta", { text: Schema.String })
export interface TextDelta extends Schema.Schema.Type<typeof TextDelta> {}

/** A piece of readable reasoning; never empty. */
export const ReasoningDelta = Schema.TaggedStruct("ReasoningDelta", { text: Schema.String })
export interface ReasoningDelta extends Schema.Schema.Type<typeof ReasoningDelta> {}

/** A tool call begins; `index` counts the calls of the answer from 0. */
export const ToolCallStart = Schema.TaggedStruct("ToolCallStart", {
  index: Schema.Int,
  id: Schema.String,
  name: Schema.String
})
export interface ToolCallStart extends Schema.Schema.Type<typeof ToolCallStart> {}

/** A piece of the JSON text of a call's arguments; never empty. Run calls from `Finish`, where they are whole. */
export const ToolCallDelta = Schema.TaggedStruct("ToolCallDelta", { index: Schema.Int, arguments: Schema.String })
export interface ToolCallDelta extends Schema.Schema.Type<typeof ToolCallDelta> {}

/** The end of a stream that succeeds: comes exactly once, last, with the answer that the call without streaming gives. */
export const Finish = Schema.TaggedStruct("Finish", { response: CompletionResponse })
export interface Finish extends Schema.Schema.Type<typeof Finish> {}

export const CompletionPart = Schema.Union([TextDelta, ReasoningDelta, ToolCallStart, ToolCallDelta, Finish])
export type CompletionPart = typeof CompletionPart.Type

/** The parts of an answer that is there as a whole. */
export const fromResponse = (response: CompletionResponse): Array<CompletionPart> => {
  let calls = 0
  const parts = response.choice.flatMap((content): Array<CompletionPart> => {
    switch (content._tag) {
      case "Text":
        return content.text === "" ? [] : [{ _tag: "TextDelta", text: content.text }]
      case "Reasoning":
        return content.content.flatMap((part) =>
          (part._tag === "Text" || part._tag === "Summary") && part.text !== ""
            ? [{ _tag: "ReasoningDelta", text: part.text }]
            : []
        )
      case "ToolCall": {
        const index = calls++
        return [
          { _tag: "ToolCallStart", index, id: content.id, name: content.name },
          { _tag: "ToolCallDelta", index, arguments: JSON.stringify(content.arguments) }
        ]
      }
      default:
        return []
    }
  })
  return [...parts, { _tag: "Finish", response }]
}

/** The part with the failures that went before its stream: the last part of a stream carries them in its answer. */
export const withAttempts = (self: CompletionPart, before: ReadonlyArray<LLMError>): CompletionPart =>
  self._tag === "Finish" && before.length > 0
    ? { ...self, response: responseWithAttempts(self.response, before) }
    : self

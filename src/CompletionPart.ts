/**
 * The parts of a stream: who answers, deltas as they arrive, each content when it is complete, and the whole answer at
 * the end. A stream that fails has no answer; the error's `partial` contains what had arrived.
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
 *
 * `index` identifies a content of the answer. Indices follow the order in which contents first appear, and may have
 * gaps; `ContentEnd`s arrive in any order. Sorted by index, their contents are `response.choice`.
 */

import * as Schema from "effect/Schema"
import { CompletionResponse } from "./CompletionResponse.ts"
import { AssistantContent } from "./Message.ts"

const index = Schema.Int

/** The id and the model of the answer. Emitted once, first, together with the first other part. */
export const Start = Schema.TaggedStruct("Start", {
  provider: Schema.String,
  model: Schema.optionalKey(Schema.String),
  id: Schema.optionalKey(Schema.String)
})
export interface Start extends Schema.Schema.Type<typeof Start> {}

/** A piece of text; never empty. */
export const TextDelta = Schema.TaggedStruct("TextDelta", {
  index,
  text: Schema.String,
  phase: Schema.optionalKey(Schema.Literals(["commentary", "final_answer"]))
})
export interface TextDelta extends Schema.Schema.Type<typeof TextDelta> {}

/** A piece of readable reasoning; never empty. */
export const ReasoningDelta = Schema.TaggedStruct("ReasoningDelta", { index, text: Schema.String })
export interface ReasoningDelta extends Schema.Schema.Type<typeof ReasoningDelta> {}

/** A tool call begins. */
export const ToolCallStart = Schema.TaggedStruct("ToolCallStart", {
  index,
  id: Schema.String,
  name: Schema.String,
  /** The provider's signature of this call (Gemini's `thoughtSignature`). */
  signature: Schema.optionalKey(Schema.String)
})
export interface ToolCallStart extends Schema.Schema.Type<typeof ToolCallStart> {}

/** A piece of the JSON text of a call's arguments; never empty. Run the call at its `ContentEnd`. */
export const ToolCallDelta = Schema.TaggedStruct("ToolCallDelta", { index, arguments: Schema.String })
export interface ToolCallDelta extends Schema.Schema.Type<typeof ToolCallDelta> {}

/**
 * A content is complete, including its signature: a tool call can run now. A content that was cut has no `ContentEnd`.
 */
export const ContentEnd = Schema.TaggedStruct("ContentEnd", { index, content: AssistantContent })
export interface ContentEnd extends Schema.Schema.Type<typeof ContentEnd> {}

/** The end of a successful stream. Emitted once, last, with the answer that the call without streaming returns. */
export const Finish = Schema.TaggedStruct("Finish", { response: CompletionResponse })
export interface Finish extends Schema.Schema.Type<typeof Finish> {}

export type CompletionPart =
  | Start
  | TextDelta
  | ReasoningDelta
  | ToolCallStart
  | ToolCallDelta
  | ContentEnd
  | Finish

export const CompletionPart = Schema.Union([
  Start,
  TextDelta,
  ReasoningDelta,
  ToolCallStart,
  ToolCallDelta,
  ContentEnd,
  Finish
])

const deltas = (content: AssistantContent, index: number): Array<CompletionPart> => {
  switch (content._tag) {
    case "Text":
      return content.text === ""
        ? []
        : [{ _tag: "TextDelta", index, text: content.text, ...(content.phase && { phase: content.phase }) }]
    case "Reasoning":
      return content.content.flatMap((part): Array<CompletionPart> =>
        (part._tag === "Text" || part._tag === "Summary") && part.text !== ""
          ? [{ _tag: "ReasoningDelta", index, text: part.text }]
          : []
      )
    case "ToolCall":
      return [
        {
          _tag: "ToolCallStart",
          index,
          id: content.id,
          name: content.name,
          ...(content.signature !== undefined && { signature: content.signature })
        },
        { _tag: "ToolCallDelta", index, arguments: JSON.stringify(content.arguments) }
      ]
    case "Image":
    case "ProviderBlock":
      return []
  }
}

/** The parts of a complete answer. */
export const fromResponse = (response: CompletionResponse): Array<CompletionPart> => [
  {
    _tag: "Start",
    provider: response.provider,
    ...(response.model !== undefined && { model: response.model }),
    ...(response.id !== undefined && { id: response.id })
  },
  ...response.choice.flatMap((content, index): Array<CompletionPart> => [
    ...deltas(content, index),
    { _tag: "ContentEnd", index, content }
  ]),
  { _tag: "Finish", response }
]

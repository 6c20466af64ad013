/**
 * Structured output for servers that do not support it: requests the value of `outputSchema` in another way, and converts
 * the answer to the form that the caller expects. Completions without an `outputSchema` are not changed.
 *
 * ```ts
 * import { Layer } from "effect"
 * import { OpenAi, StructuredOutput } from "effect-llm"
 *
 * const Local = StructuredOutput.layer({ as: "tool" }).pipe(
 *   Layer.provide(OpenAi.layer({ baseUrl: "http://localhost:8080/v1", model: "llama-4" }))
 * )
 * ```
 *
 * - `tool`: the answer is the call of a tool, which the model is forced to call if the server supports that. For models
 *   that are trained to call tools.
 * - `instructions`: the schema is in the system text. For all others; the model may ignore it.
 */

import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as Completion from "./Completion.ts"
import type { CompletionPart } from "./CompletionPart.ts"
import * as CompletionResponse from "./CompletionResponse.ts"
import { type LLMClient, middleware, type Service } from "./LLMClient.ts"
import * as Message from "./Message.ts"
import * as Check from "./middleware/options.ts"
import * as Models from "./Models.ts"
import type { ToolChoice, ToolDefinition } from "./Tool.ts"

export interface Options {
  readonly as: "tool" | "instructions"
}

type Response = CompletionResponse.CompletionResponse
type Schema = NonNullable<Completion.Completion["outputSchema"]>

/** A completion that requests its value in another way. */
interface Way {
  readonly completion: Completion.Completion
  readonly answer: (response: Response) => Response
  /** The parts of one stream. */
  readonly parts: () => (part: CompletionPart) => ReadonlyArray<CompletionPart>
}

type Ask = (client: Service, completion: Completion.Completion, schema: Schema) => Way

const withPreamble = ({ preamble = "" }: Completion.Completion, more: string): string =>
  preamble === "" ? more : `${preamble}\n\n${more}`

// ---------------------------------------------------------------------------------------------------------------------
// By a tool call
// ---------------------------------------------------------------------------------------------------------------------

const nameFor = (tools: ReadonlyArray<ToolDefinition>, name = "answer"): string =>
  tools.some((tool) => tool.name === name) ? nameFor(tools, `${name}_`) : name

const mayForce = (client: Service, { model = client.model ?? "", reasoning }: Completion.Completion): boolean => {
  const { forcedTools = "yes" } = Models.find(client.provider, model)
  return forcedTools === "yes"
    || (forcedTools === "withoutEnabledThinking" && (reasoning === undefined || reasoning.effort === "none"))
}

/** The caller's tool choice, extended by the answer's tool. */
const choiceOf = ({ toolChoice, tools }: Completion.Completion, name: string, forced: boolean): ToolChoice => {
  const choose = (choice: ToolChoice): ToolChoice => forced ? choice : { _tag: "Auto" }
  // Without other tools, only the answer can be called.
  if (tools.length === 0 || toolChoice?._tag === "None") {
    return choose({ _tag: "Specific", names: [name], otherwise: "auto" })
  }
  return toolChoice?._tag === "Specific" ? toolChoice : choose({ _tag: "Required", otherwise: "auto" })
}

// Text besides the answer is not part of it.
const aside = <A extends CompletionPart | Message.AssistantContent>(content: A): A =>
  "text" in content && content._tag.startsWith("Text") && !("phase" in content)
    ? { ...content, phase: "commentary" }
    : content

/** The answer with the first call of the tool as its text; further calls are left out. */
const spoken = (name: string, text?: string) => (response: Response): Response => {
  const first = response.choice.findIndex((content) => content._tag === "ToolCall" && content.name === name)
  const choice = response.choice.flatMap((content, index): Array<Message.AssistantContent> => {
    if (content._tag !== "ToolCall" || content.name !== name) return [aside(content)]
    return index === first
      ? [Message.text(text ?? JSON.stringify(content.arguments), { phase: "final_answer" })]
      : []
  })
  const calls = choice.some((content) => content._tag === "ToolCall")
  return CompletionResponse.make({
    ...response,
    choice,
    finishReason: !calls && response.finishReason._tag === "ToolUse" ? { _tag: "Stop" } : response.finishReason
  })
}

const spokenParts = (name: string): Way["parts"] => () => {
  let answer: number | undefined
  let text = ""
  const others = new Set<number>()
  const said = (index: number, piece: string): CompletionPart => {
    text += piece
    return { _tag: "TextDelta", index, text: piece, phase: "final_answer" }
  }
  const begins = (index: number, called: string): boolean => {
    if (called !== name) return false
    if (answer === undefined) answer = index
    else if (answer !== index) others.add(index)
    return true
  }
  return (part) => {
    if ("index" in part && others.has(part.index)) return []
    switch (part._tag) {
      case "ToolCallStart":
        return begins(part.index, part.name) ? [] : [part]
      case "ToolCallDelta":
        return part.index === answer ? [said(part.index, part.arguments)] : [part]
      case "ContentEnd": {
        const { content, index } = part
        if (content._tag !== "ToolCall" || !begins(index, content.name)) return [{ ...part, content: aside(content) }]
        if (index !== answer) return []
        const rest = text === "" ? [said(index, JSON.stringify(content.arguments))] : []
        return [...rest, { ...part, content: Message.text(text, { phase: "final_answer" }) }]
      }
      case "Finish":
        return [{ ...part, response: spoken(name, text === "" ? undefined : text)(part.response) }]
      default:
        return [aside(part)]
    }
  }
}

const asTool: Ask = (client, completion, parameters) => {
  const name = nameFor(completion.tools)
  const forced = mayForce(client, completion)
  const description = "Gives the final answer. Call it exactly once, as soon as you have all that it needs."
  const keepsTools = completion.toolChoice?._tag !== "None"
  return {
    completion: Completion.make({
      ...completion,
      outputSchema: undefined,
      ...(!forced && { preamble: withPreamble(completion, `Give the final answer by a call of the tool ${name}.`) }),
      tools: [...completion.tools, { name, description, parameters }],
      // If a call cannot be forced, the other tools are not offered.
      ...(!forced && !keepsTools && { tools: [{ name, description, parameters }] }),
      toolChoice: choiceOf(completion, name, forced)
    }),
    answer: spoken(name),
    parts: spokenParts(name)
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// By instructions
// ---------------------------------------------------------------------------------------------------------------------

const asInstructions: Ask = (_, completion, schema) => ({
  completion: Completion.make({
    ...completion,
    outputSchema: undefined,
    preamble: withPreamble(
      completion,
      "Give the final answer as one JSON value and nothing else: no text around it, no code fence. It has to match this "
        + `JSON Schema:\n${JSON.stringify(schema)}`
    )
  }),
  answer: (response) => response,
  parts: () => (part) => [part]
})

// ---------------------------------------------------------------------------------------------------------------------
// The layer
// ---------------------------------------------------------------------------------------------------------------------

const ways = { tool: asTool, instructions: asInstructions } satisfies Record<Options["as"], Ask>

/** Decorates a client. */
export const make = (client: Service, options: Options): Partial<Service> => {
  Check.known("StructuredOutput", options, ["as"])
  if (!Object.hasOwn(ways, options.as)) Check.refuse("StructuredOutput", "as", '"tool" or "instructions"')
  const way = (completion: Completion.Completion): Way | undefined =>
    completion.outputSchema && ways[options.as](client, completion, completion.outputSchema)
  const { countTokens } = client
  return {
    completion: (completion) => {
      const other = way(completion)
      return other === undefined
        ? client.completion(completion)
        : Effect.map(client.completion(other.completion), other.answer)
    },
    stream: (completion) =>
      Stream.suspend(() => {
        const other = way(completion)
        if (other === undefined) return client.stream(completion)
        const convert = other.parts()
        return client.stream(other.completion).pipe(
          Stream.chunks,
          Stream.map((parts) => parts.flatMap(convert)),
          Stream.filter(Arr.isArrayNonEmpty),
          Stream.flattenArray
        )
      }),
    ...(countTokens && { countTokens: (completion) => countTokens(way(completion)?.completion ?? completion) })
  }
}

/** The middleware: put it innermost, next to the provider, so that the layers above see answers in the requested form. */
export const layer = (options: Options): Layer.Layer<LLMClient, never, LLMClient> =>
  middleware((client) => make(client, options))

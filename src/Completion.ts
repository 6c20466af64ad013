/**
 * A request to a language model, the same for every provider.
 *
 * `Completion.make` and the setters only assemble fields: they never throw and never validate. An invalid request fails
 * when it is run, as `ClientError` with the reason `InvalidRequest` or `Unsupported`, before anything is sent.
 *
 * ```ts
 * import { Completion, Message } from "effect-llm"
 *
 * const request = Completion.make({ prompt: "And in French?", history: [Message.user("Say hello"), Message.assistant("Hello!")] }).pipe(
 *   Completion.model("claude-opus-5-5"),
 *   Completion.preamble("Answer in one word."),
 *   Completion.maxTokens(100)
 * )
 * ```
 */

import type { Pipeable } from "effect/Pipeable"
import * as Schema from "effect/Schema"
import { defined, type Optional } from "./fields.ts"
import * as Message from "./Message.ts"
import * as Tool from "./Tool.ts"

/** How much the model reasons, in a form that every provider supports in its own way. */
export const Reasoning = Schema.Struct({
  /**
   * How hard the model thinks. An effort that the model lacks becomes the nearest one, with a warning on the answer.
   */
  effort: Schema.optionalKey(Schema.Literals(["none", "minimal", "low", "medium", "high", "xhigh", "max"])),
  /** The token budget for thinking, on models that have one; on others the nearest effort. */
  budgetTokens: Schema.optionalKey(Schema.Finite),
  /** Whether the answer contains the model's thoughts, as far as the provider shows them. */
  summary: Schema.optionalKey(Schema.Boolean)
})
export interface Reasoning extends Schema.Schema.Type<typeof Reasoning> {}

// By their names, so that an editor shows these and not what they stand for.
const Definition: Schema.Codec<Tool.ToolDefinition> = Tool.ToolDefinition
const HowToReason: Schema.Codec<Reasoning> = Reasoning

/** Parameters by vendor, or by the name of an instance. */
export interface ProviderParams {
  readonly anthropic?: Schema.JsonObject
  readonly openai?: Schema.JsonObject
  readonly gemini?: Schema.JsonObject
  readonly openrouter?: Schema.JsonObject
  readonly [name: string]: Schema.JsonObject
}

const ProviderParams: Schema.Codec<ProviderParams> = Schema.Record(Schema.String, Schema.JsonObject)

/** A request. The preamble is sent first, then the history, then the prompt. */
export class Completion extends Schema.Class<Completion, Pipeable>("effect-llm/Completion")({
  /** The provider's name of the model. Without it, the provider layer's default is used. */
  model: Schema.optionalKey(Schema.String),
  prompt: Message.Message,
  /** System text before everything else. */
  preamble: Schema.optionalKey(Schema.String),
  /** The turns before the prompt, oldest first. */
  history: Schema.Array(Message.Message),
  tools: Schema.Array(Definition),
  toolChoice: Schema.optionalKey(Tool.ToolChoice),
  /** The maximum number of tokens in the answer, including reasoning. */
  maxTokens: Schema.optionalKey(Schema.Finite),
  temperature: Schema.optionalKey(Schema.Finite),
  /** Nucleus sampling: the probability mass to choose from, between 0 and 1. */
  topP: Schema.optionalKey(Schema.Finite),
  /** Asks for a reproducible answer, if the provider supports that. */
  seed: Schema.optionalKey(Schema.Finite),
  /** Whether one answer may contain several tool calls. The provider's default is usually true. */
  parallelToolCalls: Schema.optionalKey(Schema.Boolean),
  stopSequences: Schema.optionalKey(Schema.Array(Schema.String)),
  /** The JSON Schema (draft 2020-12) for the text of the answer. */
  outputSchema: Schema.optionalKey(Schema.JsonObject),
  reasoning: Schema.optionalKey(HowToReason),
  /** Deeply merged over the provider's body; these values win, and `tools` are appended. */
  additionalParams: Schema.optionalKey(Schema.JsonObject),
  /** The same by vendor, then by the name of an instance, merged after `additionalParams`. */
  providerParams: Schema.optionalKey(ProviderParams),
  /** Additional HTTP headers for this request. */
  headers: Schema.optionalKey(Schema.Record(Schema.String, Schema.String))
}) {}

type Fields = {
  readonly [K in keyof Completion as K extends keyof typeof Completion.fields ? K : never]: Completion[K]
}

// The constructor of a Schema class validates and throws. A request is only validated when it is run.
const from = (fields: Optional<Fields>): Completion =>
  Object.assign(Object.create(Completion.prototype), defined<Fields>(fields))

const set = <K extends keyof Fields>(key: K) => (value: NonNullable<Fields[K]>) => (self: Completion): Completion =>
  from({ ...self, [key]: value })

const message = (prompt: string | Message.Message): Message.Message =>
  typeof prompt === "string" ? Message.user(prompt) : prompt

interface Settings extends Optional<Partial<Omit<Fields, "prompt" | "history" | "outputSchema">>> {
  readonly outputSchema?: Schema.Constraint | Schema.JsonObject | undefined
}

interface Prompted extends Settings {
  readonly prompt: string | Message.Message
  readonly history?: ReadonlyArray<Message.Message> | undefined
  readonly messages?: undefined
}

interface Listed extends Settings {
  /** All messages, oldest first. The last one becomes the prompt, the others the history. */
  readonly messages: ReadonlyArray<string | Message.Message>
  readonly prompt?: undefined
  readonly history?: undefined
}

/** The input of `make`: a prompt and a history, or `messages`, and the other fields of a `Completion`. */
export type Options = Prompted | Listed

const conversation = ({ history = [], messages, prompt }: Options): Pick<Fields, "history" | "prompt"> => {
  if (messages === undefined) return { history, prompt: message(prompt) }
  const all = messages.map(message)
  // Without messages the prompt is empty, and the request is refused when it is run.
  return { history: all.slice(0, -1), prompt: all.at(-1) ?? message("") }
}

/** Builds a request. A text becomes a user message, and a Schema as `outputSchema` its JSON Schema. */
export const make = (options: Options): Completion => {
  const { messages: _, outputSchema, tools = [], ...rest } = options
  return from({
    ...rest,
    ...conversation(options),
    tools,
    outputSchema: outputSchema && Tool.toJsonSchema(outputSchema)
  })
}

/** Sets the model. With `undefined`, the provider layer's default is used. */
export const model = (model: string | undefined) => (self: Completion): Completion => from({ ...self, model })

export const prompt = (prompt: string | Message.Message) => set("prompt")(message(prompt))

export const preamble = set("preamble")

export const history = set("history")

export const tools = set("tools")

export const toolChoice = set("toolChoice")

export const maxTokens = set("maxTokens")

export const temperature = set("temperature")

export const topP = set("topP")

export const seed = set("seed")

export const parallelToolCalls = set("parallelToolCalls")

export const stopSequences = set("stopSequences")

export const outputSchema = (schema: Schema.Constraint | Schema.JsonObject) =>
  set("outputSchema")(Tool.toJsonSchema(schema))

export const reasoning = set("reasoning")

export const additionalParams = set("additionalParams")

export const providerParams = set("providerParams")

export const headers = set("headers")

/** All messages in the order in which they are sent, without the preamble. */
export const messages = (self: Completion): ReadonlyArray<Message.Message> => [...self.history, self.prompt]

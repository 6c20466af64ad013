/**
 * A request to a language model, the same for every provider.
 *
 * `Completion.make` and the setters only put fields together: they never throw and never validate. A request that
 * cannot be sent fails as `ClientError` with reason `InvalidRequest` or `Unsupported` when it is run, before anything
 * is sent.
 *
 * ```ts
 * import { Completion, Message } from "effect-llm"
 *
 * const request = Completion.make({ prompt: "And in French?", history: [Message.user("Say hello"), Message.assistant("Hello!")] }).pipe(
 *   Completion.model("claude-sonnet-4-6"),
 *   Completion.preamble("Answer in one word."),
 *   Completion.maxTokens(100)
 * )
 * ```
 */
import type { Pipeable } from "effect/Pipeable"
import * as Schema from "effect/Schema"
import * as Message from "./Message.ts"
import * as Tool from "./Tool.ts"

/** A request: sent in the order preamble, history, prompt. */
export class Completion extends Schema.Class<Completion, Pipeable>("effect-llm/Completion")({
  /** The provider's name of the model; without it the provider layer's own default is used. */
  model: Schema.optionalKey(Schema.String),
  prompt: Message.Message,
  /** System text, before everything else. */
  preamble: Schema.optionalKey(Schema.String),
  /** The turns before the prompt, oldest first. */
  history: Schema.Array(Message.Message),
  tools: Schema.Array(Tool.ToolDefinition),
  toolChoice: Schema.optionalKey(Tool.ToolChoice),
  /** The most tokens that the answer may have, reasoning included. */
  maxTokens: Schema.optionalKey(Schema.Finite),
  temperature: Schema.optionalKey(Schema.Finite),
  stopSequences: Schema.optionalKey(Schema.Array(Schema.String)),
  /** The JSON Schema (draft 2020-12) that the text of the answer shall follow. */
  outputSchema: Schema.optionalKey(Schema.JsonObject),
  /** Merged deeply over the provider's body, and wins; `tools` are appended. */
  additionalParams: Schema.optionalKey(Schema.JsonObject),
  /** The same by provider name, merged after `additionalParams`. */
  providerParams: Schema.optionalKey(Schema.Record(Schema.String, Schema.JsonObject)),
  /** Further HTTP headers of this request. */
  headers: Schema.optionalKey(Schema.Record(Schema.String, Schema.String))
}) {}

type Fields = { readonly [K in keyof typeof Completion.fields]: Completion[K] }

// The constructor of a Schema class parses and throws; a request is checked once, when it is run. A field that is
// undefined is left out, since it would not survive JSON.
const from = (fields: { readonly [K in keyof Fields]?: Fields[K] | undefined }): Completion =>
  Object.assign(
    Object.create(Completion.prototype),
    Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
  )

const set = <K extends keyof Fields>(key: K) => (value: NonNullable<Fields[K]>) => (self: Completion): Completion =>
  from({ ...self, [key]: value })

const message = (prompt: string | Message.Message): Message.Message =>
  typeof prompt === "string" ? Message.user(prompt) : prompt

type Given = {
  readonly [K in keyof Completion as K extends keyof Fields ? K : never]: Completion[K]
}

/** What `make` takes: the fields of a `Completion`, all but `prompt` optional. */
export interface Options extends Partial<Omit<Given, "prompt" | "outputSchema">> {
  readonly prompt: string | Message.Message
  readonly outputSchema?: Schema.Constraint | Schema.JsonObject
}

/** Builds a request. A text is a user message; a Schema as `outputSchema` becomes its JSON Schema. */
export const make = (options: Options): Completion => {
  const { history = [], outputSchema, prompt, tools = [], ...rest } = options
  return from({
    history,
    tools,
    ...rest,
    prompt: message(prompt),
    ...(outputSchema && { outputSchema: Tool.toJsonSchema(outputSchema) })
  })
}

/** Names the model; without a name it is the provider layer's own. */
export const model = (model: string | undefined) => (self: Completion): Completion => from({ ...self, model })

export const prompt = (prompt: string | Message.Message) => set("prompt")(message(prompt))

export const preamble = set("preamble")

export const history = set("history")

export const tools = set("tools")

export const toolChoice = set("toolChoice")

export const maxTokens = set("maxTokens")

export const temperature = set("temperature")

export const stopSequences = set("stopSequences")

export const outputSchema = (schema: Schema.Constraint | Schema.JsonObject) =>
  set("outputSchema")(Tool.toJsonSchema(schema))

export const additionalParams = set("additionalParams")

export const providerParams = set("providerParams")

export const headers = set("headers")

/** All messages in the order in which they are sent, the preamble aside. */
export const messages = (self: Completion): ReadonlyArray<Message.Message> => [...self.history, self.prompt]

/**
 * Tools that the model may call, the tool choice, and the handlers that run calls.
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Tool } from "effect-llm"
 *
 * const weather = Tool.make("weather", {
 *   description: "The weather of a city, now.",
 *   parameters: Schema.Struct({ city: Schema.String })
 * })
 *
 * const handlers = [Tool.handler(weather, ({ city }) => Effect.succeed({ sky: `sunny in ${city}` }))]
 * ```
 *
 * `ToolLoop` goes on until the model answers; its tools are those of `effect/ai`.
 */

import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import type { JsonSchema } from "effect/JsonSchema"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Concurrency } from "effect/Types"
import * as Message from "./Message.ts"

/** A tool: its name, its description, and the JSON Schema (draft 2020-12) of its arguments. */
export const ToolDefinition = Schema.Struct({
  name: Schema.String,
  description: Schema.String,
  parameters: Schema.JsonObject,
  cache: Schema.optionalKey(Message.CacheHint)
})
export interface ToolDefinition extends Schema.Schema.Type<typeof ToolDefinition> {}

/** The model decides whether to call a tool. */
export const Auto = Schema.TaggedStruct("Auto", {})
/** The model does not call tools. */
export const None = Schema.TaggedStruct("None", {})
// What to do on models whose tool calls cannot be forced. Without it, the request is refused as `Unsupported`.
const otherwise = Schema.optionalKey(Schema.Literal("auto"))

/** The model calls at least one tool. */
export const Required = Schema.TaggedStruct("Required", { otherwise })
/** The model calls at least one of these tools. */
export const Specific = Schema.TaggedStruct("Specific", { names: Schema.Array(Schema.String), otherwise })

export interface Auto extends Schema.Schema.Type<typeof Auto> {}
export interface None extends Schema.Schema.Type<typeof None> {}
export interface Required extends Schema.Schema.Type<typeof Required> {}
export interface Specific extends Schema.Schema.Type<typeof Specific> {}

export type ToolChoice = Auto | None | Required | Specific
export const ToolChoice: Schema.Codec<ToolChoice> = Schema.Union([Auto, None, Required, Specific])

export const auto: ToolChoice = { _tag: "Auto" }
export const none: ToolChoice = { _tag: "None" }
export const required: ToolChoice = { _tag: "Required" }
export const specific = (...names: ReadonlyArray<string>): ToolChoice => ({ _tag: "Specific", names })

// The name of a definition in a `$ref`, which is a JSON Pointer in a URL fragment.
const definitionOf = (ref: string): string =>
  decodeURIComponent(ref.replace("#/$defs/", "")).replaceAll("~1", "/").replaceAll("~0", "~")

const noArguments = { type: "object", properties: {}, additionalProperties: false }

/** The JSON Schema (draft 2020-12) of a Schema's JSON form, with definitions under `$defs`. */
export const jsonSchema = (schema: Schema.Constraint): Schema.JsonObject => {
  const { definitions, schema: root } = Schema.toJsonSchemaDocument(schema, { onExcessProperty: "error" })
  // Providers require an object at the root. A reference there is resolved. A struct without fields, whose JSON Schema
  // is "anything but null", becomes an object without properties.
  const atRoot = (node: JsonSchema): JsonSchema => {
    const { $ref, not, ...rest } = node
    if (typeof $ref === "string") return { ...atRoot(definitions[definitionOf($ref)] ?? {}), ...rest }
    return Equal.equals(not, { type: "null" }) ? { ...noArguments, ...rest } : node
  }
  const resolved = atRoot(root)
  // A JSON Schema document is always JSON; its type is only wider.
  return (Object.keys(definitions).length === 0 ? resolved : { ...resolved, $defs: definitions }) as Schema.JsonObject
}

/** The JSON Schema of a Schema; a JSON Schema is returned unchanged. */
export const toJsonSchema = (input: Schema.Constraint | Schema.JsonObject): Schema.JsonObject =>
  Schema.isSchema(input) ? jsonSchema(input) : input as Schema.JsonObject

/** The arguments of a tool: a Schema or a JSON Schema. */
export type Parameters = Schema.Constraint | Schema.JsonObject

/** A tool with the type of its arguments. The value is only a `ToolDefinition`. */
export interface Typed<P extends Parameters> extends ToolDefinition {
  readonly "~parameters"?: P
}

// The Schemas of tools. They are kept here because a definition is plain data.
const schemas = new WeakMap<ToolDefinition, Schema.Constraint>()

/** Defines a tool. `parameters` is the Schema or the JSON Schema of its arguments. */
export const make = <P extends Parameters>(name: string, options: {
  readonly description: string
  readonly parameters: P
  readonly cache?: Message.CacheHint | undefined
}): Typed<P> => {
  const { cache, description, parameters } = options
  const tool: ToolDefinition = { name, description, parameters: toJsonSchema(parameters), ...(cache && { cache }) }
  if (Schema.isSchema(parameters)) schemas.set(tool, parameters)
  return tool as Typed<P>
}

// ---------------------------------------------------------------------------------------------------------------------
// Running calls
// ---------------------------------------------------------------------------------------------------------------------

type Arguments<P> = P extends Schema.Constraint ? P["Type"] : Schema.Json
type DecodingServices<P> = P extends Schema.Constraint ? P["DecodingServices"] : never

/** The result of a tool: a text, one or several contents of `Message`, or any other JSON value. */
export type Returned = Schema.Json | Message.ToolResultContent | ReadonlyArray<Message.ToolResultContent>

/** A tool and the function that runs its calls. */
export interface Handler<out E = never, out R = never> {
  readonly tool: ToolDefinition
  /** Runs a call. Invalid arguments give a failed result, which tells the model what is wrong. */
  readonly run: (call: Message.ToolCall) => Effect.Effect<Message.ToolResult, E, R>
}

const longest = 2000

const wordsOf = (error: unknown): string => {
  if (typeof error === "string") return error
  if (error instanceof Error && error.message !== "") return error.message
  return Result.getOrUndefined(Result.try(() => JSON.stringify(error))) ?? String(error)
}

/** A failed result, which tells the model what went wrong. */
export const failed = ({ id, name }: Message.ToolCall, error: unknown): Message.ToolResult => {
  const words = wordsOf(error)
  const content = words.length > longest ? `${words.slice(0, longest)}…` : words
  return Message.toolResult({ id, name, content, isError: true })
}

/** The result of a call to a tool that does not exist. */
export const missing = (call: Message.ToolCall, names: Iterable<string>): Message.ToolResult =>
  failed(call, `There is no tool ${call.name}. The tools are: ${[...names].join(", ")}`)

const isContent = Schema.is(Message.ToolResultContent)

const contentOf = (output: Returned): string | Message.ToolResultContent | ReadonlyArray<Message.ToolResultContent> => {
  if (typeof output === "string" || isContent(output)) return output
  return Array.isArray(output) && output.length > 0 && output.every(isContent)
    ? output
    : Message.json(output as Schema.Json)
}

/**
 * Defines how a tool runs. `run` gets the arguments decoded with the tool's Schema, or as JSON if the tool has a JSON
 * Schema. `tool` must be the value that `Tool.make` returned, not a copy.
 */
export const handler = <P extends Parameters, A extends Returned, E, R>(
  tool: Typed<P>,
  run: (args: Arguments<P>, call: Message.ToolCall) => Effect.Effect<A, E, R>
): Handler<E, R | DecodingServices<P>> => {
  const schema = schemas.get(tool)
  const decode = (
    schema === undefined
      ? Effect.succeed
      : Schema.decodeUnknownEffect(Schema.toCodecJson(schema), { errors: "all" })
  ) as (json: Schema.Json) => Effect.Effect<Arguments<P>, Schema.SchemaError, DecodingServices<P>>
  return {
    tool,
    run: (call) =>
      Effect.matchEffect(decode(call.arguments), {
        onFailure: (error) => Effect.succeed(failed(call, `The arguments do not match: ${error.message}`)),
        onSuccess: (args) =>
          Effect.map(
            run(args, call),
            (output) => Message.toolResult({ id: call.id, name: call.name, content: contentOf(output) })
          )
      })
  }
}

/** How to run calls. */
export interface RunOptions {
  /** How many calls run at the same time; all unless given. */
  readonly concurrency?: Concurrency | undefined
  /** With `return`, the error of a tool is sent to the model as a failed result, instead of failing the effect. */
  readonly failures?: "fail" | "return" | undefined
}

type Failure<H, O> = O extends { readonly failures: "return" } ? never
  : H extends Handler<infer E, infer _R> ? E
  : never
type Services<H> = H extends Handler<infer _E, infer R> ? R : never

/**
 * Runs the tool calls of an answer, and returns the user message with their results, in the order of the calls, to be
 * sent after `response.message`. A call to an unknown tool or with invalid arguments becomes a failed result. An answer
 * without calls is a defect, because there is no message without contents.
 */
export const run = <H extends Handler<unknown, unknown>, const O extends RunOptions = {}>(
  handlers: ReadonlyArray<H>,
  calls: ReadonlyArray<Message.ToolCall>,
  options?: O
): Effect.Effect<Message.User, Failure<H, O>, Services<H>> => {
  const { concurrency = "unbounded", failures = "fail" }: RunOptions = options ?? {}
  const one = (call: Message.ToolCall): Effect.Effect<Message.ToolResult, unknown, unknown> => {
    const found = handlers.find(({ tool }) => tool.name === call.name)
    if (found === undefined) return Effect.succeed(missing(call, handlers.map(({ tool }) => tool.name)))
    return failures === "return"
      ? Effect.catch(found.run(call), (error) => Effect.succeed(failed(call, error)))
      : found.run(call)
  }
  const results = calls.length === 0
    ? Effect.die(new Error("Tool.run: give a response with tool calls"))
    : Effect.forEach(calls, one, { concurrency })
  return Effect.map(results, Message.user) as Effect.Effect<Message.User, Failure<H, O>, Services<H>>
}

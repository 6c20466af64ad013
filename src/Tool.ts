/**
 * Tools that the model may call, and how freely it may choose among them.
 *
 * ```ts
 * import { Schema } from "effect"
 * import { Tool } from "effect-llm"
 *
 * const weather = Tool.make("weather", {
 *   description: "The weather of a city, now.",
 *   parameters: Schema.Struct({ city: Schema.String })
 * })
 * ```
 */
import * as Equal from "effect/Equal"
import type { JsonSchema } from "effect/JsonSchema"
import * as Schema from "effect/Schema"
import { CacheHint } from "./Message.ts"

/** A tool by name, with the JSON Schema (draft 2020-12) of its arguments. */
export const ToolDefinition = Schema.Struct({
  name: Schema.String,
  description: Schema.String,
  parameters: Schema.JsonObject,
  cache: Schema.optionalKey(CacheHint)
})
export interface ToolDefinition extends Schema.Schema.Type<typeof ToolDefinition> {}

/** The model decides whether to call a tool. */
export const Auto = Schema.TaggedStruct("Auto", {})
/** The model calls no tool. */
export const None = Schema.TaggedStruct("None", {})
/** The model calls at least one tool. */
export const Required = Schema.TaggedStruct("Required", {})
/** The model calls at least one of these tools. */
export const Specific = Schema.TaggedStruct("Specific", { names: Schema.Array(Schema.String) })

export const ToolChoice = Schema.Union([Auto, None, Required, Specific])
export type ToolChoice = typeof ToolChoice.Type

export const auto: ToolChoice = { _tag: "Auto" }
export const none: ToolChoice = { _tag: "None" }
export const required: ToolChoice = { _tag: "Required" }
export const specific = (...names: ReadonlyArray<string>): ToolChoice => ({ _tag: "Specific", names })

// The name in a reference to a definition, which is a JSON Pointer in a URL fragment.
const definitionOf = (ref: string): string =>
  decodeURIComponent(ref.replace("#/$defs/", "")).replaceAll("~1", "/").replaceAll("~0", "~")

const noArguments = { type: "object", properties: {}, additionalProperties: false }

/** The JSON Schema (draft 2020-12) of the JSON form of a Schema, its definitions under `$defs`. */
export const jsonSchema = (schema: Schema.Constraint): Schema.JsonObject => {
  const { definitions, schema: root } = Schema.toJsonSchemaDocument(schema, { onExcessProperty: "error" })
  // Providers want an object at the root: a reference there gives way to what it refers to, and "anything but null",
  // as which a struct without fields comes, to an object without properties.
  const atRoot = (node: JsonSchema): JsonSchema => {
    const { $ref, not, ...rest } = node
    if (typeof $ref === "string") return { ...atRoot(definitions[definitionOf($ref)] ?? {}), ...rest }
    return Equal.equals(not, { type: "null" }) ? { ...noArguments, ...rest } : node
  }
  const resolved = atRoot(root)
  // A JSON Schema document is JSON by construction; its type is merely wider.
  return (Object.keys(definitions).length === 0 ? resolved : { ...resolved, $defs: definitions }) as Schema.JsonObject
}

/** A JSON Schema as it is, or that of a Schema. */
export const toJsonSchema = (input: Schema.Constraint | Schema.JsonObject): Schema.JsonObject =>
  Schema.isSchema(input) ? jsonSchema(input) : input as Schema.JsonObject

/** Defines a tool; `parameters` is the Schema of its arguments, or a JSON Schema as it is. */
export const make = (name: string, options: {
  readonly description: string
  readonly parameters: Schema.Constraint | Schema.JsonObject
  readonly cache?: CacheHint
}): ToolDefinition => ({
  name,
  ...options,
  parameters: toJsonSchema(options.parameters)
})

/**
 * Tools that the model may call, and the tool choice.
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

/** A tool: its name, its description, and the JSON Schema (draft 2020-12) of its arguments. */
export const ToolDefinition = Schema.Struct({
  name: Schema.String,
  description: Schema.String,
  parameters: Schema.JsonObject,
  cache: Schema.optionalKey(CacheHint)
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

/** Defines a tool. `parameters` is the Schema or the JSON Schema of its arguments. */
export const make = (name: string, options: {
  readonly description: string
  readonly parameters: Schema.Constraint | Schema.JsonObject
  readonly cache?: CacheHint | undefined
}): ToolDefinition => ({
  name,
  description: options.description,
  parameters: toJsonSchema(options.parameters),
  ...(options.cache && { cache: options.cache })
})

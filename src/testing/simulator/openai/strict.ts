/**
 * The schemas that strict mode supports. Source: OpenAI API, "Structured outputs", "Supported schemas".
 */
import { isObject, type JsonObject } from "../json.ts"

/** Why a schema is not an object schema, if it is not. */
export const rootProblem = (schema: unknown): string | undefined => {
  const type = isObject(schema) ? schema.type : undefined
  return type === "object"
    ? undefined
    : `schema must be a JSON Schema of 'type: "object"', got 'type: ${
      typeof type === "string" ? JSON.stringify(type) : '"None"'
    }'.`
}

/** Why `strict: true` does not support a schema, if it does not. */
export const strictProblem = (schema: unknown, context: ReadonlyArray<string>): string | undefined => {
  if (!isObject(schema)) return undefined
  const place = `In context=(${context.map((step) => `'${step}'`).join(", ")}${context.length === 1 ? "," : ""})`
  const properties = isObject(schema.properties) ? schema.properties : {}
  if (schema.oneOf !== undefined) return `${place}, 'oneOf' is not permitted.`
  if (schema.type === "object" || schema.properties !== undefined) {
    if (schema.additionalProperties !== false) {
      return `${place}, 'additionalProperties' is required to be supplied and to be false.`
    }
    const required = Array.isArray(schema.required) ? schema.required : []
    const missing = Object.keys(properties).find((key) => !required.includes(key))
    if (missing !== undefined) {
      return `${place}, 'required' is required to be supplied and to be an array including every key in properties. Missing '${missing}'.`
    }
  }
  return nested(schema, properties).map(([steps, inner]) => strictProblem(inner, [...context, ...steps]))
    .find((problem) => problem !== undefined)
}

const nested = (
  schema: JsonObject,
  properties: JsonObject
): ReadonlyArray<readonly [ReadonlyArray<string>, unknown]> => [
  ...Object.entries(properties).map(([key, inner]) => [["properties", key], inner] as const),
  ...Object.entries(isObject(schema.$defs) ? schema.$defs : {}).map(([key, inner]) => [["$defs", key], inner] as const),
  ...(Array.isArray(schema.anyOf) ? schema.anyOf : []).map((inner, index) =>
    [["anyOf", String(index)], inner] as const
  ),
  [["items"], schema.items]
]

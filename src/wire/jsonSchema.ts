/**
 * Makes JSON Schemas (draft 2020-12) into what providers take.
 */
import { array, isObject, type JsonRecord, object, string } from "./json.ts"

const mapValues = <A>(record: unknown, f: (value: unknown) => A): Readonly<Record<string, A>> =>
  Object.fromEntries(Object.entries(object(record)).map(([key, value]) => [key, f(value)]))

const omit = (node: JsonRecord, keys: ReadonlyArray<string>): JsonRecord =>
  Object.fromEntries(Object.entries(node).filter(([key]) => !keys.includes(key)))

// ---------------------------------------------------------------------------------------------------------------------
// Structured output: Anthropic and OpenAI
// ---------------------------------------------------------------------------------------------------------------------

interface Rules {
  /** Every property is required, and an object names its properties, as OpenAI's strict mode wants it. */
  readonly requireAll: boolean
  /** Whether a reference may stand beside other keywords. */
  readonly referenceSiblings: boolean
  /** Keywords that the provider refuses. */
  readonly refused: (key: string, value: unknown) => boolean
}

// What a schema demands beyond what the provider can enforce is told to the model in words.
const described = (node: JsonRecord, refused: ReadonlyArray<readonly [string, unknown]>): JsonRecord => {
  if (refused.length === 0) return {}
  const demands = `{${refused.map(([key, value]) => `${key}: ${JSON.stringify(value)}`).join(", ")}}`
  const description = string(node["description"])
  return { description: description === undefined ? demands : `${description}\n\n${demands}` }
}

const rewriteObject = (rules: Rules, node: JsonRecord): JsonRecord => {
  const go = (value: unknown): unknown => isObject(value) ? rewriteObject(rules, value) : value
  const definitions = Object.fromEntries(
    ["$defs", "definitions"].flatMap((key) => isObject(node[key]) ? [[key, mapValues(node[key], go)]] : [])
  )
  if (string(node["$ref"]) !== undefined) {
    return { ...(rules.referenceSiblings ? node : { $ref: node["$ref"] }), ...definitions }
  }
  const { oneOf, ...rest } = node
  const refused = Object.entries(rest).filter(([key, value]) => rules.refused(key, value))
  const kept = omit(rest, refused.map(([key]) => key))
  const isObjectSchema = kept["type"] === "object" || kept["properties"] !== undefined
  const properties = kept["properties"] ?? (isObjectSchema && rules.requireAll ? {} : undefined)
  const unions = [...array(kept["anyOf"]), ...array(oneOf)]
  return {
    ...kept,
    ...described(kept, refused),
    ...(properties !== undefined && { properties: mapValues(properties, go) }),
    ...(rules.requireAll && isObject(properties) && { required: Object.keys(properties) }),
    ...(isObjectSchema && { additionalProperties: kept["additionalProperties"] ?? false }),
    ...(kept["items"] !== undefined && { items: go(kept["items"]) }),
    ...(unions.length > 0 && { anyOf: unions.map(go) }),
    ...(Array.isArray(kept["allOf"]) && { allOf: kept["allOf"].map(go) }),
    ...definitions
  }
}

// Source: Anthropic, "Structured outputs", "JSON Schema limitations".
const refusedByAnthropic = new Set([
  "minimum",
  "maximum",
  "exclusiveMinimum",
  "exclusiveMaximum",
  "multipleOf",
  "minLength",
  "maxLength",
  "maxItems",
  "uniqueItems"
])

/** A schema whose objects are closed, without the limits that Anthropic refuses. */
export const closed = (schema: JsonRecord): JsonRecord =>
  rewriteObject({
    requireAll: false,
    referenceSiblings: true,
    refused: (key, value) => refusedByAnthropic.has(key) || (key === "minItems" && value !== 0 && value !== 1)
  }, schema)

/** A schema for OpenAI's strict mode: objects are closed, and every property is required. */
export const strict = (schema: JsonRecord): JsonRecord =>
  rewriteObject({ requireAll: true, referenceSiblings: false, refused: () => false }, schema)

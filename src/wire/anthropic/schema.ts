/**
 * The JSON Schema of structured output in the form that the service accepts. Source: Anthropic API reference,
 * "Structured outputs", "JSON Schema limitations".
 */
import * as Result from "effect/Result"
import { array, isObject, type JsonRecord, object, string } from "../json.ts"

// Keywords that the service refuses.
const limits: ReadonlySet<string> = new Set([
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

const isRefused = (key: string, value: unknown): boolean =>
  limits.has(key) || (key === "minItems" && value !== 0 && value !== 1)

// Constraints that the service cannot enforce go into the description, so that the model can read them.
const described = (node: JsonRecord, refused: ReadonlyArray<readonly [string, unknown]>): JsonRecord => {
  if (refused.length === 0) return {}
  const demands = `{${refused.map(([key, value]) => `${key}: ${JSON.stringify(value)}`).join(", ")}}`
  const description = string(node["description"])
  return { description: description === undefined ? demands : `${description}\n\n${demands}` }
}

const definitionKeys = ["$defs", "definitions"] as const

const closedEach = (record: JsonRecord): JsonRecord =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, closedNode(value)]))

const closedNode = (node: unknown): unknown => isObject(node) ? closed(node) : node

/** The schema with closed objects, without the keywords that the service refuses. */
export const closed = (schema: JsonRecord): JsonRecord => {
  const definitions = Object.fromEntries(definitionKeys.flatMap((key) => {
    const record = schema[key]
    return isObject(record) ? [[key, closedEach(record)]] : []
  }))
  if (string(schema["$ref"]) !== undefined) return { ...schema, ...definitions }
  const { oneOf, ...rest } = schema
  const refused = Object.entries(rest).filter(([key, value]) => isRefused(key, value))
  const kept = Object.fromEntries(Object.entries(rest).filter(([key, value]) => !isRefused(key, value)))
  const unions = [...array(kept["anyOf"]), ...array(oneOf)]
  const properties = kept["properties"]
  return {
    ...kept,
    ...described(kept, refused),
    ...(isObject(properties) && { properties: closedEach(properties) }),
    ...((kept["type"] === "object" || properties !== undefined) && { additionalProperties: false }),
    ...(kept["items"] !== undefined && { items: closedNode(kept["items"]) }),
    ...(unions.length > 0 && { anyOf: unions.map(closedNode) }),
    ...(Array.isArray(kept["allOf"]) && { allOf: kept["allOf"].map(closedNode) }),
    ...definitions
  }
}

// The name of a definition in a `$ref`, which is a JSON Pointer in a URL fragment.
const definitionIn = (ref: string | undefined): string | undefined => {
  const name = ref === undefined ? undefined : /^#\/(?:\$defs|definitions)\/([^/]+)$/.exec(ref)?.[1]
  return name && Result.getOrElse(Result.try(() => decodeURIComponent(name)), () => name)
    .replaceAll("~1", "/").replaceAll("~0", "~")
}

// The subschemas of a schema, with their paths.
const within = (node: JsonRecord): ReadonlyArray<readonly [path: string, schema: unknown]> => [
  ...Object.entries(object(node["properties"])).map(([key, schema]) => [`properties.${key}`, schema] as const),
  ["items", node["items"]],
  ...["anyOf", "oneOf", "allOf"].flatMap((key) =>
    array(node[key]).map((schema, index) => [`${key}.${index}`, schema] as const)
  )
]

/** Why the service cannot enforce a schema, with the path of the problem; undefined when it can. */
export const problemOf = (root: JsonRecord): string | undefined => {
  const definitions = { ...object(root["definitions"]), ...object(root["$defs"]) }
  const fine = new Set<string>()
  const visit = (node: unknown, path: ReadonlyArray<string>, open: ReadonlySet<string>): string | undefined => {
    if (!isObject(node)) return undefined
    const where = (): string => path.length === 0 ? "the root" : path.join(".")
    if (isObject(node["additionalProperties"])) {
      return `${where()}: an object with arbitrary keys is not supported; name its properties, or use an array of keys and values`
    }
    const ref = string(node["$ref"])
    const name = definitionIn(ref)
    if (ref === "#" || (name !== undefined && open.has(name))) return `${where()}: a recursive schema is not supported`
    if (name !== undefined && !fine.has(name)) {
      const problem = visit(definitions[name], ["$defs", name], new Set([...open, name]))
      if (problem !== undefined) return problem
      fine.add(name)
    }
    for (const [key, schema] of within(node)) {
      const problem = visit(schema, [...path, key], open)
      if (problem !== undefined) return problem
    }
    return undefined
  }
  return visit(root, [], new Set())
}

/**
 * Makes JSON Schemas (draft 2020-12) into what providers take.
 */
import * as Result from "effect/Result"
import { array, isObject, type JsonRecord, object, string } from "./json.ts"
import { described, withoutUnused } from "./structured.ts"

const mapValues = <A>(record: unknown, f: (value: unknown) => A): Readonly<Record<string, A>> =>
  Object.fromEntries(Object.entries(object(record)).map(([key, value]) => [key, f(value)]))

const pick = (node: JsonRecord, keys: ReadonlyArray<string>): JsonRecord =>
  Object.fromEntries(keys.flatMap((key) => node[key] === undefined ? [] : [[key, node[key]]]))

const omit = (node: JsonRecord, keys: ReadonlyArray<string>): JsonRecord =>
  Object.fromEntries(Object.entries(node).filter(([key]) => !keys.includes(key)))

// ---------------------------------------------------------------------------------------------------------------------
// Structured output: Anthropic
// ---------------------------------------------------------------------------------------------------------------------

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

const isRefused = (key: string, value: unknown): boolean =>
  refusedByAnthropic.has(key) || (key === "minItems" && value !== 0 && value !== 1)

const closeObject = (node: JsonRecord): JsonRecord => {
  const go = (value: unknown): unknown => isObject(value) ? closeObject(value) : value
  const definitions = Object.fromEntries(
    ["$defs", "definitions"].flatMap((key) => isObject(node[key]) ? [[key, mapValues(node[key], go)]] : [])
  )
  if (string(node["$ref"]) !== undefined) return { ...node, ...definitions }
  const { oneOf, ...rest } = node
  const refused = Object.entries(rest).filter(([key, value]) => isRefused(key, value))
  const kept = omit(rest, refused.map(([key]) => key))
  const unions = [...array(kept["anyOf"]), ...array(oneOf)]
  return {
    ...kept,
    ...described(kept, refused),
    ...(kept["properties"] !== undefined && { properties: mapValues(kept["properties"], go) }),
    ...((kept["type"] === "object" || kept["properties"] !== undefined) && {
      additionalProperties: kept["additionalProperties"] ?? false
    }),
    ...(kept["items"] !== undefined && { items: go(kept["items"]) }),
    ...(unions.length > 0 && { anyOf: unions.map(go) }),
    ...(Array.isArray(kept["allOf"]) && { allOf: kept["allOf"].map(go) }),
    ...definitions
  }
}

/** A schema whose objects are closed, without the limits that Anthropic refuses. */
export const closed = (schema: JsonRecord): JsonRecord => closeObject(withoutUnused(schema))

// ---------------------------------------------------------------------------------------------------------------------
// Function declarations: Gemini
// ---------------------------------------------------------------------------------------------------------------------

// Which keywords go with which type. Source: Google AI for Developers, "Schema". All others are refused by the API.
const geminiTypes = {
  STRING: ["minLength", "maxLength", "pattern"],
  NUMBER: ["minimum", "maximum"],
  INTEGER: ["minimum", "maximum"],
  BOOLEAN: [],
  ARRAY: ["minItems", "maxItems"],
  OBJECT: ["minProperties", "maxProperties", "propertyOrdering"],
  NULL: []
} as const

type GeminiType = keyof typeof geminiTypes

const geminiFormats: { readonly [Type in GeminiType]?: ReadonlyArray<string> } = {
  STRING: ["enum", "date-time"],
  NUMBER: ["float", "double"],
  INTEGER: ["int32", "int64"]
}

/** A schema as Gemini's function declarations take it. */
export interface GeminiSchema extends GeminiAnnotations, GeminiLimits {
  readonly type?: GeminiType
  readonly nullable?: boolean
  readonly format?: string
  readonly enum?: ReadonlyArray<string>
  readonly properties?: Readonly<Record<string, GeminiSchema>>
  readonly required?: ReadonlyArray<string>
  readonly items?: GeminiSchema
  readonly anyOf?: ReadonlyArray<GeminiSchema>
}

interface GeminiAnnotations {
  readonly title?: string
  readonly description?: string
  readonly default?: unknown
  readonly example?: unknown
}

interface GeminiLimits {
  readonly minLength?: number
  readonly maxLength?: number
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly minProperties?: number
  readonly maxProperties?: number
  readonly propertyOrdering?: ReadonlyArray<string>
}

const annotations = ["title", "description", "default", "example"] as const satisfies ReadonlyArray<
  keyof GeminiAnnotations
>

// References, and what stands beside a union, can double a schema at every level: what would grow beyond this many
// nodes becomes a plain object.
const nodeLimit = 5000

const plainObject = { type: "object" }

// Both of two schemas as one; where they differ, the second counts.
const both = (a: JsonRecord, b: JsonRecord): JsonRecord => ({
  ...a,
  ...b,
  ...((isObject(a["properties"]) || isObject(b["properties"])) && {
    properties: { ...object(a["properties"]), ...object(b["properties"]) }
  }),
  ...((Array.isArray(a["required"]) || Array.isArray(b["required"])) && {
    required: [...new Set([...array(a["required"]), ...array(b["required"])])]
  })
})

const literalsOf = (node: JsonRecord): ReadonlyArray<unknown> =>
  node["const"] === undefined ? array(node["enum"]) : [node["const"]]

const isNull = (node: JsonRecord): boolean => {
  const literals = literalsOf(node)
  return node["type"] === "null" || (literals.length > 0 && literals.every((literal) => literal === null))
}

const literalTypes: Readonly<Record<string, GeminiType>> = { string: "STRING", boolean: "BOOLEAN" }

const typeOf = (node: JsonRecord): GeminiType => {
  const types = typeof node["type"] === "string" ? [node["type"]] : array(node["type"])
  const named = String(types.find((type) => type !== "null") ?? types[0]).toUpperCase()
  if (Object.hasOwn(geminiTypes, named)) return named as GeminiType
  const literals = literalsOf(node).filter((literal) => literal !== null)
  if (literals.length > 0) {
    return literals.every(Number.isInteger)
      ? "INTEGER"
      : literals.every((literal) => typeof literal === "number")
      ? "NUMBER"
      : literalTypes[typeof literals[0]] ?? "STRING"
  }
  return isNull(node)
    ? "NULL"
    : isObject(node["properties"])
    ? "OBJECT"
    : node["items"] !== undefined || node["prefixItems"] !== undefined
    ? "ARRAY"
    : "STRING"
}

// An array's items, or one of those of a tuple.
const itemsOf = (node: JsonRecord): JsonRecord => {
  const items = [node["items"]].flat().filter(isObject)
  const all = [...array(node["prefixItems"]), ...items]
  return all.length > 1 ? { anyOf: all } : object(all[0])
}

// A step of a JSON pointer in a URL.
const decodeStep = (step: string): string =>
  Result.getOrElse(Result.try(() => decodeURIComponent(step)), () => step).replaceAll("~1", "/").replaceAll("~0", "~")

// The value that a reference points to inside of a schema.
const resolve = (root: JsonRecord, reference: string): unknown =>
  reference.startsWith("#")
    ? reference.split("/").slice(1).map(decodeStep).reduce<unknown>(
      (at, step) =>
        Array.isArray(at) ? at[Number(step)] : Object.hasOwn(object(at), step) ? object(at)[step] : undefined,
      root
    )
    : undefined

/**
 * A schema as Gemini's function declarations take it: references are replaced by what they refer to, with recursion cut
 * at a plain object; null becomes `nullable`; unions stay `anyOf`.
 */
export const gemini = (schema: JsonRecord): GeminiSchema => {
  let nodes = 0

  // A node together with what it refers to and all that it has to be as well, and the references on the way to it.
  const flatten = (value: unknown, path: ReadonlyArray<string>): readonly [JsonRecord, ReadonlyArray<string>] => {
    const { $ref, allOf, ...own } = object(value)
    const reference = string($ref)
    if (reference === undefined && allOf === undefined) return [own, path]
    if (nodes++ >= nodeLimit) return [plainObject, path]
    const target = reference === undefined || path.includes(reference) ? undefined : resolve(schema, reference)
    const inner = target === undefined || reference === undefined ? path : [...path, reference]
    const referred = reference === undefined ? [] : [target ?? plainObject]
    const parts = [...referred, ...array(allOf)].map((part) => flatten(part, inner))
    return [
      both(parts.map(([node]) => node).reduce(both, {}), own),
      [...new Set([...inner, ...parts.flatMap(([, path]) => path)])]
    ]
  }

  const convert = (value: unknown, above: ReadonlyArray<string>): GeminiSchema => {
    if (nodes++ >= nodeLimit) return { type: "OBJECT" }
    const [node, path] = flatten(value, above)
    const { anyOf, enum: literals, nullable, oneOf, type, ...rest } = node
    const types = array(type).filter((type) => type !== "null")
    const alternatives = [...array(anyOf), ...array(oneOf)].map(object)
    const members = alternatives.length > 0
      ? alternatives.filter((member) => !isNull(member))
      : types.length > 1
      ? types.map((type) => ({ type }))
      : []
    const common = {
      ...pick(node, annotations) as GeminiAnnotations,
      ...((nullable === true || array(type).includes("null") || array(literals).includes(null)
        || (members.length > 0 && members.length < alternatives.length)) && { nullable: true })
    }
    if (members.length === 0) {
      return { ...common, ...leaf(alternatives.length > 0 ? both(node, { type: "null" }) : node, path) }
    }
    // What stands beside a union holds for each of its members.
    const beside = {
      ...omit(rest, annotations),
      ...(literals !== undefined && { enum: literals }),
      ...(typeof type === "string" && { type })
    }
    const converted = members.map((member) => convert(both(beside, member), path))
    const distinct = [...new Map(converted.map((member) => [JSON.stringify(member), member])).values()]
    return distinct.length === 1 ? { ...distinct[0], ...common } : { ...common, anyOf: distinct }
  }

  const leaf = (node: JsonRecord, path: ReadonlyArray<string>): GeminiSchema => {
    const type = typeOf(node)
    const format = string(node["format"])
    // The API refuses an empty text among the literals.
    const literals = type === "STRING" ? literalsOf(node).flatMap((literal) => string(literal) ?? []) : []
    // `false` stands for a property that may not be there.
    const wanted = Object.entries(object(node["properties"])).filter(([, property]) => property !== false)
    const properties = type === "OBJECT"
      ? mapValues(Object.fromEntries(wanted), (property) => convert(property, path))
      : {}
    const required = array(node["required"]).flatMap((name) => string(name) ?? []).filter((name) =>
      Object.hasOwn(properties, name)
    )
    return {
      type,
      ...pick(node, geminiTypes[type]) as GeminiLimits,
      ...(format !== undefined && geminiFormats[type]?.includes(format) === true && { format }),
      ...(literals.length > 0 && { enum: literals }),
      ...(Object.keys(properties).length > 0 && { properties }),
      ...(required.length > 0 && { required }),
      ...(type === "ARRAY" && { items: convert(itemsOf(node), path) })
    }
  }

  return convert(schema, ["#"])
}

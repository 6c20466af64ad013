/**
 * Makes JSON Schemas (draft 2020-12) into what providers take.
 */
import { array, isObject, type JsonRecord, object, string } from "./json.ts"

const mapValues = (record: unknown, f: (value: unknown) => unknown): JsonRecord =>
  Object.fromEntries(Object.entries(object(record)).map(([key, value]) => [key, f(value)]))

// ---------------------------------------------------------------------------------------------------------------------
// Structured output: Anthropic and OpenAI
// ---------------------------------------------------------------------------------------------------------------------

interface Rules {
  /** Every property is required, as OpenAI's strict mode wants it. */
  readonly requireAll?: boolean
  /** Keywords that the provider refuses. */
  readonly without?: ReadonlyArray<string>
}

const rewrite = (rules: Rules) => (node: unknown): unknown => {
  if (!isObject(node)) return node
  if (string(node["$ref"]) !== undefined && node["$defs"] === undefined) return { $ref: node["$ref"] }
  const go = rewrite(rules)
  const { oneOf, ...rest } = node
  const kept = Object.fromEntries(Object.entries(rest).filter(([key]) => !rules.without?.includes(key)))
  const properties = kept["properties"]
  const unions = [...array(kept["anyOf"]), ...array(oneOf)]
  return {
    ...kept,
    ...((kept["type"] === "object" || properties !== undefined) && { additionalProperties: false }),
    ...(kept["additionalProperties"] !== undefined && { additionalProperties: kept["additionalProperties"] }),
    ...(properties !== undefined && { properties: mapValues(properties, go) }),
    ...(rules.requireAll === true && isObject(properties) && { required: Object.keys(properties) }),
    ...(kept["items"] !== undefined && { items: go(kept["items"]) }),
    ...(unions.length > 0 && { anyOf: unions.map(go) }),
    ...(Array.isArray(kept["allOf"]) && { allOf: kept["allOf"].map(go) }),
    ...(kept["$defs"] !== undefined && { $defs: mapValues(kept["$defs"], go) })
  }
}

const numericLimits = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]

/** A schema whose objects are closed, without the limits on numbers that Anthropic refuses. */
export const closed = (schema: JsonRecord): unknown => rewrite({ without: numericLimits })(schema)

/** A schema for OpenAI's strict mode: objects are closed, and every property is required. */
export const strict = (schema: JsonRecord): unknown => rewrite({ requireAll: true })(schema)

// ---------------------------------------------------------------------------------------------------------------------
// Function declarations: Gemini
// ---------------------------------------------------------------------------------------------------------------------

// Source: Google AI for Developers, "Schema". Everything else is refused by the API.
const geminiKeywords = [
  "title",
  "description",
  "default",
  "example",
  "minItems",
  "maxItems",
  "minLength",
  "maxLength",
  "minProperties",
  "maxProperties",
  "minimum",
  "maximum",
  "pattern",
  "required",
  "propertyOrdering"
]

const geminiFormats: Readonly<Record<string, ReadonlyArray<string>>> = {
  STRING: ["enum", "date-time"],
  NUMBER: ["float", "double"],
  INTEGER: ["int32", "int64"]
}

// References can double a schema at every level: what would grow beyond this many nodes becomes a plain object.
const nodeLimit = 5000

/**
 * A schema as Gemini's function declarations take it: references are replaced by what they refer to, with recursion cut
 * at a plain object; null becomes `nullable`; unions stay `anyOf`.
 */
export const gemini = (schema: JsonRecord): JsonRecord => {
  const definitions = { ...object(schema["definitions"]), ...object(schema["$defs"]) }
  let nodes = 0

  const unions = (node: JsonRecord, path: ReadonlyArray<string>) => {
    const types = array(node["type"]).filter((type) => type !== "null")
    const members = [...array(node["anyOf"]), ...array(node["oneOf"])]
    const some = members.filter((member) => object(member)["type"] !== "null" && object(member)["const"] !== null)
    return {
      nullable: node["nullable"] === true || array(node["type"]).includes("null") || some.length < members.length,
      members: some.length > 0
        ? some.map((member) => convert(member, path))
        : types.length > 1
        ? types.map((type) => convert({ ...node, type, description: undefined }, path))
        : [],
      type: string(node["type"]) ?? string(types[0])
    }
  }

  const convert = (value: unknown, path: ReadonlyArray<string>): JsonRecord => {
    const node = object(value)
    const reference = string(node["$ref"])
    if (reference !== undefined) {
      const name = decodeURIComponent(reference.split("/").at(-1) ?? "").replaceAll("~1", "/").replaceAll("~0", "~")
      const { $ref: _, ...siblings } = node
      const known = Object.hasOwn(definitions, name) && !path.includes(name) && nodes < nodeLimit
      return known
        ? convert({ ...object(definitions[name]), ...siblings }, [...path, name])
        : { type: "OBJECT", ...pick(siblings, ["description"]) }
    }
    nodes++
    // A schema for all of several schemas: their properties together.
    const parts = array(node["allOf"]).map((part) => convert(part, path))
    const { members, nullable, type: named } = unions(node, path)
    const common = { ...pick(node, geminiKeywords), ...(nullable && { nullable: true }) }
    const single = members.length === 1 ? members[0]! : undefined
    if (members.length > 1) return { ...common, anyOf: members }
    if (single !== undefined) return { ...single, ...common }
    const literals = node["const"] === undefined ? array(node["enum"]) : [node["const"]]
    const strings = literals.filter((literal) => typeof literal === "string")
    const inherited = Object.assign({}, ...parts) as JsonRecord
    const type = (named ?? string(inherited["type"])
      ?? (node["properties"] !== undefined ? "object" : node["items"] !== undefined ? "array" : "string")).toUpperCase()
    const properties = {
      ...Object.assign({}, ...parts.map((part) => object(part["properties"]))) as JsonRecord,
      ...mapValues(node["properties"], (property) => convert(property, path))
    }
    const required = [...new Set([...parts.flatMap((part) => array(part["required"])), ...array(node["required"])])]
      .filter((name) => Object.hasOwn(properties, String(name)))
    const format = string(node["format"])
    const { required: _, ...rest } = { ...inherited, ...common } as JsonRecord
    return {
      ...rest,
      type,
      ...(format !== undefined && geminiFormats[type]?.includes(format) && { format }),
      ...(type === "STRING" && strings.length > 0 && { enum: strings }),
      ...(type === "OBJECT" && Object.keys(properties).length > 0 && { properties }),
      ...(required.length > 0 && { required }),
      ...(type === "ARRAY" && { items: convert(node["items"] ?? inherited["items"], path) })
    }
  }

  return convert(schema, [])
}

const pick = (node: JsonRecord, keys: ReadonlyArray<string>): JsonRecord =>
  Object.fromEntries(keys.flatMap((key) => node[key] === undefined ? [] : [[key, node[key]]]))

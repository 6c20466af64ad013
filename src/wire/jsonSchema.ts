/**
 * JSON Schemas (draft 2020-12) for `response_format`. Source: OpenAI, "Structured model outputs".
 */
import * as Result from "effect/Result"
import { array, isObject, type JsonRecord, object, string } from "./json.ts"

// Constraints that the provider cannot enforce go into the description, so that the model can read them.
const described = (node: JsonRecord, refused: ReadonlyArray<readonly [string, unknown]>): JsonRecord => {
  if (refused.length === 0) return {}
  const demands = `{${refused.map(([key, value]) => `${key}: ${JSON.stringify(value)}`).join(", ")}}`
  const description = string(node["description"])
  return { description: description === undefined ? demands : `${description}\n\n${demands}` }
}

// ---------------------------------------------------------------------------------------------------------------------
// Definitions
// ---------------------------------------------------------------------------------------------------------------------

const definitionKeys = ["$defs", "definitions"] as const

const omit = (node: JsonRecord, keys: ReadonlyArray<string>): JsonRecord =>
  Object.fromEntries(Object.entries(node).filter(([key]) => !keys.includes(key)))

// A step of a JSON pointer in a URL.
const decodeStep = (step: string): string =>
  Result.getOrElse(Result.try(() => decodeURIComponent(step)), () => step).replaceAll("~1", "/").replaceAll("~0", "~")

const stepsOf = (reference: string): ReadonlyArray<string> => reference.split("/").slice(1).map(decodeStep)

/** The value that a reference in a schema points to. */
export const resolve = (root: JsonRecord, reference: string): unknown =>
  reference.startsWith("#")
    ? stepsOf(reference).reduce<unknown>(
      (at, step) =>
        Array.isArray(at) ? at[Number(step)] : Object.hasOwn(object(at), step) ? object(at)[step] : undefined,
      root
    )
    : undefined

// These keywords hold a value, not a schema.
const literals: ReadonlySet<string> = new Set(["const", "enum", "default", "examples", "example"])

// The keys under these keywords are names, not keywords.
const byName: ReadonlySet<string> = new Set(["properties", "patternProperties", "dependentSchemas", ...definitionKeys])

/**
 * Removes the definitions that nothing refers to. A named Schema comes with a definition of its root, which would be
 * sent twice.
 */
export const withoutUnused = (schema: JsonRecord): JsonRecord => {
  const references = new Set<string>()
  const follow = (value: unknown): void => {
    if (Array.isArray(value)) return value.forEach(follow)
    for (const [key, inner] of Object.entries(object(value))) {
      if (key === "$ref" && typeof inner === "string") {
        if (references.has(inner)) continue
        references.add(inner)
        follow(resolve(schema, inner))
      } else if (byName.has(key)) Object.values(object(inner)).forEach(follow)
      else if (!literals.has(key)) follow(inner)
    }
  }
  const root = omit(schema, definitionKeys)
  follow(root)
  const used = new Set([...references].map((reference) => stepsOf(reference)[1]))
  const kept = definitionKeys.map((key) =>
    [key, Object.entries(object(schema[key])).filter(([name]) => used.has(name))] as const
  ).filter(([, entries]) => entries.length > 0)
  return { ...root, ...Object.fromEntries(kept.map(([key, entries]) => [key, Object.fromEntries(entries)])) }
}

// ---------------------------------------------------------------------------------------------------------------------
// Strict mode
// ---------------------------------------------------------------------------------------------------------------------

// Source: OpenAI, "Structured model outputs", "Supported schemas".
const supported = new Set([
  "$ref",
  "type",
  "title",
  "description",
  "enum",
  "const",
  "pattern",
  "format",
  "multipleOf",
  "minimum",
  "maximum",
  "exclusiveMinimum",
  "exclusiveMaximum",
  "minItems",
  "maxItems"
])

// Left out of the schema, and put into the description.
const asWords = new Set(["minLength", "maxLength", "uniqueItems", "minProperties", "maxProperties", "contentEncoding"])

// Left out: they do not constrain the answer.
const annotating = new Set([
  "$schema",
  "$id",
  "$anchor",
  "$comment",
  "default",
  "example",
  "examples",
  "deprecated",
  "readOnly",
  "writeOnly"
])

const formats = new Set(["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"])

// Merges a schema with its `allOf`, if no keyword has two different values.
const flattened = (node: JsonRecord): JsonRecord | undefined => {
  const { allOf, ...siblings } = node
  if (allOf === undefined) return node
  const merged: Record<string, unknown> = { ...siblings }
  for (const member of array(allOf)) {
    const flat = isObject(member) ? flattened(member) : undefined
    if (flat === undefined) return undefined
    for (const [key, value] of Object.entries(flat)) {
      if (merged[key] !== undefined && JSON.stringify(merged[key]) !== JSON.stringify(value)) {
        if (key !== "title" && key !== "description") return undefined
      } else merged[key] = value
    }
  }
  return merged
}

const admitsNull = (schema: unknown): boolean =>
  isObject(schema)
  && (schema["type"] === "null" || schema["const"] === null || array(schema["type"]).includes("null") ||
    array(schema["enum"]).includes(null)
    || array(schema["anyOf"]).some(admitsNull))

// An optional property becomes required and nullable.
const nullable = (schema: unknown): unknown => admitsNull(schema) ? schema : { anyOf: [schema, { type: "null" }] }

type Strict = JsonRecord | undefined

// The strict forms of all schemas; undefined when one has no strict form.
const allStrict = (schemas: ReadonlyArray<unknown>): ReadonlyArray<JsonRecord> | undefined => {
  const rewritten = schemas.map(strictly)
  return rewritten.every((schema) => schema !== undefined) ? rewritten : undefined
}

const strictRecord = (record: unknown): Readonly<Record<string, JsonRecord>> | undefined => {
  const entries = Object.entries(object(record))
  const schemas = allStrict(entries.map(([, schema]) => schema))
  return schemas && Object.fromEntries(entries.map(([key], index) => [key, schemas[index]!]))
}

const strictObject = (node: JsonRecord): Strict => {
  const { additionalProperties, properties } = node
  // An object with arbitrary properties cannot be closed.
  if (additionalProperties === undefined ? !isObject(properties) : additionalProperties !== false) return undefined
  const schemas = strictRecord(properties)
  const required = array(node["required"])
  return schemas && {
    properties: Object.fromEntries(
      Object.entries(schemas).map(([key, schema]) => [key, required.includes(key) ? schema : nullable(schema)])
    ),
    required: Object.keys(schemas),
    additionalProperties: false
  }
}

const structural = ["anyOf", "oneOf", "items", "properties", "required", "additionalProperties", ...definitionKeys]

// The strict form of a schema, if it has one.
const strictly = (schema: unknown): Strict => {
  const node = isObject(schema) ? flattened(schema) : undefined
  // A schema without keywords allows everything, which strict mode does not support.
  if (node === undefined || Object.keys(node).every((key) => annotating.has(key) || key === "description")) {
    return undefined
  }
  const reference = string(node["$ref"])
  if (reference !== undefined) return { $ref: reference }
  const isObjectSchema = node["type"] === "object" || array(node["type"]).includes("object")
    || node["properties"] !== undefined
  const isArraySchema = node["type"] === "array" || array(node["type"]).includes("array") || node["items"] !== undefined
  const keys = Object.keys(node)
  if (!keys.every((key) => supported.has(key) || asWords.has(key) || annotating.has(key) || structural.includes(key))) {
    return undefined
  }
  const unions = [...array(node["anyOf"]), ...array(node["oneOf"])]
  const union = allStrict(unions)
  const fields = isObjectSchema ? strictObject(node) : {}
  const items = isArraySchema ? strictly(node["items"]) : undefined
  if (union === undefined || fields === undefined || (isArraySchema && items === undefined)) return undefined
  const inWords = Object.entries(node).filter(([key, value]) =>
    asWords.has(key) || (key === "format" && !formats.has(String(value)))
  )
  const dropped = inWords.map(([key]) => key)
  const kinds = omit(node, keys.filter((key) => !supported.has(key) || dropped.includes(key)))
  return {
    ...kinds,
    ...described(node, inWords),
    ...fields,
    ...(items && { items }),
    ...(union.length > 0 && { anyOf: union })
  }
}

// Resolves a reference at the root, because providers require an object there.
const atRoot = (schema: JsonRecord): JsonRecord => {
  const reference = string(schema["$ref"])
  const target = reference === undefined || reference === "#" ? undefined : resolve(schema, reference)
  return isObject(target) && target["$ref"] === undefined
    ? { ...target, ...omit(schema, ["$ref"]) }
    : schema
}

/**
 * The schema for `response_format`. If OpenAI's strict mode supports it, objects are closed and all properties are
 * required; optional ones become nullable. Otherwise the schema is sent unchanged, and the model is asked to follow it.
 */
export const structured = (schema: JsonRecord): { readonly strict: boolean; readonly schema: JsonRecord } => {
  const whole = withoutUnused(atRoot(schema))
  const root = strictly(whole)
  const definitions = definitionKeys.map((key) => [key, strictRecord(whole[key])] as const)
  if (root === undefined || definitions.some(([, record]) => record === undefined)) {
    return { strict: false, schema: whole }
  }
  return {
    strict: true,
    schema: { ...root, ...Object.fromEntries(definitions.filter(([key]) => whole[key] !== undefined)) }
  }
}

/**
 * A minimal valid value for a JSON Schema: only required properties, the schema's example or default, the first value
 * of an enum, the smallest number, the shortest array. It also reads Google's dialect (upper-case types, `nullable`).
 * Depth and size are limited, with null beyond the limits.
 */
import * as Result from "effect/Result"
import { decodePercent, isObject, type Json, type JsonObject } from "./json.ts"
import * as Pattern from "./pattern.ts"
import { nameOf } from "./shape.ts"

const maxDepth = 12

/** The approximate size limit of an instance, in characters of JSON. */
const maxSize = 100_000

interface Place {
  readonly root: unknown
  /** The remaining size for the whole instance. */
  readonly room: { remaining: number }
  readonly depth: number
  /** The property's name, which makes the text meaningful. */
  readonly hint: string
}

// Maps, because a name such as "constructor" must not find an inherited property.
const formats: ReadonlyMap<string, string> = new Map(Object.entries({
  "date-time": "2026-01-01T00:00:00Z",
  date: "2026-01-01",
  time: "00:00:00Z",
  duration: "P1D",
  email: "someone@example.com",
  "idn-email": "someone@example.com",
  hostname: "example.com",
  "idn-hostname": "example.com",
  uri: "https://example.com",
  "uri-reference": "https://example.com",
  "uri-template": "https://example.com/{id}",
  iri: "https://example.com",
  "iri-reference": "https://example.com",
  url: "https://example.com",
  "json-pointer": "/a",
  "relative-json-pointer": "0",
  regex: "a",
  byte: "dGV4dA==",
  ipv4: "192.0.2.1",
  ipv6: "2001:db8::1",
  uuid: "00000000-0000-4000-8000-000000000000"
}))

const deeper = (place: Place, hint = place.hint): Place => ({ ...place, depth: place.depth + 1, hint })

const resolve = (root: unknown, ref: string): unknown =>
  ref.split("/").slice(1).reduce<unknown>(
    (at, step) => {
      const key = decodePercent(step)?.replaceAll("~1", "/").replaceAll("~0", "~")
      return isObject(at) && key !== undefined ? at[key] : undefined
    },
    root
  )

const isNull = (schema: unknown): boolean => isObject(schema) && (schema.type === "null" || schema.const === null)

/** Subtracts the size of a value. */
const counted = <A extends Json>(value: A, { room }: Place): A => {
  room.remaining -= JSON.stringify(value).length
  return value
}

const number = (value: unknown): number | undefined => typeof value === "number" ? value : undefined

const regexSource = (value: unknown): string | undefined =>
  typeof value === "string" && Result.isSuccess(Result.try(() => new RegExp(value, "u"))) ? value : undefined

const stringOf = (schema: JsonObject, place: Place): string => {
  const pattern = regexSource(schema.pattern)
  const matching = pattern === undefined ? undefined : Pattern.sample(pattern)
  if (matching !== undefined) return counted(matching, place)
  const formatted = typeof schema.format === "string" ? formats.get(schema.format) : undefined
  const text = formatted ?? (place.hint === "" ? "text" : place.hint)
  const least = Math.min(number(schema.minLength) ?? 0, place.room.remaining)
  return counted(text.padEnd(least, "x").slice(0, number(schema.maxLength)), place)
}

const numberOf = (schema: JsonObject, integer: boolean): number => {
  const step = number(schema.multipleOf) ?? (integer ? 1 : undefined)
  const gap = step ?? 0.5
  const above = number(schema.exclusiveMinimum)
  const below = number(schema.exclusiveMaximum)
  const least = Math.max(number(schema.minimum) ?? -Infinity, above === undefined ? -Infinity : above + gap)
  const most = Math.min(number(schema.maximum) ?? Infinity, below === undefined ? Infinity : below - gap)
  const wanted = Math.min(Math.max(0, least), most)
  if (step === undefined || wanted === 0) return wanted
  return wanted > 0 ? Math.ceil(wanted / step) * step : Math.floor(wanted / step) * step
}

const arrayOf = (schema: JsonObject, place: Place): Json => {
  const prefix = Array.isArray(schema.prefixItems) ? schema.prefixItems : []
  const length = Math.max(number(schema.minItems) ?? 0, schema.minItems === undefined ? prefix.length : 0)
  const items: Array<Json> = []
  while (items.length < Math.floor(length) && place.room.remaining > 0) {
    const index = items.length
    items.push(distinct(build(prefix[index] ?? schema.items, deeper(place)), schema, index))
  }
  return items
}

/** Items of a `uniqueItems` array are made distinct, if they are texts or numbers. */
const distinct = (value: Json, schema: JsonObject, index: number): Json => {
  if (schema.uniqueItems !== true || index === 0) return value
  const items = isObject(schema.items) ? schema.items : {}
  if (Array.isArray(items.enum)) return (items.enum[index] ?? value) as Json
  return typeof value === "number" ? value + index : typeof value === "string" ? `${value}${index + 1}` : value
}

const objectOf = (schema: JsonObject, place: Place): Json => {
  const properties = isObject(schema.properties) ? schema.properties : {}
  const required = Array.isArray(schema.required) ? schema.required.filter((key) => typeof key === "string") : []
  return Object.fromEntries(required.map((key) => {
    place.room.remaining -= key.length + 3
    return [key, build(properties[key], deeper(place, key))]
  }))
}

const builders: ReadonlyMap<string, (schema: JsonObject, place: Place) => Json> = new Map(Object.entries({
  object: objectOf,
  array: arrayOf,
  string: stringOf,
  integer: (schema) => numberOf(schema, true),
  number: (schema) => numberOf(schema, false),
  boolean: () => false,
  null: () => null
}))

const typeOf = (schema: JsonObject): string => {
  const types = (Array.isArray(schema.type) ? schema.type : [schema.type]).filter((type) => typeof type === "string")
  const named = types.map((type) => type.toLowerCase())
  const stated = named.find((type) => type !== "null") ?? named[0]
  if (stated !== undefined) return stated
  if (isObject(schema.properties) || Array.isArray(schema.required)) return "object"
  return schema.items !== undefined
    ? "array"
    : schema.pattern !== undefined || schema.format !== undefined
    ? "string"
    : "null"
}

const choiceOf = (members: ReadonlyArray<unknown>, schema: JsonObject, place: Place): Json => {
  const shallow = place.depth < maxDepth / 2
  const member = (shallow ? undefined : members.find(isNull)) ?? members.find((one) => !isNull(one)) ?? members[0]
  return isObject(member) && isObject(schema.properties)
    ? build(merged([{ ...schema, anyOf: undefined, oneOf: undefined }, member]), deeper(place))
    : build(member, deeper(place))
}

const objectsAt = (schema: JsonObject, key: string): JsonObject => isObject(schema[key]) ? schema[key] : {}

const listAt = (schema: JsonObject, key: string): ReadonlyArray<unknown> =>
  Array.isArray(schema[key]) ? schema[key] : []

/** A schema that requires what each of several schemas requires. */
const merged = (members: ReadonlyArray<unknown>): JsonObject =>
  members.filter(isObject).reduce<JsonObject>((all, one) => ({
    ...all,
    ...one,
    ...all.properties === undefined && one.properties === undefined
      ? {}
      : { properties: { ...objectsAt(all, "properties"), ...objectsAt(one, "properties") } },
    ...all.required === undefined && one.required === undefined
      ? {}
      : { required: [...listAt(all, "required"), ...listAt(one, "required")] }
  }), {})

/** The schema's own value: its first example, or its default. */
const exampleOf = (schema: JsonObject): Json | undefined => {
  const types = (Array.isArray(schema.type) ? schema.type : [schema.type]).filter((type) => typeof type === "string")
    .map((type) => type.toLowerCase())
  const fits = (value: unknown): boolean => {
    const name = nameOf(value)
    return value !== undefined && (types.length === 0 || types.includes(name)
      || (types.includes("number") && (name === "integer" || name === "decimal")))
  }
  return [...listAt(schema, "examples"), schema.example, schema.default].find(fits) as Json | undefined
}

const build = (schema: unknown, place: Place): Json => {
  if (place.depth > maxDepth || place.room.remaining <= 0) return null
  place.room.remaining -= 2
  if (!isObject(schema)) return place.hint
  if (schema.const !== undefined) return counted(schema.const as Json, place)
  if (Array.isArray(schema.enum) && schema.enum.length > 0) return counted(schema.enum[0] as Json, place)
  const example = exampleOf(schema)
  if (example !== undefined) return counted(example, place)
  if (typeof schema.$ref === "string") return build(resolve(place.root, schema.$ref), deeper(place))
  if (Array.isArray(schema.allOf)) {
    const members = schema.allOf.map((one) =>
      isObject(one) && typeof one.$ref === "string" ? resolve(place.root, one.$ref) : one
    )
    return build(merged([{ ...schema, allOf: undefined }, ...members]), deeper(place))
  }
  const choices = Array.isArray(schema.anyOf) ? schema.anyOf : schema.oneOf
  if (Array.isArray(choices)) return choiceOf(choices, schema, place)
  return (builders.get(typeOf(schema)) ?? objectOf)(schema, place)
}

/** A value that is valid for the schema; null for an empty schema. */
export const make = (schema: unknown): Json =>
  build(schema, { root: schema, room: { remaining: maxSize }, depth: 0, hint: "" })

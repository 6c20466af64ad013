/**
 * A minimal valid value for a JSON Schema: the required properties only, the first of an enum, the least number, the
 * shortest array. It reads Google's dialect too (upper-case types, `nullable`). Recursion ends at a depth guard, with
 * null where a schema demands its own endless nesting.
 */
import * as Result from "effect/Result"
import { isObject, type Json, type JsonObject } from "./json.ts"
import * as Pattern from "./pattern.ts"

const maxDepth = 12

interface Place {
  readonly root: unknown
  readonly depth: number
  /** The property's name, which makes a speaking text. */
  readonly hint: string
}

const formats: { readonly [format: string]: string } = {
  "date-time": "2026-01-01T00:00:00Z",
  date: "2026-01-01",
  time: "00:00:00Z",
  duration: "P1D",
  email: "someone@example.com",
  hostname: "example.com",
  uri: "https://example.com",
  url: "https://example.com",
  ipv4: "192.0.2.1",
  ipv6: "2001:db8::1",
  uuid: "00000000-0000-4000-8000-000000000000"
}

const deeper = (place: Place, hint = place.hint): Place => ({ ...place, depth: place.depth + 1, hint })

const resolve = (root: unknown, ref: string): unknown =>
  ref.split("/").slice(1).reduce<unknown>(
    (at, step) => isObject(at) ? at[decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~")] : undefined,
    root
  )

const isNull = (schema: unknown): boolean => isObject(schema) && (schema.type === "null" || schema.const === null)

const number = (value: unknown): number | undefined => typeof value === "number" ? value : undefined

const regexSource = (value: unknown): string | undefined =>
  typeof value === "string" && Result.isSuccess(Result.try(() => new RegExp(value, "u"))) ? value : undefined

const stringOf = (schema: JsonObject, place: Place): string => {
  const pattern = regexSource(schema.pattern)
  const matching = pattern === undefined ? undefined : Pattern.sample(pattern)
  if (matching !== undefined) return matching
  const formatted = typeof schema.format === "string" ? formats[schema.format] : undefined
  const text = formatted ?? (place.hint === "" ? "text" : place.hint)
  return text.padEnd(number(schema.minLength) ?? 0, "x").slice(0, number(schema.maxLength) ?? text.length + 10_000)
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
  return Array.from(
    { length },
    (_, index) => distinct(build(prefix[index] ?? schema.items, deeper(place)), schema, index)
  )
}

/** Members of a `uniqueItems` array differ by their position, where they are free texts or numbers. */
const distinct = (value: Json, schema: JsonObject, index: number): Json => {
  if (schema.uniqueItems !== true || index === 0) return value
  const items = isObject(schema.items) ? schema.items : {}
  if (Array.isArray(items.enum)) return (items.enum[index] ?? value) as Json
  return typeof value === "number" ? value + index : typeof value === "string" ? `${value}${index + 1}` : value
}

const objectOf = (schema: JsonObject, place: Place): Json => {
  const properties = isObject(schema.properties) ? schema.properties : {}
  const required = Array.isArray(schema.required) ? schema.required.filter((key) => typeof key === "string") : []
  return Object.fromEntries(required.map((key) => [key, build(properties[key], deeper(place, key))]))
}

const builders: { readonly [type: string]: (schema: JsonObject, place: Place) => Json } = {
  object: objectOf,
  array: arrayOf,
  string: stringOf,
  integer: (schema) => numberOf(schema, true),
  number: (schema) => numberOf(schema, false),
  boolean: () => false,
  null: () => null
}

const typeOf = (schema: JsonObject): string => {
  const types = (Array.isArray(schema.type) ? schema.type : [schema.type]).filter((type) => typeof type === "string")
  const known = types.map((type) => type.toLowerCase())
  const stated = known.find((type) => type !== "null") ?? known[0]
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

/** One schema that asks for all of what each asks for. */
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

const build = (schema: unknown, place: Place): Json => {
  if (!isObject(schema) || place.depth > maxDepth) return place.depth > maxDepth ? null : place.hint
  if (schema.const !== undefined) return schema.const as Json
  if (Array.isArray(schema.enum) && schema.enum.length > 0) return schema.enum[0] as Json
  if (typeof schema.$ref === "string") return build(resolve(place.root, schema.$ref), deeper(place))
  if (Array.isArray(schema.allOf)) {
    const members = schema.allOf.map((one) =>
      isObject(one) && typeof one.$ref === "string" ? resolve(place.root, one.$ref) : one
    )
    return build(merged([{ ...schema, allOf: undefined }, ...members]), deeper(place))
  }
  const choices = Array.isArray(schema.anyOf) ? schema.anyOf : schema.oneOf
  if (Array.isArray(choices)) return choiceOf(choices, schema, place)
  return (builders[typeOf(schema)] ?? objectOf)(schema, place)
}

/** A value that the schema accepts; null for one that asks for nothing. */
export const make = (schema: unknown): Json => build(schema, { root: schema, depth: 0, hint: "" })

/**
 * OpenAI's refusals, in the words of both Chat Completions and Responses. Source: OpenAI API reference, "Error codes".
 */
import type { Rejection } from "../exchange.ts"
import { firstDuplicate, isObject, type JsonObject } from "../json.ts"
import type * as Shape from "../shape.ts"
import { indexed, nameOf } from "../shape.ts"

/** A refusal of a request, with the invalid field and a code if there are any. */
export const refusal = (message: string, param: string | null = null, code: string | null = null): Rejection => ({
  status: 400,
  type: "invalid_request_error",
  message,
  param,
  code
})

/** A refusal with only a message. */
export const invalid = (message: string): Rejection => refusal(message)

const article = (types: ReadonlyArray<string>): string =>
  types.map((type) => /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`).join(" or ")

const quoted = (literals: ReadonlyArray<string>): string => literals.map((literal) => `'${literal}'`).join(", ")

/** The field with an object's type, if the type is unknown. */
const unlistedTag = ({ types, value }: Shape.Flaw): "role" | "type" | undefined =>
  isObject(value) && types.includes("object")
    ? (["role", "type"] as const).find((tag) => typeof value[tag] === "string")
    : undefined

const wrongType = (place: string, flaw: Shape.Flaw): Rejection => {
  const got = nameOf(flaw.value)
  const tag = unlistedTag(flaw)
  if (tag !== undefined) {
    return refusal(`Invalid value: '${(flaw.value as JsonObject)[tag]}'.`, `${place}.${tag}`, "invalid_value")
  }
  return flaw.literals.length > 0 && got === "string"
    ? refusal(`Invalid value: '${flaw.value}'. Supported values are: ${quoted(flaw.literals)}.`, place, "invalid_value")
    : refusal(
      `Invalid type for '${place}': expected ${article(flaw.types) || "another type"}, but got ${
        got === "null" ? got : article([got])
      } instead.`,
      place,
      "invalid_type"
    )
}

const unknownField = (place: string, depth: number): Rejection =>
  depth === 1
    ? refusal(`Unrecognized request argument supplied: ${place}`)
    : refusal(`Unknown parameter: '${place}'.`, place, "unknown_parameter")

const missingField = (place: string): Rejection =>
  place === "model"
    ? refusal("you must provide a model parameter")
    : refusal(`Missing required parameter: '${place}'.`, place, "missing_required_parameter")

const wording: { readonly [kind in Shape.Flaw["kind"]]: (place: string, flaw: Shape.Flaw) => Rejection } = {
  missing: missingField,
  unknown: (place, flaw) => unknownField(place, flaw.path.length),
  type: wrongType
}

/** What is wrong with the shape of a body. */
export const rejectionOf = (flaw: Shape.Flaw): Rejection => wording[flaw.kind](indexed(flaw.path), flaw)

export const emptyArray = (place: string): Rejection =>
  refusal(
    `Invalid '${place}': empty array. Expected an array with minimum length 1, but got an empty array instead.`,
    place,
    "empty_array"
  )

/** Why the name of a function is invalid, if it is; `place` is its field. */
export const invalidName = (name: string, place: string): Rejection | undefined => {
  if (!/^[a-zA-Z0-9_-]+$/.test(name)) {
    return refusal(
      `Invalid '${place}': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.`,
      place,
      "invalid_value"
    )
  }
  return name.length > 64
    ? refusal(
      `Invalid '${place}': string too long. Expected a string with maximum length 64, but got a string with length ${name.length} instead.`,
      place,
      "string_above_max_length"
    )
    : undefined
}

/** The refusal of functions that share a name. */
export const duplicateName = (names: ReadonlyArray<string>): Rejection | undefined => {
  const twice = firstDuplicate(names)
  return twice === undefined
    ? undefined
    : refusal(`Duplicate function name '${twice}' in 'tools'.`, "tools", "invalid_value")
}

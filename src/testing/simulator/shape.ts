/**
 * Describes what is wrong with a body, so that every provider's words can be made from it. The shape is a Schema. The
 * first issue is reported; in a union, that of the member that matched furthest.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"
import type * as SchemaIssue from "effect/SchemaIssue"
import { isObject } from "./json.ts"

export type Step = string | number

export interface Flaw {
  readonly kind: "missing" | "unknown" | "type"
  readonly path: ReadonlyArray<Step>
  /** The actual value; undefined for a missing field. */
  readonly value: unknown
  /** The expected JSON types: `string`, `array`, ... */
  readonly types: ReadonlyArray<string>
  /** The expected literals. */
  readonly literals: ReadonlyArray<string>
}

const typeNames: { readonly [tag: string]: string } = {
  String: "string",
  Number: "number",
  Boolean: "boolean",
  Objects: "object",
  Arrays: "array",
  Null: "null"
}

const members = (ast: SchemaAST.AST): ReadonlyArray<SchemaAST.AST> =>
  ast._tag === "Union" ? ast.types.flatMap(members) : [ast]

const expectation = (ast: SchemaAST.AST): Pick<Flaw, "types" | "literals"> => ({
  types: [...new Set(members(ast).flatMap((member) => typeNames[member._tag] ?? []))],
  literals: members(ast).flatMap((member) => member._tag === "Literal" ? [String(member.literal)] : [])
})

const lookup = (value: unknown, path: ReadonlyArray<Step>): unknown =>
  path.reduce<unknown>(
    (at, step) => Array.isArray(at) ? at[Number(step)] : isObject(at) ? at[String(step)] : undefined,
    value
  )

interface Found extends Pick<Flaw, "kind" | "path" | "types" | "literals"> {}

const nothing = { types: [], literals: [] }

const deepest = (found: ReadonlyArray<Found>): Found | undefined =>
  found.reduce<Found | undefined>(
    (best, one) => best === undefined || one.path.length > best.path.length ? one : best,
    undefined
  )

const find = (issue: SchemaIssue.Issue, path: ReadonlyArray<Step>): Found => {
  switch (issue._tag) {
    case "Pointer":
      return find(issue.issue, [...path, ...issue.path.map((step) => typeof step === "symbol" ? String(step) : step)])
    case "Composite":
      return find(issue.issues[0], path)
    case "AnyOf": {
      const inner = deepest(issue.issues.map((member) => find(member, path)))
      return inner !== undefined && inner.path.length > path.length
        ? inner
        : { kind: "type", path, ...expectation(issue.ast) }
    }
    case "MissingKey":
      return { kind: "missing", path, ...nothing }
    case "UnexpectedKey":
      return { kind: "unknown", path, ...nothing }
    case "InvalidType":
      return { kind: "type", path, ...expectation(issue.ast) }
    case "Filter":
    case "Encoding":
      return find(issue.issue, path)
    default:
      return { kind: "type", path, ...nothing }
  }
}

/** Reads a body by its shape. With `unknownFields: "reject"`, an unknown field is an issue; otherwise it is ignored. */
export const decoder = <S extends Schema.ConstraintDecoder<unknown>>(shape: S) => {
  const decode = Schema.decodeUnknownResult(shape)
  return (body: unknown, unknownFields: "reject" | "ignore"): Result.Result<S["Type"], Flaw> =>
    Result.mapError(decode(body, { onExcessProperty: unknownFields === "reject" ? "error" : "ignore" }), (error) => {
      const found = find(error.issue, [])
      return { ...found, value: lookup(body, found.path) }
    })
}

/** `messages.0.content` */
export const dotted = (path: ReadonlyArray<Step>): string => path.join(".")

/** `messages[0].content` */
export const indexed = (path: ReadonlyArray<Step>): string =>
  path.map((step, index) => typeof step === "number" ? `[${step}]` : index === 0 ? step : `.${step}`).join("")

/** The name of a JSON value's type. Integers are separate. */
export const nameOf = (value: unknown): string => {
  if (value === null) return "null"
  if (Array.isArray(value)) return "array"
  return typeof value === "number" ? Number.isInteger(value) ? "integer" : "decimal" : typeof value
}

/**
 * The JSON form in which a value of a Schema is requested and read. It is the same for all providers, so that every
 * answer can be read, and the strictest that any of them requires: all properties required, optional ones nullable,
 * records as entries, tuples as objects, objects closed, an object at the root.
 */
import { toCodecOpenAI } from "effect/ai/OpenAiStructuredOutput"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"
import { array, isObject, type JsonRecord, object, string } from "../wire/json.ts"
import { resolve, withoutUnused } from "../wire/jsonSchema.ts"

/** A Schema whose values can be requested. */
export type Output = Schema.ConstraintCodec<unknown, unknown, unknown, unknown>

export interface Form<S extends Output> {
  readonly jsonSchema: Schema.JsonObject
  /** Whether the value is in the field `value` of the requested object. */
  readonly wrapped: boolean
  readonly decode: (json: unknown) => Effect.Effect<S["Type"], Schema.SchemaError, S["DecodingServices"]>
}

// ---------------------------------------------------------------------------------------------------------------------
// Unsupported schemas
// ---------------------------------------------------------------------------------------------------------------------

const hasCodec = ({ annotations }: SchemaAST.AST): boolean =>
  typeof annotations?.["toCodecJson"] === "function" || typeof annotations?.["toCodec"] === "function"

/** The path and the reason if a Schema allows no JSON value; otherwise undefined. */
const problemOf = (root: SchemaAST.AST): string | undefined => {
  const seen = new Set<SchemaAST.AST>()
  const first = (
    parts: ReadonlyArray<{ readonly type: SchemaAST.AST; readonly name: string }>,
    path: string
  ): string | undefined => {
    for (const { name, type } of parts) {
      const problem = type.context?.isOptional === true ? undefined : visit(type, `${path}${name}`)
      if (problem !== undefined) return problem
    }
    return undefined
  }
  const visit = (ast: SchemaAST.AST, path: string): string | undefined => {
    const where = path === "" ? "the root" : path.replace(/^\./, "")
    if (ast._tag === "Declaration" && !hasCodec(ast) && ast.encoding?.length === 1) {
      const { to } = ast.encoding[0]
      // A declaration without a JSON form would allow any JSON.
      if (to._tag === "Declaration" && to.encoding === undefined) {
        return `${where}: it has no JSON form; use a Schema of its fields, or annotate it with toCodecJson`
      }
    }
    const link = ast.encoding?.at(-1)
    if (link !== undefined) return visit(link.to, path)
    switch (ast._tag) {
      case "Never":
        return `${where}: no value is of the type Never`
      case "Objects":
        return first(ast.propertySignatures.map(({ name, type }) => ({ name: `.${String(name)}`, type })), path)
      case "Arrays":
        return first([
          ...ast.elements.map((type, index) => ({ name: `[${index}]`, type })),
          ...ast.rest.map((type) => ({ name: "[]", type }))
        ], path)
      case "Union": {
        // One valid member is enough.
        const problems = ast.types.map((type) => visit(type, path))
        return problems.includes(undefined) ? undefined : problems[0] ?? `${where}: no value is of an empty union`
      }
      case "Suspend": {
        const inner = ast.thunk()
        if (seen.has(inner)) return undefined
        seen.add(inner)
        return visit(inner, path)
      }
      default:
        return undefined
    }
  }
  return visit(root, "")
}

// ---------------------------------------------------------------------------------------------------------------------
// Reading
// ---------------------------------------------------------------------------------------------------------------------

const admitsNull = (schema: unknown): boolean =>
  object(schema)["type"] === "null" || array(object(schema)["anyOf"]).some(admitsNull)

// A model that the provider does not bind to the schema may leave out optional values.
const withNulls = (root: JsonRecord) => {
  const fill = (schema: unknown, json: unknown): unknown => {
    if (!isObject(schema)) return json
    const reference = string(schema["$ref"])
    const node = object(reference === undefined ? schema : resolve(root, reference))
    if (Array.isArray(json)) return json.map((item) => fill(node["items"], item))
    if (!isObject(json)) return json
    const properties = Object.entries(object(node["properties"]))
    const own = Object.entries(json).map(([key, value]) => [key, fill(object(node["properties"])[key], value)] as const)
    const absent = properties.filter(([key, property]) => !Object.hasOwn(json, key) && admitsNull(property))
    const filled: JsonRecord = Object.fromEntries([...own, ...absent.map(([key]) => [key, null] as const)])
    return array(node["anyOf"]).reduce<unknown>((value, member) => fill(member, value), filled)
  }
  return (json: unknown): unknown => fill(root, json)
}

const reading = <S extends Output>(codec: S, jsonSchema: JsonRecord) => {
  const decode = Schema.decodeUnknownEffect(codec, { errors: "all" })
  const filled = withNulls(jsonSchema)
  return (json: unknown): Effect.Effect<S["Type"], Schema.SchemaError, S["DecodingServices"]> =>
    Effect.catchTag(decode(json), "SchemaError", (error) =>
      // Errors describe the original answer.
      Effect.mapError(decode(filled(json)), () => error))
}

// ---------------------------------------------------------------------------------------------------------------------
// Construction
// ---------------------------------------------------------------------------------------------------------------------

const titled = (jsonSchema: JsonRecord, schema: Output): Schema.JsonObject => {
  // Providers show this name to the model.
  const title = string(jsonSchema["title"]) ?? string(Schema.resolveAnnotations(schema)?.["identifier"])
  return { ...withoutUnused(jsonSchema), ...(title !== undefined && { title }) } as Schema.JsonObject
}

const plain = <S extends Output>(schema: S): Form<S> => {
  const { codec, jsonSchema } = toCodecOpenAI(schema)
  return { jsonSchema: titled(jsonSchema, schema), wrapped: false, decode: reading(codec as S, jsonSchema) }
}

const inField = <S extends Output>(schema: S): Form<S> => {
  const { codec, jsonSchema } = toCodecOpenAI(Schema.Struct({ value: schema as Output }))
  const decode = reading(
    codec as Schema.ConstraintCodec<{ readonly value: S["Type"] }, unknown, S["DecodingServices"], unknown>,
    jsonSchema
  )
  const value = (json: unknown) => Effect.map(decode(json), ({ value }) => value)
  return {
    jsonSchema: titled(jsonSchema, schema),
    wrapped: true,
    // A model that the provider does not bind to the schema may return the value without the object.
    decode: (json) =>
      Effect.catchTag(value(json), "SchemaError", (error) => Effect.mapError(value({ value: json }), () => error))
  }
}

const wordsOf = (error: unknown): string => error instanceof Error ? error.message : String(error)

const formOf = <S extends Output>(schema: S): Result.Result<Form<S>, string> => {
  const problem = Result.try(() => problemOf(Schema.toCodecJson(schema).ast))
  if (Result.isFailure(problem)) return Result.fail(wordsOf(problem.failure))
  if (problem.success !== undefined) return Result.fail(problem.success)
  const direct = Result.try(() => plain(schema))
  return Result.isSuccess(direct)
    ? Result.succeed(direct.success)
    : Result.mapError(Result.try(() => inField(schema)), wordsOf)
}

const forms = new WeakMap<Output, Result.Result<Form<Output>, string>>()

/** The form of a Schema, or what in it is not supported. */
export const form = <S extends Output>(schema: S): Result.Result<Form<S>, string> => {
  const known = forms.get(schema) ?? formOf(schema as Output)
  forms.set(schema, known)
  return known as Result.Result<Form<S>, string>
}

/**
 * Embeddings of OpenAI, OpenRouter and Mistral, `POST …/embeddings`. Sources: OpenAI API reference, "Create
 * embeddings"; Mistral AI, "Embeddings".
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type Call, isUnknownModel, type Rejection } from "../exchange.ts"
import { type JsonObject, tokens } from "../json.ts"
import { refusal, rejectionOf } from "../openai/words.ts"
import * as Shape from "../shape.ts"
import { inBase64, vectorOf } from "../vectors.ts"

const optional = Schema.optionalKey

const common = {
  model: Schema.String,
  input: Schema.Union([Schema.String, Schema.Array(Schema.String)]),
  encoding_format: optional(Schema.Literals(["float", "base64"])),
  user: optional(Schema.String)
}

const openai = Shape.decoder(Schema.Struct({ ...common, dimensions: optional(Schema.Finite) }))

const openrouter = Shape.decoder(Schema.Struct({
  ...common,
  dimensions: optional(Schema.Finite),
  input_type: optional(Schema.String),
  provider: optional(Schema.Record(Schema.String, Schema.Unknown))
}))

const mistral = Shape.decoder(Schema.Struct({
  ...common,
  output_dimension: optional(Schema.Finite),
  output_dtype: optional(Schema.String)
}))

type Asked = Result.Result.Success<ReturnType<typeof openai>>

const readers = {
  openai,
  openrouter: (body: JsonObject) => openrouter(body, "ignore"),
  mistral: (body: JsonObject, unknownFields: Call["unknownFields"]) =>
    Result.map(mistral(body, unknownFields), ({ output_dimension: dimensions, ...asked }): Asked => ({
      ...asked,
      ...dimensions !== undefined && { dimensions }
    }))
} satisfies Record<string, (body: JsonObject, unknownFields: Call["unknownFields"]) => Result.Result<Asked, Shape.Flaw>>

type Server = keyof typeof readers

interface Limits {
  readonly texts: number
  readonly tokens: number
  readonly tooMany: Rejection
  readonly tooMuch: (tokens: number) => Rejection
  readonly tooLong: (place: number, tokens: number) => Rejection
}

const invalidInput = refusal(
  "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference."
)

const openAiLimits: Limits = {
  texts: 2048,
  tokens: 300_000,
  tooMany: invalidInput,
  tooMuch: (tokens) => ({
    ...refusal(`Requested ${tokens} tokens, max 300000 tokens per request`),
    type: "max_tokens_per_request",
    code: "max_tokens_per_request"
  }),
  tooLong: (place) => refusal(`Invalid 'input[${place}]': maximum input length is 8192 tokens.`, `input[${place}]`)
}

const limits: Record<Server, Limits> = {
  openai: openAiLimits,
  openrouter: openAiLimits,
  mistral: {
    texts: 256,
    tokens: 16_384,
    tooMany: refusal("Too many inputs in request, split into more batches."),
    tooMuch: () => refusal("Too many tokens overall, split into more batches."),
    tooLong: (place, tokens) => refusal(`Input id ${place} has ${tokens} tokens, exceeding max 8192 tokens.`)
  }
}

const longest = 8192

const sizes: ReadonlyArray<readonly [model: RegExp, size: number, fixed?: true]> = [
  [/text-embedding-3-large/, 3072],
  [/text-embedding-ada/, 1536, true],
  [/text-embedding-3-small/, 1536],
  [/mistral-embed/, 1024, true]
]

const otherSize = [/$/, 768, undefined] as const

const check = (texts: ReadonlyArray<string>, limits: Limits): Rejection | undefined => {
  if (texts.length === 0 || texts.includes("")) return invalidInput
  if (texts.length > limits.texts) return limits.tooMany
  const counts = texts.map(tokens)
  const place = counts.findIndex((count) => count > longest)
  if (place >= 0) return limits.tooLong(place, counts[place]!)
  const all = counts.reduce((sum, count) => sum + count, 0)
  return all > limits.tokens ? limits.tooMuch(all) : undefined
}

const serverOf = ({ request: { url } }: Call): Server =>
  /mistral/.test(url.hostname)
    ? "mistral"
    : /openrouter/.test(url.hostname) || url.pathname.includes("/api/v1/")
    ? "openrouter"
    : "openai"

/** The vectors of the texts in a request. */
export const embeddings = (call: Call): Result.Result<JsonObject, Rejection> =>
  Result.gen(function*() {
    const server = serverOf(call)
    const body = yield* Result.mapError(readers[server](call.body, call.unknownFields), rejectionOf)
    const { dimensions: asked, encoding_format: format, input, model } = body
    if (isUnknownModel(model)) {
      return yield* Result.fail<Rejection>({
        status: 404,
        type: "invalid_request_error",
        code: "model_not_found",
        message: `The model \`${model}\` does not exist or you do not have access to it.`
      })
    }
    const texts = typeof input === "string" ? [input] : input
    const rejection = check(texts, limits[server])
    if (rejection !== undefined) return yield* Result.fail(rejection)
    const [, size, fixed] = sizes.find(([pattern]) => pattern.test(model)) ?? otherSize
    if (asked !== undefined && fixed === true) {
      return yield* Result.fail(refusal("This model does not support specifying dimensions."))
    }
    if (asked !== undefined && !(asked >= 1 && asked <= size)) {
      return yield* Result.fail(
        refusal(`Invalid value for 'dimensions' = ${asked}. Must be less than or equal to ${size}.`)
      )
    }
    const count = texts.reduce((sum, text) => sum + tokens(text), 0)
    return {
      object: "list",
      data: texts.map((text, index) => {
        const vector = vectorOf(text, asked ?? size)
        return { object: "embedding", index, embedding: format === "base64" ? inBase64(vector) : vector }
      }),
      model,
      usage: { prompt_tokens: count, total_tokens: count, ...server === "openrouter" && { cost: count * 2e-8 } }
    }
  })

/**
 * Embeddings of Gemini, `POST …/v1beta/models/{model}:batchEmbedContents` and `:embedContent`. Source: Gemini API
 * reference, "Embeddings".
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type Call, isUnknownModel, type Rejection } from "../exchange.ts"
import { type JsonObject, tokens } from "../json.ts"
import * as Shape from "../shape.ts"
import { vectorOf } from "../vectors.ts"
import { normal } from "./body.ts"
import { invalid } from "./rules.ts"

const optional = Schema.optionalKey

const Request = Schema.Struct({
  model: optional(Schema.String),
  content: Schema.Struct({
    role: optional(Schema.String),
    parts: Schema.Array(Schema.Struct({ text: Schema.String }))
  }),
  taskType: optional(Schema.Literals([
    "RETRIEVAL_QUERY",
    "RETRIEVAL_DOCUMENT",
    "SEMANTIC_SIMILARITY",
    "CLASSIFICATION",
    "CLUSTERING",
    "QUESTION_ANSWERING",
    "FACT_VERIFICATION",
    "CODE_RETRIEVAL_QUERY"
  ])),
  title: optional(Schema.String),
  outputDimensionality: optional(Schema.Finite)
})

type Request = typeof Request.Type

const one = Shape.decoder(Request)
const several = Shape.decoder(Schema.Struct({ requests: Schema.Array(Request) }))

const most = 100
const size = 3072
// Longer texts are cut without an error.
const longest = 8192 * 4

const misshapen = (flaw: Shape.Flaw): Rejection => invalid(`Invalid value at '${Shape.indexed(flaw.path)}'`)

const rejected = (requests: ReadonlyArray<Request>, model: string): Rejection | undefined => {
  if (requests.length === 0) return invalid("* BatchEmbedContentsRequest.requests: requests is not specified\n")
  if (requests.length > most) {
    return invalid(`* BatchEmbedContentsRequest.requests: at most ${most} requests can be in one batch\n`)
  }
  for (const [index, { content, model: named, outputDimensionality = size, taskType }] of requests.entries()) {
    const place = `* BatchEmbedContentsRequest.requests[${index}]`
    if (named !== undefined && named !== `models/${model}`) {
      return invalid(`${place}.model: unexpected model name format\n`)
    }
    if (content.parts.every(({ text }) => text === "")) return invalid(`${place}.content: content is empty\n`)
    if (!(outputDimensionality >= 1 && outputDimensionality <= size)) {
      return invalid(`${place}.output_dimensionality: must be between 1 and ${size}\n`)
    }
    if (taskType !== undefined && /^gemini-embedding-[2-9]/.test(model)) {
      return invalid(`${place}.task_type: is not supported for this model\n`)
    }
  }
  return undefined
}

// A vector with fewer dimensions is the beginning of the full one, so its length is below 1.
const valuesOf = ({ content, outputDimensionality = size }: Request): ReadonlyArray<number> =>
  vectorOf(content.parts.map(({ text }) => text).join("\n").slice(0, longest), size).slice(0, outputDimensionality)

/** The vectors of the texts in a request. */
export const embeddings = (call: Call): Result.Result<JsonObject, Rejection> =>
  Result.gen(function*() {
    const { body, pathModel, request: { url }, unknownFields } = call
    if (isUnknownModel(pathModel)) {
      return yield* Result.fail<Rejection>({
        status: 404,
        type: "NOT_FOUND",
        message: `models/${pathModel} is not found for API version v1beta, or is not supported for embedContent.`
      })
    }
    const single = url.pathname.endsWith(":embedContent")
    const { requests } = single
      ? { requests: [yield* Result.mapError(one(normal(body), unknownFields), misshapen)] }
      : yield* Result.mapError(several(normal(body), unknownFields), misshapen)
    const rejection = rejected(requests, pathModel)
    if (rejection !== undefined) return yield* Result.fail(rejection)
    const embeddings = requests.map((request) => ({ values: valuesOf(request) }))
    const count = requests.reduce(
      (sum, { content }) => content.parts.reduce((sum, { text }) => sum + tokens(text), sum),
      0
    )
    return {
      ...single ? { embedding: embeddings[0] } : { embeddings },
      ...!pathModel.endsWith("-001") && { usageMetadata: { promptTokenCount: count } }
    }
  })

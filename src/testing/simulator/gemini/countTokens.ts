/**
 * Gemini's token counts, `POST …/v1beta/models/{model}:countTokens`. Source: Gemini API reference, "Counting tokens".
 */
import * as Result from "effect/Result"
import { type Call, isUnknownModel, type Rejection } from "../exchange.ts"
import { isObject, type JsonObject, tokensOf } from "../json.ts"
import * as Rules from "./rules.ts"

/** The number of tokens in a request. */
export const countTokens = ({ body, pathModel, unknownFields }: Call): Result.Result<JsonObject, Rejection> => {
  if (isUnknownModel(pathModel)) {
    return Result.fail({
      status: 404,
      type: "NOT_FOUND",
      message: `models/${pathModel} is not found for API version v1beta`
    })
  }
  const { contents, generateContentRequest, ...others } = body
  const [unknown] = Object.keys(others)
  if (unknown !== undefined && unknownFields === "reject") {
    return Result.fail(Rules.invalid(`Invalid JSON payload received. Unknown name "${unknown}": Cannot find field.`))
  }
  if (contents !== undefined && generateContentRequest !== undefined) {
    return Result.fail(Rules.invalid("Only one of contents and generate_content_request may be set."))
  }
  const asked = isObject(generateContentRequest) ? generateContentRequest : { contents }
  const { model } = asked
  if (generateContentRequest !== undefined && model !== `models/${pathModel}`) {
    return Result.fail(
      Rules.invalid("* CountTokensRequest.generate_content_request.model: unexpected model name format\n")
    )
  }
  return Result.map(Rules.read(asked, pathModel, unknownFields), (body) => ({
    totalTokens: tokensOf(body.contents ?? []) + tokensOf(body.systemInstruction) + tokensOf(body.tools)
  }))
}

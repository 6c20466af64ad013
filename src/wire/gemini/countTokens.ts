/**
 * How many tokens a request has, as Gemini counts them. Source: Gemini API reference, "Counting tokens".
 */
import { integer } from "../json.ts"
import type { CountTokens } from "../Wire.ts"
import { modelName, modelPath } from "./shape.ts"

export const countTokens: CountTokens = {
  // `contents` alone would leave out what the system says, and the tools.
  request: ({ body }, model) => ({
    path: `${modelPath(model)}:countTokens`,
    body: { generateContentRequest: { model: modelName(model), ...body } }
  }),
  response: (body) => integer(body["totalTokens"])
}

/**
 * Asks Gemini for the number of tokens in a request. Source: Gemini API reference, "Counting tokens".
 */
import { integer } from "../json.ts"
import type { CountTokens } from "../Wire.ts"
import { modelName, modelPath } from "./shape.ts"

export const countTokens: CountTokens = {
  // `contents` alone would not count the system instruction and the tools.
  request: ({ body }, model) => ({
    path: `${modelPath(model)}:countTokens`,
    body: { generateContentRequest: { model: modelName(model), ...body } }
  }),
  response: (body) => integer(body["totalTokens"])
}

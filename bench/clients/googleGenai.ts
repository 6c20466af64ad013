import { type GenerateContentParameters, GoogleGenAI } from "@google/genai"
import { type Make, models, type Size } from "../Client.ts"
import { question, tools, turns } from "../conversation.ts"

const history = turns.map(({ role, text }) => ({ role: role === "user" ? "user" : "model", parts: [{ text }] }))

const request = (size: Size): GenerateContentParameters =>
  size === "small"
    ? { model: models.gemini, contents: question }
    : {
      model: models.gemini,
      contents: history,
      config: {
        tools: [{
          functionDeclarations: tools.map(({ description, name, parameters }) => ({
            name,
            description,
            parametersJsonSchema: parameters
          }))
        }]
      }
    }

export const googleGenaiClient: Make = (url) => {
  const client = new GoogleGenAI({ apiKey: "sk-bench", httpOptions: { baseUrl: url } })
  return {
    complete: async (size) => (await client.models.generateContent(request(size))).text!,
    stream: async (size) => {
      let text = ""
      for await (const chunk of await client.models.generateContentStream(request(size))) text += chunk.text ?? ""
      return text
    }
  }
}

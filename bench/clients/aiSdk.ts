import { generateText, jsonSchema, type LanguageModel, streamText, tool, type ToolSet } from "ai"
import type { Client, Size } from "../Client.ts"
import { question, tools, turns } from "../conversation.ts"

const history = turns.map(({ role, text }) => ({ role, content: text }))

const toolSet: ToolSet = Object.fromEntries(
  tools.map(({ description, name, parameters }) => [name, tool({ description, inputSchema: jsonSchema(parameters) })])
)

export const aiSdk = (model: LanguageModel): Client => {
  const options = (size: Size) =>
    size === "small" ? { model, prompt: question } : { model, messages: history, tools: toolSet }
  return {
    complete: async (size) => (await generateText(options(size))).text,
    stream: async (size) => {
      let text = ""
      for await (const delta of streamText(options(size)).textStream) text += delta
      return text
    }
  }
}

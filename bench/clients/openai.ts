import OpenAI from "openai"
import { type Make, models, type Size } from "../Client.ts"
import { question, tools, turns } from "../conversation.ts"

const history = turns.map(({ role, text }) => ({ role, content: text }))

const body = (size: Size): OpenAI.ChatCompletionCreateParamsNonStreaming =>
  size === "small"
    ? { model: models.openai, messages: [{ role: "user", content: question }] }
    : {
      model: models.openai,
      messages: history,
      tools: tools.map((tool) => ({ type: "function", function: { ...tool, parameters: { ...tool.parameters } } }))
    }

export const openaiClient: Make = (url) => {
  const client = new OpenAI({ apiKey: "sk-bench", baseURL: `${url}/v1` })
  return {
    complete: async (size) => (await client.chat.completions.create(body(size))).choices[0]!.message.content!,
    stream: async (size) => {
      let text = ""
      const stream = await client.chat.completions.create({
        ...body(size),
        stream: true,
        stream_options: { include_usage: true }
      })
      for await (const event of stream) text += event.choices[0]?.delta.content ?? ""
      return text
    }
  }
}

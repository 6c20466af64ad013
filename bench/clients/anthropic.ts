import Anthropic from "@anthropic-ai/sdk"
import { type Make, models, type Size } from "../Client.ts"
import { question, tools, turns } from "../conversation.ts"

const history = turns.map(({ role, text }) => ({ role, content: text }))

const body = (size: Size): Anthropic.MessageCreateParamsNonStreaming => ({
  model: models.anthropic,
  max_tokens: 1024,
  ...(size === "small"
    ? { messages: [{ role: "user", content: question }] }
    : {
      messages: history,
      tools: tools.map(({ description, name, parameters }) => ({ name, description, input_schema: parameters }))
    })
})

export const anthropicClient: Make = (url) => {
  const client = new Anthropic({ apiKey: "sk-bench", baseURL: url })
  return {
    complete: async (size) => {
      const [block] = (await client.messages.create(body(size))).content
      return block?.type === "text" ? block.text : ""
    },
    stream: async (size) => {
      let text = ""
      for await (const event of await client.messages.create({ ...body(size), stream: true })) {
        if (event.type === "content_block_delta" && event.delta.type === "text_delta") text += event.delta.text
      }
      return text
    }
  }
}

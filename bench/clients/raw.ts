/**
 * What the raw clients share: bodies as the APIs' references show them, and the least that reads an answer.
 */
import { models, type ProtocolName, type Size } from "../Client.ts"
import { question, tools, turns } from "../conversation.ts"

interface Raw {
  readonly path: (streamed: boolean) => string
  readonly headers: Record<string, string>
  readonly body: (size: Size, streamed: boolean) => object
  // Taken as they are: the types say what is read, not what was checked.
  readonly whole: (body: never) => string
  readonly delta: (event: never) => string | undefined
}

interface ChatAnswer {
  readonly choices: readonly [{ readonly message: { readonly content: string } }]
}

interface ChatChunk {
  readonly choices: ReadonlyArray<{ readonly delta: { readonly content?: string } }>
}

interface MessagesAnswer {
  readonly content: readonly [{ readonly text: string }]
}

interface MessagesEvent {
  readonly type: string
  readonly delta: { readonly text: string }
}

interface GeminiAnswer {
  readonly candidates: readonly [{ readonly content: { readonly parts: readonly [{ readonly text: string }] } }]
}

const chatMessages = [{ role: "user", content: question }]
const chatHistory = turns.map(({ role, text }) => ({ role, content: text }))
const geminiContents = [{ role: "user", parts: [{ text: question }] }]
const geminiHistory = turns.map(({ role, text }) => ({
  role: role === "user" ? "user" : "model",
  parts: [{ text }]
}))

export const raw: Record<ProtocolName, Raw> = {
  openai: {
    path: () => "/v1/chat/completions",
    headers: { authorization: "Bearer sk-bench" },
    body: (size, stream) => ({
      model: models.openai,
      messages: size === "small" ? chatMessages : chatHistory,
      ...(size === "large" && { tools: tools.map((tool) => ({ type: "function", function: tool })) }),
      ...(stream && { stream, stream_options: { include_usage: true } })
    }),
    whole: (body: ChatAnswer) => body.choices[0].message.content,
    delta: (event: ChatChunk) => event.choices[0]?.delta.content
  },
  anthropic: {
    path: () => "/v1/messages",
    headers: { "x-api-key": "sk-bench", "anthropic-version": "2023-06-01" },
    body: (size, stream) => ({
      model: models.anthropic,
      max_tokens: 1024,
      messages: size === "small" ? chatMessages : chatHistory,
      ...(size === "large" && {
        tools: tools.map(({ description, name, parameters }) => ({ name, description, input_schema: parameters }))
      }),
      stream
    }),
    whole: (body: MessagesAnswer) => body.content[0].text,
    delta: (event: MessagesEvent) => event.type === "content_block_delta" ? event.delta.text : undefined
  },
  gemini: {
    path: (streamed) =>
      `/v1beta/models/${models.gemini}:${streamed ? "streamGenerateContent?alt=sse" : "generateContent"}`,
    headers: { "x-goog-api-key": "sk-bench" },
    body: (size) => ({
      contents: size === "small" ? geminiContents : geminiHistory,
      ...(size === "large" && {
        tools: [{
          functionDeclarations: tools.map(({ description, name, parameters }) => ({
            name,
            description,
            parametersJsonSchema: parameters
          }))
        }]
      })
    }),
    whole: (body: GeminiAnswer) => body.candidates[0].content.parts[0].text,
    delta: (event: GeminiAnswer) => event.candidates[0].content.parts[0].text
  }
}

/** Reads an event stream by lines, with one JSON text behind each `data:`. */
export const readEvents = async (
  chunks: AsyncIterable<Uint8Array>,
  delta: (event: never) => string | undefined
): Promise<string> => {
  const utf8 = new TextDecoder()
  let rest = ""
  let text = ""
  for await (const chunk of chunks) {
    const lines = (rest + utf8.decode(chunk, { stream: true })).split("\n")
    rest = lines.pop()!
    for (const line of lines) {
      if (line.startsWith("data: ") && !line.startsWith("data: [DONE]")) {
        text += delta(JSON.parse(line.slice(6)) as never) ?? ""
      }
    }
  }
  return text
}

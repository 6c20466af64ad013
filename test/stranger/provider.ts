/**
 * A provider that effect-llm does not know, written with its public exports alone: "acme" takes a list of lines, and
 * answers in JSON objects, one a line when it streams. Credentials are a signature over the request.
 */
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import { Completion, type CompletionPart, type Message, Provider, TokenUsage } from "../../src/index.ts"

export interface Options extends Provider.CommonOptions {
  /** The team that pays. */
  readonly team?: string | undefined
}

const lines: Provider.Framing = {
  accept: "application/x-ndjson",
  recognizes: (text) => text.includes("\n"),
  reader: (limit, onFrame) => {
    let rest = ""
    const feed = (text: string): boolean => {
      const pieces = (rest + text).split("\n")
      rest = pieces.pop()!
      for (const data of pieces) if (data !== "") onFrame({ name: "", data })
      return rest.length <= limit
    }
    return { feed, end: () => feed("\n") }
  }
}

const failures = Provider.failures({
  words: { NO_MORE_MONEY: ["ClientError", "Quota"], TOO_FAST: ["RateLimit", "Requests"] },
  errorIn: (body) => (body as { readonly problem?: Provider.JsonRecord } | undefined)?.problem,
  candidates: (error) => [error["kind"]],
  message: (error) => String(error["words"])
})

const textOf = (message: Message.Message): string =>
  typeof message.content === "string"
    ? message.content
    : message.content.flatMap((content) => content._tag === "Text" ? [content.text] : []).join("")

const request: Provider.Wire["request"] = (completion, model, streamed) =>
  completion.tools.length > 0
    ? { _tag: "Refused", reason: "Unsupported", description: "tools: acme knows none" }
    : {
      path: `/talk/${model}`,
      body: { said: Completion.messages(completion).map(textOf), stream: streamed }
    }

// What a body says, or the last line of a stream with the texts of all lines.
const answerOf = (last: Provider.JsonRecord, text: string): Provider.Answer => ({
  choice: text === "" ? [] : [{ _tag: "Text", text }],
  finishReason: { _tag: last["over"] === "full" ? "MaxTokens" : "Stop" },
  usage: TokenUsage.make({ inputTokens: Number(last["read"]), outputTokens: Number(last["written"]) }),
  model: "acme-1"
})

const stream = (): Provider.StreamDecoder => {
  let text = ""
  let last: Provider.JsonRecord | undefined
  return {
    event: (event, parts) => {
      if (typeof event["word"] === "string") {
        text += event["word"]
        parts.push({ _tag: "TextDelta", index: 0, text: event["word"] })
      }
      if (event["over"] !== undefined) last = event
    },
    done: () => last !== undefined,
    complete: () => last !== undefined,
    close: (parts: Array<CompletionPart.CompletionPart>) => {
      if (text !== "") parts.push({ _tag: "ContentEnd", index: 0, content: { _tag: "Text", text } })
    },
    head: () => ({ model: "acme-1" }),
    answer: () => answerOf(last ?? {}, text)
  }
}

const countTokens: Provider.Wire["countTokens"] = {
  request: ({ body }) => ({ path: "/count", body }),
  response: (body) => typeof body["read"] === "number" ? body["read"] : undefined
}

const embeddings: Provider.Wire["embeddings"] = {
  most: { texts: 2, tokens: 1000 },
  request: ({ model, texts }) => ({ path: `/point/${model}`, body: { texts } }),
  response: (body) => Array.isArray(body["points"]) ? { vectors: body["points"] } : undefined
}

const wire = (name: string): Provider.Wire => ({
  vendor: "acme",
  name,
  accepts: { user: {} },
  framing: lines,
  failures,
  request,
  response: (body) => typeof body["words"] === "string" ? answerOf(body, body["words"]) : undefined,
  stream,
  countTokens,
  embeddings
})

export const { layer, layerConfig } = Provider.layers<Options>({
  vendor: "acme",
  wire: ({ name }) => wire(name),
  baseUrl: "https://api.acme.example",
  keyVariables: ["ACME_KEY"],
  baseUrlVariable: "ACME_URL",
  options: ["team"],
  headers: ({ team }) => ({ "x-team": team }),
  auth: (key) => (request) =>
    Effect.succeed(HttpClientRequest.setHeader(request, "x-signature", `${request.url.length}.${key}`))
})

/** Embeddings and counts of tokens of the simulator: by the official clients, and by what the services refuse. */
import Anthropic from "@anthropic-ai/sdk"
import { assert, describe, it } from "@effect/vitest"
import { GoogleGenAI } from "@google/genai"
import { Effect } from "effect"
import OpenAI, { BadRequestError } from "openai"
import * as Simulator from "../../src/testing/Simulator.ts"
import { served } from "./served.ts"

const apiKey = "sk-test"

const post = (url: string, body: object, settings?: Simulator.Settings) => {
  const headers = {
    authorization: `Bearer ${apiKey}`,
    "x-api-key": apiKey,
    "x-goog-api-key": apiKey,
    "anthropic-version": "2023-06-01"
  }
  const { body: [text], status } = Simulator.respond(
    { method: "POST", url: new URL(url), headers, body: JSON.stringify(body) },
    settings
  )
  const parsed = JSON.parse(text!)
  return { status, body: parsed, message: String(parsed.error?.message) }
}

const openai = "https://api.openai.com/v1/embeddings"
const mistral = "https://api.mistral.ai/v1/embeddings"
const google = "https://generativelanguage.googleapis.com/v1beta/models/gemini-embedding-001"
const anthropic = "https://api.anthropic.com/v1/messages/count_tokens"

describe("the official clients", () => {
  it.effect("openai: vectors by default in base64, and counts", () =>
    Effect.gen(function*() {
      const { baseUrls } = yield* served()
      const client = new OpenAI({ apiKey, baseURL: baseUrls.openai, maxRetries: 0 })
      const model = "text-embedding-3-small"
      yield* Effect.promise(async () => {
        const { data, usage } = await client.embeddings.create({ model, input: ["a", "b"], dimensions: 16 })
        const float = await client.embeddings.create({ model, input: "b", dimensions: 16, encoding_format: "float" })
        assert.deepStrictEqual([...data[1]!.embedding], float.data[0]!.embedding)
        assert.strictEqual(usage.prompt_tokens, 2)
        const error = await client.embeddings.create({ model, input: ["a", "long ".repeat(9000)] }).catch((error) =>
          error
        )
        assert.instanceOf(error, BadRequestError)
        assert.include(error.message, "'input[1]': maximum input length is 8192 tokens")
        const body = { model: "gpt-6-luna", input: "Hello there", instructions: "Be brief." }
        const count = await client.responses.inputTokens.count(body)
        const answer = await client.responses.create(body)
        assert.strictEqual(count.input_tokens, answer.usage!.input_tokens)
      })
    }))

  it.effect("google: vectors and counts", () =>
    Effect.gen(function*() {
      const { url } = yield* served()
      const client = new GoogleGenAI({ apiKey, httpOptions: { baseUrl: url } })
      yield* Effect.promise(async () => {
        const model = "gemini-embedding-001"
        const config = { taskType: "RETRIEVAL_QUERY", outputDimensionality: 16 }
        const { embeddings } = await client.models.embedContent({ model, contents: ["a", "b"], config })
        assert.deepStrictEqual(embeddings!.map(({ values }) => values!.length), [16, 16])
        const contents = "Hello there"
        const { totalTokens } = await client.models.countTokens({ model: "gemini-3.8-flash", contents })
        const { usageMetadata } = await client.models.generateContent({ model: "gemini-3.8-flash", contents })
        assert.strictEqual(totalTokens, usageMetadata!.promptTokenCount)
      })
    }))

  it.effect("anthropic: counts", () =>
    Effect.gen(function*() {
      const { url } = yield* served()
      const client = new Anthropic({ apiKey, baseURL: url, maxRetries: 0 })
      yield* Effect.promise(async () => {
        const body = {
          model: "claude-sonnet-4-6",
          system: "Be brief.",
          messages: [{ role: "user" as const, content: "Hello" }],
          thinking: { type: "enabled" as const, budget_tokens: 2048 }
        }
        const { input_tokens } = await client.messages.countTokens(body)
        const { usage } = await client.messages.create({ ...body, max_tokens: 4096 })
        assert.strictEqual(input_tokens, usage.input_tokens)
      })
    }))
})

describe("what the services refuse", () => {
  const model = "text-embedding-3-small"
  const rows: ReadonlyArray<readonly [what: string, url: string, body: object, message: RegExp]> = [
    ["an empty text", openai, { model, input: ["a", ""] }, /'\$.input' is invalid/],
    ["no texts", openai, { model, input: [] }, /'\$.input' is invalid/],
    ["too many texts", openai, { model, input: Array.from({ length: 2049 }, () => "a") }, /'\$.input' is invalid/],
    [
      "too many tokens",
      openai,
      { model, input: Array.from({ length: 50 }, () => "word ".repeat(6000)) },
      /max 300000 tokens per request/
    ],
    ["more dimensions than there are", openai, { model, input: "a", dimensions: 1537 }, /dimensions/],
    [
      "dimensions of an older model",
      openai,
      { model: "text-embedding-ada-002", input: "a", dimensions: 8 },
      /does not support/
    ],
    ["a field that is not known", openai, { model, input: "a", task: "query" }, /task/],
    ["another field for dimensions", mistral, { model: "codestral-embed", input: "a", dimensions: 8 }, /dimensions/],
    [
      "too many texts of Mistral",
      mistral,
      { model: "m", input: Array.from({ length: 257 }, () => "a") },
      /split into more batches/
    ],
    ["more texts than Gemini takes", `${google}:batchEmbedContents`, {
      requests: Array.from({ length: 101 }, () => ({ content: { parts: [{ text: "a" }] } }))
    }, /at most 100 requests/],
    ["another model than in the path", `${google}:batchEmbedContents`, {
      requests: [{ model: "models/other", content: { parts: [{ text: "a" }] } }]
    }, /model/],
    [
      "a task that there is not",
      `${google}:embedContent`,
      { content: { parts: [{ text: "a" }] }, taskType: "SEARCH" },
      /taskType/
    ],
    ["a task of Gemini Embedding 2", `${google.replace("001", "2")}:embedContent`, {
      content: { parts: [{ text: "a" }] },
      taskType: "CLUSTERING"
    }, /not supported/],
    ["a count with max_tokens", anthropic, {
      model: "claude-sonnet-4-6",
      max_tokens: 1,
      messages: [{ role: "user", content: "a" }]
    }, /max_tokens: Extra inputs/],
    ["a count without messages", anthropic, { model: "claude-sonnet-4-6", messages: [] }, /at least one message/],
    ["a count with a limit of output", "https://api.openai.com/v1/responses/input_tokens", {
      model: "gpt-6-luna",
      input: "a",
      max_output_tokens: 5
    }, /max_output_tokens/],
    ["a count of both forms", `${google}:countTokens`, { contents: [], generateContentRequest: {} }, /Only one of/]
  ]
  for (const [what, url, body, message] of rows) {
    it(what, () => {
      const answer = post(url, body)
      assert.strictEqual(answer.status, 400)
      assert.match(answer.message, message)
    })
  }

  it("requests without a key, and models that there are not", () => {
    const request = { method: "POST", url: new URL(openai), headers: {}, body: JSON.stringify({ model, input: "a" }) }
    assert.strictEqual(Simulator.respond(request).status, 401)
    assert.strictEqual(post(openai, { model: "does-not-exist", input: "a" }).status, 404)
    assert.strictEqual(
      post(`${google.replace("embedding-001", "does-not-exist")}:countTokens`, { contents: [] }).status,
      404
    )
  })

  it("and answers the same to the same", () => {
    const body = { model, input: ["a red fox", "a grey wolf"], dimensions: 32 }
    assert.deepStrictEqual(post(openai, body), post(openai, body))
    assert.strictEqual(post(openai, body).body.data[0].embedding.length, 32)
  })

  it("faults of the way come to them, those of an answer's content do not", () => {
    const body = { model, input: "a" }
    assert.strictEqual(post(openai, body, { failure: { _tag: "RateLimit" } }).status, 429)
    assert.strictEqual(post(openai, body, { failure: { _tag: "StreamError", afterEvents: 1 } }).status, 500)
    assert.strictEqual(post(openai, body, { failure: { _tag: "Empty" } }).status, 200)
  })
})

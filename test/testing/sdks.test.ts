/** Clients by others against our simulator: it is as true as they need it. */
import { createAnthropic } from "@ai-sdk/anthropic"
import { createGoogle } from "@ai-sdk/google"
import { createOpenAI } from "@ai-sdk/openai"
import Anthropic, { APIError as AnthropicError } from "@anthropic-ai/sdk"
import { assert, describe, it } from "@effect/vitest"
import { type Content, GoogleGenAI } from "@google/genai"
import { APICallError, generateText, isStepCount, jsonSchema, type LanguageModel, streamText, tool } from "ai"
import * as Effect from "effect/Effect"
import OpenAI, { APIError as OpenAIError } from "openai"
import type * as Simulator from "../../src/testing/Simulator.ts"
import { served } from "./served.ts"

interface Round {
  readonly calls: ReadonlyArray<{ readonly name: string; readonly input: unknown }>
  readonly text: string
}

/** One client, as the tests use it. */
interface Client {
  readonly complete: (prompt: string) => Promise<{ readonly text: string; readonly tokens: number | undefined }>
  /** The text as it came. */
  readonly stream: (prompt: string) => Promise<ReadonlyArray<string>>
  /** Asks, calls what the model wants called, gives the result back, and asks again. */
  readonly round: (prompt: string, streamed: boolean) => Promise<Round>
  /** The status of the failure that the client gives up with, having retried as often. */
  readonly status: (prompt: string) => Promise<number | undefined>
}

type Make = (server: Simulator.Server["Service"], maxRetries: number) => Client

const apiKey = "sk-test"

const weather = { name: "get_weather", description: "The weather of a city" }

const parameters = {
  type: "object" as const,
  properties: { city: { type: "string" as const }, days: { type: "integer" as const, minimum: 1 } },
  required: ["city", "days"],
  additionalProperties: false
}

const result = "18 degrees, 空は青い"

const anthropic: Make = ({ baseUrls }, maxRetries) => {
  const client = new Anthropic({ apiKey, baseURL: baseUrls.anthropic, maxRetries })
  const head = { model: "claude-sonnet-4-6", max_tokens: 1000 }
  const ask = (messages: Array<Anthropic.MessageParam>, streamed = false) => {
    const body = { ...head, messages, tools: [{ ...weather, input_schema: parameters }] }
    return streamed ? client.messages.stream(body).finalMessage() : client.messages.create(body)
  }
  const textOf = ({ content }: Anthropic.Message) =>
    content.map((block) => block.type === "text" ? block.text : "").join("")
  return {
    complete: async (prompt) => {
      const message = await ask([{ role: "user", content: prompt }])
      return { text: textOf(message), tokens: message.usage.output_tokens }
    },
    stream: async (prompt) => {
      const texts: Array<string> = []
      const stream = client.messages.stream({ ...head, messages: [{ role: "user", content: prompt }] })
      stream.on("text", (delta) => texts.push(delta))
      await stream.finalMessage()
      return texts
    },
    round: async (prompt, streamed) => {
      const first = await ask([{ role: "user", content: prompt }], streamed)
      const calls = first.content.filter((block) => block.type === "tool_use")
      const last = await ask([
        { role: "user", content: prompt },
        { role: "assistant", content: first.content },
        { role: "user", content: calls.map(({ id }) => ({ type: "tool_result", tool_use_id: id, content: result })) }
      ], streamed)
      return { calls, text: textOf(last) }
    },
    status: (prompt) =>
      ask([{ role: "user", content: prompt }]).then(
        () => 200,
        (error) => error instanceof AnthropicError ? error.status : undefined
      )
  }
}

const chat = (provider: "openai" | "openrouter", model: string): Make => ({ baseUrls }, maxRetries) => {
  const client = new OpenAI({ apiKey, baseURL: baseUrls[provider], maxRetries })
  const ask = (prompt: string) =>
    client.chat.completions.create({ model, messages: [{ role: "user", content: prompt }] })
  return {
    complete: async (prompt) => {
      const { choices, usage } = await ask(prompt)
      return { text: choices[0]?.message.content ?? "", tokens: usage?.completion_tokens }
    },
    stream: async (prompt) => {
      const texts: Array<string> = []
      const stream = client.chat.completions.stream({ model, messages: [{ role: "user", content: prompt }] })
      stream.on("content", (delta) => texts.push(delta))
      await stream.finalChatCompletion()
      return texts
    },
    // The client's own loop over tool calls.
    round: async (prompt, streamed) => {
      const calls: Array<Round["calls"][number]> = []
      const call = (input: object) => {
        calls.push({ name: weather.name, input })
        return result
      }
      const body = {
        model,
        messages: [{ role: "user" as const, content: prompt }],
        tools: [{
          type: "function" as const,
          function: { ...weather, parameters, parse: (text: string) => JSON.parse(text) as object, function: call }
        }]
      }
      const text = streamed
        ? await client.chat.completions.runTools({ ...body, stream: true }).finalContent()
        : await client.chat.completions.runTools(body).finalContent()
      return { calls, text: text ?? "" }
    },
    status: (prompt) => ask(prompt).then(() => 200, (error) => error instanceof OpenAIError ? error.status : undefined)
  }
}

const responses = (model: string): Make => ({ baseUrls }, maxRetries) => {
  const client = new OpenAI({ apiKey, baseURL: baseUrls.responses, maxRetries })
  type Input = Array<OpenAI.Responses.ResponseInputItem>
  const user = (content: string): Input => [{ role: "user", content }]
  const ask = (input: Input, streamed = false) => {
    const body = {
      model,
      input,
      store: false,
      include: ["reasoning.encrypted_content" as const],
      tools: [{ type: "function" as const, ...weather, parameters, strict: true }]
    }
    return streamed ? client.responses.stream(body).finalResponse() : client.responses.create(body)
  }
  return {
    complete: async (prompt) => {
      const { output_text, usage } = await ask(user(prompt))
      return { text: output_text, tokens: usage?.output_tokens }
    },
    stream: async (prompt) => {
      const texts: Array<string> = []
      const stream = client.responses.stream({ model, input: prompt })
      stream.on("response.output_text.delta", ({ delta }) => texts.push(delta))
      await stream.finalResponse()
      return texts
    },
    // All items go back as they came, what was thought among them.
    round: async (prompt, streamed) => {
      const { output } = await ask(user(prompt), streamed)
      // The API does not take what the client adds to the items.
      const items = output.map((item) => ({ ...item, parsed_arguments: undefined })) as Input
      const calls = items.flatMap((item) => item.type === "function_call" ? [item] : [])
      const last = await ask([
        ...user(prompt),
        ...items,
        ...calls.map(({ call_id }) => ({ type: "function_call_output" as const, call_id, output: result }))
      ], streamed)
      return {
        calls: calls.map(({ arguments: args, name }) => ({ name, input: JSON.parse(args) as unknown })),
        text: last.output_text
      }
    },
    status: (prompt) =>
      ask(user(prompt)).then(() => 200, (error) => error instanceof OpenAIError ? error.status : undefined)
  }
}

const gemini: Make = ({ baseUrls }, maxRetries) => {
  const client = new GoogleGenAI({
    apiKey,
    httpOptions: { baseUrl: baseUrls.gemini, retryOptions: { attempts: maxRetries + 1, initialDelay: 0.01 } }
  })
  const model = "gemini-3-flash"
  const config = { tools: [{ functionDeclarations: [{ ...weather, parametersJsonSchema: parameters }] }] }
  const ask = async (contents: Array<Content>, streamed = false): Promise<Content> => {
    if (!streamed) {
      const { candidates } = await client.models.generateContent({ model, contents, config })
      return candidates![0]!.content!
    }
    const parts: NonNullable<Content["parts"]> = []
    for await (const { candidates } of await client.models.generateContentStream({ model, contents, config })) {
      parts.push(...candidates?.[0]?.content?.parts ?? [])
    }
    return { role: "model", parts }
  }
  const textOf = ({ parts = [] }: Content) => parts.map(({ text = "" }) => text).join("")
  const user = (text: string): Content => ({ role: "user", parts: [{ text }] })
  return {
    complete: async (prompt) => {
      const { text = "", usageMetadata } = await client.models.generateContent({ model, contents: prompt })
      return { text, tokens: usageMetadata?.candidatesTokenCount }
    },
    stream: async (prompt) => {
      const texts: Array<string> = []
      for await (const { text = "" } of await client.models.generateContentStream({ model, contents: prompt })) {
        texts.push(text)
      }
      return texts
    },
    round: async (prompt, streamed) => {
      const turn = await ask([user(prompt)], streamed)
      const calls = (turn.parts ?? []).flatMap(({ functionCall }) => functionCall === undefined ? [] : [functionCall])
      const last = await ask([
        user(prompt),
        turn,
        {
          role: "user",
          parts: calls.map(({ name = "" }) => ({ functionResponse: { name, response: { output: result } } }))
        }
      ], streamed)
      return { calls: calls.map(({ args, name = "" }) => ({ name, input: args })), text: textOf(last) }
    },
    status: (prompt) =>
      ask([user(prompt)]).then(() => 200, (error: unknown) => (error as { readonly status?: number }).status)
  }
}

const aiSdk = (modelOf: (server: Simulator.Server["Service"]) => LanguageModel): Make => (server, maxRetries) => {
  const model = modelOf(server)
  const round = (prompt: string, calls: Array<Round["calls"][number]>) => ({
    model,
    prompt,
    maxRetries: 0,
    stopWhen: isStepCount(2),
    tools: {
      [weather.name]: tool({
        description: weather.description,
        inputSchema: jsonSchema(parameters),
        execute: (input: unknown) => {
          calls.push({ name: weather.name, input })
          return Promise.resolve(result)
        }
      })
    }
  })
  return {
    complete: async (prompt) => {
      const { text, usage } = await generateText({ model, prompt })
      return { text, tokens: usage.outputTokens }
    },
    stream: async (prompt) => {
      const texts: Array<string> = []
      for await (const delta of streamText({ model, prompt }).textStream) texts.push(delta)
      return texts
    },
    round: async (prompt, streamed) => {
      const calls: Array<Round["calls"][number]> = []
      const options = round(prompt, calls)
      const text = streamed ? await streamText(options).text : (await generateText(options)).text
      return { calls, text }
    },
    status: (prompt) =>
      generateText({ model, prompt, maxRetries }).then(
        () => 200,
        (error) => APICallError.isInstance(error) ? error.statusCode : undefined
      )
  }
}

const clients = {
  "@anthropic-ai/sdk": anthropic,
  openai: chat("openai", "gpt-4.1-mini"),
  "openai, over Responses": responses("gpt-6-sol"),
  "openai, for OpenRouter": chat("openrouter", "openai/gpt-4.1-mini"),
  "@google/genai": gemini,
  "@ai-sdk/anthropic": aiSdk(({ baseUrls }) =>
    createAnthropic({ apiKey, baseURL: `${baseUrls.anthropic}/v1` })("claude-sonnet-4-6")
  ),
  "@ai-sdk/openai": aiSdk(({ baseUrls }) => createOpenAI({ apiKey, baseURL: baseUrls.openai }).chat("gpt-4.1-mini")),
  "@ai-sdk/openai's default": aiSdk(({ baseUrls }) =>
    createOpenAI({ apiKey, baseURL: baseUrls.responses })("gpt-6-sol")
  ),
  "@ai-sdk/google": aiSdk(({ baseUrls }) =>
    createGoogle({ apiKey, baseURL: `${baseUrls.gemini}/v1beta` })("gemini-3-flash")
  )
} satisfies Record<string, Make>

describe.concurrent.each(Object.entries(clients))("Simulator, asked by %s", (_, make) => {
  it.live("completes and streams a text", () =>
    Effect.gen(function*() {
      const client = make(yield* served(), 0)
      const { text, tokens } = yield* Effect.promise(() => client.complete("Why is the 空 blue?"))
      assert.strictEqual(text, `Simulated answer to: "Why is the 空 blue?"`)
      assert.isAbove(tokens ?? 0, 0)
      const streamed = yield* Effect.promise(() => client.stream("Why is the 空 blue?"))
      assert.strictEqual(streamed.join(""), text)
      assert.isAbove(streamed.length, 3)
    }))

  const rounds = [[false, 0], [true, 0], [false, 5], [true, 5]] as const
  it.live.each(rounds)(
    "goes a whole round with a tool, streamed: %s, after %d ms of thought",
    ([streamed, think]) =>
      Effect.gen(function*() {
        const client = make(yield* served({ think }), 0)
        const { calls, text } = yield* Effect.promise(() => client.round("Use get_weather", streamed))
        assert.deepStrictEqual(calls.map(({ input, name }) => ({ name, input })), [
          { name: "get_weather", input: { city: "city", days: 1 } }
        ])
        assert.strictEqual(text, `Simulated answer from the tool results: ${JSON.stringify(result)}`)
      })
  )

  it.live("fails with the provider's status, and retries what may be retried", () =>
    Effect.gen(function*() {
      const server = yield* served({ failures: ["ServerError", "InvalidRequest", "ServerError"] })
      const once = make(server, 0)
      assert.strictEqual(yield* Effect.promise(() => once.status("Hello")), 500)
      assert.strictEqual(yield* Effect.promise(() => once.status("Hello")), 400)
      assert.strictEqual(yield* Effect.promise(() => make(server, 1).status("Hello")), 200)
      assert.lengthOf(yield* server.requests, 4)
    }))
})

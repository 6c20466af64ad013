/** Clients by others, in front of the server half of the wire. */
import { createOpenAI } from "@ai-sdk/openai"
import { assert, describe, it } from "@effect/vitest"
import { APICallError, generateText, isStepCount, jsonSchema, streamText, tool } from "ai"
import * as Result from "effect/Result"
import OpenAI, { APIError } from "openai"
import type * as Completion from "../../src/Completion.ts"
import * as CompletionPart from "../../src/CompletionPart.ts"
import * as CompletionResponse from "../../src/CompletionResponse.ts"
import * as LLMError from "../../src/LLMError.ts"
import * as Message from "../../src/Message.ts"
import * as TokenUsage from "../../src/TokenUsage.ts"
import { responses, server } from "../../src/wire/responses/wire.ts"
import { record } from "../conformance/json.ts"

type Reply = CompletionResponse.CompletionResponse | LLMError.LLMError

const stamp = { seed: "seed", created: 1_800_000_000 }

const say = (
  choice: ReadonlyArray<Message.AssistantContent>,
  finish: CompletionResponse.FinishReason["_tag"] = "Stop"
): Reply =>
  CompletionResponse.make({
    choice,
    finishReason: { _tag: finish } as CompletionResponse.FinishReason,
    usage: TokenUsage.make({ inputTokens: 12, outputTokens: 7, reasoningTokens: 3 }),
    provider: "openai",
    model: "gpt-6-sol",
    id: "resp_1"
  })

/** Answers as the wire writes it, and keeps what was asked. */
const serving = (...replies: ReadonlyArray<Reply>) => {
  const asked: Array<Completion.Completion> = []
  const fetch = async (_: unknown, init?: RequestInit): Promise<Response> => {
    const body = record(JSON.parse(String(init?.body)))
    const about = Result.getOrThrow(server.decode({ body, headers: {}, path: "/responses" }))
    const reply = replies[asked.length]!
    asked.push(about.completion)
    if (LLMError.isLLMError(reply)) {
      const { body, headers, status } = server.refuse(reply, stamp)
      return Response.json(body, { status, headers })
    }
    if (!about.streamed) return Response.json(server.encode({ response: reply }, about, stamp))
    const encoder = server.stream(about, stamp)
    const events = CompletionPart.fromResponse(reply).flatMap(encoder.part)
    return new Response(events.join(""), { headers: { "content-type": "text/event-stream" } })
  }
  return { asked, fetch }
}

const weather = { name: "get_weather", description: "The weather of a city" }
const parameters = {
  type: "object" as const,
  properties: { city: { type: "string" as const } },
  required: ["city"],
  additionalProperties: false
}

const thought: Message.Reasoning = {
  _tag: "Reasoning",
  content: [{ _tag: "Summary", text: "Rome, then." }, { _tag: "Encrypted", data: "secret" }]
}
const call = Message.toolCall({ id: "call_1", name: weather.name, arguments: { city: "Rome" } })
const calling = say([thought, Message.text("One moment.", { phase: "commentary" }), call], "ToolUse")
const answering = say([Message.text("Sunny, 日本.", { phase: "final_answer" })])

// What the second request holds of the first answer.
const replayed = (completion: Completion.Completion | undefined) => {
  assert(completion !== undefined)
  const assistant = completion.history.find((message) => message._tag === "Assistant")
  assert(completion.prompt._tag === "User")
  return { said: assistant?.content, results: completion.prompt.content }
}

const result = Message.toolResult({ id: "call_1", name: weather.name, content: "18 degrees" })

describe("openai", () => {
  const clientOf = (replies: ReadonlyArray<Reply>) => {
    const { asked, fetch } = serving(...replies)
    return { asked, client: new OpenAI({ apiKey: "sk-test", baseURL: "http://localhost/v1", fetch, maxRetries: 0 }) }
  }

  const head = { model: "gpt-6-sol", store: false, include: ["reasoning.encrypted_content" as const] }
  const tools = [{ type: "function" as const, ...weather, parameters, strict: true }]

  for (const streamed of [false, true]) {
    it(`asks, calls, and gives back what it got, ${streamed ? "streamed" : "whole"}`, async () => {
      const { asked, client } = clientOf([calling, answering])
      const ask = (input: OpenAI.Responses.ResponseInput) =>
        streamed
          ? client.responses.stream({ ...head, input, tools }).finalResponse()
          : client.responses.create({ ...head, input, tools })
      const first = await ask([{ role: "user", content: "Rome?" }])
      const calls = first.output.flatMap((item) => item.type === "function_call" ? item : [])
      assert.deepStrictEqual(calls.map((item) => JSON.parse(item.arguments)), [{ city: "Rome" }])
      assert.strictEqual(first.output_text, "One moment.")
      const second = await ask([
        { role: "user", content: "Rome?" },
        ...first.output as OpenAI.Responses.ResponseInput,
        { type: "function_call_output", call_id: calls[0]!.call_id, output: "18 degrees" }
      ])
      assert.strictEqual(second.output_text, "Sunny, 日本.")
      assert.strictEqual(second.usage?.total_tokens, 19)
      const { results, said } = replayed(asked[1])
      assert.deepStrictEqual(results, [result])
      assert.deepStrictEqual(said?.slice(1), [Message.text("One moment.", { phase: "commentary" }), call])
      assert.deepInclude(said?.[0], { _tag: "Reasoning" })
      assert.include(JSON.stringify(said?.[0]), "secret")
    })
  }

  it("sees what an iterated stream says", async () => {
    const { client } = clientOf([answering])
    const stream = await client.responses.create({ ...head, input: "Hi", stream: true })
    let text = ""
    for await (const event of stream) if (event.type === "response.output_text.delta") text += event.delta
    assert.strictEqual(text, "Sunny, 日本.")
  })

  it("fails with the status and the code", async () => {
    const error = LLMError.make("ClientError", { reason: "Quota", provider: "p", model: "m", description: "spent" })
    const { client } = clientOf([error])
    const failed = await client.responses.create({ ...head, input: "Hi" }).then(
      () => undefined,
      (error: unknown) => error
    )
    assert(failed instanceof APIError)
    assert.strictEqual(failed.status, 429)
    assert.strictEqual(failed.code, "insufficient_quota")
  })

  it("sends what our own wire is sent, and reads what it reads", async () => {
    const { asked, client } = clientOf([answering])
    const wire = responses({ name: "openai", native: true })
    await client.responses.create({ ...head, input: "Hi", tools, max_output_tokens: 100 })
    const request = wire.request(asked[0]!, "gpt-6-sol", false)
    assert(!("_tag" in request))
    assert.deepInclude(request.body, {
      ...head,
      max_output_tokens: 100,
      input: [{ type: "message", role: "user", content: "Hi" }]
    })
  })
})

describe("@ai-sdk/openai", () => {
  const modelOf = (replies: ReadonlyArray<Reply>) => {
    const { asked, fetch } = serving(...replies)
    const provider = createOpenAI({
      apiKey: "sk-test",
      baseURL: "http://localhost/v1",
      fetch: fetch as typeof globalThis.fetch
    })
    return { asked, model: provider("gpt-6-sol") }
  }

  const tools = {
    get_weather: tool({
      description: weather.description,
      inputSchema: jsonSchema<{ city: string }>(parameters),
      execute: async () => "18 degrees"
    })
  }

  // Without a store, it sends back what it got.
  const providerOptions = { openai: { store: false } }

  it("asks, calls, and gives back what it got", async () => {
    const { asked, model } = modelOf([calling, answering])
    const answer = await generateText({
      model,
      prompt: "Rome?",
      tools,
      stopWhen: isStepCount(2),
      maxRetries: 0,
      providerOptions
    })
    assert.strictEqual(answer.text, "Sunny, 日本.")
    const { results, said } = replayed(asked[1])
    assert.deepStrictEqual(results, [result])
    assert.deepStrictEqual(said?.map(({ _tag }) => _tag), ["Reasoning", "Text", "ToolCall"])
    assert.include(JSON.stringify(said?.[0]), "secret")
  })

  it("does so streamed", async () => {
    const { asked, model } = modelOf([calling, answering])
    const stream = streamText({
      model,
      prompt: "Rome?",
      tools,
      stopWhen: isStepCount(2),
      maxRetries: 0,
      providerOptions
    })
    let text = ""
    for await (const piece of stream.textStream) text += piece
    assert.strictEqual(text, "One moment.Sunny, 日本.")
    assert.deepStrictEqual(replayed(asked[1]).said?.map(({ _tag }) => _tag), ["Reasoning", "Text", "ToolCall"])
  })

  it("fails with the status", async () => {
    const error = LLMError.make("Transient", { reason: "Overloaded", provider: "p", model: "m", description: "busy" })
    const { model } = modelOf([error])
    const failed = await generateText({ model, prompt: "Hi", maxRetries: 0 }).then(
      () => undefined,
      (error: unknown) => error
    )
    assert(APICallError.isInstance(failed))
    assert.strictEqual(failed.statusCode, 503)
  })
})

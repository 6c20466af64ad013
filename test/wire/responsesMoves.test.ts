/** Conversations that move between the Responses API and the other wires, and between two of one name. */
import { assert, describe, it } from "@effect/vitest"
import * as Completion from "../../src/Completion.ts"
import * as Message from "../../src/Message.ts"
import { anthropic } from "../../src/wire/anthropic/wire.ts"
import { compatible, openAi, openRouter } from "../../src/wire/chat/wire.ts"
import { gemini } from "../../src/wire/gemini/wire.ts"
import { responses } from "../../src/wire/responses/wire.ts"
import type { Wire } from "../../src/wire/Wire.ts"

/** Each wire under a name of its own, and with an answer as it comes over it. */
const wires: ReadonlyArray<{ readonly wire: Wire; readonly model: string; readonly body: object }> = [
  {
    wire: responses({ name: "responses", native: true }),
    model: "gpt-6-sol",
    body: {
      id: "resp_1",
      status: "completed",
      output: [
        {
          type: "reasoning",
          id: "rs_1",
          summary: [{ type: "summary_text", text: "private-1" }],
          encrypted_content: "private-2"
        },
        { type: "web_search_call", id: "ws_1", status: "completed", action: { query: "private-3" } },
        {
          type: "message",
          role: "assistant",
          phase: "commentary",
          content: [{ type: "output_text", text: "One moment." }]
        },
        {
          type: "function_call",
          id: "fc_1",
          call_id: "call_1",
          name: "weather",
          arguments: '{"city":"Rome"}',
          namespace: "private-4"
        }
      ]
    }
  },
  {
    wire: openAi("chat"),
    model: "gpt-4.1",
    body: {
      id: "chatcmpl-1",
      choices: [{
        index: 0,
        finish_reason: "tool_calls",
        message: {
          role: "assistant",
          content: "One moment.",
          reasoning_content: "private-5",
          audio: { id: "private-6" },
          tool_calls: [{ id: "call_1", type: "function", function: { name: "weather", arguments: '{"city":"Rome"}' } }]
        }
      }]
    }
  },
  {
    wire: anthropic("anthropic"),
    model: "claude-opus-5-5",
    body: {
      id: "msg_1",
      type: "message",
      role: "assistant",
      stop_reason: "tool_use",
      content: [
        { type: "thinking", thinking: "private-7", signature: "private-8" },
        { type: "server_tool_use", id: "srvtoolu_1", name: "web_search", input: { query: "private-9" } },
        { type: "text", text: "One moment." },
        { type: "tool_use", id: "toolu_1", name: "weather", input: { city: "Rome" } }
      ]
    }
  },
  {
    wire: gemini("gemini"),
    model: "gemini-3.8-pro",
    body: {
      responseId: "r1",
      candidates: [{
        finishReason: "STOP",
        content: {
          role: "model",
          parts: [
            { text: "private-10", thought: true },
            { text: "One moment." },
            { functionCall: { name: "weather", args: { city: "Rome" } }, thoughtSignature: "cHJpdmF0ZS0xMQ==" }
          ]
        }
      }]
    }
  }
]

const answerOf = ({ body, wire }: typeof wires[number]): Message.Assistant => {
  const answer = wire.response(body as {}, (index) => `minted_${index}`)
  assert(answer !== undefined)
  return Message.assistant(answer.choice, { provider: wire.name, id: "id_1" })
}

const next = (answer: Message.Assistant, model: string): Completion.Completion => {
  const call = answer.content.find((content) => content._tag === "ToolCall")
  assert(call !== undefined)
  const result = Message.toolResult({ id: call.id, name: call.name, content: "sunny" })
  return Completion.make({ model, messages: [Message.user("Rome?"), answer, Message.user(result)] })
}

const sent = (wire: Wire, completion: Completion.Completion): string => {
  const request = wire.request(completion, completion.model ?? "", false)
  assert(!("_tag" in request), `${wire.name} refuses it`)
  return JSON.stringify(request.body)
}

describe("a conversation", () => {
  for (const from of wires) {
    for (const to of wires.filter((to) => to !== from)) {
      it(`moves from ${from.wire.name} to ${to.wire.name} with what was said and called, and nothing else`, () => {
        const text = sent(to.wire, next(answerOf(from), to.model))
        for (const kept of ["Rome?", "One moment.", "weather", "sunny"]) assert.include(text, kept)
        assert.notMatch(text, /private-|cHJpdmF0ZS0xMQ==|commentary/)
      })
    }
  }

  const shared = "openai"
  const native = responses({ name: shared, native: true })
  const [overResponses, overChat] = wires

  for (const [name, wire] of [["openai", openAi], ["compatible", compatible], ["openRouter", openRouter]] as const) {
    it(`moves between the Responses API and Chat Completions (${name}) of one name`, () => {
      const answered = answerOf({ ...overResponses!, wire: native })
      const chat = JSON.parse(sent(wire(shared), next(answered, "gpt-4.1"))) as { messages: ReadonlyArray<object> }
      const [, assistant] = chat.messages
      assert.include(JSON.stringify(assistant), "One moment.")
      assert.notMatch(JSON.stringify(assistant), /web_search_call|private-3/)
      const back = sent(native, next(answerOf({ ...overChat!, wire: wire(shared) }), "gpt-6-sol"))
      assert.include(back, "One moment.")
      assert.notMatch(back, /private-/)
    })
  }
})

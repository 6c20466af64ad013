import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import {
  Completion,
  type CompletionPart,
  type CompletionResponse,
  LLMClient,
  type LLMError,
  type Message
} from "../../src/index.ts"
import { sample } from "../effort.ts"
import { answers, type Json, layers, type Name, names, providerOf } from "./exchange.ts"

type Parts = ReadonlyArray<CompletionPart.CompletionPart>

interface Streamed {
  /** The parts without those that say who answers, and what is whole. */
  readonly deltas: Parts
  readonly answer: CompletionResponse.CompletionResponse | undefined
  readonly error: LLMError.LLMError | undefined
}

const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text)

/** Streams a body, given as the network's chunks of it. */
const stream = (name: Name, chunks: ReadonlyArray<Uint8Array<ArrayBuffer>>): Effect.Effect<Streamed> => {
  const body = () =>
    new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) => {
        for (const chunk of chunks) controller.enqueue(chunk)
        controller.close()
      }
    })
  const http = HttpClient.make((request) =>
    Effect.sync(() =>
      HttpClientResponse.fromWeb(
        request,
        new Response(body(), { headers: { "content-type": "text/event-stream" } })
      )
    )
  )
  return Effect.gen(function*() {
    const parts: Array<CompletionPart.CompletionPart> = []
    const result = yield* LLMClient.stream(Completion.make({ model: "m", prompt: "Hello" })).pipe(
      Stream.runForEach((part) => Effect.sync(() => parts.push(part))),
      Effect.result
    )
    const finishes = parts.filter((part) => part._tag === "Finish")
    assert.strictEqual(finishes.length, Result.isSuccess(result) ? 1 : 0, "Finish comes once, or not at all")
    assert.strictEqual(parts.at(-1)?._tag === "Finish", Result.isSuccess(result), "Finish comes last")
    assert.deepStrictEqual(
      parts.filter((part) =>
        "text" in part ? part.text === "" : part._tag === "ToolCallDelta" && part.arguments === ""
      ),
      [],
      "no delta is empty"
    )
    const answer = finishes[0]?.response
    assert.deepStrictEqual(
      parts.flatMap((part) => part._tag === "Start" ? [part.provider] : []),
      parts.length === 0 ? [] : [providerOf(name)],
      "Start comes once"
    )
    assert.isTrue(parts.length === 0 || parts[0]?._tag === "Start", "Start comes first")
    const whole = parts.filter((part) => part._tag === "ContentEnd").toSorted((a, b) => a.index - b.index)
    if (answer !== undefined) {
      assert.deepStrictEqual(whole.map(({ content }) => content), answer.choice, "each content ends, and as it is")
      assert.strictEqual(
        parts.map((part) => part._tag === "TextDelta" ? part.text : "").join(""),
        answer.text,
        "the deltas are the text"
      )
    }
    return {
      deltas: parts.filter((part) => !["Start", "ContentEnd", "Finish"].includes(part._tag)),
      answer,
      error: Result.isFailure(result) ? result.failure : undefined
    }
  }).pipe(Effect.provide(Layer.provide(layers[name], Layer.succeed(HttpClient.HttpClient, http))))
}

const streamText = (name: Name, text: string): Effect.Effect<Streamed> => stream(name, [bytes(text)])

const event = (data: unknown): string => `data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`

const events = (...all: ReadonlyArray<unknown>): string => all.map(event).join("")

/** The deltas of one stream, each kind put together. */
const said = ({ deltas }: Streamed) => ({
  text: deltas.map((part) => part._tag === "TextDelta" ? part.text : "").join(""),
  reasoning: deltas.map((part) => part._tag === "ReasoningDelta" ? part.text : "").join("")
})

const callsOf = ({ answer }: Streamed) => answer?.toolCalls.map(({ arguments: args, id, name }) => [id, name, args])

// ---------------------------------------------------------------------------------------------------------------------
// Streams of each
// ---------------------------------------------------------------------------------------------------------------------

const delta = (fields: Json, rest: Json = {}): Json => ({
  id: "1",
  model: "m",
  choices: [{ index: 0, delta: fields, finish_reason: null, ...rest }]
})

const text = (content: string) => delta({ content })

const finish = (reason = "stop") => delta({}, { finish_reason: reason })

const chatUsage = { id: "1", model: "m", choices: [], usage: { prompt_tokens: 3, completion_tokens: 2 } }

const call = (fields: Json) => delta({ tool_calls: [fields] })

const start = (message: Json = {}): Json => ({
  type: "message_start",
  message: {
    id: "1",
    model: "m",
    content: [],
    stop_reason: null,
    usage: { input_tokens: 3, output_tokens: 1 },
    ...message
  }
})

const block = (index: number, content_block: Json): Json => ({ type: "content_block_start", index, content_block })

const blockDelta = (index: number, delta: Json): Json => ({ type: "content_block_delta", index, delta })

const blockStop = (index: number): Json => ({ type: "content_block_stop", index })

const anthropicEnd = (reason = "end_turn", usage: Json = { output_tokens: 2 }): ReadonlyArray<Json> => [
  { type: "message_delta", delta: { stop_reason: reason, stop_sequence: null }, usage },
  { type: "message_stop" }
]

const geminiPart = (part: Json, rest: Json = {}): Json => ({
  candidates: [{ index: 0, content: { role: "model", parts: [part] }, ...rest }]
})

const chatHello = events(text("Hel"), text("lo ☀️"), finish(), chatUsage, "[DONE]")

/** The same short answer of each, in two pieces. */
const hello: { readonly [N in Name]: string } = {
  anthropic: events(
    start(),
    block(0, { type: "text", text: "" }),
    blockDelta(0, { type: "text_delta", text: "Hel" }),
    blockDelta(0, { type: "text_delta", text: "lo ☀️" }),
    blockStop(0),
    ...anthropicEnd()
  ),
  openai: chatHello,
  compatible: chatHello,
  openrouter: chatHello,
  gemini: events(
    geminiPart({ text: "Hel" }),
    {
      ...geminiPart({ text: "lo ☀️" }, { finishReason: "STOP" }),
      usageMetadata: { promptTokenCount: 3, candidatesTokenCount: 2 }
    }
  )
}

/** Ways to write the same events. */
const spellings: { readonly [name: string]: (body: string) => string } = {
  "as usual": (body) => body,
  "with CRLF": (body) => body.replaceAll("\n", "\r\n"),
  "with CR": (body) => body.replaceAll("\n", "\r"),
  "behind a byte order mark": (body) => `\u{FEFF}${body}`,
  "between comments": (body) => `: PROCESSING\n\n:\n${body.replaceAll("\n\n", "\n\n: \n: PROCESSING\n\n")}`,
  "without a space behind the colon": (body) => body.replaceAll("data: ", "data:"),
  "over several lines": (body) => body.replaceAll("data: {", "data: {\ndata: "),
  "with names, ids and unknown fields": (body) => body.replaceAll("data: ", "event: message\nid: 7\nfoo: bar\ndata: "),
  "with times to reconnect": (body) => `retry: 10\n\n${body}`,
  "without the last empty line": (body) => body.replace(/\n+$/, ""),
  "with frames that are not objects": (body) =>
    `${event("null")}${body.replace("\n\n", `\n\n${event("[]")}${event("7")}`)}`,
  "with empty data": (body) => `data:\n\ndata: \n\n${body}`
}

describe("the same events, written in another way, make the same answer", () => {
  for (const name of names) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const expected = yield* streamText(name, hello[name])
        assert.strictEqual(expected.answer?.text, "Hello ☀️")
        assert.deepInclude(expected.answer?.usage, { inputTokens: 3, outputTokens: 2 })
        assert.deepStrictEqual(expected.deltas.map((part) => part._tag), ["TextDelta", "TextDelta"])
        for (const [spelling, write] of Object.entries(spellings)) {
          assert.deepStrictEqual(yield* streamText(name, write(hello[name])), expected, spelling)
        }
      }))

    it.effect(`${name}, with an event of an unknown type, which may stay as metadata`, () =>
      Effect.gen(function*() {
        const expected = yield* streamText(name, hello[name])
        const novel = hello[name].replace("\n\n", `\n\n${event({ type: "novelty", x: 1 })}`)
        const { answer, deltas } = yield* streamText(name, novel)
        assert.deepStrictEqual(deltas, expected.deltas)
        assert(answer !== undefined)
        const { metadata, ...rest } = answer
        assert.deepStrictEqual(rest, { ...expected.answer } as typeof rest)
        // Anthropic's events are named: what is no event that is known is none of the message.
        const kept = name === "anthropic" ? undefined : { [providerOf(name)]: { type: "novelty", x: 1 } }
        assert.deepStrictEqual(metadata, kept)
      }))

    it.effect(`${name}, of a server that does not stream`, () =>
      Effect.gen(function*() {
        for (const body of [JSON.stringify(answers[name]), JSON.stringify(answers[name], undefined, 2)]) {
          const streamed = yield* streamText(name, body)
          assert.deepStrictEqual(streamed.deltas, [{ _tag: "TextDelta", index: 0, text: "Hello" }])
          assert.strictEqual(streamed.answer?.text, "Hello")
        }
      }))

    it.effect(`${name}, with nothing at all`, () =>
      Effect.gen(function*() {
        for (const body of ["", "\n\n", ": comment\n\n", ": comment", event("null"), "event: message\n"]) {
          const { error } = yield* streamText(name, body)
          assert.deepInclude(error, { _tag: "Transient", reason: "Truncated" }, JSON.stringify(body))
          assert.isUndefined(error?.partial)
        }
      }))

    it.effect(`${name}, with a body that is neither events nor JSON`, () =>
      Effect.gen(function*() {
        const { error } = yield* streamText(name, "<html>down for maintenance</html>")
        assert.deepInclude(error, { _tag: "Transient", reason: "Malformed" })
      }))
  }

  // The others speak as OpenAI does.
  for (const name of ["anthropic", "openai", "gemini"] as const) {
    it.effect(`${name}, cut in two at every byte`, () =>
      Effect.gen(function*() {
        const expected = yield* streamText(name, hello[name])
        for (const write of [spellings["with CRLF"]!, spellings["behind a byte order mark"]!]) {
          const body = bytes(write(hello[name]))
          for (const at of sample(5, [...body.keys()].slice(1))) {
            assert.deepStrictEqual(yield* stream(name, [body.slice(0, at), body.slice(at)]), expected, `at byte ${at}`)
          }
        }
      }))

    it.effect(`${name}, broken off at every byte`, () =>
      Effect.gen(function*() {
        const expected = yield* streamText(name, hello[name])
        const body = bytes(hello[name])
        // Before the first field has its colon, it could be the beginning of anything.
        for (const at of sample(5, [...body.keys()].slice(6))) {
          const streamed = yield* stream(name, [body.slice(0, at)])
          const { answer, error } = streamed
          if (answer === undefined) assert.deepInclude(error, { _tag: "Transient", reason: "Truncated" }, `at ${at}`)
          else assert.strictEqual(answer.text, expected.answer?.text, `at byte ${at}`)
          assert.strictEqual((answer ?? error?.partial)?.text ?? "", said(streamed).text, `at byte ${at}`)
        }
      }))
  }
})

// ---------------------------------------------------------------------------------------------------------------------
// Errors
// ---------------------------------------------------------------------------------------------------------------------

const failures: { readonly [N in Name]: Json } = {
  anthropic: { type: "error", error: { type: "overloaded_error", message: "Overloaded" } },
  openai: { error: { code: "server_is_overloaded", type: "server_error", message: "Overloaded" } },
  compatible: { error: { code: 503, message: "Overloaded" } },
  openrouter: { error: { code: 503, message: "Overloaded" } },
  gemini: { error: { code: 503, status: "UNAVAILABLE", message: "Overloaded" } }
}

const overloaded = { _tag: "Transient", reason: "Overloaded" } as const

// The first two events, of which the second is a piece of the answer.
const begun: { readonly [N in Name]: string } = {
  anthropic: events(
    start(),
    block(0, { type: "text", text: "" }),
    blockDelta(0, { type: "text_delta", text: "Hel" })
  ),
  openai: event(text("Hel")),
  compatible: event(text("Hel")),
  openrouter: event(text("Hel")),
  gemini: event(geminiPart({ text: "Hel" }))
}

describe("an error in a stream", () => {
  for (const name of names) {
    it.effect(`${name}: as the whole body, or its first event, is the error that it says`, () =>
      Effect.gen(function*() {
        for (
          const body of [JSON.stringify(failures[name]), event(failures[name]), JSON.stringify(failures[name], null, 2)]
        ) {
          const { deltas, error } = yield* streamText(name, body)
          assert.deepInclude(error, overloaded)
          assert.lengthOf(deltas, 0)
        }
      }))

    it.effect(`${name}: behind content keeps the partial answer`, () =>
      Effect.gen(function*() {
        const { deltas, error } = yield* streamText(name, begun[name] + event(failures[name]) + event("[DONE]"))
        assert.deepInclude(error, overloaded)
        assert.deepStrictEqual(deltas, [{ _tag: "TextDelta", index: 0, text: "Hel" }])
        assert.strictEqual(error?.partial?.text, "Hel")
      }))

    it.effect(`${name}: behind the end of the answer changes nothing`, () =>
      Effect.gen(function*() {
        const expected = yield* streamText(name, hello[name])
        const whole = hello[name].replace(event("[DONE]"), "")
        for (const rest of [event(failures[name]), event("{ not JSON"), "garbage"]) {
          assert.deepStrictEqual(yield* streamText(name, whole + rest), expected, rest)
        }
      }))

    it.effect(`${name}: an event that is not JSON is Malformed, with the partial answer`, () =>
      Effect.gen(function*() {
        const { error } = yield* streamText(name, begun[name] + event("{ not JSON"))
        assert.deepInclude(error, { _tag: "Transient", reason: "Malformed" })
        assert.strictEqual(error?.partial?.text, "Hel")
      }))
  }

  it.effect("OpenRouter: finish_reason error, beside its choice", () =>
    Effect.gen(function*() {
      const { error } = yield* streamText(
        "openrouter",
        events(text("Hel"), {
          ...delta({ content: "" }, { finish_reason: "error" }),
          error: { code: 429, message: "Rate limited" }
        })
      )
      assert.strictEqual(error?._tag, "RateLimit")
      assert.strictEqual(error?.partial?.text, "Hel")
    }))

  it.effect("OpenRouter: an error in the choice", () =>
    Effect.gen(function*() {
      const { error } = yield* streamText(
        "openrouter",
        events(text("Hel"), delta({}, { error: { code: 502, message: "Upstream" }, finish_reason: "error" }))
      )
      assert.deepInclude(error, { _tag: "Transient", reason: "Server" })
    }))

  it.effect("OpenRouter: length, and then error 400, is an answer that was cut", () =>
    Effect.gen(function*() {
      const { answer } = yield* streamText(
        "openrouter",
        events(text("Hello"), finish("length"), {
          ...delta({}, { finish_reason: "error" }),
          error: { code: 400, message: "Token limit reached" }
        })
      )
      assert.deepInclude(answer, { text: "Hello", finishReason: { _tag: "MaxTokens" } })
    }))

  it.effect("an empty error is ignored", () =>
    Effect.gen(function*() {
      const { answer } = yield* streamText(
        "compatible",
        events({ ...text("Hello"), error: null }, { ...finish(), error: "" })
      )
      assert.strictEqual(answer?.text, "Hello")
    }))
})

// ---------------------------------------------------------------------------------------------------------------------
// Chat Completions
// ---------------------------------------------------------------------------------------------------------------------

describe("Chat Completions", () => {
  it.effect("[DONE] without a finish_reason is a complete answer; neither of them is Truncated", () =>
    Effect.gen(function*() {
      const done = yield* streamText("compatible", events(text("Hello"), "[DONE]"))
      assert.deepInclude(done.answer, { text: "Hello", finishReason: { _tag: "None" } })
      const cut = yield* streamText("compatible", events(text("Hello")))
      assert.deepInclude(cut.error, { _tag: "Transient", reason: "Truncated" })
      const ended = yield* streamText("compatible", events(text("Hello"), finish()))
      assert.deepInclude(ended.answer, { text: "Hello", finishReason: { _tag: "Stop" } })
    }))

  it.effect("[DONE] alone is not an answer", () =>
    Effect.gen(function*() {
      const { error } = yield* streamText("compatible", event("[DONE]"))
      assert.strictEqual(error?._tag, "Transient")
    }))

  it.effect("parallel calls that share index 0 are distinguished by their ids", () =>
    Effect.gen(function*() {
      const streamed = yield* streamText(
        "compatible",
        events(
          call({ index: 0, id: "a", function: { name: "f", arguments: '{"x":1}' } }),
          call({ index: 0, id: "b", function: { name: "f", arguments: '{"x":2}' } }),
          call({ index: 0, id: "c", function: { name: "g", arguments: "" } }),
          call({ index: 0, function: { arguments: '{"x":' } }),
          call({ index: 0, function: { arguments: "3}" } }),
          finish("tool_calls"),
          "[DONE]"
        )
      )
      assert.deepStrictEqual(callsOf(streamed), [["a", "f", { x: 1 }], ["b", "f", { x: 2 }], ["c", "g", { x: 3 }]])
      assert.deepStrictEqual(
        streamed.deltas.filter((part) => part._tag === "ToolCallStart"),
        [
          { _tag: "ToolCallStart", index: 0, id: "a", name: "f" },
          { _tag: "ToolCallStart", index: 1, id: "b", name: "f" },
          { _tag: "ToolCallStart", index: 2, id: "c", name: "g" }
        ]
      )
    }))

  it.effect("a new id on every fragment is still one call", () =>
    Effect.gen(function*() {
      const pieces = ['{"ci', 'ty":"Pa', 'ris"}']
      for (const name of ["f", undefined]) {
        const streamed = yield* streamText(
          "compatible",
          events(
            call({ index: 0, id: "call_0", function: { name: "f", arguments: pieces[0] } }),
            ...pieces.slice(1).map((piece, at) =>
              call({ index: 0, id: `call_${at + 1}`, function: { ...(name && { name }), arguments: piece } })
            ),
            finish("tool_calls"),
            "[DONE]"
          )
        )
        assert.deepStrictEqual(callsOf(streamed), [["call_0", "f", { city: "Paris" }]])
      }
    }))

  it.effect("interleaved calls are put together by their index; missing ids are made", () =>
    Effect.gen(function*() {
      const streamed = yield* streamText(
        "compatible",
        events(
          call({ index: 0, function: { name: "f", arguments: "{" } }),
          call({ index: 1, id: "", function: { name: "g", arguments: "{" } }),
          call({ index: 0, function: { arguments: '"x":1}' } }),
          call({ index: 1, function: { arguments: '"x":2}' } }),
          finish("tool_calls")
        )
      )
      assert.deepStrictEqual(callsOf(streamed)?.map(([, ...rest]) => rest), [["f", { x: 1 }], ["g", { x: 2 }]])
      const ids = streamed.answer?.toolCalls.map(({ id }) => id) ?? []
      assert.strictEqual(new Set(ids).size, 2)
      assert.deepStrictEqual(
        streamed.deltas.flatMap((part) => part._tag === "ToolCallStart" ? [part.id] : []),
        ids
      )
    }))

  const spelled: ReadonlyArray<readonly [string, ReadonlyArray<unknown>, Message.ToolCall["arguments"]]> = [
    ["an object", [{ x: 1 }], { x: 1 }],
    ["null", [null], {}],
    ["null, and then a text", [null, '{"x":1}'], { x: 1 }],
    ["the text null", ["null"], {}],
    ["the text null, and then another", ["null", '{"x":', "1}"], { x: 1 }],
    ["absent", [undefined], {}],
    ["empty", ["", "", ""], {}],
    ["the text {}", ["{}"], {}]
  ]
  for (const [name, all, expected] of spelled) {
    it.effect(`arguments: ${name}`, () =>
      Effect.gen(function*() {
        const streamed = yield* streamText(
          "compatible",
          events(
            ...all.map((args, at) =>
              call({
                index: 0,
                ...(at === 0 && { id: "a" }),
                function: { ...(at === 0 && { name: "f" }), arguments: args }
              })
            ),
            finish("tool_calls"),
            "[DONE]"
          )
        )
        assert.deepStrictEqual(callsOf(streamed), [["a", "f", expected]])
        assert.deepStrictEqual(streamed.answer?.finishReason, { _tag: "ToolUse" })
      }))
  }

  it.effect("arguments that are not JSON are not a call", () =>
    Effect.gen(function*() {
      const half = call({ index: 0, id: "a", function: { name: "f", arguments: '{"x":' } })
      const malformed = yield* streamText("compatible", events(half, finish("tool_calls")))
      assert.deepInclude(malformed.error, { _tag: "EmptyResponse", reason: "MalformedToolCall" })
      const cut = yield* streamText("compatible", events(half, finish("length")))
      assert.deepInclude(cut.error, { _tag: "ClientError", reason: "OutputBudget" })
      assert.deepStrictEqual(cut.error?.partial?.toolCalls, [])
      const spoken = yield* streamText("compatible", events(text("Hello"), half, finish("length")))
      assert.deepStrictEqual(callsOf(spoken), [])
      assert.deepInclude(spoken.answer, { text: "Hello", finishReason: { _tag: "MaxTokens" } })
      const broken = yield* streamText("compatible", events(text("Hello"), half))
      assert.deepInclude(broken.error, { _tag: "Transient", reason: "Truncated" })
      assert.deepStrictEqual(broken.error?.partial?.choice, [{ _tag: "Text", text: "Hello" }])
    }))

  it.effect("nulls stand for what is not there", () =>
    Effect.gen(function*() {
      const { answer } = yield* streamText(
        "compatible",
        events(
          {
            ...delta({ role: "assistant", content: null, tool_calls: null, function_call: null, refusal: null }),
            usage: null
          },
          { id: "1", model: "m", choices: null, usage: null },
          {
            ...delta({ content: "Hello", reasoning_content: null, reasoning_details: null, audio: null, images: null })
          },
          { id: "1", choices: [{ index: 0, finish_reason: null }] },
          { id: "1", choices: [{ index: 0, delta: null, finish_reason: "stop" }], usage: null },
          chatUsage,
          { id: "1", choices: [], usage: null },
          "[DONE]"
        )
      )
      assert.strictEqual(answer?.text, "Hello")
      assert.deepInclude(answer?.usage, { inputTokens: 3, outputTokens: 2, totalTokens: 5 })
    }))

  it.effect("of several answers, only the first is taken", () =>
    Effect.gen(function*() {
      const other = (content: string, rest: Json = {}) => ({
        id: "1",
        choices: [{ index: 1, delta: { content }, finish_reason: null, ...rest }]
      })
      const streamed = yield* streamText(
        "openai",
        events(
          other("Bon"),
          text("Hel"),
          other("jour", { finish_reason: "length" }),
          text("lo"),
          { id: "1", choices: [...(other("!")["choices"]), ...(text("!")["choices"] as ReadonlyArray<Json>)] },
          finish(),
          chatUsage,
          "[DONE]"
        )
      )
      assert.deepStrictEqual(said(streamed), { text: "Hello!", reasoning: "" })
      assert.deepInclude(streamed.answer, { text: "Hello!", finishReason: { _tag: "Stop" } })
    }))

  it.effect("Azure's first event has neither answer, id nor model", () =>
    Effect.gen(function*() {
      const { answer } = yield* streamText(
        "compatible",
        events(
          { id: "", model: "", object: "", choices: [], prompt_filter_results: [{ prompt_index: 0 }] },
          { id: "chatcmpl-1", model: "gpt-4o-2024", choices: [{ index: 0, delta: { content: "Hello" } }] },
          {
            id: "chatcmpl-1",
            model: "gpt-4o-2024",
            choices: [{ index: 0, finish_reason: "stop", content_filter_results: {} }]
          },
          "[DONE]"
        )
      )
      assert.deepInclude(answer, { id: "chatcmpl-1", model: "gpt-4o-2024", text: "Hello" })
    }))

  it.effect("a refusal is a text, and content beside it is not said twice", () =>
    Effect.gen(function*() {
      const refused = yield* streamText(
        "openai",
        events(
          delta({ content: "", refusal: "" }),
          delta({ content: "", refusal: "I ca" }),
          delta({ refusal: "n't." }),
          finish()
        )
      )
      assert.deepStrictEqual(said(refused), { text: "I can't.", reasoning: "" })
      assert.strictEqual(refused.answer?.text, "I can't.")
    }))

  it.effect("reasoning is not said twice, whatever fields repeat it", () =>
    Effect.gen(function*() {
      const detail = (fields: Json) => ({ type: "reasoning.text", index: 0, format: null, ...fields })
      const streamed = yield* streamText(
        "openrouter",
        events(
          delta({ content: "", reasoning: "Let ", reasoning_details: [detail({ text: "Let " })] }),
          delta({ content: "", reasoning: "me.", reasoning_details: [detail({ text: "me." })] }),
          delta({ content: "", reasoning_details: [detail({ signature: "sig" })] }),
          delta({ content: "Hello" }),
          finish(),
          finish(),
          "[DONE]"
        )
      )
      assert.deepStrictEqual(said(streamed), { text: "Hello", reasoning: "Let me." })
      assert.deepStrictEqual(streamed.answer?.choice, [
        {
          _tag: "Reasoning",
          field: "reasoning",
          content: [{ _tag: "Text", text: "Let me.", signature: "sig", index: 0 }]
        },
        { _tag: "Text", text: "Hello" }
      ])
    }))

  it.effect("Mistral writes reasoning into the content", () =>
    Effect.gen(function*() {
      const thinking = (piece: string) =>
        delta({ content: [{ type: "thinking", thinking: [{ type: "text", text: piece }] }] })
      const streamed = yield* streamText(
        "compatible",
        events(
          thinking("Let "),
          thinking("me."),
          delta({ content: [{ type: "text", text: "Hel" }] }),
          text("lo"),
          finish()
        )
      )
      assert.deepStrictEqual(said(streamed), { text: "Hello", reasoning: "Let me." })
      assert.deepStrictEqual(streamed.answer?.choice, [
        { _tag: "Reasoning", content: [{ _tag: "Text", text: "Let me." }] },
        { _tag: "Text", text: "Hello" }
      ])
    }))
})

// ---------------------------------------------------------------------------------------------------------------------
// Anthropic
// ---------------------------------------------------------------------------------------------------------------------

describe("Anthropic", () => {
  it.effect("counts at the end replace those at the start, unless they are zero or null", () =>
    Effect.gen(function*() {
      const body = (first: Json, last: Json) =>
        events(
          start({ usage: first }),
          block(0, { type: "text", text: "" }),
          blockDelta(0, { type: "text_delta", text: "Hello" }),
          ...anthropicEnd("end_turn", last)
        )
      const late = yield* streamText(
        "anthropic",
        body(
          { input_tokens: 0, output_tokens: 0 },
          { input_tokens: 32, output_tokens: 7, cache_read_input_tokens: null, cache_creation_input_tokens: null }
        )
      )
      assert.deepInclude(late.answer?.usage, { inputTokens: 32, outputTokens: 7, cachedInputTokens: 0 })
      const early = yield* streamText(
        "anthropic",
        body({ input_tokens: 5, cache_read_input_tokens: 20, output_tokens: 1 }, { input_tokens: 0, output_tokens: 7 })
      )
      assert.deepInclude(early.answer?.usage, { inputTokens: 25, outputTokens: 7, cachedInputTokens: 20 })
    }))

  it.effect("a redacted block is whole at its start", () =>
    Effect.gen(function*() {
      const streamed = yield* streamText(
        "anthropic",
        events(
          start(),
          block(0, { type: "redacted_thinking", data: "secret" }),
          blockStop(0),
          block(1, { type: "text", text: "" }),
          blockDelta(1, { type: "text_delta", text: "Hello" }),
          blockStop(1),
          ...anthropicEnd()
        )
      )
      assert.deepStrictEqual(said(streamed), { text: "Hello", reasoning: "" })
      assert.deepStrictEqual(streamed.answer?.choice, [
        { _tag: "Reasoning", content: [{ _tag: "Redacted", data: "secret" }] },
        { _tag: "Text", text: "Hello" }
      ])
    }))

  it.effect("a block that starts with text says it", () =>
    Effect.gen(function*() {
      const streamed = yield* streamText(
        "anthropic",
        events(
          start(),
          block(0, { type: "thinking", thinking: "Let ", signature: "" }),
          blockDelta(0, { type: "thinking_delta", thinking: "me." }),
          blockDelta(0, { type: "signature_delta", signature: "si" }),
          blockDelta(0, { type: "signature_delta", signature: "g" }),
          blockStop(0),
          block(1, { type: "text", text: "Hel" }),
          blockDelta(1, { type: "text_delta", text: "lo" }),
          blockStop(1),
          ...anthropicEnd()
        )
      )
      assert.deepStrictEqual(said(streamed), { text: "Hello", reasoning: "Let me." })
      assert.deepStrictEqual(streamed.answer?.choice, [
        { _tag: "Reasoning", content: [{ _tag: "Text", text: "Let me.", signature: "sig" }] },
        { _tag: "Text", text: "Hello" }
      ])
    }))

  it.effect("citations may be null at the start, and come before the text", () =>
    Effect.gen(function*() {
      const citation = { type: "char_location", cited_text: "x" }
      const { answer } = yield* streamText(
        "anthropic",
        events(
          start(),
          block(0, { type: "text", text: "", citations: null }),
          blockDelta(0, { type: "citations_delta", citation }),
          blockDelta(0, { type: "text_delta", text: "Hello" }),
          blockDelta(0, { type: "citations_delta", citation }),
          blockStop(0),
          ...anthropicEnd()
        )
      )
      assert.deepStrictEqual(answer?.choice, [{ _tag: "Text", text: "Hello", citations: [citation, citation] }])
    }))

  it.effect("what is unknown is left out or kept, and breaks nothing", () =>
    Effect.gen(function*() {
      const novel = { type: "novel_block", payload: { x: 1 } }
      const streamed = yield* streamText(
        "anthropic",
        events(
          { type: "ping" },
          { ...start(), extra: true },
          { type: "novel_event", index: 0 },
          block(0, novel),
          blockDelta(0, { type: "novel_delta", payload: 7 }),
          blockStop(0),
          blockDelta(9, { type: "text_delta", text: "of no block" }),
          blockDelta(9, {}),
          blockStop(9),
          block(1, { type: "server_tool_use", id: "srv", name: "search", input: {} }),
          blockDelta(1, { type: "input_json_delta", partial_json: '{"q":' }),
          blockDelta(1, { type: "input_json_delta", partial_json: "1}" }),
          blockStop(1),
          block(2, { type: "text", text: "" }),
          blockDelta(2, { type: "text_delta", text: "Hello" }),
          blockDelta(2, { type: "novel_delta" }),
          blockStop(2),
          ...anthropicEnd("novel_reason")
        )
      )
      assert.deepStrictEqual(streamed.deltas, [{ _tag: "TextDelta", index: 2, text: "Hello" }])
      assert.deepStrictEqual(streamed.answer?.choice, [
        { _tag: "ProviderBlock", provider: "anthropic", block: novel },
        {
          _tag: "ProviderBlock",
          provider: "anthropic",
          block: { type: "server_tool_use", id: "srv", name: "search", input: { q: 1 } }
        },
        { _tag: "Text", text: "Hello" }
      ])
      assert.deepStrictEqual(streamed.answer?.finishReason, { _tag: "Other", reason: "novel_reason" })
    }))

  it.effect("calls: without arguments, in parallel, cut, and broken off", () =>
    Effect.gen(function*() {
      const calls = [
        start(),
        block(0, { type: "tool_use", id: "a", name: "f", input: {} }),
        blockDelta(0, { type: "input_json_delta", partial_json: "" }),
        blockStop(0),
        block(1, { type: "tool_use", id: "b", name: "g", input: {} }),
        blockDelta(1, { type: "input_json_delta", partial_json: '{"x":' })
      ]
      const rest = [blockDelta(1, { type: "input_json_delta", partial_json: "1}" }), blockStop(1)]
      const whole = yield* streamText("anthropic", events(...calls, ...rest, ...anthropicEnd("tool_use")))
      assert.deepStrictEqual(callsOf(whole), [["a", "f", {}], ["b", "g", { x: 1 }]])
      const cut = yield* streamText("anthropic", events(...calls, ...anthropicEnd("max_tokens")))
      assert.deepStrictEqual(callsOf(cut), [["a", "f", {}]])
      assert.deepStrictEqual(cut.answer?.finishReason, { _tag: "MaxTokens" })
      const broken = yield* streamText("anthropic", events(...calls))
      assert.deepInclude(broken.error, { _tag: "Transient", reason: "Truncated" })
      assert.deepStrictEqual(broken.error?.partial?.toolCalls.map(({ id }) => id), ["a"])
      const malformed = yield* streamText("anthropic", events(...calls, ...anthropicEnd("tool_use")))
      assert.deepInclude(malformed.error, { _tag: "EmptyResponse", reason: "MalformedToolCall" })
    }))

  it.effect("pause_turn stays what it is, unless a call of the caller's own waits for its result", () =>
    Effect.gen(function*() {
      const search = [
        start(),
        block(0, { type: "server_tool_use", id: "srv", name: "web_search", input: {} }),
        blockStop(0)
      ]
      const paused = yield* streamText("anthropic", events(...search, ...anthropicEnd("pause_turn")))
      assert.deepStrictEqual(paused.answer?.finishReason, { _tag: "Other", reason: "pause_turn" })
      const called = yield* streamText(
        "anthropic",
        events(
          ...search,
          block(1, { type: "tool_use", id: "a", name: "f", input: {} }),
          blockStop(1),
          ...anthropicEnd("pause_turn")
        )
      )
      assert.deepStrictEqual(called.answer?.finishReason, { _tag: "ToolUse" })
    }))

  it.effect("a message without content, or a gateway's null, does not fail the stream", () =>
    Effect.gen(function*() {
      const rest = [
        block(0, { type: "text", text: "" }),
        blockDelta(0, { type: "text_delta", text: "Hello" }),
        ...anthropicEnd()
      ]
      for (const first of [{ type: "message_start", message: null }, { type: "message_start" }, undefined]) {
        const { answer } = yield* streamText("anthropic", events(...(first === undefined ? rest : [first, ...rest])))
        assert.deepInclude(answer, { text: "Hello", model: "m" })
      }
    }))
})

// ---------------------------------------------------------------------------------------------------------------------
// Gemini
// ---------------------------------------------------------------------------------------------------------------------

describe("Gemini", () => {
  it.effect("reads on behind a STOP in between; the last finish and usage count", () =>
    Effect.gen(function*() {
      const code = { executableCode: { language: "PYTHON", code: "1" } }
      const streamed = yield* streamText(
        "gemini",
        events(
          {
            ...geminiPart(code, { finishReason: "STOP" }),
            usageMetadata: { promptTokenCount: 3, candidatesTokenCount: 1 }
          },
          geminiPart({ text: "Hello" }),
          {
            ...geminiPart({ text: "!" }, { finishReason: "MAX_TOKENS" }),
            usageMetadata: { promptTokenCount: 3, candidatesTokenCount: 9 }
          }
        )
      )
      assert.deepStrictEqual(said(streamed), { text: "Hello!", reasoning: "" })
      assert.deepInclude(streamed.answer, { text: "Hello!", finishReason: { _tag: "MaxTokens" } })
      assert.deepInclude(streamed.answer?.usage, { inputTokens: 3, outputTokens: 9 })
      assert.deepStrictEqual(streamed.answer?.choice[0], { _tag: "ProviderBlock", provider: "gemini", block: code })
    }))

  it.effect("an empty text at the end brings the signature of the text", () =>
    Effect.gen(function*() {
      const streamed = yield* streamText(
        "gemini",
        events(
          geminiPart({ text: "Let ", thought: true }),
          geminiPart({ text: "me.", thought: true }),
          geminiPart({ text: "Hel" }),
          geminiPart({ text: "lo" }),
          geminiPart({ text: "", thoughtSignature: "sig" }, { finishReason: "STOP" })
        )
      )
      assert.deepStrictEqual(said(streamed), { text: "Hello", reasoning: "Let me." })
      assert.deepStrictEqual(streamed.answer?.choice, [
        { _tag: "Reasoning", content: [{ _tag: "Text", text: "Let me." }] },
        { _tag: "Text", text: "Hello", signature: "sig" }
      ])
    }))

  it.effect("parts and content may be absent, and the first candidate alone counts", () =>
    Effect.gen(function*() {
      const streamed = yield* streamText(
        "gemini",
        events(
          { usageMetadata: { promptTokenCount: 3 } },
          { candidates: [{ content: { role: "model" } }] },
          {
            candidates: [
              { index: 1, content: { parts: [{ text: "Bonjour" }] }, finishReason: "MAX_TOKENS" },
              { index: 0, content: { parts: [{ text: "Hello" }] } }
            ]
          },
          { candidates: [{ finishReason: "STOP" }], novelty: 1 }
        )
      )
      assert.deepStrictEqual(said(streamed), { text: "Hello", reasoning: "" })
      assert.deepInclude(streamed.answer, { text: "Hello", finishReason: { _tag: "Stop" } })
    }))

  it.effect("calls in parallel, with and without ids, are whole as they come", () =>
    Effect.gen(function*() {
      const streamed = yield* streamText(
        "gemini",
        events(
          geminiPart({ functionCall: { name: "f", args: { x: 1 } }, thoughtSignature: "sig" }),
          geminiPart({ functionCall: { name: "f", args: { x: 1 } } }),
          geminiPart({ functionCall: { id: "own", name: "g" } }, { finishReason: "STOP" })
        )
      )
      const ids = streamed.answer?.toolCalls.map(({ id }) => id) ?? []
      assert.strictEqual(new Set(ids).size, 3)
      assert.strictEqual(ids[2], "own")
      assert.deepStrictEqual(streamed.deltas.flatMap((part) => part._tag === "ToolCallStart" ? [part.id] : []), ids)
      assert.deepStrictEqual(callsOf(streamed)?.map(([, ...rest]) => rest), [["f", { x: 1 }], ["f", { x: 1 }], [
        "g",
        {}
      ]])
      assert.deepStrictEqual(streamed.answer?.finishReason, { _tag: "ToolUse" })
    }))

  it.effect("a blocked prompt is ContentFilter; no finish is Truncated", () =>
    Effect.gen(function*() {
      const blocked = yield* streamText("gemini", events({ promptFeedback: { blockReason: "SAFETY" } }))
      assert.deepInclude(blocked.error, { _tag: "ClientError", reason: "ContentFilter" })
      const cut = yield* streamText("gemini", events(geminiPart({ text: "Hel" })))
      assert.deepInclude(cut.error, { _tag: "Transient", reason: "Truncated" })
      assert.strictEqual(cut.error?.partial?.text, "Hel")
    }))
})

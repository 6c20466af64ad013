/**
 * What holds for whatever a provider answers: the outcome is an answer or one of the four errors, an answer survives
 * JSON, a stream ends once, calls are whole, and nothing shows a key.
 */
import { assert } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { inspect } from "node:util"
import {
  Anthropic,
  Completion,
  CompletionPart,
  CompletionResponse,
  Gemini,
  LLMClient,
  LLMError,
  OpenAi,
  OpenRouter
} from "../../src/index.ts"
import type { Provider } from "./wires.ts"

export const providers = ["anthropic", "openai", "responses", "openrouter", "gemini"] as const

/** Planted in the headers and the URL of every request. */
export const keys = [
  "sk-planted-0123456789-api",
  "sk-planted-0123456789-header",
  "sk-planted-0123456789-query"
] as const

const options = {
  apiKey: Redacted.make(keys[0]),
  model: "m",
  headers: { "x-gateway-key": keys[1] },
  limits: { body: 4 << 20, event: 1 << 20 }
}

const layers: { readonly [P in Provider]: Layer.Layer<LLMClient.LLMClient, never, HttpClient.HttpClient> } = {
  anthropic: Anthropic.layer({ ...options, baseUrl: `https://api.test?key=${keys[2]}` }),
  openai: OpenAi.layer({ ...options, baseUrl: `https://api.test/v1?key=${keys[2]}` }),
  responses: OpenAi.layer({ ...options, api: "responses", baseUrl: `https://api.test/v1?key=${keys[2]}` }),
  openrouter: OpenRouter.layer({ ...options, baseUrl: `https://openrouter.test/api/v1?key=${keys[2]}` }),
  gemini: Gemini.layer({ ...options, baseUrl: `https://api.test?key=${keys[2]}` })
}

/** What a server answers. */
export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly chunks: ReadonlyArray<Uint8Array>
  /** Whether the connection breaks after the chunks. */
  readonly breaks: boolean
}

const bodyOf = ({ breaks, chunks }: Reply): ReadableStream<Uint8Array> => {
  let index = 0
  return new ReadableStream({
    pull: (controller) => {
      const chunk = chunks[index++]
      if (chunk !== undefined) controller.enqueue(chunk)
      else if (breaks) controller.error(new TypeError("terminated"))
      else controller.close()
    }
  })
}

const response = (reply: Reply): Response =>
  new Response([204, 304].includes(reply.status) ? null : bodyOf(reply), reply)

/** One client of a provider, and what it was asked. */
export const client = (provider: Provider) =>
  Effect.runSync(Effect.scoped(Effect.gen(function*() {
    const state: { reply: Reply | undefined; sent: Array<string> } = { reply: undefined, sent: [] }
    const http = HttpClient.make((request) =>
      Effect.sync(() => {
        state.sent.push(request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : "")
        return HttpClientResponse.fromWeb(request, response(state.reply!))
      })
    )
    const context = yield* Layer.build(Layer.provide(layers[provider], Layer.succeed(HttpClient.HttpClient, http)))
    return { ...Context.get(context, LLMClient.LLMClient), state }
  })))

export type Client = ReturnType<typeof client>

const answerCodec = Schema.toCodecJson(CompletionResponse.CompletionResponse)
const encodeAnswer = Schema.encodeSync(answerCodec)
const decodeAnswer = Schema.decodeUnknownSync(answerCodec)
const encodeError = Schema.encodeSync(LLMError.LLMError)
const decodeError = Schema.decodeUnknownSync(LLMError.LLMError)
const isPart = Schema.is(CompletionPart.CompletionPart)

/** An answer survives JSON, and its calls are such as can be run. */
export const answerHolds = (answer: CompletionResponse.CompletionResponse): void => {
  const written = JSON.stringify(encodeAnswer(answer))
  assert.strictEqual(JSON.stringify(encodeAnswer(decodeAnswer(JSON.parse(written)))), written)
  assert.deepStrictEqual(JSON.parse(JSON.stringify(answer.choice)), JSON.parse(written).choice)
  for (const call of answer.toolCalls) {
    assert.notStrictEqual(call.id, "")
    assert.notStrictEqual(call.name, "")
    assert.isDefined(call.arguments)
  }
}

/** An error is one of the four, survives JSON, and shows no key. */
export const errorHolds = (error: LLMError.LLMError): void => {
  assert.isTrue(LLMError.isLLMError(error), `no LLMError: ${String(error)}`)
  const written: unknown = JSON.parse(JSON.stringify(encodeError(error)))
  assert.strictEqual(decodeError(written).message, error.message)
  assert.isAtMost(error.body?.length ?? 0, 8192)
  assert.isAtMost(error.description.length, 8192)
  if (error.partial !== undefined) answerHolds(error.partial)
  const shown = [
    String(error),
    error.message,
    JSON.stringify(error),
    JSON.stringify(written),
    inspect(error, { depth: null, showHidden: true, getters: true, maxStringLength: null }),
    Cause.pretty(Cause.fail(error))
  ]
  for (const key of keys) for (const text of shown) assert.notInclude(text, key)
}

/** The parts of a stream are in order; with an answer the last of them holds it, and says no more than they did. */
export const partsHold = (parts: ReadonlyArray<CompletionPart.CompletionPart>, succeeded: boolean): void => {
  const ids: Array<string> = []
  const texts: Array<string> = []
  const calls = new Set<number>()
  const ends = new Map<number, unknown>()
  parts.forEach((part, index) => {
    assert.isTrue(isPart(part), `no part: ${inspect(part, { depth: 2 })}`)
    assert.strictEqual(part._tag === "Start", index === 0, "Start is the first part, and only that")
    if ("index" in part) assert.isFalse(ends.has(part.index), "nothing of a content comes behind its end")
    switch (part._tag) {
      case "TextDelta":
        texts.push(part.text)
        return assert.notStrictEqual(part.text, "")
      case "ReasoningDelta":
        return assert.notStrictEqual(part.text, "")
      case "ToolCallStart":
        assert.isFalse(calls.has(part.index), "each call begins once")
        calls.add(part.index)
        assert.notStrictEqual(part.name, "")
        ids.push(part.id)
        return
      case "ToolCallDelta":
        assert.isTrue(calls.has(part.index), "a call begins before its arguments")
        return assert.notStrictEqual(part.arguments, "")
      case "ContentEnd":
        ends.set(part.index, part.content)
        return
      case "Finish": {
        const inOrder = [...ends].toSorted(([a], [b]) => a - b).map(([, content]) => content)
        assert.deepStrictEqual(inOrder, [...part.response.choice], "the answer is not what its contents were")
        assert.strictEqual(index, parts.length - 1, "Finish is the last part")
        answerHolds(part.response)
        const { choice, toolCalls } = part.response
        for (const { id } of toolCalls) assert.include(ids, id, "a call that never began")
        assert.isAtMost(toolCalls.length, ids.length)
        const text = choice.map((content) => content._tag === "Text" ? content.text : "").join("")
        assert.isAtMost(text.length, texts.join("").length, "the answer repeats a text")
      }
    }
  })
  assert.strictEqual(parts.at(-1)?._tag === "Finish", succeeded, "Finish comes with success, and only then")
}

const outcome = <A>(exit: Exit.Exit<A, LLMError.LLMError>): LLMError.LLMError | undefined => {
  if (Exit.isSuccess(exit)) return undefined
  const error = Option.getOrUndefined(Exit.findErrorOption(exit))
  assert.isFalse(Exit.hasDies(exit), `a defect: ${Cause.pretty(exit.cause)}`)
  assert.isFalse(Exit.hasInterrupts(exit), "an interruption")
  assert.isDefined(error)
  errorHolds(error!)
  return error
}

/** What came of a call. */
export interface Outcome {
  readonly answer: CompletionResponse.CompletionResponse | undefined
  readonly error: LLMError.LLMError | undefined
}

export const hello = Completion.make({ prompt: "Hello" })

/** Runs a completion against a reply, and checks what holds for every outcome. */
export const whole = (client: Client, reply: Reply, completion = hello): Effect.Effect<Outcome> =>
  Effect.suspend(() => {
    client.state.reply = reply
    client.state.sent = []
    return Effect.map(Effect.exit(client.completion(completion)), (exit) => {
      const error = outcome(exit)
      if (Exit.isSuccess(exit)) answerHolds(exit.value)
      return { error, answer: Exit.isSuccess(exit) ? exit.value : undefined }
    })
  })

/** The same for a stream. */
export const streamed = (client: Client, reply: Reply, completion = hello): Effect.Effect<Outcome> =>
  Effect.suspend(() => {
    client.state.reply = reply
    client.state.sent = []
    const parts: Array<CompletionPart.CompletionPart> = []
    const run = Stream.runForEach(client.stream(completion), (part) => Effect.sync(() => parts.push(part)))
    return Effect.map(Effect.exit(run), (exit) => {
      const error = outcome(exit)
      partsHold(parts, Exit.isSuccess(exit))
      const last = parts.at(-1)
      return { error, answer: last?._tag === "Finish" ? last.response : undefined }
    })
  })

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Completion from "../src/Completion.ts"
import type { CompletionPart } from "../src/CompletionPart.ts"
import type { LLMError } from "../src/LLMError.ts"
import * as Simulator from "../src/testing/Simulator.ts"
import * as Tool from "../src/Tool.ts"
import { sample } from "./effort.ts"
import { hear, type Heard, passing, retried, type Service, services, simulated } from "./testing/simulated.ts"

type Json = { readonly [key: string]: Json } | ReadonlyArray<Json> | string | number | boolean | null | undefined

const at = (value: Json, ...path: ReadonlyArray<string | number>): Json =>
  path.reduce<Json>((inner, key) => (inner as { readonly [key: string]: Json } | null | undefined)?.[key], value)
const list = (value: Json): ReadonlyArray<Json> => Array.isArray(value) ? value : []
const one = (kind: string, value: Json): ReadonlyArray<string> =>
  typeof value === "string" && value !== "" ? [`${kind} ${value}`] : []

/** What an event says, read apart from the library: the parts it brings, and whether the answer is whole with it. */
interface Said {
  readonly parts: ReadonlyArray<string>
  readonly finished: boolean
}

const chatSays = (event: Json): Said => {
  const choice = at(event, "choices", 0)
  return {
    parts: [
      ...one("text", at(choice, "delta", "content")),
      ...list(at(choice, "delta", "tool_calls")).flatMap((call) => [
        ...one("start", at(call, "function", "name")),
        ...one("arguments", at(call, "function", "arguments"))
      ])
    ],
    finished: typeof at(choice, "finish_reason") === "string"
  }
}

const says: Record<Service, (event: Json) => Said> = {
  anthropic: (event) => ({
    parts: [
      ...one("text", at(event, "delta", "text")),
      ...one("start", at(event, "content_block", "name")),
      ...one("arguments", at(event, "delta", "partial_json"))
    ],
    finished: at(event, "type") === "message_delta"
  }),
  openai: chatSays,
  openrouter: chatSays,
  responses: (event) => {
    const type = at(event, "type")
    return {
      parts: [
        ...type === "response.output_text.delta" ? one("text", at(event, "delta")) : [],
        ...type === "response.output_item.added" ? one("start", at(event, "item", "name")) : [],
        ...type === "response.function_call_arguments.delta" ? one("arguments", at(event, "delta")) : []
      ],
      finished: type === "response.completed"
    }
  },
  gemini: (event) => ({
    parts: list(at(event, "candidates", 0, "content", "parts")).flatMap((part) => [
      ...one("text", at(part, "text")),
      ...one("start", at(part, "functionCall", "name")),
      ...one("arguments", JSON.stringify(at(part, "functionCall", "args")))
    ]),
    finished: typeof at(event, "candidates", 0, "finishReason") === "string"
  })
}

const dataOf = (event: string): Json => {
  const data = /^data: (.*?)\r?$/m.exec(event)?.[1] ?? ""
  return data.startsWith("{") ? JSON.parse(data) as Json : undefined
}

const named = (part: CompletionPart): ReadonlyArray<string> => {
  switch (part._tag) {
    case "TextDelta":
      return [`text ${part.text}`]
    case "ToolCallStart":
      return [`start ${part.name}`]
    case "ToolCallDelta":
      return [`arguments ${part.arguments}`]
    default:
      return []
  }
}

const emitted = ({ parts }: Heard): ReadonlyArray<string> => parts.flatMap(named)
const textOf = (parts: ReadonlyArray<string>): string =>
  parts.flatMap((part) => part.startsWith("text ") ? [part.slice(5)] : []).join("")

const weather = Tool.make("get_weather", {
  description: "The weather of a city",
  parameters: Schema.Struct({ city: Schema.String, days: Schema.Int })
})

const asked = {
  text: Completion.make({ prompt: "Why? 空 🌌" }),
  tools: Completion.make({ prompt: "Use get_weather", tools: [weather] })
}

/** The events of the undisturbed answer, and what each says. */
const reference = Effect.fnUntraced(function*(provider: Service, completion: Completion.Completion) {
  const { client, simulator } = yield* simulated(provider)
  const heard = yield* hear(client, completion)
  const [request] = yield* simulator.requests
  assert.isDefined(request)
  const { body: events } = Simulator.respond({
    method: "POST",
    url: new URL(request.url),
    headers: Object.fromEntries(Object.entries(request.headers)),
    body: JSON.stringify(request.body)
  }, { requireKey: false })
  const said = events.map((event) => says[provider](dataOf(event)))
  const parts = emitted(heard)
  assert.deepStrictEqual(said.flatMap((event) => event.parts), parts, "the reading of the events by this test")
  return { said, parts }
})

type Broken = Extract<Simulator.Failure, { readonly afterEvents: number }>["_tag"]

const streamErrors: Record<Service, string> = {
  anthropic: "Transient Overloaded: Overloaded",
  openai: "Transient Server: The server had an error while processing your request. Sorry about that!",
  responses: "Transient Server: An error occurred while processing your request.",
  openrouter: "Transient Server: Provider disconnected unexpectedly",
  gemini: "Transient Overloaded: The model is overloaded. Please try again later."
}

// Where a provider keeps the connection alive, one that is silent is dead sooner.
const clocks: Record<Service, string> = {
  anthropic: "bytes timeout after 1m",
  openai: "progress timeout after 5m",
  openrouter: "bytes timeout after 1m",
  responses: "progress timeout after 5m",
  gemini: "progress timeout after 10m"
}

/** What each failure is told as, before and after the first part. */
const failures: Record<Broken, (provider: Service, started: boolean) => string> = {
  StreamError: (provider) => streamErrors[provider],
  Cut: () => "Transient Truncated: the stream ended before the answer did",
  Reset: () => "Transient Network: terminated: read ECONNRESET",
  Stall: (provider) => `Transient Timeout: ${clocks[provider]}`,
  MalformedJson: () => "Transient Malformed: an event of the stream is not JSON"
}

const told = ({ _tag, description, reason }: LLMError): string => `${_tag} ${reason}: ${description}`

/** All that a stream did, as plain data. */
const outcome = (heard: Heard, requests: ReadonlyArray<unknown>) => ({
  parts: emitted(heard),
  answers: heard.parts.flatMap((part) =>
    part._tag === "Finish"
      ? [{ text: part.response.text, attempts: part.response.attempts?.map(told) ?? [] }]
      : []
  ),
  last: heard.parts.at(-1)?._tag === "Finish",
  error: heard.error && told(heard.error),
  partial: heard.error?.partial?.text,
  requests: requests.length
})

const table = services.flatMap((provider) =>
  (Object.keys(failures) as ReadonlyArray<Broken>).flatMap((failure) =>
    (["text", "tools"] as const).map((answer) => [provider, failure, answer] as const)
  )
)

describe("Retry.stream", () => {
  it.effect.each(table)(
    "%s, %s in an answer of %s: whatever event it comes after, no part is lost or sent twice",
    ([provider, failure, answer]) =>
      Effect.gen(function*() {
        const { parts, said } = yield* reference(provider, asked[answer])
        const text = textOf(parts)
        for (const afterEvents of sample(2, [...said.keys(), said.length], failure.length)) {
          const { client, simulator } = yield* retried(provider, { failures: [{ _tag: failure, afterEvents }] })
          const heard = yield* passing(hear(client, asked[answer]))
          const before = said.slice(0, afterEvents)
          const sent = before.flatMap((event) => event.parts)
          const failed = failures[failure](provider, sent.length > 0)
          const success = { parts, last: true, error: undefined, partial: undefined }
          const expected = before.some((event) => event.finished)
            ? { ...success, answers: [{ text, attempts: [] }], requests: 1 }
            : sent.length === 0
            ? { ...success, answers: [{ text, attempts: [failed] }], requests: 2 }
            : { parts: sent, last: false, answers: [], error: failed, partial: textOf(sent), requests: 1 }
          assert.deepStrictEqual(
            outcome(heard, yield* simulator.requests),
            expected,
            `after ${afterEvents} of ${said.length} events`
          )
        }
      })
  )

  it.effect.each(services)(
    "%s: goes through every failure that comes before the first part, and lists them",
    (provider) =>
      Effect.gen(function*() {
        const { client, simulator } = yield* retried(provider, {
          failures: [
            { _tag: "RateLimit", retryAfter: "7 seconds" },
            { _tag: "Empty" },
            { _tag: "Cut", afterEvents: 0 }
          ]
        })
        const heard = yield* passing(hear(client, asked.text))
        const { answers, error, requests } = outcome(heard, yield* simulator.requests)
        assert.isUndefined(error)
        assert.strictEqual(requests, 4)
        assert.lengthOf(answers, 1)
        assert.deepStrictEqual(answers[0]?.attempts.map((attempt) => attempt.split(":")[0]), [
          provider === "anthropic" || provider === "openrouter" ? "RateLimit Unknown" : "RateLimit Requests",
          "EmptyResponse NoContent",
          "Transient Truncated"
        ])
      })
  )

  it.effect("gives up when its attempts are used up, with the failures before the last", () =>
    Effect.gen(function*() {
      const { client, simulator } = yield* retried("openai", {
        failures: Array.from({ length: 5 }, () => ({ _tag: "Reset", afterEvents: 0 }) as const)
      })
      const heard = yield* passing(hear(client, asked.text))
      assert.deepStrictEqual(heard.parts, [])
      assert.strictEqual(heard.error && told(heard.error), failures.Reset("openai", false))
      assert.deepStrictEqual(
        heard.error?.attempts?.map(told),
        Array.from({ length: 3 }, () => failures.Reset("openai", false))
      )
      assert.lengthOf(yield* simulator.requests, 4)
    }))
})

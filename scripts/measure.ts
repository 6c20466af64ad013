/**
 * Measures the CPU time of one call: a completion is encoded, sent to an `HttpClient` in this process, and its answer
 * is decoded. It is compared with `JSON.stringify` of the same request body and `JSON.parse` of the same response body,
 * which no client can avoid. Prints a Markdown table with medians of several rounds.
 */
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { Anthropic, Completion, Gemini, LLMClient, Message, OpenAi, OpenRouter, Tool } from "../src/index.ts"
import { Simulator } from "../src/testing/index.ts"

const providers = { Anthropic, OpenAi, Gemini, OpenRouter }

const small = Completion.make({ prompt: "Why is the sky blue?" })

const sentence = "The quick brown fox jumps over the lazy dog, and the dog does not even look up. "

/** One turn of an agent: a question or an answer, and every fifth time a tool call with its result. */
const turn = (index: number): ReadonlyArray<Message.Message> =>
  index % 5 === 0
    ? [
      Message.assistant([
        Message.toolCall({ id: `call_${index}`, name: "tool_1", arguments: { path: "/a", depth: 2 } })
      ]),
      Message.user(Message.toolResult({ id: `call_${index}`, name: "tool_1", content: sentence.repeat(4) }))
    ]
    : [Message.assistant(sentence.repeat(2)), Message.user(sentence)]

const large = Completion.make({
  preamble: sentence.repeat(20),
  history: [Message.user("Begin."), ...Array.from({ length: 99 }, (_, index) => turn(index)).flat()],
  prompt: "Go on.",
  tools: Array.from({ length: 20 }, (_, index) =>
    Tool.make(`tool_${index}`, {
      description: sentence,
      parameters: Schema.Struct({
        path: Schema.String,
        depth: Schema.optionalKey(Schema.Int),
        kind: Schema.Literals(["file", "folder"]),
        filters: Schema.optionalKey(Schema.Array(Schema.Struct({ field: Schema.String, value: Schema.String })))
      })
    }))
})

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

const rounds = 15

/** The CPU time of one run of `work`, in microseconds. `work` gets the number of runs. */
const cpu = Effect.fnUntraced(function*(work: (times: number) => Effect.Effect<unknown>, times: number) {
  yield* work(times * 5) // until it is compiled
  const measured: Array<number> = []
  for (let round = 0; round < rounds; round++) {
    const start = process.cpuUsage()
    yield* work(times)
    const { system, user } = process.cpuUsage(start)
    measured.push((user + system) / times)
  }
  return median(measured)
})

/** The client of a provider, over an HTTP client in this process. */
const clientOf = (name: keyof typeof providers, http: HttpClient.HttpClient) =>
  Effect.map(
    Layer.build(
      Layer.provide(
        providers[name].layer({ apiKey: Redacted.make("test"), model: "some-model" }),
        Layer.succeed(HttpClient.HttpClient, http)
      )
    ),
    (context) => Context.get(context, LLMClient.LLMClient)
  )

/** The request and response bodies of a completion, with the simulated provider. */
const exchange = Effect.fnUntraced(function*(name: keyof typeof providers, completion: Completion.Completion) {
  const { client: http } = yield* Simulator.make()
  let requestBody = ""
  let responseBody = ""
  const client = yield* clientOf(
    name,
    HttpClient.transform(
      http,
      (effect, request) =>
        Effect.flatMap(effect, (response) =>
          Effect.map(response.text, (text) => {
            requestBody = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
            responseBody = text
            return response
          }))
    )
  )
  yield* client.completion(completion)
  return { requestBody, responseBody }
})

/** An HTTP client that returns the same answer immediately, at almost no cost. */
const instant = (body: string): HttpClient.HttpClient => {
  const source = new Response(undefined, { headers: { "content-type": "application/json" } })
  return HttpClient.make((request) =>
    Effect.sync(() =>
      Object.create(HttpClientResponse.fromWeb(request, source), { text: { value: Effect.succeed(body) } })
    )
  )
}

const row = Effect.fnUntraced(function*(name: keyof typeof providers, size: "small" | "large") {
  const completion = size === "small" ? small : large
  const times = size === "small" ? 1000 : 100
  const { requestBody, responseBody } = yield* exchange(name, completion)
  const parsed: unknown = JSON.parse(requestBody)
  const client = yield* clientOf(name, instant(responseBody))
  const call = yield* cpu(
    Effect.fnUntraced(function*(times) {
      for (let i = 0; i < times; i++) yield* Effect.orDie(client.completion(completion))
    }),
    times
  )
  const json = yield* cpu((times) =>
    Effect.sync(() => {
      for (let i = 0; i < times; i++) {
        JSON.stringify(parsed)
        JSON.parse(responseBody)
      }
    }), times)
  return [name, size, requestBody.length, call.toFixed(0), json.toFixed(1), (call / json).toFixed(1)]
})

const program = Effect.gen(function*() {
  console.log("| provider | request | request body, bytes | call, µs CPU | JSON alone, µs CPU | ratio |")
  console.log("| --- | --- | --- | --- | --- | --- |")
  for (const size of ["small", "large"] as const) {
    for (const name of ["Anthropic", "OpenAi", "Gemini", "OpenRouter"] as const) {
      console.log(`| ${(yield* row(name, size)).join(" | ")} |`)
    }
  }
})

await Effect.runPromise(Effect.scoped(program))

/**
 * Doubles each input four times, and prints how the CPU time grows with each doubling: by about 2 when the work is
 * linear, and about 4 when it is quadratic. `npm run bench -- growth`, or `npm run bench -- growth ids events` for
 * selected inputs.
 */
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import {
  Anthropic,
  CircuitBreaker,
  Completion,
  CompletionResponse,
  Gemini,
  LLMClient,
  Message,
  OpenAi,
  Router,
  Throttle,
  TokenUsage,
  Tool
} from "../src/index.ts"

const apiKey = Redacted.make("sk-key-that-nobody-has")
const providers = {
  anthropic: Anthropic.layer({ apiKey, model: "claude-opus-5-5" }),
  chat: OpenAi.layer({ apiKey, model: "gpt-5.4", api: "chat" }),
  responses: OpenAi.layer({ apiKey, model: "gpt-6-luna" }),
  gemini: Gemini.layer({ apiKey, model: "gemini-3.8-flash" })
} as const
type Name = keyof typeof providers
const names = Object.keys(providers) as ReadonlyArray<Name>

const event = (data: object, name?: string): string =>
  `${name === undefined ? "" : `event: ${name}\n`}data: ${JSON.stringify(data)}\n\n`
const many = <A>(count: number, make: (index: number) => A): Array<A> =>
  Array.from({ length: count }, (_, i) => make(i))

/** A stream of a text with this number of deltas. */
const texts: Record<Name, (count: number) => string> = {
  anthropic: (count) =>
    [
      event({ type: "message_start", message: { id: "m", model: "m", usage: { input_tokens: 1 } } }),
      event({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } }),
      ...many(count, () =>
        event({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "word " } })),
      event({ type: "content_block_stop", index: 0 }),
      event({ type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 1 } }),
      event({ type: "message_stop" })
    ].join(""),
  chat: (count) =>
    [
      ...many(count, () => event({ id: "c", model: "m", choices: [{ index: 0, delta: { content: "word " } }] })),
      event({ id: "c", choices: [{ index: 0, delta: {}, finish_reason: "stop" }] }),
      "data: [DONE]\n\n"
    ].join(""),
  responses: (count) =>
    [
      event({ type: "response.created", response: { id: "r", model: "m", output: [] } }),
      event({ type: "response.output_item.added", output_index: 0, item: { type: "message", role: "assistant" } }),
      ...many(count, () =>
        event({ type: "response.output_text.delta", output_index: 0, content_index: 0, delta: "word " })),
      event({
        type: "response.output_item.done",
        output_index: 0,
        item: { type: "message", role: "assistant", content: [{ type: "output_text", text: "word ".repeat(count) }] }
      }),
      event({ type: "response.completed", response: { id: "r", model: "m", status: "completed", usage: {} } })
    ].join(""),
  gemini: (count) =>
    [
      ...many(count, () => event({ candidates: [{ content: { parts: [{ text: "word " }] } }], modelVersion: "m" })),
      event({ candidates: [{ finishReason: "STOP" }], usageMetadata: { promptTokenCount: 1 } })
    ].join("")
}

/** A stream of several tool calls, or of one call whose arguments are sent in several pieces. */
const calls: Partial<Record<string, (count: number) => string>> = {
  "anthropic, tool calls": (count) =>
    [
      event({ type: "message_start", message: { id: "m", model: "m", usage: {} } }),
      ...many(count, (index) =>
        [
          event({
            type: "content_block_start",
            index,
            content_block: { type: "tool_use", id: `t${index}`, name: "f" }
          }),
          event({ type: "content_block_delta", index, delta: { type: "input_json_delta", partial_json: '{"a":1}' } }),
          event({ type: "content_block_stop", index })
        ].join("")),
      event({ type: "message_delta", delta: { stop_reason: "tool_use" }, usage: {} }),
      event({ type: "message_stop" })
    ].join(""),
  "chat, tool calls": (count) =>
    [
      ...many(count, (index) =>
        event({
          choices: [{
            delta: { tool_calls: [{ index, id: `c${index}`, function: { name: "f", arguments: '{"a":1}' } }] }
          }]
        })),
      event({ choices: [{ delta: {}, finish_reason: "tool_calls" }] }),
      "data: [DONE]\n\n"
    ].join(""),
  "chat, pieces of one call": (count) =>
    [
      event({ choices: [{ delta: { tool_calls: [{ index: 0, id: "c", function: { name: "f", arguments: "[" } }] } }] }),
      ...many(count, () =>
        event({ choices: [{ delta: { tool_calls: [{ index: 0, function: { arguments: "{}," } }] } }] })),
      event({ choices: [{ delta: { tool_calls: [{ index: 0, function: { arguments: "1]" } }] } }] }),
      event({ choices: [{ delta: {}, finish_reason: "tool_calls" }] }),
      "data: [DONE]\n\n"
    ].join(""),
  "gemini, tool calls": (count) =>
    [
      ...many(count, () =>
        event({ candidates: [{ content: { parts: [{ functionCall: { name: "f", args: { a: 1 } } }] } }] })),
      event({ candidates: [{ finishReason: "STOP" }] })
    ].join("")
}

/** Answers every request with the same body. */
const answering = (status: number, body: string) => {
  const bytes = new TextEncoder().encode(body)
  return Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request) => Effect.succeed(HttpClientResponse.fromWeb(request, new Response(bytes, { status }))))
  )
}

const hello = Completion.make({ prompt: "Hello" })
const small: Record<Name, string> = {
  anthropic: texts.anthropic(1),
  chat: texts.chat(1),
  responses: texts.responses(1),
  gemini: texts.gemini(1)
}

type Run = (count: number) => Effect.Effect<unknown>

const streamed = (name: Name, body: string): Effect.Effect<unknown> =>
  Effect.exit(Stream.runDrain(LLMClient.stream(hello))).pipe(
    Effect.provide(Layer.provide(providers[name], answering(200, body)))
  )

const asked = (name: Name, completion: Completion.Completion): Effect.Effect<unknown> =>
  Effect.exit(LLMClient.completion(completion)).pipe(
    Effect.provide(Layer.provide(providers[name], answering(200, small[name])))
  )

const nameOf = (title: string): Name => names.find((name) => title.startsWith(name))!

const turns = (count: number, id: (index: number) => string): ReadonlyArray<Message.Message> =>
  many(count, (index) => [
    Message.assistant([Message.toolCall({ id: id(index), name: "f", arguments: { a: index } })], { provider: "other" }),
    Message.user(Message.toolResult({ id: id(index), name: "f", content: "1" }))
  ]).flat()

const client: LLMClient.Service = {
  provider: "test",
  completion: (completion) =>
    Effect.succeed(CompletionResponse.make({
      choice: [Message.text("Hi")],
      finishReason: { _tag: "Stop" },
      usage: TokenUsage.make({ inputTokens: 1, outputTokens: 1 }),
      provider: "test",
      model: completion.model
    })),
  stream: () => Stream.empty
}
const base = Layer.succeed(LLMClient.LLMClient, client)

/** Calls with different names. */
const named = <E>(count: number, layer: Layer.Layer<LLMClient.LLMClient, E>) =>
  Effect.forEach(
    many(count, (index) => Completion.make({ model: `model-${index}`, prompt: "Hello" })),
    (completion) => Effect.exit(LLMClient.completion(completion)),
    { discard: true }
  ).pipe(Effect.provide(layer), Effect.exit)

const subjects: Record<string, readonly [first: number, run: Run]> = {
  ...Object.fromEntries(
    names.map((name) => [`${name}, events`, [4000, (count: number) => streamed(name, texts[name](count))] as const])
  ),
  ...Object.fromEntries(
    Object.entries(calls).map((
      [title, body]
    ) => [title, [2000, (count: number) => streamed(nameOf(title), body!(count))] as const])
  ),
  ...Object.fromEntries(
    names.map((name) =>
      [
        `${name}, history`,
        [1000, (count: number) =>
          asked(
            name,
            Completion.make({ history: turns(count, (index) => `id-${index}`), prompt: "Go on" })
          )]
      ] as const
    )
  ),
  ...Object.fromEntries(
    names.map((name) =>
      [
        `${name}, turns of one id`,
        [1000, (count: number) =>
          asked(name, Completion.make({ history: turns(count, () => "call_0"), prompt: "Go on" }))]
      ] as const
    )
  ),
  ...Object.fromEntries(
    names.map((name) =>
      [
        `${name}, calls of one id`,
        [
          1000,
          (count: number) =>
            asked(
              name,
              Completion.make({
                history: [
                  Message.assistant(many(count, () => Message.toolCall({ id: "call_0", name: "f", arguments: {} }))),
                  Message.user(many(count, () => Message.toolResult({ id: "call_0", name: "f", content: "1" })))
                ],
                prompt: "Go on"
              })
            )
        ]
      ] as const
    )
  ),
  ...Object.fromEntries(
    names.map((name) =>
      [
        `${name}, tools`,
        [
          500,
          (count: number) =>
            asked(
              name,
              Completion.tools(
                many(count, (index) =>
                  Tool.make(`tool_${index}`, {
                    description: "",
                    parameters: { type: "object", properties: { a: { type: "string" } } }
                  }))
              )(hello)
            )
        ]
      ] as const
    )
  ),
  ...Object.fromEntries(
    names.map((name) =>
      [
        `${name}, text of an error`,
        [
          4000,
          (count: number) =>
            Effect.exit(LLMClient.completion(hello)).pipe(
              Effect.provide(Layer.provide(
                providers[name],
                answering(400, JSON.stringify({ error: { message: "request too large limit 1 ".repeat(count) } }))
              ))
            )
        ]
      ] as const
    )
  ),
  "partial of backslashes": [
    200_000,
    (count) => {
      const delta = event({ choices: [{ delta: { content: "\\".repeat(count) } }] })
      return streamed("chat", delta)
    }
  ],
  "throttle, keys": [1000, (count) => named(count, Layer.provide(Throttle.layer({ requestsPerMinute: 10 }), base))],
  "breaker, keys": [1000, (count) => named(count, Layer.provide(CircuitBreaker.layer(), base))],
  "router, routes": [
    50,
    (count) => named(200, Router.layer(Object.fromEntries(many(count, (index) => [`route-${index}-*`, base]))))
  ],
  "router, name": [
    100_000,
    (count) =>
      Effect.exit(LLMClient.completion(Completion.make({ model: `a${"b".repeat(count)}`, prompt: "Hello" }))).pipe(
        Effect.provide(Router.layer({ "a*b*c": base, "d*": base }))
      )
  ]
}

const cpu = async (effect: Effect.Effect<unknown>): Promise<number> => {
  const before = process.cpuUsage()
  await Effect.runPromise(effect)
  const { system, user } = process.cpuUsage(before)
  return (user + system) / 1000
}

/** The minimum of three runs, because other load on the machine only adds time. */
const least = async (effect: () => Effect.Effect<unknown>): Promise<number> =>
  Math.min(await cpu(effect()), await cpu(effect()), await cpu(effect()))

const chosen = process.argv.slice(2).filter((word) => word !== "growth" && !word.startsWith("-"))
const doublings = 4
console.log(
  "| input | first size | first, ms | last, ms | factor of each doubling |\n| --- | ---: | ---: | ---: | --- |"
)
for (const [title, [first, run]] of Object.entries(subjects)) {
  if (chosen.length > 0 && !chosen.some((word) => title.includes(word))) continue
  await cpu(run(first))
  const times: Array<number> = []
  for (let doubling = 0; doubling <= doublings; doubling++) times.push(await least(() => run(first * 2 ** doubling)))
  const factors = times.slice(1).map((time, index) => (time / times[index]!).toFixed(2))
  console.log(`| ${title} | ${first} | ${times[0]!.toFixed(0)} | ${times.at(-1)!.toFixed(0)} | ${factors.join(", ")} |`)
}

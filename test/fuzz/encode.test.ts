import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import { Completion, Message, Tool } from "../../src/index.ts"
import { type Client, client, keys, type Outcome, providers, type Reply, streamed, whole } from "./laws.ts"
import type { Random } from "./random.ts"
import { cases, timeout } from "./runs.ts"

const utf8 = new TextEncoder()

const reply = (body: string): Reply => ({ status: 200, headers: {}, chunks: [utf8.encode(body)], breaks: false })

const answer = reply(JSON.stringify({
  content: [{ type: "text", text: "Hello" }],
  stop_reason: "end_turn",
  choices: [{ message: { content: "Hello" }, finish_reason: "stop" }],
  candidates: [{ content: { parts: [{ text: "Hello" }] }, finishReason: "STOP" }],
  status: "completed",
  output: [{ type: "message", role: "assistant", content: [{ type: "output_text", text: "Hello" }] }]
}))

/** What is sent is JSON; what is not sent is refused, and says why. */
const sentOrRefused = (client: Client, { answer, error }: Outcome): void => {
  if (client.state.sent.length > 0) {
    assert.lengthOf(client.state.sent, 1)
    assert.isObject(JSON.parse(client.state.sent[0]!))
    assert.strictEqual(answer?.text, "Hello", String(error))
    return
  }
  assert.strictEqual(error?._tag, "ClientError")
  assert.include(["InvalidRequest", "Unsupported"], error!.reason)
  assert.isAbove(error!.description.length, 10)
}

const holds = (client: Client, completion: Completion.Completion) =>
  Effect.gen(function*() {
    sentOrRefused(client, yield* whole(client, answer, completion))
    sentOrRefused(client, yield* streamed(client, answer, completion))
  })

const cyclic: Record<string, unknown> = {}
cyclic["self"] = cyclic

const deep = (levels: number): unknown => {
  let value: unknown = 1
  for (let level = 0; level < levels; level++) value = level % 2 === 0 ? [value] : { a: value }
  return value
}

/** What the types do not let through, or do and should not. */
const values: ReadonlyArray<unknown> = [
  undefined,
  null,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  -0,
  1n,
  "",
  " ",
  "\ud800",
  "\udc00\ud800",
  "\u0000",
  "__proto__",
  "../..",
  "x".repeat(100_000),
  keys[0],
  cyclic,
  deep(300),
  deep(100_000),
  JSON.parse('{"__proto__":{"type":"object"},"constructor":1,"toString":2}'),
  { type: "object", properties: { a: { $ref: "#" } } },
  { $ref: "#/$defs/a", $defs: { a: { $ref: "#/$defs/a" } } },
  { toJSON: () => "\ud800" },
  { toJSON: () => undefined },
  {
    toJSON: () => {
      throw new Error(keys[0])
    }
  },
  Symbol("a"),
  () => 1,
  new Map([["a", 1]]),
  new Date(Number.NaN),
  new Uint8Array(3)
]

const odd = (random: Random): never => random.pick(values) as never

const text = (random: Random): string =>
  random.pick(["", " ", "a", "\ud800", "\u0000\u2028", "get weather", "天気", "__proto__", "x".repeat(200)])

const name = (random: Random): string => random.chance(0.5) ? random.pick(["a", "b", "a.b:c"]) : text(random)

const json = (random: Random): Schema.JsonObject =>
  random.chance(0.5) ? odd(random) : { a: odd(random), b: [odd(random)] }

const source = (random: Random): Message.Source =>
  random.pick([
    Message.url(text(random)),
    Message.url("https://a.test", text(random)),
    Message.base64(text(random), random.pick(["image/png", "application/pdf", "text/plain", "", "a"])),
    Message.fileId(text(random))
  ])

const user = (random: Random): Message.UserContent =>
  random.pick([
    () => Message.text(text(random)),
    () => Message.image(source(random)),
    () => Message.audio(source(random)),
    () => Message.video(source(random)),
    () => Message.document(source(random)),
    () =>
      Message.user(Message.toolResult({
        id: text(random),
        name: text(random),
        content: [text(random), Message.json(odd(random)), Message.image(source(random))].slice(random.below(3))
      })).content[0]
  ])()

const assistant = (random: Random): Message.AssistantContent =>
  random.pick<() => Message.AssistantContent>([
    () => Message.text(text(random)),
    () => Message.toolCall({ id: name(random), name: name(random), arguments: json(random) }),
    () => Message.image(source(random)),
    () => ({ _tag: "Reasoning", content: [{ _tag: "Text", text: text(random), signature: text(random) }] }),
    () => ({ _tag: "Reasoning", content: [{ _tag: "Redacted", data: text(random) }], field: text(random) }),
    () => ({ _tag: "ProviderBlock", provider: random.pick(providers), block: json(random) })
  ])()

const list = <A>(random: Random, one: (random: Random) => A): Array<A> =>
  Array.from({ length: random.below(4) }, () => one(random))

const message = (random: Random): Message.Message =>
  random.pick<() => Message.Message>([
    () => Message.system(text(random)),
    () => Message.user(list(random, user)),
    () => Message.assistant(list(random, assistant), { provider: random.pick([...providers, ""]), id: text(random) })
  ])()

/** A completion of which a few things are not as they should be. */
const hostile = (random: Random): Completion.Completion => {
  const set: ReadonlyArray<(self: Completion.Completion) => Completion.Completion> = [
    Completion.model(text(random)),
    Completion.preamble(text(random)),
    Completion.history(list(random, message)),
    Completion.prompt(message(random)),
    Completion.tools(list(random, (random) => Tool.make(name(random), { description: "", parameters: json(random) }))),
    Completion.toolChoice(Tool.specific(name(random), name(random))),
    Completion.toolChoice(Tool.required),
    Completion.maxTokens(random.pick([0, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 10])),
    Completion.temperature(random.pick([-1, Number.NaN, Number.POSITIVE_INFINITY, 0.5])),
    Completion.stopSequences(list(random, text)),
    Completion.outputSchema(json(random)),
    Completion.additionalParams(json(random)),
    Completion.additionalParams({ stream: odd(random) }),
    Completion.providerParams({ [random.pick(providers)]: json(random) }),
    Completion.headers({ [text(random)]: text(random), "x-a": keys[1] })
  ]
  return Array.from({ length: 1 + random.below(5) }).reduce<Completion.Completion>(
    (self) => random.pick(set)(self),
    Completion.make({ prompt: "Hello" })
  )
}

const completions = Arbitrary.schema(Completion.Completion)

describe.each(providers)("whatever %s is asked", (provider) => {
  const llm = client(provider)

  it.live(
    "as a completion, it is sent as JSON or refused",
    () =>
      cases(10, (_, seed) =>
        Effect.gen(function*() {
          const sampled = yield* Effect.orDie(Arbitrary.sampleEffect(completions, { count: 2, seed }))
          for (const completion of sampled) yield* holds(llm, completion)
        })),
    timeout
  )

  it.live(
    "as what should be none, it is sent as JSON or refused",
    () => cases(50, (random) => holds(llm, hostile(random))),
    timeout
  )
})

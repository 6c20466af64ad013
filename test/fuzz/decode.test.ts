import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as calls from "./calls.ts"
import { client, keys, providers, type Reply, streamed, whole } from "./laws.ts"
import type { Random } from "./random.ts"
import { cases, timeout } from "./runs.ts"
import { template } from "./templates.ts"
import { source, wires } from "./wires.ts"

const utf8 = new TextEncoder()

const headers = (random: Random): Record<string, string> => {
  const names = [
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "x-request-id",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
    "anthropic-ratelimit-requests-reset",
    "content-type",
    "location"
  ]
  const values = ["0", "-1", "1e999", "NaN", "false", "1s", "Wed, 21 Oct 2099 07:28:00 GMT", keys[0], "x".repeat(9000)]
  return Object.fromEntries(
    Array.from({ length: random.below(4) }, () => [random.pick(names), random.pick(values)] as const)
  )
}

const reply = (random: Random, body: Uint8Array | string, status = 200): Reply => ({
  status: random.chance(0.8)
    ? status
    : random.pick([200, 201, 204, 304, 307, 400, 401, 402, 403, 404, 413, 429, 500, 529]),
  headers: headers(random),
  chunks: random.chunks(typeof body === "string" ? utf8.encode(body) : body),
  breaks: random.chance(0.1)
})

// The words of all the wires.
const vocabulary = (bodies: ReadonlyArray<string>) => {
  const text = bodies.slice(0, 200).join("\n")
  const keys = new Set([...text.matchAll(/"([\w.]{1,40})"\s*:/g)].map(([, key]) => key!))
  const words = new Set([...text.matchAll(/:\s*"([\w.-]{1,20})"/g)].map(([, word]) => word!))
  return { keys: [...keys, "__proto__", "error", "code", "message"], words: [...words, "", "error"] }
}

describe.each(providers)("whatever %s sends", (provider) => {
  const all = wires(provider)
  const { keys: names, words } = vocabulary(all.map(({ body }) => body))
  const llm = client(provider)
  const both = (reply: Reply) => Effect.asVoid(Effect.andThen(whole(llm, reply), streamed(llm, reply)))

  const event = (random: Random): string =>
    `${random.chance(0.2) ? `event: ${random.pick(words)}\n` : ""}data: ${random.json(names, words)}\n\n`

  it.live("as bytes, it is an answer or one of the four errors", () =>
    cases(25, (random) => {
      const text = Array.from({ length: random.below(30) }, () => random.pick(random.tokens)).join("")
      return both(reply(random, random.chance(0.5) ? random.bytes(random.below(300)) : text))
    }), timeout)

  it.live("as JSON, it is an answer or one of the four errors", () =>
    cases(24, (random) =>
      both(reply(
        random,
        random.chance(0.5)
          ? random.json(names, words)
          : Array.from({ length: random.below(6) }, () => event(random)).join("")
      ))), timeout)

  it.live(
    "as an answer of which any field is anything, it is an answer or one of the four errors",
    () => cases(50, (random) => both(reply(random, template(random, provider)))),
    timeout
  )

  it.live(`as ${source}, changed, it is an answer or one of the four errors`, () =>
    cases(28, (random) => {
      const wire = random.pick(all)
      let { body } = wire
      for (let times = 1 + random.below(4); times > 0; times--) {
        body = random.chance(0.4)
          ? random.mutateText(body, keys)
          : wire.stream && random.chance(0.7)
          ? random.mutateEvents(body)
          : random.mutateJson(body)
      }
      return both(reply(random, body, wire.status))
    }), timeout)

  it.live(
    `as ${source}, cut anywhere, it holds no call that it did not hold when it was whole`,
    () =>
      cases(28, (random) =>
        Effect.gen(function*() {
          const wire = random.pick(all.filter(({ status, stream }) => stream && status === 200))
          const bytes = utf8.encode(wire.body)
          const replyOf = (part: Uint8Array, breaks: boolean): Reply => ({
            status: 200,
            headers: {},
            chunks: random.chunks(part),
            breaks
          })
          const full = yield* streamed(llm, replyOf(bytes, false))
          const cut = yield* streamed(llm, replyOf(bytes.subarray(0, random.below(bytes.length)), random.chance(0.5)))
          const calls = (full.answer ?? full.error?.partial)?.toolCalls ?? []
          for (const call of (cut.answer ?? cut.error?.partial)?.toolCalls ?? []) {
            assert.deepInclude(calls.map(({ arguments: args, name }) => ({ args, name })), {
              args: call.arguments,
              name: call.name
            })
          }
        })),
    timeout
  )
})

const isJson = (text: string): boolean => Result.isSuccess(Result.try(() => JSON.parse(text.trim()) as unknown))

describe.each(["anthropic", "openai", "responses", "openrouter"] as const)("a call of %s", (provider) => {
  const llm = client(provider)

  // What is handed over of a body: every call as it was asked for.
  const handedOver = (random: Random, given: ReadonlyArray<calls.Call>, ending: calls.Ending) =>
    Effect.gen(function*() {
      const body = calls.written[provider](random, given, ending)
      const run = random.pick(body.startsWith("{") ? [streamed, whole] : [streamed])
      const reply = { status: 200, headers: {}, chunks: random.chunks(utf8.encode(body)), breaks: false }
      const { answer, error } = yield* run(llm, reply)
      return { answer, calls: (answer ?? error?.partial)?.toolCalls ?? [] }
    })

  const asWritten = ({ id, name, text }: calls.Call) => ({ _tag: "ToolCall", id, name, arguments: JSON.parse(text) })

  it.live(
    "whose arguments are broken is never handed over, and the others are as they were",
    () =>
      cases(40, (random) =>
        Effect.gen(function*() {
          const given = calls.some(random)
          const at = random.below(given.length)
          const text = random.mutateText(given[at]!.text, [])
          const { answer, calls: got } = yield* handedOver(random, given.with(at, { ...given[at]!, text }), "whole")
          if (!isJson(text) && text.trim() !== "") {
            assert.isUndefined(answer)
            assert.notInclude(got.map(({ id }) => id), given[at]!.id, text)
          }
          assert.deepStrictEqual(
            got.filter(({ id }) => id !== given[at]!.id).map((call) => ({ ...call })),
            given.toSpliced(at, 1).map(asWritten)
          )
        })),
    timeout
  )

  it.live(
    "that the limit of tokens cut is never handed over, and the others are as they were",
    () =>
      cases(40, (random) =>
        Effect.gen(function*() {
          const given = calls.some(random)
          const last = given.at(-1)!
          const text = last.text.slice(0, random.chance(0.2) ? 0 : random.below(last.text.length))
          const { calls: got } = yield* handedOver(random, [...given.slice(0, -1), { ...last, text }], "cut")
          assert.deepStrictEqual(got.map((call) => ({ ...call })), given.slice(0, -1).map(asWritten))
        })),
    timeout
  )
})

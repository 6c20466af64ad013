/**
 * Reads one body that is as hostile as the default limits allow, in a process of its own: `node memory.ts keys`. Says
 * what became of it, and how much memory the process had at most.
 */
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { Completion, LLMClient, OpenAi } from "../../src/index.ts"

const MiB = 1 << 20
const answer = '{"choices":[{"finish_reason":"stop","message":{"content":"'

function* repeated(first: string, piece: string, size: number, last: string) {
  yield first
  for (let sent = first.length + last.length; sent + piece.length <= size; sent += piece.length) yield piece
  yield last
}

const filler = "x".repeat(65_536)

const objects = (count: number) => repeated(`${answer}x"}}`, ",{}".repeat(1000), count * 3, "]}")

function* keys() {
  yield `${answer}x"}}]`
  for (let thousand = 0; thousand < 990; thousand++) {
    yield Array.from({ length: 1000 }, (_, index) => `,"k${thousand * 1000 + index}":0`).join("")
  }
  yield "}"
}

const delta = `data: {"choices":[{"delta":{"content":"${"x".repeat(100)}"}}]}\n\n`
const finish = 'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'

const bodies: Readonly<Record<string, () => Iterable<string>>> = {
  nothing: () => [`${answer}x"}}]}`],
  text: () => repeated(answer, filler, 64 * MiB, '"}}]}'),
  objects: () => objects(490_000),
  "more objects": () => objects(10_000_000),
  keys,
  deltas: () => repeated("", delta.repeat(400), 64 * MiB - 1000, finish),
  event: () => repeated('data: {"choices":[{"delta":{"content":"', filler, 32 * MiB, '"},"finish_reason":"stop"}]}\n\n')
}

const what = process.argv[2] ?? "nothing"
const pieces = bodies[what]!()[Symbol.iterator]()
const utf8 = new TextEncoder()
const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
  pull: (controller) => {
    const next = pieces.next()
    if (next.done === true) controller.close()
    else controller.enqueue(utf8.encode(next.value))
  }
})
const http = HttpClient.make((request) => Effect.succeed(HttpClientResponse.fromWeb(request, new Response(body))))
const whole = what === "deltas" || what === "event" ? "stream" : "unary"
const layer = OpenAi.layer({ apiKey: Redacted.make("key"), api: "chat", model: "m", whole })
const result = await Effect.result(LLMClient.completion(Completion.make({ prompt: "Hi" }))).pipe(
  Effect.provide(Layer.provide(layer, Layer.succeed(HttpClient.HttpClient, http))),
  Effect.runPromise
)
const outcome = Result.isSuccess(result) ? `answered ${result.success.text.length}` : result.failure.description
process.stdout.write(`${outcome}\n${Math.round(process.resourceUsage().maxRSS / 1024)} MiB\n`)

/**
 * Shows how a failing provider affects a caller, as a table: the rows of `docs/failover.md`, with simulated providers
 * on local ports, in real time. It takes about two minutes.
 *
 *     npm run failover
 *     npm run failover -- ./my-stack.ts
 *
 * Your own stack is the default export of a module: a function from the base URLs of both members, and the deadline of
 * row 9, to a layer of `LLMClient` that requires only an `HttpClient`. Each base URL belongs to a server that speaks
 * all protocols. Without a module, `stack` below is used.
 */
import { NodeHttpClient, NodeHttpServer } from "@effect/platform-node"
import {
  Cause,
  Console,
  Context,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Option,
  Redacted,
  References,
  Stream
} from "effect"
import { createServer, request as send, type Server } from "node:http"
import { resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { Anthropic, CircuitBreaker, Completion, Fallback, LLMClient, LLMError, OpenAi, Retry } from "../src/index.ts"
import { Simulator } from "../src/testing/index.ts"

type BaseUrls = Simulator.Server["Service"]["baseUrls"]

interface Members {
  readonly first: BaseUrls
  readonly second: BaseUrls
  readonly deadline: Duration.Input | undefined
}

type Stack = (members: Members) => Layer.Layer<LLMClient.LLMClient, unknown, Layer.Success<typeof http>>

const http = NodeHttpClient.layerUndici

const careful = LLMClient.compose(Retry.layer(), CircuitBreaker.layer())
const apiKey = Redacted.make("simulated")

const stack: Stack = ({ deadline, first, second }) =>
  Fallback.layer([
    LLMClient.compose(
      careful,
      Anthropic.layer({ apiKey, baseUrl: first.anthropic, name: "anthropic", model: "claude-opus-5-5" })
    ),
    LLMClient.compose(
      careful,
      OpenAi.layer({ apiKey, baseUrl: second.openai, name: "openai", model: "gpt-6-luna" })
    )
  ], { deadline })

// ---------------------------------------------------------------------------------------------------------------------
// The rows
// ---------------------------------------------------------------------------------------------------------------------

type Way = "completion" | "stream"

interface Row {
  /** The row in the guide that this one belongs to; the next one unless given. */
  readonly number?: number
  readonly title: string
  readonly must: string
  /** The failures of the first member. */
  readonly failures?: ReadonlyArray<Simulator.Failure | Simulator.FaultName>
  /** How long the first member is silent before each answer. */
  readonly silence?: number
  /** How long it fails, from the first call on. */
  readonly downFor?: number
  /** Whether the second member fails in the same way. */
  readonly both?: boolean
  readonly deadline?: Duration.Input
  /** How the calls are made, and which of them are shown; one call unless given. */
  readonly calls?: "every four seconds" | "until the circuit is open"
}

const hint: Simulator.Failure = { _tag: "RateLimit", retryAfter: "45 seconds" }

const rows: ReadonlyArray<Row> = [
  { title: "429 always, no hint", must: "≤ 15 s, ≤ 4 calls", failures: ["RateLimit"] },
  { title: "accepts and never answers", must: "1 call, ≤ 15 s", failures: ["NoAnswer"] },
  { title: "first token after 20 s", must: "≤ 15 s", silence: 20_000 },
  { title: "cut in mid-answer", must: "whole, or partial", failures: ["Cut"] },
  { number: 4, title: "a broken event in mid-answer", must: "whole, or partial", failures: ["MalformedJson"] },
  { number: 4, title: "stalled in mid-answer", must: "whole, or partial", failures: ["Stall"] },
  { title: "503 always", must: "≤ 10 s", failures: [{ _tag: "ServerError", status: 503 }] },
  {
    title: "down for 60 s, a call every 4 s",
    must: "served, back ≤ 25 s",
    failures: [{ _tag: "ServerError", status: 503 }],
    downFor: 60_000,
    calls: "every four seconds"
  },
  {
    title: "the call that opens the circuit",
    must: "0.0 s after its failure",
    failures: [{ _tag: "ServerError", status: 529 }],
    calls: "until the circuit is open"
  },
  { title: "Retry-After: 45", must: "at once", failures: [hint] },
  {
    title: "a deadline before the next try",
    must: "the failure, at once",
    failures: [hint],
    both: true,
    deadline: "10 seconds"
  },
  { title: "content filter", must: "a choice: when", failures: ["AnswerBlocked"] },
  { title: "context too long", must: "1 call", failures: ["ContextOverflow"] },
  {
    title: "what each attempt cost",
    must: "its usage",
    failures: ["Empty", "Cut", { _tag: "ServerError", status: 500 }]
  }
]

/** The longest wait for a call. */
const longest = Duration.minutes(2)

// ---------------------------------------------------------------------------------------------------------------------
// The servers
// ---------------------------------------------------------------------------------------------------------------------

const simulator = (failures: Row["failures"] = []) =>
  Effect.map(
    Layer.build(
      Simulator.serve({ failures: Array.from({ length: 200 }, () => failures).flat() }).pipe(
        Layer.provide(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" }))
      )
    ),
    (context) => Context.get(context, Simulator.Server)
  )

/** A server in front of others, which counts its requests and forwards each to the one that `target` names. */
const front = (target: () => string, silence: number) => {
  const seen = { calls: 0, lastEnd: 0 }
  const server = createServer((incoming, outgoing) => {
    seen.calls++
    const upstream = send(
      target() + incoming.url,
      { method: incoming.method, headers: incoming.headers },
      (response) => {
        outgoing.writeHead(response.statusCode ?? 502, response.headers)
        outgoing.flushHeaders()
        const timer = setTimeout(() => response.pipe(outgoing), silence)
        outgoing.on("close", () => {
          clearTimeout(timer)
          seen.lastEnd = performance.now()
          response.destroy()
        })
        response.on("error", () => outgoing.destroy())
        response.on("aborted", () => outgoing.destroy())
      }
    )
    upstream.on("error", () => outgoing.destroy())
    outgoing.on("close", () => upstream.destroy())
    incoming.pipe(upstream)
  })
  const listening = Effect.callback<Server>((resume) => {
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
  })
  return Effect.map(
    Effect.acquireRelease(listening, () =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })),
    () => {
      const address = server.address()
      const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : address}`
      const openai = `${url}/v1`
      const baseUrls: BaseUrls = { anthropic: url, openai, responses: openai, openrouter: `${url}/api/v1`, gemini: url }
      return { seen, baseUrls }
    }
  )
}

// ---------------------------------------------------------------------------------------------------------------------
// The calls
// ---------------------------------------------------------------------------------------------------------------------

const request = Completion.make({ prompt: "Why is the sky blue in the morning, and red in the evening?" })

const call = (client: LLMClient.Service, way: Way) =>
  way === "completion"
    ? client.completion(request)
    : Stream.runFold(
      client.stream(request),
      () => undefined as unknown,
      (_, part) => part._tag === "Finish" ? part.response : undefined
    ).pipe(Effect.map((last) => last as Effect.Success<ReturnType<LLMClient.Service["completion"]>>))

const cost = (attempts: ReadonlyArray<LLMError.LLMError> = []): string => {
  const { count, usage } = LLMError.total(attempts)
  return count === 0 ? "" : `${count} attempts, ${usage.totalTokens} tokens`
}

const outcome = (client: LLMClient.Service, way: Way) =>
  Effect.map(Effect.exit(Effect.timeoutOption(call(client, way), longest)), (exit): readonly [string, string] => {
    if (Exit.isSuccess(exit)) {
      return Option.match(exit.value, {
        onNone: () => ["no end", ""],
        onSome: ({ attempts, provider }) => [provider, cost(attempts)]
      })
    }
    const error = Cause.squash(exit.cause)
    if (!LLMError.isLLMError(error)) return [String(error), ""]
    const partial = error.partial === undefined ? "" : ", partial"
    return [`${error._tag} · ${error.reason}${partial}`, cost(error.attempts)]
  })

const seconds = (millis: number): string => `${(millis / 1000).toFixed(1)} s`

interface Line {
  readonly calls: number
  readonly time: string
  readonly outcome: string
  readonly cost: string
}

const run = Effect.fnUntraced(function*(make: Stack, row: Row, way: Way) {
  const [failing, well, second] = yield* Effect.all([
    simulator(row.failures),
    simulator(),
    simulator(row.both === true ? row.failures : [])
  ])
  const began = performance.now()
  const { baseUrls, seen } = yield* front(
    () => performance.now() - began < (row.downFor ?? Infinity) ? failing.url : well.url,
    row.silence ?? 0
  )
  const layer = make({ first: baseUrls, second: second.baseUrls, deadline: row.deadline })
  const client = Context.get(yield* Layer.build(Layer.provide(layer, http)), LLMClient.LLMClient)
  const timed = Effect.gen(function*() {
    const start = performance.now()
    const [who, costs] = yield* outcome(client, way)
    return { who, costs, start, end: performance.now() }
  })

  if (row.calls === "every four seconds") {
    const first = yield* timed
    const calls = yield* Effect.forEach(
      Array.from({ length: 25 }),
      () => Effect.andThen(Effect.sleep("4 seconds"), Effect.forkChild(timed))
    )
    const results = yield* Effect.forEach(calls, Fiber.join)
    const failed = results.filter(({ who }) => who.includes("·") || who === "no end").length
    const down = began + row.downFor!
    const back = results.find(({ end, who }) => end > down && who !== first.who)
    return {
      calls: seen.calls,
      time: back === undefined ? "never back" : `back ${seconds(back.end - down)}`,
      outcome: failed === 0 ? "served throughout" : `${failed} failed`,
      cost: ""
    }
  }
  if (row.calls === "until the circuit is open") {
    let last: { readonly calls: number; readonly after: number } = { calls: 0, after: 0 }
    for (let turn = 0; turn < 12; turn++) {
      const before = seen.calls
      const { end, who } = yield* timed
      if (seen.calls === before) return { calls: last.calls, time: seconds(last.after), outcome: who, cost: "" }
      last = { calls: seen.calls - before, after: end - seen.lastEnd }
    }
    return { calls: seen.calls, time: "", outcome: "never open", cost: "" }
  }
  const { costs, end, start, who } = yield* timed
  return { calls: seen.calls, time: seconds(end - start), outcome: who, cost: costs }
}, Effect.scoped)

const print = (cells: ReadonlyArray<string>) =>
  Console.log(
    [4, 34, 12, 26, 7, 14, 34, 0].map((width, index) => (cells[index] ?? "").padEnd(width)).join("").trimEnd()
  )

const program = Effect.gen(function*() {
  const [path] = process.argv.slice(2)
  const make: Stack = path === undefined
    ? stack
    : yield* Effect.promise(async () => (await import(pathToFileURL(resolve(path)).href)).default)
  yield* print(["#", "the first member", "", "must be", "calls", "time", "the caller sees", "what went before"])
  // Loads everything that the first call needs, so that it is not part of a row.
  yield* run(make, { title: "", must: "" }, "completion")
  const lines = yield* Effect.forEach(
    rows.flatMap((row, index) => (["completion", "stream"] as const).map((way) => ({ row, index, way }))),
    ({ index, row, way }) =>
      Effect.map(run(make, row, way), (line: Line) => [
        String(row.number ?? index + 1 - rows.slice(0, index).filter(({ number }) => number !== undefined).length),
        row.title,
        way,
        row.must,
        String(line.calls),
        line.time,
        line.outcome,
        line.cost
      ]),
    { concurrency: "unbounded" }
  )
  yield* Effect.forEach(lines, print)
})

await Effect.runPromise(Effect.provideService(program, References.MinimumLogLevel, "None"))

/**
 * A server for the soak on a local port. It answers like the simulated providers, but a share of the requests fails: as
 * in real outages, or with responses that would hang or kill a careless client. It counts its requests by call.
 */
import { Effect } from "effect"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { gzipSync } from "node:zlib"
import { Simulator } from "../../src/testing/index.ts"

export interface Options {
  /** The share of requests with a fault. */
  readonly rate: number
  /** How much faster than real time the clock runs. */
  readonly speed: number
  /** A random number from 0 to 1. */
  readonly random: () => number
  /** The call that a request belongs to; undefined if nobody will see its result. */
  readonly callOf: (body: string) => string | undefined
}

type Request = Simulator.SimulatedRequest

/** The response to a request, in the provider's words. */
type Fault = (request: Request) => Partial<Simulator.SimulatedResponse> & { readonly pings?: true }

const failing = (failure: Simulator.Failure | Simulator.FaultName): Fault => (request) =>
  Simulator.respond(request, { failure })

/** A whole answer with a replaced text. */
const changed = (pattern: RegExp, text: string): Fault => (request) => {
  const answer = Simulator.respond(request)
  return { ...answer, body: answer.body.map((event) => event.replaceAll(pattern, text)) }
}

const refusing = (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Fault => () => ({
  status,
  headers: { "content-type": "application/json", ...headers },
  body: [JSON.stringify(body)]
})

const providerOf = ({ url: { pathname } }: Request): Simulator.Provider =>
  pathname.endsWith("/messages")
    ? "anthropic"
    : pathname.endsWith("/responses")
    ? "responses"
    : pathname.startsWith("/api/")
    ? "openrouter"
    : pathname.endsWith("/chat/completions")
    ? "openai"
    : "gemini"

/** Any fault that the provider can have. */
const any = (random: () => number): Fault => (request) => {
  const names = Simulator.faultsOf(providerOf(request))
  return Simulator.respond(request, { failure: names[Math.floor(random() * names.length)] })
}

const outages: ReadonlyArray<Fault> = [
  failing("RateLimit"),
  failing({ _tag: "RateLimit", retryAfter: "45 seconds" }),
  failing("Unavailable"),
  failing("NoAnswer"),
  failing("Cut"),
  failing("Reset"),
  failing("Stall"),
  failing("MalformedJson"),
  failing("ContextOverflow"),
  refusing(503, { error: { type: "server_error", code: null, message: "sorry" } }),
  // The first token comes late.
  (request) => ({ ...Simulator.respond(request), delay: 20_000 }),
  // Only keep-alive comments arrive.
  () => ({ status: 200, headers: { "content-type": "text/event-stream" }, body: [], pings: true })
]

// More values than a client may read, in a few compressed kilobytes.
const flood = `{"choices":[${"{},".repeat(1_100_000)}{}]}`
const floodZipped = gzipSync(flood)

const spaces = " ".repeat(200_000)

const hostile: ReadonlyArray<Fault> = [
  () => ({ status: 200, headers: { "content-type": "application/json", "content-encoding": "gzip" }, body: [] }),
  changed(/"((?:\w*_tokens|\w*TokenCount))": ?\d+/g, '"$1":1000000000'),
  changed(/"((?:\w*_tokens|\w*TokenCount))": ?\d+/g, '"$1":-5'),
  changed(/"index": ?0/g, '"index":"0"'),
  changed(/"index": ?0/g, '"index":null'),
  refusing(400, { error: { message: `maximum context length is ${spaces}1${spaces}` } }),
  refusing(429, {
    error: {
      code: 429,
      status: "RESOURCE_EXHAUSTED",
      message: `please retry in ${"9".repeat(200_000)}s`,
      details: [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: `${"1h".repeat(200_000)}s` }]
    }
  }),
  refusing(500, "[".repeat(5_000)),
  refusing(200, [])
]

/** A running server, with its requests and the number of faults. */
export const listen = ({ callOf, random, rate, speed }: Options) =>
  Effect.acquireRelease(
    Effect.callback<{
      readonly url: string
      readonly seen: ReadonlyMap<string, number>
      readonly faults: () => number
      readonly close: () => void
    }>((resume) => {
      const seen = new Map<string, number>()
      let faults = 0

      const choose = (): Fault => {
        if (random() >= rate) return (request) => Simulator.respond(request)
        faults++
        // Hostile responses are rarer than outages, and take longer to read.
        const kind = random()
        if (kind < 0.5) return any(random)
        const among = kind < 0.95 ? outages : hostile
        return among[Math.floor(random() * among.length)]!
      }

      const answer = (incoming: IncomingMessage, outgoing: ServerResponse, text: string): void => {
        const call = callOf(text)
        if (call !== undefined) seen.set(call, (seen.get(call) ?? 0) + 1)
        const { body = [], delay = 0, ending = "End", headers = {}, pings, status = 200, unanswered } = choose()({
          method: incoming.method ?? "POST",
          url: new URL(incoming.url ?? "/", "http://127.0.0.1"),
          headers: incoming.headers as Request["headers"],
          body: text
        })
        const say = (): void => {
          if (outgoing.destroyed) return
          if (unanswered === true) {
            if (ending !== "Stall") outgoing.destroy()
            return
          }
          outgoing.writeHead(status, headers)
          if (headers["content-encoding"] === "gzip") {
            outgoing.end(floodZipped)
            return
          }
          for (const event of body) outgoing.write(event)
          if (pings === true) {
            const timer = setInterval(() => outgoing.write(": ping\n\n"), 5_000 / speed)
            outgoing.on("close", () => clearInterval(timer))
          } else if (ending === "End") outgoing.end()
          // Sends what was written before it breaks the connection.
          else if (ending === "Reset") setTimeout(() => outgoing.destroy(), 5)
          else outgoing.flushHeaders()
        }
        if (delay > 0) setTimeout(say, delay / speed)
        else say()
      }

      const server = createServer((incoming, outgoing) => {
        const chunks: Array<Buffer> = []
        incoming.on("data", (chunk: Buffer) => chunks.push(chunk))
        incoming.on("error", () => outgoing.destroy())
        outgoing.on("error", () => outgoing.destroy())
        incoming.on("end", () => answer(incoming, outgoing, Buffer.concat(chunks).toString()))
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(Effect.succeed({
          url: `http://127.0.0.1:${typeof address === "object" ? address?.port : address}`,
          seen,
          faults: () => faults,
          close: () => {
            server.closeAllConnections()
            server.close()
          }
        }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )

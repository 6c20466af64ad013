/**
 * A loopback server in its own process, which speaks the protocols with prepared bodies. The first segment of the path
 * selects the answer: `/stream-100-4/openai/...` is a stream of 100 deltas, one every 4 ms (with 0 ms, all at once),
 * and `/whole-40-0/...` is a whole answer.
 */
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { pieces, whole } from "./bodies.ts"
import type { ProtocolName } from "./Client.ts"

type Answer = (response: ServerResponse) => void

// The headers that providers send with an answer.
const headers = {
  "request-id": "req_011CSHoEeqs5C35K2UUqR7Fy",
  "x-request-id": "req_011CSHoEeqs5C35K2UUqR7Fy",
  "openai-processing-ms": "412",
  "openai-version": "2020-10-01",
  "x-ratelimit-limit-requests": "10000",
  "x-ratelimit-limit-tokens": "2000000",
  "x-ratelimit-remaining-requests": "9999",
  "x-ratelimit-remaining-tokens": "1999960",
  "x-ratelimit-reset-requests": "6ms",
  "x-ratelimit-reset-tokens": "1ms",
  "strict-transport-security": "max-age=31536000; includeSubDomains; preload",
  "x-content-type-options": "nosniff",
  "server": "cloudflare"
}

let streams = 0

const paced = (parts: ReadonlyArray<Buffer>, pace: number): Answer => (response) => {
  let next = 0
  // Streams do not run in step.
  setTimeout(() => {
    const timer = setInterval(() => {
      response.write(parts[next++])
      if (next < parts.length) return
      clearInterval(timer)
      response.end()
    }, pace)
    response.on("close", () => clearInterval(timer))
  }, streams++ % pace)
}

const answerOf = (mode: string, protocol: ProtocolName): Answer => {
  const [kind, deltas, pace] = mode.split("-")
  if (kind === "whole") {
    const body = whole(protocol, Number(deltas))
    return (response) => {
      response.writeHead(200, { ...headers, "content-type": "application/json", "content-length": body.length })
      response.end(body)
    }
  }
  const parts = pieces(protocol, Number(deltas))
  const all = Buffer.concat(parts)
  const send: Answer = Number(pace) === 0 ? (response) => response.end(all) : paced(parts, Number(pace))
  return (response) => {
    response.writeHead(200, { ...headers, "content-type": "text/event-stream; charset=utf-8" })
    response.flushHeaders()
    send(response)
  }
}

const answers = new Map<string, Answer>()

const server = createServer((request, response) => {
  const [, mode = "", protocol = ""] = (request.url ?? "").split("/")
  const key = `${mode}/${protocol}`
  let answer = answers.get(key)
  if (answer === undefined) answers.set(key, answer = answerOf(mode, protocol as ProtocolName))
  const send = answer
  request.resume()
  request.on("end", () => send(response))
})

// Connections stay open during the rounds of the other clients.
server.keepAliveTimeout = 300_000
server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
  process.send?.((server.address() as AddressInfo).port)
})
process.on("disconnect", () => process.exit())

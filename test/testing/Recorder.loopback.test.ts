import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import * as Stream from "effect/Stream"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import * as Recorder from "../../src/testing/Recorder.ts"

/** A server on a free loopback port; `gone` says that a caller left before the end. */
const serve = Effect.gen(function*() {
  const gone = yield* Deferred.make<void>()
  const server = Http.createServer((request, response) => {
    response.on("close", () => {
      if (!response.writableFinished) Deferred.doneUnsafe(gone, Effect.void)
    })
    if (request.url === "/json") response.writeHead(418, { "retry-after": "7" }).end('{"a":1}')
    else if (request.url === "/empty") response.writeHead(204).end()
    else response.write("data: 1\n\n")
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )
  return { gone: Deferred.await(gone), url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
})

const clients = { undici: NodeHttpClient.layerUndici, fetch: FetchHttpClient.layer }

describe("Recorder over a socket", () => {
  for (const [name, http] of Object.entries(clients)) {
    it.live(`records and replays what ${name} reads, and closes the request of who leaves`, () =>
      Effect.gen(function*() {
        const { gone, url } = yield* serve
        const fs = yield* FileSystem.FileSystem
        const file = (yield* Path.Path).join(yield* fs.makeTempDirectoryScoped(), "socket.json")
        const ask = Effect.gen(function*() {
          const client = yield* HttpClient.HttpClient
          const json = yield* client.get(`${url}/json`)
          const empty = yield* client.get(`${url}/empty`)
          const stream = yield* client.get(`${url}/stream`)
          return {
            json: [json.status, json.headers["retry-after"], yield* json.json],
            empty: [empty.status, yield* empty.text],
            stream: yield* Stream.runCollect(Stream.decodeText(Stream.take(stream.stream, 1)))
          }
        })
        const live = yield* Effect.provide(ask, Layer.provide(Recorder.layer({ file }), http))
        yield* gone
        assert.deepStrictEqual(live, {
          json: [418, "7", { a: 1 }],
          empty: [204, ""],
          stream: ["data: 1\n\n"]
        })
        assert.deepStrictEqual(yield* Effect.provide(ask, Recorder.layerReplay({ file })), live)
      }).pipe(Effect.provide(NodeServices.layer)))
  }
})

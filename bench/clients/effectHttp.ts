/**
 * Effect's own `HttpClient` and streams with nothing on top, as little as reads an answer: what no client on it can be
 * faster than.
 */
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Stream from "effect/Stream"
import type { Make, ProtocolName, Size } from "../Client.ts"
import { raw } from "./raw.ts"

export const effectHttpClient = (protocol: ProtocolName, http: Layer.Layer<HttpClient.HttpClient>): Make => (url) => {
  const { body, delta, headers, path, whole } = raw[protocol]
  const runtime = ManagedRuntime.make(http)
  const send = (size: Size, streamed: boolean) =>
    HttpClient.execute(HttpClientRequest.post(url + path(streamed), {
      headers,
      body: HttpBody.text(JSON.stringify(body(size, streamed)), "application/json")
    }))
  return {
    complete: (size) =>
      runtime.runPromise(
        send(size, false).pipe(
          Effect.flatMap((response) => response.text),
          Effect.map((text) => whole(JSON.parse(text) as never))
        )
      ),
    stream: (size) =>
      runtime.runPromise(Effect.flatMap(send(size, true), (response) => {
        const utf8 = new TextDecoder()
        let rest = ""
        let text = ""
        return Stream.runForEachArray(response.stream, (chunks) =>
          Effect.sync(() => {
            for (const chunk of chunks) {
              const lines = (rest + utf8.decode(chunk, { stream: true })).split("\n")
              rest = lines.pop()!
              for (const line of lines) {
                if (line.startsWith("data: ") && !line.startsWith("data: [DONE]")) {
                  text += delta(JSON.parse(line.slice(6)) as never) ?? ""
                }
              }
            }
          })).pipe(Effect.map(() => text))
      }))
  }
}

/**
 * A response with a replaced body.
 */
import * as Effect from "effect/Effect"
import type { HttpClientError } from "effect/http/HttpClientError"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Stream from "effect/Stream"
import { concat } from "./cassette.ts"

/** Whether the error only means that the body is empty. */
export const isEmptyBody = (error: HttpClientError): boolean => error.reason._tag === "EmptyBodyError"

/** The response with another body, for every way of reading it. */
export const withBody = (
  response: HttpClientResponse.HttpClientResponse,
  stream: Stream.Stream<Uint8Array, HttpClientError>
): Effect.Effect<HttpClientResponse.HttpClientResponse> =>
  Effect.map(
    Effect.cached(Effect.map(Stream.runCollect(stream), (chunks) =>
      HttpClientResponse.fromWeb(
        response.request,
        new Response(concat(chunks), { headers: { "content-type": response.headers["content-type"] ?? "" } })
      ))),
    (whole) => {
      const of = <A>(read: (whole: HttpClientResponse.HttpClientResponse) => Effect.Effect<A, HttpClientError>) => ({
        value: Effect.flatMap(whole, read)
      })
      return Object.create(response, {
        stream: { value: stream },
        arrayBuffer: of((whole) => whole.arrayBuffer),
        formData: of((whole) => whole.formData),
        json: of((whole) => whole.json),
        text: of((whole) => whole.text),
        urlParamsBody: of((whole) => whole.urlParamsBody)
      })
    }
  )

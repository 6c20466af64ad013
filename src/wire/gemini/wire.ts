/**
 * Gemini's generateContent, read and written.
 */
import { sse } from "../sse.ts"
import type { Server, Wire } from "../Wire.ts"
import { decode } from "./decode.ts"
import { failures } from "./failure.ts"
import { refuse } from "./refusal.ts"
import { request } from "./request.ts"
import { response } from "./response.ts"
import { accepts, vendor } from "./shape.ts"
import { stream } from "./stream.ts"
import { streamEncoder } from "./streamEncoder.ts"
import { encode } from "./write.ts"

/** The wire for the instance `name`. */
export const gemini = (name: string): Wire => ({
  vendor,
  name,
  accepts,
  framing: sse(),
  failures,
  request: request(name),
  response: response(name),
  stream: stream(name)
})

/** The same wire, for whoever stands in for the provider. */
export const server: Server = { vendor, decode, encode, stream: streamEncoder, refuse }

/**
 * Gemini's generateContent: both halves.
 */
import { sse } from "../sse.ts"
import type { Server, Wire } from "../Wire.ts"
import { countTokens } from "./countTokens.ts"
import { decode } from "./decode.ts"
import { embeddings } from "./embeddings.ts"
import { failures } from "./failure.ts"
import { refuse } from "./refusal.ts"
import { request } from "./request.ts"
import { continues, response } from "./response.ts"
import { type Options, thinking } from "./rules.ts"
import { accepts, vendor } from "./shape.ts"
import { stream } from "./stream.ts"
import { streamEncoder } from "./streamEncoder.ts"
import { encode } from "./write.ts"

export type { Options } from "./rules.ts"

/** The client half, for the instance with this name. */
export const gemini = (name: string, options: Options = {}): Wire => ({
  vendor,
  name,
  accepts,
  framing: sse(),
  failures,
  thinking: thinking(options),
  request: request(name, options),
  response: response(name),
  continues: continues(name, options),
  stream: stream(name),
  countTokens,
  embeddings
})

/** The server half. */
export const server: Server = { vendor, decode, encode, stream: streamEncoder, refuse }

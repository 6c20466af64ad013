/**
 * Anthropic Messages, both halves.
 */
import { sse } from "../sse.ts"
import type { Wire } from "../Wire.ts"
import { failures } from "./failure.ts"
import { request } from "./request.ts"
import { response } from "./response.ts"
import { accepts, vendor } from "./shape.ts"
import { stream } from "./stream.ts"

export { server } from "./server.ts"

/** The client half, for the instance of this name. */
export const anthropic = (name: string): Wire => ({
  vendor,
  name,
  accepts,
  framing: sse(),
  failures,
  request: request(name),
  response: response(name),
  stream: stream(name)
})

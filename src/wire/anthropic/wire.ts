/**
 * Anthropic Messages: both halves.
 */
import { sse } from "../sse.ts"
import { thinking } from "../thinking.ts"
import type { Wire } from "../Wire.ts"
import { countTokens } from "./countTokens.ts"
import { failures } from "./failure.ts"
import { request } from "./request.ts"
import { response } from "./response.ts"
import type { Options } from "./rules.ts"
import { accepts, vendor } from "./shape.ts"
import { stream } from "./stream.ts"

export type { Options } from "./rules.ts"
export { server } from "./server.ts"

/** The client half, for the instance with this name. */
export const anthropic = (name: string, options?: Options): Wire => ({
  vendor,
  name,
  accepts,
  framing: sse(),
  failures,
  pings: true,
  thinking: thinking(vendor, options?.models),
  request: request(name, options),
  response: response(name),
  stream: stream(name),
  countTokens
})

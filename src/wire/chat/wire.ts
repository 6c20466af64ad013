/**
 * Chat Completions, both halves: of OpenAI, of OpenRouter, and of every compatible server.
 */
import { sse } from "../sse.ts"
import type { Wire } from "../Wire.ts"
import { failures, openRouterFailures } from "./failure.ts"
import { request } from "./request.ts"
import { response } from "./response.ts"
import { compatibleDialect, type Dialect, openAiDialect, openRouterDialect } from "./shape.ts"
import { stream } from "./stream.ts"

export { openAiServer, openRouterServer } from "./server.ts"

const make = (dialect: Dialect) => (name: string): Wire => ({
  vendor: dialect.vendor,
  name,
  accepts: dialect.accepts,
  framing: sse("[DONE]"),
  failures: dialect.vendor === "openrouter" ? openRouterFailures : failures,
  request: request({ ...dialect, name }),
  response: response(name),
  stream: stream(name)
})

/** OpenAI's own API, for the instance of this name. */
export const openAi = make(openAiDialect)

/** Any other server of the protocol, for the instance of this name. */
export const compatible = make(compatibleDialect)

/** OpenRouter, for the instance of this name. */
export const openRouter = make(openRouterDialect)

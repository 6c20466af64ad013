/**
 * Chat Completions, both halves: of OpenAI, of OpenRouter, and of every compatible server.
 */
import type * as Models from "../../Models.ts"
import { sse } from "../sse.ts"
import { thinking } from "../thinking.ts"
import type { Wire } from "../Wire.ts"
import { failures, openRouterFailures } from "./failure.ts"
import { request } from "./request.ts"
import { response } from "./response.ts"
import { compatibleDialect, type Dialect, openAiDialect, openRouterDialect } from "./shape.ts"
import { stream } from "./stream.ts"

export { openAiServer, openRouterServer } from "./server.ts"

/** What an instance is told of its models. */
export interface Options {
  /** What holds of models instead of what is known. */
  readonly models?: Models.Overrides | undefined
}

const make = (dialect: Dialect) => (name: string, { models }: Options = {}): Wire => ({
  vendor: dialect.vendor,
  name,
  accepts: dialect.accepts,
  framing: sse("[DONE]"),
  failures: dialect.vendor === "openrouter" ? openRouterFailures : failures,
  ...(dialect.vendor === "openrouter" && { pings: true }),
  thinking: thinking(dialect.vendor, models, "chat"),
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

/**
 * Chat Completions, both halves: of OpenAI, of OpenRouter, and of every compatible server.
 */
import type { Overrides } from "../../Models.ts"
import type { Embeddings } from "../embeddings.ts"
import { sse } from "../sse.ts"
import { thinking } from "../thinking.ts"
import type { Wire } from "../Wire.ts"
import { mistralEmbeddings, openAiEmbeddings, openRouterEmbeddings } from "./embeddings.ts"
import { failures, openRouterFailures } from "./failure.ts"
import type { Speaker } from "./messages.ts"
import { request } from "./request.ts"
import { response } from "./response.ts"
import { compatibleDialect, openAiDialect, openRouterDialect, type Particulars } from "./shape.ts"
import { stream } from "./stream.ts"

export { openAiServer, openRouterServer } from "./server.ts"
export type { Particulars } from "./shape.ts"

/** What an instance is told of its models. */
export interface Options {
  /** What holds of models instead of what is known. */
  readonly models?: Overrides | undefined
}

/** What is known of a compatible server besides. */
export interface CompatibleOptions extends Options {
  /** The service, by the name under which its models are known (`groq`); the name of the instance unless given. */
  readonly service?: string | undefined
  readonly particulars?: Particulars | undefined
}

const make = (speaker: Speaker, embeddings: Embeddings): Wire => ({
  vendor: speaker.vendor,
  name: speaker.name,
  accepts: speaker.accepts,
  framing: sse("[DONE]"),
  failures: speaker.vendor === "openrouter" ? openRouterFailures : failures,
  ...(speaker.vendor === "openrouter" && { pings: true }),
  thinking: thinking(speaker.service ?? speaker.name, speaker.models, "chat"),
  request: request(speaker),
  response: response(speaker.name),
  stream: stream(speaker.name),
  embeddings
})

/** OpenAI's own API, for the instance of this name. */
export const openAi = (name: string, { models }: Options = {}): Wire =>
  make({ ...openAiDialect, name, service: "openai", models }, openAiEmbeddings(true))

/** Any other server of the protocol, for the instance of this name. */
export const compatible = (name: string, { models, particulars, service }: CompatibleOptions = {}): Wire =>
  make(
    { ...compatibleDialect, ...particulars, name, service, models },
    particulars?.media === "mistral" ? mistralEmbeddings : openAiEmbeddings(false)
  )

/** OpenRouter, for the instance of this name. */
export const openRouter = (name: string, { models }: Options = {}): Wire =>
  make({ ...openRouterDialect, name, service: "openrouter", models }, openRouterEmbeddings)

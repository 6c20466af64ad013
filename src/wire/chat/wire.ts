/**
 * Chat Completions: both halves, for OpenAI, OpenRouter and compatible servers.
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

/** The options of an instance. */
export interface Options {
  /** Overrides of the built-in rules for models. */
  readonly models?: Overrides | undefined
}

/** The options of a compatible server. */
export interface CompatibleOptions extends Options {
  /** The service's name in the tables of models (`groq`); the name of the instance unless given. */
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

/** OpenAI's own API, for the instance with this name. */
export const openAi = (name: string, { models }: Options = {}): Wire =>
  make({ ...openAiDialect, name, service: "openai", models }, openAiEmbeddings(true))

/** A compatible server, for the instance with this name. */
export const compatible = (name: string, { models, particulars, service }: CompatibleOptions = {}): Wire =>
  make(
    { ...compatibleDialect, ...particulars, name, service, models },
    particulars?.media === "mistral" ? mistralEmbeddings : openAiEmbeddings(false)
  )

/** OpenRouter, for the instance with this name. */
export const openRouter = (name: string, { models }: Options = {}): Wire =>
  make({ ...openRouterDialect, name, service: "openrouter", models }, openRouterEmbeddings)

/**
 * The Responses API: both halves, for OpenAI and compatible servers.
 */
import { openAiEmbeddings } from "../chat/embeddings.ts"
import { sse } from "../sse.ts"
import { thinking } from "../thinking.ts"
import type { Wire } from "../Wire.ts"
import { countTokens } from "./countTokens.ts"
import { failures } from "./failure.ts"
import { encode, refusal } from "./request.ts"
import { response } from "./response.ts"
import { fit } from "./rules.ts"
import { accepts, type Options } from "./shape.ts"
import { stream } from "./stream.ts"

export { server } from "./server.ts"
export type { Options } from "./shape.ts"

/** The client half. */
export const responses = (options: Options): Wire => ({
  vendor: options.vendor ?? "openai",
  name: options.name,
  accepts,
  // OpenAI ends with an event of its own. Some servers send `[DONE]` after it.
  framing: sse("[DONE]"),
  failures,
  thinking: thinking(options.vendor ?? "openai", options.models, "responses"),
  request: (completion, model, streamed) => {
    const fitted = fit(options, completion, model)
    if ("_tag" in fitted) return fitted
    const body = encode(options)(fitted.completion, model)
    return refusal(options, body) ?? {
      path: "/responses",
      body: {
        ...body,
        ...(streamed && { stream: true }),
        ...(streamed && options.native && { stream_options: { include_obfuscation: false } })
      },
      ...(fitted.warnings.length > 0 && { warnings: fitted.warnings })
    }
  },
  response: response(options.name),
  stream: stream(options.name),
  // Other servers of this protocol do not count.
  ...(options.native && { countTokens }),
  embeddings: openAiEmbeddings(options.native)
})

/** OpenAI Responses, `POST …/v1/responses`. */
import * as Result from "effect/Result"
import type * as Message from "../../../Message.ts"
import { server } from "../../../wire/responses/server.ts"
import type { Outgoing } from "../../../wire/Wire.ts"
import { openai } from "../chat/openai.ts"
import { changed } from "../decide.ts"
import { dataEvent, withData } from "../events.ts"
import type { Call } from "../exchange.ts"
import { created, idOf, isObject, type JsonObject, tokensOf } from "../json.ts"
import { reasons } from "../openai/models.ts"
import type { Service } from "../service.ts"
import { refusing } from "./refusing.ts"
import * as Rules from "./rules.ts"

const answerId = (seed: string): string => `resp_${idOf(`${seed} response`, 48).toLowerCase()}`

const failure = { code: "server_error", message: "An error occurred while processing your request." }

/** The events of a failing stream: an error, and the failed response. */
export const failing = (
  error: { readonly code: string; readonly message: string },
  { model, seed }: { readonly model: string; readonly seed: string }
): ReadonlyArray<string> => {
  const event = (type: string, fields: { readonly [name: string]: unknown }, at: number): string =>
    `event: ${type}\n${dataEvent({ type, sequence_number: at, ...fields })}`
  return [
    event("error", { error: { type: "invalid_request_error", ...error, param: null } }, 100),
    event("response.failed", { response: failed(error, { model, seed }) }, 101)
  ]
}

/** A failed response. */
export const failed = (
  error: { readonly code: string; readonly message: string },
  { model, seed }: { readonly model: string; readonly seed: string }
) => ({
  id: answerId(seed),
  object: "response",
  created_at: created,
  status: "failed",
  error,
  incomplete_details: null,
  model,
  output: [],
  usage: null
})

/** The simulated service stores nothing, and ignores references to stored items. */
const readable = (body: JsonObject): JsonObject => {
  const { background: _, conversation: __, previous_response_id: ___, prompt: ____, ...rest } = body
  const { input, tools } = rest
  const of = (...types: ReadonlyArray<string>) => (item: unknown): boolean =>
    isObject(item) && types.includes(String(item.type))
  return {
    ...rest,
    ...Array.isArray(input) && { input: input.filter((item) => !of("item_reference")(item)) },
    ...Array.isArray(tools) && { tools: tools.filter(of("function")) }
  }
}

/** A call with broken arguments counts as complete unless the answer was cut. */
const whole = (event: string): string => event.replaceAll('"status":"incomplete"', '"status":"completed"')

const unless =
  ({ cutCall, response }: Outgoing, reason: string, change: (event: string) => string) => (event: string): string =>
    cutCall === undefined || response.finishReason._tag === reason ? event : change(event)

const check: Service["check"] = (call) =>
  Result.map(Rules.read(call.body, call.unknownFields), (body) => ({
    inputTokens: tokensOf(body.input) + tokensOf(body.instructions ?? undefined) + tokensOf(body.tools),
    json: body.text?.format?.type === "json_object"
  }))

/** Thinking is returned encrypted if the request asks for it, and as a summary if it asks for one. */
const thought = ({ body }: Call, text: string, seed: string): Message.Reasoning | undefined => {
  const { effort, summary } = isObject(body.reasoning) ? body.reasoning : {}
  const model = String(body.model)
  if (!reasons({ model, effort: typeof effort === "string" ? effort : undefined })) return undefined
  const included = Array.isArray(body.include) && body.include.includes("reasoning.encrypted_content")
  return {
    _tag: "Reasoning",
    content: [
      ...typeof summary === "string" ? [{ _tag: "Summary", text } as const] : [],
      ...included ? [{ _tag: "Encrypted", data: idOf(`${seed} encrypted`, 64) } as const] : []
    ]
  }
}

export const responses: Service = {
  ...openai,
  provider: "responses",
  server,
  check,
  readable,
  answerId,
  dress: (answer) =>
    changed(answer, { metadata: { openai: { service_tier: "default", ...answer.response.metadata?.["openai"] } } }),
  body: (body) => body,
  events: (events, answer, { seed }) =>
    refusing(events, answer).map(unless(answer, "MaxTokens", whole)).map((event, index) =>
      /^event: \S+\.delta\n/.test(event)
        ? withData(event, (data) => ({ ...data, obfuscation: idOf(`${seed} obfuscation ${index}`, 8) }))
        : event
    ),
  thought,
  // It reports that it has begun, and then nothing follows.
  silence: { after: 2 },
  notFound: ({ method, url }) => ({
    status: 404,
    type: "invalid_request_error",
    message: `Invalid URL (${method} ${url.pathname})`
  }),
  streamError: ({ response: { model = "" } }, { seed }) => failing(failure, { model, seed }).join("")
}

/** OpenAI Chat Completions, `POST …/chat/completions`. */
import * as Result from "effect/Result"
import { openAiServer } from "../../../wire/chat/server.ts"
import type { Outgoing } from "../../../wire/Wire.ts"
import { changed } from "../decide.ts"
import { dataEvent, withData } from "../events.ts"
import { bearer, gatewayPage, type Rejection, wholeSeconds } from "../exchange.ts"
import { idOf, isObject, type JsonObject, tokensOf } from "../json.ts"
import { reasons } from "../openai/models.ts"
import { invalid, rejectionOf } from "../openai/words.ts"
import type { Facts, Service } from "../service.ts"
import { type Body, decode } from "./body.ts"
import * as Rules from "./rules.ts"

/** The tokens in a request. */
export const factsOf = (body: Body): Facts => ({
  inputTokens: tokensOf(body.messages) + tokensOf(body.tools),
  json: body.response_format?.type === "json_object"
})

export const callId = (seed: string, index: number): string => `call_${idOf(`${seed} tool ${index}`, 24)}`

const requestId = (seed: string): string => `req_${idOf(`${seed} request`, 32).toLowerCase()}`

const openAiHeaders = (seed: string, remaining: number): { readonly [name: string]: string } => ({
  "x-request-id": requestId(seed),
  "openai-organization": "simulated",
  "openai-processing-ms": "42",
  "openai-version": "2020-10-01",
  "x-ratelimit-limit-requests": "10000",
  "x-ratelimit-limit-tokens": "2000000",
  "x-ratelimit-remaining-requests": String(remaining),
  "x-ratelimit-remaining-tokens": "1999000",
  "x-ratelimit-reset-requests": "6ms",
  "x-ratelimit-reset-tokens": "30ms"
})

/** A refusal is in a field of its own. */
export const refusing = (events: ReadonlyArray<string>, { response }: Outgoing): ReadonlyArray<string> =>
  response.metadata?.[response.provider]?.["refusal"] === undefined ?
    events :
    events.map((event) =>
      withData(event, (data) => {
        const [choice] = Array.isArray(data.choices) ? data.choices as ReadonlyArray<unknown> : []
        const { content, ...delta } = isObject(choice) && isObject(choice.delta) ? choice.delta : {}
        return isObject(choice) && typeof content === "string" && content !== ""
          ? { ...data, choices: [{ ...choice, delta: { ...delta, refusal: content } }] }
          : data
      })
    )

export const refuseOpenAi = (rejection: Rejection, seed: string) => ({
  headers: { ...openAiHeaders(seed, 9999), ...rejection.headers },
  body: {
    error: {
      message: rejection.message,
      type: rejection.type ?? "invalid_request_error",
      param: rejection.param ?? null,
      code: rejection.code ?? null,
      ...rejection.fields
    }
  }
})

/** The simulated model gives one choice, even if `n` is higher. */
export const oneChoice = ({ n: _, ...body }: JsonObject): JsonObject => body

const check: Service["check"] = (call) =>
  Result.flatMap(
    Result.mapError(decode(call.body, call.unknownFields), rejectionOf),
    (body) => Rules.checked(Rules.openAiRules, body, factsOf)
  )

const overloaded: Pick<Rejection, "type" | "code" | "message"> = {
  type: "service_unavailable_error",
  code: "server_is_overloaded",
  message: "Our servers are currently overloaded. Please try again later."
}

const serverError: Pick<Rejection, "type" | "message"> = {
  type: "server_error",
  message: "The server had an error while processing your request. Sorry about that!"
}

const openAiServerErrors: { readonly [status: number]: Omit<Rejection, "status"> } = {
  500: serverError,
  502: { message: "Bad gateway", html: gatewayPage(502, "Bad Gateway") },
  503: overloaded,
  504: { message: "Gateway time-out", html: gatewayPage(504, "Gateway Time-out") },
  529: overloaded
}

export const openai: Service = {
  provider: "openai",
  server: openAiServer,
  key: ({ headers }) => bearer(headers),
  missingKey: {
    status: 401,
    message:
      "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
  },
  invalidKey: {
    status: 401,
    code: "invalid_api_key",
    message: "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys."
  },
  invalid,
  notFound: ({ method, url }) => ({
    status: 404,
    type: "invalid_request_error",
    message: `Invalid URL (${method} ${url.pathname})`
  }),
  check,
  readable: oneChoice,
  answerId: (seed) => `chatcmpl-${idOf(`${seed} message`, 29)}`,
  callId,
  headers: (seed) => openAiHeaders(seed, 9999),
  streamType: "text/event-stream; charset=utf-8",
  dress: (answer) =>
    changed(answer, {
      metadata: {
        openai: {
          service_tier: "default",
          system_fingerprint: `fp_${idOf("fingerprint", 10).toLowerCase()}`,
          ...answer.response.metadata?.["openai"]
        }
      }
    }),
  events: (events, answer, { seed }) =>
    refusing(events, answer).map((event, index) =>
      withData(event, (data) => ({ ...data, obfuscation: idOf(`${seed} obfuscation ${index}`, 8) }))
    ),
  // Chat Completions does not return thinking.
  thought: ({ body }) =>
    reasons({
        model: String(body.model),
        effort: typeof body.reasoning_effort === "string" ? body.reasoning_effort : undefined
      })
      ? { _tag: "Reasoning", content: [] }
      : undefined,
  silence: { after: 0 },
  streamError: () => dataEvent(refuseOpenAi({ status: 500, ...serverError }, "").body),
  refuse: refuseOpenAi,
  rateLimit: (millis) => ({
    status: 429,
    type: "requests",
    code: "rate_limit_exceeded",
    message: "Rate limit reached for requests per min (RPM): Limit 10000, Used 10000, Requested 1.",
    headers: millis === undefined ? {} : {
      "retry-after-ms": String(millis),
      "retry-after": wholeSeconds(millis),
      "x-ratelimit-remaining-requests": "0",
      "x-ratelimit-reset-requests": `${millis}ms`
    }
  }),
  serverError: (status) => ({ status, message: "", ...openAiServerErrors[status] })
}

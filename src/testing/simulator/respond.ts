/**
 * From one HTTP request to one HTTP response, as plain data without effects: finds the service, checks the key, lets
 * the service check the request, decodes it, and writes the answer.
 */
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import type * as LLMError from "../../LLMError.ts"
import type * as Message from "../../Message.ts"
import type { Asked, Outgoing, Server, Stamp } from "../../wire/Wire.ts"
import { changed, decide, silent } from "./decide.ts"
import { dataEvent, eventsOf } from "./events.ts"
import type { Call, Canned, Failure, Rejection, SimulatedRequest, SimulatedResponse } from "./exchange.ts"
import { withoutBrace } from "./faults/answers.ts"
import { type FaultName, faultOf } from "./faults/faults.ts"
import { created, idOf, type JsonObject, parseObject, tokens } from "./json.ts"
import { pathModel, replyOf, serviceFor } from "./routes.ts"
import type { Facts, Fault, Service } from "./service.ts"

export interface Settings {
  /** Whether a key is required: by default everywhere except on local hosts. */
  readonly requireKey?: boolean | undefined
  readonly unknownFields?: "reject" | "ignore" | undefined
  /** How many milliseconds a model thinks, if it does. */
  readonly think?: number | undefined
  /** The output limit of one request, for answers over several. */
  readonly perRequest?: number | undefined
  /** The failure of this request. */
  readonly failure?: Failure | FaultName | undefined
  /** Epoch milliseconds, for hints that are instants; the beginning of 2026 by default. */
  readonly now?: number | undefined
}

const isLocal = ({ hostname }: URL): boolean =>
  hostname === "localhost" || hostname.endsWith(".localhost") || hostname.startsWith("127.") || hostname === "[::1]" ||
  hostname === "0.0.0.0"

const keyProblem = (service: Service, request: SimulatedRequest, settings: Settings): Rejection | undefined => {
  if (!(settings.requireKey ?? !isLocal(request.url))) return undefined
  const key = service.key(request)?.trim()
  if (key === undefined || key === "") return service.missingKey
  return key.toLowerCase().includes("invalid") ? service.invalidKey : undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// Responses
// ---------------------------------------------------------------------------------------------------------------------

const jsonType = "application/json"

const response = (
  status: number,
  headers: SimulatedResponse["headers"],
  body: ReadonlyArray<string>
): SimulatedResponse => ({ status, headers, body, ending: "End" })

const refused = (service: Service, rejection: Rejection, seed: string): SimulatedResponse => {
  const { body, headers } = service.refuse(rejection, seed)
  return rejection.html === undefined
    ? response(rejection.status, { "content-type": jsonType, ...headers }, [JSON.stringify(body)])
    : response(rejection.status, { "content-type": "text/html" }, [rejection.html])
}

const canned = ({ body, headers, status }: Canned): SimulatedResponse =>
  typeof body === "string"
    ? response(status, { "content-type": "text/plain", ...headers }, [body])
    : response(status, { "content-type": jsonType, ...headers }, [JSON.stringify(body)])

/** A failure in the words of the wire. */
const failed = (server: Server, error: LLMError.LLMError, stamp: Stamp): SimulatedResponse => {
  const { body, headers, status } = server.refuse(error, stamp)
  return response(status, { "content-type": jsonType, ...headers }, [JSON.stringify(body)])
}

// ---------------------------------------------------------------------------------------------------------------------
// Faults
// ---------------------------------------------------------------------------------------------------------------------

/** The service cannot have the fault: an error in the test. */
export class UnknownFault extends Error {
  override readonly name = "UnknownFault"
}

const named = (name: FaultName, { provider }: Service): Fault => {
  const fault = faultOf(name, provider)
  if (fault === undefined) {
    throw new UnknownFault(`Simulator failures: ${provider} cannot have the fault ${name}; faultsOf lists what it can`)
  }
  return fault
}

/** A scripted failure as the fault of a service. */
const toFault = (failure: Exclude<Failure, Canned> | FaultName, service: Service): Fault => {
  if (typeof failure === "string") return named(failure, service)
  switch (failure._tag) {
    case "RateLimit": {
      const millis = failure.retryAfter === undefined ? undefined : Duration.toMillis(failure.retryAfter)
      return { _tag: "Refusal", rejection: () => service.rateLimit(millis) }
    }
    case "ServerError":
      return { _tag: "Refusal", rejection: () => service.serverError(failure.status ?? 500) }
    case "Empty":
      return { _tag: "Answer", answer: silent }
    case "StreamError":
      return { _tag: "ErrorEvent", after: () => failure.afterEvents }
    case "MalformedJson":
      return {
        _tag: "Damage",
        damage: (answer) => ({ ...answer, body: withoutBrace(answer.body, failure.afterEvents) })
      }
    default:
      return {
        _tag: "Damage",
        damage: (answer) => ({
          ...answer,
          body: answer.body.slice(0, failure.afterEvents),
          ending: failure._tag === "Cut" ? "End" : failure._tag
        })
      }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Answers
// ---------------------------------------------------------------------------------------------------------------------

interface Question {
  readonly service: Service
  readonly call: Call
  readonly asked: Asked
  readonly stamp: Stamp
  /** Milliseconds before the first part of the answer. */
  readonly silence: number
}

/** The stream with a silence in it, except for keep-alive pings. */
const silenced = (
  events: ReadonlyArray<string>,
  { after, every = Infinity }: Service["silence"],
  silence: number,
  ping: string
): Pick<SimulatedResponse, "body" | "waits"> => {
  const pings = Math.ceil(silence / every) - 1
  const waits: Record<number, number> = {}
  for (let index = 0; index < pings; index++) waits[after + index] = every
  waits[after + Math.max(0, pings)] = silence - Math.max(0, pings) * (pings > 0 ? every : 0)
  return {
    body: [
      ...events.slice(0, after),
      ...Array.from({ length: Math.max(0, pings) }, () => ping),
      ...events.slice(after)
    ],
    waits
  }
}

/** The answer as a response. `body` replaces the body. */
const written = (
  { asked, call, service, silence, stamp }: Question,
  plain: Outgoing,
  instead?: {
    readonly whole: () => unknown
    readonly events: (usual: () => ReadonlyArray<string>) => ReadonlyArray<string>
  }
): SimulatedResponse => {
  const { server } = service
  const answer = service.dress?.(plain, call) ?? plain
  const headers = service.headers(call.seed)
  if (asked.streamed) {
    const usual = (): ReadonlyArray<string> => {
      const encoder = server.stream(asked, stamp)
      const events = eventsOf(answer, encoder)
      return service.events?.(events, answer, call, encoder.ping) ?? events
    }
    const events = instead?.events(usual) ?? usual()
    const streamed = response(200, { ...headers, "content-type": service.streamType }, events)
    if (silence === 0) return streamed
    return { ...streamed, ...silenced(events, service.silence, silence, server.stream(asked, stamp).ping) }
  }
  const usual = (): JsonObject => {
    const body = server.encode(answer, asked, stamp)
    return service.body?.(body, answer, call) ?? body
  }
  const whole = response(200, { "content-type": jsonType, ...headers }, [JSON.stringify(instead?.whole() ?? usual())])
  return silence === 0 ? whole : { ...whole, delay: silence }
}

const faulty = (question: Question, answer: Outgoing, fault: Fault | undefined, now: number): SimulatedResponse => {
  const { asked, call, service } = question
  switch (fault?._tag) {
    case undefined:
      return written(question, answer)
    case "Answer":
      return written(question, fault.answer(answer))
    case "Damage":
      return fault.damage(written(question, answer))
    case "Body":
      return written(question, answer, {
        whole: () => fault.whole(answer, call),
        events: () => fault.events(answer, call)
      })
    case "Refusal": {
      const { body } = service.refuse(fault.rejection(service, now), call.seed)
      return written(question, answer, { whole: () => body, events: () => [dataEvent(body)] })
    }
    case "ErrorEvent":
      return asked.streamed
        ? written(question, answer, {
          whole: () => undefined,
          events: (usual) => {
            const events = usual()
            return [...events.slice(0, fault.after(events.length)), service.streamError(answer, call)]
          }
        })
        : refused(service, service.serverError(500), call.seed)
  }
}

/** The decoded request, from what the service found valid. */
const read = ({ server, readable }: Service, call: Call): Result.Result<Asked, string> => {
  const { request: { headers, url }, body } = call
  const decode = (body: JsonObject) => server.decode({ body, headers, path: url.pathname })
  return Result.mapError(
    Result.orElse(decode(body), (refused) => readable === undefined ? Result.fail(refused) : decode(readable(body))),
    ({ description }) => `The simulator cannot read the request: ${description}`
  )
}

/** The thinking for a request, if the model thinks. */
const thoughtText = "Simulated thought."

type Understood = Omit<Question, "silence"> & { readonly facts: Facts }

const question = (service: Service, call: Call): Result.Result<Understood, Rejection> =>
  Result.flatMap(service.check(call), (facts) =>
    Result.mapBoth(read(service, call), {
      onFailure: service.invalid,
      onSuccess: (asked) => ({ service, call, facts, asked, stamp: { seed: call.seed, created } })
    }))

// ---------------------------------------------------------------------------------------------------------------------
// Requests
// ---------------------------------------------------------------------------------------------------------------------

/** A valid request that waits for its answer. */
export interface Pending {
  readonly asked: Asked
  /** The simulated model's answer. */
  readonly usual: Outgoing
  /** The id of a call, by its position in the answer. */
  readonly callId: (index: number) => string
  readonly answer: (answer: Outgoing) => SimulatedResponse
  readonly fail: (error: LLMError.LLMError) => SimulatedResponse
}

/** The answer, with the thinking before it. */
const after = (thought: Message.Reasoning | undefined, answer: Outgoing): Outgoing => {
  if (thought === undefined) return answer
  const { choice, usage } = answer.response
  const reasoningTokens = tokens(thoughtText)
  return changed(answer, {
    choice: thought.content.length === 0 ? choice : [thought, ...choice],
    outputTokens: usage.outputTokens + reasoningTokens,
    reasoningTokens
  })
}

/** The response to a request without a model. It can only have faults of the connection, not of an answer. */
const replied = (
  service: Service,
  seed: string,
  reply: Result.Result<JsonObject, Rejection>,
  fault: Fault | undefined,
  rejection: Rejection | undefined
): SimulatedResponse => {
  if (Result.isFailure(reply)) return refused(service, reply.failure, seed)
  if (fault?._tag === "ErrorEvent") return refused(service, service.serverError(500), seed)
  const body = rejection === undefined ? reply.success : service.refuse(rejection, seed).body
  const whole = response(200, { "content-type": jsonType, ...service.headers(seed) }, [JSON.stringify(body)])
  return fault?._tag === "Damage" ? fault.damage(whole) : whole
}

const defaultNow = created * 1000

/** The same seed for a request with and without streaming. */
const seedOf = ({ body, url }: SimulatedRequest, fields: JsonObject | undefined): string => {
  const { continuationToken: _, stream: __, stream_options: ___, ...rest } = fields ?? { body }
  return idOf(`${url.pathname.replace(/:\w+$/, "")} ${JSON.stringify(rest)}`, 32)
}

/** The response to a request that needs no answer, or the pending request. */
export const begin = (request: SimulatedRequest, settings: Settings): Result.Result<Pending, SimulatedResponse> => {
  const { failure, now = defaultNow } = settings
  const body = parseObject(request.body)
  const seed = seedOf(request, body)
  const service = serviceFor(request)
  const refuse = (rejection: Rejection) => Result.fail(refused(service, rejection, seed))
  if (typeof failure === "object" && failure._tag === undefined) return Result.fail(canned(failure))
  const fault = failure === undefined ? undefined : toFault(failure, service)
  const rejection = fault?._tag === "Refusal" ? fault.rejection(service, now) : undefined
  if (rejection !== undefined && rejection.status !== 200) return refuse(rejection)
  const model = pathModel(request)
  if (model === undefined || request.method !== "POST") return refuse(service.notFound(request))
  const keyRefusal = keyProblem(service, request, settings)
  if (keyRefusal !== undefined) return refuse(keyRefusal)
  if (body === undefined) return refuse(service.invalid("The request body is not a valid JSON object."))
  const { perRequest, think = 0, unknownFields = "reject" } = settings
  const call: Call = { request, body, pathModel: model, seed, unknownFields, perRequest }
  const reply = replyOf(request)
  if (reply !== undefined) return Result.fail(replied(service, seed, reply(call), fault, rejection))
  return Result.mapBoth(question(service, call), {
    onFailure: (rejection) => refused(service, rejection, seed),
    onSuccess: ({ facts, ...question }): Pending => {
      const { asked, stamp } = question
      const thought = think > 0 ? service.thought(call, thoughtText, seed) : undefined
      const silence = thought === undefined ? 0 : think
      const callId = (index: number): string => service.callId(seed, index)
      return {
        asked,
        callId,
        usual: after(
          thought,
          decide(asked.completion, {
            ...facts,
            provider: service.server.vendor,
            model: asked.model,
            answerId: service.answerId(seed),
            callId
          })
        ),
        answer: (answer) => faulty({ ...question, silence }, answer, fault, now),
        fail: (error) => failed(service.server, error, stamp)
      }
    }
  })
}

/** The response to a request. The same request always gets the same response, byte for byte. */
export const respond = (request: SimulatedRequest, settings: Settings = {}): SimulatedResponse =>
  Result.match(begin(request, settings), {
    onFailure: (response) => response,
    onSuccess: ({ answer, usual }) => answer(usual)
  })

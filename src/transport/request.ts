/**
 * Builds the request for a completion: the wire's request, with the caller's parameters merged over it.
 */
import * as Result from "effect/Result"
import type { Completion } from "../Completion.ts"
import type { Warning } from "../CompletionResponse.ts"
import type { Signal } from "../wire/failure.ts"
import { array, type JsonRecord, merge } from "../wire/json.ts"
import type { Wire, WireRequest } from "../wire/Wire.ts"
import { invalid } from "./exchange.ts"

/** A request, ready to be sent. */
export interface Encoded {
  readonly path: string
  readonly headers: Readonly<Record<string, string>> | undefined
  readonly text: string
  readonly warnings: ReadonlyArray<Warning> | undefined
}

// The caller's parameters win, except for tools, which are added to those of the completion.
const mergeParams = (body: JsonRecord, params: JsonRecord | undefined): JsonRecord => {
  if (params === undefined) return body
  const tools = [...array(body["tools"]), ...array(params["tools"])]
  return { ...merge(body, params), ...(tools.length > 0 && { tools }) }
}

/** The caller's parameters for a wire, in the order of merging. */
const paramsOf = ({ name, vendor }: Wire, { additionalParams, providerParams = {} }: Completion) => [
  additionalParams,
  ...(name === vendor ? [vendor] : [vendor, name]).map((key) =>
    Object.hasOwn(providerParams, key) ? providerParams[key] : undefined
  )
]

/** The body with the caller's parameters merged over it. */
export const withParams = (wire: Wire, completion: Completion, body: JsonRecord): JsonRecord =>
  paramsOf(wire, completion).reduce(mergeParams, body)

/** Whether the caller's parameters turn streaming off. */
export const asksWhole = (wire: Wire, completion: Completion): boolean =>
  paramsOf(wire, completion).some((params) => params?.["stream"] === false)

/** The failure of a completion that cannot be written as JSON. */
export const unwritable = invalid(
  "the completion cannot be written as JSON: look for a cycle, a BigInt or too deep a nesting in its additionalParams,"
    + " providerParams, schemas, tool arguments and tool results"
)

const streamMismatch = invalid(
  "stream in additionalParams or providerParams contradicts the call: leave it out, and call LLMClient.stream for a"
    + " stream, LLMClient.completion for a whole answer"
)

const merged = (
  wire: Wire,
  completion: Completion,
  model: string,
  streamed: boolean,
  further: JsonRecord
): WireRequest | Signal => {
  const request = wire.request(completion, model, streamed)
  if ("_tag" in request) return request
  const body = merge(withParams(wire, completion, request.body), further)
  const { stream } = body
  return stream !== undefined && (stream ?? false) !== streamed ? streamMismatch : { ...request, body }
}

const settled = <A extends object>(written: Result.Result<A | Signal, unknown>): Result.Result<A, Signal> =>
  Result.isFailure(written)
    ? Result.fail(unwritable)
    : "_tag" in written.success
    ? Result.fail(written.success)
    : Result.succeed(written.success)

/** The request for a completion, before it is written as JSON. */
export const fields = (
  wire: Wire,
  completion: Completion,
  model: string,
  streamed: boolean
): Result.Result<WireRequest, Signal> => settled(Result.try(() => merged(wire, completion, model, streamed, {})))

/** The request for a completion, or why it cannot be sent; `further` holds the body fields of a further request. */
export const encode = (
  wire: Wire,
  completion: Completion,
  model: string,
  streamed: boolean,
  further: JsonRecord = {}
): Result.Result<Encoded, Signal> => {
  const written = settled(Result.try((): Encoded | Signal => {
    const request = merged(wire, completion, model, streamed, further)
    if ("_tag" in request) return request
    const { body, headers, path, warnings } = request
    return { path, headers, text: JSON.stringify(body), warnings }
  }))
  // A value with its own `toJSON` may be written as anything, or as nothing.
  return Result.isFailure(written) || String(written.success.text).startsWith("{") ? written : Result.fail(unwritable)
}

// Users may choose the name, and it goes into keys, logs and paths.
const longestModel = 512

/** Why a model's name cannot be sent, or undefined if it can. */
export const checkModel = (model: string): Signal | undefined =>
  model.trim() === ""
    ? invalid("no model: set it on the completion, or as the layer's default")
    : model.length > longestModel
    ? invalid(`the model's name has ${model.length} characters: give one of at most ${longestModel}`)
    : /(^|\/)\.{1,2}(\/|$)/.test(model)
    ? invalid("the model's name leads to another path: give the name of a model")
    : undefined

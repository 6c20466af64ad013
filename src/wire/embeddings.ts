/**
 * What the embeddings of all wires share: the request, the result, and the refusals that concern the texts. Pure, like
 * all wires.
 */
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import type { Warning } from "../CompletionResponse.ts"
import type { Task, Vector } from "../vectors.ts"
import { client } from "./failure.ts"
import { type JsonRecord, number } from "./json.ts"
import type { Failures, WireRequest } from "./Wire.ts"

/** A request for embeddings. */
export interface AskedVectors {
  readonly texts: ReadonlyArray<string>
  readonly model: string
  readonly dimensions: number | undefined
  readonly task: Task | undefined
}

/** The result: one vector for each text, in order. */
export interface Embedded {
  readonly vectors: ReadonlyArray<Vector>
  readonly inputTokens?: number | undefined
  readonly model?: string | undefined
  /** The provider's own figure, in US dollars. */
  readonly cost?: number | undefined
}

/** How a provider embeds texts. */
export interface Embeddings {
  /** The limits of one request: the number of texts, and the estimated number of tokens. */
  readonly most: { readonly texts: number; readonly tokens: number }
  readonly request: (asked: AskedVectors) => WireRequest
  /** Reads a body; undefined when it lacks a field that every answer has. */
  readonly response: (body: JsonRecord, asked: AskedVectors) => Embedded | undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// Vectors
// ---------------------------------------------------------------------------------------------------------------------

const bytesPerNumber = 4

// Little-endian 32-bit floats.
const ofBase64 = (text: string): Vector | undefined => {
  const bytes = Result.getOrUndefined(Base64.decode(text))
  if (bytes === undefined || bytes.byteLength === 0 || bytes.byteLength % bytesPerNumber !== 0) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const vector = Array.from(
    { length: bytes.byteLength / bytesPerNumber },
    (_, index) => view.getFloat32(index * bytesPerNumber, true)
  )
  return vector.every(Number.isFinite) ? vector : undefined
}

/** A vector from JSON: a list of finite numbers, or base64; undefined for anything else. */
export const vectorOf = (value: unknown): Vector | undefined =>
  typeof value === "string"
    ? ofBase64(value)
    : Array.isArray(value) && value.length > 0 && value.every((item) => number(item) !== undefined)
    ? value as Array<number>
    : undefined

/** The vectors in a list; undefined when one is invalid, or their lengths differ. */
export const vectorsOf = (values: ReadonlyArray<unknown>): ReadonlyArray<Vector> | undefined => {
  const vectors: Array<Vector> = []
  for (const value of values) {
    const vector = vectorOf(value)
    if (vector === undefined || vector.length !== (vectors[0] ?? vector).length) return undefined
    vectors.push(vector)
  }
  return vectors
}

/** The vector scaled to length 1. */
export const normalized = (vector: Vector): Vector => {
  const length = Math.hypot(...vector)
  return length === 0 ? vector : vector.map((value) => value / length)
}

/** A warning for a task that the provider does not support. */
export const taskIgnored = (task: Task | undefined): { readonly warnings?: ReadonlyArray<Warning> } =>
  task === undefined
    ? {}
    : { warnings: [{ field: "task", description: `${task} was left out: the model knows no such task` }] }

// ---------------------------------------------------------------------------------------------------------------------
// Failures
// ---------------------------------------------------------------------------------------------------------------------

const anyOf = (...patterns: ReadonlyArray<string>): RegExp => new RegExp(patterns.join("|"), "i")

// Messages of OpenAI, Mistral, Google, vLLM, llama.cpp, Ollama and Hugging Face's server, which have no code for it.
const textTooLong = anyOf(
  "maximum input length is",
  "maximum context length",
  "input id \\d{1,6} has \\d{1,9} tokens",
  "must have less than \\d{1,9} tokens",
  "input length exceeds",
  "input token count.{0,100}exceeds",
  "is too large to process"
)

const tooMuchAtOnce = anyOf(
  "max(?:imum)? \\d{1,9} tokens per request",
  "too many (?:tokens|inputs)",
  "split into more batches",
  "at most \\d{1,6} requests can be in one batch",
  "batch size (?:\\d{1,6} > maximum|is invalid)",
  "payload size exceeds"
)

/** The failures of a wire for embeddings, which distinguish a text that is too long from too many texts. */
export const embeddingFailures = (failures: Failures): Failures => ({
  ...failures,
  decide: (error, reading) => {
    const text = reading.description.slice(0, 8192)
    if (reading.status !== 429 && tooMuchAtOnce.test(text)) return client("TooLarge")
    if (reading.status !== 429 && textTooLong.test(text)) return client("ContextWindow")
    return failures.decide?.(error, reading)
  }
})

const places = /\binput\[(\d{1,6})\]|\binput id (\d{1,6})\b|\brequests\[(\d{1,6})\]/i

/** The index of the refused text, if the provider reports it. */
export const placeIn = (description: string): number | undefined => {
  const found = places.exec(description.slice(0, 8192))?.slice(1).find((place) => place !== undefined)
  return found === undefined ? undefined : Number(found)
}

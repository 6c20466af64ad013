/**
 * What both halves of the Responses API share: the supported contents, the types of items, and words. Source: OpenAI
 * API reference, "Responses".
 */
import type { Overrides } from "../../Models.ts"
import type { CallIds } from "../callIds.ts"
import { isObject, type JsonRecord, object, parseJson } from "../json.ts"
import type { Accepts, FinishReasons } from "../Wire.ts"

/** The options of an instance: which server it is, and which of OpenAI's features it gets. */
export interface Options {
  /** The name of the instance. */
  readonly name: string
  /** The key of `providerParams` and of the tables of models; "openai" unless given. */
  readonly vendor?: string | undefined
  /** OpenAI itself. Other servers only get the features that all of them support. */
  readonly native: boolean
  /**
   * Whether the server stores nothing and returns encrypted reasoning (`store`, `include`); as `native` unless given.
   */
  readonly stateless?: boolean | undefined
  /** Overrides of the built-in rules for models. */
  readonly models?: Overrides | undefined
}

/** The names of audio formats, by media type. */
export const audioFormats: Readonly<Record<string, "wav" | "mp3">> = {
  "audio/wav": "wav",
  "audio/x-wav": "wav",
  "audio/wave": "wav",
  "audio/vnd.wave": "wav",
  "audio/mp3": "mp3",
  "audio/mpeg": "mp3"
}

const anySource = { Url: true, Base64: true, FileId: true } as const

export const accepts: Accepts = {
  user: { Image: anySource, Audio: { Base64: Object.keys(audioFormats) }, Document: anySource },
  toolResult: { Image: anySource, Document: anySource },
  // Own images go back as their original items; other images are sent as user input.
  assistant: anySource,
  severalToolNames: true
}

const plainId = /^[a-zA-Z0-9_-]{1,64}$/

/** OpenAI accepts ids of up to 64 characters. */
export const callIds: CallIds = { fits: (id, own) => own ? id.length <= 64 : plainId.test(id) }

// ---------------------------------------------------------------------------------------------------------------------
// Items
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Items that go back without their id, because an id refers to a stored item and nothing is stored. Calls that the
 * client ran are identified by `call_id`.
 */
export const withoutId: ReadonlySet<unknown> = new Set([
  "custom_tool_call",
  "compaction",
  "shell_call",
  "shell_call_output",
  "apply_patch_call",
  "apply_patch_call_output",
  "tool_search_call",
  "tool_search_output"
])

/** Calls that the client must run. */
const clientCalls: ReadonlySet<unknown> = new Set([
  "function_call",
  "custom_tool_call",
  "computer_call",
  "local_shell_call",
  "apply_patch_call",
  "mcp_approval_request"
])

/** Calls that the provider may run itself. In that case the same output contains their result. */
const eitherCalls: Readonly<Record<string, string>> = {
  shell_call: "shell_call_output",
  tool_search_call: "tool_search_output"
}

/** Whether the client has to run something. */
export const waitsForClient = (output: ReadonlyArray<JsonRecord>): boolean =>
  output.some(({ call_id, type }) =>
    clientCalls.has(type)
    || (entry(eitherCalls, type) !== undefined
      && !output.some((item) => item["type"] === entry(eitherCalls, type) && item["call_id"] === call_id))
  )

// ---------------------------------------------------------------------------------------------------------------------
// What of an item the vocabulary has no field for
// ---------------------------------------------------------------------------------------------------------------------

/** The fields of an item to send back, serialized as the signature of its content; undefined when there are none. */
export const sign = (fields: JsonRecord): string | undefined => {
  const kept = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null)
  return kept.length === 0 ? undefined : JSON.stringify(Object.fromEntries(kept))
}

/** The fields in a signature; empty for a signature of another wire. */
export const signed = (signature: string | undefined): JsonRecord =>
  signature?.startsWith("{") === true ? object(parseJson(signature)) : {}

/** The optional fields of a call. */
export const callFields = ["namespace", "caller", "async"] as const

/** The signature of a refusal. */
export const refusal = '{"type":"refusal"}'

/** A value for an error message. `toString` may be anything in parsed JSON. */
export const word = (value: unknown): string =>
  typeof value === "string" ? value : JSON.stringify(value)?.slice(0, 200) ?? "nothing"

/** Looks up an own property, not an inherited one. */
export const entry = <A>(table: Readonly<Record<string, A>>, name: unknown): A | undefined =>
  typeof name === "string" && Object.hasOwn(table, name) ? table[name] : undefined

export const pick = (record: JsonRecord, names: ReadonlyArray<string>): JsonRecord =>
  Object.fromEntries(names.flatMap((name) => record[name] === undefined ? [] : [[name, record[name]]]))

export const omit = (record: JsonRecord, names: ReadonlyArray<string>): JsonRecord =>
  Object.fromEntries(Object.entries(record).filter(([name]) => !names.includes(name)))

// ---------------------------------------------------------------------------------------------------------------------
// Words
// ---------------------------------------------------------------------------------------------------------------------

/** Why an answer is incomplete. */
export const incompleteReasons = {
  max_output_tokens: "MaxTokens",
  max_tokens: "MaxTokens",
  content_filter: "ContentFilter"
} satisfies FinishReasons

export const phases = ["commentary", "final_answer"] as const
export type Phase = typeof phases[number]

export const phaseOf = (value: unknown): Phase | undefined => phases.find((phase) => phase === value)

const annotations: ReadonlySet<unknown> = new Set([
  "url_citation",
  "file_citation",
  "container_file_citation",
  "file_path"
])

/** Whether a citation has the format of OpenAI's annotations. */
export const isAnnotation = (value: unknown): boolean => isObject(value) && annotations.has(value["type"])

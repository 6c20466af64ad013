/**
 * What the two halves of the Responses API share: what a request may hold, the types of items, and the words of both
 * directions. Source: OpenAI API reference, "Responses".
 */
import type { Overrides } from "../../Models.ts"
import type { CallIds } from "../callIds.ts"
import { isObject, type JsonRecord, object, parseJson } from "../json.ts"
import type { Accepts, FinishReasons } from "../Wire.ts"

/** Which server it is, and what of OpenAI's own it is sent. */
export interface Options {
  /** The name of the instance. */
  readonly name: string
  /** Whose `providerParams` apply, and whose models they are; "openai" unless given. */
  readonly vendor?: string | undefined
  /** OpenAI itself. Of any other server no more is asked than all of them know. */
  readonly native: boolean
  /** Whether the server keeps nothing and hands out its reasoning encrypted (`store`, `include`); as `native` unless given. */
  readonly stateless?: boolean | undefined
  /** What holds of models instead of what is known of them. */
  readonly models?: Overrides | undefined
}

/** The names of the formats of audio, by media type. */
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
  // Its own go back as the items that they were; others are shown to it by the user.
  assistant: anySource,
  severalToolNames: true
}

const plainId = /^[a-zA-Z0-9_-]{1,64}$/

/** OpenAI takes ids of up to 64 characters. */
export const callIds: CallIds = { fits: (id, own) => own ? id.length <= 64 : plainId.test(id) }

// ---------------------------------------------------------------------------------------------------------------------
// Items
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Items that go back without their id: it names a stored item, and nothing is stored. Calls that the client ran are told
 * apart by their `call_id`.
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

/** Calls that wait for the client. */
const clientCalls: ReadonlySet<unknown> = new Set([
  "function_call",
  "custom_tool_call",
  "computer_call",
  "local_shell_call",
  "apply_patch_call",
  "mcp_approval_request"
])

/** Calls that the provider may run itself, and then answers in the same output. */
const eitherCalls: Readonly<Record<string, string>> = {
  shell_call: "shell_call_output",
  tool_search_call: "tool_search_output"
}

/** Whether an answer waits for the client to run something. */
export const waitsForClient = (output: ReadonlyArray<JsonRecord>): boolean =>
  output.some(({ call_id, type }) =>
    clientCalls.has(type)
    || (entry(eitherCalls, type) !== undefined
      && !output.some((item) => item["type"] === entry(eitherCalls, type) && item["call_id"] === call_id))
  )

// ---------------------------------------------------------------------------------------------------------------------
// What of an item the vocabulary has no field for
// ---------------------------------------------------------------------------------------------------------------------

/** What of a content goes back with it, kept as its signature; undefined when there is nothing. */
export const sign = (fields: JsonRecord): string | undefined => {
  const kept = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null)
  return kept.length === 0 ? undefined : JSON.stringify(Object.fromEntries(kept))
}

/** What was kept so; empty when the signature is none of this wire. */
export const signed = (signature: string | undefined): JsonRecord =>
  signature?.startsWith("{") === true ? object(parseJson(signature)) : {}

/** The fields of a call besides those of every call. */
export const callFields = ["namespace", "caller", "async"] as const

/** The signature of a text by which the model refuses. */
export const refusal = '{"type":"refusal"}'

/** A value as it stands in a sentence: objects may have a `toString` that is no function. */
export const word = (value: unknown): string =>
  typeof value === "string" ? value : JSON.stringify(value)?.slice(0, 200) ?? "nothing"

/** What a table has under a name; what objects inherit is not in it. */
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

/** What a text stands on, where it has the form of OpenAI's annotations. */
export const isAnnotation = (value: unknown): boolean => isObject(value) && annotations.has(value["type"])

/**
 * The recorded traffic of real providers, which stands beside the project in ../shared/corpus and is no part of it.
 */
import { existsSync, readFileSync } from "node:fs"

export type Json = { readonly [key: string]: unknown }

export interface Exchange {
  readonly request: { readonly method: string; readonly path: string; readonly body: Json }
  readonly response: {
    readonly status: number
    readonly headers: { readonly [name: string]: string }
    /** A JSON document, or the whole text of a stream. */
    readonly body: string
  }
}

/** Several exchanges are a conversation: the later requests hold the earlier answers. */
export interface Recording {
  readonly id: string
  readonly provider: string
  readonly api: Api
  readonly exchanges: ReadonlyArray<Exchange>
}

export const apis = [
  "anthropic-messages",
  "openai-chat",
  "gemini-generate-content",
  "openrouter-chat",
  "openai-compatible-chat"
] as const
export type Api = typeof apis[number]

const folder = new URL("../../../shared/corpus/", import.meta.url)

/** Whether the recordings are there. */
export const available: boolean = apis.every((api) => existsSync(new URL(`${api}.jsonl`, folder)))

/** What a test is called that cannot run without the recordings. */
export const skipped = "skipped, because the recordings are absent (../shared/corpus)"

// The recordings hide ids, and with them the form of Mistral's, whose models refuse any other: nine letters and digits.
const withMistralIds = (line: string): string =>
  /"model": ?"(mistral|ministral|magistral)-/.test(line) ? line.replaceAll(/call_REDACTED_(?=\d\b)/g, "REDACTED") : line

export const recordings = (api: Api | "openai-responses"): ReadonlyArray<Recording> =>
  readFileSync(new URL(`${api}.jsonl`, folder), "utf8").split("\n").filter((line) => line !== "").map((line) =>
    JSON.parse(withMistralIds(line)) as Recording
  )

/** Whether the answer came as a stream: it was asked for as one, and was not refused. */
export const isStream = ({ request, response }: Exchange): boolean =>
  response.status === 200 && (request.body["stream"] === true || request.path.endsWith(":streamGenerateContent"))

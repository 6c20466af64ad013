/**
 * Decides whether an answer is a failure, and builds answers and errors from what a wire reports.
 */
import type { Completion } from "../Completion.ts"
import * as CompletionResponse from "../CompletionResponse.ts"
import * as Estimate from "../Estimate.ts"
import * as LLMError from "../LLMError.ts"
import { type Classified, classify, client, type Received, type Signal } from "../wire/failure.ts"
import { array, type JsonRecord, object, string } from "../wire/json.ts"
import type { Answer, Failures, Verdict } from "../wire/Wire.ts"
import { redactAnswer, redactJson } from "./secrets.ts"

/** An attempt, apart from the signal that ended it. */
export interface Attempt extends Omit<Received, "now"> {
  /** The name of the provider's instance. */
  readonly provider: string
  /** The requested model; empty if there was none. */
  readonly model: string
  readonly redact: (text: string) => string
  readonly warnings?: ReadonlyArray<CompletionResponse.Warning> | undefined
  readonly partial?: CompletionResponse.CompletionResponse | undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// Answers
// ---------------------------------------------------------------------------------------------------------------------

const hasOutput = (answer: Answer): boolean =>
  answer.choice.some((content) => content._tag === "Text" ? content.text !== "" : content._tag !== "Reasoning")

const answersTool = ({ prompt }: Completion): boolean =>
  prompt._tag === "User" && prompt.content.some((content) => content._tag === "ToolResult")

/** Why an answer counts as a failure, or undefined if it does not. */
export const judge = ({ finishes = {} }: Failures, answer: Answer, completion: Completion): Signal | undefined => {
  const unanswered = (verdict: Verdict, description: string): Signal => ({ _tag: "Unanswered", verdict, description })
  const { filter, finish = "", finishReason } = answer
  if (Object.hasOwn(finishes, finish)) {
    return unanswered(finishes[finish]!, `the answer ended with ${finish}${filter === undefined ? "" : `: ${filter}`}`)
  }
  if (answer.malformedCall !== undefined) {
    return unanswered(["EmptyResponse", "MalformedToolCall"], answer.malformedCall)
  }
  if (hasOutput(answer)) return undefined
  if (finish === "model_context_window_exceeded") {
    return unanswered(client("ContextWindow"), "the conversation fills the model's context window: shorten it")
  }
  if (finishReason._tag === "ContentFilter") {
    return unanswered(client("ContentFilter"), `the provider's filter blocked the answer: ${filter ?? finish}`)
  }
  if (finishReason._tag === "MaxTokens") {
    return unanswered(
      client("OutputBudget"),
      "maxTokens were used up before any text or tool call: raise maxTokens, or let the model reason less"
    )
  }
  if (
    answer.absent !== true && finishReason._tag === "Stop"
    && (answersTool(completion) || answer.stopSequence !== undefined)
  ) return undefined
  return unanswered(
    ["EmptyResponse", "NoContent"],
    `the answer holds neither text nor a tool call${finish === "" ? "" : ` (${finish})`}`
  )
}

// An answer with a complete tool call ended for it, whatever the provider reported, unless it was cut.
const finishOf = ({ choice, finishReason }: Answer): CompletionResponse.FinishReason =>
  ["Stop", "None", "Other"].includes(finishReason._tag) && choice.some((content) => content._tag === "ToolCall")
    ? { _tag: "ToolUse" }
    : finishReason

/** The answer that the caller receives. */
export const toResponse = (
  failures: Failures,
  answer: Answer,
  { headers = {}, model, provider, warnings = [] }: Attempt,
  now: number
): CompletionResponse.CompletionResponse => {
  const all = [...warnings, ...(answer.warnings ?? [])]
  return CompletionResponse.make({
    choice: answer.choice,
    finishReason: finishOf(answer),
    usage: answer.usage,
    passes: answer.passes,
    provider,
    model: answer.model ?? model,
    id: answer.id,
    requestId: failures.requestId(headers, undefined),
    stopSequence: answer.stopSequence,
    rateLimits: failures.rateLimits(headers, now),
    cost: answer.cost,
    warnings: all.length === 0 ? undefined : all,
    metadata: answer.metadata && { [provider]: answer.metadata as CompletionMetadata }
  })
}

type CompletionMetadata = NonNullable<CompletionResponse.CompletionResponse["metadata"]>[string]

/**
 * An answer that broke off after this many characters. Input or output tokens that the provider had not reported are
 * estimated, with a warning.
 */
export const brokenOff = (
  partial: CompletionResponse.CompletionResponse | undefined,
  characters: number,
  completion: Completion
): CompletionResponse.CompletionResponse | undefined => {
  if (partial === undefined) return undefined
  const { passes: _, usage, warnings = [], ...rest } = partial
  const estimated = Estimate.ofBroken(usage, {
    inputTokens: Estimate.inputTokens(completion),
    outputTokens: Math.max(Estimate.ofCharacters(characters), Estimate.outputTokens(partial))
  })
  if (estimated === usage) return partial
  const description = "estimated from the partial answer: the provider had not reported it yet"
  return CompletionResponse.make({
    ...rest,
    // The passes are left out: they would not add up to the estimate.
    usage: estimated,
    warnings: [...warnings, { field: "usage", description }]
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// Errors
// ---------------------------------------------------------------------------------------------------------------------

const bodyLimit = 8192

// Longer bodies are not redacted as JSON: an error keeps only a little of them.
const walkLimit = 8 * bodyLimit

// Room for a secret at the place where a text is cut, so that no part of it remains.
const margin = 4096

// The beginning of a long text. A plain slice would keep the whole text in memory.
const beginning = (text: string, length: number): string =>
  new TextDecoder().decode(new TextEncoder().encode(text.slice(0, length)))

// The part of a text that an error keeps, without secrets.
const excerpt = (text: string, redact: Attempt["redact"]): string => {
  if (text.length <= bodyLimit + margin) return redact(text).slice(0, bodyLimit)
  const redacted = redact(beginning(text, bodyLimit + margin))
  return redacted.slice(0, Math.min(bodyLimit, Math.max(0, redacted.length - margin)))
}

const excerptOf = (body: unknown, text: string, redact: Attempt["redact"]): string =>
  body === undefined || text.length > walkLimit
    ? excerpt(text, redact)
    : JSON.stringify(redactJson(body, redact)).slice(0, bodyLimit)

// What the provider wrote may repeat a secret; numbers cannot.
const withoutSecrets = (
  { passes, rateLimits, usage, ...written }: CompletionResponse.CompletionResponse,
  redact: Attempt["redact"]
): CompletionResponse.CompletionResponse =>
  CompletionResponse.make({ ...redactAnswer(written, redact), usage, rateLimits, passes })

// The causes of a cause, outermost first: the outermost message often says little.
const chain = (cause: unknown, depth = 0): ReadonlyArray<JsonRecord> => {
  if (typeof cause === "string") return [{ message: cause }]
  if (typeof cause !== "object" || cause === null || depth > 8) return []
  const { cause: below, errors, reason } = cause as { cause?: unknown; errors?: unknown; reason?: unknown }
  return [
    cause as unknown as JsonRecord,
    ...[reason, below, array(errors)[0]].flatMap((next) => chain(next, depth + 1))
  ]
}

const isHttpClientError = (item: JsonRecord): boolean =>
  ["HttpClientError", "TransportError", "DecodeError", "EncodeError"].includes(String(item["_tag"]))

// A cause without its request, which contains the key.
const ofNetwork = (
  cause: unknown,
  redact: Attempt["redact"]
): Classified & { readonly cause: Error } => {
  const causes = chain(cause)
  const texts = causes.flatMap((item) =>
    isHttpClientError(item)
      ? string(item["description"]) ?? []
      : string(item["message"]) ?? string(item["code"]) ?? []
  )
  const codes = causes.flatMap((item) => string(item["code"]) ?? [])
  const description = redact([...new Set(texts)].join(": ") || "the request failed in the network")
  return {
    verdict: ["Transient", isTimeout(causes) ? "Timeout" : "Network"],
    description,
    code: codes.at(-1),
    cause: Object.assign(new Error(description), { name: "NetworkError" })
  }
}

// The timeouts of undici, on which Node's fetch is built.
const clientTimeouts: ReadonlySet<unknown> = new Set(["UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT"])

const isTimeout = (causes: ReadonlyArray<JsonRecord>): boolean => causes.some(({ code }) => clientTimeouts.has(code))

/** The error for a signal: the only place where the transport builds errors. */
export const toError = (
  failures: Failures,
  signal: Signal,
  attempt: Attempt,
  now: number
): LLMError.LLMError => {
  const { headers = {}, model, partial, provider, redact } = attempt
  const found: Classified & { readonly cause?: unknown } = signal._tag === "Network"
    ? ofNetwork(signal.cause, redact)
    : classify(failures, signal, { status: attempt.status, headers, now })
  const { body, cause, code, description, retryAfter, retryable, status, text, verdict: [tag, reason] } = found
  const safe = (value: string | undefined): string | undefined =>
    value === undefined ? undefined : excerpt(value, redact)
  const kept = text === undefined ? undefined : excerptOf(body, text, redact)
  return LLMError.make(tag, {
    reason: reason as never,
    provider,
    model,
    description: excerpt(description, redact),
    status,
    code: safe(code),
    requestId: safe(failures.requestId(headers, object(body))),
    retryAfter,
    retryable,
    rateLimits: failures.rateLimits(headers, now),
    body: kept === "" ? undefined : kept,
    partial: partial && withoutSecrets(partial, redact),
    cause
  })
}

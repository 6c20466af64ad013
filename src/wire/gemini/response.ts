/**
 * Reads a generateContent body, or the events of a stream, each of which is such a body with a piece of the answer.
 * Parts are added up; for every other field, the last value counts. Source: Google AI for Developers, Gemini API
 * reference, "GenerateContentResponse".
 */
import type { CompletionPart } from "../../CompletionPart.ts"
import type { FinishReason, Pass } from "../../CompletionResponse.ts"
import * as TokenUsage from "../../TokenUsage.ts"
import { array, isObject, type JsonRecord, number, object, put, string, survives } from "../json.ts"
import { type Answer, finishReason, type Wire } from "../Wire.ts"
import { contents } from "./contents.ts"
import { firstLimit, type Options } from "./rules.ts"
import { continuation, countedFields, finishReasons } from "./shape.ts"

/** Thoughts are not included in the candidates' count, nor the tokens of tool results in the prompt's. */
export const usage = (usage: JsonRecord): TokenUsage.TokenUsage => {
  const thoughts = number(usage["thoughtsTokenCount"]) ?? 0
  return TokenUsage.make({
    inputTokens: (number(usage["promptTokenCount"]) ?? 0) + (number(usage["toolUsePromptTokenCount"]) ?? 0),
    outputTokens: (number(usage["candidatesTokenCount"]) ?? 0) + thoughts,
    cachedInputTokens: number(usage["cachedContentTokenCount"]) ?? 0,
    reasoningTokens: thoughts
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// Fields that come again with every event
// ---------------------------------------------------------------------------------------------------------------------

type Fields = Record<string, unknown>

// Lists that are streamed in pieces. All other fields are repeated in full.
const listed: ReadonlyArray<string> = ["logprobsResult", "citationMetadata"]

// Appends the lists of a field to the earlier ones. The first list is copied, and then grows.
const append = (into: Fields, field: string, value: JsonRecord): void => {
  const before = object(into[field]) as Fields
  for (const [key, items] of Object.entries(value)) {
    if (!Array.isArray(items)) put(before, key, items)
    else if (Array.isArray(before[key])) { for (const item of items) (before[key] as Array<unknown>).push(item) }
    else put(before, key, [...items])
  }
  into[field] = before
}

const assign = (into: Fields, fields: JsonRecord): void => {
  for (const key of Object.keys(fields)) {
    const value = fields[key]
    if (listed.includes(key) && isObject(value)) append(into, key, value)
    else put(into, key, value)
  }
}

const without = (fields: JsonRecord, names: ReadonlyArray<string>): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([name]) => !names.includes(name)))

// ---------------------------------------------------------------------------------------------------------------------
// Candidates
// ---------------------------------------------------------------------------------------------------------------------

const position = (candidate: JsonRecord, place: number): number => {
  const { index } = candidate
  return number(index) ?? (typeof index === "string" && /^\d{1,6}$/.test(index) ? Number(index) : place)
}

/** A candidate other than the answer, assembled as the API writes it. */
interface Other {
  readonly fields: Fields
  readonly parts: Array<Fields>
}

const isSame = (before: Fields | undefined, part: JsonRecord): before is Fields =>
  before !== undefined && typeof before["text"] === "string" && typeof part["text"] === "string"
  && before["thought"] === part["thought"] && before["thoughtSignature"] === undefined

const addOther = (other: Other, { content, ...fields }: JsonRecord): void => {
  assign(other.fields, fields)
  for (const part of array(object(content)["parts"])) {
    const last = other.parts.at(-1)
    if (!isObject(part)) continue
    if (isSame(last, part)) Object.assign(last, part, { text: `${String(last["text"])}${String(part["text"])}` })
    else other.parts.push({ ...part })
  }
}

// Why a filter blocked the prompt or the answer.
const filterOf = (body: JsonRecord, candidate: JsonRecord): string | undefined => {
  const feedback = object(body["promptFeedback"])
  const reason = string(feedback["blockReason"]) ?? string(candidate["finishReason"])
  const ratings = [...array(feedback["safetyRatings"]), ...array(candidate["safetyRatings"])].map(object)
  const blocked = ratings.filter((rating) => rating["blocked"] === true).flatMap((rating) =>
    string(rating["category"]) ?? []
  )
  const message = string(feedback["blockReasonMessage"]) ?? string(candidate["finishMessage"])
  const parts = [reason, ...blocked, message].filter((part) => part !== undefined)
  return parts.length === 0 ? undefined : parts.join(", ")
}

// ---------------------------------------------------------------------------------------------------------------------
// Answers
// ---------------------------------------------------------------------------------------------------------------------

/** Reads one answer, from one body or from many events. */
export interface Reader {
  readonly take: (body: JsonRecord, parts: Array<CompletionPart>) => void
  readonly close: (parts: Array<CompletionPart>) => void
  /** Whether the provider has collected how the answer ends. */
  readonly complete: () => boolean
  readonly head: () => { readonly id?: string | undefined; readonly model?: string | undefined }
  readonly answer: () => Answer | undefined
  /** The continuation token of a request that reached its own limit. */
  readonly token: () => string | undefined
  /** What follows belongs to a follow-up request, which continues this one. */
  readonly goOn: () => void
  /** How many parts changed the answer without emitting anything. */
  readonly changes: () => number
}

/** Every answer has at least one of these fields. */
const fields = ["candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId"]

// Finish reasons after which a call may be incomplete.
const isCut = ({ _tag }: FinishReason): boolean => _tag === "MaxTokens" || _tag === "ContentFilter"

/** A reader for the instance `name`. In a `whole` body every part is a content of its own. */
export const reader = (name: string, mintId: (index: number) => string, whole: boolean): Reader => {
  const collected = contents(name, mintId, whole)
  const body: Fields = {}
  let candidate: Fields = {}
  let counts: Fields = {}
  // The earlier requests of the same answer.
  const hops: Array<{ readonly usage: JsonRecord; readonly fields: JsonRecord }> = []
  const others = new Map<number, Other>()
  let isAnswer = false
  let candidates = false
  // The token of the current request, and whether the request produced anything.
  let sent: string | undefined
  let productive = false

  const finish = (): string | undefined => string(candidate["finishReason"])

  const takeFirst = ({ content, ...rest }: JsonRecord, parts: Array<CompletionPart>): void => {
    candidates = true
    assign(candidate, rest)
    for (const part of array(object(content)["parts"])) {
      if (!isObject(part)) continue
      if (part["text"] !== "" || part["thoughtSignature"] !== undefined) productive = true
      collected.add(part, parts)
    }
  }

  const takeOther = (place: number, candidate: JsonRecord): void => {
    const other = others.get(place) ?? { fields: {}, parts: [] }
    others.set(place, other)
    addOther(other, candidate)
  }

  // A repeated token does not continue the answer, nor does a request without output.
  const token = (): string | undefined => {
    const found = finish() === continuation ? string(candidate["continuationToken"]) : undefined
    return found !== sent && (productive || usage(counts).outputTokens > 0) ? found : undefined
  }

  const passes = (): ReadonlyArray<Pass> =>
    [...hops.map(({ usage }) => usage), ...(Object.keys(counts).length > 0 ? [counts] : [])]
      .map((counts) => ({ kind: "hop", usage: usage(counts) }))

  const metadata = (reason: FinishReason): JsonRecord | undefined => {
    const beyond = without(counts, countedFields)
    const first = hops[0]
    const shown = [
      // The reason tells which filter it was.
      ...(reason._tag === "ContentFilter" ? ["finishReason"] : []),
      // The caller can continue an answer that was cut or broke off. For a complete one, the token has no use.
      ...(reason._tag === "MaxTokens" || finish() === undefined ? ["continuationToken"] : [])
    ]
    const hidden = ["index", "finishReason", "continuationToken"].filter((name) => !shown.includes(name))
    const found: Fields = {
      ...without(body, ["modelVersion", "responseId"]),
      ...(finish() === undefined && { continuationToken: sent }),
      ...without(candidate, hidden),
      ...(Object.keys(beyond).length > 0 && { usageMetadata: beyond }),
      ...(first && {
        initialPromptTokenCount: first.usage["promptTokenCount"],
        hops: hops.map(({ fields, usage }) => ({ ...without(fields, ["continuationToken"]), usageMetadata: usage }))
      }),
      ...(others.size > 0 && {
        candidates: [...others].map(([index, { fields, parts }]) => ({ index, ...fields, content: { parts } }))
      })
    }
    // Values that JSON cannot represent, or that are nested too deeply.
    const storable = Object.entries(found).filter(([, value]) =>
      value !== undefined && value !== null && survives(value)
    )
    return storable.length === 0 ? undefined : Object.fromEntries(storable)
  }

  return {
    take: (event, parts) => {
      isAnswer ||= fields.some((field) => field in event)
      const { candidates: all, usageMetadata, ...rest } = event
      assign(body, rest)
      assign(counts, object(usageMetadata))
      array(all).forEach((item, place) => {
        if (!isObject(item)) return
        const at = whole ? place : position(item, place)
        if (at === 0) takeFirst(item, parts)
        else takeOther(at, item)
      })
    },
    close: collected.close,
    complete: () =>
      (finish() !== undefined && token() === undefined)
      || string(object(body["promptFeedback"])["blockReason"]) !== undefined,
    head: () => ({ id: string(body["responseId"]), model: string(body["modelVersion"]) }),
    token,
    goOn: () => {
      hops.push({ usage: counts, fields: candidate })
      sent = string(candidate["continuationToken"])
      counts = {}
      candidate = {}
      productive = false
      collected.goesOn()
    },
    changes: collected.changes,
    answer: () => {
      if (!isAnswer) return undefined
      const blockReason = string(object(body["promptFeedback"])["blockReason"])
      const word = finish()
      const reason: FinishReason = blockReason !== undefined && word === undefined
        ? { _tag: "ContentFilter" }
        // The follow-up request ended early or was not answered.
        : word === undefined && hops.length > 0
        ? { _tag: "MaxTokens" }
        : finishReason(finishReasons, word)
      const each = passes()
      return {
        choice: collected.choice(),
        finishReason: reason,
        finish: word ?? blockReason,
        filter: filterOf(body, candidate),
        absent: !candidates,
        usage: each.map(({ usage }) => usage).reduce(TokenUsage.add, TokenUsage.zero),
        passes: hops.length > 0 ? each : undefined,
        malformedCall: collected.malformed(word !== undefined && !isCut(reason)),
        metadata: metadata(reason),
        id: string(body["responseId"]),
        model: string(body["modelVersion"])
      }
    }
  }
}

/** The answer in a whole body. */
export const response = (name: string): Wire["response"] => (body, mintId, earlier = []) => {
  const read = reader(name, mintId, true)
  const parts: Array<CompletionPart> = []
  for (const before of earlier) {
    read.take(before, parts)
    read.goOn()
  }
  read.take(body, parts)
  return read.answer()
}

/** The extra fields of a follow-up request, when the answer takes more than one. */
export const continues =
  (name: string, options: Options): NonNullable<Wire["continues"]> => (bodies, completion, model) => {
    const read = reader(name, String, true)
    for (const [index, body] of bodies.entries()) {
      if (index > 0) read.goOn()
      read.take(body, [])
    }
    const candidate = object(array(bodies.at(-1)?.["candidates"])[0])
    const limited = firstLimit(completion, model, options) !== undefined
    // The first request has a lower limit than the caller's, so reaching it does not end the answer.
    const ended = limited && bodies.length === 1 && candidate["finishReason"] === "MAX_TOKENS"
    const continuationToken = read.token() ?? (ended ? string(candidate["continuationToken"]) : undefined)
    return continuationToken === undefined ? undefined : {
      continuationToken,
      ...(limited && { generationConfig: { maxOutputTokens: completion.maxTokens } })
    }
  }

/**
 * The recorded traffic of the Responses API, OpenAI's and that of compatible servers, through the wire itself.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import { existsSync, readFileSync } from "node:fs"
import * as Completion from "../../src/Completion.ts"
import * as CompletionPart from "../../src/CompletionPart.ts"
import type { CompletionResponse } from "../../src/CompletionResponse.ts"
import * as Message from "../../src/Message.ts"
import { responses, server } from "../../src/wire/responses/wire.ts"
import type { Asked, Wire } from "../../src/wire/Wire.ts"
import { make as random } from "../fuzz/random.ts"
import { broken, type Run, streamed, streamedText, whole } from "../wire/responsesRun.ts"
import { type Exchange, type Json, skipped } from "./corpus.ts"
import { frames } from "./events.ts"
import { compact, differences, list, parsed, record, records, text } from "./json.ts"

interface Recording {
  readonly id: string
  readonly provider: string
  readonly exchanges: ReadonlyArray<Exchange>
}

const files = ["openai-responses", "openai-compatible-responses"] as const

const path = (file: typeof files[number]) => new URL(`../../../shared/corpus/${file}.jsonl`, import.meta.url)

const available = files.every((file) => existsSync(path(file)))

const recordings = (): ReadonlyArray<Recording> =>
  files.flatMap((file) =>
    readFileSync(path(file), "utf8").split("\n").filter((line) => line !== "").map((line) => JSON.parse(line))
  )

interface One {
  readonly name: string
  readonly recording: Recording
  readonly exchange: Exchange
  readonly request: Json
  readonly wire: Wire
  readonly native: boolean
}

// One recording of OpenAI's client is of a server of another kind.
const isNative = ({ id, provider }: Recording): boolean => provider === "openai" && !id.includes("vllm")

const exchanges: ReadonlyArray<One> = !available ?
  [] :
  recordings().flatMap((recording) =>
    recording.exchanges.map((exchange, index) => {
      const native = isNative(recording)
      return {
        name: `${recording.id} #${index}`,
        recording,
        exchange,
        request: record(exchange.request.body),
        native,
        wire: responses({ name: recording.provider, native })
      }
    })
  )

const isStream = ({ exchange, request }: One): boolean => request["stream"] === true && exchange.response.status === 200

const asked = (one: One): Asked => {
  const decoded = server.decode({ body: one.request, headers: {}, path: "/responses" })
  return Result.getOrThrowWith(decoded, (refused) => new Error(`${one.name}: ${refused.description}`))
}

// One asks for what an earlier one stored, which is refused; others are no requests at all.
const isAsked = ({ request }: One): boolean =>
  request["input"] !== undefined && request["previous_response_id"] === undefined

const completionOf = (one: One): Completion.Completion =>
  isAsked(one) ? asked(one).completion : Completion.make({ model: text(one.request["model"]), prompt: "Hi" })

const run = (one: One): Run => {
  const { body, status } = one.exchange.response
  return isStream(one)
    ? streamedText(one.wire, completionOf(one), body)
    : whole(one.wire, completionOf(one), body, status)
}

// ---------------------------------------------------------------------------------------------------------------------
// What a body says, without anything of the code under test
// ---------------------------------------------------------------------------------------------------------------------

const events = (one: One): ReadonlyArray<Json> => frames(one.exchange.response.body).map(({ data }) => record(data))

/** The body of an answer; of a stream the last event, with the items that were done where it repeats none. */
const bodyOf = (one: One): Json => {
  if (!isStream(one)) return record(JSON.parse(one.exchange.response.body))
  const all = events(one)
  const body = record(
    all.find(({ type }) => type === "response.completed" || type === "response.incomplete")?.["response"]
  )
  const done = all.filter(({ type }) => type === "response.output_item.done")
  // The encrypted form of an item is the one that it was done with.
  const items = done.toSorted((a, b) => Number(a["output_index"]) - Number(b["output_index"])).map(({ item }) => item)
  return { ...body, output: list(body["output"]).length > items.length ? body["output"] : items }
}

const partsOf = (item: Json): ReadonlyArray<Json> =>
  typeof item["content"] === "string" ? [{ type: "output_text", text: item["content"] }] : records(item["content"])

const words = (parts: unknown): string => records(parts).map(({ text: piece }) => text(piece)).join("|")

// The items of an answer in one form, whoever wrote them: as they stand in a body, and as contents.
const said = (item: Json): ReadonlyArray<Json> => {
  switch (item["type"]) {
    case "message":
      return partsOf(item).map((part) => ({
        text: text(part["text"]) + text(part["refusal"]),
        phase: item["phase"] ?? undefined,
        refused: part["type"] === "refusal"
      }))
    case "reasoning": {
      const told = {
        summary: words(item["summary"]),
        content: words(item["content"]),
        encrypted: text(item["encrypted_content"])
      }
      return Object.values(told).every((value) => value === "") ? [] : [told]
    }
    case "function_call": {
      const value = parsed(item["arguments"])
      return value === undefined ? [] : [{ call: item["call_id"], name: item["name"], arguments: value.value }]
    }
    default:
      return [item]
  }
}

const saidBy = (content: Message.AssistantContent): Json => {
  switch (content._tag) {
    case "Text":
      return { text: content.text, phase: content.phase, refused: content.signature !== undefined }
    case "Reasoning": {
      const texts = (tag: string) =>
        content.content.flatMap((part) => part._tag === tag && "text" in part ? part.text : [])
      return {
        summary: texts("Summary").join("|"),
        content: texts("Text").join("|"),
        encrypted: content.content.flatMap((part) => part._tag === "Encrypted" ? part.data : []).join("|")
      }
    }
    case "ToolCall":
      return { call: content.id, name: content.name, arguments: content.arguments }
    default:
      return record(content)
  }
}

const finishes: Readonly<Record<string, string>> = { max_output_tokens: "MaxTokens", content_filter: "ContentFilter" }

const finishOf = (body: Json, contents: ReadonlyArray<Json>): string =>
  body["status"] === "incomplete"
    ? finishes[text(record(body["incomplete_details"])["reason"])] ?? "Other"
    : contents.some(({ call }) => call !== undefined)
    ? "ToolUse"
    : contents.some(({ refused }) => refused === true)
    ? "ContentFilter"
    : "Stop"

const expected = (body: Json) => {
  const choice = records(body["output"]).flatMap(said)
  const usage = record(body["usage"])
  return {
    choice,
    finish: finishOf(body, choice),
    id: body["id"],
    model: body["model"],
    input: usage["input_tokens"],
    output: usage["output_tokens"],
    cached: record(usage["input_tokens_details"])["cached_tokens"] ?? 0,
    written: record(usage["input_tokens_details"])["cache_write_tokens"] ?? 0,
    reasoned: record(usage["output_tokens_details"])["reasoning_tokens"] ?? 0
  }
}

const actual = ({ choice, finishReason, id, model, usage }: CompletionResponse) => ({
  choice: choice.map(saidBy),
  finish: finishReason._tag,
  id,
  model,
  input: usage.inputTokens,
  output: usage.outputTokens,
  cached: usage.cachedInputTokens,
  written: usage.cacheWriteTokens,
  reasoned: usage.reasoningTokens
})

// ---------------------------------------------------------------------------------------------------------------------
// Requests
// ---------------------------------------------------------------------------------------------------------------------

// An item of a request without what tells it apart from its like: ids of stored items, and what is said by default.
const bare = (item: Json): Json => {
  switch (item["type"] ?? "message") {
    case "message":
      return compact({
        role: item["role"] === "developer" ? "system" : item["role"],
        phase: item["phase"],
        content: partsOf(item).map((part) => compact(part, "type", "annotations", "logprobs"))
      })
    case "function_call":
      return { call: item["call_id"], name: item["name"], arguments: parsed(item["arguments"])?.value }
    case "function_call_output":
      return { call: item["call_id"], output: item["output"] }
    case "reasoning":
      return compact({
        summary: words(item["summary"]),
        content: words(item["content"]),
        encrypted: item["encrypted_content"] ?? undefined
      })
    default:
      return compact(item, "id", "status")
  }
}

// OpenAI gets reasoning back in its encrypted form alone.
const isSent = (native: boolean) => (item: Json): boolean =>
  item["type"] !== "reasoning" || !native || text(item["encrypted_content"]) !== ""

const inputOf = (request: Json): ReadonlyArray<Json> =>
  typeof request["input"] === "string"
    ? [{ type: "message", role: "user", content: request["input"] }]
    : records(request["input"])

const sent = ({ wire }: One, completion: Completion.Completion): Json => {
  const request = wire.request(completion, completion.model ?? "", false)
  assert(!("_tag" in request), `${wire.name} refuses what was sent`)
  return request.body
}

describe("recorded Responses", () => {
  if (!available) it.skip(skipped, () => {})
  else {
    it("every answer is read as its body says, streamed or not, and every failure is judged", () => {
      const found: Array<string> = []
      const counts: Record<string, number> = {}
      for (const one of exchanges) {
        const { error, parts, response } = run(one)
        const kind = error === undefined ? isStream(one) ? "stream" : "body" : `${error._tag} ${error.reason}`
        counts[kind] = (counts[kind] ?? 0) + 1
        const answer = response ?? (error?.reason === "OutputBudget" ? error.partial : undefined)
        found.push(
          ...[
            ...(isStream(one) ? broken({ parts, response, error }) : []),
            ...(answer === undefined ? [] : differences(expected(bodyOf(one)), actual(answer)))
          ].map((line) => `${one.name} ${line}`)
        )
      }
      assert.deepStrictEqual(found, [])
      assert.deepStrictEqual(counts, {
        body: 103,
        stream: 73,
        "ClientError Authentication": 3,
        "ClientError InvalidRequest": 2,
        "ClientError NotFound": 5,
        "ClientError OutputBudget": 4
      })
    })

    it("a stream says the same in whatever pieces it comes", () => {
      const { below } = random(1)
      const found = exchanges.filter(isStream).flatMap((one) => {
        const bytes = new TextEncoder().encode(one.exchange.response.body)
        const completion = completionOf(one)
        const once = run(one)
        return [1 + below(3), 4 + below(60)].flatMap((count) => {
          const cuts = Array.from({ length: count }, () => below(bytes.length)).toSorted((a, b) => a - b)
          const pieces = [...cuts, bytes.length].map((end, at) => bytes.slice(cuts[at - 1] ?? 0, end))
          const { error, parts } = streamed(one.wire, completion, pieces)
          return [...differences(once.parts, parts, "parts"), ...differences(once.error, error, "error")]
            .map((line) => `${one.name} cut at ${cuts.join(", ")}: ${line}`)
        })
      })
      assert.deepStrictEqual(found, [])
    })

    it("a stream that breaks off is Truncated with the partial answer, unless its end was received", () => {
      let truncated = 0
      let ended = 0
      const found = exchanges.filter(isStream).flatMap((one) => {
        const all = frames(one.exchange.response.body)
        const completion = completionOf(one)
        const count = Math.min(all.length, 24)
        return Array.from({ length: count + 1 }, (_, at) => Math.round(at * all.length / count)).flatMap((boundary) => {
          const cut = streamedText(
            one.wire,
            completion,
            one.exchange.response.body.slice(0, all[boundary - 1]?.end ?? 0)
          )
          const told = all.slice(0, boundary).some(({ data }) =>
            ["response.completed", "response.incomplete"].includes(text(record(data)["type"]))
          )
          if (told) ended++
          else truncated++
          return [
            ...broken(cut),
            ...(told ? [] : differences("Truncated", cut.error?.reason, "reason"))
          ].map((line) => `${one.name} after ${boundary} of ${all.length}: ${line}`)
        })
      })
      assert.deepStrictEqual(found, [])
      assert.deepStrictEqual({ truncated, ended }, { truncated: 1289, ended: 77 })
    })

    it("a request that is read and written again asks the same", () => {
      const found = exchanges.filter(isAsked).flatMap((one) => {
        const { completion, model, streamed } = asked(one)
        // Its own history is the client's own.
        const own = Completion.make({
          ...completion,
          history: Completion.messages(completion).slice(0, -1).map((message) =>
            message._tag === "Assistant" ? Message.assistant(message.content, { provider: one.wire.name }) : message
          )
        })
        const body = sent(one, own)
        const recorded = one.request
        return [
          ...differences(recorded["model"], model, "model"),
          ...differences(recorded["stream"] === true, streamed, "stream"),
          ...differences(inputOf(recorded).filter(isSent(one.native)).map(bare), inputOf(body).map(bare), "input"),
          // One server wants instructions, were they empty.
          ...differences(recorded["instructions"] || undefined, body["instructions"], "instructions"),
          ...["max_output_tokens", "tool_choice", "parallel_tool_calls"].flatMap((field) =>
            differences(recorded[field], body[field], field)
          ),
          ...differences(
            records(recorded["tools"]).map((tool) => compact(tool, "strict")),
            records(body["tools"]).map((tool) => compact(tool, "strict")),
            "tools"
          )
        ].map((line) => `${one.name} ${line}`)
      })
      assert.deepStrictEqual(found, [])
    })

    it("an answer goes back as it came", () => {
      const found: Array<string> = []
      let turns = 0
      for (const recording of new Set(exchanges.map(({ recording }) => recording))) {
        const answers: Array<{ readonly items: ReadonlyArray<Json>; readonly message: Message.Assistant }> = []
        for (const one of exchanges.filter((one) => one.recording === recording)) {
          const items = isAsked(one) ? inputOf(one.request) : []
          for (const { items: answered, message } of answers) {
            const first = bare(answered[0] ?? {})
            const at = items.findIndex((item) => differences(first, bare(item)).length === 0)
            if (at < 0 || answered.length === 0) continue
            const recorded = items.slice(at, at + answered.length)
            // The recorded client leaves some of the items out.
            if (differences(answered.map(bare), recorded.map(bare)).length > 0) continue
            turns++
            const body = sent(one, Completion.make({ model: "m", history: [Message.user("a"), message], prompt: "b" }))
            found.push(
              ...differences(
                recorded.filter(isSent(one.native)).map(bare),
                inputOf(body).slice(1, -1).map(bare)
              ).map((line) => `${one.name} ${line}`)
            )
          }
          const { response } = run(one)
          if (response !== undefined) answers.push({ items: records(bodyOf(one)["output"]), message: response.message })
        }
      }
      assert.deepStrictEqual(found, [])
      assert.strictEqual(turns, 49)
    })

    it("an answer that is written again, as a body and as a stream, is read as the same", () => {
      const stamp = { seed: "seed", created: 0 }
      const found = exchanges.filter(isAsked).flatMap((one) => {
        const { response } = run(one)
        if (response === undefined) return []
        const about = asked(one)
        const body = JSON.stringify(server.encode({ response }, about, stamp))
        const encoder = server.stream(about, stamp)
        const stream = CompletionPart.fromResponse(response).flatMap(encoder.part).join("")
        const again = whole(one.wire, about.completion, body)
        const streamedAgain = streamedText(one.wire, about.completion, stream)
        const normal = (answer: CompletionResponse | undefined) =>
          answer &&
          { ...actual(answer), choice: answer.choice.map(saidBy).map((content) => compact(content, "refused")) }
        return [
          ...differences(normal(response), normal(again.response), "body"),
          ...differences(normal(response), normal(streamedAgain.response), "stream"),
          ...broken(streamedAgain)
        ].map((line) => `${one.name} ${line}`)
      })
      assert.deepStrictEqual(found, [])
    })
  }
})

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { type Api, apis, available, type Exchange, isStream, type Json, recordings, skipped } from "./corpus.ts"
import { at, count, isRecord, record } from "./json.ts"
import { replay } from "./replay.ts"

// The documents of a body: itself, or those of the events of a stream.
const documents = (exchange: Exchange): ReadonlyArray<Json> =>
  isStream(exchange)
    ? exchange.response.body.split(/\r?\n/).flatMap((line) => {
      const data = line.startsWith("data:") ? line.slice(5).trim() : ""
      return data.startsWith("{") ? [record(JSON.parse(data))] : []
    })
    : [record(JSON.parse(exchange.response.body))]

// Usage stands at the top, in the message that opens a stream of Anthropic, or in a field of Gemini's.
const reported = (exchange: Exchange): ReadonlyArray<Json> =>
  exchange.response.status !== 200 ?
    [] :
    documents(exchange).flatMap((document) =>
      [document["usage"], document["usageMetadata"], at(document, "message", "usage")].filter(isRecord)
    )

/** The identities that hold over all usage that a provider ever reported in the recordings. */
const identities: { readonly [A in Api]: (usage: Json) => boolean } = {
  "anthropic-messages": (usage) =>
    count(at(usage, "output_tokens_details", "thinking_tokens")) <= count(usage["output_tokens"]),
  "openai-chat": chatIdentity,
  "openrouter-chat": chatIdentity,
  "openai-compatible-chat": chatIdentity,
  "gemini-generate-content": (usage) =>
    count(usage["totalTokenCount"]) ===
      ["promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount"]
        .reduce((sum, key) => sum + count(usage[key]), 0)
}

function chatIdentity(usage: Json): boolean {
  return count(usage["total_tokens"]) === count(usage["prompt_tokens"]) + count(usage["completion_tokens"])
    && count(at(usage, "prompt_tokens_details", "cached_tokens")) <= count(usage["prompt_tokens"])
    && count(at(usage, "completion_tokens_details", "reasoning_tokens")) <= count(usage["completion_tokens"])
}

/** Reports that break an identity, by the recording. */
const exceptions: ReadonlyArray<{ readonly recording: RegExp; readonly why: string }> = [
  {
    recording: /^mistral\/multimodal_content\/.*_sends_audio$/,
    why: "the prompt's tokens leave out those of the audio, which the total holds: they are taken as reported"
  },
  {
    recording: /^doubleword\/response_identity_edge\/streaming_identity_contract_vs_reality$/,
    why: "a stream that reports two tokens more of reasoning than of the completion"
  }
]

/** The total that the provider itself reports; Anthropic reports none. */
const totalOf = (usage: Json): unknown => usage["total_tokens"] ?? usage["totalTokenCount"]

/** How many reports of usage a file holds, and how many answers without streaming come with a total. */
const holds: { readonly [A in Api]: { readonly reports: number; readonly totals: number } } = {
  "anthropic-messages": { reports: 397, totals: 0 },
  "openai-chat": { reports: 151, totals: 83 },
  "gemini-generate-content": { reports: 338, totals: 134 },
  "openrouter-chat": { reports: 176, totals: 100 },
  "openai-compatible-chat": { reports: 463, totals: 298 }
}

describe("recorded usage", () => {
  if (!available) it.skip(skipped, () => {})
  else {
    for (const api of apis) {
      it.effect(`${api}: counts add up as documented, and to what the provider says itself`, () =>
        Effect.gen(function*() {
          const found: Array<string> = []
          const needed = new Set<string>()
          let reports = 0
          let totals = 0
          for (const recording of recordings(api)) {
            const broken: Array<string> = []
            for (const [index, exchange] of recording.exchanges.entries()) {
              const usages = reported(exchange)
              reports += usages.length
              for (const usage of usages) {
                if (!identities[api](usage)) broken.push(`#${index} ${JSON.stringify(usage)}`)
              }
            }
            for (const { exchange, index, result } of yield* replay(recording)) {
              const answer = Result.isSuccess(result) ? result.success : result.failure.partial
              if (answer === undefined) continue
              const ours = answer.usage
              const total = reported(exchange).map(totalOf)[0]
              if (total !== undefined) totals++
              const holds = (total === undefined || total === ours.totalTokens)
                && ours.totalTokens === ours.inputTokens + ours.outputTokens
                && ours.cachedInputTokens + ours.cacheWriteTokens <= ours.inputTokens
                && ours.reasoningTokens <= ours.outputTokens
              if (!holds) broken.push(`#${index} ${JSON.stringify(ours)}, total ${String(total)}`)
            }
            const exception = exceptions.find((exception) => exception.recording.test(recording.id))
            if (exception === undefined) found.push(...broken.map((line) => `${recording.id} ${line}`))
            else if (broken.length > 0) needed.add(exception.why)
          }
          assert.deepStrictEqual(found, [])
          assert.deepStrictEqual(
            [...needed].toSorted(),
            api === "openai-compatible-chat" ? exceptions.map(({ why }) => why).toSorted() : [],
            "every exception is needed"
          )
          assert.deepStrictEqual({ reports, totals }, holds[api])
        }))
    }
  }
})

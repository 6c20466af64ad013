import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { outcomeDifferences } from "./compared.ts"
import { type Api, apis, available, isStream, type Json, type Recording, recordings, skipped } from "./corpus.ts"
import { outcome } from "./expected.ts"
import { differences } from "./json.ts"
import { replay, type Replayed } from "./replay.ts"

// The address and the model are those of the recorded request.
const requestDifferences = ({ exchange, sent }: Replayed): ReadonlyArray<string> => [
  ...differences(exchange.request.method, sent.method, "method"),
  ...differences(exchange.request.path.replace("streamGenerateContent", "generateContent"), sent.url.pathname, "path"),
  ...differences("", sent.url.search, "query"),
  ...differences(exchange.request.body["model"], sent.body["model"], "model")
]

/** How many exchanges a file holds whose answer is no stream, and how they end. */
const holds: { readonly [A in Api]: { readonly exchanges: number; readonly failures: Json } } = {
  "anthropic-messages": {
    exchanges: 189,
    failures: { "ClientError Authentication": 1, "ClientError InvalidRequest": 14, "ClientError NotFound": 3 }
  },
  "openai-chat": {
    exchanges: 84,
    failures: { "ClientError InvalidRequest": 1, "ClientError OutputBudget": 12 }
  },
  "gemini-generate-content": {
    exchanges: 136,
    failures: { "ClientError Authentication": 1, "ClientError NotFound": 1, "ClientError OutputBudget": 1 }
  },
  "openrouter-chat": {
    exchanges: 101,
    failures: { "ClientError InvalidRequest": 1, "ClientError OutputBudget": 6 }
  },
  "openai-compatible-chat": {
    exchanges: 321,
    failures: {
      "ClientError Authentication": 2,
      "ClientError ContextWindow": 2,
      "ClientError InvalidRequest": 13,
      "ClientError NotFound": 3,
      "ClientError OutputBudget": 28,
      "ClientError Permission": 2,
      "Transient Server": 1
    }
  }
}

const replayAll = (all: ReadonlyArray<Recording>) =>
  Effect.forEach(all, (recording) => Effect.map(replay(recording), (replayed) => ({ recording, replayed })))

describe("recorded answers", () => {
  if (!available) it.skip(skipped, () => {})
  else {
    for (const api of apis) {
      it.effect(`${api}: every answer is read as its body says, and every failure is judged`, () =>
        Effect.gen(function*() {
          const all = recordings(api)
          const done = yield* replayAll(all)
          const found = done.flatMap(({ recording, replayed }) =>
            replayed.flatMap((one) =>
              [
                ...requestDifferences(one),
                ...outcomeDifferences(api, one, outcome(api, one.exchange, one.conversation.endsWithResult))
              ].map((line) => `${recording.id} #${one.index} ${line}`)
            )
          )
          const replayed = done.flatMap(({ replayed }) => replayed)
          const failures: Record<string, number> = {}
          for (const { result } of replayed) {
            if (Result.isSuccess(result)) continue
            const kind = `${result.failure._tag} ${result.failure.reason}`
            failures[kind] = (failures[kind] ?? 0) + 1
          }
          assert.deepStrictEqual(found, [])
          assert.deepStrictEqual({ exchanges: replayed.length, failures }, holds[api])
          assert.strictEqual(
            replayed.length,
            all.flatMap(({ exchanges }) => exchanges).filter((exchange) => !isStream(exchange)).length
          )
        }))
    }
  }
})

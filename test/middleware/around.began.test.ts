import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { Completion, type LLMClient } from "../../src/index.ts"
import { around } from "../../src/middleware/around.ts"
import { type Answer, answer, failure, noting } from "../clients.ts"

const request = Completion.make({ prompt: "Hello" })

/** A client that says what happens around its calls, each by the number that it took. */
const surrounded = (
  answerWith: Answer,
  change: (client: LLMClient.Service) => Partial<LLMClient.Service> = () => ({})
) => {
  const log: Array<string> = []
  const { client } = noting(answerWith)
  let calls = 0
  return {
    log,
    ...around({ ...client, ...change(client) }, {
      before: () => Effect.sync(() => ++calls),
      began: (taken) => Effect.sync(() => void log.push(`${taken} began`)),
      after: (taken, { _tag }) => Effect.sync(() => void log.push(`${taken} ${_tag}`))
    })
  }
}

describe("around a stream that begins", () => {
  it.effect("tells once that a stream began, ahead of its reader", () =>
    Effect.gen(function*() {
      const { log, stream } = surrounded(() => Effect.succeed(answer()))
      yield* Stream.runForEach(Stream.rechunk(stream(request), 1), ({ _tag }) => Effect.sync(() => void log.push(_tag)))
      assert.deepStrictEqual(log, ["1 began", "TextDelta", "1 Answered", "Finish"])
    }))

  it.effect("tells the runs of one stream apart", () =>
    Effect.gen(function*() {
      const { log, stream } = surrounded(() => Effect.fail(failure("Transient", "Server")))
      const run = Effect.exit(Stream.runDrain(stream(request)))
      yield* Effect.all([run, run])
      assert.deepStrictEqual(log, ["1 began", "1 Failed", "2 began", "2 Failed"])
    }))

  it.effect("tells nothing of a completion, and of a stream that fails before its first part", () =>
    Effect.gen(function*() {
      const { completion, log, stream } = surrounded(() => Effect.succeed(answer()), () => ({
        stream: () => Stream.fail(failure("Transient", "Server"))
      }))
      yield* completion(request)
      yield* Effect.exit(Stream.runDrain(stream(request)))
      assert.deepStrictEqual(log, ["1 Answered", "2 Failed"])
    }))
})

/**
 * Reads the same fields out of many documents, eight at a time, with progress and what it costs:
 *
 *     npx node examples/extract.ts
 *     npx node examples/extract.ts 50
 *
 * The provider is simulated in this process, and no better than a real one: some requests meet a rate limit, and some
 * answers do not match and go back to the model. Put `NodeHttpClient.layerUndici` in its place to ask the real one.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer, Redacted, Ref, Schema, Stream } from "effect"
import { Completion, type CompletionResponse, LLMError, OpenAi, Retry, Throttle, TokenUsage } from "../src/index.ts"
import * as Output from "../src/Output.ts"
import * as Prices from "../src/Prices.ts"
import { Simulator } from "../src/testing/index.ts"

const Letter = Schema.Struct({
  sender: Schema.String,
  euros: Schema.Finite.annotate({ description: "The amount that the letter asks for" }),
  due: Schema.optionalKey(Schema.Date)
})

interface Document {
  readonly id: number
  readonly text: string
}

const documents = (count: number): ReadonlyArray<Document> =>
  Array.from({ length: count }, (_, id) => ({
    id,
    text: `Dear customer, please pay ${10 + id} euros by 2026-12-${10 + (id % 20)}. Yours, company ${id}.`
  }))

// ---------------------------------------------------------------------------------------------------------------------
// Extraction
// ---------------------------------------------------------------------------------------------------------------------

/** What one document took: tokens of all attempts, and dollars by the list prices. */
interface Spent {
  readonly usage: TokenUsage.TokenUsage
  readonly dollars: number
  readonly attempts: number
}

const spentOn = (response: CompletionResponse.CompletionResponse): Spent => {
  const { count, usage: failed } = LLMError.total(response.attempts ?? [])
  const usage = TokenUsage.add(response.usage, failed)
  return { usage, dollars: Prices.cost({ ...response, usage }) ?? 0, attempts: count + 1 }
}

const nothing: Spent = { usage: TokenUsage.zero, dollars: 0, attempts: 0 }

const add = (a: Spent, b: Spent): Spent => ({
  usage: TokenUsage.add(a.usage, b.usage),
  dollars: a.dollars + b.dollars,
  attempts: a.attempts + b.attempts
})

const extract = ({ id, text }: Document) =>
  Output.object(
    Completion.make({ preamble: "You read letters.", prompt: text, maxTokens: 500 }),
    Letter,
    { repairs: 2 }
  ).pipe(
    Effect.map(({ response, value }) => ({ id, value, spent: spentOn(response) })),
    // One letter that cannot be read does not end the others.
    Effect.catch((error) => Effect.succeed({ id, value: undefined, error, spent: nothing }))
  )

const program = (count: number) =>
  Effect.gen(function*() {
    const total = yield* Ref.make(nothing)
    let done = 0
    const letters = yield* Stream.fromIterable(documents(count)).pipe(
      Stream.mapEffect(extract, { concurrency: 8, unordered: true }),
      Stream.tap(({ spent }) =>
        Effect.gen(function*() {
          const { dollars, usage } = yield* Ref.updateAndGet(total, (sum) => add(sum, spent))
          if (++done % 50 === 0) {
            yield* Console.log(`${done} of ${count}: ${usage.totalTokens} tokens, $${dollars.toFixed(4)}`)
          }
        })
      ),
      Stream.runCollect
    )
    const read = letters.flatMap(({ value }) => value === undefined ? [] : [value])
    const { attempts } = yield* Ref.get(total)
    yield* Console.log(
      `${read.length} of ${count} letters read in ${attempts} requests, `
        + `${read.reduce((sum, { euros }) => sum + euros, 0)} euros due`
    )
  })

// ---------------------------------------------------------------------------------------------------------------------
// The model
// ---------------------------------------------------------------------------------------------------------------------

/** Reads a letter as a model might: now and then it writes an amount as a word, until it is told. */
const reading: NonNullable<Simulator.Options["answer"]> = (completion) => {
  const said = JSON.stringify(Completion.messages(completion))
  const [, euros = "", due = "", id = ""] = /pay (\d+) euros by ([\d-]+)\. Yours, company (\d+)/.exec(said) ?? []
  const careless = Number(id) % 10 === 3 && !said.includes("does not match")
  return JSON.stringify({
    sender: `company ${id}`,
    euros: careless ? "some" : Number(euros),
    due: `${due}T00:00:00.000Z`
  })
}

const Reader = Retry.layer({ RateLimit: { base: "5 millis", cap: "20 millis" } }).pipe(
  Layer.provide(Throttle.layer({ concurrency: 8 })),
  Layer.provide(OpenAi.layer({ apiKey: Redacted.make("simulated"), model: "gpt-6-luna" })),
  Layer.provide(Simulator.layer({
    answer: reading,
    failures: Array.from({ length: 5 }, () => ({ _tag: "RateLimit" }) as const)
  }))
)

program(Number(process.argv[2] ?? 200)).pipe(Effect.provide(Reader), NodeRuntime.runMain)

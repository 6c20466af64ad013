/**
 * Measures the CPU time that `Telemetry` adds to a call: with nobody to tell (Effect's own tracer, and metrics that no
 * exporter reads), and with a tracer. The client below answers at once. Prints a Markdown table; every number is the
 * median of several rounds, less that of the same call without telemetry.
 */
import { Effect, Layer, Stream, Tracer } from "effect"
import { Completion, CompletionPart, CompletionResponse, LLMClient, Telemetry, TokenUsage } from "../src/index.ts"

const response = CompletionResponse.make({
  choice: [{ _tag: "Text", text: "Hello" }],
  finishReason: { _tag: "Stop" },
  usage: TokenUsage.make({ inputTokens: 10, outputTokens: 5 }),
  provider: "test",
  model: "some-model"
})

const delta = { _tag: "TextDelta", index: 0, text: "a" } as const
const [start, ...rest] = CompletionPart.fromResponse(response)

const client = (chunks: number): LLMClient.Service => ({
  provider: "test",
  model: "some-model",
  baseUrl: "https://example.com",
  completion: () => Effect.succeed(response),
  stream: () =>
    Stream.fromArrays<ReadonlyArray<ReadonlyArray<CompletionPart.CompletionPart>>>(
      [start!, delta],
      ...Array.from({ length: chunks - 2 }, () => [delta]),
      rest
    )
})

const tracer = Layer.succeed(Tracer.Tracer, Tracer.make({ span: (options) => new Tracer.NativeSpan(options) }))

const ask = Completion.make({ prompt: "Why is the sky blue?" })
const completion = LLMClient.completion(ask)
const stream = Stream.runDrain(LLMClient.stream(ask))

const rounds = 11

/** Microseconds of CPU that one run takes. */
const cpu = async <E>(
  run: Effect.Effect<unknown, E, LLMClient.LLMClient>,
  layer: Layer.Layer<LLMClient.LLMClient>,
  times: number
): Promise<number> => {
  const measured: Array<number> = []
  const all = Effect.provide(Effect.repeat(run, { times: times - 1 }), layer)
  for (let round = 0; round < rounds + 3; round++) {
    const before = process.cpuUsage()
    await Effect.runPromise(all)
    const { system, user } = process.cpuUsage(before)
    if (round >= 3) measured.push((user + system) / times)
  }
  return measured.toSorted((a, b) => a - b)[measured.length >> 1]!
}

const cases = [
  ["layer, nobody to tell", Telemetry.layer(), false],
  ["layer without metrics, nobody to tell", Telemetry.layer({ metrics: false }), false],
  ["layerAttempts, nobody to tell", Telemetry.layerAttempts(), false],
  ["layer, both names, nobody to tell", Telemetry.layer({ names: "both" }), false],
  ["layer, a tracer", Telemetry.layer(), true]
] as const

const below = (chunks: number) => Layer.succeed(LLMClient.LLMClient, client(chunks))

const plain = await cpu(completion, below(3), 20_000)
const short = await cpu(stream, below(3), 5000)
const long = await cpu(stream, below(1003), 50)

console.log("| what is added | completion, µs | stream of 3 chunks, µs | each further chunk, µs |")
console.log("| --- | --- | --- | --- |")
for (const [name, telemetry, traced] of cases) {
  const over = (chunks: number) => {
    const observed = Layer.provide(telemetry, below(chunks))
    return traced ? Layer.merge(observed, tracer) : observed
  }
  const whole = await cpu(completion, over(3), 20_000) - plain
  const streamed = await cpu(stream, over(3), 5000) - short
  const further = (await cpu(stream, over(1003), 50) - long - streamed) / 1000
  console.log(`| ${name} | ${whole.toFixed(2)} | ${streamed.toFixed(2)} | ${further.toFixed(2)} |`)
}

/** Telemetry through Effect's exporter to a receiver on loopback, in OpenTelemetry's protocol. */
import { assert, describe, it } from "@effect/vitest"
import { ProtobufMetricsSerializer, ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer"
import { ESpanKind, type IScopeSpans } from "@opentelemetry/otlp-transformer/build/src/trace/internal-types.js"
import { type Duration, Effect, Exit, Layer, Logger, Metric, Redacted, Stream } from "effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Otlp from "effect/observability/Otlp"
import { Anthropic, Completion, LLMClient, type Message, Retry, Telemetry } from "../../src/index.ts"
import { Simulator } from "../../src/testing/index.ts"
import { decodeMetrics, decodeTraces, plainAttributes, type Received, receiver } from "./otlp.ts"

const ask = Completion.make({ prompt: "Why is the sky blue?", maxTokens: 100 })
const key = "sk-ant-secret"

const quick = { base: 0, cap: 0 }

/** Effect's exporter; log lines become events of spans, and are not printed. */
const exporter = (baseUrl: string, shutdownTimeout: Duration.Input = "5 seconds") =>
  Otlp.layerProtobuf({ baseUrl, resource: { serviceName: "shop" }, shutdownTimeout }).pipe(
    Layer.provide(FetchHttpClient.layer),
    Layer.provideMerge(Logger.layer([Logger.tracerLogger]))
  )

/** A program over the simulated Anthropic, observed; what it did is exported when it ends. */
const exported = <A, E>(
  program: Effect.Effect<A, E, LLMClient.LLMClient>,
  { url }: Received,
  { simulator = {}, ...options }: Telemetry.Options & { readonly simulator?: Simulator.Options } = {}
) =>
  Effect.exit(Effect.withSpan(program, "application")).pipe(
    Effect.provide(Layer.merge(
      LLMClient.compose(
        Telemetry.layer(options),
        Retry.layer({ RateLimit: quick }),
        Telemetry.layerAttempts(options),
        Anthropic.layer({ apiKey: Redacted.make(key), model: "claude-sonnet-4-6", tracePropagation: true })
      ).pipe(Layer.provide(Simulator.layer(simulator))),
      exporter(url)
    )),
    Effect.provideService(Metric.MetricRegistry, new Map())
  )

const chats = (received: Received) =>
  received.spans().filter(({ name }) => name === "chat claude-sonnet-4-6").map((span) => ({
    ...span,
    all: plainAttributes(span.attributes)
  }))

const text = ({ bodies }: Received): string => bodies.map((body) => Buffer.from(body).toString("latin1")).join()

const limit = { _tag: "RateLimit", retryAfter: 0 } as const

describe("a receiver of OpenTelemetry's protocol", () => {
  it("reads what OpenTelemetry's own serializers write", () => {
    const resource = { attributes: { "service.name": "shop" }, asyncAttributesPending: false }
    const span = {
      name: "chat",
      kind: 2,
      spanContext: () => ({ traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", traceFlags: 1 }),
      parentSpanContext: { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "00f067aa0ba902b7", traceFlags: 1 },
      startTime: [1, 5],
      endTime: [2, 7],
      status: { code: 2, message: "no" },
      attributes: { text: "a", whole: 3, broken: 0.5, yes: true, list: ["b", "c"] },
      links: [],
      events: [{ name: "exception", time: [1, 6], attributes: { "exception.type": "E" } }],
      duration: [1, 2],
      ended: true,
      resource,
      instrumentationScope: { name: "effect", version: "4" },
      droppedAttributesCount: 0,
      droppedEventsCount: 0,
      droppedLinksCount: 0
    }
    const traces = decodeTraces(ProtobufTraceSerializer.serializeRequest([span as never])!)
    const [{ scope, spans }] = traces.resourceSpans![0]!.scopeSpans as [IScopeSpans]
    const [read] = spans!
    assert.deepInclude(read, {
      name: "chat",
      kind: ESpanKind.SPAN_KIND_CLIENT,
      traceId: "0af7651916cd43dd8448eb211c80319c",
      spanId: "b7ad6b7169203331",
      parentSpanId: "00f067aa0ba902b7",
      startTimeUnixNano: 1_000_000_005,
      endTimeUnixNano: 2_000_000_007,
      status: { code: 2, message: "no" }
    })
    assert.deepStrictEqual(scope, { name: "effect", version: "4" })
    assert.deepStrictEqual(plainAttributes(read!.attributes), span.attributes)
    assert.deepStrictEqual(read!.events.map(({ attributes, name }) => [name, plainAttributes(attributes)]), [
      ["exception", { "exception.type": "E" }]
    ])
    const point = (value: unknown) => ({ attributes: { a: "b" }, startTime: [1, 0], endTime: [2, 0], value })
    const descriptor = { name: "m", description: "d", unit: "s", valueType: 0 }
    const metrics = decodeMetrics(
      ProtobufMetricsSerializer.serializeRequest({
        resource,
        scopeMetrics: [{
          scope: { name: "effect" },
          metrics: [
            {
              descriptor,
              aggregationTemporality: 1,
              dataPointType: 0,
              dataPoints: [point({
                count: 3,
                sum: 1.5,
                min: 0.25,
                max: 1,
                buckets: { boundaries: [0.5, 2], counts: [1, 2, 0] }
              })]
            },
            { descriptor, aggregationTemporality: 1, dataPointType: 3, isMonotonic: true, dataPoints: [point(7)] }
          ]
        }]
      } as never)!
    )
    const [histogram, sum] = metrics.resourceMetrics[0]!.scopeMetrics[0]!.metrics
    assert.deepInclude(histogram, { name: "m", description: "d", unit: "s" })
    assert.deepInclude(histogram!.histogram!.dataPoints[0], {
      count: 3,
      sum: 1.5,
      min: 0.25,
      max: 1,
      bucketCounts: [1, 2, 0],
      explicitBounds: [0.5, 2]
    })
    assert.isTrue(sum!.sum!.isMonotonic)
    assert.deepStrictEqual(plainAttributes(sum!.sum!.dataPoints[0]!.attributes), { a: "b" })
    assert.strictEqual(sum!.sum!.dataPoints[0]!.asInt ?? sum!.sum!.dataPoints[0]!.asDouble, 7)
  })

  it.live("gets application, operation, attempt and HTTP request, one within the other", () =>
    Effect.gen(function*() {
      for (const run of [LLMClient.completion(ask), Stream.runDrain(LLMClient.stream(ask))]) {
        const received = yield* receiver
        assert.isTrue(Exit.isSuccess(yield* exported(run, received)))
        const spans = received.spans()
        const [application] = spans.filter(({ name }) => name === "application")
        const all = chats(received)
        const operation = all.find(({ parentSpanId }) => parentSpanId === application!.spanId)
        const attempt = all.find(({ parentSpanId }) => parentSpanId === operation!.spanId)
        const [http] = spans.filter(({ name }) => name.startsWith("http.client"))
        assert.strictEqual(http!.parentSpanId, attempt!.spanId)
        for (const { all, kind, status } of [operation!, attempt!]) {
          assert.deepStrictEqual([kind, status.code], [ESpanKind.SPAN_KIND_CLIENT, 1])
          assert.strictEqual(all["gen_ai.provider.name"], "anthropic")
          assert.strictEqual(all["server.address"], "api.anthropic.com")
          assert.strictEqual(all["server.port"], 443)
          assert.isAbove(all["gen_ai.usage.output_tokens"] as number, 0)
        }
        assert.notInclude(text(received), "sky blue")
        assert.notInclude(text(received), key)
      }
    }))

  it.live("gets metrics with their units, and counts once what was retried", () =>
    Effect.gen(function*() {
      const received = yield* receiver
      const simulator: Simulator.Options = { failures: [limit] }
      assert.isTrue(Exit.isSuccess(yield* exported(Stream.runDrain(LLMClient.stream(ask)), received, { simulator })))
      const all = chats(received)
      assert.deepStrictEqual(all.map(({ status }) => status.code).sort(), [1, 1, 2])
      const [failed] = all.filter(({ status }) => status.code === 2)
      assert.strictEqual(failed!.all["error.type"], "RateLimit.Unknown")
      assert.strictEqual(failed!.all["http.response.status_code"], 429)
      assert.deepStrictEqual(failed!.events.map(({ name }) => name), ["exception"])
      const units = Object.fromEntries(received.metrics().map(({ name, unit }) => [name, unit]))
      assert.deepInclude(units, {
        "gen_ai.client.inference.duration": "s",
        "gen_ai.client.inference.time_to_first_chunk": "s",
        "gen_ai.client.inference.usage.input_tokens": "{token}",
        "gen_ai.client.inference.operation.output_tokens": "{token}"
      })
      const metric = (name: string) => received.metrics().find((one) => one.name === `gen_ai.client.inference.${name}`)!
      const [duration, ...others] = metric("duration").histogram!.dataPoints
      assert.deepStrictEqual([duration!.count, duration!.explicitBounds!.length, others.length], [1, 14, 0])
      const { dataPoints, isMonotonic } = metric("usage.input_tokens").sum!
      assert.isTrue(isMonotonic)
      const operation = all.find((span) => span.all["effect_llm.attempts"] === 2)
      assert.deepStrictEqual(dataPoints.map(({ asInt }) => asInt), [operation!.all["gen_ai.usage.input_tokens"]])
    }))

  it.live("gets a provider's words only on request", () =>
    Effect.gen(function*() {
      const simulator: Simulator.Options = { failures: Array.from({ length: 8 }, () => limit) }
      for (const words of [false, true]) {
        const received = yield* receiver
        const exit = yield* exported(LLMClient.completion(ask), received, { simulator, words })
        const error = yield* Effect.flip(exit)
        assert.notStrictEqual((error as { readonly description: string }).description, "")
        assert.isAbove(chats(received).length, 1)
        // The application's own span holds the failure as Effect writes it.
        const traces = JSON.stringify(chats(received))
        assert.strictEqual(traces.includes((error as { readonly description: string }).description), words)
      }
    }))

  it.live("gets what was said as the caller's function gives it", () =>
    Effect.gen(function*() {
      const received = yield* receiver
      const content = (message: Message.Message) => message._tag === "User" ? message : undefined
      yield* exported(LLMClient.completion(ask), received, { content })
      for (const { all } of chats(received)) {
        assert.deepStrictEqual(JSON.parse(all["gen_ai.input.messages"] as string), [
          { role: "user", parts: [{ type: "text", content: "Why is the sky blue?" }] }
        ])
        assert.isUndefined(all["gen_ai.output.messages"])
      }
    }))

  it.live("may be down: the call does not notice", () =>
    Effect.gen(function*() {
      const client = LLMClient.compose(
        Telemetry.layer(),
        Anthropic.layer({ apiKey: Redacted.make(key), model: "claude-sonnet-4-6" })
      ).pipe(Layer.provide(Simulator.layer()))
      const exit = yield* Effect.exit(LLMClient.completion(ask)).pipe(
        Effect.provide(Layer.merge(client, exporter("http://127.0.0.1:1", "50 millis"))),
        Effect.provideService(Metric.MetricRegistry, new Map())
      )
      assert.isTrue(Exit.isSuccess(exit))
    }))
})

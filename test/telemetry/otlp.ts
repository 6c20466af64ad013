/**
 * A receiver of OpenTelemetry's protocol on loopback. Bodies are protobuf, read with OpenTelemetry's own reader into the
 * shapes of its own types; the numbers of the fields are held against what its own serializers write.
 */
import type {
  IAnyValue,
  IArrayValue,
  IInstrumentationScope,
  IKeyValue,
  IKeyValueList,
  Resource
} from "@opentelemetry/otlp-transformer/build/src/common/internal-types.js"
import { ProtobufReader } from "@opentelemetry/otlp-transformer/build/src/common/protobuf/protobuf-reader.js"
import type {
  IExportMetricsServiceRequest,
  IHistogram,
  IHistogramDataPoint,
  IMetric,
  INumberDataPoint,
  IResourceMetrics,
  IScopeMetrics,
  ISum
} from "@opentelemetry/otlp-transformer/build/src/metrics/internal-types.js"
import type {
  IEvent,
  IExportTraceServiceRequest,
  IResourceSpans,
  IScopeSpans,
  ISpan,
  IStatus
} from "@opentelemetry/otlp-transformer/build/src/trace/internal-types.js"
import { Effect } from "effect"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

type Scalar = "string" | "bool" | "int" | "double" | "fixed64" | "fixed32" | "hex" | "bytes"
type Message = Readonly<Record<number, readonly [name: string, type: Scalar | (() => Message), many?: "many"]>>
type Of<A> = Readonly<Record<number, readonly [name: keyof A & string, type: Scalar | (() => Message), many?: "many"]>>

const anyValue = {
  1: ["stringValue", "string"],
  2: ["boolValue", "bool"],
  3: ["intValue", "int"],
  4: ["doubleValue", "double"],
  5: ["arrayValue", () => arrayValue],
  6: ["kvlistValue", () => list],
  7: ["bytesValue", "bytes"]
} as const satisfies Of<IAnyValue>
const arrayValue: Of<IArrayValue> = { 1: ["values", () => anyValue, "many"] }
const keyValue: Of<IKeyValue> = { 1: ["key", "string"], 2: ["value", () => anyValue] }
const list: Of<IKeyValueList> = { 1: ["values", () => keyValue, "many"] }
const resource: Of<Resource> = { 1: ["attributes", () => keyValue, "many"], 2: ["droppedAttributesCount", "int"] }
const scope: Of<IInstrumentationScope> = { 1: ["name", "string"], 2: ["version", "string"] }

const event: Of<IEvent> = {
  1: ["timeUnixNano", "fixed64"],
  2: ["name", "string"],
  3: ["attributes", () => keyValue, "many"]
}
const status: Of<IStatus> = { 2: ["message", "string"], 3: ["code", "int"] }
const span: Of<ISpan> = {
  1: ["traceId", "hex"],
  2: ["spanId", "hex"],
  4: ["parentSpanId", "hex"],
  5: ["name", "string"],
  6: ["kind", "int"],
  7: ["startTimeUnixNano", "fixed64"],
  8: ["endTimeUnixNano", "fixed64"],
  9: ["attributes", () => keyValue, "many"],
  11: ["events", () => event, "many"],
  15: ["status", () => status],
  16: ["flags", "fixed32"]
}
const scopeSpans: Of<IScopeSpans> = { 1: ["scope", () => scope], 2: ["spans", () => span, "many"] }
const resourceSpans: Of<IResourceSpans> = {
  1: ["resource", () => resource],
  2: ["scopeSpans", () => scopeSpans, "many"]
}
const traces: Of<IExportTraceServiceRequest> = { 1: ["resourceSpans", () => resourceSpans, "many"] }

const number: Of<INumberDataPoint> = {
  2: ["startTimeUnixNano", "fixed64"],
  3: ["timeUnixNano", "fixed64"],
  4: ["asDouble", "double"],
  6: ["asInt", "fixed64"],
  7: ["attributes", () => keyValue, "many"]
}
const histogramPoint: Of<IHistogramDataPoint> = {
  2: ["startTimeUnixNano", "fixed64"],
  3: ["timeUnixNano", "fixed64"],
  4: ["count", "fixed64"],
  5: ["sum", "double"],
  6: ["bucketCounts", "fixed64", "many"],
  7: ["explicitBounds", "double", "many"],
  9: ["attributes", () => keyValue, "many"],
  11: ["min", "double"],
  12: ["max", "double"]
}
const sum: Of<ISum> = {
  1: ["dataPoints", () => number, "many"],
  2: ["aggregationTemporality", "int"],
  3: ["isMonotonic", "bool"]
}
const histogram: Of<IHistogram> = {
  1: ["dataPoints", () => histogramPoint, "many"],
  2: ["aggregationTemporality", "int"]
}
const metric: Of<IMetric> = {
  1: ["name", "string"],
  2: ["description", "string"],
  3: ["unit", "string"],
  7: ["sum", () => sum],
  9: ["histogram", () => histogram]
}
const scopeMetrics: Of<IScopeMetrics> = { 1: ["scope", () => scope], 2: ["metrics", () => metric, "many"] }
const resourceMetrics: Of<IResourceMetrics> = {
  1: ["resource", () => resource],
  2: ["scopeMetrics", () => scopeMetrics, "many"]
}
const metrics: Of<IExportMetricsServiceRequest> = { 1: ["resourceMetrics", () => resourceMetrics, "many"] }

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** The values of a field: numbers of many may stand together in one field, and need not. */
const readAll = (
  type: Scalar | (() => Message),
  reader: ProtobufReader,
  bytes: Uint8Array,
  wireType: number
): ReadonlyArray<unknown> => {
  if (wireType !== 2 || (type !== "double" && type !== "fixed64")) return [read(type, reader, bytes, wireType)]
  const together = reader.readBytes()
  const inner = new ProtobufReader(together)
  return Array.from({ length: together.length / 8 }, () => read(type, inner, together, 1))
}

// Eight bytes or four, which the reader has no name for: it can skip them.
const fixed = (reader: ProtobufReader, bytes: Uint8Array, wireType: number): DataView => {
  const from = reader.pos
  reader.skip(wireType)
  return view(bytes.subarray(from, reader.pos))
}

const read = (type: Scalar | (() => Message), reader: ProtobufReader, bytes: Uint8Array, wireType: number): unknown => {
  if (typeof type === "function") return decode(type(), reader.readBytes())
  switch (type) {
    case "string":
      return reader.readString()
    case "bool":
      return reader.readVarint() === 1
    case "int":
      return reader.readVarint()
    case "double":
      return fixed(reader, bytes, wireType).getFloat64(0, true)
    case "fixed64":
      return Number(fixed(reader, bytes, wireType).getBigInt64(0, true))
    case "fixed32":
      return fixed(reader, bytes, wireType).getUint32(0, true)
    case "hex":
      return Buffer.from(reader.readBytes()).toString("hex")
    case "bytes":
      return reader.readBytes()
  }
}

const decode = (message: Message, bytes: Uint8Array): Record<string, unknown> => {
  const reader = new ProtobufReader(bytes)
  const found: Record<string, unknown> = {}
  for (const [name, , many] of Object.values(message)) if (many === "many") found[name] = []
  while (!reader.isAtEnd()) {
    const { fieldNumber, wireType } = reader.readTag()
    const field = message[fieldNumber]
    if (field === undefined) {
      reader.skip(wireType)
      continue
    }
    const [name, type, many] = field
    const values = readAll(type, reader, bytes, wireType)
    if (many === "many") (found[name] as Array<unknown>).push(...values)
    else found[name] = values[0]
  }
  return found
}

export const decodeTraces = (bytes: Uint8Array): IExportTraceServiceRequest =>
  decode(traces, bytes) as unknown as IExportTraceServiceRequest

export const decodeMetrics = (bytes: Uint8Array): IExportMetricsServiceRequest =>
  decode(metrics, bytes) as unknown as IExportMetricsServiceRequest

const plain = (value: IAnyValue): unknown =>
  value.arrayValue === undefined
    ? value.stringValue ?? value.boolValue ?? value.intValue ?? value.doubleValue
    : value.arrayValue.values.map(plain)

export const plainAttributes = (attributes: ReadonlyArray<IKeyValue> = []): Record<string, unknown> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, plain(value)]))

export interface Received {
  readonly url: string
  readonly bodies: ReadonlyArray<Uint8Array>
  readonly spans: () => ReadonlyArray<ISpan>
  /** As the last export had them: they are cumulative. */
  readonly metrics: () => ReadonlyArray<IMetric>
}

/** A receiver, until the end of the scope. */
export const receiver = Effect.acquireRelease(
  Effect.promise(() =>
    new Promise<Received & { readonly close: () => void }>((resolve) => {
      const received: Array<{ readonly path: string; readonly body: Uint8Array }> = []
      const server = createServer((request, response) => {
        const chunks: Array<Buffer> = []
        request.on("data", (chunk: Buffer) => chunks.push(chunk))
        request.on("end", () => {
          received.push({ path: request.url!, body: new Uint8Array(Buffer.concat(chunks)) })
          response.writeHead(200, { "content-type": "application/x-protobuf" }).end()
        })
      })
      const at = (path: string) => received.flatMap((one) => one.path === path ? [one.body] : [])
      server.listen(0, "127.0.0.1", () =>
        resolve({
          url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
          get bodies() {
            return received.map(({ body }) => body)
          },
          spans: () =>
            at("/v1/traces").flatMap((body) =>
              decodeTraces(body).resourceSpans!.flatMap(({ scopeSpans }) =>
                scopeSpans.flatMap(({ spans = [] }) => spans)
              )
            ),
          metrics: () =>
            at("/v1/metrics").slice(-1).flatMap((body) =>
              decodeMetrics(body).resourceMetrics.flatMap(({ scopeMetrics }) =>
                scopeMetrics.flatMap(({ metrics }) => metrics)
              )
            ),
          close: () => {
            server.closeAllConnections()
            server.close()
          }
        }))
    })
  ),
  ({ close }) => Effect.sync(close)
)

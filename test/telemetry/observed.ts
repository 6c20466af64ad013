/** What a program leaves in a tracer and in a registry of metrics of its own. */
import { Effect, type Exit, Layer, Metric, Option, Tracer } from "effect"

export interface Seen {
  readonly span: Tracer.NativeSpan
  readonly name: string
  readonly parent: string | undefined
  readonly attributes: Readonly<Record<string, unknown>>
  readonly events: ReadonlyArray<readonly [name: string, attributes: Readonly<Record<string, unknown>>]>
  /** How often it was ended. */
  readonly ends: ReadonlyArray<Exit.Exit<unknown, unknown>>
}

class Watched extends Tracer.NativeSpan {
  readonly ends: Array<Exit.Exit<unknown, unknown>> = []
  override end(time: bigint, exit: Exit.Exit<unknown, unknown>): void {
    this.ends.push(exit)
    super.end(time, exit)
  }
}

export interface Observed<A, E> {
  readonly exit: Exit.Exit<A, E>
  readonly spans: ReadonlyArray<Seen>
  readonly metrics: ReadonlyArray<Metric.Metric.Snapshot>
}

/** Runs a program, with a tracer unless told otherwise. */
export const observed = Effect.fnUntraced(function*<A, E, R>(
  program: Effect.Effect<A, E, R>,
  options: { readonly tracer?: boolean; readonly sampled?: boolean } = {}
): Effect.fn.Return<Observed<A, E>, never, R> {
  const { sampled = true, tracer = true } = options
  const spans: Array<Watched> = []
  const made = Tracer.make({
    span: (options) => {
      const span = new Watched({ ...options, sampled: options.sampled && sampled })
      spans.push(span)
      return span
    }
  })
  const registry: Metric.MetricRegistry = new Map()
  const exit = yield* Effect.exit(program).pipe(
    Effect.provide(tracer ? Layer.succeed(Tracer.Tracer, made) : Layer.empty),
    Effect.provideService(Metric.MetricRegistry, registry)
  )
  return {
    exit,
    spans: spans.map((span) => ({
      span,
      name: span.name,
      parent: Option.getOrUndefined(Option.map(span.parent, ({ spanId }) => spanId)),
      attributes: Object.fromEntries(span.attributes),
      events: span.events.map(([name, , attributes]) => [name, attributes] as const),
      ends: span.ends
    })),
    metrics: yield* Effect.provideService(Metric.snapshot, Metric.MetricRegistry, registry)
  }
})

/** A data point in short: its labels (without the unit), and its count and sum. */
export interface Point {
  readonly labels: Readonly<Record<string, string>>
  readonly count: number
  readonly sum: number
}

/** The data points of a metric. */
export const points = (metrics: ReadonlyArray<Metric.Metric.Snapshot>, name: string): ReadonlyArray<Point> =>
  metrics.flatMap((metric): ReadonlyArray<Point> => {
    if (metric.id !== name) return []
    const { unit: _, ...labels } = metric.attributes ?? {}
    const { count, sum } = metric.state as { readonly count: number | bigint; readonly sum?: number }
    return [{ labels, count: Number(count), sum: sum ?? Number(count) }]
  })

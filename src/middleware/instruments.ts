/**
 * Cheap metrics, because they are counted even if nobody reads them: every combination of labels has its own metrics,
 * made once. Adding labels to a shared metric for each call costs forty times as much.
 */
import type * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import * as Conventions from "./conventions.ts"

/** The requested model, the model that answered, and the error; unknown labels are left out. */
export interface Labels {
  readonly provider: string
  readonly requestModel: string | undefined
  readonly responseModel: string | undefined
  readonly error?: string | undefined
}

/** The address of the provider. */
export interface Address {
  readonly address: string
  readonly port: number
}

/** The metrics of one combination of labels. */
export interface Series {
  readonly update: (measure: Conventions.Measure, value: number, context: Context.Context<never>) => void
}

type Update = (value: number, context: Context.Context<never>) => void

const { attributes } = Conventions

const labelsOf = (
  { error, provider, requestModel, responseModel }: Labels,
  server: Address | undefined
): Record<string, string> => ({
  [attributes.operation]: Conventions.operation,
  [attributes.provider]: provider,
  ...(requestModel !== undefined && { [attributes.requestModel]: requestModel }),
  ...(responseModel !== undefined && { [attributes.responseModel]: responseModel }),
  ...(server !== undefined && { [attributes.address]: server.address, [attributes.port]: String(server.port) }),
  ...(error !== undefined && { [attributes.errorType]: error })
})

const updateOf = (instrument: Conventions.Instrument, labels: Record<string, string>): Update => {
  const { boundaries = [], description, kind, name, unit } = instrument
  // Exporters read the unit from this attribute.
  const options = { description, attributes: { ...labels, ...instrument.labels, unit } }
  if (kind === "histogram") {
    const metric = Metric.histogram(name, { ...options, boundaries })
    return (value, context) => metric.updateUnsafe(value, context)
  }
  const metric = Metric.counter(name, { ...options, bigint: true, incremental: true })
  return (value, context) => metric.updateUnsafe(BigInt(value), context)
}

const makeSeries = (rows: ReadonlyArray<Conventions.Instrument>, labels: Record<string, string>): Series => {
  const updates: { [M in Conventions.Measure]?: ReadonlyArray<Update> } = {}
  return {
    update: (measure, value, context) => {
      const all = updates[measure] ??= rows.filter((row) => row.measure === measure).map((row) => updateOf(row, labels))
      for (const update of all) update(value, context)
    }
  }
}

// Metrics that are not cached here lose no counts: these are in Effect's registry.
const mostSeries = 1024

const same = (self: Labels, that: Labels): boolean =>
  self.provider === that.provider && self.requestModel === that.requestModel &&
  self.responseModel === that.responseModel && self.error === that.error

/** The metrics of one client. */
export const make = (
  conventions: ReadonlyArray<Conventions.Convention>,
  server: Address | undefined
): (labels: Labels) => Series => {
  const rows = Conventions.instruments.filter(({ convention }) => conventions.includes(convention))
  const byLabels = new Map<string, Series>()
  const find = (labels: Labels): Series => {
    const { error, provider, requestModel, responseModel } = labels
    const key = `${provider}\n${requestModel}\n${responseModel}\n${error}`
    const found = byLabels.get(key)
    if (found !== undefined) return found
    if (byLabels.size >= mostSeries) byLabels.clear()
    const series = makeSeries(rows, labelsOf(labels, server))
    byLabels.set(key, series)
    return series
  }
  // Most calls use the same model as the one before.
  let last: { readonly labels: Labels; readonly series: Series } | undefined
  return (labels) => {
    if (last === undefined || !same(last.labels, labels)) last = { labels, series: find(labels) }
    return last.series
  }
}

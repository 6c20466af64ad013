/**
 * Metrics that cost little, since nobody can know whether they are read: every combination of labels has metrics of its
 * own, made once. Adding labels to a shared metric each time costs forty times as much.
 */
import type * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import * as Conventions from "./conventions.ts"

/** Who was asked, who answered, and what the call failed with; what is not known is left out. */
export interface Labels {
  readonly provider: string
  readonly requestModel: string | undefined
  readonly responseModel: string | undefined
  readonly error?: string | undefined
}

/** Where the provider is. */
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

// Metrics that were made and are not kept here lose nothing: what they counted stands in Effect's registry.
const most = 1024

const same = (self: Labels, that: Labels): boolean =>
  self.provider === that.provider && self.requestModel === that.requestModel &&
  self.responseModel === that.responseModel && self.error === that.error

/** The metrics of one client. */
export const make = (
  conventions: ReadonlyArray<Conventions.Convention>,
  server: Address | undefined
): (labels: Labels) => Series => {
  const rows = Conventions.instruments.filter(({ convention }) => conventions.includes(convention))
  const known = new Map<string, Series>()
  const find = (labels: Labels): Series => {
    const { error, provider, requestModel, responseModel } = labels
    const key = `${provider}\n${requestModel}\n${responseModel}\n${error}`
    const found = known.get(key)
    if (found !== undefined) return found
    if (known.size >= most) known.clear()
    const series = makeSeries(rows, labelsOf(labels, server))
    known.set(key, series)
    return series
  }
  // Most calls are of the same model as the one before.
  let last: { readonly labels: Labels; readonly series: Series } | undefined
  return (labels) => {
    if (last === undefined || !same(last.labels, labels)) last = { labels, series: find(labels) }
    return last.series
  }
}

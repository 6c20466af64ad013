/**
 * The cost of tokens, in US dollars.
 *
 * No other module imports this one, so programs that do not count dollars do not load its tables. They contain list
 * prices of ordinary requests, without batches, faster or slower service tiers, or contracts. Override them with
 * `make`.
 *
 * ```ts
 * import { Completion, LLMClient } from "effect-llm"
 * import * as Prices from "effect-llm/Prices"
 * import { Effect } from "effect"
 *
 * const prices = Prices.make(Prices.table, { "my-vllm": { "*": { input: 0.1, output: 0.3 } } })
 * const dollars = LLMClient.completion(Completion.make({ prompt: "Hi" })).pipe(
 *   Effect.map((response) => Prices.cost(response, { prices }))
 * )
 * ```
 */

import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import { pricedNames } from "./models/name.ts"
import { type Price, type Row, type Rows, rows } from "./models/prices.ts"
import type { TokenUsage } from "./TokenUsage.ts"

export type { Price, Row, Rows, Tier } from "./models/prices.ts"

/** Token counts. `longCacheWriteTokens` are part of `cacheWriteTokens`. */
export interface Usage
  extends Pick<TokenUsage, "inputTokens" | "outputTokens" | "cachedInputTokens" | "cacheWriteTokens">
{
  readonly longCacheWriteTokens?: number
}

/** The fields of an answer that determine its cost. */
export interface Answer {
  readonly provider: string
  readonly model?: string
  readonly usage: Usage
  /** The passes of an answer that took several. `usage` is their sum. */
  readonly passes?: ReadonlyArray<{ readonly model?: string; readonly usage: Usage }>
  readonly cost?: number
  readonly cached?: boolean
}

/**
 * A table of prices. `at` is the time of the call in milliseconds since 1970. Without it, all planned changes apply, so
 * that an outdated table does not underestimate.
 */
export interface Prices {
  readonly rows: Rows
  /** The price row of a model at a time, if it has one. Never the row of a similar model. */
  readonly find: (provider: string, model: string, at?: number) => Omit<Row, "planned"> | undefined
  /** The cost of tokens; undefined when the model has no price. `Budget` takes a table for this function. */
  readonly of: (usage: Usage, model: string, provider: string, at?: number) => number | undefined
}

/** Other names of the services. */
const aliases: Readonly<Record<string, string>> = {
  google: "gemini",
  moonshot: "moonshotai",
  mistralai: "mistral",
  "x-ai": "xai",
  "z-ai": "zai"
}

const serviceOf = (provider: string): string => Object.hasOwn(aliases, provider) ? aliases[provider]! : provider

/** Vendors whose models cost the same at resellers, if the resellers list them. */
const passedOn = ["anthropic", "openai", "gemini"]

type Models = Rows[string]

const inTable = (models: Models, model: string): Row | undefined => {
  if (Object.hasOwn(models, model)) return models[model]
  const name = pricedNames(model).find((name) => Object.hasOwn(models, name))
  if (name !== undefined) return models[name]
  const beginnings = Object.keys(models).filter((key) => key.endsWith("*") && model.startsWith(key.slice(0, -1)))
  const longest = beginnings.reduce((best, key) => key.length > best.length ? key : best, "")
  return longest === "" ? undefined : models[longest]
}

const millis = (date: string): number =>
  Option.match(DateTime.make(date), { onNone: () => NaN, onSome: DateTime.toEpochMillis })

const rowAt = ({ planned = [], ...row }: Row, at: number): Omit<Row, "planned"> =>
  planned.reduce((row, { from, ...change }) => millis(from) <= at ? { ...row, ...change } : row, row)

const perToken = 1e-6

const costOf = (row: Omit<Row, "planned">, usage: Usage): number | undefined => {
  const { cacheWriteTokens, cachedInputTokens, inputTokens, longCacheWriteTokens = 0, outputTokens } = usage
  const tier: Price = row.tiers?.findLast(({ above }) => inputTokens > above) ?? row
  const { cacheRead = tier.input, cacheWrite = tier.input, longCacheWrite = cacheWrite } = tier
  const dollars = perToken * (
    (inputTokens - cachedInputTokens - cacheWriteTokens) * tier.input
    + cachedInputTokens * cacheRead
    + (cacheWriteTokens - longCacheWriteTokens) * cacheWrite
    + longCacheWriteTokens * longCacheWrite
    + outputTokens * tier.output
  )
  return dollars >= 0 && dollars < Infinity ? dollars : undefined
}

const merged = (tables: ReadonlyArray<Rows>): Rows => {
  const services = new Map<string, Models>()
  for (const table of tables) {
    for (const [provider, models] of Object.entries(table)) {
      const service = serviceOf(provider)
      services.set(service, { ...services.get(service), ...models })
    }
  }
  return Object.fromEntries(services)
}

const isPrices = (table: Rows | Prices): table is Prices => typeof table.of === "function"

/**
 * Merges rows and tables; later ones win. Rows are by service (the name of the provider's layer) and by model, exactly
 * or by prefix (`"my-models/*"`, `"*"`).
 *
 * A service without rows, such as OpenRouter or one of your own, uses the prices of Anthropic, OpenAI and Gemini for
 * their models. A price that is negative or not a number is ignored.
 */
export const make = (...tables: ReadonlyArray<Rows | Prices>): Prices => {
  const rows = merged(tables.map((table) => isPrices(table) ? table.rows : table))
  const find: Prices["find"] = (provider, model, at = Infinity) => {
    const service = serviceOf(provider)
    const listed = Object.hasOwn(rows, service) ? inTable(rows[service]!, model) : undefined
    if (listed !== undefined) return rowAt(listed, at)
    if (Object.hasOwn(rows, service) && service !== "openrouter") return undefined
    for (const vendor of passedOn) {
      const row = Object.hasOwn(rows, vendor) ? inTable(rows[vendor]!, model) : undefined
      if (row !== undefined) return rowAt(row, at)
    }
    return undefined
  }
  return {
    rows,
    find,
    of: (usage, model, provider, at) => {
      const row = find(provider, model, at)
      return row && costOf(row, usage)
    }
  }
}

/** The list prices. Each row has a date. */
export const table: Prices = make(rows)

/** The list price of a model. */
export const find: Prices["find"] = table.find

/** The cost of tokens at list prices. */
export const of: Prices["of"] = table.of

/**
 * The cost of an answer: the provider's own figure if there is one, otherwise computed from the tokens of each pass at
 * the price of its model. Undefined when a model has no price; 0 for an answer from a response cache. The cost of
 * failed attempts is not included.
 */
export const cost = (
  answer: Answer,
  options: { readonly prices?: Prices; readonly at?: number } = {}
): number | undefined => {
  const { prices = table, at } = options
  const { cached, cost, model = "", passes = [], provider, usage } = answer
  if (cached === true) return 0
  if (cost !== undefined && cost >= 0 && cost < Infinity) return cost
  if (passes.length === 0) return prices.of(usage, model, provider, at)
  let total = 0
  for (const pass of passes) {
    const dollars = prices.of(pass.usage, pass.model ?? model, provider, at)
    if (dollars === undefined) return undefined
    total += dollars
  }
  return total
}

/**
 * What tokens cost, in US dollars.
 *
 * Nothing imports this module, so that a program which counts no dollars does not load its tables. They hold the list
 * prices of ordinary requests: not those of batches, of faster or slower tiers of a service, or of a contract. Put your
 * own rows over them with `make`.
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

/** Counts of tokens; those that were written to a cache for long are a part of `cacheWriteTokens`. */
export interface Usage
  extends Pick<TokenUsage, "inputTokens" | "outputTokens" | "cachedInputTokens" | "cacheWriteTokens">
{
  readonly longCacheWriteTokens?: number
}

/** What of an answer its cost follows from. */
export interface Answer {
  readonly provider: string
  readonly model?: string
  readonly usage: Usage
  /** The passes of the model, where one answer took several; `usage` is their sum. */
  readonly passes?: ReadonlyArray<{ readonly model?: string; readonly usage: Usage }>
  readonly cost?: number
  readonly cached?: boolean
}

/**
 * A table of prices. `at` is the time of the call in milliseconds since 1970; without it all changes that are planned
 * count, since a table that is older than they are would say too little ever after.
 */
export interface Prices {
  readonly rows: Rows
  /** The row of a model as it stands at a time, or undefined when it has none. Never that of a similar model. */
  readonly find: (provider: string, model: string, at?: number) => Omit<Row, "planned"> | undefined
  /** What tokens cost, or undefined when the model has no price: `Budget` takes a table for this function. */
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

/** Vendors whose models cost the same at the services that pass them on, as far as those list them. */
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
 * A table of the rows of several, of which later ones win: by the name of the service (which is that of the provider's
 * layer) and of the model, exactly or as the beginning of several (`"my-models/*"`, `"*"`).
 *
 * A service without rows, such as OpenRouter's or one of your own name, has the prices of Anthropic, OpenAI and Gemini
 * for models of theirs. A price that is negative or no number counts as none.
 */
export const make = (...tables: ReadonlyArray<Rows | Prices>): Prices => {
  const rows = merged(tables.map((table) => isPrices(table) ? table.rows : table))
  const find: Prices["find"] = (provider, model, at = Infinity) => {
    const service = serviceOf(provider)
    const own = Object.hasOwn(rows, service) ? inTable(rows[service]!, model) : undefined
    if (own !== undefined) return rowAt(own, at)
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

/** The list prices. Each row says of which day it is. */
export const table: Prices = make(rows)

/** The list price of a model. */
export const find: Prices["find"] = table.find

/** What tokens cost by the list prices. */
export const of: Prices["of"] = table.of

/**
 * What an answer cost: the provider's own figure where it sends one, else by its tokens, those of each pass at the price
 * of the pass's own model. Undefined when a model has no price; 0 for an answer from a cache of responses. What failed
 * attempts before it cost is not in it.
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

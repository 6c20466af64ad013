/**
 * Compares `Models` and `Prices` with a public catalogue, and prints the differences, so that a person can decide which
 * is right. It never fails, because the catalogue contains mistakes and choices of its own.
 *
 *     npm run check:models
 */
import { Models } from "../src/index.ts"
import * as Prices from "../src/Prices.ts"

interface Cost {
  readonly input: number
  readonly output: number
  readonly cacheRead: number
  readonly cacheWrite: number
}

/** A model in the catalogue. A level that is null is refused; one that is missing is left to the service. */
interface Listed {
  readonly id: string
  readonly reasoning: boolean
  readonly input: ReadonlyArray<string>
  readonly contextWindow: number
  readonly maxTokens: number
  readonly cost: Cost & { readonly tiers?: ReadonlyArray<Cost & { readonly inputTokensAbove: number }> }
  readonly thinkingLevelMap?: Readonly<Record<string, string | null>>
}

interface Catalogue {
  readonly getBuiltinModels: (service: string) => ReadonlyArray<Listed>
  readonly getBuiltinModelDataGeneratedAt: () => number | undefined
}

// The import is hidden from the compiler, because the types of the catalogue are its data, and slow to check.
const catalogue: string = "@earendil-works/pi-ai/providers/all"
const { getBuiltinModelDataGeneratedAt, getBuiltinModels } = await import(catalogue) as Catalogue

/** Our name of a service, by the catalogue's name. */
const services = {
  anthropic: "anthropic",
  openai: "openai",
  google: "gemini",
  deepseek: "deepseek",
  xai: "xai",
  moonshotai: "moonshotai",
  zai: "zai",
  mistral: "mistral",
  groq: "groq",
  cerebras: "cerebras",
  openrouter: "openrouter"
} as const

/** Differences that were investigated: a pattern of the lines, and the reason. */
const explained: ReadonlyArray<readonly [line: RegExp, why: string]> = [
  [/^openai gpt-\S+ context 1050000, listed 272000$/, "the catalogue stays below the dearer tier by choice"],
  [/^gemini gemini-4-\S+ output 65536, listed 32768$/, "the catalogue has the limit of unary requests"],
  [/^openrouter google\/gemini-2\.5-flash\S* output 65536, listed 65535$/, "one token less"],
  [/^openrouter google\/gemini-\S+ price.* of cacheWrite none/, "OpenRouter bills the storage of Gemini's cache"],
  [/^openrouter google\/gemini-3\S+ thinking off false/, "OpenRouter sends the lowest level, which is not off"],
  [/^openrouter anthropic\/claude-sonnet-4\.5\S* (context|price tiers)/, "the larger window is a beta with a header"],
  [/^openrouter openai\/gpt-(3\.5-turbo-0613|4|4\.1-nano) /, "gone since October 2026"],
  [/^openrouter openai\/gpt-6\.1-terra-pro\S* thinking off/, "OpenRouter's name for another mode of the model"],
  [/^(gemini gemini-|openrouter ~google\/gemini-)\S+-latest /, "which model it is changes without a word"]
]

const levelsOf = ({ reasoning, thinkingLevelMap: levels = {} }: Listed): ReadonlyMap<string, boolean> =>
  new Map(reasoning ? Object.entries(levels).map(([level, value]) => [level, value !== null]) : [])

const differences = (service: string, model: Listed): ReadonlyArray<string> => {
  const rules = Models.find(service, model.id)
  const found: Array<string> = []
  const compare = (what: string, ours: unknown, listed: unknown): void => {
    if (ours !== undefined && ours !== listed) found.push(`${service} ${model.id} ${what} ${ours}, listed ${listed}`)
  }
  compare("context", rules.contextWindow, model.contextWindow)
  compare("output", rules.maxOutput?.streamed, model.maxTokens)
  compare("images", rules.media?.includes("image"), model.input.includes("image"))
  for (const [level, taken] of levelsOf(model)) {
    if (level === "off") compare("thinking off", rules.thinkingOff, taken)
    else if (rules.efforts !== undefined && rules.efforts.length > 0) {
      compare(`level ${level}`, rules.efforts.some((effort) => effort === level), taken)
    }
  }
  return found
}

const prices = ["input", "output", "cacheRead", "cacheWrite"] as const

const priceDifferences = (service: string, model: Listed, at: number): ReadonlyArray<string> => {
  const row = Prices.find(service, model.id, at)
  if (row === undefined) return []
  const found: Array<string> = []
  // In the catalogue, 0 means that there is no separate price.
  const compare = (where: string, ours: Prices.Price, listed: Cost): void => {
    for (const price of prices) {
      if (Math.abs((ours[price] ?? 0) - listed[price]) > 1e-9) {
        found.push(`${service} ${model.id} price${where} of ${price} ${ours[price] ?? "none"}, listed ${listed[price]}`)
      }
    }
  }
  compare("", row, model.cost)
  const tiers = model.cost.tiers ?? []
  if ((row.tiers ?? []).length !== tiers.length) {
    found.push(`${service} ${model.id} price tiers ${row.tiers?.length ?? 0}, listed ${tiers.length}`)
  }
  for (const [index, tier] of (row.tiers ?? []).entries()) {
    const listed = tiers[index]
    if (listed === undefined) continue
    if (tier.above !== listed.inputTokensAbove) {
      found.push(`${service} ${model.id} price tier above ${tier.above}, listed ${listed.inputTokensAbove}`)
    }
    compare(` above ${tier.above}`, tier, listed)
  }
  return found
}

const made = getBuiltinModelDataGeneratedAt()
const at = made ?? Date.now()
console.log(`The catalogue is of ${new Date(at).toISOString().slice(0, 10)}${made === undefined ? " (assumed)" : ""}.`)

const open: Array<string> = []
const known = new Map<string, number>()
const missing: Array<string> = []
const unpriced: Array<string> = []
let compared = 0
for (const [listed, service] of Object.entries(services)) {
  for (const model of getBuiltinModels(listed)) {
    // OpenRouter lists hundreds of models. Those without rules of ours are ignored.
    const isOurs = Models.isKnown(Models.find(service, model.id))
    if (!isOurs && service !== "openrouter") missing.push(`${service} ${model.id}`)
    if (isOurs && service !== "openrouter" && Prices.find(service, model.id) === undefined) {
      unpriced.push(`${service} ${model.id}`)
    }
    if (!isOurs) continue
    compared++
    for (const line of [...differences(service, model), ...priceDifferences(service, model, at)]) {
      const reason = explained.find(([pattern]) => pattern.test(line))?.[1]
      if (reason === undefined) open.push(line)
      else known.set(reason, (known.get(reason) ?? 0) + 1)
    }
  }
}

const list = (title: string, lines: ReadonlyArray<string>): void => {
  console.log(`\n${title}: ${lines.length}`)
  for (const line of lines) console.log(`  ${line}`)
}
console.log(`${compared} models compared.`)
list("Differences", open)
list("Differences that are explained", [...known].map(([reason, count]) => `${count} × ${reason}`))
list("Models without rules", missing)
list("Models without a price", unpriced)

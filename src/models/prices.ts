/**
 * Prices in US dollars per million tokens, by service and by the service's name for the model. Source: the services'
 * price lists, according to three listings of 10 November 2026, unless a row says otherwise.
 */

export interface Price {
  /** Input tokens that were neither read from a cache nor written to one. */
  readonly input: number
  /** Output tokens, including reasoning. */
  readonly output: number
  /** Input tokens read from the cache; as `input` unless given. */
  readonly cacheRead?: number
  /** Input tokens written to the cache; as `input` unless given. */
  readonly cacheWrite?: number
  /** Input tokens written to the cache for an hour or longer; as `cacheWrite` unless given. */
  readonly longCacheWrite?: number
}

/** The price of all tokens of a request whose input exceeds a number of tokens. */
export interface Tier extends Price {
  readonly above: number
}

export interface Row extends Price {
  /** The day of these prices, as `2026-11-10`. */
  readonly asOf?: string
  /** The smallest first. */
  readonly tiers?: ReadonlyArray<Tier>
  /** Announced changes: the fields that change on a day, as `2026-12-01`. The earliest first. */
  readonly planned?: ReadonlyArray<Partial<Omit<Row, "asOf" | "planned">> & { readonly from: string }>
}

/** By service, then by model: its exact name, or a prefix as `my-models/*`. */
export type Rows = Readonly<Record<string, Readonly<Record<string, Row>>>>

const asOf = "2026-11-10"

// Rounds away the error of binary fractions.
const exact = (dollars: number): number => Math.round(dollars * 1e6) / 1e6

/** Writes for five minutes cost 1.25 times the input, writes for an hour twice the input. */
const claude = (input: number, output: number, cacheRead: number) =>
  ({
    input,
    output,
    cacheRead,
    cacheWrite: exact(input * 1.25),
    longCacheWrite: exact(input * 2),
    asOf
  }) satisfies Row

const plain = (input: number, output: number, cacheRead?: number) =>
  ({ input, output, ...(cacheRead !== undefined && { cacheRead }), asOf }) satisfies Row

/** From gpt-5.6 on, cache writes cost 1.25 times the input. */
const written = (row: Row): Row => ({ ...row, cacheWrite: exact(row.input * 1.25) })

/** A tier above which the input, cached or not, costs twice as much, and the output `output` times as much. */
const doubledAbove = (above: number, output: number) => (row: Row): Row => ({
  ...row,
  tiers: [{
    above,
    input: exact(row.input * 2),
    output: exact(row.output * output),
    ...(row.cacheRead !== undefined && { cacheRead: exact(row.cacheRead * 2) }),
    ...(row.cacheWrite !== undefined && { cacheWrite: exact(row.cacheWrite * 2) })
  }]
})

const gpt = doubledAbove(272_000, 1.5)
const gemini = doubledAbove(200_000, 1.5)
const grok = doubledAbove(200_000, 2)

/**
 * Gemini 4 doubles its prices on 1 December. The price of cache reads is not announced; we assume that it doubles too.
 */
const introductory = {
  ...plain(2, 10, 0.1),
  planned: [{ from: "2026-12-01", input: 4, output: 20, cacheRead: 0.2 }]
} satisfies Row

export const rows = {
  anthropic: {
    "claude-fable-5-2": claude(8, 40, 0.2),
    "claude-fable-5-1": claude(10, 50, 0.25),
    "claude-fable-5": claude(10, 50, 1),
    "claude-opus-5-5": claude(4, 20, 0.2),
    "claude-opus-5": claude(5, 25, 0.5),
    "claude-sonnet-5-5": claude(2, 10, 0.1),
    "claude-sonnet-5": claude(2, 10, 0.2),
    "claude-haiku-5-5": { ...claude(0.1, 0.5, 0.01), tiers: [{ above: 100_000, ...claude(0.5, 2.5, 0.05) }] },
    "claude-opus-4-8": claude(5, 25, 0.5),
    "claude-opus-4-7": claude(5, 25, 0.5),
    "claude-opus-4-6": claude(5, 25, 0.5),
    "claude-sonnet-4-6": claude(3, 15, 0.3),
    "claude-opus-4-5": claude(5, 25, 0.5),
    "claude-sonnet-4-5": claude(3, 15, 0.3),
    "claude-haiku-4-5": claude(1, 5, 0.1)
  },
  openai: {
    "gpt-6.1-sol": gpt(written(plain(2, 10, 0.1))),
    "gpt-6.1-terra": gpt(written(plain(1, 5, 0.05))),
    "gpt-6-astra": gpt(written(plain(10, 50, 1))),
    "gpt-6-sol": gpt(written(plain(2, 10, 0.2))),
    "gpt-6-luna": gpt(written(plain(0.1, 0.5, 0.01))),
    "gpt-5.6": gpt(written(plain(4, 20, 0.4))),
    "gpt-5.6-sol": gpt(written(plain(4, 20, 0.4))),
    "gpt-5.6-terra": gpt(written(plain(2, 12, 0.2))),
    "gpt-5.6-luna": gpt(written(plain(0.2, 1.2, 0.02))),
    // Only one listing has the "pro" and "codex" models.
    "gpt-5.5-pro": gpt(plain(30, 180)),
    "gpt-5.5": gpt(plain(5, 30, 0.5)),
    "gpt-5.4-pro": gpt(plain(30, 180)),
    "gpt-5.4": gpt(plain(2.5, 15, 0.25)),
    "gpt-5.4-mini": plain(0.75, 4.5, 0.075),
    "gpt-5.4-nano": plain(0.2, 1.25, 0.02),
    "gpt-5.3-codex": plain(1.75, 14, 0.175),
    "gpt-5.2-pro": plain(21, 168),
    "gpt-5.2": plain(1.75, 14, 0.175),
    "gpt-5.1": plain(1.25, 10, 0.125),
    "gpt-5": plain(1.25, 10, 0.125),
    "gpt-5-mini": plain(0.25, 2, 0.025),
    "gpt-5-nano": plain(0.05, 0.4, 0.005),
    "gpt-5-pro": plain(15, 120),
    "gpt-4.1": plain(2, 8, 0.5),
    "gpt-4.1-mini": plain(0.4, 1.6, 0.1),
    "gpt-4.1-nano": plain(0.1, 0.4, 0.025),
    "gpt-4o": plain(2.5, 10, 1.25),
    "gpt-4o-2024-05-13": plain(5, 15),
    "gpt-4o-mini": plain(0.15, 0.6, 0.075),
    o3: plain(2, 8, 0.5),
    "o3-pro": plain(20, 80)
  },
  gemini: {
    "gemini-4-argon": introductory,
    "gemini-4-carbon": introductory,
    "gemini-4-hydrogen": { ...plain(1.5, 7.5, 0.075), asOf: "2026-11-12" },
    // Source: one reseller's page.
    "gemini-4-neon": { ...plain(3, 15), asOf: "2026-11-18" },
    "gemini-3.8-flash": plain(0.75, 3.75, 0.075),
    "gemini-3.7-flash": plain(0.75, 3.75, 0.075),
    "gemini-3.6-flash": plain(0.75, 3.75, 0.075),
    "gemini-3.5-flash": plain(1.5, 9, 0.15),
    "gemini-3.5-flash-lite": plain(0.3, 2.5, 0.03),
    "gemini-3.1-flash-lite": plain(0.25, 1.5, 0.025),
    "gemini-3-flash-preview": plain(0.5, 3, 0.05),
    "gemini-3.1-pro-preview": gemini(plain(2, 12, 0.2)),
    // From 1 December on, another model answers for the next two. The answer names it and has its price.
    "gemini-2.5-pro": gemini(plain(1.25, 10, 0.125)),
    "gemini-2.5-flash": plain(0.3, 2.5, 0.03),
    "gemini-2.5-flash-lite": plain(0.1, 0.4, 0.01)
  },
  deepseek: {
    "deepseek-flash": plain(0.3, 1.2, 0.006),
    "deepseek-v4-pro": plain(1.32, 3.96, 0.044)
  },
  xai: {
    "grok-4.7": grok(plain(2, 6, 0.5)),
    "grok-4.6": grok(plain(2, 6, 0.5)),
    "grok-4.5": grok(plain(2, 6, 0.3)),
    "grok-4.3": grok(plain(1.25, 2.5, 0.2))
  },
  moonshotai: {
    "kimi-k3.1-pro": plain(2, 10, 0.2),
    "kimi-k3": plain(3, 15, 0.3),
    "kimi-k2.7-code": plain(0.95, 4, 0.19),
    "kimi-k2.6": plain(0.95, 4, 0.16)
  },
  zai: {
    "glm-5.3": plain(1.4, 4.4, 0.26),
    "glm-5.3-flash": plain(0.15, 0.5, 0.03),
    "glm-5.2": plain(1.4, 4.4, 0.26),
    "glm-4.7": plain(0.6, 2.2, 0.11)
  },
  mistral: {
    "mistral-large-2512": plain(0.5, 1.5, 0.05),
    "mistral-medium-latest": plain(1.5, 7.5, 0.15),
    "mistral-small-latest": plain(0.15, 0.6, 0.015),
    "codestral-2508": plain(0.3, 0.9, 0.03),
    "devstral-2512": plain(0.4, 2, 0.04)
  },
  groq: {
    "llama-3.1-8b-instant": plain(0.05, 0.08),
    "llama-3.3-70b-versatile": plain(0.59, 0.79),
    "openai/gpt-oss-120b": plain(0.15, 0.6, 0.075),
    "openai/gpt-oss-20b": plain(0.075, 0.3, 0.0375),
    "openai/gpt-oss-safeguard-20b": plain(0.075, 0.3, 0.0375),
    "qwen/qwen3.6-27b": plain(0.6, 3, 0.3),
    "qwen/qwen3.8-27b": plain(0.8, 4)
  },
  cerebras: {
    "gpt-oss-120b": plain(0.35, 0.75, 0.35),
    "qwen-3.8-27b": plain(0.99, 1.49, 0.99)
  },
  openrouter: {
    // Two listings show a lower price.
    "google/gemini-3.8-flash": plain(0.825, 4.125, 0.0825),
    "meta/muse-ember": { ...plain(0.1, 0.5, 0.004), cacheWrite: 0.125 },
    "meta/muse-glimmer-30b": plain(0.3, 1.2, 0.04),
    "meta/muse-glimmer-30b:batch": plain(0.24, 0.96, 0.032),
    "meta/muse-spark-1.1": plain(1.25, 4.25, 0.15),
    "meta/muse-spark-1.2": plain(1.25, 4.25, 0.15),
    "meta/muse-spark-1.2-contributor": plain(0.1, 0.2, 0.002),
    "meta/muse-spark-1.3": plain(1.25, 4.25, 0.15),
    "meta/muse-spark-1.3-contributor": plain(0.1, 0.2, 0.002),
    "meta/muse-spark-open": plain(1.25, 4.25, 0.15),
    "meta/muse-wonder": plain(4, 20, 0.2),
    "minimax/minimax-m3": plain(0.3, 1.2, 0.06),
    "minimax/minimax-m3:batch": plain(0.224, 0.88, 0.0448),
    "minimax/minimax-m3.1-flash": plain(0.15, 0.6, 0.015),
    "qwen/qwen-plus": {
      ...plain(0.26, 0.78, 0.052),
      cacheWrite: 0.325,
      tiers: [{ above: 256_000, input: 0.78, output: 2.34, cacheRead: 0.156, cacheWrite: 0.975 }]
    },
    "qwen/qwen3.7-flash": {
      ...plain(0.03, 0.13, 0.006),
      cacheWrite: 0.038,
      tiers: [
        { above: 32_000, input: 0.1, output: 0.4, cacheRead: 0.02, cacheWrite: 0.125 },
        { above: 256_000, input: 0.2, output: 0.8, cacheRead: 0.04, cacheWrite: 0.25 }
      ]
    },
    "qwen/qwen3.7-max": { ...plain(1.475, 4.425, 0.295), cacheWrite: 1.84375 }
  }
} as const satisfies Rows

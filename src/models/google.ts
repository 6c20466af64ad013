/**
 * Gemini. Source: Gemini API reference, "Models", "Thinking", "Long decode", "Deprecations".
 */
import { type Effort, type Line, type Rules, upTo } from "./rules.ts"

const lowToHigh = ["low", "medium", "high"] as const satisfies ReadonlyArray<Effort>
const minimalToHigh = ["minimal", "low", "medium", "high"] as const satisfies ReadonlyArray<Effort>

const gemini = {
  vendor: "google",
  contextWindow: 1_048_576,
  maxOutput: upTo(65_536),
  forcedTools: "yes",
  systemInMiddle: "hoisted",
  structuredOutput: true,
  media: ["image", "pdf", "audio", "video"],
  // Without a request for thoughts, nothing is sent while the model thinks.
  silentThinking: true
} as const satisfies Rules

const v2_5 = {
  ...gemini,
  structuredOutputWithTools: false,
  sampling: "all",
  thinking: ["budget"],
  efforts: []
} as const satisfies Rules

const flash2_5 = {
  ...v2_5,
  thinksByDefault: true,
  thinkingOff: true,
  thinkingBudget: { minimum: 0, maximum: 24_576 }
} as const satisfies Rules

/** From 3 on, thinking has levels and cannot be turned off. */
const v3 = {
  ...gemini,
  structuredOutputWithTools: true,
  sampling: "all",
  thinking: ["level"],
  thinksByDefault: true,
  thinkingOff: false,
  efforts: minimalToHigh
} as const satisfies Rules

const pro3 = { ...v3, efforts: lowToHigh, defaultEffort: "high" } as const satisfies Rules
/** Sampling settings are accepted and ignored. */
const v3_6 = { ...v3, sampling: "none" } as const satisfies Rules
const v3_7 = { ...v3_6, efforts: lowToHigh } as const satisfies Rules

// Not verified whether Gemini 4 refuses or ignores sampling settings, so they are not sent. Unlisted names get the
// limits of Argon, which are the lowest.
const v4 = {
  ...v3_7,
  defaultEffort: "high",
  maxOutput: { streamed: 65_536, unary: 32_768 },
  continues: true
} as const satisfies Rules

const newest = [400, { ...v4, family: "gemini-4" }] as const

const named = (word: string): RegExp => new RegExp(`^gemini-(?<major>\\d{1,2})(?:\\.(?<minor>\\d))?-${word}(?=-|$)`)

/** Specific names come before general ones. */
export const google: ReadonlyArray<Line> = [
  { name: named("argon"), versions: [[400, { ...v4, family: "gemini-4-argon" }]] },
  { name: named("carbon"), versions: [[400, { ...v4, family: "gemini-4-carbon" }]] },
  {
    name: named("hydrogen"),
    versions: [[400, {
      ...v4,
      family: "gemini-4-hydrogen",
      efforts: ["low", "medium", "high", "xhigh"],
      maxOutput: upTo(65_536)
    }]]
  },
  { name: named("neon"), versions: [[400, { ...v4, family: "gemini-4-neon" }]] },
  {
    name: /^gemini-(?<major>\d{1,2})(?:\.(?<minor>\d))?-flash-lite(?=-|$)/,
    versions: [
      newest,
      [305, { ...v3_6, family: "gemini-3.5-flash-lite" }],
      [301, { ...v3, family: "gemini-3.1-flash-lite", shutdownNotBefore: "2027-05-07" }],
      [205, { ...flash2_5, family: "gemini-2.5-flash-lite", thinksByDefault: false }]
    ]
  },
  {
    name: /^gemini-(?<major>\d{1,2})(?:\.(?<minor>\d))?-flash(?=-|$)/,
    versions: [
      newest,
      [308, { ...v3_7, family: "gemini-3.8-flash", defaultEffort: "medium" }],
      [307, { ...v3_7, family: "gemini-3.7-flash" }],
      [306, { ...v3_6, family: "gemini-3.6-flash" }],
      [305, { ...v3, family: "gemini-3.5-flash", defaultEffort: "medium" }],
      [300, { ...v3, family: "gemini-3-flash" }],
      [205, {
        ...flash2_5,
        family: "gemini-2.5-flash",
        shutdown: "2026-12-01",
        replacement: "gemini-3.5-flash-lite",
        answeredByReplacement: true
      }]
    ]
  },
  {
    name: /^gemini-(?<major>\d{1,2})(?:\.(?<minor>\d))?-pro(?=-|$)/,
    versions: [
      newest,
      [301, { ...pro3, family: "gemini-3.1-pro" }],
      [300, { ...pro3, family: "gemini-3-pro" }],
      [205, {
        ...v2_5,
        family: "gemini-2.5-pro",
        thinksByDefault: true,
        thinkingOff: false,
        thinkingBudget: { minimum: 128, maximum: 32_768 },
        shutdown: "2026-12-01",
        replacement: "gemini-3.8-flash",
        answeredByReplacement: true
      }]
    ]
  },
  // `latest` changes without notice, so it only gets the rules that all models share.
  {
    name: /^gemini-(?:pro|flash|flash-lite)(?=-latest$)/,
    versions: [[0, { ...v3_7, family: "gemini-3" }]]
  },
  {
    name: /^gemini-(?<major>\d{1,2})(?:\.(?<minor>\d))?(?=-|$)/,
    versions: [
      newest,
      [306, { ...v3_7, family: "gemini-3.6" }],
      [300, { ...v3, family: "gemini-3" }]
    ]
  }
]

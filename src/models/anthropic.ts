/**
 * Claude. Source: Anthropic API reference, "Models overview", "Migration guide" of each model, "Errors".
 *
 * Mythos has the rules of the Fable with the same number.
 */
import { type Effort, type Line, type Rules, upTo, type Version } from "./rules.ts"

const upToHigh = ["low", "medium", "high"] as const satisfies ReadonlyArray<Effort>
const upToMax = ["low", "medium", "high", "xhigh", "max"] as const satisfies ReadonlyArray<Effort>

const size = (contextWindow: number, maxOutput: number) =>
  ({ contextWindow, maxOutput: upTo(maxOutput), defaultMaxTokens: maxOutput }) satisfies Rules

const claude = {
  vendor: "anthropic",
  structuredOutput: true,
  structuredOutputWithTools: true,
  media: ["image", "pdf"],
  // The service sends pings while the model thinks.
  silentThinking: false,
  thinkingBound: false
} as const satisfies Rules

/** Up to 4.5, models think only on request, within a token budget. */
const enabled = {
  ...claude,
  sampling: "withoutThinking",
  thinking: ["enabled"],
  efforts: [],
  thinkingBudget: { minimum: 1024 },
  thinksByDefault: false,
  thinkingOff: true,
  thinkingText: "summarized",
  forcedTools: "withoutEnabledThinking",
  systemInMiddle: "hoisted",
  prefill: true
} as const satisfies Rules

const v4_5 = { ...enabled, ...size(200_000, 64_000), temperatureOrTopP: true } as const satisfies Rules

const v4_6 = {
  ...claude,
  ...size(1_000_000, 128_000),
  sampling: "withoutThinking",
  // `enabled` is deprecated.
  thinking: ["adaptive", "enabled"],
  efforts: ["low", "medium", "high", "max"],
  defaultEffort: "high",
  thinkingBudget: { minimum: 1024 },
  thinksByDefault: false,
  thinkingOff: true,
  thinkingText: "summarized",
  forcedTools: "withoutEnabledThinking",
  systemInMiddle: "hoisted",
  prefill: false
} as const satisfies Rules

/**
 * From 4.7 on, only adaptive thinking is supported, its text is omitted by default, and sampling settings are refused.
 */
const adaptive = {
  ...claude,
  ...size(1_000_000, 128_000),
  sampling: "none",
  thinking: ["adaptive"],
  efforts: upToMax,
  defaultEffort: "high",
  thinkingText: "omitted",
  forcedTools: "yes",
  prefill: false
} as const satisfies Rules

const v4_8 = {
  ...adaptive,
  thinksByDefault: false,
  thinkingOff: true,
  systemInMiddle: "yes"
} as const satisfies Rules

/** From 5 on, models think by default. */
const v5 = {
  ...adaptive,
  thinksByDefault: true,
  thinkingOff: true,
  thinkingOffEfforts: upToHigh,
  systemInMiddle: "yes"
} as const satisfies Rules

const always = {
  ...adaptive,
  thinksByDefault: true,
  thinkingOff: false,
  systemInMiddle: "yes"
} as const satisfies Rules

/**
 * Fable 5.1 and the 5.5 models except Haiku: tools cannot be forced, and thinking is bound to the preceding
 * conversation.
 */
const bound = { ...always, forcedTools: "no", thinkingBound: true } as const satisfies Rules

const fable = (name: string) =>
  [
    [502, { ...bound, family: `claude-${name}-5-2` }],
    [501, { ...bound, family: `claude-${name}-5-1` }],
    [500, { ...always, family: `claude-${name}-5` }]
  ] as const satisfies ReadonlyArray<Version>

const named = (name: string): RegExp =>
  new RegExp(`^claude-${name}(?:-(?<major>\\d{1,2})(?:[-.](?<minor>\\d))?(?=-|$)|(?=-latest$|$))`)

const old = (version: string, family: string, contextWindow: number, maxOutput: number, rules: Rules): Line => ({
  name: new RegExp(`^claude-${version}(?=-|$)`),
  versions: [[0, { ...rules, ...size(contextWindow, maxOutput), family }]]
})

// These models do not think.
const v3 = {
  ...claude,
  sampling: "all",
  thinking: [],
  efforts: [],
  forcedTools: "yes",
  systemInMiddle: "hoisted",
  prefill: true,
  structuredOutput: false,
  structuredOutputWithTools: false
} as const satisfies Rules

/** Specific names come before general ones. */
export const anthropic: ReadonlyArray<Line> = [
  {
    name: named("opus"),
    versions: [
      [505, { ...bound, family: "claude-opus-5-5", defaultEffort: "medium" }],
      [500, { ...v5, family: "claude-opus-5", shutdownNotBefore: "2027-07-24" }],
      [408, { ...v4_8, family: "claude-opus-4-8" }],
      [407, { ...v4_8, family: "claude-opus-4-7", systemInMiddle: "hoisted" }],
      [406, { ...v4_6, family: "claude-opus-4-6" }],
      [405, {
        ...v4_5,
        family: "claude-opus-4-5",
        efforts: upToHigh,
        defaultEffort: "high",
        shutdown: "2027-01-22"
      }],
      [401, { ...enabled, ...size(200_000, 32_000), family: "claude-opus-4-1" }],
      [400, { ...enabled, ...size(200_000, 32_000), family: "claude-opus-4" }]
    ]
  },
  {
    name: named("sonnet"),
    versions: [
      [505, {
        ...bound,
        family: "claude-sonnet-5-5",
        leastThinking: "between_tools",
        thinkingOffEfforts: upToHigh
      }],
      // Thinking can be turned off at every effort. A system message in the middle is accepted and ignored.
      [500, {
        ...adaptive,
        family: "claude-sonnet-5",
        thinksByDefault: true,
        thinkingOff: true,
        systemInMiddle: "ignored"
      }],
      // Not verified whether it supports prefill. It is sent, so the service decides.
      [406, { ...v4_6, family: "claude-sonnet-4-6", prefill: true }],
      [405, { ...v4_5, family: "claude-sonnet-4-5", shutdown: "2026-11-30" }],
      [400, { ...enabled, ...size(200_000, 64_000), family: "claude-sonnet-4" }]
    ]
  },
  {
    name: named("haiku"),
    versions: [
      // One source says that its tools can be forced; no source says that its thinking is bound. If that is wrong, the
      // service refuses the request.
      [505, { ...v5, family: "claude-haiku-5-5", defaultEffort: "medium" }],
      [405, { ...v4_5, family: "claude-haiku-4-5" }]
    ]
  },
  {
    name: /^claude-mythos-preview$/,
    versions: [[0, { ...always, family: "claude-mythos-preview", shutdown: "2026-06-30" }]]
  },
  { name: named("fable"), versions: fable("fable") },
  { name: named("mythos"), versions: fable("mythos") },
  old("3[-.]7-sonnet", "claude-3-7-sonnet", 200_000, 64_000, { ...enabled, structuredOutput: false }),
  old("3[-.]5-(?:sonnet|haiku)", "claude-3-5", 200_000, 8192, v3),
  old("3-(?:opus|sonnet|haiku)", "claude-3", 200_000, 4096, v3),
  old("(?:2|2[-.]\\d|instant-1|instant-1[-.]\\d)", "claude-2", 100_000, 4096, { ...v3, media: [] }),
  // An unknown line, from version 5 on. All Claude models since 4.5 except Opus 4 support 64,000 output tokens. Whether
  // tools can be forced is left to the service.
  {
    name: /^claude-[a-z]+-(?<major>\d{1,2})(?:[-.](?<minor>\d))?(?=-|$)/,
    versions: [[500, {
      ...claude,
      family: "claude",
      defaultMaxTokens: 64_000,
      sampling: "none",
      thinking: ["adaptive"],
      efforts: upToMax,
      thinksByDefault: true,
      thinkingText: "omitted",
      prefill: false
    }]]
  }
]

/**
 * OpenAI. Source: OpenAI platform, "Models", "Deprecations", "Reasoning", and the refusals of Chat Completions.
 */
import * as Struct from "effect/Struct"
import { alike, type Effort, type Line, type Rules, upTo } from "./rules.ts"

const noneToHigh = ["none", "low", "medium", "high"] as const satisfies ReadonlyArray<Effort>
const noneToXhigh = ["none", "low", "medium", "high", "xhigh"] as const satisfies ReadonlyArray<Effort>
const noneToMax = ["none", "low", "medium", "high", "xhigh", "max"] as const satisfies ReadonlyArray<Effort>
const lowToMax = ["low", "medium", "high", "xhigh", "max"] as const satisfies ReadonlyArray<Effort>

const openAi = {
  vendor: "openai",
  forcedTools: "yes",
  systemInMiddle: "yes",
  structuredOutput: true,
  structuredOutputWithTools: true,
  media: ["image", "pdf"],
  cacheRetention: true,
  cacheBreakpoints: false,
  phase: false
} as const satisfies Rules

/** Reasoning is not streamed: no byte may arrive for minutes. */
const reasoning = {
  ...openAi,
  maxTokensField: "max_completion_tokens",
  thinking: ["effort"],
  silentThinking: true
} as const satisfies Rules

// Servers of open weights support `max_tokens`, and only some of them the newer field.
const openWeights = Struct.omit(reasoning, ["maxTokensField"])

const small = { contextWindow: 400_000, maxOutput: upTo(128_000) } as const satisfies Rules
const large = { contextWindow: 1_050_000, maxInput: 922_000, maxOutput: upTo(128_000) } as const satisfies Rules

/** Always reasons, and does not support sampling settings. */
const always = { thinksByDefault: true, thinkingOff: false, sampling: "none" } as const satisfies Rules
/** Reasons by default. */
const unlessNone = { thinksByDefault: true, thinkingOff: true, sampling: "withoutThinking" } as const satisfies Rules
/** Reasons only on request. */
const onDemand = {
  thinksByDefault: false,
  thinkingOff: true,
  sampling: "withoutThinking",
  defaultEffort: "none"
} as const satisfies Rules

const oSeries = {
  ...reasoning,
  ...always,
  contextWindow: 200_000,
  maxOutput: upTo(100_000),
  efforts: ["low", "medium", "high"],
  defaultEffort: "medium",
  chatTools: "yes"
} as const satisfies Rules

const v5 = {
  ...reasoning,
  ...small,
  ...always,
  efforts: ["minimal", "low", "medium", "high"],
  defaultEffort: "medium",
  chatTools: "yes",
  shutdown: "2026-12-11"
} as const satisfies Rules

const v5_1 = { ...reasoning, ...small, ...onDemand, efforts: noneToHigh, chatTools: "yes" } as const satisfies Rules
// One report says that Chat Completions refuses its tools together with an effort. The service decides.
const v5_2 = { ...v5_1, efforts: noneToXhigh } as const satisfies Rules
// The models before gpt-5.3-codex do not have phases.
const v5_4 = { ...v5_2, ...large, phase: true, chatTools: "onlyAtNone" } as const satisfies Rules
// Assumed to match their family except for their size (not verified).
const v5_4small = { ...v5_2, phase: true, chatTools: "onlyAtNone" } as const satisfies Rules

const v5_5 = {
  ...reasoning,
  ...large,
  ...unlessNone,
  phase: true,
  efforts: noneToXhigh,
  defaultEffort: "medium",
  chatTools: "onlyAtNone"
} as const satisfies Rules

const v5_6 = {
  ...v5_5,
  efforts: noneToMax,
  responsesEfforts: ["max"],
  cacheBreakpoints: true
} as const satisfies Rules

const v6 = { ...v5_6, cacheRetention: false } as const satisfies Rules

// The rules of gpt-6.1-sol are inferred from these. If they are wrong, a tool over Chat Completions is refused although
// it would work; Responses, the default, accepts it. The default effort of Astra is unknown, and that of Sol is not
// verified.
const astra = {
  ...Struct.omit(v6, ["defaultEffort"]),
  ...always,
  efforts: lowToMax,
  chatTools: "never"
} as const satisfies Rules
const sol6_1 = { ...astra, defaultEffort: "medium" } as const satisfies Rules

const pro = {
  ...reasoning,
  ...always,
  efforts: ["medium", "high", "xhigh"],
  chatTools: "yes",
  responsesOnly: true,
  phase: true
} as const satisfies Rules

const codex = {
  ...reasoning,
  ...small,
  ...always,
  efforts: ["low", "medium", "high", "xhigh"],
  defaultEffort: "medium",
  responsesOnly: true
} as const satisfies Rules

/** A model that does not reason. */
const plain = {
  ...openAi,
  sampling: "all",
  thinking: [],
  efforts: [],
  thinksByDefault: false,
  thinkingOff: true,
  silentThinking: false,
  chatTools: "yes"
} as const satisfies Rules

const v4_1 = {
  ...plain,
  contextWindow: 1_047_576,
  maxOutput: upTo(32_768),
  shutdown: "2027-01-14",
  replacement: "gpt-6-luna"
} as const satisfies Rules
const v4o = { ...v4_1, contextWindow: 128_000, maxOutput: upTo(16_384) } as const satisfies Rules
const gone = { ...plain, shutdown: "2026-10-23", structuredOutput: false } as const satisfies Rules
const goneReasoning = { ...oSeries, shutdown: "2026-10-23" } as const satisfies Rules

/** "gpt-6.1-sol", and OpenRouter's "gpt-sol-latest". */
const named = (word: string): RegExp =>
  new RegExp(`^gpt-(?:(?<major>\\d{1,2})(?:\\.(?<minor>\\d))?-${word}(?=-|$)|${word}(?=-latest$|$))`)

/** Specific names come before general ones. */
export const openai: ReadonlyArray<Line> = [
  // Open weights on many servers, each with its own output limit. They show their reasoning. Bedrock appends "-1" to
  // the name.
  alike(/^gpt-oss(?:-safeguard)?-\d{1,3}b(?:-1)?(?=-|$)/, {
    ...openWeights,
    family: "gpt-oss",
    contextWindow: 131_072,
    efforts: ["low", "medium", "high"],
    defaultEffort: "medium",
    thinksByDefault: true,
    thinkingOff: false,
    silentThinking: false,
    sampling: "all",
    media: [],
    chatTools: "yes"
  }),
  {
    name: named("astra"),
    versions: [[600, { ...astra, family: "gpt-6-astra" }]]
  },
  {
    name: named("sol"),
    versions: [
      [601, { ...sol6_1, family: "gpt-6.1-sol" }],
      [600, { ...v6, family: "gpt-6-sol" }],
      [506, { ...v5_6, family: "gpt-5.6-sol" }]
    ]
  },
  {
    name: named("terra"),
    versions: [
      [601, { ...v6, family: "gpt-6.1-terra" }],
      [506, { ...v5_6, family: "gpt-5.6-terra" }]
    ]
  },
  {
    name: named("luna"),
    versions: [
      [600, { ...v6, family: "gpt-6-luna" }],
      [506, { ...v5_6, family: "gpt-5.6-luna" }]
    ]
  },
  {
    name: /^gpt-(?<major>\d{1,2})(?:\.(?<minor>\d))?-pro(?=-|$)/,
    versions: [
      [505, { ...pro, ...large, family: "gpt-5.5-pro" }],
      [504, { ...pro, ...large, family: "gpt-5.4-pro" }],
      [502, { ...pro, ...small, family: "gpt-5.2-pro" }],
      [500, {
        ...v5,
        family: "gpt-5-pro",
        efforts: ["high"],
        defaultEffort: "high",
        responsesOnly: true,
        replacement: "gpt-6.1-sol"
      }]
    ]
  },
  alike(/^gpt-5\.3-codex-spark(?=-|$)/, {
    ...codex,
    family: "gpt-5.3-codex-spark",
    contextWindow: 128_000,
    maxOutput: upTo(32_000),
    phase: true
  }),
  alike(/^gpt-5\.1-codex-max(?=-|$)/, { ...codex, family: "gpt-5.1-codex-max" }),
  {
    // Assumed to be available only over Responses (not verified), so Chat Completions refuses it before sending.
    name: /^gpt-(?<major>\d{1,2})(?:\.(?<minor>\d))?-codex(?=-|$)/,
    versions: [
      [503, { ...v5_2, family: "gpt-5.3-codex", phase: true, responsesOnly: true }],
      [502, { ...codex, family: "gpt-5.2-codex" }],
      [500, { ...codex, family: "gpt-5-codex", efforts: ["low", "medium", "high"] }]
    ]
  },
  {
    name: /^gpt-(?<major>\d{1,2})(?:\.(?<minor>\d))?-cyber(?=-|$)/,
    versions: [[506, { ...Struct.omit(astra, ["maxInput"]), ...small, family: "gpt-5.6-cyber", cacheRetention: true }]]
  },
  // ChatGPT's models. It is unknown whether they reason, so nothing is refused.
  alike(/^gpt-\d{1,2}(?:\.\d)?-chat(?=-|$)/, {
    vendor: "openai",
    family: "gpt-chat",
    maxTokensField: "max_completion_tokens",
    contextWindow: 128_000,
    maxOutput: upTo(16_384)
  }),
  {
    name: /^gpt-(?<major>\d{1,2})(?:\.(?<minor>\d))?-mini(?=-|$)/,
    versions: [
      [504, { ...v5_4small, family: "gpt-5.4-mini" }],
      [500, { ...v5, family: "gpt-5-mini", replacement: "gpt-6.1-terra" }],
      [401, { ...v4_1, family: "gpt-4.1-mini" }]
    ]
  },
  {
    name: /^gpt-(?<major>\d{1,2})(?:\.(?<minor>\d))?-nano(?=-|$)/,
    versions: [
      [504, { ...v5_4small, family: "gpt-5.4-nano" }],
      [500, { ...v5, family: "gpt-5-nano", replacement: "gpt-6-luna" }],
      [401, { ...v4_1, family: "gpt-4.1-nano", shutdown: "2026-10-23" }]
    ]
  },
  alike(/^gpt-4o-2024-05-13$/, { ...v4o, family: "gpt-4o", maxOutput: upTo(4096), shutdown: "2026-10-23" }),
  alike(/^gpt-4o-mini(?=-|$)/, { ...v4o, family: "gpt-4o-mini" }),
  alike(/^gpt-4o(?=-|$)/, { ...v4o, family: "gpt-4o" }),
  alike(/^gpt-(?:3\.5|35)-turbo(?=-|$)/, {
    ...gone,
    family: "gpt-3.5",
    contextWindow: 16_385,
    maxOutput: upTo(4096),
    media: []
  }),
  alike(/^gpt-4-turbo(?=-|$)/, { ...gone, family: "gpt-4-turbo", contextWindow: 128_000, maxOutput: upTo(4096) }),
  {
    name: /^gpt-(?<major>\d{1,2})(?:\.(?<minor>\d))?(?=-|$)/,
    versions: [
      [601, { ...sol6_1, family: "gpt-6.1" }],
      [600, { ...v6, family: "gpt-6" }],
      // "gpt-5.6" is Sol.
      [506, { ...v5_6, family: "gpt-5.6-sol" }],
      [505, { ...v5_5, family: "gpt-5.5" }],
      [504, { ...v5_4, family: "gpt-5.4" }],
      [502, { ...v5_2, family: "gpt-5.2" }],
      [501, { ...v5_1, family: "gpt-5.1", shutdown: "2027-04-01" }],
      [500, { ...v5, family: "gpt-5", replacement: "gpt-6.1-sol" }],
      [401, { ...v4_1, family: "gpt-4.1" }],
      [400, { ...gone, family: "gpt-4", contextWindow: 8192, maxOutput: upTo(8192), media: [] }]
    ]
  },
  {
    name: /^o(?<major>\d{1,2})-pro(?=-|$)/,
    versions: [
      [300, { ...oSeries, family: "o3-pro", responsesOnly: true, shutdown: "2026-12-11" }],
      [100, { ...goneReasoning, family: "o1-pro", responsesOnly: true }]
    ]
  },
  {
    name: /^o(?<major>\d{1,2})-mini(?=-|$)/,
    versions: [
      [400, { ...goneReasoning, family: "o4-mini" }],
      [300, { ...goneReasoning, family: "o3-mini", media: [] }]
    ]
  },
  {
    name: /^o(?<major>\d{1,2})(?=-|$)/,
    versions: [
      [300, { ...oSeries, family: "o3", shutdown: "2026-12-11" }],
      [100, { ...goneReasoning, family: "o1" }]
    ]
  }
]

/**
 * Models of other vendors, served by servers with OpenAI's protocols. The rules come from one listing: limits, efforts
 * and what must be sent back. Forced tools and structured output are not verified, so they are sent and the server
 * decides.
 */
import * as Struct from "effect/Struct"
import { alike, type Effort, type Line, type Rules, upTo } from "./rules.ts"

const noneOrHigh = ["none", "high"] as const satisfies ReadonlyArray<Effort>
const lowHighMax = ["low", "high", "max"] as const satisfies ReadonlyArray<Effort>
const noneToHigh = ["none", "low", "medium", "high"] as const satisfies ReadonlyArray<Effort>
const highMax = ["high", "max"] as const satisfies ReadonlyArray<Effort>
const lowToXhigh = ["low", "medium", "high", "xhigh"] as const satisfies ReadonlyArray<Effort>
const image = ["image"] as const satisfies Rules["media"]

const size = (contextWindow: number, maxOutput: number) =>
  ({ contextWindow, maxOutput: upTo(maxOutput) }) satisfies Rules

/** They stream their reasoning as `reasoning_content`. */
const showing = { thinksByDefault: true, silentThinking: false } as const satisfies Rules
const unthinking = { thinking: [], efforts: [], thinksByDefault: false, thinkingOff: true } as const satisfies Rules

const deepseek = {
  ...showing,
  ...size(1_000_000, 384_000),
  vendor: "deepseek",
  thinking: ["toggle", "effort"],
  thinkingOff: true,
  replayReasoningContent: true
} as const satisfies Rules

const deepseekFlash = {
  ...deepseek,
  efforts: lowHighMax,
  systemInMiddle: "hoisted",
  media: image
} as const satisfies Rules

const grok = {
  ...size(500_000, 500_000),
  vendor: "xai",
  thinking: ["effort"],
  efforts: lowToXhigh,
  thinksByDefault: true,
  thinkingOff: false,
  // Its reasoning is encrypted. We assume that nothing is sent meanwhile; if that is wrong, a call waits longer than
  // needed.
  silentThinking: true,
  media: image
} as const satisfies Rules

const kimi = {
  ...showing,
  vendor: "moonshotai",
  media: image,
  systemInMiddle: "yes"
} as const satisfies Rules
const kimi2 = { ...kimi, ...size(262_144, 262_144), thinking: ["toggle"], efforts: [] } as const satisfies Rules
const kimi3 = {
  ...kimi,
  ...size(1_048_576, 1_048_576),
  thinking: ["effort"],
  efforts: lowHighMax,
  thinkingOff: false,
  replayReasoningContent: true
} as const satisfies Rules

const glm = {
  ...showing,
  ...size(1_000_000, 131_072),
  vendor: "zai",
  thinking: ["toggle", "effort"],
  media: []
} as const satisfies Rules

const mistral = { ...size(262_144, 262_144), vendor: "mistral" } as const satisfies Rules
const mistralThinking = {
  ...mistral,
  ...showing,
  thinking: ["effort"],
  efforts: noneOrHigh,
  thinkingOff: true,
  media: image
} as const satisfies Rules

const qwen = { vendor: "qwen" } as const satisfies Rules
const minimax = { vendor: "minimax", media: image } as const satisfies Rules
const muse = { vendor: "meta", media: image } as const satisfies Rules

/** Specific names come before general ones. */
export const compatible: ReadonlyArray<Line> = [
  // Without a version, it is the newest model.
  alike(/^deepseek-flash(?=-|$)/, { ...deepseekFlash, family: "deepseek-flash" }),
  {
    name: /^deepseek-v(?<major>\d{1,2})(?:[-.](?<minor>\d))?-flash(?=-|$)/,
    versions: [
      [401, { ...deepseekFlash, family: "deepseek-v4.1-flash" }],
      [400, { ...deepseek, family: "deepseek-v4-flash", efforts: highMax, systemInMiddle: "hoisted" }]
    ]
  },
  {
    name: /^deepseek-v(?<major>\d{1,2})(?:[-.](?<minor>\d))?-pro(?=-|$)/,
    versions: [[400, { ...deepseek, family: "deepseek-v4-pro", efforts: highMax, systemInMiddle: "yes", media: [] }]]
  },
  {
    name: /^grok-(?<major>\d{1,2})(?:\.(?<minor>\d))?(?=-|$)/,
    versions: [
      [407, { ...grok, family: "grok-4.7" }],
      [406, { ...grok, family: "grok-4.6" }],
      [405, { ...grok, family: "grok-4.5" }],
      [403, {
        ...grok,
        ...size(1_000_000, 30_000),
        family: "grok-4.3",
        efforts: ["none", ...lowToXhigh],
        thinkingOff: true
      }]
    ]
  },
  {
    name: /^kimi-k(?<major>\d{1,2})(?:[.p](?<minor>\d))?(?=-|$)/,
    versions: [
      [301, { ...kimi3, family: "kimi-k3.1" }],
      [300, { ...kimi3, family: "kimi-k3" }],
      [207, { ...kimi2, family: "kimi-k2.7", thinkingOff: false }],
      [206, { ...kimi2, family: "kimi-k2.6" }]
    ]
  },
  {
    name: /^(?:zai-)?glm-(?<major>\d{1,2})(?:[.p-](?<minor>\d))?-flash(?=-|$)/,
    versions: [[503, { ...glm, family: "glm-5.3-flash", efforts: lowHighMax, thinkingOff: false, media: image }]]
  },
  {
    name: /^(?:zai-)?glm-(?<major>\d{1,2})(?:[.p-](?<minor>\d))?(?=-|$)/,
    versions: [
      [503, { ...glm, family: "glm-5.3", efforts: lowHighMax, thinkingOff: false }],
      [502, { ...glm, family: "glm-5.2", efforts: ["none", ...highMax], thinkingOff: true }],
      [407, {
        ...glm,
        family: "glm-4.7",
        contextWindow: 204_800,
        thinking: ["toggle"],
        efforts: [],
        thinkingOff: true
      }]
    ]
  },
  alike(/^mistral-large-(?:2512|latest)$/, { ...mistral, ...unthinking, family: "mistral-large", media: image }),
  alike(/^mistral-large-4(?=-|$)/, {
    ...mistralThinking,
    ...size(1_048_576, 262_144),
    family: "mistral-large-4",
    efforts: ["low", "medium", "high"],
    thinkingOff: false
  }),
  alike(/^mistral-medium-(?:latest|2604|3\.5)$/, { ...mistralThinking, family: "mistral-medium" }),
  alike(/^mistral-small-(?:latest|2603)$/, { ...mistralThinking, ...size(262_144, 256_000), family: "mistral-small" }),
  alike(/^codestral-2508$/, { ...mistral, ...unthinking, ...size(256_000, 8192), family: "codestral", media: [] }),
  alike(/^devstral(?=-|$)/, { ...mistral, ...unthinking, family: "devstral", media: [] }),
  {
    name: /^qwen-?(?<major>\d{1,2})(?:\.(?<minor>\d))?-27b(?=-|$)/,
    versions: [
      [308, {
        ...qwen,
        ...showing,
        family: "qwen3.8-27b",
        thinking: ["effort"],
        thinkingOff: true,
        media: image
      }],
      [306, {
        ...qwen,
        ...showing,
        family: "qwen3.6-27b",
        thinking: ["effort"],
        thinkingOff: true,
        media: image
      }]
    ]
  },
  {
    name: /^qwen-?(?<major>\d{1,2})(?:\.(?<minor>\d))?-max(?=-|$)/,
    versions: [[307, { ...qwen, family: "qwen3.7-max" }]]
  },
  {
    name: /^qwen-?(?<major>\d{1,2})(?:\.(?<minor>\d))?-flash(?=-|$)/,
    versions: [[307, { ...qwen, family: "qwen3.7-flash", media: image }]]
  },
  alike(/^qwen-plus(?=-|$)/, { ...qwen, family: "qwen-plus" }),
  {
    name: /^minimax-m(?<major>\d{1,2})(?:\.(?<minor>\d))?-flash(?=-|$)/,
    versions: [[301, { ...minimax, family: "minimax-m3.1-flash" }]]
  },
  {
    name: /^minimax-m(?<major>\d{1,2})(?:\.(?<minor>\d))?(?=-|$)/,
    versions: [[300, { ...minimax, family: "minimax-m3" }]]
  },
  alike(/^muse-glimmer-30b(?=-|$)/, { ...muse, family: "muse-glimmer" }),
  alike(/^muse-spark-open(?=-|$)/, { ...muse, family: "muse-spark-open" }),
  alike(/^muse-(?:ember|spark|wonder)(?:-\d\.\d)?(?=-|$)/, { ...muse, family: "muse" }),
  alike(/^llama-3\.3-70b(?=-|$)/, { ...unthinking, family: "llama-3.3", vendor: "meta", media: [] }),
  alike(/^llama-3\.1-8b(?=-|$)/, { ...unthinking, family: "llama-3.1", vendor: "meta", media: [] })
]

/** Services that serve other vendors' models, with their own limits. */
const hosts = [
  "azure",
  "cerebras",
  "fireworks",
  "groq",
  "llamacpp",
  "lmstudio",
  "mistral",
  "ollama",
  "openrouter",
  "perplexity",
  "together",
  "vllm"
]

/** Vendors whose models have the same rules at every service. */
const same = ["anthropic", "google", "openai"]

/** Rules of a model at such a service, by service and family. */
const hosted = {
  groq: {
    "gpt-oss": size(131_072, 65_536),
    "llama-3.1": size(131_072, 131_072),
    "llama-3.3": size(131_072, 32_768),
    "qwen3.6-27b": {
      ...size(131_072, 16_384),
      efforts: noneOrHigh,
      thinkingOff: true,
      effortNames: { high: "default" }
    },
    "qwen3.8-27b": { ...size(131_072, 16_384), efforts: noneToHigh, thinkingOff: true }
  },
  cerebras: {
    "gpt-oss": size(131_072, 40_960),
    "qwen3.8-27b": { ...size(131_072, 40_960), efforts: noneToHigh, thinkingOff: true }
  },
  openrouter: {
    "minimax-m3": size(524_288, 512_000),
    "minimax-m3.1-flash": size(1_048_576, 524_288),
    muse: size(1_048_576, 943_718),
    "muse-spark-open": size(1_048_576, 131_072),
    "muse-glimmer": size(131_072, 16_384),
    "qwen-plus": size(1_000_000, 32_768),
    "qwen3.7-flash": size(1_000_000, 65_536),
    "qwen3.7-max": size(1_000_000, 131_072)
  }
} as const satisfies Readonly<Record<string, Readonly<Record<string, Rules>>>>

/** OpenRouter chooses between OpenAI's two protocols, and adapts efforts itself. */
const openRouter = { chatTools: "yes", responsesOnly: false, responsesEfforts: [] } as const satisfies Rules

const hostsOwn = ["contextWindow", "maxOutput", "efforts", "defaultEffort", "thinkingOff"] as const

const ofHost = (provider: string, family: string): Rules | undefined => {
  const families: Readonly<Record<string, Rules>> = Object.hasOwn(hosted, provider)
    ? hosted[provider as keyof typeof hosted]
    : {}
  return Object.hasOwn(families, family) ? families[family] : undefined
}

/**
 * The rules of a model at a service. Except for the rows above, the limits and efforts of an open model at another
 * service are unknown. OpenRouter continues Gemini's long answers itself. An unknown service leaves the rules
 * unchanged.
 */
export const servedBy = (provider: string, rules: Rules): Rules => {
  const { assumed, family = "", vendor = "" } = rules
  if (!hosts.includes(provider) || provider === vendor) return rules
  const isFollowed = provider === "openrouter" && rules.continues === true
  const kept = isFollowed
    ? Struct.omit(rules, ["continues", "maxOutput"])
    : same.includes(vendor)
    ? rules
    : Struct.omit(rules, hostsOwn)
  return {
    ...kept,
    ...(assumed !== true && ofHost(provider, family)),
    ...(provider === "openrouter" && vendor === "openai" && openRouter)
  }
}

/**
 * All clients by name. Each is imported only in the process that measures it.
 */
import type { Make, ProtocolName } from "../Client.ts"

export interface Contestant {
  readonly name: string
  readonly protocol: ProtocolName
  readonly load: () => Promise<Make>
}

const protocols: ReadonlyArray<ProtocolName> = ["openai", "anthropic", "gemini"]

/** What every other client is compared with. */
export const baseline = "fetch"

/** The same client in another process: how far it is from 1 is how far any figure may be off. */
export const control = "fetch, again"

export const contestants: ReadonlyArray<Contestant> = protocols.flatMap((protocol): Array<Contestant> => [
  { name: baseline, protocol, load: async () => (await import("./fetch.ts")).fetchClient(protocol) },
  {
    name: "effect-llm, undici",
    protocol,
    load: async () => (await import("./effectLlmUndici.ts")).effectLlmUndici(protocol)
  },
  {
    name: "effect-llm, fetch",
    protocol,
    load: async () => (await import("./effectLlmFetch.ts")).effectLlmFetch(protocol)
  },
  ...({
    openai: [
      { name: control, protocol, load: async () => (await import("./fetch.ts")).fetchClient(protocol) },
      {
        name: "Effect's HttpClient, undici",
        protocol,
        load: async () => {
          const { layerUndici } = await import("@effect/platform-node/NodeHttpClient")
          return (await import("./effectHttp.ts")).effectHttpClient(protocol, layerUndici)
        }
      },
      {
        name: "Effect's HttpClient, fetch",
        protocol,
        load: async () => {
          const { layer } = await import("effect/http/FetchHttpClient")
          return (await import("./effectHttp.ts")).effectHttpClient(protocol, layer)
        }
      },
      { name: "undici", protocol, load: async () => (await import("./undici.ts")).undiciClient(protocol) },
      { name: "openai", protocol, load: async () => (await import("./openai.ts")).openaiClient },
      { name: "ai, @ai-sdk/openai", protocol, load: async () => (await import("./aiSdkOpenai.ts")).aiSdkOpenai }
    ],
    anthropic: [
      { name: "@anthropic-ai/sdk", protocol, load: async () => (await import("./anthropic.ts")).anthropicClient },
      {
        name: "ai, @ai-sdk/anthropic",
        protocol,
        load: async () => (await import("./aiSdkAnthropic.ts")).aiSdkAnthropic
      }
    ],
    gemini: [
      { name: "@google/genai", protocol, load: async () => (await import("./googleGenai.ts")).googleGenaiClient }
    ]
  } satisfies Record<ProtocolName, Array<Contestant>>)[protocol]
])

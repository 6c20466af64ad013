/**
 * A measured client of one protocol, used as in its documentation.
 */
export type ProtocolName = "openai" | "anthropic" | "gemini"

/** A short question, or a conversation of 200 messages with 20 tools. */
export type Size = "small" | "large"

export interface Client {
  /** The text of the answer. */
  readonly complete: (size: Size) => Promise<string>
  /** The text of the answer, joined from its deltas. */
  readonly stream: (size: Size) => Promise<string>
}

/** Makes a client for a server whose base URL has no version. */
export type Make = (url: string) => Client

export const models = {
  openai: "gpt-5",
  anthropic: "claude-sonnet-4-6",
  gemini: "gemini-3-flash"
} satisfies Record<ProtocolName, string>

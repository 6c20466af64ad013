/**
 * The answers of the server, made before the measurement: the same text in each provider's wire format.
 */
import type { ProtocolName } from "./Client.ts"

const words = ["The", " sky", " looks", " blue", " because", " air", " scatters", " short", " waves", " more", " than"]

const word = (index: number): string => words[index % words.length]!

/** The text of an answer with this number of deltas. */
export const textOf = (deltas: number): string => Array.from({ length: deltas }, (_, index) => word(index)).join("")

interface Body {
  readonly head: string
  readonly delta: (text: string) => string
  readonly tail: (tokens: number) => string
  readonly whole: (text: string, tokens: number) => string
}

const openai = (choice: object, usage: object | null): string =>
  JSON.stringify({
    id: "chatcmpl-CkYbQ3mB5nTzXw8rLJvE2pHs7aDfU",
    object: "chat.completion.chunk",
    created: 1767225600,
    model: "gpt-5-2025-08-07",
    service_tier: "default",
    system_fingerprint: null,
    choices: usage === null
      ? [{ index: 0, ...choice, logprobs: null, finish_reason: null, ...choice }]
      : [],
    usage,
    obfuscation: "q8Zr1kW"
  })

const openaiUsage = (tokens: number) => ({
  prompt_tokens: 20,
  completion_tokens: tokens,
  total_tokens: tokens + 20,
  prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
  completion_tokens_details: {
    reasoning_tokens: 0,
    audio_tokens: 0,
    accepted_prediction_tokens: 0,
    rejected_prediction_tokens: 0
  }
})

const anthropicUsage = {
  input_tokens: 20,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
  cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
  service_tier: "standard"
}

const anthropicMessage = {
  model: "claude-sonnet-4-6",
  id: "msg_01XFDUDYJgAACzvnptvVoYEL",
  type: "message",
  role: "assistant"
}

const event = (data: { readonly type: string }): string => `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`

const gemini = (text: string, tokens: number, finishReason: string | undefined): string =>
  JSON.stringify({
    candidates: [{ content: { parts: [{ text }], role: "model" }, finishReason, index: 0 }],
    usageMetadata: {
      promptTokenCount: 20,
      candidatesTokenCount: tokens,
      totalTokenCount: tokens + 20,
      promptTokensDetails: [{ modality: "TEXT", tokenCount: 20 }]
    },
    modelVersion: "gemini-3-flash",
    responseId: "pQ0Zae6fN9-Jz7IP3Kmx0AU"
  })

const bodies: Record<ProtocolName, Body> = {
  openai: {
    head: `data: ${openai({ delta: { role: "assistant", content: "", refusal: null } }, null)}\n\n`,
    delta: (content) => `data: ${openai({ delta: { content } }, null)}\n\n`,
    tail: (tokens) =>
      `data: ${openai({ delta: {}, finish_reason: "stop" }, null)}\n\ndata: ${
        openai({}, openaiUsage(tokens))
      }\n\ndata: [DONE]\n\n`,
    whole: (content, tokens) =>
      JSON.stringify({
        id: "chatcmpl-CkYbQ3mB5nTzXw8rLJvE2pHs7aDfU",
        object: "chat.completion",
        created: 1767225600,
        model: "gpt-5-2025-08-07",
        choices: [{
          index: 0,
          message: { role: "assistant", content, refusal: null, annotations: [] },
          logprobs: null,
          finish_reason: "stop"
        }],
        usage: openaiUsage(tokens),
        service_tier: "default",
        system_fingerprint: null
      })
  },
  anthropic: {
    head: event({
      type: "message_start",
      message: {
        ...anthropicMessage,
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: { ...anthropicUsage, output_tokens: 1 }
      }
    } as { type: string })
      + event({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } } as { type: string })
      + event({ type: "ping" }),
    delta: (text) =>
      event({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } } as { type: string }),
    tail: (tokens) =>
      event({ type: "content_block_stop", index: 0 } as { type: string })
      + event({
        type: "message_delta",
        delta: { stop_reason: "end_turn", stop_sequence: null },
        usage: { ...anthropicUsage, output_tokens: tokens }
      } as { type: string })
      + event({ type: "message_stop" }),
    whole: (text, tokens) =>
      JSON.stringify({
        ...anthropicMessage,
        content: [{ type: "text", text }],
        stop_reason: "end_turn",
        stop_sequence: null,
        usage: { ...anthropicUsage, output_tokens: tokens }
      })
  },
  gemini: {
    head: "",
    delta: (text) => `data: ${gemini(text, 1, undefined)}\r\n\r\n`,
    tail: (tokens) => `data: ${gemini("", tokens, "STOP")}\r\n\r\n`,
    whole: (text, tokens) => gemini(text, tokens, "STOP")
  }
}

/** The whole answer. */
export const whole = (protocol: ProtocolName, deltas: number): Buffer =>
  Buffer.from(bodies[protocol].whole(textOf(deltas), deltas))

/** The answer as a stream: the text with the first delta, of each delta, and with the last delta. */
export const pieces = (protocol: ProtocolName, deltas: number): ReadonlyArray<Buffer> => {
  const { delta, head, tail } = bodies[protocol]
  return Array.from({ length: deltas }, (_, index) =>
    Buffer.from(
      (index === 0 ? head : "") + delta(word(index)) + (index === deltas - 1 ? tail(deltas) : "")
    ))
}

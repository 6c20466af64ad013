/**
 * Answers as the parts of effect/ai: whole answers, and streams, which it divides into blocks with a start and an end.
 */
import type * as Response from "effect/ai/Response"
import * as Schema from "effect/Schema"
import type { CompletionPart } from "../CompletionPart.ts"
import type { CompletionResponse, FinishReason } from "../CompletionResponse.ts"
import { LLMError } from "../LLMError.ts"
import type * as Message from "../Message.ts"
import type { TokenUsage } from "../TokenUsage.ts"
import { key, metadata, remainder, silent, toPart } from "./turns.ts"

const toUsage = (usage: TokenUsage): typeof Response.Usage.Encoded => ({
  inputTokens: {
    total: usage.inputTokens,
    uncached: usage.inputTokens - usage.cachedInputTokens - usage.cacheWriteTokens,
    cacheRead: usage.cachedInputTokens,
    cacheWrite: usage.cacheWriteTokens
  },
  outputTokens: {
    total: usage.outputTokens,
    text: usage.outputTokens - usage.reasoningTokens,
    reasoning: usage.reasoningTokens
  }
})

const finishReasons = {
  None: "unknown",
  Stop: "stop",
  MaxTokens: "length",
  ToolUse: "tool-calls",
  ContentFilter: "content-filter"
} as const satisfies Record<Exclude<FinishReason["_tag"], "Other">, Response.FinishReason>

export const toFinishReason = (reason: FinishReason): Response.FinishReason =>
  reason._tag !== "Other" ? finishReasons[reason._tag] : reason.reason === "pause_turn" ? "pause" : "other"

const encodeAttempts = Schema.encodeSync(Schema.toCodecJson(Schema.Array(LLMError)))

/** The metadata of an answer. */
export const about = (
  response: CompletionResponse
): ReadonlyArray<Response.ResponseMetadataPartEncoded | Response.FinishPartEncoded> => {
  const { attempts, cached, cost, finishReason, id, model, provider, requestId, stopSequence, usage, warnings } =
    response
  const known = {
    provider,
    finishReason: finishReason._tag === "Other" ? finishReason.reason : undefined,
    requestId,
    stopSequence,
    cost,
    cached,
    warnings,
    attempts: attempts && encodeAttempts(attempts)
  }
  return [
    { type: "response-metadata", ...(id && { id }), ...(model && { modelId: model }) },
    {
      type: "finish",
      reason: toFinishReason(finishReason),
      usage: toUsage(usage),
      metadata: {
        [key]: Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined)) as Schema.Json
      }
    }
  ]
}

/**
 * Puts the parts of one stream into blocks. Each block carries its index, because contents may end in any order, and the
 * fields that effect/ai has no place for. A tool call is emitted as soon as it is complete.
 */
export const makeBlocks = () => {
  // The open blocks of text and reasoning, and the ids of calls, by the index of their content.
  const open = new Map<number, "text" | "reasoning">()
  const calls = new Map<number, string>()
  let whose: Pick<Message.Assistant, "id" | "provider"> = {}
  let carriedId: string | undefined
  let unsaid = true

  const carry = (index: number, content: Message.AssistantContent, part: ReturnType<typeof toPart>) => {
    const first = unsaid ? whose : {}
    unsaid = false
    carriedId = whose.id
    return metadata({ ...remainder(content, part), ...first, index })
  }

  const delta = (
    type: "text" | "reasoning",
    index: number,
    text: string,
    out: Array<Response.StreamPartEncoded>
  ): void => {
    const id = String(index)
    if (!open.has(index)) {
      open.set(index, type)
      out.push({ type: `${type}-start`, id })
    }
    out.push({ type: `${type}-delta`, id, delta: text })
  }

  const end = (index: number, content: Message.AssistantContent, out: Array<Response.StreamPartEncoded>): void => {
    const part = toPart(content)
    const id = String(index)
    const type = open.get(index)
    if (type !== undefined) {
      open.delete(index)
      // The deltas of reasoning may not add up to its whole text.
      out.push({ type: `${type}-end`, id, metadata: carry(index, content, part) })
    } else if (part?.type === "tool-call" || part?.type === "file") {
      if (calls.has(index)) out.push({ type: "tool-params-end", id: calls.get(index)! })
      out.push({ ...part, metadata: carry(index, content, part) })
    } else {
      out.push({ type: `${silent.type}-start`, id }, {
        type: `${silent.type}-end`,
        id,
        metadata: carry(index, content, undefined)
      })
    }
  }

  const finish = (response: CompletionResponse, out: Array<Response.StreamPartEncoded>): void => {
    for (const [index, type] of open) out.push({ type: `${type}-end`, id: String(index) })
    // The message id and provider, if no part could carry them, or if the provider sent them late.
    const { id, provider } = response.message
    if (unsaid || id !== carriedId) {
      const last = metadata({ ...(id !== undefined && { id }), ...(provider !== undefined && { provider }) })
      out.push({ type: "reasoning-start", id: "message" }, { type: "reasoning-end", id: "message", metadata: last })
    }
    out.push(...about(response))
  }

  return (part: CompletionPart, out: Array<Response.StreamPartEncoded>): void => {
    switch (part._tag) {
      case "Start":
        whose = { provider: part.provider, ...(part.id !== undefined && { id: part.id }) }
        break
      case "TextDelta":
        delta("text", part.index, part.text, out)
        break
      case "ReasoningDelta":
        delta("reasoning", part.index, part.text, out)
        break
      case "ToolCallStart":
        calls.set(part.index, part.id)
        out.push({ type: "tool-params-start", id: part.id, name: part.name })
        break
      case "ToolCallDelta":
        out.push({ type: "tool-params-delta", id: calls.get(part.index)!, delta: part.arguments })
        break
      case "ContentEnd":
        end(part.index, part.content, out)
        break
      case "Finish":
        finish(part.response, out)
    }
  }
}

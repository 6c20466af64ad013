/**
 * Converts answers of effect/ai's models to ours: whole answers, and the parts of a stream.
 */
import * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import * as Equal from "effect/Equal"
import type { CompletionPart } from "../CompletionPart.ts"
import type { CompletionResponse, FinishReason } from "../CompletionResponse.ts"
import type * as Message from "../Message.ts"
import * as TokenUsage from "../TokenUsage.ts"
import type { Answer } from "../wire/Wire.ts"
import { fromForeign, toAssistant } from "./turns.ts"

export type Parts = ReadonlyArray<Response.AnyPart>

const finishReasons = {
  stop: { _tag: "Stop" },
  length: { _tag: "MaxTokens" },
  "tool-calls": { _tag: "ToolUse" },
  "content-filter": { _tag: "ContentFilter" },
  pause: { _tag: "Other", reason: "pause_turn" },
  error: { _tag: "Other", reason: "error" },
  other: { _tag: "Other", reason: "other" },
  unknown: { _tag: "None" }
} as const satisfies Record<Response.FinishReason, FinishReason>

const toUsage = ({ inputTokens, outputTokens }: Response.Usage): TokenUsage.TokenUsage => {
  const { cacheRead = 0, cacheWrite = 0, total, uncached = 0 } = inputTokens
  const { reasoning = 0, text = 0 } = outputTokens
  return TokenUsage.make({
    inputTokens: total ?? uncached + cacheRead + cacheWrite,
    outputTokens: outputTokens.total ?? text + reasoning,
    cachedInputTokens: cacheRead,
    cacheWriteTokens: cacheWrite,
    reasoningTokens: reasoning
  })
}

const isTextual = ({ type }: Response.AnyPart): boolean => type.startsWith("text")

/**
 * The parts with another text: the JSON of an object in the requested form. For some providers effect/ai requests
 * another form.
 */
export const withText = (parts: Parts, text: string): Parts => [
  ...parts.filter((part) => !isTextual(part)),
  { type: "text", text, metadata: parts.find(isTextual)?.metadata ?? {} } as Response.TextPart
]

const turnOf = (parts: Parts): Prompt.AssistantMessage | undefined =>
  Prompt.fromResponseParts(parts).content.find((message) => message.role === "assistant")

/** The content of the parts so far. */
export const toAnswer = (parts: Parts): Answer => {
  const finish = parts.find((part) => part.type === "finish")
  const about = parts.find((part) => part.type === "response-metadata")
  const turn = turnOf(parts)
  return {
    choice: turn === undefined ? [] : [...fromForeign(turn)],
    finishReason: finishReasons[finish?.reason ?? "unknown"],
    usage: finish === undefined ? TokenUsage.zero : toUsage(finish.usage),
    id: about?.id,
    model: about?.modelId
  }
}

/** A content of a stream: its parts so far, and the content once it is complete. */
interface Block {
  readonly index: number
  readonly tag: Message.AssistantContent["_tag"]
  readonly parts: Array<Response.AnyPart>
  content: Message.AssistantContent | undefined
}

const contentOf = (parts: Parts): Message.AssistantContent | undefined => {
  const turn = turnOf(parts)
  return turn && toAssistant(turn).content[0]
}

const isSame = (block: Block, content: Message.AssistantContent): boolean =>
  block.content === undefined ? block.tag === content._tag : Equal.equals(block.content, content)

/**
 * Converts the parts of one stream. Blocks are numbered as they begin, and end with their contents; contents without
 * a block are emitted at the end.
 */
export const makePieces = (provider: string, model: string) => {
  const blocks = new Map<string, Block>()
  let next = 0
  let started = false
  let about: { readonly id?: string | undefined; readonly model?: string | undefined } = {}

  const put = (part: CompletionPart, out: Array<CompletionPart>): void => {
    if (!started) {
      started = true
      const { id } = about
      out.push({ _tag: "Start", provider, model: about.model ?? model, ...(id !== undefined && { id }) })
    }
    out.push(part)
  }

  const begin = (key: string, tag: Block["tag"], part: Response.AnyPart): Block => {
    const block: Block = { index: next++, tag, parts: [part], content: undefined }
    blocks.set(key, block)
    return block
  }

  const end = (block: Block, content: Message.AssistantContent | undefined, out: Array<CompletionPart>): void => {
    block.content = content
    if (content !== undefined) put({ _tag: "ContentEnd", index: block.index, content }, out)
  }

  const call = (part: { readonly id: string; readonly name: string }, out: Array<CompletionPart>): Block => {
    const block = begin(`call ${part.id}`, "ToolCall", part as Response.AnyPart)
    put({ _tag: "ToolCallStart", index: block.index, id: part.id, name: part.name }, out)
    return block
  }

  const take = (part: Response.AnyPart, out: Array<CompletionPart>): void => {
    switch (part.type) {
      case "response-metadata":
        about = { id: part.id, model: part.modelId }
        return
      case "text-start":
        begin(`text ${part.id}`, "Text", part)
        return
      case "reasoning-start":
        begin(`reasoning ${part.id}`, "Reasoning", part)
        return
      case "text-delta":
      case "reasoning-delta": {
        const text = part.type === "text-delta"
        const block = blocks.get(`${text ? "text" : "reasoning"} ${part.id}`)
        block?.parts.push(part)
        if (block === undefined || part.delta === "") return
        put({ _tag: text ? "TextDelta" : "ReasoningDelta", index: block.index, text: part.delta }, out)
        return
      }
      case "text-end":
      case "reasoning-end": {
        const block = blocks.get(`${part.type === "text-end" ? "text" : "reasoning"} ${part.id}`)
        if (block !== undefined) end(block, contentOf([...block.parts, part]), out)
        return
      }
      case "file":
        end(begin(`file ${next}`, "Image", part), contentOf([part]), out)
        return
      case "tool-params-start":
        if (!part.providerExecuted) call(part, out)
        return
      case "tool-params-delta": {
        const block = blocks.get(`call ${part.id}`)
        if (block === undefined || part.delta === "") return
        put({ _tag: "ToolCallDelta", index: block.index, arguments: part.delta }, out)
        return
      }
      case "tool-call": {
        if (part.providerExecuted) return
        const known = blocks.get(`call ${part.id}`)
        const block = known ?? call(part, out)
        if (known === undefined) {
          put({ _tag: "ToolCallDelta", index: block.index, arguments: JSON.stringify(part.params) }, out)
        }
        end(block, contentOf([part]), out)
      }
    }
  }

  /** The end, with the contents that have not ended yet. */
  const finish = (response: CompletionResponse, out: Array<CompletionPart>): void => {
    const waiting = [...blocks.values()]
    for (const content of response.choice) {
      const at = waiting.findIndex((block) => isSame(block, content))
      const block = at < 0 ? undefined : waiting[at]
      if (block !== undefined) waiting.splice(0, at + 1)
      if (block?.content === undefined) {
        put({ _tag: "ContentEnd", index: block?.index ?? next++, content }, out)
      }
    }
    put({ _tag: "Finish", response }, out)
  }

  return { take, finish }
}

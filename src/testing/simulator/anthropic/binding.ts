/**
 * Thinking that is bound to the preceding conversation: how the simulated model signs its thinking, and which blocks of
 * a request no longer match. Source: Anthropic API reference, "Extended thinking", "Block binding".
 */
import type { Headers, Rejection } from "../exchange.ts"
import { idOf, isObject, type JsonObject } from "../json.ts"
import type { Body } from "./body.ts"
import { has } from "./models.ts"

/** A dropped block, as the API reports it. */
export interface Dropped {
  readonly [name: string]: string
  readonly type: "thinking_dropped"
  readonly path: string
  readonly reason: "prefix_mismatch"
}

const isThinking = (block: unknown): boolean =>
  isObject(block) && (block.type === "thinking" || block.type === "redacted_thinking")

/** The parts of a conversation that the signature covers: everything except cache marks and thinking. */
const bare = (value: unknown): unknown => {
  if (typeof value === "string") return [{ type: "text", text: value }]
  if (!Array.isArray(value)) return value
  return value.filter((block) => !isThinking(block)).map((block: unknown) => {
    if (!isObject(block)) return block
    const { cache_control: _, ...rest } = block
    return Array.isArray(rest.content) ? { ...rest, content: bare(rest.content) } : rest
  })
}

const marker = "Sim"

const tokenOf = ({ system = [], tools = [] }: JsonObject, before: ReadonlyArray<unknown>): string => {
  const turns = before.map((message) => isObject(message) ? [message.role, bare(message.content)] : message)
  return `${marker}${idOf(JSON.stringify([bare(system), bare(tools), turns]), 48)}`
}

/** The signature of the thinking in the answer to a request. */
export const signature = (body: JsonObject): string => tokenOf(body, Array.isArray(body.messages) ? body.messages : [])

const mismatches = (body: Body): ReadonlyArray<Dropped> =>
  !has(body.model, "binding") ?
    [] :
    body.messages.flatMap(({ content, role }, at) =>
      role !== "assistant" || typeof content === "string" ?
        [] :
        content.flatMap((block, index): ReadonlyArray<Dropped> => {
          const signed = block.type === "thinking" ? String(block.signature) : ""
          return signed.startsWith(marker) && signed !== tokenOf(body, body.messages.slice(0, at))
            ? [{ type: "thinking_dropped", path: `messages.${at}.content.${index}`, reason: "prefix_mismatch" }]
            : []
        })
    )

const drops = ({ thinking }: Body): boolean =>
  thinking?.type === "adaptive" && isObject(thinking.block_binding)
  && thinking.block_binding.prefix_mismatch_behavior === "drop_block"

/** The blocks that are dropped, if the request allows that. */
export const dropped = (body: Body): ReadonlyArray<Dropped> => drops(body) ? mismatches(body) : []

/** Refuses a request with thinking from another conversation that does not say what to do about it. */
export const rule = (body: Body, _: Headers): Rejection | undefined => {
  const [first] = drops(body) ? [] : mismatches(body)
  return first && {
    status: 400,
    type: "invalid_request_error",
    message:
      `${first.path}: this \`thinking\` block belongs to another conversation, or what came before it was changed.`
  }
}

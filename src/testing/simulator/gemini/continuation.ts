/**
 * Answers over several requests: Gemini 4 stops at the output limit of a request, and continues when it is sent again
 * with the token. Source: Gemini API documentation, "Long decode".
 */
import type * as Message from "../../../Message.ts"
import type { Outgoing } from "../../../wire/Wire.ts"
import { changed } from "../decide.ts"
import type { Call } from "../exchange.ts"
import * as Models from "./models.ts"

/** UTF-16 code units of a token. */
const unit = 4

const prefix = "continue-"

/** The position where the answer continues; undefined for an invalid token. */
export const offsetOf = (token: unknown): number | undefined => {
  if (token === undefined) return 0
  const [, digits] = /^continue-(\d{1,12})$/.exec(String(token)) ?? []
  return digits === undefined ? undefined : Number(digits)
}

interface Piece {
  readonly choice: ReadonlyArray<Message.AssistantContent>
  /** The end of the piece, and whether it is the last one. */
  readonly end: number
  readonly last: boolean
}

/** The part of an answer between two positions. Only texts are split. */
const between = (choice: ReadonlyArray<Message.AssistantContent>, from: number, most: number): Piece => {
  const kept: Array<Message.AssistantContent> = []
  let at = 0
  let end = from
  for (const content of choice) {
    const length = content._tag === "Text" ? content.text.length : unit
    const start = Math.max(at, from)
    const stop = Math.min(at + length, from + most)
    at += length
    if (start >= at) continue
    if (content._tag !== "Text") {
      if (stop < at) return { choice: kept, end, last: false }
      kept.push(content)
      end = at
      continue
    }
    const text = content.text.slice(start - (at - length), stop - (at - length)).replace(/[\uD800-\uDBFF]$/, "")
    if (text !== "") kept.push({ ...content, text })
    end = start + text.length
    if (end < at) return { choice: kept, end, last: false }
  }
  return { choice: kept, end, last: true }
}

/** The part of an answer for one request. */
export const hop = (answer: Outgoing, { body, pathModel, perRequest, request }: Call): Outgoing => {
  const from = offsetOf(body.continuationToken ?? body.continuation_token) ?? 0
  if (!Models.continues(pathModel)) return answer
  const streamed = request.url.pathname.endsWith(":streamGenerateContent")
  const most = (perRequest ?? Models.perRequest(pathModel, streamed)) * unit
  const { finishReason, metadata, usage: { inputTokens, outputTokens } } = answer.response
  const { choice, end, last } = between(answer.response.choice, from, most)
  const open = !last || finishReason._tag === "MaxTokens"
  return changed(last ? answer : { response: answer.response }, {
    choice,
    inputTokens: inputTokens + Math.ceil(from / unit),
    outputTokens: last && from === 0 ? outputTokens : Math.max(1, Math.ceil((end - from) / unit)),
    metadata: {
      gemini: {
        ...metadata?.["gemini"],
        ...last ? {} : { finishReason: "CONTINUATION" },
        ...open ? { continuationToken: `${prefix}${end}` } : {}
      }
    }
  })
}

/**
 * What the protocols share in writing a request.
 */
import * as Encoding from "effect/encoding/Base64"
import * as Result from "effect/Result"
import type * as Message from "../Message.ts"
import type { JsonRecord } from "./json.ts"

/** `{ [key]: value }`, or nothing when there is no value. */
export const present = <K extends string, A>(key: K, value: A | undefined): { readonly [P in K]?: A } =>
  value === undefined ? {} : { [key]: value } as { readonly [P in K]: A }

/** The cache mark of Anthropic, which OpenRouter takes too. */
export const cacheControl = (content: { readonly cache?: Message.CacheHint }): JsonRecord =>
  content.cache === undefined ? {} : { cache_control: { type: "ephemeral", ...content.cache } }

/** The text of a tool's result: JSON is written as JSON, a text stays as it is. */
export const resultText = (content: Exclude<Message.ToolResultContent, Message.Image>): string =>
  content._tag === "Json" ? JSON.stringify(content.value) : content.text

/** The text in base64 data (UTF-8); data that is no base64 is taken as the text itself. */
export const decodeText = (data: string): string => Result.getOrElse(Encoding.decodeString(data), () => data)

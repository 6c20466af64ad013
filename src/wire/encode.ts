/**
 * Helpers for requests that all protocols share.
 */
import * as Encoding from "effect/encoding/Base64"
import * as Result from "effect/Result"
import type { Completion } from "../Completion.ts"
import type * as Message from "../Message.ts"
import type { ToolChoice } from "../Tool.ts"
import { type JsonRecord, object, parseJson } from "./json.ts"

/** `{ [key]: value }`, or an empty object when the value is undefined. */
export const present = <K extends string, A>(key: K, value: A | undefined): { readonly [P in K]?: A } =>
  value === undefined ? {} : { [key]: value } as { readonly [P in K]: A }

/**
 * JSON that a provider wrote and gets back unchanged. Its type is `never`, so that the type of the body can be compared
 * with the SDK's.
 */
export const verbatim = (value: unknown) => value as never

/** The cache mark of Anthropic, which OpenRouter takes too. */
export const cacheControl = ({ cache }: { readonly cache?: Message.CacheHint }) =>
  present("cache_control", cache && ({ type: "ephemeral", ...cache } as const))

/** The arguments of a call as an object, which providers require, whatever another provider's model wrote. */
export const callArguments = (value: unknown): JsonRecord =>
  typeof value === "string" ? object(parseJson(value)) : object(value)

/** Whether the caller's own parameters contain further tools; `names` are the vendor and the name of the instance. */
export const hasOtherTools = (completion: Completion, ...names: ReadonlyArray<string>): boolean =>
  completion.additionalParams?.["tools"] !== undefined
  || names.some((name) => completion.providerParams?.[name]?.["tools"] !== undefined)

/** The tool choice to send. Providers refuse one without tools. */
export const toolChoiceOf = (completion: Completion, ...names: ReadonlyArray<string>): ToolChoice | undefined =>
  completion.tools.length > 0 || hasOtherTools(completion, ...names) ? completion.toolChoice : undefined

/** The text of a tool result: JSON is serialized, a text is unchanged. */
export const resultText = (content: Message.Text | Message.Json): string =>
  content._tag === "Json" ? JSON.stringify(content.value) : content.text

/** The text in base64 data (UTF-8). Data that is not base64 is returned as it is. */
export const decodeText = (data: string): string => Result.getOrElse(Encoding.decodeString(data), () => data)

/**
 * What the protocols share in writing a request.
 */
import * as Encoding from "effect/encoding/Base64"
import * as Result from "effect/Result"
import type { Completion } from "../Completion.ts"
import type * as Message from "../Message.ts"
import type { ToolChoice } from "../Tool.ts"
import { type JsonRecord, object, parseJson } from "./json.ts"

/** `{ [key]: value }`, or nothing when there is no value. */
export const present = <K extends string, A>(key: K, value: A | undefined): { readonly [P in K]?: A } =>
  value === undefined ? {} : { [key]: value } as { readonly [P in K]: A }

/**
 * JSON that a provider wrote and gets back as it is. It has no type of its own here, so that the types of what is
 * written here can be held against the provider's.
 */
export const verbatim = (value: unknown) => value as never

/** The cache mark of Anthropic, which OpenRouter takes too. */
export const cacheControl = ({ cache }: { readonly cache?: Message.CacheHint }) =>
  present("cache_control", cache && ({ type: "ephemeral", ...cache } as const))

/** The arguments of a call as the object that they must be, whatever another provider's model wrote. */
export const callArguments = (value: unknown): JsonRecord =>
  typeof value === "string" ? object(parseJson(value)) : object(value)

/** Whether there are tools besides those of the completion, in the caller's own parameters; by vendor and by name. */
export const hasOtherTools = (completion: Completion, ...names: ReadonlyArray<string>): boolean =>
  completion.additionalParams?.["tools"] !== undefined
  || names.some((name) => completion.providerParams?.[name]?.["tools"] !== undefined)

/** The tool choice to send: providers refuse one where there are no tools. */
export const toolChoiceOf = (completion: Completion, ...names: ReadonlyArray<string>): ToolChoice | undefined =>
  completion.tools.length > 0 || hasOtherTools(completion, ...names) ? completion.toolChoice : undefined

/** The text of a tool's result: JSON is written as JSON, a text stays as it is. */
export const resultText = (content: Message.Text | Message.Json): string =>
  content._tag === "Json" ? JSON.stringify(content.value) : content.text

/** The text in base64 data (UTF-8); data that is no base64 is taken as the text itself. */
export const decodeText = (data: string): string => Result.getOrElse(Encoding.decodeString(data), () => data)

/**
 * Shows completions to a reader, and how they differ from what a script expects. Pure.
 */
import * as TextDiff from "effect/TextDiff"
import * as Completion from "../../Completion.ts"
import { isObject } from "../../wire/json.ts"
import { type Entry, isList, type Match, type Script } from "./script.ts"

// Simplified views: a message with a single text is shown as that text, and the order of keys is ignored.
const view = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(view)
  if (!isObject(value)) return value
  const { _tag, content } = value
  const only = Array.isArray(content) && content.length === 1 ? content[0] as unknown : undefined
  if (typeof _tag === "string" && Object.keys(value).length === 2 && isObject(only) && only["_tag"] === "Text") {
    if (Object.keys(only).length === 2) return { [_tag]: only["text"] }
  }
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, view(value[key])]))
}

// A line of text, with only invisible characters and backslashes escaped.
const line = (text: string): string => JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"')

// Like JSON, but easier to compare: texts are shown line by line, and every number has a representation.
const print = (value: unknown, indent: string): string => {
  const inner = `${indent}  `
  if (typeof value === "string") {
    return value.includes("\n")
      ? ["|", ...value.split("\n").map((text) => `${inner}| ${line(text)}`)].join("\n")
      : JSON.stringify(value)
  }
  if (Object.is(value, -0)) return "-0"
  if (typeof value !== "object" || value === null) return String(value)
  const [open, close] = Array.isArray(value) ? "[]" : "{}"
  const items = Array.isArray(value)
    ? value.map((item) => print(item, inner))
    : Object.entries(value).flatMap(([key, item]) =>
      item === undefined ? [] : [`${JSON.stringify(key)}: ${print(item, inner)}`]
    )
  return items.length === 0
    ? `${open}${close}`
    : `${open}\n${items.map((item) => inner + item).join(",\n")}\n${indent}${close}`
}

/** A value for a reader. */
export const show = (value: unknown): string => `${print(view(value), "")}\n`

/** The fields of a completion in a match. `messages` are its history and its prompt. */
const fieldsOf = (match: Exclude<Match, Function>): ReadonlyArray<string> =>
  Object.entries(match)
    .flatMap(([field, value]) => value === undefined ? [] : field === "messages" ? ["history", "prompt"] : [field])
    .sort()

/** The difference between a completion and what was expected; undefined when there is none. */
export const difference = (match: Match, completion: Completion.Completion): string | undefined => {
  if (typeof match === "function") {
    return match(completion) ? undefined : `expected that it fulfils ${String(match)}\ngot ${show(completion)}`
  }
  const { history, messages, prompt = "", ...rest } = match
  const expected = Completion.make(messages === undefined ? { ...rest, history, prompt } : { ...rest, messages })
  const fields = fieldsOf(match)
  const pick = (from: Readonly<Record<string, unknown>>) =>
    show(Object.fromEntries(fields.flatMap((field) => from[field] === undefined ? [] : [[field, from[field]]])))
  const edits = TextDiff.lines(pick({ ...expected }), pick({ ...completion }), { maxEdits: 1000 })
  return TextDiff.unified(edits, { fromFile: "expected", toFile: "got" }) || undefined
}

/** The difference to the next unused reply, when none of them matches. */
export const nearest = (
  script: Exclude<Script, Function>,
  remaining: ReadonlyArray<Entry>,
  completion: Completion.Completion
): string => {
  const differs = (match: Match | undefined) => match && difference(match, completion)
  // In a script by model, the first condition of a reply is its model.
  const [next] = isList(script) ? remaining : remaining.filter(({ when }) => differs(when[0]) === undefined)
  if (next !== undefined) return `From the next one it differs by\n${next.when.map(differs).find((text) => text)}`
  const models = Object.keys(script).filter((model) =>
    remaining.some(({ when: [first] }) => typeof first === "object" && first.model === model)
  )
  return `Replies are left for ${models.join(", ")}`
}

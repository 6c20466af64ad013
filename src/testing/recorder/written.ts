/**
 * Locates values in JSON text that may be cut. Pure.
 */
import { parseJson } from "../../wire/json.ts"

/** A value in JSON text, with its position. */
export interface Written {
  readonly name: string | undefined
  readonly start: number
  readonly end: number
  /** For a list or an object. */
  readonly items: Array<Written> | undefined
}

const marks = /[^\s]/g
const words = /["\s{}[\],:]/g

// The end of a string literal. Not a regular expression, because its stack would overflow on a large image.
const endOfText = (text: string, start: number): number => {
  for (let at = start + 1; at < text.length; at++) {
    const character = text[at]
    if (character === "\\") at++
    else if (character === '"') return at + 1
    else if (character === "\n") return at
  }
  return text.length
}

const tokens = function*(text: string): Generator<readonly [token: string, start: number]> {
  let end = 0
  while (true) {
    marks.lastIndex = end
    const start = marks.exec(text)?.index
    if (start === undefined) return
    const first = text.charAt(start)
    words.lastIndex = start
    end = first === '"'
      ? endOfText(text, start)
      : "{}[],:".includes(first)
      ? start + 1
      : words.exec(text)?.index ?? text.length
    yield [text.slice(start, end), start]
  }
}

/** The value of a string literal, even if it is cut inside an escape. */
export const stringOf = (token: string): string | undefined => {
  if (!token.startsWith('"')) return undefined
  const value = parseJson(token) ?? parseJson(`${token}"`)
  return typeof value === "string" ? value : token.slice(1)
}

/** The JSON values in a text, which may be cut or surrounded by other text. */
export const writtenIn = (text: string): ReadonlyArray<Written> => {
  const all: Array<Written> = []
  const open = [all]
  let name: string | undefined
  for (const [token, index] of tokens(text)) {
    const items = open.at(-1) ?? all
    if (token === ":") {
      const before = items.pop()
      name = before && stringOf(text.slice(before.start, before.end))
      continue
    }
    if (token === "{" || token === "[") {
      const value = { name, start: index, end: index, items: [] }
      items.push(value)
      open.push(value.items)
    } else if (token === "}" || token === "]") {
      if (open.length > 1) open.pop()
    } else if (token !== ",") {
      items.push({ name, start: index, end: index + token.length, items: undefined })
    }
    name = undefined
  }
  return all
}

/** A text that is not JSON may contain JSON, as in events or lines. Each piece is read on its own. */
export const pieces = (text: string): ReadonlyArray<string> =>
  parseJson(text) === undefined ? text.split(/(?<=\n)(?=[{a-z])/i) : [text]

/**
 * Finds the regular expressions of a TypeScript source: the literals, and where others are made at run time.
 */

export interface Literal {
  readonly source: string
  readonly flags: string
}

// Behind these a slash begins a regular expression; behind anything else it divides, or ends a tag that we do not have.
const before = /(?:^|[(,=:[!&|?{};>+\-*%~^]|\b(?:return|typeof|case|in|of))$/

/** The literals in a source, in their order. Comments, strings and the texts of templates hold none. */
export const literals = (text: string): ReadonlyArray<Literal> => {
  const found: Array<Literal> = []
  // The depths of braces at which a template goes on.
  const templates: Array<number> = []
  let depth = 0
  let last = ""
  let at = 0
  const template = (): void => {
    for (; at < text.length; at++) {
      if (text[at] === "\\") at++
      else if (text[at] === "`") return void at++
      else if (text[at] === "$" && text[at + 1] === "{") {
        templates.push(depth)
        at += 2
        return
      }
    }
  }
  while (at < text.length) {
    const character = text[at]!
    if (/\s/.test(character)) at++
    else if (text.startsWith("//", at)) at = (text.indexOf("\n", at) + text.length + 1) % (text.length + 1)
    else if (text.startsWith("/*", at)) at = text.indexOf("*/", at) + 2
    else if (character === '"' || character === "'") {
      at++
      while (text[at] !== character) at += text[at] === "\\" ? 2 : 1
      at++
      last = '"'
    } else if (character === "`") {
      at++
      template()
      last = "`"
    } else if (character === "}" && templates.at(-1) === depth) {
      templates.pop()
      at++
      template()
      last = "`"
    } else if (character === "/" && before.test(last)) {
      const start = ++at
      let inClass = false
      while (inClass || text[at] !== "/") {
        if (text[at] === "\\") at++
        else if (text[at] === "[") inClass = true
        else if (text[at] === "]") inClass = false
        at++
      }
      const source = text.slice(start, at++)
      const [flags] = /^[a-z]*/.exec(text.slice(at, at + 10))!
      at += flags.length
      found.push({ source, flags })
      last = "/x"
    } else {
      const [word] = /^[\w$]+/.exec(text.slice(at, at + 200)) ?? [character]
      if (word === "{") depth++
      if (word === "}") depth--
      at += word.length
      last = word
    }
  }
  return found
}

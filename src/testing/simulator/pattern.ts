/**
 * A string that matches a regular expression. It supports the syntax of typical tool schemas (literals, escapes,
 * classes, groups, alternation, quantifiers and anchors). For other syntax (look-arounds, back-references), undefined.
 */
/** A short text that matches; undefined if none was found. The pattern must be a valid regular expression. */
export const sample = (pattern: string): string | undefined => {
  const found = pattern.length > longest ? undefined : alternativeSample(pattern, 0)
  return found !== undefined && accepts(pattern, found.text) ? found.text : undefined
}

const escapes: { readonly [letter: string]: string } = {
  d: "0",
  D: "a",
  w: "a",
  W: "-",
  s: " ",
  S: "a",
  n: "\n",
  t: "\t"
}

const candidates = "a0A_- .@/:#+"

/** The limits of the pattern's length, and of the characters that a quantifier adds. */
const longest = 1000

interface Sample {
  readonly text: string
  /** The reading position. */
  readonly next: number
}

const classEnd = (pattern: string, start: number): number => {
  const first = pattern[start] === "^" ? start + 1 : start
  for (let index = first; index < pattern.length; index++) {
    if (pattern[index] === "\\") index++
    else if (pattern[index] === "]") return index
  }
  return -1
}

const classSample = (pattern: string, start: number): Sample | undefined => {
  const end = classEnd(pattern, start)
  if (end < 0) return undefined
  const body = pattern.slice(start, end)
  const literal = body.replace(/^\^/, "").replace(/^\\/, "")[0] ?? ""
  const text = [...candidates, literal].find((letter) => new RegExp(`^[${body}]$`, "u").test(letter))
  return text === undefined ? undefined : { text, next: end + 1 }
}

const escapeSample = (pattern: string, at: number): Sample | undefined => {
  const letter = pattern[at] ?? ""
  if (letter === "b" || letter === "B") return { text: "", next: at + 1 }
  if (/[1-9kpPux]/.test(letter)) return undefined
  return { text: escapes[letter] ?? letter, next: at + 1 }
}

const groupSample = (pattern: string, at: number): Sample | undefined => {
  const opening = /^\?(?::|<[A-Za-z_]\w*>)/.exec(pattern.slice(at))?.[0] ?? ""
  if (opening === "" && pattern[at] === "?") return undefined
  const inside = alternativeSample(pattern, at + opening.length)
  if (inside === undefined) return undefined
  const end = groupEnd(pattern, inside.next)
  return end < 0 ? undefined : { text: inside.text, next: end + 1 }
}

const groupEnd = (pattern: string, start: number): number => {
  let depth = 0
  for (let index = start; index < pattern.length; index++) {
    const letter = pattern[index]
    if (letter === "\\") index++
    else if (letter === "[") index = classEnd(pattern, index + 1)
    else if (letter === "(") depth++
    else if (letter === ")" && depth-- === 0) return index
    if (index < 0) return -1
  }
  return -1
}

const atomSample = (pattern: string, at: number): Sample | undefined => {
  const letter = pattern[at] ?? ""
  if (letter === "^" || letter === "$") return { text: "", next: at + 1 }
  if (letter === ".") return { text: "a", next: at + 1 }
  if (letter === "[") return classSample(pattern, at + 1)
  if (letter === "(") return groupSample(pattern, at + 1)
  if (letter === "\\") return escapeSample(pattern, at + 1)
  return { text: letter, next: at + 1 }
}

/** `*`, `?`, `+` and `{n,m}` are repeated as rarely as allowed. */
const repeated = (pattern: string, atom: Sample): Sample => {
  const quantifier = /^(?:[*+?]|\{(\d+)(?:,\d*)?\})\??/.exec(pattern.slice(atom.next))
  if (quantifier === null) return atom
  const sign = quantifier[0][0]
  const times = sign === "{" ? Number(quantifier[1]) : sign === "+" ? 1 : 0
  const most = Math.floor(longest / Math.max(1, atom.text.length))
  return { text: atom.text.repeat(Math.min(times, most)), next: atom.next + quantifier[0].length }
}

const alternativeSample = (pattern: string, start: number): Sample | undefined => {
  let text = ""
  let next = start
  while (next < pattern.length && pattern[next] !== ")" && pattern[next] !== "|") {
    const atom = atomSample(pattern, next)
    if (atom === undefined) return undefined
    const whole = repeated(pattern, atom)
    text += whole.text
    next = whole.next
  }
  return { text, next }
}

const accepts = (pattern: string, text: string): boolean => new RegExp(pattern, "u").test(text)

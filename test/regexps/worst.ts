/**
 * What makes a regular expression work hardest: the repetitions of it, repeated, behind what leads to them and before
 * what cannot match.
 */

/** An atom of a pattern, with how often it may come. */
interface Atom {
  /** The texts of it: several where there is a choice. */
  readonly samples: ReadonlyArray<string>
  readonly most: number
}

const characters = [
  ..." \t\n0a9AfzZ_-.,:;/\\\"'`{}[]()<>=+*&%$#@!?|~^\u0000é",
  "😀"
]

// A character that the atom takes, with the one that most atoms take before the others.
const charactersOf = (source: string, flags: string): ReadonlyArray<string> => {
  const pattern = new RegExp(`^(?:${source})$`, flags.replace(/[gy]/g, ""))
  const taken = characters.filter((character) => pattern.test(character))
  return taken.slice(0, 3)
}

const escapes = /^\\(?:u\{[0-9a-f]+\}|u[0-9a-f]{4}|x[0-9a-f]{2}|[pP]\{[^}]*\}|c[A-Z]|k<[^>]*>|\d+|[^])/i
const classes = /^\[(?:\\[^]|[^\]\\])*\]/
const quantifiers = /^(?:[*+?]|\{\d+(?:,\d*)?\})\??/

const mostOf = (quantifier: string): number => {
  if (/^[*+]/.test(quantifier)) return Infinity
  if (quantifier === "" || quantifier.startsWith("?")) return 1
  const [, least, comma, most] = /^\{(\d+)(,?)(\d*)/.exec(quantifier)!
  return comma === "" ? Number(least) : most === "" ? Infinity : Number(most)
}

/** The alternatives of a pattern, each as its atoms; and those within its groups. */
const parse = (source: string, flags: string): ReadonlyArray<ReadonlyArray<Atom>> => {
  const all: Array<ReadonlyArray<Atom>> = []
  let rest = source
  const alternatives = (): ReadonlyArray<ReadonlyArray<Atom>> => {
    const found: Array<Array<Atom>> = [[]]
    while (rest !== "" && !rest.startsWith(")")) {
      let samples: ReadonlyArray<string>
      if (rest.startsWith("|")) {
        rest = rest.slice(1)
        found.push([])
        continue
      }
      if (rest.startsWith("(")) {
        const [opening] = /^\((?:\?(?:[:=!]|<[=!]|<\w+>))?/.exec(rest)!
        rest = rest.slice(opening.length)
        const inner = alternatives()
        rest = rest.slice(1)
        samples = /[=!]$/.test(opening)
          ? [""]
          : inner.map((atoms) => atoms.map(({ samples }) => samples[0] ?? "").join(""))
      } else {
        const [atom] = escapes.exec(rest) ?? classes.exec(rest) ?? /^[^]/u.exec(rest)!
        rest = rest.slice(atom.length)
        samples = /^(?:[\^$]|\\[bBk\d])/.test(atom) ? [""] : charactersOf(atom, flags)
      }
      const [quantifier] = quantifiers.exec(rest) ?? [""]
      rest = rest.slice(quantifier.length)
      found.at(-1)!.push({ samples, most: mostOf(quantifier) })
    }
    all.push(...found)
    return found
  }
  alternatives()
  return all
}

const fill = (text: string, length: number): string => text.repeat(Math.ceil(length / Math.max(1, text.length)))

/** Texts of about a length that make a pattern work hardest. */
export const worst = (source: string, flags: string) => {
  const texts = new Set<string>()
  const pumps = new Set<string>()
  for (const atoms of parse(source, flags)) {
    const sample = (from: number, to: number): string =>
      atoms.slice(from, to).map(({ samples }) => samples[0] ?? "").join("")
    texts.add(sample(0, atoms.length))
    texts.add(sample(0, atoms.length - 1))
    atoms.forEach(({ most, samples }, index) => {
      if (most < 8) return
      for (const text of samples) {
        pumps.add(JSON.stringify([sample(0, index), text]))
        pumps.add(JSON.stringify(["", text]))
      }
    })
  }
  return (length: number): ReadonlyArray<string> => [
    ...[...texts].filter((text) => text !== "").map((text) => `${fill(text, length)}\u0000`),
    ...[...pumps].map((pump) => {
      const [before, text] = JSON.parse(pump) as [string, string]
      return text === "" ? "" : `${before}${fill(text, length)}\u0000`
    })
  ]
}

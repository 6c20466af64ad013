/**
 * Patterns of names: `*` matches any text, even an empty one; everything else matches itself, case-sensitively.
 */

/** Whether a pattern matches a name, in time linear in the length of the name. */
export const matches = (pattern: string): (name: string) => boolean => {
  const [first = "", ...rest] = pattern.split("*")
  const last = rest.pop()
  if (last === undefined) return (name) => name === pattern
  const between = rest.filter((literal) => literal !== "")
  const shortest = between.reduce((sum, literal) => sum + literal.length, first.length + last.length)
  return (name) => {
    if (name.length < shortest || !name.startsWith(first) || !name.endsWith(last)) return false
    // Each literal is matched where it first occurs: a later place would leave less text for those after it.
    let at = first.length
    for (const literal of between) {
      const found = name.indexOf(literal, at)
      if (found < 0) return false
      at = found + literal.length
    }
    return at <= name.length - last.length
  }
}

/** Whether both patterns match some common name. */
export const overlap = (one: string, other: string): boolean => {
  // From the end: whether `one` from index `i` and `other` from index `j` match a common text.
  let following: ReadonlyArray<boolean> = []
  for (let i = one.length; i >= 0; i--) {
    const row: Array<boolean> = []
    for (let j = other.length; j >= 0; j--) {
      const endOfOne = i === one.length
      const endOfOther = j === other.length
      row[j] = (endOfOne && endOfOther)
        || (one[i] === "*" && (following[j]! || (!endOfOther && row[j + 1]!)))
        || (other[j] === "*" && (row[j + 1]! || (!endOfOne && following[j]!)))
        || (!endOfOne && !endOfOther && one[i] === other[j] && following[j + 1]!)
    }
    following = row
  }
  return following[0]!
}

const prefixOf = (pattern: string): string => pattern.split("*", 1)[0]!

/** Two of the patterns that match a common name, in their order; undefined if no two of them do. */
export const overlapping = (patterns: ReadonlyArray<string>): readonly [string, string] | undefined => {
  const sorted = patterns.map((pattern, index) => ({ pattern, index, prefix: prefixOf(pattern) }))
    .sort((a, b) => a.prefix < b.prefix ? -1 : a.prefix > b.prefix ? 1 : a.index - b.index)
  // Only patterns whose text before the first `*` begins with that of the other can match a common name. Sorted, those
  // stand in a row before the other, so that hundreds of routes are not compared with each other.
  const candidates: typeof sorted = []
  for (const next of sorted) {
    while (candidates.length > 0 && !next.prefix.startsWith(candidates.at(-1)!.prefix)) candidates.pop()
    const other = candidates.find(({ pattern }) => overlap(pattern, next.pattern))
    if (other !== undefined) {
      return other.index < next.index ? [other.pattern, next.pattern] : [next.pattern, other.pattern]
    }
    candidates.push(next)
  }
  return undefined
}

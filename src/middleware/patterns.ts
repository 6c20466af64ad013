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

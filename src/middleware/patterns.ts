/**
 * Patterns of names: `*` stands for any text, even none; all else stands for itself, letter case included.
 */

/** Whether a pattern stands for a name, in time that grows with the length of the name. */
export const matches = (pattern: string): (name: string) => boolean => {
  const [first = "", ...rest] = pattern.split("*")
  const last = rest.pop()
  if (last === undefined) return (name) => name === pattern
  const between = rest.filter((literal) => literal !== "")
  const shortest = between.reduce((sum, literal) => sum + literal.length, first.length + last.length)
  return (name) => {
    if (name.length < shortest || !name.startsWith(first) || !name.endsWith(last)) return false
    // Each literal where it first occurs: a later place would leave less for those after it.
    let at = first.length
    for (const literal of between) {
      const found = name.indexOf(literal, at)
      if (found < 0) return false
      at = found + literal.length
    }
    return at <= name.length - last.length
  }
}

/** Whether there is a name that both patterns stand for. */
export const overlap = (one: string, other: string): boolean => {
  // From the end: whether what follows from `i` in `one` and what follows from `j` in `other` share a text.
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

/**
 * Vectors of texts without a model. Texts with common words have similar vectors, and the same text always has the same
 * vector.
 */
import * as Base64 from "effect/encoding/Base64"
import * as Hash from "effect/Hash"

// Numbers from -1 to 1 that depend only on the word.
const ofWord = (word: string, sum: Array<number>): void => {
  let state = Hash.string(word) | 1
  for (let index = 0; index < sum.length; index++) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9 | 0
    sum[index]! += state / 0x80000000
  }
}

/** The vector of a text, with length 1. */
export const vectorOf = (text: string, dimensions: number): ReadonlyArray<number> => {
  const sum = Array.from({ length: dimensions }, () => 0)
  const words = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [text]
  for (const word of words) ofWord(word, sum)
  const length = Math.hypot(...sum)
  return sum.map((value) => Math.fround(value / length))
}

/** The vector as base64 of little-endian 32-bit floats. */
export const inBase64 = (vector: ReadonlyArray<number>): string => {
  const view = new DataView(new ArrayBuffer(vector.length * 4))
  vector.forEach((value, index) => view.setFloat32(index * 4, value, true))
  return Base64.encode(new Uint8Array(view.buffer))
}

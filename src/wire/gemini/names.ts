/**
 * Normalizes field names. Like all protobuf JSON, a request may use camelCase or snake_case, and null for an absent
 * field.
 */
import { isObject, put } from "../json.ts"

/** Fields whose value is the caller's own JSON. */
const freeForm: ReadonlySet<string> = new Set([
  "args",
  "response",
  "parametersJsonSchema",
  "responseJsonSchema",
  "default",
  "example",
  "labels",
  "partMetadata"
])

/** Fields whose keys are the caller's own. */
const freeKeys: ReadonlySet<string> = new Set(["properties"])

const camel = (name: string): string =>
  name.startsWith("_") ? name : name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())

/** The same JSON in camelCase, without nulls. */
export const normal = (value: unknown, ownKeys = false): unknown => {
  if (Array.isArray(value)) return value.map((item) => normal(item))
  if (!isObject(value)) return value
  const named: Record<string, unknown> = {}
  for (const [key, item] of Object.entries(value)) {
    if (item === null) continue
    const name = ownKeys ? key : camel(key)
    put(named, name, !ownKeys && freeForm.has(name) ? item : normal(item, !ownKeys && freeKeys.has(name)))
  }
  return named
}

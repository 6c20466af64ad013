/**
 * A refusal over Responses: its own type of content part, with its own stream events.
 */
import { refusal } from "../../../wire/responses/shape.ts"
import type { Outgoing } from "../../../wire/Wire.ts"
import { withData } from "../events.ts"
import { isObject, type JsonObject } from "../json.ts"

const isText = (value: unknown): value is JsonObject => isObject(value) && value.type === "output_text"

/** Replaces every text with a refusal. */
const refused = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(refused)
  if (isText(value)) return { type: "refusal", refusal: value.text }
  return isObject(value)
    ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, refused(inner)]))
    : value
}

const types: { readonly [type: string]: (data: JsonObject) => JsonObject } = {
  "response.output_text.delta": ({ delta, logprobs: _, ...data }) => ({
    ...data,
    type: "response.refusal.delta",
    delta
  }),
  "response.output_text.done": ({ logprobs: _, text, ...data }) => ({
    ...data,
    type: "response.refusal.done",
    refusal: text
  })
}

/** The events of a refusal. Other events are unchanged. */
export const refusing = (events: ReadonlyArray<string>, { response }: Outgoing): ReadonlyArray<string> =>
  !response.choice.some((content) => content._tag === "Text" && content.signature === refusal)
    ? events
    : events.map((event) =>
      withData(event, (data) => types[String(data.type)]?.(data) ?? refused(data) as JsonObject)
        .replace(/^event: response\.output_text\.(delta|done)/, "event: response.refusal.$1")
    )

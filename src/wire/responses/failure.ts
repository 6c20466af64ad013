/**
 * Failures of the Responses API: in the status and body, as in OpenAI's other APIs, in an event of a stream, and in an
 * answer with the status `failed`. Sources: OpenAI API, "Error codes", "Rate limits"; "The response object", "error".
 */
import { client, errorUnder, failures as make, requests, server } from "../failure.ts"
import { isObject, type JsonRecord } from "../json.ts"
import { limits, requestTooLarge, tooLong, unsupported, words } from "../openai.ts"
import type { Failures } from "../Wire.ts"
import { omit } from "./shape.ts"

const noReason = { message: "the provider says that the response failed, but not why" }

// The error is nested in the event, or flat. A flat one shares its `type` with the event.
const inEvent = (event: JsonRecord): JsonRecord | undefined => {
  switch (event["type"]) {
    case "error":
      return errorUnder(event) ?? omit(event, ["type", "sequence_number"])
    case "response.failed":
      return errorUnder(event["response"]) ?? noReason
    default:
      return undefined
  }
}

const errorIn: Failures["errorIn"] = (body) => {
  if (!isObject(body)) return undefined
  return inEvent(body) ?? errorUnder(body) ?? (body["status"] === "failed" ? noReason : undefined)
}

const filtered = client("ContentFilter")

// A prompt that violates a policy gets the same code as a malformed one.
const decide: Failures["decide"] = (_, { description, words }) =>
  words.includes("invalid_prompt") && /polic(y|ies)|safety|flagged|violat/i.test(description.slice(0, 2048))
    ? filtered
    : undefined

const codes: Failures["words"] = {
  ...words,
  bio_policy: filtered,
  cyber_policy: filtered,
  cyber_policy_violation: filtered,
  misalignment_policy_violation: filtered,
  image_content_policy_violation: filtered,
  data_residency_mismatch: client("Permission"),
  vector_store_timeout: server,
  image_too_large: client("TooLarge"),
  image_file_too_large: client("TooLarge"),
  websocket_connection_limit_reached: requests
}

// The other codes about images, which a stream sends without a type or status.
const invalid = [
  "invalid_image",
  "invalid_image_format",
  "invalid_base64_image",
  "invalid_image_url",
  "invalid_image_mode",
  "image_too_small",
  "image_parse_error",
  "unsupported_image_media_type",
  "empty_image_file",
  "failed_to_download_image",
  "image_file_not_found"
]

export const failures: Failures = make({
  words: { ...codes, ...Object.fromEntries(invalid.map((word) => [word, client("InvalidRequest")])) },
  prefixes: [["billing_", client("Quota")]],
  messages: [
    requestTooLarge,
    tooLong,
    unsupported,
    {
      pattern: /was provided without its required|no tool output found for|no tool call found for/i,
      verdict: client("InvalidRequest"),
      statuses: [400, 404, undefined]
    }
  ],
  errorIn,
  decide,
  families: [limits]
})

/**
 * How the Responses API fails: in the status and body of OpenAI's other APIs, in a stream as an event of its own, and in
 * an answer that says that it failed. Sources: OpenAI API, "Error codes", "Rate limits"; "The response object", "error".
 */
import { client, errorUnder, failures as make, requests, server } from "../failure.ts"
import { isObject, type JsonRecord } from "../json.ts"
import { limits, requestTooLarge, tooLong, unsupported, words } from "../openai.ts"
import type { Failures } from "../Wire.ts"
import { omit } from "./shape.ts"

const unsaid = { message: "the provider says that the response failed, and not why" }

// The event of an error has it flat or nested; what its `type` says is then the event's.
const inEvent = (event: JsonRecord): JsonRecord | undefined => {
  switch (event["type"]) {
    case "error":
      return errorUnder(event) ?? omit(event, ["type", "sequence_number"])
    case "response.failed":
      return errorUnder(event["response"]) ?? unsaid
    default:
      return undefined
  }
}

const errorIn: Failures["errorIn"] = (body) => {
  if (!isObject(body)) return undefined
  return inEvent(body) ?? errorUnder(body) ?? (body["status"] === "failed" ? unsaid : undefined)
}

const filtered = client("ContentFilter")

// A prompt that is refused for what it says comes with the code of one that is refused for its form.
const decide: Failures["decide"] = (_, { description, words }) =>
  words.includes("invalid_prompt") && /polic(y|ies)|safety|flagged|violat/i.test(description.slice(0, 2048))
    ? filtered
    : undefined

const own: Failures["words"] = {
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

// The rest of the codes about images: nothing but a word comes with them in a stream.
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
  words: { ...own, ...Object.fromEntries(invalid.map((word) => [word, client("InvalidRequest")])) },
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

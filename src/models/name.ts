/**
 * Reduces the name of a model to what identifies it, without the additions of gateways, regions, dates and fine-tuning.
 * Every step is linear in the length of the name.
 */

// No model has a longer name. Longer ones would only take time.
const longest = 256

const vendors = [
  "anthropic",
  "openai",
  "google",
  "deepseek",
  "xai",
  "moonshotai",
  "moonshot",
  "zai",
  "mistral",
  "meta",
  "qwen",
  "minimax"
].join("|")

// Bedrock: "us.anthropic.claude-...", "global.anthropic.claude-...".
const region = new RegExp(`^(?:[a-z]{2,6}(?:-gov)?\\.)?(?:${vendors})\\.(?=[a-z])`)

/** The name after the last slash, in lower case, as in "models/x", "vendor/x" and "accounts/a/models/x". */
const lastOf = (model: string): string => {
  const start = model.lastIndexOf("/") + 1
  return model.length - start > longest ? "" : model.slice(start).toLowerCase()
}

/**
 * The name to look up rules by: "claude-opus-5-5" for "us.anthropic.claude-opus-5-5-v1:0" and
 * "vertex_ai/claude-opus-5-5@20260922", "gpt-4.1-mini" for "ft:gpt-4.1-mini:org::id". Empty for an impossible name.
 */
export const baseName = (model: string): string => {
  const name = lastOf(model).replace(/^ft:/, "").replace(region, "")
  const end = name.search(/[@:[]/)
  return end === -1 ? name : name.slice(0, end)
}

const date = /-(?:\d{4}-\d\d-\d\d|\d\d-\d{4}|\d\d-\d\d|\d{8}|\d{6}|\d{3,4})(?=-|$)/g

/** Models of other kinds whose names begin like those of chat models. The rules of chat models do not apply to them. */
const otherKind =
  /-(?:audio|computer|deep|embedding|image|live|moderation|native|realtime|robotics|search|transcribe|tts)(?=-|$)/

/** Whether a name with this remainder, after the part in the tables, is still of the same kind of model. */
export const isTail = (rest: string): boolean =>
  /^(?:-[a-z][a-z0-9._+]*)*$/.test(rest.replaceAll(date, "")) && !otherKind.test(rest)

/**
 * The names to look up prices by, the most exact first: without the vendor, then without a date, a deployment version
 * and "-latest", and with "-" for the dots in Claude's versions. Empty for models with other prices: fine-tuned ones,
 * and variants after a colon such as ":batch".
 */
export const pricedNames = (model: string): ReadonlyArray<string> => {
  const deployed = lastOf(model).replace(region, "").replace(/-v\d:\d$/, "")
    .replace(/@(?:\d{8}|latest|default)$/, "")
  if (deployed === "" || /[@:[]/.test(deployed)) return []
  const name = deployed.startsWith("claude-") ? deployed.replaceAll(".", "-") : deployed
  return [name, name.replace(/-(?:\d{4}-\d\d-\d\d|\d{8}|latest|00\d)$/, "")]
}

/**
 * Names of models without what gateways, regions, dates and fine-tuning put around them. All of it is linear in the
 * length of the name.
 */

// No name of a model is longer; those that are would only cost time.
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

/** What stands behind the last slash, in lower case: what "models/x", "vendor/x" and "accounts/a/models/x" name. */
const lastOf = (model: string): string => {
  const start = model.lastIndexOf("/") + 1
  return model.length - start > longest ? "" : model.slice(start).toLowerCase()
}

/**
 * The name that the rules of a model go by: "claude-opus-5-5" for "us.anthropic.claude-opus-5-5-v1:0" and
 * "vertex_ai/claude-opus-5-5@20260922", "gpt-4.1-mini" for "ft:gpt-4.1-mini:org::id". Empty for what cannot be one.
 */
export const baseName = (model: string): string => {
  const name = lastOf(model).replace(/^ft:/, "").replace(region, "")
  const end = name.search(/[@:[]/)
  return end === -1 ? name : name.slice(0, end)
}

const date = /-(?:\d{4}-\d\d-\d\d|\d\d-\d{4}|\d\d-\d\d|\d{8}|\d{6}|\d{3,4})(?=-|$)/g

/** Other kinds of model under names of the same beginning; what holds of a chat model says nothing of them. */
const otherKind =
  /-(?:audio|computer|deep|embedding|image|live|moderation|native|realtime|robotics|search|transcribe|tts)(?=-|$)/

/** Whether a rest of a name, behind what the tables know, leaves it the name of the same kind of model. */
export const isTail = (rest: string): boolean =>
  /^(?:-[a-z][a-z0-9._+]*)*$/.test(rest.replaceAll(date, "")) && !otherKind.test(rest)

/**
 * The names that a price may be found by, the most exact first: the name without its vendor, then without a date, a
 * version of the deployment and "-latest"; with a "-" for Claude's dots. Empty for what is billed otherwise: fine-tuned
 * models, and variants behind a colon such as ":batch".
 */
export const pricedNames = (model: string): ReadonlyArray<string> => {
  const deployed = lastOf(model).replace(region, "").replace(/-v\d:\d$/, "")
    .replace(/@(?:\d{8}|latest|default)$/, "")
  if (deployed === "" || /[@:[]/.test(deployed)) return []
  const name = deployed.startsWith("claude-") ? deployed.replaceAll(".", "-") : deployed
  return [name, name.replace(/-(?:\d{4}-\d\d-\d\d|\d{8}|latest|00\d)$/, "")]
}

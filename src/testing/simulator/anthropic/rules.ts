/** The rules of the Messages API beyond the shape of the body, in the words of its errors. */
import * as Result from "effect/Result"
import { firstRejection, type Headers, isUnknownModel, type Rejection, type Rule } from "../exchange.ts"
import { firstDuplicate, isObject } from "../json.ts"
import * as Shape from "../shape.ts"
import * as Binding from "./binding.ts"
import { type Block, Body, type CustomTool, type ToolResult, type ToolUse } from "./body.ts"
import * as Models from "./models.ts"

export const invalid = (message: string): Rejection => ({ status: 400, type: "invalid_request_error", message })

const alternatives = (flaw: Shape.Flaw): string =>
  flaw.literals.length > 0
    ? `Input should be ${flaw.literals.map((literal) => `'${literal}'`).join(" or ")}`
    : `Input should be a valid ${flaw.types.join(" or ") || "value"}`

const wording: { readonly [kind in Shape.Flaw["kind"]]: (flaw: Shape.Flaw) => string } = {
  missing: () => "Field required",
  unknown: () => "Extra inputs are not permitted",
  type: (flaw) =>
    isObject(flaw.value) && typeof flaw.value.type === "string" && flaw.types.includes("object")
      ? `Input tag '${flaw.value.type}' found using 'type' does not match any of the expected tags`
      : alternatives(flaw)
}

/** The API puts the type of a tool into the path. */
const tagged = (path: ReadonlyArray<Shape.Step>): ReadonlyArray<Shape.Step> =>
  path[0] === "tools" && path.length > 2 ? [...path.slice(0, 2), "custom", ...path.slice(2)] : path

const decode = Shape.decoder(Body)

/** Consecutive messages of one role form one turn, as in the API. */
export interface Turn {
  readonly role: "user" | "assistant"
  readonly blocks: ReadonlyArray<Block>
  /** The index of the turn's first message. */
  readonly index: number
}

const blocksOf = (content: Body["messages"][number]["content"]): ReadonlyArray<Block> =>
  typeof content === "string" ? [{ type: "text", text: content }] : content

export const turns = (body: Body): ReadonlyArray<Turn> => {
  const merged: Array<Turn> = []
  body.messages.forEach(({ content, role }, index) => {
    if (role === "system") return
    const last = merged.at(-1)
    if (last?.role === role) merged[merged.length - 1] = { ...last, blocks: [...last.blocks, ...blocksOf(content)] }
    else merged.push({ role, blocks: blocksOf(content), index })
  })
  return merged
}

export const toolUses = (turn: Turn | undefined): ReadonlyArray<ToolUse> =>
  turn?.blocks.filter((block) => block.type === "tool_use") as ReadonlyArray<ToolUse> ?? []

export const toolResults = (turn: Turn | undefined): ReadonlyArray<ToolResult> =>
  turn?.blocks.filter((block) => block.type === "tool_result") as ReadonlyArray<ToolResult> ?? []

export const isCustom = (tool: NonNullable<Body["tools"]>[number]): tool is CustomTool => "input_schema" in tool

const customTools = (body: Body): ReadonlyArray<CustomTool> => body.tools?.filter(isCustom) ?? []

const textProblem = (text: string): string | undefined =>
  text === ""
    ? "text content blocks must be non-empty"
    : /^\s+$/.test(text)
    ? "text content blocks must contain non-whitespace text"
    : undefined

const emptyText = (place: string, blocks: ReadonlyArray<Block>): Rejection | undefined => {
  const problem = blocks.map((block) => block.type === "text" ? textProblem(String(block.text)) : undefined)
    .find((found) => found !== undefined)
  return problem === undefined ? undefined : invalid(`${place}: ${problem}`)
}

const emptyMessages: Rule<Body> = (body) => {
  const index = body.messages.findIndex(({ content, role }, at) =>
    content.length === 0 && !(role === "assistant" && at === body.messages.length - 1)
  )
  return index < 0
    ? undefined
    : invalid(
      `messages.${index}: all messages must have non-empty content except for the optional final assistant message`
    )
}

const prefill: Rule<Body> = (body) => {
  const last = turns(body).at(-1)
  if (last?.role !== "assistant") return undefined
  if (Models.has(body.model, "withoutPrefill")) {
    return invalid(
      "This model does not support assistant message prefill. The conversation must end with a user message."
    )
  }
  const end = last.blocks.at(-1)
  return end?.type === "text" && /\s$/.test(String(end.text))
    ? invalid("messages: final assistant content cannot end with trailing whitespace")
    : undefined
}

/** What is wrong between an assistant turn and the next user turn, if anything. */
const pairing = (calls: Turn | undefined, answers: Turn | undefined): Rejection | undefined => {
  const asked = toolUses(calls).map((use) => use.id)
  const answered = toolResults(answers).map((result) => result.tool_use_id)
  const stray = answered.find((id) => !asked.includes(id))
  if (stray !== undefined) {
    return invalid(
      `messages.${answers?.index}: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${stray}. Each \`tool_result\` block must have a corresponding \`tool_use\` block in the previous message.`
    )
  }
  const twice = firstDuplicate(answered)
  if (twice !== undefined) {
    return invalid(
      `messages.${answers?.index}: each tool_use must have a single result. Found multiple \`tool_result\` blocks with id: ${twice}`
    )
  }
  const lead = answers?.blocks.findIndex((block) => block.type !== "tool_result") ?? -1
  const inPlace = lead < 0 ? answered : answered.slice(0, lead)
  const open = asked.filter((id) => !inPlace.includes(id))
  return open.length === 0
    ? undefined
    : invalid(
      `messages.${calls?.index}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ${
        open.join(", ")
      }. Each \`tool_use\` block must have a corresponding \`tool_result\` block in the next message.`
    )
}

const toolPairs: Rule<Body> = (body) => {
  const all = turns(body)
  for (let index = 0; index < all.length; index++) {
    const turn = all[index]
    const rejection = turn?.role === "assistant"
      ? pairing(turn, all[index + 1])
      : index === 0
      ? pairing(undefined, turn)
      : undefined
    if (rejection !== undefined) return rejection
  }
  return undefined
}

const uniqueCalls: Rule<Body> = (body) =>
  firstDuplicate(turns(body).flatMap((turn) => toolUses(turn).map((use) => use.id))) === undefined
    ? undefined
    : invalid("messages: `tool_use` ids must be unique")

const idPattern = /^[a-zA-Z0-9_-]+$/

const callIds: Rule<Body> = (body) => {
  for (const { blocks, index } of turns(body)) {
    const wrong = blocks.findIndex((block) =>
      (block.type === "tool_use" && !idPattern.test(String(block.id)))
      || (block.type === "tool_result" && !idPattern.test(String(block.tool_use_id)))
    )
    const type = blocks[wrong]?.type
    if (type === undefined) continue
    const field = type === "tool_use" ? "id" : "tool_use_id"
    return invalid(
      `messages.${index}.content.${wrong}.${type}.${field}: String should match pattern '${idPattern.source}'`
    )
  }
  return undefined
}

const namePattern = /^[a-zA-Z0-9_-]{1,128}$/

const toolDefinitions: Rule<Body> = (body) => {
  for (const [index, tool] of (body.tools ?? []).entries()) {
    if (!isCustom(tool)) continue
    const place = `tools.${index}.custom`
    if (!namePattern.test(tool.name)) {
      return invalid(`${place}.name: String should match pattern '${namePattern.source}'`)
    }
    if (tool.input_schema.type === undefined) return invalid(`${place}.input_schema.type: Field required`)
    if (tool.input_schema.type !== "object") return invalid(`${place}.input_schema.type: Input should be 'object'`)
  }
  const names = (body.tools ?? []).flatMap((tool) => typeof tool.name === "string" ? [tool.name] : [])
  return firstDuplicate(names) === undefined ? undefined : invalid("tools: Tool names must be unique.")
}

const strictTools: Rule<Body> = (body) => {
  const count = customTools(body).filter((tool) => tool.strict === true).length
  return count <= 20
    ? undefined
    : invalid(
      `Too many strict tools (${count}). The maximum number of strict tools supported is 20. Try reducing the number of tools marked as strict.`
    )
}

const toolChoice: Rule<Body> = ({ thinking, tool_choice: choice, tools = [] }) => {
  if (choice === undefined) return undefined
  if (tools.length === 0) return invalid("tool_choice: tool_choice may only be specified while providing tools.")
  if (choice.type === "tool" && !tools.some((tool) => tool.name === choice.name)) {
    return invalid(`tool_choice: Tool '${choice.name}' not found in provided tools`)
  }
  const thinks = thinking?.type === "enabled"
  return thinks && (choice.type === "any" || choice.type === "tool")
    ? invalid("Thinking may not be enabled when tool_choice forces tool use.")
    : undefined
}

const thinking: Rule<Body> = (body) => {
  if (body.thinking?.type !== "enabled") return undefined
  const budget = body.thinking.budget_tokens
  if (budget < 1024) {
    return invalid("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
  }
  if (budget >= body.max_tokens) return invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")
  return body.temperature !== undefined && body.temperature !== 1
    ? invalid("`temperature` may only be set to 1 when thinking is enabled.")
    : undefined
}

const cacheMarks = (value: unknown): number => {
  if (Array.isArray(value)) return value.reduce<number>((sum, one) => sum + cacheMarks(one), 0)
  if (!isObject(value)) return 0
  return (isObject(value.cache_control) ? 1 : 0) + cacheMarks(value.content)
}

/** The number of blocks with `cache_control`. */
export const cacheMarkers = (body: Body): number =>
  cacheMarks(body.tools) + cacheMarks(body.system) + cacheMarks(body.messages) + (body.cache_control ? 1 : 0)

const caching: Rule<Body> = (body) => {
  const count = cacheMarkers(body)
  return count <= 4
    ? undefined
    : invalid(`A maximum of 4 blocks with cache_control may be provided. Found ${count}.`)
}

const imageTypes: ReadonlyArray<string> = ["image/jpeg", "image/png", "image/gif", "image/webp"]

const images: Rule<Body> = (body) => {
  const wrong = turns(body).flatMap((turn) => turn.blocks).find((block) =>
    block.type === "image" && isObject(block.source) && block.source.type === "base64" &&
    !imageTypes.includes(String(block.source.media_type))
  )
  return wrong === undefined
    ? undefined
    : invalid(
      `messages: image.source.base64.media_type: Input should be ${imageTypes.map((type) => `'${type}'`).join(" or ")}`
    )
}

const within = (name: "temperature" | "top_p"): Rule<Body> => (body) => {
  const value = body[name]
  return value === undefined || (value >= 0 && value <= 1) ? undefined : invalid(`${name}: range: 0..1`)
}

const model: Rule<Body> = (body) =>
  isUnknownModel(body.model)
    ? { status: 404, type: "not_found_error", message: `model: ${body.model}` }
    : undefined

const rules: ReadonlyArray<Rule<Body>> = [
  ({ model }) => model === "" ? invalid("model: String should have at least 1 character") : undefined,
  ({ max_tokens }) =>
    Number.isInteger(max_tokens) && max_tokens >= 1
      ? undefined
      : invalid("max_tokens: Input should be greater than or equal to 1"),
  within("temperature"),
  within("top_p"),
  ({ messages }) => messages.length === 0 ? invalid("messages: at least one message is required") : undefined,
  model,
  emptyMessages,
  (body) => Array.isArray(body.system) ? emptyText("system", body.system) : undefined,
  (body) => emptyText("messages", turns(body).flatMap((turn) => turn.blocks)),
  ({ stop_sequences = [] }) =>
    stop_sequences.every((sequence) => sequence.trim() !== "")
      ? undefined
      : invalid("stop_sequences: each stop sequence must contain non-whitespace"),
  toolDefinitions,
  strictTools,
  toolChoice,
  thinking,
  caching,
  images,
  callIds,
  uniqueCalls,
  toolPairs,
  prefill
]

/** The body, if the API would accept it. */
export const read = (
  body: unknown,
  unknownFields: "reject" | "ignore",
  headers: Headers
): Result.Result<Body, Rejection> => {
  const decoded = Result.mapError(
    decode(body, unknownFields),
    (flaw) => invalid(`${Shape.dotted(tagged(flaw.path))}: ${wording[flaw.kind](flaw)}`)
  )
  if (Result.isFailure(decoded)) return decoded
  const ofModel = [...Models.rules, Binding.rule].map((rule): Rule<Body> => (body) => rule(body, headers))
  const rejection = firstRejection([...rules, ...ofModel], decoded.success)
  return rejection === undefined ? decoded : Result.fail(rejection)
}

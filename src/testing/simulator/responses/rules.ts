/** The rules of the Responses API beyond the shape of the body, in OpenAI's words. */
import * as Result from "effect/Result"
import { firstRejection, isUnknownModel, type Rejection, type Rule } from "../exchange.ts"
import { isObject, type JsonObject } from "../json.ts"
import { rules as modelRules } from "../openai/models.ts"
import { rootProblem, strictProblem } from "../openai/strict.ts"
import { duplicateName, emptyArray, invalidName, refusal, rejectionOf } from "../openai/words.ts"
import * as Shape from "../shape.ts"
import { type Body, decode, type Item } from "./body.ts"

type Kind<Type extends string> = Extract<Item, { readonly type: Type }>

const itemsOf = ({ input }: Body): ReadonlyArray<Item> => typeof input === "string" ? [] : input

const isA =
  <Type extends "function_call" | "function_call_output" | "reasoning">(type: Type) =>
  (item: Item): item is Kind<Type> => item.type === type

interface Tool {
  readonly name: string
  readonly parameters: unknown
  readonly strict: unknown
}

/** The functions among the tools. */
export const functionsOf = ({ tools = [] }: Body): ReadonlyArray<Tool> =>
  tools.flatMap((tool) =>
    tool.type === "function" && "name" in tool
      ? [{ name: String(tool.name), parameters: tool.parameters, strict: tool.strict }]
      : []
  )

const outOfRange: Rule<Body> = ({ max_output_tokens, temperature, top_p }) => {
  const ranges = [
    ["temperature", temperature, 0, 2, "decimal"],
    ["top_p", top_p, 0, 1, "decimal"],
    ["max_output_tokens", max_output_tokens, 16, Infinity, "integer"]
  ] as const
  for (const [field, value, least, most, kind] of ranges) {
    if (value === undefined || value === null || (value >= least && value <= most)) continue
    const [word, sign, bound] = value < least ? ["below", ">=", least] as const : ["above", "<=", most] as const
    return refusal(
      `Invalid '${field}': ${kind} ${word} ${
        word === "below" ? "minimum" : "maximum"
      } value. Expected a value ${sign} ${bound}, but got ${value} instead.`,
      field,
      `${kind}_${word}_${word === "below" ? "min" : "max"}_value`
    )
  }
  return undefined
}

const pairs: Rule<Body> = (body) => {
  const items = itemsOf(body)
  const calls = items.filter(isA("function_call")).map(({ call_id }) => call_id)
  const outputs = items.filter(isA("function_call_output")).map(({ call_id }) => call_id)
  const open = calls.find((id) => !outputs.includes(id))
  if (open !== undefined) return refusal(`No tool output found for function call ${open}.`, "input")
  const stray = outputs.find((id) => !calls.includes(id))
  return stray === undefined || (body.previous_response_id ?? body.conversation) !== undefined
    ? undefined
    : refusal(`No tool call found for function call output with call_id ${stray}.`, "input")
}

const followsReasoning = (item: Item | undefined): boolean =>
  item !== undefined && !isA("reasoning")(item) && item.type !== "function_call_output"
  && !("role" in item && item.role !== "assistant")

/** Stored items belong together by id. A client that stores nothing leaves the ids out. */
const storedItems: Rule<Body> = (body) => {
  if (body.store === false) return undefined
  const items = itemsOf(body)
  for (const [index, item] of items.entries()) {
    if (isA("reasoning")(item) && typeof item.id === "string" && !followsReasoning(items[index + 1])) {
      return refusal(
        `Item '${item.id}' of type 'reasoning' was provided without its required following item.`,
        "input"
      )
    }
  }
  return undefined
}

const names: Rule<Body> = (body) => {
  const all = functionsOf(body)
  for (const [index, { name }] of all.entries()) {
    const rejection = invalidName(name, `tools[${index}].name`)
    if (rejection !== undefined) return rejection
  }
  return duplicateName(all.map(({ name }) => name))
}

const schemas: Rule<Body> = (body) => {
  for (const [index, { name, parameters, strict }] of functionsOf(body).entries()) {
    if (!isObject(parameters)) continue
    const problem = rootProblem(parameters) ?? (strict === true ? strictProblem(parameters, []) : undefined)
    if (problem !== undefined) {
      return refusal(
        `Invalid schema for function '${name}': ${problem}`,
        `tools[${index}].parameters`,
        "invalid_function_parameters"
      )
    }
  }
  return undefined
}

const format: Rule<Body> = ({ input, instructions, text }) => {
  const found = text?.format
  if (found?.type === "json_object" && !/json/i.test(JSON.stringify([input, instructions]))) {
    return refusal(
      "Response input messages must contain the word 'json' in some form to use 'text.format' of type 'json_object'.",
      "input"
    )
  }
  if (found?.type !== "json_schema") return undefined
  if (!/^[a-zA-Z0-9_-]{1,64}$/.test(found.name)) {
    return refusal(
      "Invalid 'text.format.name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.",
      "text.format.name",
      "invalid_value"
    )
  }
  const problem = found.strict === true ? rootProblem(found.schema) ?? strictProblem(found.schema, []) : undefined
  return problem === undefined
    ? undefined
    : refusal(
      `Invalid schema for response_format '${found.name}': ${problem}`,
      "text.format.schema",
      "invalid_json_schema"
    )
}

const choice: Rule<Body> = (body) => {
  const { tool_choice: choice, tools = [] } = body
  if (choice === undefined || choice === "none" || choice === "auto") return undefined
  if (tools.length === 0) {
    return refusal("Tool choice 'required' must be specified with 'tools' parameter.", "tool_choice")
  }
  if (typeof choice !== "object" || choice.type !== "function" || !("name" in choice)) return undefined
  return functionsOf(body).some(({ name }) => name === choice.name)
    ? undefined
    : refusal(`Tool choice 'function' not found in 'tools' parameter.`, "tool_choice")
}

const rules: ReadonlyArray<Rule<Body>> = [
  ({ model }) =>
    isUnknownModel(model)
      ? { ...refusal(`The requested model '${model}' does not exist.`, "model", "model_not_found") }
      : undefined,
  (body) => Array.isArray(body.input) && body.input.length === 0 ? emptyArray("input") : undefined,
  outOfRange,
  names,
  schemas,
  format,
  choice,
  pairs,
  storedItems,
  ({ stream, stream_options }) =>
    stream_options && stream !== true
      ? refusal("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options")
      : undefined,
  (body) =>
    firstRejection(modelRules, {
      api: "responses",
      model: body.model,
      effort: body.reasoning?.effort ?? undefined,
      temperature: body.temperature ?? undefined,
      topP: body.top_p ?? undefined,
      tools: functionsOf(body).length > 0,
      cacheRetention: (body.prompt_cache_retention ?? undefined) !== undefined
    })
]

const misshapen = (flaw: Shape.Flaw): Rejection => {
  const place = Shape.indexed(flaw.path)
  if (flaw.kind === "unknown") return refusal(`Unknown parameter: '${place}'.`, place, "unknown_parameter")
  return flaw.kind === "missing"
    ? refusal(`Missing required parameter: '${place}'.`, place, "missing_required_parameter")
    : rejectionOf(flaw)
}

/** The body, if the API would accept it. */
export const read = (body: JsonObject, unknownFields: "reject" | "ignore"): Result.Result<Body, Rejection> =>
  Result.flatMap(Result.mapError(decode(body, unknownFields), misshapen), (body) => {
    const rejection = firstRejection(rules, body)
    return rejection === undefined ? Result.succeed(body) : Result.fail(rejection)
  })

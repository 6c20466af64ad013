/**
 * The rules of Chat Completions beyond the shape of the body, in OpenAI's words. OpenRouter passes on the same refusals
 * from its upstream, without OpenAI's rules for single models.
 */
import * as Result from "effect/Result"
import { firstRejection, isUnknownModel, type Rejection, type Rule } from "../exchange.ts"
import { rules as modelRules } from "../openai/models.ts"
import { rootProblem, strictProblem } from "../openai/strict.ts"
import { duplicateName, emptyArray, invalidName, refusal } from "../openai/words.ts"
import type { Body } from "./body.ts"

interface Range {
  readonly minimum: number
  readonly maximum: number
  readonly kind: "decimal" | "integer"
}

const ranges = {
  temperature: { minimum: 0, maximum: 2, kind: "decimal" },
  top_p: { minimum: 0, maximum: 1, kind: "decimal" },
  frequency_penalty: { minimum: -2, maximum: 2, kind: "decimal" },
  presence_penalty: { minimum: -2, maximum: 2, kind: "decimal" },
  max_tokens: { minimum: 1, maximum: Infinity, kind: "integer" },
  max_completion_tokens: { minimum: 1, maximum: Infinity, kind: "integer" },
  n: { minimum: 1, maximum: 128, kind: "integer" },
  top_logprobs: { minimum: 0, maximum: 20, kind: "integer" }
} satisfies { readonly [field in keyof Body]?: Range }

const outOfRange: Rule<Body> = (body) => {
  for (const [field, { kind, maximum, minimum }] of Object.entries(ranges)) {
    const value = body[field as keyof typeof ranges]
    if (value === undefined || value === null) continue
    if (kind === "integer" && !Number.isInteger(value)) {
      return refusal(
        `Invalid type for '${field}': expected an integer, but got a decimal number instead.`,
        field,
        "invalid_type"
      )
    }
    if (value > maximum) {
      return refusal(
        `Invalid '${field}': ${kind} above maximum value. Expected a value <= ${maximum}, but got ${value} instead.`,
        field,
        `${kind}_above_max_value`
      )
    }
    if (value < minimum) {
      return refusal(
        `Invalid '${field}': ${kind} below minimum value. Expected a value >= ${minimum}, but got ${value} instead.`,
        field,
        `${kind}_below_min_value`
      )
    }
  }
  return undefined
}

const emptyArrays: Rule<Body> = (body) => {
  if (body.messages.length === 0) return emptyArray("messages")
  if (body.tools?.length === 0) return refusal("[] is too short - 'tools'")
  for (const [index, message] of body.messages.entries()) {
    if (Array.isArray(message.content) && message.content.length === 0) return emptyArray(`messages[${index}].content`)
    if (message.role === "assistant" && message.tool_calls?.length === 0) {
      return emptyArray(`messages[${index}].tool_calls`)
    }
  }
  return undefined
}

const silentAssistant: Rule<Body> = ({ messages }) => {
  const index = messages.findIndex((message) =>
    message.role === "assistant" && (message.content ?? null) === null && (message.refusal ?? null) === null &&
    message.tool_calls === undefined && (message.function_call ?? null) === null &&
    (message.audio ?? null) === null
  )
  return index < 0
    ? undefined
    : refusal("Invalid value for 'content': expected a string, got null.", `messages.[${index}].content`)
}

const toolPairs: Rule<Body> = ({ messages }) => {
  let open: ReadonlyArray<string> = []
  for (const [index, message] of messages.entries()) {
    if (message.role === "tool") {
      if (!open.includes(message.tool_call_id)) {
        return refusal(
          "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
          `messages.[${index}].role`
        )
      }
      open = open.filter((id) => id !== message.tool_call_id)
      continue
    }
    if (open.length > 0) return unanswered(open, index)
    open = message.role === "assistant" ? message.tool_calls?.map((call) => call.id) ?? [] : []
  }
  return open.length > 0 ? unanswered(open, messages.length - 1) : undefined
}

const longestId = 40

const callIds: Rule<Body> = ({ messages }) => {
  for (const [index, message] of messages.entries()) {
    const ids = message.role === "assistant" ? message.tool_calls?.map(({ id }) => id) ?? [] : []
    const at = ids.findIndex((id) => id.length > longestId)
    if (at < 0) continue
    const place = `messages[${index}].tool_calls[${at}].id`
    return refusal(
      `Invalid '${place}': string too long. Expected a string with maximum length ${longestId}, but got a string with length ${
        ids[at]?.length
      } instead.`,
      place,
      "string_above_max_length"
    )
  }
  return undefined
}

const unanswered = (ids: ReadonlyArray<string>, index: number): Rejection =>
  refusal(
    `An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: ${
      ids.join(", ")
    }`,
    `messages.[${index}].role`
  )

export const functionsOf = (body: Body) =>
  (body.tools ?? []).flatMap((tool) => tool.type === "function" ? [tool.function] : [])

const functionNames: Rule<Body> = (body) => {
  for (const [index, tool] of (body.tools ?? []).entries()) {
    const name = tool.type === "function" ? tool.function.name : "custom"
    const rejection = invalidName(name, `tools[${index}].function.name`)
    if (rejection !== undefined) return rejection
  }
  return duplicateName(functionsOf(body).map(({ name }) => name))
}

const functionSchemas: Rule<Body> = (body) => {
  for (const [index, { name, parameters, strict }] of functionsOf(body).entries()) {
    if (parameters === undefined) continue
    const problem = rootProblem(parameters) ?? (strict === true ? strictProblem(parameters, []) : undefined)
    if (problem !== undefined) {
      return refusal(
        `Invalid schema for function '${name}': ${problem}`,
        `tools[${index}].function.parameters`,
        "invalid_function_parameters"
      )
    }
  }
  return undefined
}

const responseFormat: Rule<Body> = ({ messages, response_format: format }) => {
  if (format?.type === "json_object" && !/json/i.test(JSON.stringify(messages))) {
    return refusal(
      "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
      "messages"
    )
  }
  if (format?.type !== "json_schema") return undefined
  const { name, schema, strict } = format.json_schema
  if (!/^[a-zA-Z0-9_-]{1,64}$/.test(name)) {
    return refusal(
      "Invalid 'response_format.json_schema.name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.",
      "response_format.json_schema.name",
      "invalid_value"
    )
  }
  const problem = strict === true ? rootProblem(schema) ?? strictProblem(schema, []) : undefined
  return problem === undefined
    ? undefined
    : refusal(`Invalid schema for response_format '${name}': ${problem}`, "response_format")
}

const toolChoice: Rule<Body> = (body) => {
  const { parallel_tool_calls: parallel, tool_choice: choice, tools } = body
  const alone = (field: string): Rejection =>
    refusal(`Invalid value for '${field}': '${field}' is only allowed when 'tools' are specified.`, field)
  if (choice !== undefined && tools === undefined) return alone("tool_choice")
  if (parallel !== undefined && tools === undefined) return alone("parallel_tool_calls")
  if (typeof choice !== "object" || choice.type !== "function") return undefined
  const wanted = choice.function.name
  return functionsOf(body).some(({ name }) => name === wanted)
    ? undefined
    : refusal(`Tool choice '${wanted}' not found in 'tools' parameter.`, "tool_choice")
}

const together: Rule<Body> = (body) => {
  if (body.stream_options && body.stream !== true) {
    return refusal("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options")
  }
  if (typeof body.top_logprobs === "number" && body.logprobs !== true) {
    return refusal("The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", "top_logprobs")
  }
  if (Array.isArray(body.stop) && body.stop.length > 4) {
    return refusal(
      `Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length ${body.stop.length} instead.`,
      "stop",
      "array_above_max_length"
    )
  }
  return typeof body.max_tokens === "number" && typeof body.max_completion_tokens === "number"
    ? refusal(
      "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
      "max_tokens",
      "invalid_parameter_combination"
    )
    : undefined
}

/** Models that reason, including dated and sized variants, but not chat variants. */
const isReasoningModel = (model: string): boolean => /^(?:o\d|gpt-[5-9])/.test(model) && !model.includes("-chat")

const unsupported = (field: string, advice = ""): Rejection =>
  refusal(
    `Unsupported parameter: '${field}' is not supported with this model.${advice}`,
    field,
    "unsupported_parameter"
  )

const oldLimits: Rule<Body> = (body) => {
  if (!isReasoningModel(body.model)) return undefined
  if (typeof body.max_tokens === "number") return unsupported("max_tokens", " Use 'max_completion_tokens' instead.")
  return /^(?:o\d|gpt-5(?:-|$))/.test(body.model) && (body.stop ?? null) !== null ? unsupported("stop") : undefined
}

const knownModel: Rule<Body> = ({ model }) =>
  isUnknownModel(model)
    ? {
      ...refusal(`The model \`${model}\` does not exist or you do not have access to it.`, null, "model_not_found"),
      status: 404
    }
    : undefined

/** The rules of every upstream of Chat Completions. */
const shared: ReadonlyArray<Rule<Body>> = [
  outOfRange,
  emptyArrays,
  silentAssistant,
  toolPairs,
  functionNames,
  functionSchemas,
  responseFormat,
  toolChoice
]

/** The rules of OpenAI itself. */
export const openAiRules: ReadonlyArray<Rule<Body>> = [
  ({ model }) => model === "" ? refusal("you must provide a model parameter") : undefined,
  knownModel,
  ...shared,
  callIds,
  together,
  (body) =>
    firstRejection(modelRules, {
      api: "chat",
      model: body.model,
      effort: body.reasoning_effort ?? undefined,
      temperature: body.temperature ?? undefined,
      topP: body.top_p ?? undefined,
      tools: functionsOf(body).length > 0,
      cacheRetention: body.prompt_cache_retention !== undefined
    }),
  oldLimits
]

/** A refusal by the upstream provider, as OpenRouter passes it on. */
export const upstreamRules: ReadonlyArray<Rule<Body>> = shared

/** The tokens in a request, unless it breaks a rule. */
export const checked = <A>(
  rules: ReadonlyArray<Rule<Body>>,
  body: Body,
  facts: (body: Body) => A
): Result.Result<A, Rejection> => {
  const rejection = firstRejection(rules, body)
  return rejection === undefined ? Result.succeed(facts(body)) : Result.fail(rejection)
}

/**
 * The server half: reads a client's request. Sources: OpenAI API reference, "Chat"; OpenRouter API reference, "Chat
 * completion", "Reasoning tokens".
 */
import * as Result from "effect/Result"
import * as Completion from "../../Completion.ts"
import type * as Message from "../../Message.ts"
import type * as Tool from "../../Tool.ts"
import { present } from "../encode.ts"
import { array, isObject, type JsonRecord, number, object, string } from "../json.ts"
import type { Asked, Incoming, Refused, Server } from "../Wire.ts"
import { encode } from "./answer.ts"
import { cacheOf, messagesFrom } from "./incoming.ts"
import { refuse } from "./refusal.ts"
import { type Dialect, openAiDialect, openRouterDialect } from "./shape.ts"
import { stream } from "./streamEncoder.ts"

const refused = (reason: Refused["reason"], description: string) =>
  Result.fail<Refused>({ _tag: "Refused", reason, description })

// ---------------------------------------------------------------------------------------------------------------------
// Tools
// ---------------------------------------------------------------------------------------------------------------------

const functionName = (tool: unknown): string => string(object(object(tool)["function"])["name"]) ?? ""

const toolOf = (tool: JsonRecord): Tool.ToolDefinition => {
  const { description, parameters } = object(tool["function"])
  return {
    name: functionName(tool),
    description: string(description) ?? "",
    parameters:
      (isObject(parameters) ? parameters : { type: "object", properties: {} }) as Tool.ToolDefinition["parameters"],
    ...cacheOf(tool)
  }
}

const choiceTags: Readonly<Record<string, Tool.ToolChoice>> = {
  auto: { _tag: "Auto" },
  none: { _tag: "None" },
  required: { _tag: "Required" }
}

const choiceOf = (choice: unknown): Tool.ToolChoice | undefined => {
  if (typeof choice === "string") return choiceTags[choice]
  const { allowed_tools, type } = object(choice)
  const { mode, tools } = object(allowed_tools)
  if (type === "function") return { _tag: "Specific", names: [functionName(choice)] }
  return type === "allowed_tools" && mode === "required"
    ? { _tag: "Specific", names: array(tools).map(functionName) }
    : undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// Settings
// ---------------------------------------------------------------------------------------------------------------------

type Effort = NonNullable<Completion.Reasoning["effort"]>

const efforts = ["none", "minimal", "low", "medium", "high", "xhigh", "max"] as const satisfies ReadonlyArray<Effort>

const effortOf = (word: unknown): Effort | undefined => efforts.find((effort) => effort === word)

const reasoningKeys: ReadonlySet<string> = new Set(["effort", "max_tokens", "exclude"])

// The requested reasoning; undefined when the vocabulary cannot express it.
const reasoningOf = (body: JsonRecord): Completion.Reasoning | undefined => {
  const asked = object(body["reasoning"])
  if (!Object.keys(asked).every((key) => reasoningKeys.has(key))) return undefined
  const exclude = asked["exclude"]
  const reasoning = {
    ...present("effort", effortOf(asked["effort"] ?? body["reasoning_effort"])),
    ...present("budgetTokens", number(asked["max_tokens"])),
    ...present("summary", typeof exclude === "boolean" ? !exclude : undefined)
  }
  return Object.keys(reasoning).length === 0 ? undefined : reasoning
}

// The fields that a `Completion` has a counterpart for.
const readFields: ReadonlySet<string> = new Set([
  "model",
  "messages",
  "max_tokens",
  "max_completion_tokens",
  "temperature",
  "top_p",
  "seed",
  "parallel_tool_calls",
  "stop",
  "stream",
  "stream_options",
  "tools",
  "tool_choice",
  "response_format",
  "reasoning",
  "reasoning_effort",
  "n"
])

// Other fields are only sent to the same vendor.
const others = (body: JsonRecord, reasoning: Completion.Reasoning | undefined): JsonRecord => {
  const choice = body["tool_choice"]
  const tools = array(body["tools"]).filter((tool) => object(tool)["type"] !== "function")
  const format = object(body["response_format"])
  return {
    ...Object.fromEntries(Object.entries(body).filter(([key]) => !readFields.has(key))),
    ...(tools.length > 0 && { tools }),
    ...(isObject(choice) && choiceOf(choice) === undefined && { tool_choice: choice }),
    ...(typeof format["type"] === "string" && schemaOf(format) === undefined && { response_format: format }),
    ...(reasoning === undefined && present("reasoning", body["reasoning"] ?? undefined)),
    ...(reasoning?.effort === undefined && present("reasoning_effort", body["reasoning_effort"] ?? undefined))
  }
}

const schemaOf = (format: JsonRecord): JsonRecord | undefined => {
  const schema = object(format["json_schema"])["schema"]
  return format["type"] === "json_schema" && isObject(schema) ? schema : undefined
}

const stopsOf = (stop: unknown): ReadonlyArray<string> =>
  (typeof stop === "string" ? [stop] : array(stop)).flatMap((word) => string(word) ?? [])

// ---------------------------------------------------------------------------------------------------------------------
// Requests
// ---------------------------------------------------------------------------------------------------------------------

const decode = (dialect: Dialect) => ({ body }: Incoming): Result.Result<Asked, Refused> =>
  Result.gen(function*() {
    const model = string(body["model"])
    if (model === undefined) return yield* refused("InvalidRequest", "you must provide a model parameter")
    if (!Array.isArray(body["messages"])) {
      return yield* refused("InvalidRequest", "Missing required parameter: 'messages'.")
    }
    if ((number(body["n"]) ?? 1) > 1) {
      return yield* refused("Unsupported", "Unsupported value: 'n' does not support more than one choice here.")
    }
    const messages = yield* messagesFrom(body["messages"], dialect.vendor)
    const prompt = messages.at(-1)
    if (prompt === undefined) {
      return yield* refused(
        "InvalidRequest",
        "Invalid 'messages': empty array. Expected an array with minimum length 1."
      )
    }
    const functions = array(body["tools"]).filter(isObject).filter((tool) => tool["type"] === "function")
    const reasoning = reasoningOf(body)
    const rest = others(body, reasoning)
    const stops = stopsOf(body["stop"])
    const parallel = body["parallel_tool_calls"]
    const completion = Completion.make({
      model,
      prompt,
      history: messages.slice(0, -1),
      tools: functions.map(toolOf),
      toolChoice: choiceOf(body["tool_choice"]),
      maxTokens: number(body["max_completion_tokens"]) ?? number(body["max_tokens"]),
      temperature: number(body["temperature"]),
      topP: number(body["top_p"]),
      seed: number(body["seed"]),
      parallelToolCalls: typeof parallel === "boolean" ? parallel : undefined,
      stopSequences: stops.length > 0 ? stops : undefined,
      outputSchema: schemaOf(object(body["response_format"])) as Json | undefined,
      reasoning,
      providerParams: Object.keys(rest).length === 0 ? undefined : { [dialect.vendor]: rest as Json }
    })
    return {
      completion,
      model,
      streamed: body["stream"] === true,
      usage: object(body["stream_options"])["include_usage"] === true
    }
  })

type Json = Message.ProviderBlock["block"]

const make = (dialect: Dialect): Server => ({
  vendor: dialect.vendor,
  decode: decode(dialect),
  encode: encode(dialect),
  stream: stream(dialect),
  refuse: refuse(dialect)
})

/** The server half of OpenAI's Chat Completions. */
export const openAiServer: Server = make(openAiDialect)

export const openRouterServer: Server = make(openRouterDialect)

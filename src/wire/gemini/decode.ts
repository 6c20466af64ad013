/**
 * Reads a generateContent request. Source: Google AI for Developers, Gemini API reference, "Generating content".
 */
import * as Result from "effect/Result"
import * as Completion from "../../Completion.ts"
import { defined } from "../../fields.ts"
import type * as Tool from "../../Tool.ts"
import { array, isObject, type JsonRecord, number, object, string, survives } from "../json.ts"
import type { Asked, Incoming, Refused, Server } from "../Wire.ts"
import { history } from "./history.ts"
import { normal } from "./names.ts"
import { vendor } from "./shape.ts"

const invalid = (description: string): Refused => ({ _tag: "Refused", reason: "InvalidRequest", description })

// ---------------------------------------------------------------------------------------------------------------------
// Schemas
// ---------------------------------------------------------------------------------------------------------------------

/** Google's own Schema format as JSON Schema: types become lower case, and `nullable` a union with null. */
const jsonSchema = (schema: unknown): JsonRecord => {
  const { anyOf, enum: literals, items, nullable, properties, propertyOrdering: _, type, ...rest } = object(schema)
  const word = typeof type === "string" && type !== "TYPE_UNSPECIFIED" ? type.toLowerCase() : undefined
  const isNullable = nullable === true
  return {
    ...rest,
    ...(word !== undefined && { type: isNullable && word !== "null" ? [word, "null"] : word }),
    ...(Array.isArray(literals) && { enum: isNullable ? [...literals, null] : literals }),
    ...(isObject(properties) && {
      properties: Object.fromEntries(Object.entries(properties).map(([key, value]) => [key, jsonSchema(value)]))
    }),
    ...(items !== undefined && { items: jsonSchema(items) }),
    ...(Array.isArray(anyOf) && {
      anyOf: [...anyOf.map(jsonSchema), ...(isNullable && word === undefined ? [{ type: "null" }] : [])]
    })
  }
}

const eitherSchema = (asItIs: unknown, googles: unknown): JsonRecord | undefined =>
  isObject(asItIs) ? asItIs : isObject(googles) ? jsonSchema(googles) : undefined

// ---------------------------------------------------------------------------------------------------------------------
// Tools
// ---------------------------------------------------------------------------------------------------------------------

const noParameters = { type: "object", properties: {}, additionalProperties: false }

const toolOf = (declaration: JsonRecord): Tool.ToolDefinition => ({
  name: string(declaration["name"]) ?? "",
  description: string(declaration["description"]) ?? "",
  parameters: (eitherSchema(declaration["parametersJsonSchema"], declaration["parameters"])
    ?? noParameters) as Tool.ToolDefinition["parameters"]
})

const choiceOf = ({ allowedFunctionNames, mode }: JsonRecord): Tool.ToolChoice | undefined => {
  switch (mode) {
    case "AUTO":
      return { _tag: "Auto" }
    case "NONE":
      return { _tag: "None" }
    case "ANY":
      return Array.isArray(allowedFunctionNames) && allowedFunctionNames.length > 0
        ? { _tag: "Specific", names: allowedFunctionNames.map(String) }
        : { _tag: "Required" }
    default:
      return undefined
  }
}

const toolsOf = (all: unknown) => {
  const tools = array(all).filter(isObject)
  return {
    tools: tools.flatMap((tool) => array(tool["functionDeclarations"]).filter(isObject).map(toolOf)),
    // Tools that the provider runs.
    own: tools
      .map((tool) => Object.fromEntries(Object.entries(tool).filter(([name]) => name !== "functionDeclarations")))
      .filter((tool) => Object.keys(tool).length > 0)
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Settings
// ---------------------------------------------------------------------------------------------------------------------

const efforts: ReadonlyArray<string> = ["minimal", "low", "medium", "high", "xhigh", "max"]

// The requested reasoning, and the fields without a counterpart in the vocabulary.
const reasoningOf = ({ includeThoughts, thinkingBudget, thinkingLevel, ...own }: JsonRecord) => {
  const level = string(thinkingLevel)?.toLowerCase()
  const effort = level !== undefined && efforts.includes(level) ? level : thinkingBudget === 0 ? "none" : undefined
  const tokens = number(thinkingBudget)
  const reasoning = defined<Completion.Reasoning>({
    effort: effort as Completion.Reasoning["effort"],
    // A budget of -1 means that the model decides.
    budgetTokens: tokens !== undefined && tokens > 0 ? tokens : undefined,
    summary: typeof includeThoughts === "boolean" ? includeThoughts : undefined
  })
  return { reasoning: Object.keys(reasoning).length > 0 ? reasoning : undefined, own }
}

// The settings of a completion, and the fields without a counterpart in the vocabulary.
const settingsOf = (config: JsonRecord) => {
  const {
    maxOutputTokens,
    responseJsonSchema,
    responseMimeType,
    responseSchema,
    seed,
    stopSequences,
    temperature,
    thinkingConfig,
    topP,
    ...others
  } = config
  const outputSchema = eitherSchema(responseJsonSchema, responseSchema)
  const thinking = reasoningOf(object(thinkingConfig))
  return {
    settings: {
      maxTokens: number(maxOutputTokens),
      temperature: number(temperature),
      topP: number(topP),
      seed: number(seed),
      stopSequences: Array.isArray(stopSequences) ? stopSequences.map(String) : undefined,
      outputSchema: outputSchema as Completion.Completion["outputSchema"],
      reasoning: thinking.reasoning
    },
    own: {
      ...others,
      ...(responseMimeType !== undefined && outputSchema === undefined && { responseMimeType }),
      ...(Object.keys(thinking.own).length > 0 && { thinkingConfig: thinking.own })
    }
  }
}

const filled = (fields: JsonRecord): JsonRecord =>
  Object.fromEntries(
    Object.entries(fields).filter(([, value]) =>
      Array.isArray(value) ? value.length > 0 : isObject(value) ? Object.keys(value).length > 0 : value !== undefined
    )
  )

// ---------------------------------------------------------------------------------------------------------------------
// Requests
// ---------------------------------------------------------------------------------------------------------------------

const decoded = (step: string): string => Result.getOrElse(Result.try(() => decodeURIComponent(step)), () => step)

/** The model and the method in a path. */
const target = (path: string): { readonly model: string; readonly streamed: boolean } | undefined => {
  const steps = path.split("/").filter((step) => step !== "")
  const [name = "", method] = steps.at(-1)?.split(/:(?=[A-Za-z]*$)/) ?? []
  const streamed = method === "streamGenerateContent"
  if (!streamed && method !== "generateContent") return undefined
  // The path without the version and the `models` folder; tuned models have another folder.
  const folders = steps.slice(0, -1).filter((step, index) => !(index === 0 && /^v\d/.test(step)))
  return {
    model: [...folders, name].map(decoded).join("/").replace(/^models\//, ""),
    streamed
  }
}

/** Reads a request. */
export const decode: Server["decode"] = ({ body, path }: Incoming): Result.Result<Asked, Refused> => {
  const asked = target(path)
  if (asked === undefined) {
    return Result.fail({ _tag: "Refused", reason: "Unsupported", description: `${path} is not supported` })
  }
  if (!survives(body)) {
    return Result.fail(invalid("the body is nested too deeply, or contains numbers that are too large"))
  }
  const { contents, generationConfig, model: _, systemInstruction, toolConfig, tools: all, ...rest } = object(
    normal(body)
  )
  const messages = history(contents)
  if (Result.isFailure(messages)) return Result.fail(invalid(messages.failure))
  const system = (typeof systemInstruction === "string"
    ? [systemInstruction]
    : array(object(systemInstruction)["parts"]).map((part) => string(object(part)["text"]) ?? ""))
    .filter((text) => text !== "")
  const { own: ownTools, tools } = toolsOf(all)
  const { functionCallingConfig, ...ownToolConfig } = object(toolConfig)
  const choice = choiceOf(object(functionCallingConfig))
  const { own: ownConfig, settings } = settingsOf(object(generationConfig))
  const own = filled({
    ...rest,
    tools: ownTools,
    toolConfig: filled({
      ...ownToolConfig,
      // Modes without a counterpart in the vocabulary.
      functionCallingConfig: choice === undefined ? object(functionCallingConfig) : {}
    }),
    generationConfig: ownConfig
  }) as Completion.Completion["additionalParams"]
  return Result.succeed({
    ...asked,
    thoughts: settings.reasoning?.summary === true,
    completion: Completion.make({
      ...settings,
      model: asked.model,
      preamble: system[0],
      messages: [
        ...system.slice(1).map((content) => ({ _tag: "System", content }) as const),
        ...messages.success
      ],
      tools,
      toolChoice: choice,
      providerParams: own && Object.keys(own).length > 0 ? { [vendor]: own } : undefined
    })
  })
}

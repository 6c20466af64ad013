/** The rules of generateContent beyond the shape of the body, in Google's words. */
import * as Result from "effect/Result"
import { firstRejection, type Rejection, type Rule } from "../exchange.ts"
import { firstDuplicate, isObject, type JsonObject } from "../json.ts"
import * as Shape from "../shape.ts"
import { Body, type Content, type GoogleSchema, normal, type Part } from "./body.ts"
import { offsetOf } from "./continuation.ts"
import { rulesOf as modelRules } from "./models.ts"

const snake = (step: Shape.Step): Shape.Step =>
  typeof step === "number" ? step : step.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

export const invalid = (message: string, details?: Rejection["details"]): Rejection => ({
  status: 400,
  type: "INVALID_ARGUMENT",
  message,
  ...details === undefined ? {} : { details }
})

const about = (field: string, problem: string): Rejection => invalid(`* GenerateContentRequest.${field}: ${problem}\n`)

const badField = (field: string, description: string): Rejection =>
  invalid(description, [{
    "@type": "type.googleapis.com/google.rpc.BadRequest",
    fieldViolations: [{ ...field === "" ? {} : { field }, description }]
  }])

const protoTypes: { readonly [type: string]: string } = {
  string: "TYPE_STRING",
  number: "TYPE_DOUBLE",
  boolean: "TYPE_BOOL"
}

const wrongType = (place: string, { types, value }: Shape.Flaw): Rejection => {
  const proto = protoTypes[types[0] ?? ""]
  const message = proto !== undefined
    ? `Invalid value at '${place}' (${proto}), ${JSON.stringify(value)}`
    : types.includes("object") && (isObject(value) || Array.isArray(value))
    ? `Invalid JSON payload received. Unknown name "${place}": Proto field is not repeating, cannot start list.`
    : `Invalid value at '${place}', ${JSON.stringify(value)}`
  return badField(place, message)
}

const rejectionOf = (flaw: Shape.Flaw): Rejection => {
  const place = Shape.indexed(flaw.path.map(snake))
  const parent = Shape.indexed(flaw.path.slice(0, -1).map(snake))
  if (flaw.kind === "type") return wrongType(place, flaw)
  if (flaw.kind === "missing") return about(place, "required field is not set")
  const at = parent === "" ? "" : ` at '${parent}'`
  return badField(
    parent,
    `Invalid JSON payload received. Unknown name "${flaw.path.at(-1)}"${at}: Cannot find field.`
  )
}

const dataFields = [
  "text",
  "inlineData",
  "fileData",
  "functionCall",
  "functionResponse",
  "executableCode",
  "codeExecutionResult",
  "toolCall",
  "toolResponse"
] as const satisfies ReadonlyArray<keyof Part>

const contents: Rule<Body> = ({ contents = [] }) => {
  if (contents.length === 0) return about("contents", "contents is not specified")
  for (const [index, { parts = [], role = "user" }] of contents.entries()) {
    const place = `contents[${index}]`
    if (!["user", "model", "function"].includes(role)) return invalid("Please use a valid role: user, model.")
    if (parts.length === 0) return about(`${place}.parts`, "contents.parts must not be empty.")
    for (const [at, part] of parts.entries()) {
      const set = dataFields.filter((field) => part[field] !== undefined)
      if (set.length === 0) {
        return about(
          `${place}.parts[${at}].data`,
          "required oneof field 'data' must have one initialized field"
        )
      }
      if (set.length > 1) {
        return badField(
          `${place}.parts[${at}]`,
          `Invalid value at '${place}.parts[${at}]' (oneof), oneof field 'data' is already set. Cannot set '${
            snake(set[1] ?? "")
          }'`
        )
      }
    }
  }
  return undefined
}

export const callsOf = (content: Content | undefined) =>
  content?.parts?.filter((part) => part.functionCall !== undefined) ?? []

export const responsesOf = (content: Content | undefined) =>
  content?.parts?.flatMap((part) => part.functionResponse === undefined ? [] : [part.functionResponse]) ?? []

const functionTurns: Rule<Body> = ({ contents = [] }) => {
  for (const [index, content] of contents.entries()) {
    const calls = callsOf(content).length
    const before = contents[index - 1]
    if (calls > 0 && (before === undefined || before.role === "model")) {
      return invalid(
        "Please ensure that function call turn comes immediately after a user turn or after a function response turn."
      )
    }
    const responses = responsesOf(content).length
    const asked = callsOf(before).length
    if (responses > 0 && asked === 0) {
      return invalid("Please ensure that function response turn comes immediately after a function call turn.")
    }
    if (responses !== asked) {
      return invalid(
        "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn."
      )
    }
  }
  return undefined
}

/** Whether the model signs its output: from version 3 on. */
export const signs = (model: string): boolean => /^gemini-([3-9]|\d\d)/.test(model)

/** These models require their signature on the first call of each step since the last user message. */
const signatures = (model: string): Rule<Body> => ({ contents = [] }) => {
  if (!signs(model)) return undefined
  const spoken = contents.findLastIndex(({ parts = [], role }) =>
    role !== "model" && parts.some((part) => part.text !== undefined)
  )
  const unsigned = contents.slice(spoken + 1).flatMap((content) => callsOf(content).slice(0, 1))
    .find((part) => (part.thoughtSignature ?? "") === "")
  return unsigned === undefined
    ? undefined
    : invalid(
      `Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, and missing thought_signature may lead to degraded model performance. Additional data, function call \`${unsigned.functionCall?.name}\`.`
    )
}

export const declarationsOf = (body: Body) => (body.tools ?? []).flatMap((tool) => tool.functionDeclarations ?? [])

/** What Google refuses in a schema, and where. */
const schemaProblem = (
  schema: GoogleSchema,
  place: string
): { readonly field: string; readonly problem: string } | undefined => {
  const type = schema.type?.toUpperCase()
  const properties = Object.entries(schema.properties ?? {})
  const undefinedName = schema.required?.findIndex((name) => schema.properties?.[name] === undefined) ?? -1
  if (undefinedName >= 0) return { field: `${place}.required[${undefinedName}]`, problem: "property is not defined" }
  if (type === "ARRAY" && schema.items === undefined) return { field: `${place}.items`, problem: "missing field." }
  if (schema.enum !== undefined && schema.enum.length > 0 && type !== "STRING") {
    return { field: `${place}.enum`, problem: "only allowed for STRING type" }
  }
  return [
    ...properties.map(([name, inner]) => schemaProblem(inner, `${place}.properties[${name}]`)),
    schema.items === undefined ? undefined : schemaProblem(schema.items, `${place}.items`),
    ...(schema.anyOf ?? []).map((inner, index) => schemaProblem(inner, `${place}.any_of[${index}]`))
  ].find((problem) => problem !== undefined)
}

const declarations: Rule<Body> = (body) => {
  for (const [at, tool] of (body.tools ?? []).entries()) {
    for (const [index, { name, parameters, parametersJsonSchema }] of (tool.functionDeclarations ?? []).entries()) {
      const place = `tools[${at}].function_declarations[${index}]`
      if (!/^[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}$/.test(name)) {
        return about(
          `${place}.name`,
          "Invalid function name. Must start with a letter or an underscore. Must be alphanumeric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 64."
        )
      }
      if (parameters !== undefined && parametersJsonSchema !== undefined) {
        return about(`${place}.parameters`, "only one of parameters and parameters_json_schema may be set")
      }
      const problem = parameters === undefined ? undefined : schemaProblem(parameters, `${place}.parameters`)
      if (problem !== undefined) return about(problem.field, problem.problem)
    }
  }
  const twice = firstDuplicate(declarationsOf(body).map((one) => one.name))
  return twice === undefined ? undefined : invalid(`Duplicate function declaration found: ${twice}`)
}

const callingConfig: Rule<Body> = (body) => {
  const config = body.toolConfig?.functionCallingConfig
  const { allowedFunctionNames: allowed = [], mode } = config ?? {}
  const declared = declarationsOf(body).map((one) => one.name)
  if (mode === "ANY" && declared.length === 0 && body.cachedContent === undefined) {
    return invalid("Function calling config is set without function_declarations.")
  }
  if (allowed.length === 0) return undefined
  const place = "tool_config.function_calling_config.allowed_function_names"
  if (mode !== "ANY" && mode !== "VALIDATED") {
    return about(place, "only set when function calling mode is ANY or VALIDATED.")
  }
  const unknown = allowed.find((name) => !declared.includes(name))
  return unknown === undefined ? undefined : about(place, `\`${unknown}\` is not in the function declarations.`)
}

const generation: Rule<Body> = ({ generationConfig = {} }) => {
  const { maxOutputTokens, responseJsonSchema, responseMimeType, responseSchema, stopSequences = [], temperature } =
    generationConfig
  const place = "generation_config"
  if (temperature !== undefined && (temperature < 0 || temperature > 2)) {
    return about(`${place}.temperature`, "temperature must be in the range [0.0, 2.0].")
  }
  if (maxOutputTokens !== undefined && (maxOutputTokens < 1 || !Number.isInteger(maxOutputTokens))) {
    return about(`${place}.max_output_tokens`, "max_output_tokens must be positive.")
  }
  if (stopSequences.length > 5) return about(`${place}.stop_sequences`, "at most 5 stop sequences are allowed.")
  if (responseSchema !== undefined && responseJsonSchema !== undefined) {
    return about(`${place}.response_schema`, "only one of response_schema and response_json_schema may be set")
  }
  const structured = responseSchema !== undefined || responseJsonSchema !== undefined
  return structured && responseMimeType !== "application/json" && responseMimeType !== "text/x.enum"
    ? about(
      `${place}.response_schema`,
      "response_schema is only supported when response_mime_type is application/json."
    )
    : undefined
}

const jsonBesideTools = (model: string): Rule<Body> => (body) =>
  /^gemini-[12]/.test(model) && declarationsOf(body).length > 0 &&
    body.generationConfig?.responseMimeType === "application/json"
    ? invalid("Function calling with a response mime type: 'application/json' is unsupported")
    : undefined

const cachedContent: Rule<Body> = (body) =>
  body.cachedContent !== undefined &&
    [body.systemInstruction, body.tools, body.toolConfig].some((field) => field !== undefined)
    ? invalid(
      "CachedContent can not be used with GenerateContent request setting system_instruction, tools or tool_config.\n\nProposed fix: move those values to CachedContent from GenerateContent request."
    )
    : undefined

const rulesFor = (model: string): ReadonlyArray<Rule<Body>> => [
  contents,
  generation,
  declarations,
  callingConfig,
  cachedContent,
  jsonBesideTools(model),
  functionTurns,
  signatures(model),
  ...modelRules(model),
  ({ continuationToken }) =>
    offsetOf(continuationToken) === undefined ? invalid("The continuation token is not valid.") : undefined
]

const decode = Shape.decoder(Body)

/** The body, if the API would accept it for the model. */
export const read = (
  body: JsonObject,
  model: string,
  unknownFields: "reject" | "ignore"
): Result.Result<Body, Rejection> => {
  const decoded = Result.mapError(decode(normal(body), unknownFields), rejectionOf)
  if (Result.isFailure(decoded)) return decoded
  const rejection = firstRejection(rulesFor(model), decoded.success)
  return rejection === undefined ? decoded : Result.fail(rejection)
}

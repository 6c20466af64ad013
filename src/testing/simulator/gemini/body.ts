/**
 * The shape of a generateContent request with all fields of the API. Like all protobuf JSON it may use camelCase or
 * snake_case, and null for an absent field. `normal` removes these differences before the shape is checked.
 */
import * as Schema from "effect/Schema"
import { isObject } from "../json.ts"

const optional = Schema.optionalKey
const text = optional(Schema.String)
const number = optional(Schema.Finite)
const flag = optional(Schema.Boolean)
const passed = optional(Schema.Unknown)
const names = optional(Schema.Array(Schema.String))
const anyObject = Schema.Record(Schema.String, Schema.Unknown)

const Media = { mimeType: text, displayName: text }

const Part = Schema.Struct({
  text,
  thought: flag,
  thoughtSignature: text,
  inlineData: optional(Schema.Struct({ ...Media, data: text })),
  fileData: optional(Schema.Struct({ ...Media, fileUri: text })),
  functionCall: optional(Schema.Struct({
    id: text,
    name: Schema.String,
    args: optional(anyObject),
    partialArgs: passed,
    willContinue: flag
  })),
  functionResponse: optional(Schema.Struct({
    id: text,
    name: Schema.String,
    response: optional(anyObject),
    parts: optional(Schema.Array(anyObject)),
    scheduling: text,
    willContinue: flag
  })),
  executableCode: optional(anyObject),
  codeExecutionResult: optional(anyObject),
  toolCall: optional(anyObject),
  toolResponse: optional(anyObject),
  videoMetadata: optional(anyObject),
  mediaResolution: passed,
  partMetadata: passed
})

const Content = Schema.Struct({ role: text, parts: optional(Schema.Array(Part)) })

/** Google's own Schema format, an OpenAPI 3.0 subset. Other JSON Schema keywords are unknown names. */
export interface GoogleSchema {
  readonly type?: string
  readonly properties?: { readonly [name: string]: GoogleSchema }
  readonly required?: ReadonlyArray<string>
  readonly items?: GoogleSchema
  readonly anyOf?: ReadonlyArray<GoogleSchema>
  readonly enum?: ReadonlyArray<string>
}

const GoogleSchema = Schema.Struct({
  type: text,
  format: text,
  title: text,
  description: text,
  nullable: flag,
  enum: names,
  maxItems: passed,
  minItems: passed,
  properties: optional(Schema.Record(Schema.String, Schema.suspend((): Schema.Codec<GoogleSchema> => GoogleSchema))),
  required: names,
  minProperties: passed,
  maxProperties: passed,
  minLength: passed,
  maxLength: passed,
  pattern: text,
  example: passed,
  anyOf: optional(Schema.Array(Schema.suspend((): Schema.Codec<GoogleSchema> => GoogleSchema))),
  propertyOrdering: names,
  default: passed,
  items: optional(Schema.suspend((): Schema.Codec<GoogleSchema> => GoogleSchema)),
  minimum: number,
  maximum: number
})

const FunctionDeclaration = Schema.Struct({
  name: Schema.String,
  description: text,
  behavior: text,
  parameters: optional(GoogleSchema),
  parametersJsonSchema: passed,
  response: optional(GoogleSchema),
  responseJsonSchema: passed
})

const Tool = Schema.Struct({
  functionDeclarations: optional(Schema.Array(FunctionDeclaration)),
  codeExecution: optional(anyObject),
  computerUse: optional(anyObject),
  fileSearch: optional(anyObject),
  googleMaps: optional(anyObject),
  googleSearch: optional(anyObject),
  googleSearchRetrieval: optional(anyObject),
  mcpServers: passed,
  urlContext: optional(anyObject)
})

const GenerationConfig = Schema.Struct({
  audioTimestamp: flag,
  candidateCount: number,
  enableAffectiveDialog: flag,
  enableEnhancedCivicAnswers: flag,
  frequencyPenalty: number,
  imageConfig: passed,
  logprobs: number,
  maxOutputTokens: number,
  mediaResolution: text,
  presencePenalty: number,
  responseFormat: passed,
  responseJsonSchema: passed,
  responseLogprobs: flag,
  responseMimeType: text,
  responseModalities: names,
  responseSchema: optional(GoogleSchema),
  seed: number,
  speechConfig: passed,
  stopSequences: names,
  temperature: number,
  thinkingConfig: optional(Schema.Struct({ includeThoughts: flag, thinkingBudget: number, thinkingLevel: text })),
  topK: number,
  topP: number
})

export const Body = Schema.Struct({
  model: text,
  contents: optional(Schema.Array(Content)),
  systemInstruction: optional(Content),
  tools: optional(Schema.Array(Tool)),
  toolConfig: optional(Schema.Struct({
    functionCallingConfig: optional(Schema.Struct({
      mode: optional(Schema.Literals(["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"])),
      allowedFunctionNames: names
    })),
    retrievalConfig: passed,
    includeServerSideToolInvocations: flag
  })),
  safetySettings: optional(Schema.Array(Schema.Struct({ category: Schema.String, threshold: Schema.String }))),
  generationConfig: optional(GenerationConfig),
  cachedContent: text,
  continuationToken: text,
  labels: optional(anyObject),
  serviceTier: text,
  store: flag
})
export type Body = typeof Body.Type
export type Part = typeof Part.Type
export type Content = typeof Content.Type

/** Fields whose value is the caller's own JSON. */
const freeForm: ReadonlySet<string> = new Set([
  "args",
  "response",
  "parametersJsonSchema",
  "responseJsonSchema",
  "default",
  "example",
  "labels"
])

const camel = (name: string): string =>
  name.startsWith("_") ? name : name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())

const normalField = (name: string, value: unknown): unknown => {
  if (freeForm.has(name)) return value
  return name === "properties" && isObject(value)
    ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, normal(inner)]))
    : normal(value)
}

/** camelCase names, without null fields. */
export const normal = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(normal)
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== null)
      .map(([key, inner]) => [camel(key), normalField(camel(key), inner)])
  )
}

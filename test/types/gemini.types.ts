/** What we send to Gemini, held against its SDK by the type checker alone. */
import type * as Gemini from "@google/genai"
import type { Completion } from "../../src/Completion.ts"
import { encode } from "../../src/wire/gemini/request.ts"
import type { GeminiSchema } from "../../src/wire/jsonSchema.ts"
import { none, type Plain, type Unknown } from "./exact.ts"

/** The SDK writes limits as int64 does in JSON, as texts; the API takes numbers as well. */
type Limit = "maxItems" | "minItems" | "maxLength" | "minLength" | "maxProperties" | "minProperties"

type Schema =
  & Omit<Plain<Gemini.Schema>, Limit | "anyOf" | "items" | "properties">
  & { readonly [Name in Limit]?: number }
  & {
    readonly anyOf?: ReadonlyArray<Schema>
    readonly items?: Schema
    readonly properties?: Readonly<Record<string, Schema>>
  }

type FunctionDeclaration<Parameters> = Omit<Plain<Gemini.FunctionDeclaration>, "parameters"> & {
  readonly parameters?: Parameters
}

type Tool<Parameters> = Omit<Plain<Gemini.Tool>, "functionDeclarations"> & {
  readonly functionDeclarations?: ReadonlyArray<FunctionDeclaration<Parameters>>
}

/** The body of generateContent, which the SDK puts together from its own options. */
interface Theirs<Parameters> {
  readonly contents: ReadonlyArray<Plain<Gemini.Content>>
  readonly systemInstruction?: Plain<Gemini.Content>
  readonly tools?: ReadonlyArray<Tool<Parameters>>
  readonly toolConfig?: Plain<Gemini.ToolConfig>
  readonly generationConfig?: Plain<Gemini.GenerationConfig>
}

export const checked = (completion: Completion): Theirs<Schema> => encode(completion, "gemini-3-pro-preview")

// A schema holds schemas, which `Unknown` would follow for ever: its names are looked at apart.
export const unknownNames = none<Unknown<ReturnType<typeof encode>, Theirs<unknown>>>()

export const unknownSchemaNames = none<Exclude<keyof GeminiSchema, keyof Schema>>()

/** What we send to Gemini, held against its SDK by the type checker alone. */
import type * as Gemini from "@google/genai"
import type { Completion } from "../../src/Completion.ts"
import { encode } from "../../src/wire/gemini/request.ts"
import type { Fitted } from "../../src/wire/gemini/rules.ts"
import { none, type Plain, type Unknown } from "./exact.ts"

/** A JSON Schema is sent as it is, so that the SDK's own form of one does not count. */
type FunctionDeclaration = Omit<Plain<Gemini.FunctionDeclaration>, "parameters" | "response">

type Tool = Omit<Plain<Gemini.Tool>, "functionDeclarations"> & {
  readonly functionDeclarations?: ReadonlyArray<FunctionDeclaration>
}

/** Levels that models have and the SDK does not name. */
type ThinkingConfig = Omit<Plain<Gemini.ThinkingConfig>, "thinkingLevel"> & {
  readonly thinkingLevel?: Plain<Gemini.ThinkingLevel> | "XHIGH" | "MAX"
}

type GenerationConfig = Omit<Plain<Gemini.GenerationConfig>, "responseSchema" | "thinkingConfig"> & {
  readonly thinkingConfig?: ThinkingConfig
}

/** The body of generateContent, which the SDK puts together from its own options. */
interface Theirs {
  readonly contents: ReadonlyArray<Plain<Gemini.Content>>
  readonly systemInstruction?: Plain<Gemini.Content>
  readonly tools?: ReadonlyArray<Tool>
  readonly toolConfig?: Plain<Gemini.ToolConfig>
  readonly generationConfig?: GenerationConfig
}

export const checked = (completion: Completion, fitted: Fitted): Theirs =>
  encode(completion, "gemini-4-argon", "gemini", fitted)

export const unknownNames = none<Unknown<ReturnType<typeof encode>, Theirs>>()

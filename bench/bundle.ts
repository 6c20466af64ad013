/**
 * The size of a program with one provider: bundled by esbuild, minified and gzipped, in kB of 1,000 bytes.
 */
import { build } from "esbuild"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"

const program = (http: string) => `
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
${http}
import { Completion, LLMClient, OpenAi } from "../src/index.ts"
LLMClient.completion(Completion.make({ prompt: "Hello" })).pipe(
  Effect.provide(OpenAi.layerConfig().pipe(Layer.provide(Http))),
  Effect.runPromise
)`

const programs = {
  "effect-llm, fetch": program(`import { layer as Http } from "effect/http/FetchHttpClient"`),
  // undici itself is not bundled.
  "effect-llm, undici": program(`import { layerUndici as Http } from "@effect/platform-node/NodeHttpClient"`),
  "openai": `
import OpenAI from "openai"
new OpenAI().chat.completions.create({ model: "gpt-5", messages: [{ role: "user", content: "Hello" }] })`,
  "@anthropic-ai/sdk": `
import Anthropic from "@anthropic-ai/sdk"
new Anthropic().messages.create({ model: "m", max_tokens: 9, messages: [{ role: "user", content: "Hello" }] })`,
  "@google/genai": `
import { GoogleGenAI } from "@google/genai"
new GoogleGenAI({}).models.generateContent({ model: "gemini-3-flash", contents: "Hello" })`,
  "ai, @ai-sdk/openai": `
import { openai } from "@ai-sdk/openai"
import { generateText } from "ai"
generateText({ model: openai.chat("gpt-5"), prompt: "Hello" })`,
  "undici": `
import { request } from "undici"
request("https://api.openai.com/v1/chat/completions", { method: "POST" })`
}

export const bundleSizes = async (): Promise<Map<string, number>> => {
  const sizes = new Map<string, number>()
  for (const [name, contents] of Object.entries(programs)) {
    const { outputFiles } = await build({
      stdin: { contents, loader: "ts", resolveDir: fileURLToPath(new URL(".", import.meta.url)) },
      bundle: true,
      minify: true,
      format: "esm",
      platform: "node",
      target: "node22",
      external: name === "undici" ? [] : ["undici"],
      write: false,
      logLevel: "error"
    })
    const code = outputFiles.reduce((sum, { contents }) => sum + gzipSync(contents, { level: 9 }).length, 0)
    sizes.set(name, code / 1000)
  }
  return sizes
}

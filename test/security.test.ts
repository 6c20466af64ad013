import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { inspect } from "node:util"
import { Anthropic, Completion, Gemini, LLMClient, OpenAi, OpenRouter, Retry } from "../src/index.ts"
import * as Simulator from "../src/testing/Simulator.ts"
import { passing } from "./testing/simulated.ts"

const root = join(import.meta.dirname, "..")

// What makes a test, or a group of them, with the title behind it; one that is skipped is none.
const titled =
  /\b(?:it|test|describe)(?:\.(?!skip|todo)\w+)*(?:\(\[[^()]*\](?: as const)?\)|\(\w+\))?\(\s*(["`])((?:(?!\1|\n)[^\\]|\\.)*)\1/g

/** Whether a source has a test of a title, or of one that includes it; `${…}` stands for any text of the source. */
const hasTest = (source: string, title: string): boolean => {
  const code = source.replaceAll(/^\s*(?:\/\/|\/?\*).*$/gm, "")
  return [...code.matchAll(titled)].some(([, , written = ""]) => {
    if (written.includes(title)) return true
    const pattern = written.split(/\$\{[^}]*\}|%s/).map((text) => text.replaceAll(/[^\w\s]/g, "\\$&")).join("(.+)")
    const [, ...texts] = new RegExp(`^${pattern}$`).exec(title) ?? []
    return texts.length > 0 && texts.every((text) => text.startsWith("${") || code.includes(`"${text}"`))
  })
}

describe("SECURITY.md", () => {
  const text = readFileSync(join(root, "SECURITY.md"), "utf8")
  const named = [...text.matchAll(/`(test\/[\w./]+\.test\.ts)`: ("[^"]+"(?:, "[^"]+")*)/g)].flatMap((
    [, file, titles]
  ) => [...titles!.matchAll(/"([^"]+)"/g)].map(([, title]) => ({ file: file!, title: title! })))

  it("names a test for each claim", () => {
    assert.isAbove(named.length, 20)
    const claims = text.split("\n").filter((line) => line.startsWith("- ") && !line.startsWith("- **"))
    assert.deepStrictEqual(claims.filter((line) => !/`test\/[\w./]+\.test\.ts`: "/.test(line)), [])
  })

  for (const { file, title } of named) {
    it(`names a test that exists: ${file}: ${title}`, () => {
      assert.isTrue(hasTest(readFileSync(join(root, file), "utf8"), title))
    })
  }

  it("takes nothing for a test but its title", () => {
    const source = [
      'it("a title", () => f("an argument"))',
      '// it("a comment")',
      'it.skip("a skipped test")',
      'const table = ["a row", "another row"]',
      "it.effect(`${row}: does it`, () => 1)",
      'describe.each([["x", 1]])("%s a group", () => 1)',
      'test(\n  "a title of its own line",'
    ].join("\n")
    const found = ["a title", "a row: does it", "${row}: does it", "a group", "a title of its own line"]
    const none = ["an argument", "a comment", "a skipped test", "another row", "a third row: does it"]
    assert.deepStrictEqual([...found, ...none].filter((title) => hasTest(source, title)), found)
  })
})

describe("what was recorded", () => {
  const folders = new Set(["node_modules", "dist", "coverage", ".git"])
  const filesIn = (folder: string): ReadonlyArray<string> =>
    readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
      folders.has(entry.name) ? [] : entry.isDirectory() ? filesIn(join(folder, entry.name)) : [entry.name]
    )

  it("is not part of the project", () => {
    const settings = /^(?:package|package-lock|dprint|\.oxlintrc|tsconfig(?:\.\w+)?)\.json$/
    const recorded = filesIn(root).filter((name) => /\.(?:jsonl?|ndjson|har|sse)$/.test(name) && !settings.test(name))
    assert.deepStrictEqual(recorded, [])
  })

  it("is not part of the package, which contains the sources and the documentation", () => {
    const { files } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { readonly files: unknown }
    assert.deepStrictEqual(files, [
      "bench/RESULTS.md",
      "dist",
      "docs",
      "examples",
      "src",
      "CHANGELOG.md",
      "LICENSE",
      "README.md",
      "SECURITY.md"
    ])
  })
})

const apiKey = Redacted.make("sk-test-0123456789")

const question = Completion.make({ prompt: "Hi" })

const layers = {
  anthropic: Anthropic.layer({ apiKey, model: "claude-sonnet-4-6", tracePropagation: true }),
  openai: OpenAi.layer({ apiKey, api: "chat", model: "gpt-4.1-mini", tracePropagation: true }),
  openrouter: OpenRouter.layer({ apiKey, model: "openai/gpt-4.1-mini", tracePropagation: true }),
  gemini: Gemini.layer({ apiKey, model: "gemini-2.5-flash", tracePropagation: true })
} as const

const names = Object.keys(layers) as Array<keyof typeof layers>

describe.each(names)("a call of %s", (name) => {
  it.effect("shows neither prompt nor answer in logs and spans", () =>
    Effect.gen(function*() {
      const shown: Array<string> = []
      const spans: Array<Tracer.Span> = []
      const observed = Layer.mergeAll(
        Logger.layer([Logger.map(Logger.formatJson, (line) => void shown.push(line))]),
        Layer.succeed(References.MinimumLogLevel, "All"),
        Layer.succeed(
          Tracer.Tracer,
          Tracer.make({
            span: (options) => {
              const span = new Tracer.NativeSpan(options)
              spans.push(span)
              return span
            }
          })
        )
      )
      const completion = Completion.make({ preamble: "be xylophonic", prompt: "the quokka question" })
      const simulator = Simulator.layer({ failures: [{ _tag: "ServerError" }] })
      const answers = yield* passing(
        Effect.gen(function*() {
          const whole = yield* LLMClient.completion(completion)
          const parts = yield* Stream.runCollect(LLMClient.stream(completion))
          return [whole.text, ...parts.flatMap((part) => part._tag === "TextDelta" ? [part.text] : [])]
        }).pipe(
          Effect.withSpan("call"),
          Effect.provide(
            Retry.layer().pipe(Layer.provide(layers[name]), Layer.provide(simulator), Layer.provideMerge(observed))
          )
        )
      )
      // There was something to show, and something to show it in.
      assert.include(answers[0], "quokka")
      assert.isAbove(shown.length, 0)
      assert.isAbove(spans.length, 2)
      const seen = [
        ...shown,
        ...spans.map((span) => inspect([span.name, [...span.attributes], span.links], { depth: null }))
      ].join("\n")
      for (const secret of ["quokka", "xylophonic", answers[0]!]) assert.notInclude(seen, secret)
    }))
})

describe.each(names)("the key of %s", (name) => {
  it.effect("goes out in one header of a request to the base URL, and nowhere else", () =>
    Effect.gen(function*() {
      const places = {
        anthropic: ["https://api.anthropic.com", ["x-api-key"]],
        openai: ["https://api.openai.com", ["authorization"]],
        openrouter: ["https://openrouter.ai", ["authorization"]],
        gemini: ["https://generativelanguage.googleapis.com", ["x-goog-api-key"]]
      } as const
      const sent: Array<readonly [origin: string, places: ReadonlyArray<string>]> = []
      const http = HttpClient.make((request, url) =>
        Effect.sync(() => {
          const body = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : request.body
          const texts = { ...request.headers, url: url.href, body: inspect(body) }
          sent.push([
            url.origin,
            Object.entries(texts).flatMap(([place, text]) => text.includes(Redacted.value(apiKey)) ? [place] : [])
          ])
          return HttpClientResponse.fromWeb(request, new Response("{}", { status: 400 }))
        })
      )
      const layer = Layer.provide(layers[name], Layer.succeed(HttpClient.HttpClient, http))
      for (const run of [LLMClient.completion(question), Stream.runDrain(LLMClient.stream(question))]) {
        yield* Effect.flip(Effect.provide(run, layer))
      }
      assert.deepStrictEqual(sent, [places[name], places[name]])
    }))
})

const answering = (name: keyof typeof layers, body: string) =>
  Layer.provide(
    layers[name],
    Layer.succeed(
      HttpClient.HttpClient,
      HttpClient.make((request) => Effect.succeed(HttpClientResponse.fromWeb(request, new Response(body))))
    )
  )

// A call with these arguments, as every provider writes one.
const calling = (args: string) =>
  `{"content":[{"type":"tool_use","id":"1","name":"f","input":${args}}],"stop_reason":"tool_use","choices":[{"message":`
  + `{"tool_calls":[{"id":"1","function":{"name":"f","arguments":${JSON.stringify(args)}}}]},"finish_reason":`
  + `"tool_calls"}],"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":${args}}}]},"finishReason":`
  + `"STOP"}]}`

describe.each(names)("arguments of %s", (name) => {
  it.effect("that JSON cannot represent are not returned as a call", () =>
    Effect.gen(function*() {
      for (const value of ["1e999", "[-1e999]", `${"[".repeat(1000)}1${"]".repeat(1000)}`]) {
        const layer = answering(name, calling(`{"a":${value}}`))
        for (const run of [LLMClient.completion(question), Stream.runDrain(LLMClient.stream(question))]) {
          const error = yield* Effect.flip(Effect.provide(run, layer))
          assert.strictEqual(`${error._tag} ${error.reason}`, "EmptyResponse MalformedToolCall")
          assert.include(error.description, "the arguments of the call of f")
          assert.deepStrictEqual(error.partial?.toolCalls, [])
        }
      }
    }))

  it.effect("with a key __proto__ does not change a prototype", () =>
    Effect.gen(function*() {
      const layer = answering(name, calling(`{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}`))
      const answer = yield* Effect.provide(LLMClient.completion(question), layer)
      const args = answer.toolCalls[0]?.arguments
      assert.strictEqual(
        JSON.stringify(args),
        `{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}`
      )
      assert.strictEqual(Object.getPrototypeOf(args), Object.prototype)
      assert.isUndefined(({} as { readonly polluted?: unknown }).polluted)
      const params = Completion.additionalParams(JSON.parse('{"__proto__":{"polluted":1}}'))(question)
      yield* Effect.provide(LLMClient.completion(params), layer)
      assert.isUndefined(({} as { readonly polluted?: unknown }).polluted)
    }))
})

/**
 * Asks a language model one question, and prints the answer as it arrives and its cost:
 *
 *     npm start
 *     npm start -- --no-stream
 *     npm start -- "Why is the sky blue?" --provider gemini --model gemini-3.8-flash
 *
 * It calls the provider whose key or base URL is in the environment. Without one, a simulated provider in this process
 * answers. It fails once first, so that you see the retry.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Config, Console, Effect, Layer, Option, Redacted, Stream, Terminal } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { Anthropic, Completion, CompletionPart, Gemini, LLMClient, OpenAi, OpenRouter, Retry } from "../src/index.ts"
import { Simulator } from "../src/testing/index.ts"

const providers = {
  anthropic: {
    layer: Anthropic.layerConfig,
    model: "claude-opus-5-5",
    variables: ["ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"]
  },
  openai: { layer: OpenAi.layerConfig, model: "gpt-6-luna", variables: ["OPENAI_API_KEY", "OPENAI_BASE_URL"] },
  gemini: {
    layer: Gemini.layerConfig,
    model: "gemini-3.8-flash",
    variables: ["GEMINI_API_KEY", "GOOGLE_AI_API_KEY", "GEMINI_BASE_URL"]
  },
  openrouter: {
    layer: OpenRouter.layerConfig,
    model: "anthropic/claude-opus-5.5",
    variables: ["OPENROUTER_API_KEY", "OPENROUTER_BASE_URL"]
  }
}

type Name = keyof typeof providers
const names = Object.keys(providers) as Array<Name>

/** Whether the environment configures the real provider. */
const isConfigured = (name: Name) =>
  Effect.map(
    Effect.forEach(providers[name].variables, (variable) => Config.withDefault(Config.String(variable), "")),
    (values) => values.some((value) => value.trim() !== "")
  )

/** The provider over the network, or over a simulated one, whose first response is a rate limit. */
const providerLayer = (name: Name, model: string, real: boolean) => {
  const options = { model: Config.succeed(model) }
  return real
    ? Layer.provide(providers[name].layer(options), NodeHttpClient.layerUndici)
    : Layer.provide(
      providers[name].layer({ ...options, apiKey: Config.succeed(Redacted.make("simulated")) }),
      Simulator.layer({ failures: [{ _tag: "RateLimit", retryAfter: "1 second" }] })
    )
}

const ask = (question: string, streamed: boolean) =>
  Effect.gen(function*() {
    const { display } = yield* Terminal.Terminal
    const request = Completion.make({ prompt: question })
    const parts = streamed
      ? LLMClient.stream(request)
      : Stream.fromIterableEffect(Effect.map(LLMClient.completion(request), CompletionPart.fromResponse))
    let printed = false
    yield* Stream.runForEach(parts, (part) => {
      if (part._tag === "TextDelta") {
        printed = true
        return display(part.text)
      }
      if (part._tag === "Finish") {
        const { inputTokens, outputTokens } = part.response.usage
        return display(`\n${inputTokens} tokens in, ${outputTokens} out\n`)
      }
      return Effect.void
    }).pipe(
      // The error is printed on a line of its own.
      Effect.tapError(() => printed ? display("\n") : Effect.void)
    )
  })

const start = Command.make(
  "start",
  {
    question: Argument.String("question").pipe(Argument.withDefault("Why is the sky blue?")),
    provider: Flag.Literals("provider", names).pipe(
      Flag.withDescription("The provider to ask; the first that the environment has a key for unless given"),
      Flag.optional
    ),
    model: Flag.String("model").pipe(Flag.withDescription("The model to ask"), Flag.optional),
    stream: Flag.Boolean("stream").pipe(
      Flag.withDescription("Print the answer as it arrives; --no-stream waits for all of it"),
      Flag.withDefault(true)
    )
  },
  Effect.fnUntraced(function*({ model, provider, question, stream }) {
    const configured = yield* Effect.filter(names, isConfigured)
    const name = Option.getOrElse(provider, () => configured[0] ?? "anthropic")
    const modelName = Option.getOrElse(model, () => providers[name].model)
    const real = configured.includes(name)
    yield* Console.log(
      real
        ? `Asking ${name}, model ${modelName}`
        : `Asking a simulated ${name}, model ${modelName}: set ${providers[name].variables[0]} to ask the real one`
    )
    yield* Effect.provide(ask(question, stream), LLMClient.compose(Retry.layer(), providerLayer(name, modelName, real)))
  }, Effect.tapError((error) => Console.error(error._tag === "ConfigError" ? error.cause.message : error.message)))
).pipe(Command.withDescription("Asks a language model one question."))

Command.run(start, { version: "0.1.0" }).pipe(
  Effect.provide(NodeServices.layer),
  // Every error was already printed, in one line.
  NodeRuntime.runMain({ disableErrorReporting: true })
)

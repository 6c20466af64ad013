/**
 * A user's program: check-package copies this file into a project with the package installed, type-checks it and runs
 * it.
 */
import { Config, Console, Effect, Layer, Redacted } from "effect"
import { Completion, LLMClient, Retry } from "effect-llm"
import * as Anthropic from "effect-llm/Anthropic"
import type { LLMError } from "effect-llm/LLMError"
import { Simulator } from "effect-llm/testing"

// @ts-expect-error the protocols are not public
// oxlint-disable-next-line typescript/consistent-type-imports
export type Closed = typeof import("effect-llm/transport/completion")

// Exported, so that the compiler must be able to name the types in declarations.
export const Claude = Retry.layer({ RateLimit: { base: "10 millis", cap: "1 second", attempts: 3 } }).pipe(
  Layer.provide(Anthropic.layerConfig({
    model: Config.succeed("claude-sonnet-4-6"),
    apiKey: Config.succeed(Redacted.make("sk-ant-simulated"))
  })),
  Layer.provide(Simulator.layer({ failures: [{ _tag: "RateLimit" }] }))
)

export const ask = (question: string): Effect.Effect<string, LLMError, LLMClient.LLMClient> =>
  Effect.map(LLMClient.completion(Completion.make({ prompt: question })), (response) => response.text)

const program = Effect.gen(function*() {
  const answer = yield* ask("Does the package work?")
  if (!answer.includes("Does the package work?")) return yield* Effect.die(new Error(`unexpected answer: ${answer}`))
  return yield* Console.log(answer)
})

await Effect.runPromise(Effect.provide(program, Claude))

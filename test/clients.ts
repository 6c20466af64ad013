/** A client made by hand, for tests of middleware: it says when it was called, and answers as it is told. */
import { Clock, Context, Effect, Layer, type Scope, Stream } from "effect"
import * as WebCrypto from "effect/crypto/WebCrypto"
import { createHash } from "node:crypto"
import { type Completion, CompletionResponse, LLMClient, LLMError, TokenUsage } from "../src/index.ts"

export interface Called {
  readonly at: number
  readonly name: string
}

export type Answer = (
  completion: Completion.Completion,
  index: number
) => Effect.Effect<CompletionResponse.CompletionResponse, LLMError.LLMError>

export const answer = (
  usage: { readonly inputTokens?: number; readonly outputTokens?: number } = { inputTokens: 1, outputTokens: 1 },
  more: Partial<CompletionResponse.CompletionResponse> = {}
) =>
  CompletionResponse.make({
    choice: [{ _tag: "Text", text: "Hi" }],
    finishReason: { _tag: "Stop" },
    usage: TokenUsage.make(usage),
    provider: "test",
    ...more
  })

export const failure = (tag: LLMError.LLMError["_tag"], reason: string, more: object = {}) =>
  LLMError.make(tag, { provider: "test", model: "", reason: reason as never, description: "", ...more })

/** The text of a request, by which a test tells calls apart. */
export const nameOf = ({ prompt }: Completion.Completion): string =>
  typeof prompt.content !== "string" && prompt.content[0]?._tag === "Text" ? prompt.content[0].text : ""

/** A client that notes its calls; its streams bring three characters, then what `answer` gives. */
export const noting = (answerWith: Answer, provider = "test") => {
  const calls: Array<Called> = []
  const called = (completion: Completion.Completion) =>
    Effect.flatMap(Clock.currentTimeMillis, (at) => {
      calls.push({ at, name: nameOf(completion) })
      return answerWith(completion, calls.length - 1)
    })
  const client: LLMClient.Service = {
    provider,
    completion: called,
    stream: (completion) =>
      Stream.concat(
        Stream.make({ _tag: "TextDelta", index: 0, text: "Hi!" } as const),
        Stream.fromEffect(Effect.map(called(completion), (response) => ({ _tag: "Finish", response }) as const))
      )
  }
  return { calls, client }
}

/** The client that a middleware layer makes of another. */
export const through = <R>(
  layer: Layer.Layer<LLMClient.LLMClient, never, R>,
  client: LLMClient.Service
): Effect.Effect<LLMClient.Service, never, Exclude<R, LLMClient.LLMClient> | Scope.Scope> =>
  Effect.map(
    Layer.build(Layer.provide(layer, Layer.succeed(LLMClient.LLMClient, client))),
    (context) => Context.get(context, LLMClient.LLMClient)
  )

/** A cache's digests without another thread, which would have to be waited for on real time. */
export const inThread = Effect.provide(WebCrypto.layer({
  subtle: { digest: async (_: string, data: Uint8Array) => createHash("sha256").update(data).digest() }
} as unknown as Crypto))

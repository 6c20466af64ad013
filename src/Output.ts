/**
 * Answers as values: a Schema describes the request, and decodes the answer.
 *
 * ```ts
 * import { Console, Effect, Schema } from "effect"
 * import { Completion } from "effect-llm"
 * import * as Output from "effect-llm/Output"
 *
 * const Recipe = Schema.Struct({ name: Schema.String, minutes: Schema.Int, steps: Schema.Array(Schema.String) })
 *
 * const program = Effect.gen(function*() {
 *   const { response, value } = yield* Output.object(Completion.make({ prompt: "How to boil an egg" }), Recipe)
 *   yield* Console.log(`${value.name}: ${value.minutes} min, ${response.usage.totalTokens} tokens`)
 * })
 * ```
 *
 * Every Schema with a JSON form is supported. The form is the same for all providers, so a `Fallback` may move on at any
 * time. For servers without support for schemas, use `StructuredOutput.layer`. The module has its own path, because it
 * loads further modules.
 */

import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Completion from "./Completion.ts"
import type { Finish as Answered, ReasoningDelta, TextDelta } from "./CompletionPart.ts"
import * as CompletionResponse from "./CompletionResponse.ts"
import { LLMClient } from "./LLMClient.ts"
import type { LLMError } from "./LLMError.ts"
import * as Attempts from "./middleware/attempts.ts"
import * as Check from "./middleware/options.ts"
import type { Form, Output } from "./output/form.ts"
import * as Growing from "./output/growing.ts"
import * as Read from "./output/read.ts"
import * as TokenUsage from "./TokenUsage.ts"

export type { Output } from "./output/form.ts"

// ---------------------------------------------------------------------------------------------------------------------
// One value
// ---------------------------------------------------------------------------------------------------------------------

/** A value and its answer. The answers that did not match are in `response.attempts`, with their usage. */
export interface ObjectResponse<A> {
  readonly value: A
  readonly response: CompletionResponse.CompletionResponse
}

export interface Options {
  /** How often an answer that does not match goes back to the model, with the error; once unless given. */
  readonly repairs?: number | undefined
}

const asking = (completion: Completion.Completion, { jsonSchema }: Form<Output>): Completion.Completion =>
  Completion.outputSchema(jsonSchema)(completion)

/**
 * Requests a value of a Schema.
 *
 * | answer | failure |
 * |---|---|
 * | is not JSON, or does not match | `EmptyResponse · MalformedOutput`, once `repairs` are used up; the answer is in `partial` |
 * | cut by `maxTokens` | `ClientError · OutputBudget` |
 * | cut by the provider's filter | `ClientError · ContentFilter` |
 * | calls tools instead | `ClientError · Unsupported`: use `ToolLoop` |
 * | a Schema that is not supported | `ClientError · Unsupported`, before anything is sent, with its path |
 */
export const object = <S extends Output>(
  completion: Completion.Completion,
  schema: S,
  options: Options = {}
): Effect.Effect<ObjectResponse<S["Type"]>, LLMError, LLMClient | S["DecodingServices"]> =>
  Effect.gen(function*() {
    Check.known("Output", options, ["repairs"])
    Check.wholeNumber("Output", "repairs", options.repairs, 0)
    const { repairs = 1 } = options
    const client = yield* LLMClient
    const form = yield* Read.ask(completion, schema, client.provider)
    const failures: Array<LLMError> = []
    let request = asking(completion, form)
    while (true) {
      const response = yield* Effect.mapError(client.completion(request), (error) => Attempts.ofError(error, failures))
      const value = yield* Effect.result(Read.read(form, response))
      if (Result.isSuccess(value)) return { value: value.success, response: Attempts.ofResponse(response, failures) }
      if (!Read.isRepairable(value.failure) || failures.length >= repairs) {
        return yield* Attempts.ofError(value.failure, failures)
      }
      failures.push(value.failure)
      request = Read.repair(request, value.failure, form)
    }
  })

// ---------------------------------------------------------------------------------------------------------------------
// A value that grows
// ---------------------------------------------------------------------------------------------------------------------

/** A part of a streamed value. */
export type ObjectPart<A> =
  | ReasoningDelta
  /**
   * The value so far, in the requested JSON form (an optional field may be null, a record is a list of entries), not
   * checked against the Schema. Texts grow, lists and objects fill up, and nothing is removed.
   */
  | { readonly _tag: "Partial"; readonly json: Schema.Json }
  | { readonly _tag: "Finish"; readonly value: A; readonly response: CompletionResponse.CompletionResponse }

// If the provider separates the final answer from commentary, the commentary is not part of it.
const isAnswer = ({ phase }: TextDelta): boolean => phase !== "commentary"

/**
 * Requests a value of a Schema, and shows it while it is written. Each `Partial` is a separate value. A stream is not
 * repaired, because what was shown cannot be undone; it fails like `object`.
 */
export const stream = <S extends Output>(
  completion: Completion.Completion,
  schema: S
): Stream.Stream<ObjectPart<S["Type"]>, LLMError, LLMClient | S["DecodingServices"]> =>
  Stream.unwrap(Effect.gen(function*() {
    const client = yield* LLMClient
    const form = yield* Read.ask(completion, schema, client.provider)
    const growing = Growing.make(form.wrapped)
    return client.stream(asking(completion, form)).pipe(
      // Emits one partial value for each network chunk.
      Stream.chunks,
      Stream.map((parts) => {
        const out: Array<Exclude<ObjectPart<never>, { readonly _tag: "Finish" }> | Answered> = []
        for (const part of parts) {
          if (part._tag === "TextDelta" && isAnswer(part)) growing.feed(part.text)
          else if (part._tag === "ReasoningDelta") out.push(part)
        }
        const json = growing.take()
        if (json !== undefined) out.push({ _tag: "Partial", json })
        const last = parts.at(-1)
        if (last?._tag === "Finish") out.push(last)
        return out
      }),
      Stream.filter(Arr.isArrayNonEmpty),
      Stream.flattenArray,
      Stream.mapEffect((part): Effect.Effect<ObjectPart<S["Type"]>, LLMError, S["DecodingServices"]> =>
        part._tag === "Finish"
          ? Effect.map(Read.read(form, part.response), (value) => ({ ...part, value }))
          : Effect.succeed(part)
      )
    )
  }))

// ---------------------------------------------------------------------------------------------------------------------
// A list, element by element
// ---------------------------------------------------------------------------------------------------------------------

/** A part of a streamed list. */
export type ElementPart<A> =
  | ReasoningDelta
  | { readonly _tag: "Element"; readonly index: number; readonly value: A }
  | { readonly _tag: "Finish"; readonly response: CompletionResponse.CompletionResponse }

/**
 * Requests a list of values of a Schema, and emits each as soon as it is complete. An element that does not match ends
 * the stream and the request as `EmptyResponse · MalformedOutput`; the text up to it is in `partial`.
 */
export const elements = <S extends Output>(
  completion: Completion.Completion,
  schema: S
): Stream.Stream<ElementPart<S["Type"]>, LLMError, LLMClient | S["DecodingServices"]> =>
  Stream.unwrap(Effect.gen(function*() {
    const client = yield* LLMClient
    const { model = client.model } = completion
    const list: Schema.$Array<S> = Schema.Array(schema)
    const form = yield* Read.ask(completion, list as Output, client.provider)
    const found = Growing.elements()
    let text = ""
    let count = 0
    // The answer so far; its usage is only known at the end.
    const partial = (): CompletionResponse.CompletionResponse =>
      CompletionResponse.make({
        choice: [{ _tag: "Text", text }],
        finishReason: { _tag: "None" },
        usage: TokenUsage.zero,
        provider: client.provider,
        model
      })
    const element = (json: unknown) => {
      const index = count++
      // Each is read as a list of one element, in the requested form.
      const values = form.decode({ value: [json] }) as Effect.Effect<
        ReadonlyArray<S["Type"]>,
        Schema.SchemaError,
        S["DecodingServices"]
      >
      return Effect.mapBoth(values, {
        onFailure: ({ message }) => Read.failureOf(partial(), `element ${index} does not match the schema: ${message}`),
        onSuccess: ([value]) => ({ _tag: "Element", index, value }) as const
      })
    }
    return client.stream(asking(completion, form)).pipe(
      Stream.chunks,
      Stream.map((parts) =>
        parts.flatMap((part): Array<ReasoningDelta | Answered | { readonly _tag: "Json"; readonly json: unknown }> => {
          if (part._tag === "ReasoningDelta" || part._tag === "Finish") return [part]
          if (part._tag !== "TextDelta" || !isAnswer(part)) return []
          text += part.text
          return found.feed(part.text).map((json) => ({ _tag: "Json", json }))
        })
      ),
      Stream.filter(Arr.isArrayNonEmpty),
      Stream.flattenArray,
      Stream.mapEffect((part): Effect.Effect<ElementPart<S["Type"]>, LLMError, S["DecodingServices"]> => {
        if (part._tag === "Json") return element(part.json)
        return part._tag === "Finish" && !found.whole()
          ? Effect.fail(Read.failureOf(part.response, "the answer is not a JSON list"))
          : Effect.succeed(part)
      })
    )
  }))

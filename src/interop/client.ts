/**
 * Any `LanguageModel` of effect/ai as an `LLMClient`, so that its providers can be called, retried, limited and tested
 * like ours.
 */
import type * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as AiModel from "effect/ai/Model"
import type * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import * as AiTool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import type * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as JsonSchema from "effect/JsonSchema"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import * as SchemaRepresentation from "effect/SchemaRepresentation"
import * as Stream from "effect/Stream"
import * as Completion from "../Completion.ts"
import { type CompletionPart, fromResponse } from "../CompletionPart.ts"
import type { CompletionResponse } from "../CompletionResponse.ts"
import { LLMClient, type Service } from "../LLMClient.ts"
import { isLLMError, type LLMError } from "../LLMError.ts"
import * as Message from "../Message.ts"
import * as Check from "../middleware/options.ts"
import type * as Tool from "../Tool.ts"
import { type Attempt, judge, toError, toResponse } from "../transport/judge.ts"
import { failures as makeFailures, type Signal } from "../wire/failure.ts"
import { toPrompt } from "./conversation.ts"
import { fromAiError } from "./errors.ts"
import { makePieces, type Parts, toAnswer, withText } from "./foreign.ts"

/** The options of `layerClient`. */
export interface Options {
  /** The name in answers and errors; that of `Model.make` unless given, else "effect-ai". */
  readonly provider?: string | undefined
  /** The model's name in answers and errors; that of `Model.make` unless given. */
  readonly model?: string | undefined
  /**
   * Provides what a `LanguageModel` has no option for (model, limits, parameters), as the services that its package reads.
   * Without it, completions with any of these fields are refused as `Unsupported`.
   */
  readonly configure?: ((completion: Completion.Completion) => Context.Context<never>) | undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// The request
// ---------------------------------------------------------------------------------------------------------------------

const settings = [
  "model",
  "maxTokens",
  "temperature",
  "topP",
  "seed",
  "parallelToolCalls",
  "stopSequences",
  "reasoning",
  "additionalParams",
  "providerParams",
  "headers"
] as const satisfies ReadonlyArray<keyof Completion.Completion>

const toToolkit = (tools: ReadonlyArray<Tool.ToolDefinition>) =>
  Toolkit.make(...tools.map(({ description, name, parameters }) => AiTool.dynamic(name, { description, parameters })))

const toChoice = (choice: Tool.ToolChoice): LanguageModel.ToolChoice<string> => {
  switch (choice._tag) {
    case "Auto":
      return "auto"
    case "None":
      return "none"
    case "Required":
      return "required"
    case "Specific":
      return choice.names.length === 1 ? { tool: choice.names[0]! } : { mode: "required", oneOf: choice.names }
  }
}

interface Asked {
  readonly prompt: Prompt.Prompt
  readonly toolkit: Toolkit.Any
  readonly toolChoice?: LanguageModel.ToolChoice<string>
  readonly disableToolCallResolution: true
  readonly toolCallValidation: "deferred"
}

/** A `LanguageModel` without the types of its tools, which are not known here. */
interface Model {
  readonly generateText: (options: Asked) => Effect.Effect<{ readonly content: Parts }, AiError.AiError>
  readonly generateObject: (
    options: Asked & { readonly schema: Schema.Codec<Schema.JsonObject>; readonly objectName?: string }
  ) => Effect.Effect<{ readonly content: Parts; readonly value: Schema.JsonObject }, AiError.AiError>
  readonly streamText: (options: Asked) => Stream.Stream<Response.AnyPart, AiError.AiError>
}

const toOptions = (completion: Completion.Completion): Asked => {
  const { preamble, toolChoice, tools } = completion
  const messages = Completion.messages(completion)
  return {
    prompt: toPrompt(preamble === undefined ? messages : [Message.system(preamble), ...messages]),
    disableToolCallResolution: true,
    toolCallValidation: "deferred",
    toolkit: toToolkit(tools),
    ...(toolChoice !== undefined && { toolChoice: toChoice(toolChoice) })
  }
}

/** A Schema with this JSON Schema. Its values are JSON and are encoded unchanged. */
const toSchema = (schema: Schema.JsonObject) =>
  SchemaRepresentation.fromJsonSchemaDocument(JsonSchema.fromSchemaDraft2020_12(schema as JsonSchema.JsonSchema), {
    patterns: "ignore"
  }) as Schema.Codec<Schema.JsonObject>

// ---------------------------------------------------------------------------------------------------------------------
// The client
// ---------------------------------------------------------------------------------------------------------------------

// Failures keep the description of effect/ai. Answers that we judge as failures have no other text.
const failures = makeFailures()

/** The client of a `LanguageModel`. */
export const make = (languageModel: LanguageModel.LanguageModel, options: Options = {}): Service => {
  const { configure, model, provider = "effect-ai" } = options
  const calls = languageModel as unknown as Model

  const modelOf = (completion: Completion.Completion): string => completion.model ?? model ?? ""

  const attemptOf = (completion: Completion.Completion, partial?: CompletionResponse): Attempt => ({
    provider,
    model: modelOf(completion),
    redact: identity,
    partial
  })

  const fail = (signal: Signal, completion: Completion.Completion, partial?: CompletionResponse) =>
    Effect.flatMap(
      Clock.currentTimeMillis,
      (now) => Effect.fail(toError(failures, signal, attemptOf(completion, partial), now))
    )

  // The services for the fields that a LanguageModel has no option for, or a failure without `configure`.
  const settingsOf = (completion: Completion.Completion): Effect.Effect<Context.Context<never>, LLMError> => {
    if (configure !== undefined) return Effect.sync(() => configure(completion))
    const asked = settings.filter((name) =>
      completion[name] !== undefined && !(name === "model" && completion.model === model)
    )
    return asked.length === 0 ? Effect.succeed(Context.empty()) : fail({
      _tag: "Refused",
      reason: "Unsupported",
      description: `a LanguageModel of effect/ai has no option for ${asked.join(", ")}: give configure, or leave it out`
    }, completion)
  }

  const failed = (completion: Completion.Completion, error: AiError.AiError, partial?: CompletionResponse): LLMError =>
    fromAiError(error, { provider, model: modelOf(completion), partial })

  const judged = (completion: Completion.Completion, parts: Parts): Effect.Effect<CompletionResponse, LLMError> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const answer = toAnswer(parts)
      const response = toResponse(failures, answer, attemptOf(completion), now)
      const signal = judge(failures, answer, completion)
      return signal === undefined ? Effect.succeed(response) : fail(signal, completion, response)
    })

  const generate = (completion: Completion.Completion): Effect.Effect<Parts, AiError.AiError> => {
    const { outputSchema } = completion
    const asked = toOptions(completion)
    if (outputSchema === undefined) return Effect.map(calls.generateText(asked), ({ content }) => content)
    const title = outputSchema["title"]
    return Effect.map(
      calls.generateObject({
        ...asked,
        schema: toSchema(outputSchema),
        ...(typeof title === "string" && { objectName: title })
      }),
      ({ content, value }) => withText(content, JSON.stringify(value))
    )
  }

  const completion = (completion: Completion.Completion): Effect.Effect<CompletionResponse, LLMError> =>
    Effect.flatMap(settingsOf(completion), (context) =>
      generate(completion).pipe(
        Effect.mapError((error) => failed(completion, error)),
        Effect.flatMap((parts) => judged(completion, parts)),
        Effect.provideContext(context)
      ))

  const streamText = (
    completion: Completion.Completion,
    context: Context.Context<never>
  ): Stream.Stream<CompletionPart, LLMError> =>
    Stream.suspend(() => {
      const seen: Array<Response.AnyPart> = []
      const pieces = makePieces(provider, modelOf(completion))
      const partial = () => {
        const answer = toAnswer(seen)
        return answer.choice.length === 0 ? undefined : toResponse(failures, answer, attemptOf(completion), 0)
      }
      // The failure, emitted after the parts before it.
      let broken: LLMError | undefined
      let finished = false

      const end = (
        effect: Effect.Effect<CompletionResponse, LLMError>,
        out: Array<CompletionPart>
      ): Effect.Effect<ReadonlyArray<CompletionPart>> =>
        Effect.match(effect, {
          onSuccess: (response) => {
            pieces.finish(response, out)
            return out
          },
          onFailure: (error) => {
            broken = error
            return out
          }
        })

      const take = (parts: ReadonlyArray<Response.AnyPart>): Effect.Effect<ReadonlyArray<CompletionPart>> => {
        const out: Array<CompletionPart> = []
        for (const part of parts) {
          if (part.type === "error") {
            return end(fail({ _tag: "Failed", text: "", body: { error: part.error } }, completion, partial()), out)
          }
          seen.push(part)
          if (part.type === "finish") {
            finished = true
            return end(judged(completion, seen), out)
          }
          pieces.take(part, out)
        }
        return Effect.succeed(out)
      }

      return calls.streamText(toOptions(completion)).pipe(
        Stream.mapError((error: AiError.AiError | LLMError) =>
          isLLMError(error) ? error : failed(completion, error, partial())
        ),
        Stream.chunks,
        Stream.mapEffect(take),
        Stream.takeUntil(() => finished || broken !== undefined),
        Stream.filter((parts): parts is Arr.NonEmptyReadonlyArray<CompletionPart> => parts.length > 0),
        Stream.flattenArray,
        Stream.concat(Stream.suspend(() => {
          if (broken !== undefined) return Stream.fail(broken)
          return finished ? Stream.empty : Stream.fromEffect(fail({ _tag: "Truncated" }, completion, partial()))
        })),
        Stream.provideContext(context)
      )
    })

  // effect/ai does not stream objects: they arrive whole.
  const whole = (request: Completion.Completion): Stream.Stream<CompletionPart, LLMError> =>
    Stream.fromIterableEffect(Effect.map(completion(request), fromResponse))

  return {
    provider,
    ...(model !== undefined && { model }),
    completion,
    stream: (completion) =>
      completion.outputSchema === undefined
        ? Stream.unwrap(Effect.map(settingsOf(completion), (context) => streamText(completion, context)))
        : whole(completion)
  }
}

/**
 * The `LanguageModel` below as a client, for `Retry`, `Fallback`, `Budget` and all other middleware above it. It is
 * fresh: one value that is provided over two models in one graph makes a client of each.
 */
export const layerClient = (options: Options = {}): Layer.Layer<LLMClient, never, LanguageModel.LanguageModel> =>
  Layer.fresh(Layer.effect(
    LLMClient,
    Effect.gen(function*() {
      Check.known("EffectAi.layerClient", options, ["provider", "model", "configure"])
      Check.callable("EffectAi.layerClient", "configure", options.configure)
      const provider = Option.getOrUndefined(yield* Effect.serviceOption(AiModel.ProviderName))
      const model = Option.getOrUndefined(yield* Effect.serviceOption(AiModel.ModelName))
      return make(yield* LanguageModel.LanguageModel, {
        configure: options.configure,
        provider: options.provider ?? provider,
        model: options.model ?? model
      })
    })
  ))

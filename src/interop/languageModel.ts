/**
 * Any `LLMClient` as the `LanguageModel` of effect/ai, with its middleware: retry, fallback, limits, caches.
 */
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import { toCodecOpenAI } from "effect/ai/OpenAiStructuredOutput"
import type * as Response from "effect/ai/Response"
import * as Telemetry from "effect/ai/Telemetry"
import * as AiTool from "effect/ai/Tool"
import type * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { flow, identity } from "effect/Function"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Completion from "../Completion.ts"
import type { CompletionResponse } from "../CompletionResponse.ts"
import { LLMClient, type Service } from "../LLMClient.ts"
import type { LLMError } from "../LLMError.ts"
import type { ToolCall } from "../Message.ts"
import * as Tool from "../Tool.ts"
import { about, makeBlocks, toFinishReason } from "./answer.ts"
import { fromPrompt } from "./conversation.ts"
import { toAiError } from "./errors.ts"
import { fromAssistant } from "./turns.ts"

// ---------------------------------------------------------------------------------------------------------------------
// The request
// ---------------------------------------------------------------------------------------------------------------------

/** Changes the completion of a call before it is sent. */
export const CurrentCompletion = Context.Reference<(completion: Completion.Completion) => Completion.Completion>(
  "effect-llm/EffectAi/CurrentCompletion",
  { defaultValue: () => identity }
)

/**
 * Sets what effect/ai has no option for: the model, limits, provider parameters. Takes setters of `Completion`; if it is
 * nested, the innermost is applied first.
 */
export const withCompletion =
  (f: (completion: Completion.Completion) => Completion.Completion) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.updateService(self, CurrentCompletion, (outer) => flow(f, outer))

const aiError = (method: string, reason: AiError.AiErrorReason): AiError.AiError =>
  AiError.make({ module: "effect-llm", method, reason })

const toTool = (tool: AiTool.Any): Tool.ToolDefinition => ({
  name: tool.name,
  description: AiTool.getDescription(tool) ?? "",
  parameters: AiTool.isDynamic(tool) && tool.jsonSchema !== undefined
    ? tool.jsonSchema as Schema.JsonObject
    : Tool.toJsonSchema(tool.parametersSchema)
})

const choices = { auto: undefined, none: Tool.none, required: Tool.required } as const

const toChoice = (choice: LanguageModel.ToolChoice<string>): Tool.ToolChoice | undefined => {
  if (typeof choice !== "object") return choices[choice]
  if ("tool" in choice) return Tool.specific(choice.tool)
  // With `oneOf`, only those tools were sent.
  return choice.mode === "required" ? Tool.required : undefined
}

const toOutputSchema = (
  format: LanguageModel.ProviderOptions["responseFormat"],
  method: string
): Effect.Effect<Schema.JsonObject | undefined, AiError.AiError> =>
  format.type === "text" ? Effect.undefined : Effect.try({
    try: () => ({ title: format.objectName, ...toCodecOpenAI(format.schema).jsonSchema }) as Schema.JsonObject,
    catch: (error) =>
      aiError(
        method,
        new AiError.UnsupportedSchemaError({ description: error instanceof Error ? error.message : String(error) })
      )
  })

const toCompletion = Effect.fnUntraced(function*(options: LanguageModel.ProviderOptions, method: string) {
  const provided = options.tools.find(AiTool.isProviderDefined)
  if (provided !== undefined) {
    return yield* aiError(
      method,
      new AiError.ToolConfigurationError({
        toolName: provided.name,
        description: "a tool that a provider defines: give it with withCompletion(Completion.providerParams(...))"
      })
    )
  }
  const outputSchema = yield* toOutputSchema(options.responseFormat, method)
  const tools = options.tools.map(toTool)
  const transform = yield* CurrentCompletion
  return transform(Completion.make({
    messages: fromPrompt(options.prompt),
    tools,
    toolChoice: tools.length === 0 ? undefined : toChoice(options.toolChoice),
    outputSchema
  }))
})

// ---------------------------------------------------------------------------------------------------------------------
// The answer
// ---------------------------------------------------------------------------------------------------------------------

// In effect/ai a call of an unknown tool fails, unless the caller wants to see it.
const unknownTool = (
  calls: ReadonlyArray<ToolCall>,
  { toolCallValidation, tools }: LanguageModel.ProviderOptions,
  method: string
): AiError.AiError | undefined => {
  if (toolCallValidation === "deferred") return undefined
  const names = tools.map(({ name }) => name as string)
  const call = calls.find(({ name }) => !names.includes(name))
  return call && aiError(method, new AiError.ToolNotFoundError({ toolName: call.name, availableTools: names }))
}

// The attributes of effect/ai's own span.
const annotateRequest = ({ span }: LanguageModel.ProviderOptions, client: Service, completion: Completion.Completion) =>
  Telemetry.addGenAIAnnotations(span, {
    operation: { name: "chat" },
    provider: { name: client.provider },
    request: {
      model: completion.model ?? client.model,
      maxTokens: completion.maxTokens,
      temperature: completion.temperature,
      topP: completion.topP,
      stopSequences: completion.stopSequences
    }
  })

const annotateResponse = ({ span }: LanguageModel.ProviderOptions, response: CompletionResponse) =>
  Telemetry.addGenAIAnnotations(span, {
    provider: { name: response.provider },
    response: { id: response.id, model: response.model, finishReasons: [toFinishReason(response.finishReason)] },
    usage: { inputTokens: response.usage.inputTokens, outputTokens: response.usage.outputTokens }
  })

const failWith = (method: string) => (error: LLMError): Effect.Effect<never, AiError.AiError> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.fail(toAiError(error, method, now)))

// ---------------------------------------------------------------------------------------------------------------------
// The model
// ---------------------------------------------------------------------------------------------------------------------

const generate = (client: Service) =>
  Effect.fnUntraced(function*(options: LanguageModel.ProviderOptions) {
    const method = "generateText"
    const completion = yield* toCompletion(options, method)
    annotateRequest(options, client, completion)
    const response = yield* Effect.catch(client.completion(completion), failWith(method))
    annotateResponse(options, response)
    const unknown = unknownTool(response.toolCalls, options, method)
    if (unknown !== undefined) return yield* unknown
    return [...fromAssistant(response.message), ...about(response)]
  })

const stream = (client: Service) => (options: LanguageModel.ProviderOptions) => {
  const method = "streamText"
  return Stream.unwrap(Effect.map(toCompletion(options, method), (completion) => {
    annotateRequest(options, client, completion)
    const blocks = makeBlocks()
    return client.stream(completion).pipe(
      Stream.catch((error) => Stream.fromEffect(failWith(method)(error))),
      Stream.chunks,
      Stream.mapEffect((parts) => {
        const out: Array<Response.StreamPartEncoded> = []
        for (const part of parts) {
          if (part._tag === "Finish") annotateResponse(options, part.response)
          const call = part._tag === "ContentEnd" && part.content._tag === "ToolCall" ? [part.content] : []
          const unknown = unknownTool(call, options, method)
          if (unknown !== undefined) return Effect.fail(unknown)
          blocks(part, out)
        }
        return Effect.succeed(out)
      }),
      Stream.filter((parts): parts is Arr.NonEmptyArray<Response.StreamPartEncoded> => parts.length > 0),
      Stream.flattenArray
    )
  }))
}

/** The `LanguageModel` of a client. */
export const make = (client: Service): Effect.Effect<LanguageModel.LanguageModel> =>
  LanguageModel.make({
    codecTransformer: toCodecOpenAI,
    generateText: generate(client),
    streamText: stream(client)
  })

/**
 * The client below as a `LanguageModel`: `generateText`, `streamText`, `generateObject`, `Chat` and `Toolkit` work with
 * it. It is fresh: one value that is provided over two clients in one graph makes a model of each.
 */
export const layerLanguageModel: Layer.Layer<LanguageModel.LanguageModel, never, LLMClient> = Layer.fresh(
  Layer.effect(LanguageModel.LanguageModel, Effect.flatMap(LLMClient, make))
)

/**
 * One call of an `effect/ai` tool: the definition that is sent, the run, and the result that is returned to the model.
 */
import * as AiError from "effect/ai/AiError"
import type * as Prompt from "effect/ai/Prompt"
import * as AiTool from "effect/ai/Tool"
import type * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type * as Tracer from "effect/Tracer"
import * as Message from "../Message.ts"
import * as Tool from "../Tool.ts"

export type Tools = Record<string, AiTool.Any>

/** The failures of a call of these tools. */
export type Failure<T extends Tools> = AiTool.HandlerError<T[keyof T]> | AiError.AiError

export type Services<T extends Tools> = AiTool.HandlerServices<T[keyof T]>

// ---------------------------------------------------------------------------------------------------------------------
// Definition
// ---------------------------------------------------------------------------------------------------------------------

/** The definition of an `effect/ai` tool. */
export const definition = (tool: AiTool.Any): Tool.ToolDefinition => ({
  name: tool.name,
  description: AiTool.getDescription(tool) ?? "",
  parameters: AiTool.isDynamic(tool) && tool.jsonSchema !== undefined
    ? tool.jsonSchema as Schema.JsonObject
    : Tool.toJsonSchema(tool.parametersSchema)
})

/** Only tools that the provider does not define itself. */
export const isForeign = (tool: AiTool.Any): boolean => AiTool.isProviderDefined(tool)

// ---------------------------------------------------------------------------------------------------------------------
// Arguments
// ---------------------------------------------------------------------------------------------------------------------

// A toolkit takes arguments in the encoded form of their Schema, which for dates and similar types is not JSON. Arguments
// that do not match are refused by the toolkit.
const encodedArguments = (tool: AiTool.Any, call: Message.ToolCall): Effect.Effect<unknown> =>
  Effect.orElseSucceed(
    Schema.decodeEffect(Schema.toCodecJson(Schema.toEncoded(tool.parametersSchema)))(call.arguments),
    () => call.arguments
  )

/** Whether a call needs approval. One whose arguments do not match is never run. */
export const needsApproval = (tool: AiTool.Any, call: Message.ToolCall): Effect.Effect<boolean> => {
  const { needsApproval = false, parametersSchema } = tool
  if (typeof needsApproval !== "function") return Effect.succeed(needsApproval)
  return Effect.flatMap(encodedArguments(tool, call), Schema.decodeUnknownEffect(parametersSchema)).pipe(
    Effect.flatMap((args) => {
      const answer = needsApproval(args, { toolCallId: call.id, messages: [] })
      return Effect.isEffect(answer) ? answer : Effect.succeed(answer)
    }),
    Effect.orElseSucceed(() => false)
  ) as Effect.Effect<boolean>
}

// ---------------------------------------------------------------------------------------------------------------------
// Results
// ---------------------------------------------------------------------------------------------------------------------

type Content = ReadonlyArray<Message.ToolResultContent>

const mediaOf = ({ data, fileName, mediaType }: Prompt.FilePart): Message.ToolResultContent => {
  const source = data instanceof URL
    ? Message.url(data.href, mediaType)
    : Message.base64(typeof data === "string" ? data : Base64.encode(data), mediaType)
  return mediaType.startsWith("image/")
    ? Message.image(source)
    : Message.document(source, { title: fileName })
}

const isJson = Schema.is(Schema.Json)

const jsonOf = (schema: Schema.Constraint, encoded: unknown): Content => {
  if (encoded === undefined) return []
  if (typeof encoded === "string") return [Message.text(encoded)]
  if (isJson(encoded)) return [Message.json(encoded)]
  const json = Schema.encodeUnknownOption(Schema.toCodecJson(Schema.toEncoded(schema)) as Schema.Codec<unknown>)(
    encoded
  )
  return [Option.match(json, {
    onNone: () => Message.text(String(encoded)),
    onSome: (value) => typeof value === "string" ? Message.text(value) : Message.json(value as Schema.Json)
  })]
}

const contentOf = (tool: AiTool.Any, given: AiTool.HandlerResult<AiTool.Any>): Content => {
  const { encodedResult, isFailure, modelOutput, result } = given
  if (modelOutput !== undefined) {
    return modelOutput.map((part) => part.type === "text" ? Message.text(part.text) : mediaOf(part))
  }
  // The other fields of a library error do not help the model.
  if (AiError.isAiError(result)) return [Message.text(result.reason.message)]
  return jsonOf(isFailure ? tool.failureSchema : tool.successSchema, encodedResult)
}

// The model can correct its own mistakes, whatever the tool's failure mode is.
const isModels = (error: unknown): boolean =>
  AiError.isAiError(error) && error.reason._tag === "ToolParameterValidationError"

// ---------------------------------------------------------------------------------------------------------------------
// Spans
// ---------------------------------------------------------------------------------------------------------------------

// A toolkit writes the arguments of a call into the current span, which should not contain message content.
const withoutArguments = (span: Tracer.Span): Tracer.Span =>
  new Proxy(span, {
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property, target)
      if (typeof value !== "function") return value
      return property === "attribute"
        ? (name: string, value: unknown) =>
          name === "tool" || name === "parameters" ? undefined : target.attribute(name, value)
        : value.bind(target)
    }
  })

const traced = <E, R>(
  { id, name }: Message.ToolCall,
  effect: Effect.Effect<Message.ToolResult, E, R>
): Effect.Effect<Message.ToolResult, E, R> =>
  Effect.useSpan(`execute_tool ${name}`, {
    attributes: { "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name, "gen_ai.tool.call.id": id }
  }, (span) =>
    Effect.tap(
      Effect.withParentSpan(effect, withoutArguments(span)),
      ({ isError }) => Effect.sync(() => isError === true && span.attribute("error.type", "tool_error"))
    ))

// ---------------------------------------------------------------------------------------------------------------------
// The call
// ---------------------------------------------------------------------------------------------------------------------

const wordsOf = (error: unknown): unknown => AiError.isAiError(error) ? error.reason.message : error

const handle = (
  toolkit: Toolkit.WithHandler<Tools>,
  call: Message.ToolCall,
  failures: "tool" | "return",
  progress: (content: Content) => Effect.Effect<void>
): Effect.Effect<Message.ToolResult, unknown, unknown> => {
  const { id, name } = call
  const tool = Object.hasOwn(toolkit.tools, name) ? toolkit.tools[name] : undefined
  if (tool === undefined) return Effect.succeed(Tool.missing(call, Object.keys(toolkit.tools)))
  const run: Effect.Effect<Message.ToolResult, unknown, unknown> = Effect.flatMap(
    encodedArguments(tool, call),
    (args) => toolkit.handle(name, args as never, id)
  ).pipe(
    Stream.unwrap,
    Stream.tap((given) => given.preliminary ? progress(contentOf(tool, given)) : Effect.void),
    Stream.runLast,
    Effect.map(Option.match({
      onNone: () => Tool.failed(call, "The tool returned no result."),
      onSome: (given) => Message.toolResult({ id, name, content: contentOf(tool, given), isError: given.isFailure })
    }))
  )
  return traced(
    call,
    Effect.catchIf(
      run,
      (error): error is unknown => failures === "return" || isModels(error),
      (error) => Effect.succeed(Tool.failed(call, wordsOf(error)))
    )
  )
}

/**
 * Runs a call. An unknown tool and arguments that do not match give a failed result. So does a failure of the tool, with
 * `failures: "return"` or if its `failureMode` says so.
 */
export const runCall = <T extends Tools>(
  toolkit: Toolkit.WithHandler<T>,
  ...rest: Parameters<typeof handle> extends [infer _, ...infer Rest] ? Rest : never
): Effect.Effect<Message.ToolResult, Failure<T>, Services<T>> =>
  handle(toolkit as never, ...rest) as Effect.Effect<Message.ToolResult, Failure<T>, Services<T>>

/**
 * One call of a tool of `effect/ai`: its definition as it is sent, its run, and its result as it goes back.
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

/** What a call of these tools may fail with. */
export type Failure<T extends Tools> = AiTool.HandlerError<T[keyof T]> | AiError.AiError

export type Services<T extends Tools> = AiTool.HandlerServices<T[keyof T]>

// ---------------------------------------------------------------------------------------------------------------------
// What is sent
// ---------------------------------------------------------------------------------------------------------------------

/** The definition of a tool of `effect/ai`. */
export const definition = (tool: AiTool.Any): Tool.ToolDefinition => ({
  name: tool.name,
  description: AiTool.getDescription(tool) ?? "",
  parameters: AiTool.isDynamic(tool) && tool.jsonSchema !== undefined
    ? tool.jsonSchema as Schema.JsonObject
    : Tool.toJsonSchema(tool.parametersSchema)
})

/** A tool that is the provider's own has no definition here. */
export const isForeign = (tool: AiTool.Any): boolean => AiTool.isProviderDefined(tool)

// ---------------------------------------------------------------------------------------------------------------------
// Arguments
// ---------------------------------------------------------------------------------------------------------------------

// A toolkit takes arguments as their Schema encodes them, which is not JSON where it has dates or the like. What does
// not match is left to the toolkit to refuse.
const encodedArguments = (tool: AiTool.Any, call: Message.ToolCall): Effect.Effect<unknown> =>
  Effect.orElseSucceed(
    Schema.decodeEffect(Schema.toCodecJson(Schema.toEncoded(tool.parametersSchema)))(call.arguments),
    () => call.arguments
  )

/** Whether a call may not run unless somebody allows it; one whose arguments do not match does not run anyway. */
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
  // What an error of the library holds besides is of no use to the model.
  if (AiError.isAiError(result)) return [Message.text(result.reason.message)]
  return jsonOf(isFailure ? tool.failureSchema : tool.successSchema, encodedResult)
}

// What the model did wrong it can do better, whatever the tool says about failures.
const isModels = (error: unknown): boolean =>
  AiError.isAiError(error) && error.reason._tag === "ToolParameterValidationError"

// ---------------------------------------------------------------------------------------------------------------------
// Spans
// ---------------------------------------------------------------------------------------------------------------------

// A toolkit writes the arguments of a call into the current span; what is said has no place there.
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
      onNone: () => Tool.failed(call, "The tool gave no result."),
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
 * Runs a call. An unknown tool and arguments that do not match give a failed result; what the tool fails with does so
 * with `failures: "return"`, and else as its `failureMode` says.
 */
export const runCall = <T extends Tools>(
  toolkit: Toolkit.WithHandler<T>,
  ...rest: Parameters<typeof handle> extends [infer _, ...infer Rest] ? Rest : never
): Effect.Effect<Message.ToolResult, Failure<T>, Services<T>> =>
  handle(toolkit as never, ...rest) as Effect.Effect<Message.ToolResult, Failure<T>, Services<T>>

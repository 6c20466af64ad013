/**
 * The shape of a Chat Completions request with all fields of the API. OpenRouter and compatible servers accept more
 * types of content parts.
 */
import type * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Shape from "../shape.ts"

const nullable = <S extends Schema.Constraint>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))
const anyObject = Schema.Record(Schema.String, Schema.Unknown)
const breakpoint = { prompt_cache_breakpoint: Schema.optionalKey(Schema.Unknown) }

const TextPart = Schema.Struct({ type: Schema.Literal("text"), text: Schema.String, ...breakpoint })
const RefusalPart = Schema.Struct({ type: Schema.Literal("refusal"), refusal: Schema.String })

const userParts = [
  TextPart,
  Schema.Struct({
    type: Schema.Literal("image_url"),
    image_url: Schema.Struct({
      url: Schema.String,
      detail: Schema.optionalKey(Schema.Literals(["auto", "low", "high", "original"]))
    }),
    ...breakpoint
  }),
  Schema.Struct({
    type: Schema.Literal("input_audio"),
    input_audio: Schema.Struct({ data: Schema.String, format: Schema.Literals(["wav", "mp3"]) }),
    ...breakpoint
  }),
  Schema.Struct({
    type: Schema.Literal("file"),
    file: Schema.Struct({
      file_data: Schema.optionalKey(Schema.String),
      file_id: Schema.optionalKey(Schema.String),
      filename: Schema.optionalKey(Schema.String)
    }),
    ...breakpoint
  })
] as const

/** Content parts of OpenRouter and compatible servers. */
const otherPart = Schema.StructWithRest(
  Schema.Struct({ type: Schema.String.check(Schema.isPattern(/^(?!(text|image_url|file)$)/)) }),
  [anyObject]
)

const UserPart = Schema.Union(userParts)
const AnyPart = Schema.Union([...userParts, otherPart])

const ToolCall = Schema.Union([
  Schema.Struct({
    id: Schema.String,
    type: Schema.Literal("function"),
    function: Schema.Struct({ name: Schema.String, arguments: Schema.String })
  }),
  Schema.Struct({
    id: Schema.String,
    type: Schema.Literal("custom"),
    custom: Schema.Struct({ name: Schema.String, input: Schema.String })
  })
])

const name = { name: Schema.optionalKey(Schema.String) }
const texts = Schema.Union([Schema.String, Schema.Array(TextPart)])

const messageShape = <Part extends typeof UserPart | typeof AnyPart>(part: Part) =>
  Schema.Union([
    Schema.Struct({ role: Schema.Literal("system"), content: texts, ...name }),
    Schema.Struct({ role: Schema.Literal("developer"), content: texts, ...name }),
    Schema.Struct({
      role: Schema.Literal("user"),
      content: Schema.Union([Schema.String, Schema.Array(part as typeof AnyPart)]),
      ...name
    }),
    Schema.Struct({
      role: Schema.Literal("assistant"),
      content: nullable(Schema.Union([Schema.String, Schema.Array(Schema.Union([TextPart, RefusalPart]))])),
      refusal: nullable(Schema.String),
      annotations: Schema.optionalKey(Schema.Unknown),
      audio: nullable(Schema.Unknown),
      function_call: nullable(Schema.Unknown),
      tool_calls: Schema.optionalKey(Schema.Array(ToolCall)),
      ...name
    }),
    Schema.Struct({ role: Schema.Literal("tool"), content: texts, tool_call_id: Schema.String }),
    Schema.Struct({ role: Schema.Literal("function"), content: Schema.NullOr(Schema.String), name: Schema.String })
  ])

const Tool = Schema.Union([
  Schema.Struct({
    type: Schema.Literal("function"),
    function: Schema.Struct({
      name: Schema.String,
      description: Schema.optionalKey(Schema.String),
      parameters: Schema.optionalKey(anyObject),
      strict: nullable(Schema.Boolean)
    })
  }),
  Schema.Struct({ type: Schema.Literal("custom"), custom: anyObject })
])

const ToolChoice = Schema.Union([
  Schema.Literals(["none", "auto", "required"]),
  Schema.Struct({ type: Schema.Literal("function"), function: Schema.Struct({ name: Schema.String }) }),
  Schema.Struct({ type: Schema.Literal("custom"), custom: anyObject }),
  Schema.Struct({
    type: Schema.Literal("allowed_tools"),
    allowed_tools: Schema.Struct({ mode: Schema.Literals(["auto", "required"]), tools: Schema.Array(anyObject) })
  })
])

const ResponseFormat = Schema.Union([
  Schema.Struct({ type: Schema.Literal("text") }),
  Schema.Struct({ type: Schema.Literal("json_object") }),
  Schema.Struct({
    type: Schema.Literal("json_schema"),
    json_schema: Schema.Struct({
      name: Schema.String,
      description: Schema.optionalKey(Schema.String),
      schema: Schema.optionalKey(anyObject),
      strict: nullable(Schema.Boolean)
    })
  })
])

const passed = Schema.optionalKey(Schema.Unknown)

const bodyShape = <Part extends typeof UserPart | typeof AnyPart>(part: Part) =>
  Schema.Struct({
    model: Schema.String,
    messages: Schema.Array(messageShape(part)),
    tools: Schema.optionalKey(Schema.Array(Tool)),
    tool_choice: Schema.optionalKey(ToolChoice),
    parallel_tool_calls: Schema.optionalKey(Schema.Boolean),
    max_tokens: nullable(Schema.Finite),
    max_completion_tokens: nullable(Schema.Finite),
    temperature: nullable(Schema.Finite),
    top_p: nullable(Schema.Finite),
    frequency_penalty: nullable(Schema.Finite),
    presence_penalty: nullable(Schema.Finite),
    n: nullable(Schema.Finite),
    seed: nullable(Schema.Finite),
    stop: nullable(Schema.Union([Schema.String, Schema.Array(Schema.String)])),
    stream: nullable(Schema.Boolean),
    stream_options: nullable(Schema.Struct({
      include_usage: Schema.optionalKey(Schema.Boolean),
      include_obfuscation: Schema.optionalKey(Schema.Boolean)
    })),
    response_format: Schema.optionalKey(ResponseFormat),
    logprobs: nullable(Schema.Boolean),
    top_logprobs: nullable(Schema.Finite),
    logit_bias: nullable(anyObject),
    metadata: nullable(anyObject),
    modalities: nullable(Schema.Array(Schema.String)),
    reasoning_effort: nullable(Schema.Literals(["none", "minimal", "low", "medium", "high", "xhigh"])),
    store: nullable(Schema.Boolean),
    service_tier: nullable(Schema.String),
    user: Schema.optionalKey(Schema.String),
    verbosity: nullable(Schema.Literals(["low", "medium", "high"])),
    audio: passed,
    function_call: passed,
    functions: passed,
    moderation: passed,
    prediction: passed,
    prompt_cache_key: passed,
    prompt_cache_options: passed,
    prompt_cache_retention: passed,
    safety_identifier: passed,
    web_search_options: passed
  })

const strictBody = bodyShape(UserPart)
const openBody = bodyShape(AnyPart)
export type Body = typeof openBody.Type

const decodeStrict = Shape.decoder(strictBody)
const decodeOpen = Shape.decoder(openBody)

/** The body, if its shape is valid. */
export const decode = (body: unknown, unknownFields: "reject" | "ignore"): Result.Result<Body, Shape.Flaw> =>
  unknownFields === "reject" ? decodeStrict(body, unknownFields) : decodeOpen(body, unknownFields)

/** The shape of a Responses request with all fields of the API. */
import type * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { isObject, type JsonObject } from "../json.ts"
import * as Shape from "../shape.ts"

const nullable = <S extends Schema.Constraint>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))
const anyObject = Schema.Record(Schema.String, Schema.Unknown)
const text = nullable(Schema.String)
const passed = Schema.optionalKey(Schema.Unknown)
const breakpoint = { prompt_cache_breakpoint: passed }
const status = { id: text, status: nullable(Schema.Literals(["in_progress", "completed", "incomplete"])) }

const InputText = Schema.Struct({ type: Schema.Literal("input_text"), text: Schema.String, ...breakpoint })

const shown = [
  InputText,
  Schema.Struct({
    type: Schema.Literal("input_image"),
    image_url: text,
    file_id: text,
    detail: nullable(Schema.Literals(["auto", "low", "high", "original"])),
    ...breakpoint
  }),
  Schema.Struct({
    type: Schema.Literal("input_file"),
    file_data: text,
    file_id: text,
    file_url: text,
    filename: text,
    detail: text,
    ...breakpoint
  })
] as const

const InputPart = Schema.Union([
  ...shown,
  Schema.Struct({
    type: Schema.Literal("input_audio"),
    input_audio: Schema.Struct({ data: Schema.String, format: Schema.Literals(["wav", "mp3"]) })
  })
])

const OutputPart = Schema.Union([
  Schema.Struct({
    type: Schema.Literal("output_text"),
    text: Schema.String,
    annotations: passed,
    logprobs: passed
  }),
  Schema.Struct({ type: Schema.Literal("refusal"), refusal: Schema.String })
])

const InputMessage = Schema.Struct({
  type: Schema.Literal("message"),
  role: Schema.Literals(["user", "system", "developer"]),
  content: Schema.Union([Schema.String, Schema.Array(InputPart)]),
  ...status
})

const AssistantMessage = Schema.Struct({
  type: Schema.Literal("message"),
  role: Schema.Literal("assistant"),
  content: Schema.Union([Schema.String, Schema.Array(Schema.Union([OutputPart, InputText]))]),
  phase: nullable(Schema.Literals(["commentary", "final_answer"])),
  ...status
})

const FunctionCall = Schema.Struct({
  type: Schema.Literal("function_call"),
  call_id: Schema.String,
  name: Schema.String,
  arguments: Schema.String,
  namespace: text,
  async: nullable(Schema.Boolean),
  caller: passed,
  ...status
})

const FunctionCallOutput = Schema.Struct({
  type: Schema.Literal("function_call_output"),
  call_id: Schema.String,
  output: Schema.Union([Schema.String, Schema.Array(Schema.Union(shown))]),
  caller: passed,
  ...status
})

const Reasoning = Schema.Struct({
  type: Schema.Literal("reasoning"),
  summary: Schema.Array(Schema.Struct({ type: Schema.Literal("summary_text"), text: Schema.String })),
  content: passed,
  encrypted_content: text,
  ...status
})

/** Items of server tools, whose contents are not checked. */
const others = [
  "apply_patch_call",
  "apply_patch_call_output",
  "additional_tools",
  "code_interpreter_call",
  "compaction",
  "compaction_trigger",
  "computer_call",
  "computer_call_output",
  "configuration_update",
  "custom_tool_call",
  "custom_tool_call_output",
  "file_search_call",
  "image_generation_call",
  "item_reference",
  "local_shell_call",
  "local_shell_call_output",
  "mcp_approval_request",
  "mcp_approval_response",
  "mcp_call",
  "mcp_list_tools",
  "program",
  "program_output",
  "shell_call",
  "shell_call_output",
  "tool_search_call",
  "tool_search_output",
  "web_search_call"
].map((type) => Schema.StructWithRest(Schema.Struct({ type: Schema.Literal(type) }), [anyObject]))

const Item = Schema.Union([
  InputMessage,
  AssistantMessage,
  FunctionCall,
  FunctionCallOutput,
  Reasoning,
  ...others
])

const FunctionTool = Schema.Struct({
  type: Schema.Literal("function"),
  name: Schema.String,
  description: text,
  parameters: nullable(anyObject),
  strict: nullable(Schema.Boolean),
  defer_loading: passed,
  allowed_callers: passed,
  output_schema: passed
})

const OtherTool = Schema.StructWithRest(
  Schema.Struct({ type: Schema.String.check(Schema.isPattern(/^(?!function$)/)) }),
  [anyObject]
)

const ToolChoice = Schema.Union([
  Schema.Literals(["none", "auto", "required"]),
  Schema.Struct({ type: Schema.Literal("function"), name: Schema.String }),
  Schema.Struct({
    type: Schema.Literal("allowed_tools"),
    mode: Schema.Literals(["auto", "required"]),
    tools: Schema.Array(anyObject)
  }),
  Schema.StructWithRest(
    Schema.Struct({ type: Schema.String.check(Schema.isPattern(/^(?!(function|allowed_tools)$)/)) }),
    [anyObject]
  )
])

const Format = Schema.Union([
  Schema.Struct({ type: Schema.Literal("text") }),
  Schema.Struct({ type: Schema.Literal("json_object") }),
  Schema.Struct({
    type: Schema.Literal("json_schema"),
    name: Schema.String,
    schema: anyObject,
    description: text,
    strict: nullable(Schema.Boolean)
  })
])

export const Body = Schema.Struct({
  model: Schema.String,
  input: Schema.Union([Schema.String, Schema.Array(Item)]),
  instructions: text,
  max_output_tokens: nullable(Schema.Finite),
  max_tool_calls: nullable(Schema.Finite),
  temperature: nullable(Schema.Finite),
  top_p: nullable(Schema.Finite),
  top_logprobs: nullable(Schema.Finite),
  tools: Schema.optionalKey(Schema.Array(Schema.Union([FunctionTool, OtherTool]))),
  tool_choice: Schema.optionalKey(ToolChoice),
  parallel_tool_calls: nullable(Schema.Boolean),
  reasoning: nullable(Schema.Struct({
    effort: nullable(Schema.Literals(["none", "minimal", "low", "medium", "high", "xhigh", "max"])),
    summary: nullable(Schema.Literals(["auto", "concise", "detailed"])),
    generate_summary: passed,
    context: nullable(Schema.Literals(["auto", "current_turn", "all_turns"])),
    mode: nullable(Schema.Literals(["standard", "pro"]))
  })),
  text: nullable(Schema.Struct({
    format: nullable(Format),
    verbosity: nullable(Schema.Literals(["low", "medium", "high"]))
  })),
  stream: nullable(Schema.Boolean),
  stream_options: nullable(Schema.Struct({ include_obfuscation: Schema.optionalKey(Schema.Boolean) })),
  store: nullable(Schema.Boolean),
  include: nullable(Schema.Array(Schema.String)),
  truncation: nullable(Schema.Literals(["auto", "disabled"])),
  background: nullable(Schema.Boolean),
  conversation: passed,
  previous_response_id: text,
  access_programs: passed,
  context_management: passed,
  image: passed,
  metadata: passed,
  moderation: passed,
  prompt: passed,
  prompt_cache_key: text,
  prompt_cache_options: passed,
  prompt_cache_retention: text,
  safety_identifier: text,
  service_tier: text,
  user: text
})
export type Body = typeof Body.Type
export type Item = typeof Item.Type

const read = Shape.decoder(Body)

/** Adds the missing type of items: without one, an item is a message. */
const typed = (body: JsonObject): JsonObject =>
  Array.isArray(body.input)
    ? {
      ...body,
      input: body.input.map((item: unknown) =>
        isObject(item) && item.type === undefined ? { type: "message", ...item } : item
      )
    }
    : body

/** The body, if its shape is valid. */
export const decode = (body: JsonObject, unknownFields: "reject" | "ignore"): Result.Result<Body, Shape.Flaw> =>
  read(typed(body), unknownFields)

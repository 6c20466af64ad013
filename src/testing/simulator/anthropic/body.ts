/** The shape of a Messages request with all fields of the API. */
import * as Schema from "effect/Schema"

const nullable = <S extends Schema.Constraint>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))
const anyObject = Schema.Record(Schema.String, Schema.Unknown)

const CacheControl = nullable(Schema.Struct({
  type: Schema.Literal("ephemeral"),
  ttl: nullable(Schema.Literals(["5m", "1h"]))
}))

const Source = Schema.Union([
  Schema.Struct({ type: Schema.Literal("base64"), media_type: Schema.String, data: Schema.String }),
  Schema.Struct({ type: Schema.Literal("url"), url: Schema.String }),
  Schema.Struct({ type: Schema.Literal("file"), file_id: Schema.String })
])

const DocumentSource = Schema.Union([
  ...Source.members,
  Schema.Struct({ type: Schema.Literal("text"), media_type: Schema.Literal("text/plain"), data: Schema.String }),
  Schema.Struct({ type: Schema.Literal("content"), content: Schema.Unknown })
])

const Text = Schema.Struct({
  type: Schema.Literal("text"),
  text: Schema.String,
  cache_control: CacheControl,
  citations: nullable(Schema.Array(Schema.Unknown))
})

const Image = Schema.Struct({
  type: Schema.Literal("image"),
  source: Source,
  cache_control: CacheControl,
  transformations: Schema.optionalKey(Schema.Unknown)
})

const Document = Schema.Struct({
  type: Schema.Literal("document"),
  source: DocumentSource,
  cache_control: CacheControl,
  title: nullable(Schema.String),
  context: nullable(Schema.String),
  citations: nullable(Schema.Struct({ enabled: Schema.optionalKey(Schema.Boolean) }))
})

/** Blocks of server tools, whose contents are not checked. */
const passed = <const Type extends string>(types: ReadonlyArray<Type>) =>
  types.map((type) => Schema.StructWithRest(Schema.Struct({ type: Schema.Literal(type) }), [anyObject]))

const ToolUse = Schema.Struct({
  type: Schema.Literal("tool_use"),
  id: Schema.String,
  name: Schema.String,
  input: anyObject,
  cache_control: CacheControl,
  caller: Schema.optionalKey(Schema.Unknown),
  toolset_name: nullable(Schema.String)
})

const ToolResult = Schema.Struct({
  type: Schema.Literal("tool_result"),
  tool_use_id: Schema.String,
  content: Schema.optionalKey(
    Schema.Union([
      Schema.String,
      Schema.Array(Schema.Union([Text, Image, Document, ...passed(["search_result", "tool_reference"])]))
    ])
  ),
  is_error: Schema.optionalKey(Schema.Boolean),
  cache_control: CacheControl,
  toolset_name: nullable(Schema.String)
})

const Block = Schema.Union([
  Text,
  Image,
  Document,
  ToolUse,
  ToolResult,
  Schema.Struct({ type: Schema.Literal("thinking"), thinking: Schema.String, signature: Schema.String }),
  Schema.Struct({ type: Schema.Literal("redacted_thinking"), data: Schema.String }),
  ...passed([
    "search_result",
    "server_tool_use",
    "web_search_tool_result",
    "web_fetch_tool_result",
    "code_execution_tool_result",
    "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result",
    "tool_search_tool_result",
    "mcp_tool_use",
    "mcp_tool_result",
    "container_upload",
    "compaction",
    "fallback"
  ])
])

const Message = Schema.Struct({
  role: Schema.Literals(["user", "assistant", "system"]),
  content: Schema.Union([Schema.String, Schema.Array(Block)])
})

const CustomTool = Schema.Struct({
  type: nullable(Schema.Literal("custom")),
  name: Schema.String,
  description: Schema.optionalKey(Schema.String),
  input_schema: anyObject,
  cache_control: CacheControl,
  strict: Schema.optionalKey(Schema.Boolean),
  defer_loading: Schema.optionalKey(Schema.Boolean),
  allowed_callers: Schema.optionalKey(Schema.Array(Schema.String)),
  eager_input_streaming: nullable(Schema.Boolean),
  input_examples: Schema.optionalKey(Schema.Array(anyObject))
})

const ServerTool = Schema.StructWithRest(
  Schema.Struct({ type: Schema.String.check(Schema.isPattern(/^(?!custom$)/)) }),
  [anyObject]
)

const parallelSwitch = { disable_parallel_tool_use: Schema.optionalKey(Schema.Boolean) }

const ToolChoice = Schema.Union([
  Schema.Struct({ type: Schema.Literal("auto"), ...parallelSwitch }),
  Schema.Struct({ type: Schema.Literal("any"), ...parallelSwitch }),
  Schema.Struct({ type: Schema.Literal("tool"), name: Schema.String, ...parallelSwitch }),
  Schema.Struct({ type: Schema.Literal("none") })
])

const Thinking = Schema.Union([
  Schema.Struct({
    type: Schema.Literal("enabled"),
    budget_tokens: Schema.Finite,
    display: nullable(Schema.String)
  }),
  Schema.Struct({
    type: Schema.Literal("adaptive"),
    display: nullable(Schema.String),
    block_binding: Schema.optionalKey(Schema.Unknown)
  }),
  Schema.Struct({ type: Schema.Literal("between_tools"), display: nullable(Schema.String) }),
  Schema.Struct({ type: Schema.Literal("disabled") })
])

export const Body = Schema.Struct({
  model: Schema.String,
  max_tokens: Schema.Finite,
  messages: Schema.Array(Message),
  system: Schema.optionalKey(Schema.Union([Schema.String, Schema.Array(Text)])),
  temperature: Schema.optionalKey(Schema.Finite),
  top_p: Schema.optionalKey(Schema.Finite),
  top_k: Schema.optionalKey(Schema.Finite),
  stop_sequences: Schema.optionalKey(Schema.Array(Schema.String)),
  stream: Schema.optionalKey(Schema.Boolean),
  tools: Schema.optionalKey(Schema.Array(Schema.Union([CustomTool, ServerTool]))),
  tool_choice: Schema.optionalKey(ToolChoice),
  thinking: Schema.optionalKey(Thinking),
  cache_control: CacheControl,
  metadata: Schema.optionalKey(Schema.Struct({ user_id: nullable(Schema.String) })),
  output_config: Schema.optionalKey(Schema.Struct({
    effort: nullable(Schema.Literals(["low", "medium", "high", "xhigh", "max"])),
    format: nullable(Schema.Struct({ type: Schema.Literal("json_schema"), schema: anyObject })),
    task_budget: Schema.optionalKey(Schema.Unknown)
  })),
  service_tier: Schema.optionalKey(Schema.Literals(["auto", "standard_only"])),
  container: nullable(Schema.Unknown),
  context_management: nullable(Schema.Unknown),
  diagnostics: nullable(Schema.Unknown),
  inference_geo: nullable(Schema.String),
  fallbacks: nullable(Schema.Unknown),
  compaction: nullable(Schema.Unknown),
  thread: nullable(Schema.Unknown),
  mcp_servers: Schema.optionalKey(Schema.Array(Schema.Unknown)),
  speed: nullable(Schema.String),
  user_profile_id: nullable(Schema.String),
  workspace_id: nullable(Schema.String)
})
export type Body = typeof Body.Type

export type Block = typeof Block.Type
export type ToolUse = typeof ToolUse.Type
export type ToolResult = typeof ToolResult.Type
export type CustomTool = typeof CustomTool.Type

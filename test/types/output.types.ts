/** What objects and tools give, fail with and need, as the compiler infers it. */
import type * as AiError from "effect/ai/AiError"
import * as AiTool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import type * as Stream from "effect/Stream"
import { Completion, type LLMClient, type LLMError, type Message, Tool } from "../../src/index.ts"
import * as Output from "../../src/Output.ts"
import * as ToolLoop from "../../src/ToolLoop.ts"

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
type ErrorOf<T> = T extends Effect.Effect<infer _A, infer E, infer _R> ? E : never
type ServicesOf<T> = T extends Effect.Effect<infer _A, infer _E, infer R> ? R : never
type ValueOf<T> = T extends Effect.Effect<infer A, infer _E, infer _R> ? A : never

class Database extends Context.Service<Database, { readonly get: Effect.Effect<string> }>()("test/Database") {}
class Broken extends Schema.TaggedError<Broken>("test/Broken")("Broken", {}) {}

const ask = Completion.make({ prompt: "x" })

// ---------------------------------------------------------------------------------------------------------------------
// Output
// ---------------------------------------------------------------------------------------------------------------------

const Row = Schema.Struct({ n: Schema.Int, at: Schema.optionalKey(Schema.Date) })
interface RowOf {
  readonly n: number
  readonly at?: Date
}

const object = Output.object(ask, Row)
export const objectGives: Same<ValueOf<typeof object>["value"], { readonly n: number; readonly at?: Date }> = true
export const objectFails: Same<ErrorOf<typeof object>, LLMError.LLMError> = true
export const objectNeeds: Same<ServicesOf<typeof object>, LLMClient.LLMClient> = true

const Looked = Schema.String.pipe(Schema.decodeTo(Schema.String, {
  decode: SchemaGetter.transformEffect((id: string) => Database.use(({ get }) => Effect.map(get, (name) => name + id))),
  encode: SchemaGetter.passthrough()
}))
const looked = Output.object(ask, Schema.Struct({ name: Looked }))
export const lookedNeeds: Same<ServicesOf<typeof looked>, LLMClient.LLMClient | Database> = true

const streamed = Output.stream(ask, Row)
type Part = Stream.Success<typeof streamed>
const finish = (part: Extract<Part, { readonly _tag: "Finish" }>): RowOf => part.value
const elements = Output.elements(ask, Row)
const element = (part: Extract<Stream.Success<typeof elements>, { readonly _tag: "Element" }>): RowOf => part.value
export const parts = [finish, element]

// @ts-expect-error: a Schema that cannot be read
export const unread = Output.object(ask, { type: "object" })

// ---------------------------------------------------------------------------------------------------------------------
// Tool.run
// ---------------------------------------------------------------------------------------------------------------------

const first = Tool.handler(
  Tool.make("first", { description: "", parameters: Row }),
  ({ at, n }) => Database.use(({ get }) => Effect.map(get, (text) => `${text} ${n.toFixed()} ${at?.getTime()}`))
)
const second = Tool.handler(
  Tool.make("second", { description: "", parameters: { type: "object" } }),
  (args: Schema.Json) => args === null ? Effect.fail(new Broken()) : Effect.succeed(args)
)
const ran = Tool.run([first, second], [])
export const runGives: Same<ValueOf<typeof ran>, Message.User> = true
export const runFails: Same<ErrorOf<typeof ran>, Broken> = true
export const runNeeds: Same<ServicesOf<typeof ran>, Database> = true

const returned = Tool.run([first, second], [], { failures: "return" })
export const returnedFails: Same<ErrorOf<typeof returned>, never> = true

// @ts-expect-error: the arguments are those of the Schema
export const mistyped = Tool.handler(Tool.make("x", { description: "", parameters: Row }), ({ m }) => Effect.succeed(m))

// ---------------------------------------------------------------------------------------------------------------------
// ToolLoop
// ---------------------------------------------------------------------------------------------------------------------

const A = AiTool.make("a", {
  parameters: Schema.Struct({ x: Schema.String }),
  success: Schema.String,
  failure: Broken,
  dependencies: [Database]
})
const B = AiTool.make("b", { success: Schema.String, failure: Broken, failureMode: "return" })

const both = ToolLoop.run(ask, Toolkit.make(A, B))
export const loopFails: Same<ErrorOf<typeof both>, LLMError.LLMError | Broken | AiError.AiError> = true
export const loopNeeds: Same<
  ServicesOf<typeof both>,
  LLMClient.LLMClient | AiTool.Handler<"a"> | AiTool.Handler<"b"> | Database
> = true
export const loopGives: Same<ValueOf<typeof both>, ToolLoop.Outcome<string>> = true

const only = ToolLoop.run(ask, Toolkit.make(B), { approve: () => Effect.fail("gone" as const) })
export const onlyFails: Same<ErrorOf<typeof only>, LLMError.LLMError | AiError.AiError | "gone"> = true

const valued = ToolLoop.run(ask, Toolkit.make(B), { schema: Row })
export const valueGives = Effect.map(
  valued,
  (outcome): RowOf | undefined => outcome.stopped === "Answer" ? outcome.value : undefined
)

const shown = ToolLoop.stream(ask, Toolkit.make(A), { schema: Row })
export const shownFails: Same<Stream.Error<typeof shown>, LLMError.LLMError | Broken | AiError.AiError> = true

/**
 * An agent with three tools, which asks before it does what cannot be undone:
 *
 *     npx node examples/agent.ts
 *
 * It talks to Anthropic where ANTHROPIC_API_KEY is set. Else a simulated model in this process plays its part, so that
 * one sees what such a loop does: calls that run at once, a failure that the model is told of, an approval, an answer.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Config, Console, Effect, Layer, Option, Redacted, Schema, Stream } from "effect"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import { Anthropic, Completion, type Message, Retry } from "../src/index.ts"
import { Simulator } from "../src/testing/index.ts"
import * as ToolLoop from "../src/ToolLoop.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Tools
// ---------------------------------------------------------------------------------------------------------------------

const Stock = Tool.make("stock", {
  description: "How many pieces of an article are in stock.",
  parameters: Schema.Struct({ article: Schema.String }),
  success: Schema.Struct({ pieces: Schema.Int })
})

const Price = Tool.make("price", {
  description: "The price of an article, in euros.",
  parameters: Schema.Struct({ article: Schema.String }),
  success: Schema.Struct({ euros: Schema.Finite }),
  failure: Schema.String,
  // The model is told, and may try something else.
  failureMode: "return"
})

const Order = Tool.make("order", {
  description: "Orders pieces of an article from the supplier.",
  parameters: Schema.Struct({ article: Schema.String, pieces: Schema.Int }),
  success: Schema.Struct({ order: Schema.String }),
  needsApproval: true
})

export const Tools = Toolkit.make(Stock, Price, Order)

const prices: Readonly<Record<string, number>> = { lamp: 30, chair: 80 }

export const ToolsLive = Tools.toLayer({
  stock: ({ article }) => Effect.succeed({ pieces: article === "lamp" ? 2 : 14 }),
  price: ({ article }) =>
    Effect.mapError(
      Effect.map(Effect.fromNullishOr(prices[article]), (euros) => ({ euros })),
      () => `there is no article ${article}, only ${Object.keys(prices).join(" and ")}`
    ),
  order: ({ article, pieces }) => Effect.succeed({ order: `${pieces} x ${article}` })
})

// ---------------------------------------------------------------------------------------------------------------------
// The agent
// ---------------------------------------------------------------------------------------------------------------------

const question = "We need ten lamps for the fair. Order what is missing, and tell me what it costs."

const written = ({ arguments: args, name }: Message.ToolCall): string => `${name} ${JSON.stringify(args)}`

/** A program with a user would ask: here every order is allowed. */
const approve = (call: Message.ToolCall): Effect.Effect<boolean> =>
  Effect.as(Console.log(`? ${written(call)}: allowed`), true)

const agent = ToolLoop.stream(Completion.make({ prompt: question, maxTokens: 2_000 }), Tools, { approve, maxTurns: 8 })
  .pipe(
    Stream.runForEach((part) => {
      switch (part._tag) {
        case "ContentEnd":
          return part.content._tag === "ToolCall" ? Console.log(`> ${written(part.content)}`) : Effect.void
        case "ToolResult":
          return Console.log(`< ${part.call.name}${part.result.isError === true ? " failed" : ""}`)
        case "Done":
          return Console.log(
            `${part.outcome.response.text}\n${part.outcome.turns.length} turns, ${part.outcome.usage.totalTokens} tokens`
          )
        default:
          return Effect.void
      }
    })
  )

// ---------------------------------------------------------------------------------------------------------------------
// The model
// ---------------------------------------------------------------------------------------------------------------------

/** What a model might do, turn by turn. */
const turns: ReadonlyArray<ReturnType<NonNullable<Simulator.Options["answer"]>>> = [
  {
    toolCalls: [
      { name: "stock", arguments: { article: "lamp" } },
      { name: "price", arguments: { article: "lamps" } }
    ]
  },
  {
    toolCalls: [
      { name: "price", arguments: { article: "lamp" } },
      { name: "order", arguments: { article: "lamp", pieces: 8 } }
    ]
  },
  "Two lamps are in stock, I have ordered the other eight: 240 euros."
]

const simulated = Layer.provide(
  Anthropic.layer({ apiKey: Redacted.make("simulated"), model: "claude-opus-5-5" }),
  Simulator.layer({
    answer: (completion) => turns[Completion.messages(completion).filter(({ _tag }) => _tag === "Assistant").length]
  })
)

const real = Layer.provide(
  Anthropic.layerConfig({ model: Config.succeed("claude-opus-5-5") }),
  NodeHttpClient.layerUndici
)

const Claude = Layer.unwrap(Effect.gen(function*() {
  const key = yield* Config.option(Config.Redacted("ANTHROPIC_API_KEY"))
  yield* Console.log(`Asking ${Option.isSome(key) ? "Claude" : "a simulated Claude"}: ${question}`)
  return Layer.provide(Retry.layer(), Option.isSome(key) ? real : simulated)
}))

agent.pipe(Effect.provide([ToolsLive, Claude]), NodeRuntime.runMain)

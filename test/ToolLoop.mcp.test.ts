import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, it } from "@effect/vitest"
import * as McpClient from "effect/ai/McpClient"
import * as McpProtocol from "effect/ai/McpProtocol"
import * as McpServer from "effect/ai/McpServer"
import * as AiTool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { createServer } from "node:http"
import { Completion } from "../src/index.ts"
import { TestLLM } from "../src/testing/index.ts"
import * as ToolLoop from "../src/ToolLoop.ts"

const Add = AiTool.make("add", {
  description: "Adds",
  parameters: Schema.Struct({ a: Schema.Finite, b: Schema.Finite }),
  success: Schema.Struct({ sum: Schema.Finite }),
  failure: Schema.String
})
const Kit = Toolkit.make(Add)
const protocol = McpProtocol.v2025_11_25

const served = HttpRouter.serve(
  McpServer.toolkit(Kit).pipe(
    Layer.provide(Kit.toLayer({
      add: ({ a, b }) => a < 0 ? Effect.fail("no negatives") : Effect.succeed({ sum: a + b })
    })),
    Layer.provide(McpServer.layerHttp({ name: "adder", version: "1", path: "/mcp", protocols: [protocol] }))
  ),
  { disableLogger: true, disableListenLog: true }
).pipe(Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })))

it.live("tools of an MCP server run in the loop as they are, and their failures go back", () =>
  Effect.gen(function*() {
    const url = yield* HttpServer.addressFormattedWith((address) =>
      Effect.succeed(`http://127.0.0.1:${new URL(address).port}/mcp`)
    )
    const { messages, response, stopped } = yield* Effect.gen(function*() {
      const tools = yield* McpClient.toolkit(yield* McpClient.McpClient, "math__")
      return yield* ToolLoop.run(Completion.make({ prompt: "2 + 3?" }), tools, { failures: "return" })
    }).pipe(Effect.provide(McpClient.layerHttp({ name: "test", version: "1", protocol, url })))
    assert.deepStrictEqual([stopped, response.text], ["Answer", "5"])
    const results = messages.flatMap((message) =>
      message._tag === "User"
        ? message.content.flatMap((content) => content._tag === "ToolResult" ? [content] : [])
        : []
    )
    assert.deepStrictEqual(results.map(({ isError = false }) => isError), [false, true, true])
    assert.match(JSON.stringify(results[0]!.content), /sum.*5/)
    assert.include(JSON.stringify(results[1]!.content), "no negatives")
    const [{ completion }] = (yield* TestLLM.requests) as [TestLLM.Request]
    assert.deepStrictEqual(completion.tools.map(({ description, name }) => [name, description]), [[
      "math__add",
      "Adds"
    ]])
  }).pipe(
    Effect.provide([
      TestLLM.layer([
        TestLLM.answer({
          toolCalls: [
            { name: "math__add", arguments: { a: 2, b: 3 } },
            { name: "math__add", arguments: { a: -1, b: 3 } }
          ]
        }),
        TestLLM.toolCall("math__add", { a: "x" }),
        "5"
      ]),
      served,
      FetchHttpClient.layer
    ])
  ))

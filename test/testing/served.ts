import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { createServer } from "node:http"
import * as Simulator from "../../src/testing/Simulator.ts"

/** A simulator on a free port of this machine, for the scope. */
export const served = (options?: Simulator.Options, host = "127.0.0.1") =>
  Effect.map(
    Layer.build(Layer.provide(
      Simulator.serve(options),
      NodeHttpServer.layerServer(createServer, { port: 0, host, gracefulShutdownTimeout: "1 second" })
    )),
    (context) => Context.get(context, Simulator.Server)
  )

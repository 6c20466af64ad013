/** A real `redis-server` of the test's own, on a free port of this machine, that keeps nothing on disk. */
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { Effect, Layer } from "effect"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"

/** Whether the program is there; `.ci/run` installs it. Tests that need it say that they were skipped where it is not. */
export const installed = spawnSync("redis-server", ["--version"]).status === 0

const freePort = Effect.callback<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1")
    socket.once("connect", () => {
      socket.destroy()
      resolve(true)
    })
    socket.once("error", () => resolve(false))
  })

export interface Server {
  readonly port: number
  /** Kills the server, as a crash would. */
  readonly stop: Effect.Effect<void>
  /** Starts it again on the same port, empty. */
  readonly start: Effect.Effect<void>
  /** Lets it hang: connections stay open, and nothing is answered. */
  readonly hang: Effect.Effect<void>
  /** Lets it go on, with what it was asked meanwhile. */
  readonly goOn: Effect.Effect<void>
}

/** Starts a server for the scope. Runs on real time, also under a test's clock. */
export const server = Effect.gen(function*() {
  const port = yield* freePort
  let running: ChildProcess | undefined
  const stop = Effect.promise(async () => {
    const child = running
    running = undefined
    if (child === undefined || child.exitCode !== null) return
    const gone = once(child, "exit")
    child.kill("SIGKILL")
    await gone
  })
  const start = Effect.promise(async () => {
    running = spawn(
      "redis-server",
      ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", tmpdir()],
      { stdio: "ignore" }
    )
    const deadline = performance.now() + 10_000
    while (performance.now() < deadline) {
      if (await accepts(port)) return
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    throw new Error("redis-server did not start")
  })
  const signal = (name: "SIGSTOP" | "SIGCONT") => Effect.sync(() => void running?.kill(name))
  yield* Effect.acquireRelease(start, () => stop)
  return { port, start, stop, hang: signal("SIGSTOP"), goOn: signal("SIGCONT") } satisfies Server
})

/** A connection to a server. */
export const client = ({ port }: Pick<Server, "port">) =>
  Layer.orDie(NodeRedis.layer({ socket: { host: "127.0.0.1", port }, disableOfflineQueue: true }))

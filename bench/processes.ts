/**
 * The processes of a run. They end with this one.
 */
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Contestant } from "./clients/index.ts"
import type { Measured, Work } from "./measure.ts"

const built = (name: string): string => fileURLToPath(new URL(`dist/bench/${name}.js`, import.meta.url))

// No answer takes longer than this, even on a busy machine.
const patience = 60_000

const nextMessage = <A>(child: ChildProcess, what: string): Promise<A> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill()
      fail(`took more than ${patience / 1000} s`)
    }, patience)
    const settle = () => {
      clearTimeout(timer)
      child.off("message", onMessage)
      child.off("exit", onExit)
    }
    const fail = (why: string) => {
      settle()
      reject(new Error(`${what} ${why}`))
    }
    const onMessage = (message: unknown) => {
      settle()
      resolve(message as A)
    }
    const onExit = (code: number | null) => fail(`ended with code ${code}`)
    child.on("message", onMessage)
    child.on("exit", onExit)
  })

export interface Server {
  readonly origin: string
  readonly stop: () => void
}

export const startServer = async (): Promise<Server> => {
  const child = fork(built("server"))
  const port = await nextMessage<number>(child, "the server")
  return { origin: `http://127.0.0.1:${port}`, stop: () => child.disconnect() }
}

export interface Worker {
  readonly contestant: Contestant
  readonly run: (work: Work) => Promise<Measured>
  readonly stop: () => void
}

export const startWorker = async (contestant: Contestant, origin: string): Promise<Worker> => {
  const { name, protocol } = contestant
  const child = fork(built("child"), [name, protocol, origin])
  await nextMessage(child, name)
  return {
    contestant,
    run: (work) => {
      const measured = nextMessage<Measured>(child, `${name}, ${protocol}`)
      child.send(work)
      return measured
    },
    stop: () => child.disconnect()
  }
}

/** A process that makes one call and ends. */
export const firstAnswer = ({ name, protocol }: Contestant, origin: string): Promise<Measured> =>
  nextMessage(fork(built("first"), [name, protocol, origin]), name)

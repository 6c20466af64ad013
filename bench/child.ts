/**
 * The process of one client: runs the work that it receives, and reports its cost.
 */
import type { Client } from "./Client.ts"
import { contestants } from "./clients/index.ts"
import { address, run, type Work } from "./measure.ts"

const [name, protocol, origin] = process.argv.slice(2)
const contestant = contestants.find((contestant) => contestant.name === name && contestant.protocol === protocol)!
const make = await contestant.load()
const clients = new Map<string, Client>()

process.on("message", async (work: Work) => {
  const url = address(origin!, work, contestant.protocol)
  let client = clients.get(url)
  if (client === undefined) clients.set(url, client = make(url))
  process.send!(await run(client, work))
})
process.on("disconnect", () => process.exit())
process.send!("ready")

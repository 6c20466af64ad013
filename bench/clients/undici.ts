import { request } from "undici"
import type { Make, ProtocolName, Size } from "../Client.ts"
import { raw, readEvents } from "./raw.ts"

export const undiciClient = (protocol: ProtocolName): Make => (url) => {
  const { body, delta, headers, path, whole } = raw[protocol]
  const send = (size: Size, streamed: boolean) =>
    request(url + path(streamed), {
      method: "POST",
      headers: { ...headers, "content-type": "application/json" },
      body: JSON.stringify(body(size, streamed))
    })
  return {
    complete: async (size) => whole(await (await send(size, false)).body.json() as never),
    stream: async (size) => readEvents((await send(size, true)).body, delta)
  }
}

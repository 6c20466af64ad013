import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import type { ProtocolName } from "../Client.ts"
import { effectLlmClient } from "./effectLlm.ts"

export const effectLlmUndici = (protocol: ProtocolName) => effectLlmClient(protocol, NodeHttpClient.layerUndici)

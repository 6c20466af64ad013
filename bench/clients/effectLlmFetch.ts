import * as FetchHttpClient from "effect/http/FetchHttpClient"
import type { ProtocolName } from "../Client.ts"
import { effectLlmClient } from "./effectLlm.ts"

export const effectLlmFetch = (protocol: ProtocolName) => effectLlmClient(protocol, FetchHttpClient.layer)

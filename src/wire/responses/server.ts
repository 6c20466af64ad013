/**
 * The server half of the Responses API.
 */
import type { Server } from "../Wire.ts"
import { encode } from "./answer.ts"
import { decode } from "./decode.ts"
import { refuse } from "./refusal.ts"
import { streamEncoder } from "./streamEncoder.ts"

export const server: Server = { vendor: "openai", decode, encode, stream: streamEncoder, refuse }

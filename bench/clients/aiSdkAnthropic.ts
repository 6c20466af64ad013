import { createAnthropic } from "@ai-sdk/anthropic"
import { type Make, models } from "../Client.ts"
import { aiSdk } from "./aiSdk.ts"

export const aiSdkAnthropic: Make = (url) =>
  aiSdk(createAnthropic({ apiKey: "sk-bench", baseURL: `${url}/v1` })(models.anthropic))

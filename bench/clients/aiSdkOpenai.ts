import { createOpenAI } from "@ai-sdk/openai"
import { type Make, models } from "../Client.ts"
import { aiSdk } from "./aiSdk.ts"

export const aiSdkOpenai: Make = (url) =>
  aiSdk(createOpenAI({ apiKey: "sk-bench", baseURL: `${url}/v1` }).chat(models.openai))

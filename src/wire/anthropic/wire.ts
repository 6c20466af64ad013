const stub = (name) => ({ vendor: "anthropic", name, accepts: { user: {} }, framing: { accept: "" }, failures: {} })
export const anthropic = stub
export const chatCompletions = stub
export const openRouter = stub
export const compatible = stub
export const openAi = stub
export const openrouter = stub
export const chat = stub
export const server = {}

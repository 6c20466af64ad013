export * as Recorder from "./Recorder.ts"
export * as Simulator from "./Simulator.ts"
export * as TestLLM from "./TestLLM.ts"

export * as Simulator from "./Simulator.ts"

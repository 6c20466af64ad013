/** What the reference beside the project says of models: ../shared/reference/models.json. */
import { existsSync, readFileSync } from "node:fs"

export interface Reference {
  readonly provider: string
  readonly id: string
  readonly contextWindow?: number
  readonly maxOutput?: number
  readonly maxInput?: number
  readonly perRequestOutput?: { readonly streamed: number; readonly unary: number }
  readonly totalOutput?: string
  readonly price?: {
    readonly input: number
    readonly output: number
    readonly cacheRead?: number | null
    readonly cacheWrite5m?: number | null
    readonly cacheWrite1h?: number | null
    readonly from20261201?: { readonly input: number; readonly output: number }
    readonly tiers?: ReadonlyArray<{
      readonly inputTokensAbove: number
      readonly input: number
      readonly output: number
      readonly cacheRead: number
      readonly cacheWrite: number
    }>
  } | null
  readonly input?: ReadonlyArray<string>
  readonly structuredOutput?: boolean | "unverified"
  readonly forcedToolChoice?: boolean | string
  readonly sampling?: string
  readonly prefill?: boolean | "unverified"
  readonly midSystem?: boolean | string
  readonly thinkingBlockBinding?: boolean
  readonly thinking?:
    | {
      readonly types?: ReadonlyArray<string>
      readonly whenOmitted?: string
      readonly canDisable?: boolean | string
      readonly efforts?: ReadonlyArray<string> | null
      readonly defaultEffort?: string | null
      readonly displayDefault?: string
      readonly levels?: ReadonlyArray<string>
      readonly default?: string
      readonly budget?: readonly [number, number]
    }
    | "on"
    | null
  readonly reasoning?: {
    readonly efforts: ReadonlyArray<string>
    readonly default: string
    readonly canDisable: boolean
  } | null
  readonly chatToolsWithReasoning?: string
  readonly endpoints?: ReadonlyArray<string>
  readonly notes?: Readonly<Record<string, unknown>>
  readonly shutdown?: string | null
  readonly asOf: string
}

const file = new URL("../../../shared/reference/models.json", import.meta.url)

/** Every row by itself; none where the reference is absent. */
export const references: ReadonlyArray<Reference> = existsSync(file)
  ? (JSON.parse(readFileSync(file, "utf8")) as { readonly models: ReadonlyArray<Reference> }).models.flatMap((row) =>
    row.id.split(", ").map((id) => ({ ...row, id }))
  )
  : []

/** What tests of it are called where it is absent. */
export const note = references.length === 0 ? " (skipped without ../shared/reference/models.json)" : ""

/** Our name of the service. */
export const serviceOf = ({ provider }: Reference): string => provider === "google" ? "gemini" : provider

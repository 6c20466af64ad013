/**
 * One client per tenant, with the tenant's own key and budget:
 *
 *     npx node examples/tenants.ts
 *
 * A client is built when its tenant first needs it, only once for concurrent calls, and released when it has not been
 * used for a while. A new key takes effect without a restart: running calls keep the old key, and the next call builds
 * a new client.
 *
 * The map is keyed by the tenant's id and never by its key, because keys of maps appear in logs and traces. Budgets are
 * separate from the clients, so that the usage of a tenant is kept when its client is released.
 *
 * The provider is simulated in this process. Use `NodeHttpClient.layerUndici` instead to call the real one.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cache, Console, Context, Data, Effect, Layer, LayerMap, Redacted } from "effect"
import { Anthropic, Budget, Completion, LLMClient, Retry } from "../src/index.ts"
import { Simulator } from "../src/testing/index.ts"

export class UnknownTenant extends Data.TaggedError("UnknownTenant")<{ readonly tenant: string }> {
  override get message(): string {
    return `the tenant ${this.tenant} does not exist`
  }
}

/** The tenants' keys: in this example in a map, in production in a database or a secret store. */
export class Keys extends Context.Service<Keys, {
  readonly get: (tenant: string) => Effect.Effect<Redacted.Redacted, UnknownTenant>
  readonly set: (tenant: string, key: Redacted.Redacted) => Effect.Effect<void>
}>()("example/Keys") {
  static readonly layer = (keys: Readonly<Record<string, string>>): Layer.Layer<Keys> =>
    Layer.sync(Keys, () => {
      const known = new Map(Object.entries(keys).map(([tenant, key]) => [tenant, Redacted.make(key)]))
      return {
        get: (tenant) => Effect.mapError(Effect.fromNullishOr(known.get(tenant)), () => new UnknownTenant({ tenant })),
        set: (tenant, key) => Effect.sync(() => known.set(tenant, key))
      }
    })
}

/** The tenants' budgets. */
export class Budgets extends Context.Service<Budgets, {
  readonly get: (tenant: string) => Effect.Effect<Budget.Budget>
}>()("example/Budgets") {
  static readonly layer = (tokens: number): Layer.Layer<Budgets> =>
    Layer.effect(
      Budgets,
      Effect.map(
        Cache.make({
          capacity: Infinity,
          lookup: (tenant: string) => Budget.make({ name: `the budget of tenant ${tenant}`, tokens })
        }),
        (budgets) => ({ get: (tenant) => Cache.get(budgets, tenant) })
      )
    )
}

const clientOf = Effect.fnUntraced(function*(tenant: string) {
  const apiKey = yield* Effect.flatMap(Keys, ({ get }) => get(tenant))
  const budget = yield* Effect.flatMap(Budgets, ({ get }) => get(tenant))
  return LLMClient.compose(Retry.layer(), Budget.layer(budget), Anthropic.layer({ apiKey, model: "claude-opus-5-5" }))
})

export class Tenants extends LayerMap.Service<Tenants>()("example/Tenants", {
  lookup: (tenant: string) => Layer.unwrap(clientOf(tenant)),
  idleTimeToLive: "10 minutes"
}) {}

/** Makes a call with the tenant's client. */
export const ask = (tenant: string, prompt: string) =>
  LLMClient.completion(Completion.make({ prompt, maxTokens: 100 })).pipe(Effect.provide(Tenants.get(tenant)))

/** Replaces a tenant's key. */
export const rotate = (tenant: string, key: Redacted.Redacted) =>
  Keys.use(({ set }) => set(tenant, key)).pipe(Effect.andThen(Tenants.invalidate(tenant)))

const program = Effect.gen(function*() {
  const report = (tenant: string) =>
    ask(tenant, `Hello from ${tenant}`).pipe(
      Effect.match({ onSuccess: ({ text }) => text, onFailure: ({ message }) => message }),
      Effect.flatMap((line) => Console.log(`${tenant}: ${line}`))
    )

  yield* Effect.forEach(["oslo", "rome"], report, { concurrency: "unbounded" })
  yield* Console.log("rome gets a valid key")
  yield* rotate("rome", Redacted.make("key-of-rome"))
  yield* report("rome")
  yield* report("rome")

  const budget = yield* Budgets.use(({ get }) => get("rome"))
  const { tokens } = yield* budget.usage
  yield* Console.log(`rome has spent ${tokens.totalTokens} tokens`)
})

if (import.meta.main) {
  const live = Layer.provideMerge(
    Tenants.layer,
    Layer.mergeAll(
      Keys.layer({ oslo: "key-of-oslo", rome: "invalid-key-of-rome" }),
      Budgets.layer(130),
      Simulator.layer()
    )
  )
  NodeRuntime.runMain(Effect.provide(program, live))
}

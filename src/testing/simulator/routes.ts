/**
 * Finds the service of a request by its path and host.
 */
import { anthropic } from "./anthropic/service.ts"
import { openai } from "./chat/openai.ts"
import { openrouter } from "./chat/openrouter.ts"
import type { Provider, SimulatedRequest } from "./exchange.ts"
import { gemini } from "./gemini/service.ts"
import { decodePercent } from "./json.ts"
import { responses } from "./responses/service.ts"
import type { Service } from "./service.ts"

interface Route {
  readonly service: Service
  /** The group `model` matches a model in the path. */
  readonly path: RegExp
  /** A host of the service, whatever the path. */
  readonly host: RegExp
}

/** The first route with a matching path; otherwise the first with a matching host, for a 404 in its words. */
const routes: ReadonlyArray<Route> = [
  {
    service: gemini,
    path: /\/v1(?:alpha|beta)?\/models\/(?<model>[^/:]+):(?:streamGenerateContent|generateContent)$/,
    host: /googleapis\.com$/
  },
  { service: openrouter, path: /\/api\/v1\/chat\/completions$/, host: /openrouter/ },
  { service: anthropic, path: /\/v1\/messages$/, host: /anthropic/ },
  { service: responses, path: /\/responses$/, host: /^$/ },
  { service: openai, path: /\/chat\/completions$/, host: /./ }
]

const chatPath = /\/chat\/completions$/

const routeOf = ({ url }: SimulatedRequest): Route | undefined =>
  chatPath.test(url.pathname) && /openrouter/.test(url.host + url.pathname)
    ? routes.find(({ service }) => service === openrouter)
    : routes.find(({ path }) => path.test(url.pathname))

const byHost = ({ url }: SimulatedRequest): Service =>
  routes.find(({ host }) => host.test(url.hostname))?.service ?? openai

/** The service for a request. */
export const serviceFor = (request: SimulatedRequest): Service => routeOf(request)?.service ?? byHost(request)

/** The service whose protocol a request speaks. */
export const providerOf = (request: SimulatedRequest): Provider => serviceFor(request).provider

/** The model in the path; empty if it is in the body, undefined for an unknown path. */
export const pathModel = (request: SimulatedRequest): string | undefined => {
  const route = routeOf(request)
  return route && decodePercent(route.path.exec(request.url.pathname)?.groups?.model ?? "")
}

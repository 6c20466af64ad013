/**
 * Which service a request is for, by its path and its host.
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
  /** The group `model` is the model, where the path names it. */
  readonly path: RegExp
  /** A host that speaks the protocol, whatever the path. */
  readonly host: RegExp
}

/** The first route whose path matches; else the first whose host does, for a 404 in its words. */
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

/** The service that a request is for. */
export const serviceFor = (request: SimulatedRequest): Service => routeOf(request)?.service ?? byHost(request)

/** Which provider's protocol a request speaks. */
export const providerOf = (request: SimulatedRequest): Provider => serviceFor(request).provider

/** The model in the path, empty where the body names it; undefined when nothing is found at this path. */
export const pathModel = (request: SimulatedRequest): string | undefined => {
  const route = routeOf(request)
  return route && decodePercent(route.path.exec(request.url.pathname)?.groups?.model ?? "")
}

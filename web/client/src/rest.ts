// Commands over HTTP.
import { Disconnected, Refused, refusal } from "./errors.js";
import { ROUTES } from "./routes.js";
import type { Tokens } from "./tokens.js";
import type { Body } from "./wire.js";

export type Fetch = (input: string, init?: RequestInit) => Promise<Response>;
const TIMEOUT_MS = 30_000;

export class Rest {
  constructor(
    readonly url: string,
    readonly fetch: Fetch,
    private readonly tokens: Tokens,
  ) {}

  /** A command by its route. `session`: the session that gets no event of it. Throws Refused, Disconnected. */
  async command(command: Body, session: string): Promise<Body> {
    const { t, ...fields } = command;
    const route = ROUTES[t];
    if (route === undefined) throw new Refused("unavailable", `${t} needs a WebSocket connection`);
    const [method = "", pattern = ""] = route.split(" ");
    const path = pattern.replace(/\{(\w+)\}/g, (_, name: string) => {
      const value = encodeURIComponent(String(fields[name]));
      delete fields[name];
      return value;
    });
    const headers: Record<string, string> = session ? { "Chatd-Session": session } : {};
    if (method !== "GET" && method !== "DELETE") return this.json(method, path, headers, fields);
    const query = Object.entries(fields)
      .filter(([, value]) => value !== null && value !== undefined)
      .map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`)
      .join("&");
    return this.json(method, query ? `${path}?${query}` : path, headers);
  }

  /** A request with the token of the user; it is repeated with another token if the server refuses the first. */
  async json(method: string, path: string, headers: Record<string, string> = {}, body?: unknown): Promise<Body> {
    const init: RequestInit = { method, headers };
    if (body !== undefined) {
      init.headers = { ...headers, "Content-Type": "application/json" };
      init.body = JSON.stringify(body);
    }
    return bodyOf(await this.request(path, init));
  }

  /** The response, whatever its status is. Throws Disconnected. */
  async request(path: string, init: RequestInit, timeoutMs = TIMEOUT_MS): Promise<Response> {
    const token = await this.tokens.get();
    const first = await this.once(path, init, token, timeoutMs);
    if (first.status !== 401) return first;
    const another = await this.tokens.renew(token);
    return another === token ? first : this.once(path, init, another, timeoutMs);
  }

  private async once(path: string, init: RequestInit, token: string, timeoutMs: number): Promise<Response> {
    const headers = { ...(init.headers as Record<string, string>), Authorization: `Bearer ${token}` };
    return fetched(this.fetch, this.url + path, { ...init, headers }, timeoutMs);
  }
}

/** One request. Throws Disconnected if there is no response. */
export async function fetched(fetch: Fetch, url: string, init: RequestInit, timeoutMs = TIMEOUT_MS): Promise<Response> {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), timeoutMs);
  init.signal?.addEventListener("abort", () => abort.abort());
  try {
    return await fetch(url, { credentials: "omit", cache: "no-store", ...init, signal: abort.signal });
  } catch (error) {
    throw new Disconnected(`${url} does not answer: ${(error as Error).message}`);
  } finally {
    clearTimeout(timer);
  }
}

/** The result in a response. Throws Refused, Disconnected. */
export async function bodyOf(response: Response): Promise<Body> {
  const body = await response.json().catch(() => undefined);
  if (!response.ok) throw refusedBy(response, body);
  if (typeof body?.t !== "string") throw new Disconnected("the response is not from a chatd server");
  return body as Body;
}

/** The refusal of an error response. A proxy that answers in the place of the server gives no code. */
export function refusedBy(response: Response, body: unknown): Refused {
  const error = refusal(body);
  const after = Number(response.headers.get("Retry-After"));
  if (error.retryAfter !== undefined || !after) return error;
  return new Refused(error.code, error.message, after, error.details);
}

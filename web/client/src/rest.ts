// Commands over HTTP.
import { Disconnected, Refused, refusal } from "./errors.js";
import { aborting, joined, Lifetime } from "./lifetime.js";
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
    readonly life = new Lifetime(),
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
    return this.request(path, init, bodyOf);
  }

  /** What `read` makes of the response, whatever its status is. Throws Disconnected. */
  async request<T>(path: string, init: RequestInit, read: Read<T>, timeoutMs = TIMEOUT_MS): Promise<T> {
    const signals = joined(this.life.signal, init.signal);
    const { signal } = signals;
    try {
      const once = <U>(token: string, part: Read<U>): Promise<U> => {
        const headers = { ...(init.headers as Record<string, string>), Authorization: `Bearer ${token}` };
        return exchange(this.fetch, this.url + path, { ...init, headers, signal }, part, timeoutMs);
      };
      const token = await aborting(this.tokens.get(), signal);
      const first = await once(token, async (response, expect) =>
        response.status === 401 ? undefined : { value: await read(response, expect) },
      );
      return first ? first.value : await once(await aborting(this.tokens.renew(token), signal), read);
    } finally {
      signals.release();
    }
  }

  /** A request without a token. Throws Disconnected, and what `read` throws. */
  async open<T>(path: string, headers: Record<string, string>, read: Read<T>): Promise<T> {
    return exchange(this.fetch, this.url + path, { headers, signal: this.life.signal }, read);
  }
}

/** Reads a response. `expect`: the request ends after so many milliseconds from now, unless it is called again. */
export type Read<T> = (response: Response, expect: (ms: number) => void) => Promise<T>;

/** One request, until its response is read. Throws Disconnected if that takes too long or breaks off, the reason of an
 * aborted signal, and what `read` throws. */
export async function exchange<T>(
  fetch: Fetch,
  url: string,
  init: RequestInit,
  read: Read<T>,
  timeoutMs = TIMEOUT_MS,
): Promise<T> {
  const abort = joined(init.signal);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expect = (ms: number): void => {
    clearTimeout(timer);
    timer = setTimeout(() => abort.abort(new Disconnected(`${url} does not answer`)), ms);
  };
  const run = async (): Promise<T> => {
    let response: Response;
    try {
      response = await fetch(url, { credentials: "omit", cache: "no-store", ...init, signal: abort.signal });
    } catch (error) {
      throw new Disconnected(`${url} does not answer: ${(error as Error).message}`);
    }
    return read(response, expect);
  };
  try {
    expect(timeoutMs);
    return await aborting(abort.signal.aborted ? Promise.race([]) : run(), abort.signal);
  } finally {
    clearTimeout(timer);
    abort.release();
    // What was not read of the response is not wanted.
    abort.abort();
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

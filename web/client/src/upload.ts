// Uploads, with progress. Small files are one form; large ones are sent in parts (tus 1.0.0), and go on after a break.
import { Disconnected, Refused, refusal } from "./errors.js";
import { bodyOf, refusedBy, type Rest } from "./rest.js";
import { Backoff, monotonic, sleep } from "./time.js";
import type { Tokens } from "./tokens.js";
import type { Upload } from "./wire.js";

export interface UploadOptions {
  name?: string;
  /** Called with the bytes that were sent, and all bytes. */
  progress?: (sent: number, total: number) => void;
  signal?: AbortSignal;
}

/** Larger files are sent in parts. */
export const PARTS_FROM_BYTES = 2 ** 20;
const PART_BYTES = 512 * 1024;
const TIMEOUT_MS = 120_000;
/** Failures in a row, without a byte more on the server. */
const MAX_FAILURES = 8;
const TEMPORARY = new Set(["conflict", "internal", "rate_limited", "timeout", "unavailable", "maintenance"]);

export async function upload(rest: Rest, tokens: Tokens, file: Blob, options: UploadOptions): Promise<Upload> {
  refuseAborted(options.signal);
  const name = options.name ?? (file as Partial<File>).name ?? "file";
  return file.size > PARTS_FROM_BYTES
    ? new PartsUpload(rest, file, name, options).run()
    : uploadForm(rest, tokens, file, name, options);
}

async function uploadForm(rest: Rest, tokens: Tokens, file: Blob, name: string, options: UploadOptions): Promise<Upload> {
  const form = new FormData();
  form.append("file", file, name);
  options.progress?.(0, file.size);
  // Only XMLHttpRequest reports the progress of a body.
  if (options.progress && typeof globalThis.XMLHttpRequest === "function")
    return uploadByXhr(rest, tokens, form, file.size, options);
  const init: RequestInit = { method: "POST", body: form, ...(options.signal ? { signal: options.signal } : {}) };
  const done = await bodyOf(await rest.request("/v1/uploads", init, TIMEOUT_MS));
  options.progress?.(file.size, file.size);
  return done as unknown as Upload;
}

async function uploadByXhr(
  rest: Rest,
  tokens: Tokens,
  form: FormData,
  size: number,
  options: UploadOptions,
): Promise<Upload> {
  const token = await tokens.get();
  try {
    return await xhr(rest.url, token, form, size, options);
  } catch (error) {
    if (!(error instanceof Refused && error.code === "unauthenticated")) throw error;
  }
  return xhr(rest.url, await tokens.renew(token), form, size, options);
}

function xhr(url: string, token: string, form: FormData, size: number, options: UploadOptions): Promise<Upload> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `${url}/v1/uploads`);
    request.timeout = TIMEOUT_MS;
    request.setRequestHeader("Authorization", `Bearer ${token}`);
    // The form around the file has some bytes, too.
    request.upload.onprogress = ({ loaded }) => options.progress?.(Math.min(loaded, size), size);
    request.onerror = request.ontimeout = () => reject(new Disconnected("the upload was interrupted"));
    request.onabort = () => reject(options.signal?.reason ?? new Disconnected("the upload was stopped"));
    request.onload = () => {
      let body: unknown;
      try {
        body = JSON.parse(request.responseText);
      } catch {
        body = undefined;
      }
      if (request.status >= 300) return reject(refusal(body));
      options.progress?.(size, size);
      resolve(body as Upload);
    };
    options.signal?.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

class PartsUpload {
  private place: string | undefined;
  private offset = 0;

  constructor(
    private readonly rest: Rest,
    private readonly file: Blob,
    private readonly name: string,
    private readonly options: UploadOptions,
  ) {}

  /** Throws Refused, Disconnected if the server does not answer for long. */
  async run(): Promise<Upload> {
    const backoff = new Backoff(Math.random, 500, 10_000);
    let failures = 0;
    while (this.place === undefined || this.offset < this.file.size) {
      refuseAborted(this.options.signal);
      try {
        await this.step(failures > 0);
        failures = 0;
        this.options.progress?.(this.offset, this.file.size);
      } catch (error) {
        refuseAborted(this.options.signal);
        failures += 1;
        const isFinal = error instanceof Refused ? !TEMPORARY.has(error.code) : !(error instanceof Disconnected);
        if (isFinal || failures > MAX_FAILURES) throw error;
        const requested = error instanceof Refused ? error.retryAfter : undefined;
        await sleep(backoff.next(monotonic(), requested === undefined ? undefined : requested * 1000));
      }
    }
    const id = this.place.slice(this.place.lastIndexOf("/") + 1);
    return (await this.rest.json("GET", `/v1/uploads/${id}/info`)) as unknown as Upload;
  }

  private async step(afterFailure: boolean): Promise<void> {
    if (this.place === undefined) return this.begin();
    if (afterFailure) this.offset = offsetOf(await this.ask("HEAD", this.place));
    if (this.offset === this.file.size) return;
    const part = this.file.slice(this.offset, this.offset + PART_BYTES);
    const headers = { "Upload-Offset": String(this.offset), "Content-Type": "application/offset+octet-stream" };
    this.offset = offsetOf(await this.ask("PATCH", this.place, headers, part));
  }

  private async begin(): Promise<void> {
    const bytes = encodeURIComponent(this.name).replace(/%(..)/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
    const name = btoa(bytes);
    const headers = { "Upload-Length": String(this.file.size), "Upload-Metadata": `filename ${name}` };
    const location = (await this.ask("POST", "/v1/uploads/tus", headers)).headers.get("Location") ?? "";
    this.place = `/v1/uploads/tus/${location.slice(location.lastIndexOf("/") + 1)}`;
  }

  private async ask(method: string, path: string, headers: Record<string, string> = {}, body?: Blob): Promise<Response> {
    const init: RequestInit = { method, headers: { ...headers, "Tus-Resumable": "1.0.0" } };
    if (body) init.body = body;
    if (this.options.signal) init.signal = this.options.signal;
    const response = await this.rest.request(path, init, TIMEOUT_MS);
    if (response.ok) return response;
    // An answer to HEAD has no body.
    if (method === "HEAD" && response.status === 404) throw new Refused("not_found", "the upload has ended");
    throw refusedBy(response, await response.json().catch(() => undefined));
  }
}

function offsetOf(response: Response): number {
  const text = response.headers.get("Upload-Offset");
  if (text === null) throw new Disconnected("the server names no Upload-Offset; a proxy may hide it");
  return Number(text);
}

function refuseAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw signal.reason ?? new Disconnected("the upload was stopped");
}

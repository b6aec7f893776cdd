// Uploads, with progress. Small files are one form; large ones are sent in parts (tus 1.0.0), and go on after a break.
import { Disconnected, Refused, refusal } from "./errors.js";
import { aborting, joined, reasonOf, sleep } from "./lifetime.js";
import { bodyOf, refusedBy, type Read, type Rest } from "./rest.js";
import { Backoff, monotonic } from "./time.js";
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
  const name = options.name ?? (file as Partial<File>).name ?? "file";
  // It ends with the client, too.
  const { signal, release } = joined(options.signal, rest.life.signal);
  const given = { ...options, signal };
  try {
    refuseAborted(signal);
    return await (file.size > PARTS_FROM_BYTES
      ? new PartsUpload(rest, file, name, given).run()
      : uploadForm(rest, tokens, file, name, given));
  } finally {
    release();
  }
}

type Given = UploadOptions & { signal: AbortSignal };

async function uploadForm(rest: Rest, tokens: Tokens, file: Blob, name: string, options: Given): Promise<Upload> {
  const form = new FormData();
  form.append("file", file, name);
  options.progress?.(0, file.size);
  // Only XMLHttpRequest reports the progress of a body.
  if (options.progress && typeof globalThis.XMLHttpRequest === "function")
    return uploadByXhr(rest, tokens, form, file.size, options);
  const init: RequestInit = { method: "POST", body: form, signal: options.signal };
  const done = await rest.request("/v1/uploads", init, bodyOf, TIMEOUT_MS);
  options.progress?.(file.size, file.size);
  return done as unknown as Upload;
}

async function uploadByXhr(
  rest: Rest,
  tokens: Tokens,
  form: FormData,
  size: number,
  options: Given,
): Promise<Upload> {
  const token = await aborting(tokens.get(), options.signal);
  try {
    return await xhr(rest.url, token, form, size, options);
  } catch (error) {
    if (!(error instanceof Refused && error.code === "unauthenticated")) throw error;
  }
  return xhr(rest.url, await aborting(tokens.renew(token), options.signal), form, size, options);
}

function xhr(url: string, token: string, form: FormData, size: number, options: Given): Promise<Upload> {
  const { signal } = options;
  const request = new XMLHttpRequest();
  const abort = (): void => request.abort();
  return new Promise<Upload>((resolve, reject) => {
    if (signal.aborted) return reject(reasonOf(signal));
    request.open("POST", `${url}/v1/uploads`);
    request.timeout = TIMEOUT_MS;
    request.setRequestHeader("Authorization", `Bearer ${token}`);
    // The form around the file has some bytes, too.
    request.upload.onprogress = ({ loaded }) => options.progress?.(Math.min(loaded, size), size);
    request.onerror = request.ontimeout = () => reject(new Disconnected("the upload was interrupted"));
    request.onabort = () => reject(reasonOf(signal));
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
    signal.addEventListener("abort", abort);
    request.send(form);
  }).finally(() => signal.removeEventListener("abort", abort));
}

class PartsUpload {
  private place: string | undefined;
  private offset = 0;

  constructor(
    private readonly rest: Rest,
    private readonly file: Blob,
    private readonly name: string,
    private readonly options: Given,
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
        await sleep(backoff.next(monotonic(), requested === undefined ? undefined : requested * 1000), this.options.signal);
      }
    }
    const id = this.place.slice(this.place.lastIndexOf("/") + 1);
    const info = await this.rest.request(`/v1/uploads/${id}/info`, { signal: this.options.signal }, bodyOf);
    return info as unknown as Upload;
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
    const location = (await this.ask("POST", "/v1/uploads/tus", headers)).get("Location") ?? "";
    this.place = `/v1/uploads/tus/${location.slice(location.lastIndexOf("/") + 1)}`;
  }

  /** Returns the headers of the response. */
  private ask(method: string, path: string, headers: Record<string, string> = {}, body?: Blob): Promise<Headers> {
    const { signal } = this.options;
    const init: RequestInit = { method, headers: { ...headers, "Tus-Resumable": "1.0.0" }, signal };
    if (body) init.body = body;
    const read: Read<Headers> = async (response) => {
      if (response.ok) return response.headers;
      // An answer to HEAD has no body.
      if (method === "HEAD" && response.status === 404) throw new Refused("not_found", "the upload has ended");
      throw refusedBy(response, await response.json().catch(() => undefined));
    };
    return this.rest.request(path, init, read, TIMEOUT_MS);
  }
}

function offsetOf(headers: Headers): number {
  const text = headers.get("Upload-Offset");
  if (text === null) throw new Disconnected("the server names no Upload-Offset; a proxy may hide it");
  return Number(text);
}

function refuseAborted(signal: AbortSignal): void {
  if (signal.aborted) throw reasonOf(signal);
}

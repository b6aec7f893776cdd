// Addresses of files that the browser can open, which the server signs for about an hour.
import type { ChatClient, SignedUrl } from "@chatd/client";

const SOON_MS = 20;
const MAX_AT_ONCE = 100;
/** So long before its end an address is not used any more. */
const MARGIN_MS = 60_000;

interface Waiting {
  resolve(url: SignedUrl): void;
  reject(error: unknown): void;
}

export class SignedFiles {
  private readonly known = new Map<string, { url: SignedUrl; until: number }>();
  private readonly waiting = new Map<string, Waiting[]>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly client: ChatClient) {}

  /** The addresses of an upload. `again`: the known ones did not work. */
  sign(upload: string, again = false): Promise<SignedUrl> {
    const known = this.known.get(upload);
    if (known && !again && known.until > this.client.now()) return Promise.resolve(known.url);
    return new Promise((resolve, reject) => {
      const others = this.waiting.get(upload) ?? [];
      others.push({ resolve, reject });
      this.waiting.set(upload, others);
      this.timer ??= setTimeout(() => void this.ask(), SOON_MS);
    });
  }

  private async ask(): Promise<void> {
    this.timer = undefined;
    const batch = new Map([...this.waiting].slice(0, MAX_AT_ONCE));
    for (const upload of batch.keys()) this.waiting.delete(upload);
    if (this.waiting.size) this.timer = setTimeout(() => void this.ask(), SOON_MS);
    try {
      const { items, expires_at } = await this.client.ask("upload.sign", { uploads: [...batch.keys()] });
      for (const url of items) this.known.set(url.upload, { url, until: expires_at - MARGIN_MS });
      for (const [upload, those] of batch) {
        const found = items.find((url) => url.upload === upload);
        for (const one of those) found ? one.resolve(found) : one.reject(new Error("This file is no longer there"));
      }
    } catch (error) {
      for (const those of batch.values()) for (const one of those) one.reject(error);
    }
  }
}

// Files that will be attached to the next message. Each is uploaded at once; one that failed waits for another try.
import type { AttachmentInput } from "@chatd/client";
import { reasonOf, type App } from "./app.js";
import { iconButton } from "./controls.js";
import { el, fill, set } from "./dom.js";
import { sizeOf } from "./format.js";

/** What a message that waits shows of a file. */
export interface LocalFile {
  url: string | null;
  kind: "image" | "file" | "voice";
  name: string;
}

interface Pending {
  node: HTMLElement;
  file: File;
  local: LocalFile;
  waveform: number[] | undefined;
  upload: string | null;
  error: unknown;
  done: Promise<void>;
  stop: AbortController;
}

/** The files for a place where messages are written. */
export function trayOf(app: App, place: string): Tray {
  const tray = app.trays.get(place) ?? new Tray(app);
  app.trays.set(place, tray);
  return tray;
}

export class Tray {
  readonly node = el("ul", { class: "tray", "aria-label": "Files to send", hidden: true });
  /** What is written in a thread, whose drafts the server does not keep. */
  text = "";
  private readonly files: Pending[] = [];

  constructor(private readonly app: App) {}

  get isEmpty(): boolean {
    return this.files.length === 0;
  }

  add(file: File, waveform?: number[]): void {
    const kind = waveform ? "voice" : file.type.startsWith("image/") ? "image" : "file";
    const local: LocalFile = { url: kind === "image" ? URL.createObjectURL(file) : null, kind, name: file.name };
    const stop = new AbortController();
    const pending: Pending = {
      node: el("li", {}),
      file,
      local,
      waveform,
      upload: null,
      error: null,
      done: Promise.resolve(),
      stop,
    };
    this.files.push(pending);
    this.node.append(pending.node);
    this.node.hidden = false;
    this.begin(pending);
  }

  private begin(pending: Pending): void {
    const { file, node, local } = pending;
    const bar = el("progress", { max: Math.max(1, file.size), value: 0, "aria-label": `Upload of ${file.name}` });
    pending.error = null;
    const remove = iconButton("close", `Remove ${file.name}`, () => this.remove(pending));
    fill(
      node,
      local.url && el("img", { src: local.url, alt: "" }),
      el("bdi", {}, file.name),
      el("small", {}, sizeOf(file.size)),
      bar,
      remove,
    );
    const options = { progress: (sent: number) => set(bar, "value", sent), signal: pending.stop.signal };
    pending.done = this.app.client.upload(file, options).then(
      ({ id }) => {
        pending.upload = id;
        bar.remove();
      },
      (error: unknown) => {
        pending.error = error;
        if (pending.stop.signal.aborted) return;
        const again = el(
          "button",
          { type: "button", class: "link-button", on: { click: () => this.begin(pending) } },
          "Try again",
        );
        bar.replaceWith(el("span", { class: "error", role: "alert" }, reasonOf(error)), again);
      },
    );
  }

  private remove(pending: Pending): void {
    pending.stop.abort();
    this.drop(pending);
  }

  private drop(pending: Pending): void {
    this.files.splice(this.files.indexOf(pending), 1);
    pending.node.remove();
    this.node.hidden = this.isEmpty;
  }

  /** Waits for the uploads, and takes the files out. Null if one has failed: all of them stay. */
  async take(): Promise<{ attachments: AttachmentInput[]; local: LocalFile[] } | null> {
    await Promise.all(this.files.map(({ done }) => done));
    const files = [...this.files];
    if (files.some(({ upload }) => upload === null)) return null;
    for (const pending of files) this.drop(pending);
    const attachments = files.map(({ upload, waveform }): AttachmentInput =>
      waveform ? { upload, type: "voice", waveform } : { upload },
    );
    return { attachments, local: files.map(({ local }) => local) };
  }
}

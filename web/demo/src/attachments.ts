// Pictures, sounds, videos and other files of a message.
import type { ChatMessage, SignedUrl } from "@chatd/client";
import { attempt, type App } from "./app.js";
import { openDialog } from "./dialog.js";
import { el, fill, type Child } from "./dom.js";
import { lengthOf, sizeOf } from "./format.js";
import { icon } from "./icons.js";
import type { LocalFile } from "./uploads.js";

type Attachment = ChatMessage["attachments"][number];
type Stored = Extract<Attachment, { upload: string }>;

/** Pictures in a thread are at most so large, in pixels. */
const MAX_WIDTH = 320;
const MAX_HEIGHT = 320;

export function attachmentsOf(app: App, message: ChatMessage): Child {
  const local = (message.local as LocalFile[] | undefined) ?? [];
  if (!message.attachments.length) return local.map(localView);
  return message.attachments.map((one) => attachmentView(app, one));
}

function attachmentView(app: App, one: Attachment): HTMLElement {
  switch (one.type) {
    case "image":
      return imageView(app, one);
    case "video":
    case "audio":
    case "voice":
      return soundView(app, one);
    case "file":
      return fileView(app, one);
    case "link":
      return card(one.title ?? one.url, one.description, one.url);
    case "location":
      return card(
        one.name ?? "A place",
        one.address,
        `https://www.openstreetmap.org/?mlat=${one.latitude}&mlon=${one.longitude}`,
      );
    case "contact":
      return card(one.name, [...(one.phones ?? []), ...(one.emails ?? [])].join(", "));
  }
}

/** A file that is on its way. */
function localView({ url, kind, name }: LocalFile): HTMLElement {
  if (kind === "image" && url) return el("img", { class: "picture-image", src: url, alt: name });
  return el("p", { class: "file" }, icon("clip"), el("bdi", {}, name));
}

/** Shows addresses; what does not load can be tried again. */
function loaded(
  app: App,
  one: Stored,
  what: string,
  make: (url: SignedUrl, failed: () => void) => HTMLElement,
): HTMLElement {
  const place = el("div", { class: "attachment" });
  const failed = (): void =>
    fill(
      place,
      el("p", { class: "missing" }, `The ${what} could not be loaded. `),
      el("button", { type: "button", class: "link-button", on: { click: () => load(true) } }, "Try again"),
    );
  const load = (again = false): void => {
    app.files.sign(one.upload, again).then((url) => fill(place, make(url, failed)), failed);
  };
  load();
  return place;
}

function imageView(app: App, one: Extract<Stored, { type: "image" }>): HTMLElement {
  const { width = MAX_WIDTH, height = MAX_HEIGHT } = one;
  const scale = Math.min(1, MAX_WIDTH / width, MAX_HEIGHT / height);
  const size = { width: Math.max(24, Math.round(width * scale)), height: Math.max(24, Math.round(height * scale)) };
  const name = one.name ?? "";
  const place = loaded(app, one, "picture", (url, failed) => {
    const image = el("img", {
      class: "picture-image",
      src: url.thumbnail ?? url.url,
      alt: name ? `Picture: ${name}` : "Picture",
      ...size,
      on: { error: failed },
    });
    return el(
      "button",
      {
        type: "button",
        class: "picture",
        "data-control": one.upload,
        on: { click: () => openPicture(app, one) },
      },
      image,
    );
  });
  place.style.minBlockSize = `${size.height}px`;
  return place;
}

function openPicture(app: App, one: Extract<Stored, { type: "image" }>): void {
  const place = el("div", { class: "large-picture" });
  openDialog(one.name ?? "Picture", () => place);
  void attempt(async () => {
    const { url } = await app.files.sign(one.upload);
    const missing = (): void => fill(place, el("p", {}, "The picture could not be loaded."));
    fill(place, el("img", { src: url, alt: one.name ?? "Picture", on: { error: missing } }), download(url, one));
  });
}

const download = (url: string, { name, size }: Stored): HTMLElement =>
  el("a", { class: "button", href: url, download: name ?? "file" }, `Download (${sizeOf(size)})`);

function soundView(app: App, one: Extract<Stored, { type: "video" | "audio" | "voice" }>): HTMLElement {
  const isVideo = one.type === "video";
  const what = isVideo ? "video" : one.type === "voice" ? "voice message" : "sound";
  const length = one.duration === undefined ? "" : `, ${lengthOf(one.duration)}`;
  const label = `${what.slice(0, 1).toUpperCase()}${what.slice(1)}${length}`;
  return loaded(app, one, what, ({ url }, failed) => {
    const fields = {
      src: url,
      controls: true,
      preload: isVideo ? "metadata" : "none",
      "aria-label": label,
      on: { error: failed },
    };
    const player = isVideo ? el("video", { ...fields, class: "video" }) : el("audio", fields);
    return el(
      "figure",
      { class: "sound" },
      el("figcaption", {}, label),
      one.type === "voice" && waveform(one.waveform),
      player,
    );
  });
}

/** The loudness of a voice message: decoration. */
function waveform(values: number[] | undefined): Child {
  if (!values?.length) return null;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "waveform");
  svg.setAttribute("viewBox", `0 0 ${values.length * 3} 32`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(svg.namespaceURI as "http://www.w3.org/2000/svg", "path");
  const line = (value: number, at: number): string => {
    const half = 1 + (Math.max(0, Math.min(100, value)) * 14) / 100;
    return `M${at * 3 + 1.5} ${16 - half}V${16 + half}`;
  };
  path.setAttribute("d", values.map(line).join(""));
  svg.append(path);
  return svg;
}

function fileView(app: App, one: Extract<Stored, { type: "file" }>): HTMLElement {
  return loaded(app, one, "file", ({ url }) =>
    el(
      "a",
      { class: "file", href: url, download: one.name ?? "file" },
      icon("clip"),
      el("bdi", {}, one.name ?? "File"),
      el("small", {}, sizeOf(one.size)),
    ),
  );
}

/** A link, or what a page says about itself: without its picture, which would show the reader's address to others. */
export function card(title: string, text: string | null | undefined, url?: string): HTMLElement {
  const content = [el("b", { dir: "auto" }, title), text && el("span", { class: "card-text", dir: "auto" }, text)];
  const isLink = url !== undefined && /^https?:\/\//i.test(url);
  return isLink
    ? el("a", { class: "card", href: url, target: "_blank", rel: "noopener noreferrer" }, content)
    : el("div", { class: "card" }, content);
}

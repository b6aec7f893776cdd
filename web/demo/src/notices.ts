// What the page says: short notices that go by themselves, and announcements for screen readers only.
import { el, fill } from "./dom.js";
import { iconButton } from "./controls.js";

const SHOWN_MS = 6000;
const polite = el("div", { class: "hidden", role: "status" });
const toasts = el("div", { class: "toasts", role: "status" });

/** Where the notices are: in the open dialog, because everything outside of it is inert. */
export function placeNotices(): void {
  ([...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body).append(toasts, polite);
}

/** Says something to users of a screen reader, after what is being said. */
export function announce(text: string): void {
  fill(polite, text);
}

export function toast(text: string, kind: "done" | "error" = "done"): void {
  const close = (): void => box.remove();
  const box = el(
    "div",
    { class: `toast ${kind}` },
    el("span", { dir: "auto" }, text),
    iconButton("close", "Dismiss", close),
  );
  toasts.append(box);
  while (toasts.childElementCount > 3) toasts.firstElementChild?.remove();
  const wait = (): void => {
    setTimeout(() => (box.matches(":hover, :focus-within") ? wait() : close()), SHOWN_MS);
  };
  wait();
}

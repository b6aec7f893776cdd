// The text of a message: links are made of http and https addresses only, everything else is text.
import { el, fill, set } from "./dom.js";

const LINK = /https?:\/\/[^\s<>"]+/g;
/** Longer texts are folded. */
const FOLDED = 1500;

function pieces(text: string): (string | HTMLElement)[] {
  const found: (string | HTMLElement)[] = [];
  let end = 0;
  for (const { 0: match, index } of text.matchAll(LINK)) {
    const address = match.replace(/[.,:;!?)\]']+$/, "");
    const url = URL.canParse(address) ? new URL(address) : null;
    if (!url) continue;
    found.push(
      text.slice(end, index),
      el("a", { href: url.href, target: "_blank", rel: "noopener noreferrer" }, address),
    );
    end = index + address.length;
  }
  found.push(text.slice(end));
  return found;
}

export function messageText(text: string): HTMLElement {
  const body = el("div", { class: "text", dir: "auto" });
  if (text.length <= FOLDED) {
    fill(body, pieces(text));
    return body;
  }
  const more = el("button", { type: "button", class: "link-button", "aria-expanded": "false" }, "Show all");
  const show = (isAll: boolean): void => {
    fill(body, pieces(isAll ? text : `${text.slice(0, FOLDED)}…`));
    set(more, "aria-expanded", String(isAll));
    fill(more, isAll ? "Show less" : `Show all ${text.length.toLocaleString()} characters`);
  };
  more.addEventListener("click", () => show(more.getAttribute("aria-expanded") !== "true"));
  show(false);
  return el("div", {}, body, more);
}

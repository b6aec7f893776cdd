// The round sign of a user or a group, with presence.
import type { PresenceState } from "@chatd/client";
import { el, set } from "./dom.js";
import { hueOf, initialOf } from "./format.js";

export function avatar(id: string, name: string): HTMLElement {
  return el("span", { class: `avatar hue-${hueOf(id)}`, "aria-hidden": "true" }, initialOf(name));
}

/** Shows a presence on an avatar; undefined for conversations without one. */
export function setPresence(node: Element, status: PresenceState["status"] | undefined): void {
  set(node, "data-presence", status);
}

// Buttons and fields, as all parts of the page have them.
import { el, newId, type Attributes, type Child } from "./dom.js";
import { icon, type IconName } from "./icons.js";

/** A button with a picture. `label`: what it does, for screen readers and as a tooltip. */
export function iconButton(
  name: IconName,
  label: string,
  act: () => void,
  attributes: Attributes = {},
): HTMLButtonElement {
  const fields = { type: "button", class: "icon-button", "aria-label": label, title: label, ...attributes };
  return el("button", { ...fields, on: { click: act } }, icon(name));
}

export function button(text: string, act: () => void, attributes: Attributes = {}): HTMLButtonElement {
  return el("button", { type: "button", class: "button", ...attributes, on: { click: act } }, text);
}

/** The button that sends a form. */
export function submitButton(text: string, attributes: Attributes = {}): HTMLButtonElement {
  return el("button", { type: "submit", class: "button primary", ...attributes }, text);
}

/** A field with its label above it. */
export function field(label: string, control: HTMLElement, help?: string): HTMLElement {
  control.id ||= newId();
  const note = help ? el("small", { id: newId(), class: "hint" }, help) : null;
  if (note) control.setAttribute("aria-describedby", note.id);
  return el("div", { class: "field" }, el("label", { for: control.id }, label), control, note);
}

export function select<T extends string>(
  value: T,
  options: Record<T, string>,
  changed: (value: T) => void,
): HTMLSelectElement {
  const control = el("select", {});
  for (const [name, text] of Object.entries<string>(options)) control.append(el("option", { value: name }, text));
  control.value = value;
  control.addEventListener("change", () => changed(control.value as T));
  return control;
}

/** A form that does not leave the page: its policy forbids that. */
export function form(submit: () => void, attributes: Attributes, ...children: Child[]): HTMLFormElement {
  const element = el("form", { novalidate: true, ...attributes }, ...children);
  element.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  return element;
}

/** Runs something that takes time, once at a time; meanwhile its button cannot be pressed. */
export async function busy(control: HTMLButtonElement, act: () => Promise<void>): Promise<void> {
  if (control.getAttribute("aria-disabled") === "true") return;
  control.setAttribute("aria-disabled", "true");
  try {
    await act();
  } finally {
    control.removeAttribute("aria-disabled");
  }
}

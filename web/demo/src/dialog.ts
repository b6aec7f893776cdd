// Dialogs: the browser keeps the focus in them, closes them with Escape, and gives the focus back.
import { button, iconButton } from "./controls.js";
import { el, newId, type Child } from "./dom.js";
import { placeNotices } from "./notices.js";

export interface Dialog {
  readonly node: HTMLDialogElement;
  readonly body: HTMLElement;
  close(): void;
}

/** Opens a dialog. `closed` is called when it has been closed in any way. */
export function openDialog(title: string, content: (dialog: Dialog) => Child, closed?: () => void): Dialog {
  const id = newId();
  const body = el("div", { class: "dialog-body" });
  const node = el("dialog", { "aria-labelledby": id });
  const dialog: Dialog = { node, body, close: () => node.close() };
  const heading = el("h2", { id }, title);
  node.append(el("div", { class: "dialog-header" }, heading, iconButton("close", "Close", dialog.close)), body);
  node.addEventListener("close", () => {
    placeNotices();
    node.remove();
    closed?.();
  });
  // A click on what is behind it.
  node.addEventListener("mousedown", (event) => event.target === node && dialog.close());
  body.append(...[content(dialog)].flat().filter((child): child is Node => child instanceof Node));
  document.body.append(node);
  node.showModal();
  placeNotices();
  body.querySelector<HTMLElement>("[autofocus], input, textarea, select, button")?.focus();
  return dialog;
}

/** Asks before something that cannot be undone. */
export function confirmed(question: string, action: string): Promise<boolean> {
  return new Promise((resolve) => {
    let answer = false;
    openDialog(
      action,
      (dialog) => {
        const act = (value: boolean) => () => {
          answer = value;
          dialog.close();
        };
        const cancel = button("Cancel", act(false), { autofocus: true });
        return [
          el("p", { dir: "auto" }, question),
          el("div", { class: "buttons end" }, cancel, button(action, act(true), { class: "button danger" })),
        ];
      },
      () => resolve(answer),
    );
  });
}

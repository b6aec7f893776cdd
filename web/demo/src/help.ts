// The keys that work everywhere, and those of a message.
import { openDialog } from "./dialog.js";
import { el } from "./dom.js";

const KEYS: [string, [keys: string, does: string][]][] = [
  [
    "Everywhere",
    [
      ["?", "this help"],
      ["/", "search"],
      ["n", "new conversation"],
      ["Alt+↑, Alt+↓", "conversation before, conversation after"],
      ["F6", "from the list to the conversation, and back"],
      ["Esc", "close what is open"],
    ],
  ],
  [
    "While you write",
    [
      ["Enter", "send"],
      ["Shift+Enter", "new line"],
      ["↑", "edit your last message, if nothing is written yet"],
      ["Esc", "to the messages"],
    ],
  ],
  [
    "On a message",
    [
      ["↑, ↓, Home, End", "other messages"],
      ["Enter", "all actions"],
      ["r", "reply"],
      ["t", "reply in a thread"],
      ["+", "react with 👍"],
      ["e", "edit"],
      ["Delete", "delete"],
      ["Esc", "back to where you write"],
    ],
  ],
];

export function openHelp(): void {
  openDialog("Keyboard", () =>
    KEYS.map(([title, keys]) =>
      el(
        "section",
        { class: "keys" },
        el("h3", {}, title),
        el(
          "dl",
          {},
          keys.map(([names, does]) =>
            el(
              "div",
              {},
              el(
                "dt",
                {},
                names.split(", ").map((name, at) => [at > 0 && " ", el("kbd", {}, name)]),
              ),
              el("dd", {}, does),
            ),
          ),
        ),
      ),
    ),
  );
}

// The sign-in of a guest: a name is enough. An account of this browser is used again without a question.
import type { Guest } from "@chatd/client";
import { reasonOf } from "./app.js";
import { busy, field, form, submitButton } from "./controls.js";
import { el, fill, set } from "./dom.js";
import { accountName } from "./routes.js";

const MAX_NAME = 100;

/** Resolves when there is an account. */
export async function signIn(root: HTMLElement, account: Guest, notice?: string): Promise<void> {
  if (await account.isSignedUp()) return;
  await new Promise<void>((resolve) => {
    const name = el("input", {
      type: "text",
      dir: "auto",
      autocomplete: "nickname",
      maxlength: MAX_NAME,
      required: true,
    });
    const error = el("p", { class: "error", role: "alert" }, notice ?? "");
    const submit = submitButton("Start chatting");
    const enter = (): Promise<void> =>
      busy(submit, async () => {
        const chosen = name.value.trim();
        set(name, "aria-invalid", !chosen && "true");
        if (!chosen) {
          fill(error, "Please enter a name.");
          return name.focus();
        }
        fill(error);
        try {
          await account.signUp(chosen);
          resolve();
        } catch (reason) {
          fill(error, reasonOf(reason));
        }
      });
    const other = accountName();
    const who = other
      ? `This tab is a person of its own in this browser: ${other}.`
      : "No password, no e-mail address.";
    fill(
      root,
      el(
        "main",
        { class: "sign-in" },
        el("h1", {}, "chatd demo"),
        el("p", { dir: "auto" }, `Chat as a guest. ${who}`),
        form(() => void enter(), { class: "stack" }, field("Your name", name), error, submit),
      ),
    );
    name.focus();
  });
}

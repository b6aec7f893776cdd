// Reports to the moderators: of a message, a user, or the partner of a match.
import { attempt, type App } from "./app.js";
import { button, field, form, select, submitButton } from "./controls.js";
import { openDialog } from "./dialog.js";
import { el } from "./dom.js";

/** The reasons that chatd has by default; `moderation.reasons` of the server may have others. */
const REASONS = {
  spam: "Spam",
  abuse: "Insults or harassment",
  sexual: "Sexual content",
  minor: "Endangers a minor",
  violence: "Violence",
  other: "Something else",
};

export interface Subject {
  conversation?: string;
  message?: string;
  user?: string;
}

export function openReport({ client }: App, subject: Subject): void {
  const reason = select("spam", REASONS, () => {});
  const text = el("textarea", { rows: 3, maxlength: 1000, dir: "auto" });
  openDialog("Report", (dialog) => {
    const send = async (): Promise<void> => {
      const more = text.value.trim();
      const fields = { reason: reason.value, ...subject, ...(more ? { text: more } : {}) };
      if (await attempt(() => client.call("report.create", fields), "Thank you. The moderators will look at it."))
        dialog.close();
    };
    return form(
      () => void send(),
      { class: "stack" },
      field("Reason", reason),
      field("What happened (optional)", text),
      el(
        "div",
        { class: "buttons end" },
        button("Cancel", dialog.close),
        submitButton("Report", { class: "button danger" }),
      ),
    );
  });
}

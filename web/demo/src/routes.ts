// The open view is in the fragment of the address, so that back, forward, reload and links work.

export type Route =
  | { view: "start" }
  | { view: "conversation"; id: string; seq: number | null }
  | { view: "strangers" }
  | { view: "settings" }
  /** A link to write to somebody. */
  | { view: "with"; user: string }
  /** An invite link of a group. */
  | { view: "join"; secret: string };

export function routeOf(hash: string): Route {
  const [view = "", argument = "", seq = ""] = hash.replace(/^#\/?/, "").split("/");
  if (view === "c" && argument) return { view: "conversation", id: argument, seq: Number(seq) || null };
  if (view === "with" && argument) return { view: "with", user: argument };
  if (view === "join" && argument) return { view: "join", secret: argument };
  return view === "strangers" || view === "settings" ? { view } : { view: "start" };
}

export const currentRoute = (): Route => routeOf(location.hash);
export const pathOf = (id: string): string => `#/c/${id}`;

export function go(hash: string, replace = false): void {
  if (location.hash === hash) return;
  if (replace) location.replace(hash);
  else location.hash = hash;
}

/** Which account of this browser the tab uses: `?as=NAME` is another person. */
export const accountName = (): string => new URLSearchParams(location.search).get("as")?.slice(0, 40) ?? "";
export const accountKey = (): string => (accountName() ? `chatd/guest/${accountName()}` : "chatd/guest");

/** The address that opens the page as another person. */
export function otherPerson(hash: string): string {
  const number = Number(/^guest-(\d+)$/.exec(accountName())?.[1] ?? 1) + 1;
  return `${location.origin}/?as=guest-${number}${hash}`;
}

// How times, names and sizes are written.
const locales = navigator.languages;
const clock = new Intl.DateTimeFormat(locales, { hour: "2-digit", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat(locales, { weekday: "short" });
const day = new Intl.DateTimeFormat(locales, { day: "numeric", month: "short" });
const dayAndYear = new Intl.DateTimeFormat(locales, { day: "numeric", month: "short", year: "numeric" });
const long = new Intl.DateTimeFormat(locales, { dateStyle: "full", timeStyle: "short" });
const longDay = new Intl.DateTimeFormat(locales, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const DAY_MS = 86_400_000;

export const timeOf = (at: number): string => clock.format(at);
export const fullTime = (at: number): string => long.format(at);

/** The number of the day, in the time zone of the reader. */
export function dayOf(at: number): number {
  const date = new Date(at);
  return Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) / DAY_MS;
}

/** For lists: a time today, a weekday in the last week, else a date. `now`: the time of the server. */
export function shortTime(at: number, now: number): string {
  const days = dayOf(now) - dayOf(at);
  if (days <= 0) return clock.format(at);
  if (days < 7) return weekday.format(at);
  return new Date(at).getFullYear() === new Date(now).getFullYear() ? day.format(at) : dayAndYear.format(at);
}

/** For the lines between days. */
export function dayName(at: number, now: number): string {
  const days = dayOf(now) - dayOf(at);
  return days <= 0 ? "Today" : days === 1 ? "Yesterday" : longDay.format(at);
}

export function lastSeen(at: number | null, now: number): string {
  return at === null ? "offline" : `last seen ${shortTime(at, now)}`;
}

export function sizeOf(bytes: number): string {
  const units = ["bytes", "kB", "MB", "GB"];
  let at = 0;
  for (; bytes >= 1000 && at < units.length - 1; at++) bytes /= 1000;
  return `${at && bytes < 10 ? bytes.toFixed(1) : Math.round(bytes)} ${units[at]}`;
}

export function lengthOf(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export function count(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString(locales)} ${number === 1 ? one : many}`;
}

export const NAMELESS = "Somebody";

/** The first letter or sign of a name. */
export function initialOf(name: string): string {
  const segments = new Intl.Segmenter(undefined, { granularity: "grapheme" }).segment(name.trim());
  for (const { segment } of segments) return segment.toUpperCase();
  return "?";
}

/** One of eight colours, always the same for an id. */
export function hueOf(id: string): number {
  let sum = 0;
  for (const sign of id) sum = (sum * 31 + (sign.codePointAt(0) ?? 0)) % 4093;
  return sum % 8;
}

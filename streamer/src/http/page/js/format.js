// Numbers and times as text. What is unknown is "–", never 0 or NaN.

export const NONE = "–";
export const known = (n) => typeof n === "number" && Number.isFinite(n);
const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const count = (n) => (known(n) ? grouped.format(n) : NONE);
export const rate = (n) => (!known(n) ? NONE : n > 0 && n < 9.95 ? n.toFixed(1) : grouped.format(n));
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
export const percent = (part, whole) => (whole > 0 ? `${Math.round((part / whole) * 100)} %` : NONE);

/** 340 ms, 1.2 s, 45 s, 12 min, 3 h 20 min, 2 d 4 h: two units at most. */
export function span(s) {
  if (!known(s)) return NONE;
  if (s < 0.9995) return s > 0 && s < 0.0095 ? `${(s * 1000).toFixed(1)} ms` : `${Math.round(s * 1000)} ms`;
  if (s < 9.95) return `${s.toFixed(1)} s`;
  if (s < 119.5) return `${Math.round(s)} s`;
  if (s < 5400) return `${Math.floor(s / 60)} min`;
  const [big, small, a, b] = s < 129600 ? [3600, 60, "h", "min"] : [86400, 3600, "d", "h"];
  const units = Math.round(s / small);
  const rest = units % (big / small);
  return `${Math.floor(units / (big / small))} ${a}${rest ? ` ${rest} ${b}` : ""}`;
}

/** Of an age or a lag, that changes each second: no finer than a tenth. */
export const lagSpan = (s) => (!known(s) ? NONE : s < 9.95 ? `${s.toFixed(1)} s` : span(s));
/** Of how long ago: whole seconds. */
export const whole = (s) => (!known(s) ? NONE : s < 119.5 ? `${Math.max(1, Math.round(s))} s` : span(s));
export const ago = (s) => (!known(s) ? NONE : s < 1.5 ? "just now" : `${whole(s)} ago`);

export function bytes(n) {
  if (!known(n)) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  while (n >= 1023.5 && i < 4) {
    n /= 1024;
    i += 1;
  }
  return `${i && n < 9.95 ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
}

/** A figure of a chart's axis. */
export const short = (n) =>
  n >= 1e9 ? `${+(n / 1e9).toFixed(1)}G` : n >= 1e6 ? `${+(n / 1e6).toFixed(1)}M` : n >= 1000 ? `${+(n / 1000).toFixed(1)}k`
    : `${+n.toPrecision(3)}`;

/** Seconds since 1970 of a time on the wire, RFC 3339; null for none. */
export const seconds = (text) => (text == null ? null : Date.parse(text) / 1000);

const two = (n) => String(n).padStart(2, "0");
const date = (at) => new Date(at * 1000);
export const clock = (at) =>
  known(at) ? `${two(date(at).getHours())}:${two(date(at).getMinutes())}:${two(date(at).getSeconds())}` : NONE;
export const clockMs = (at) =>
  known(at) ? `${clock(at)}.${String(date(at).getMilliseconds()).padStart(3, "0")}` : NONE;
export const minute = (at) => clock(at).slice(0, 5);
/** The clock, with the day where it is another one. */
export function moment(at, now = Date.now() / 1000) {
  if (!known(at)) return NONE;
  const day = date(at).toLocaleDateString("sv");
  return day === date(now).toLocaleDateString("sv") ? clock(at) : `${day} ${minute(at)}`;
}
/** For a hover: both clocks. */
export const both = (at) =>
  known(at) ? `${date(at).toISOString().slice(0, 19).replace("T", " ")} UTC, ${clock(at)} here` : "unknown";

// Controls, and what turns the direction of text or cannot be seen; not tab, newline, and the joiners of letters.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;
/** A text with its unseen characters as \u202E and so on, so that none looks like another. */
export const visible = (text) =>
  text.replace(UNSEEN, (c) => `\\u${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`);

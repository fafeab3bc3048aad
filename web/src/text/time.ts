// Times and sizes as people read them.

import { kept } from "./kept.ts";

// To make one of these takes longer than to draw a row of a list.
const numbers = kept(
  (locale: string, options: string) => new Intl.NumberFormat(locale, JSON.parse(options) as Intl.NumberFormatOptions),
);
const dates = kept((locale: string, timeZone: string) => {
  const zone = timeZone ? { timeZone } : {};
  return new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short", ...zone });
});
const number = (locale: string, options: object) => numbers(locale, JSON.stringify(options));

/** 75_000 → "1:15"; 3_723_000 → "1:02:03". Rounded down, as a running clock shows it; negative becomes 0:00. */
export function clock(ms: number): string {
  const total = Math.max(0, Math.floor(ms / 1000));
  const seconds = String(total % 60).padStart(2, "0");
  const minutes = Math.floor(total / 60) % 60;
  const hours = Math.floor(total / 3600);
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${seconds}` : `${minutes}:${seconds}`;
}

/** A length of time in a sentence: "0.4 s", "12 s", "3 min 5 s". */
export function lasting(ms: number, locale: string): string {
  const unit = (value: number, name: "second" | "minute", digits = 0) =>
    number(locale, { style: "unit", unit: name, unitDisplay: "short", maximumFractionDigits: digits }).format(value);
  if (ms < 10_000) return unit(ms / 1000, "second", 1);
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return unit(seconds, "second");
  const rest = seconds % 60;
  return rest === 0
    ? unit(seconds / 60, "minute")
    : `${unit(Math.floor(seconds / 60), "minute")} ${unit(rest, "second")}`;
}

/** The length of a consultation, as HTML's <time datetime> and screen readers want it: "PT1H2M3S". */
export function isoDuration(ms: number): string {
  const total = Math.max(0, Math.floor(ms / 1000));
  return `PT${Math.floor(total / 3600)}H${Math.floor(total / 60) % 60}M${total % 60}S`;
}

/** Day and time in the reader's own time zone; "" for what is no date. */
export function moment(iso: string | undefined, locale: string, timeZone?: string): string {
  const date = new Date(iso ?? "");
  if (Number.isNaN(date.getTime())) return "";
  return dates(locale, timeZone ?? "").format(date);
}

/** 1_536_000 → "1.5 MB". */
export function size(bytes: number, locale: string): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"] as const;
  let step = 0;
  let value = bytes;
  while (value >= 1000 && step < units.length - 1) {
    value /= 1000;
    step++;
  }
  const unit = units[step] ?? "byte";
  return number(locale, { style: "unit", unit, maximumFractionDigits: step === 0 ? 0 : 1 }).format(value);
}

/** 1234.5 → "1,235"; 3.14159 → "3.1". */
export function decimal(value: number, locale: string): string {
  return number(locale, { maximumFractionDigits: Math.abs(value) < 10 ? 1 : 0 }).format(value);
}

/** A share between 0 and 1 as "42 %", never more than it is. */
export function percent(share: number, locale: string): string {
  const safe = Math.min(1, Math.max(0, Number.isFinite(share) ? share : 0));
  return number(locale, { style: "percent", roundingMode: "floor" }).format(safe);
}

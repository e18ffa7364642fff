/** What the server sends to a watch page, and the parsers, which trust none of it. */

import type { NextPrice } from "./consent";

/** Set by the server in the page, in place of the comment BOOT. */
export interface Boot {
  stream: string;
  title: string;
  state: "live" | "waiting" | "restarting" | "offline";
  /** Text of the multivariant playlist, or null when there is nothing to play. */
  multivariant: string | null;
  /** The media playlist to begin with; `uri` is relative to the page. */
  playlist: { uri: string; text: string } | null;
  price: Price;
  /** Viewer session, 16 hex digits; null when nobody has to pay. */
  session: string | null;
  /** `pay_in`: the account's page takes payments; absent: it takes none. */
  top_up: { open: boolean; url: string; pay_in?: boolean };
  /** Why the token of the page's address counts for nothing on this free stream; absent: it counts. */
  link?: string;
  /** The operator lists this page's origin: it may renew, top up and read receipts. */
  is_origin_listed?: boolean;
  /** When the page's token expires, Unix ms; absent: known from the first renewal on. */
  expires_ms?: number;
  /** The server's clock when it wrote the page, Unix ms; absent: the viewer's clock is trusted. */
  now_ms?: number;
}

/** Price of a second; planck as a decimal string, since it outgrows a double. */
export interface Price {
  planck_per_s: string;
  symbol: string;
  decimals: number;
  /** A price to come, and the Unix ms of the first second that costs it. */
  next?: { planck_per_s: string; from_ms: number };
  /** Seconds of each show that are free to everyone; absent: none. */
  preview_s?: number;
  /** The most that a show costs, in planck; absent: no bound. */
  show_cap?: string;
}

/** One reading of the live meter. */
export interface MeterReading {
  type: "meter";
  seconds: number;
  spent: bigint;
  balance: bigint;
  /** What went back of payments after it was spent: the next deposit pays it first. */
  debt: bigint;
  price: bigint;
  next: NextPrice | null;
  /** The server's clock, Unix ms; null from a server that does not tell it. */
  nowMs: number | null;
  /** Null when the balance has no end (a free stream, or a show that costs no more before it). */
  secondsLeft: number | null;
  /** Seconds of this show that are still free; they are among `secondsLeft`. */
  freeS: number;
  /** What this show may still cost; below the price of a second it costs no more. Null: no bound. */
  showLeft: bigint | null;
  /** Until when a pass covers the stream, Unix ms; 0: until the show ends. Null: none does. */
  passUntilMs: number | null;
  state: "live" | "waiting" | "restarting" | "ended";
}

export type StopReason = "purse" | "limit" | "session" | "pace";

export type MeterMessage =
  | MeterReading
  | { type: "warning"; secondsLeft: number }
  | { type: "stopped"; reason: StopReason; topUpUrl: string };

/** A new token for the page. */
export interface Minted {
  path: string;
  session: string;
  expiresMs: number;
  /** When the session ends: no token of it is valid for longer. Null: not told. */
  endsMs: number | null;
}

const STOP_REASONS: readonly string[] = ["purse", "limit", "session", "pace"];
const METER_STATES: readonly string[] = ["live", "waiting", "restarting", "ended"];

/** Return planck as bigint, or null when `value` is no decimal string of at most 78 digits. */
export function parsePlanck(value: unknown): bigint | null {
  return typeof value === "string" && /^-?\d{1,78}$/.test(value) ? BigInt(value) : null;
}

/** Return what the watch page starts with, or null when the text does not say what it costs. */
export function parseBoot(text: string): Boot | null {
  const data = parseObject(text) as Partial<Boot> | null;
  if (typeof data?.stream !== "string" || parsePlanck(data.price?.planck_per_s) === null) {
    return null;
  }
  if (typeof data.price?.decimals !== "number" || typeof data.top_up?.url !== "string") return null;
  return data as Boot;
}

/** Return the meter's message, or null for anything that is not one. */
export function parseMeterMessage(text: string): MeterMessage | null {
  const data = parseObject(text);
  switch (data?.["type"]) {
    case "meter": {
      const spent = parsePlanck(data["spent"]);
      const balance = parsePlanck(data["balance"]);
      const price = parsePlanck(data["price"]);
      const seconds = data["seconds"];
      const left = data["seconds_left"];
      const state = String(data["state"]);
      if (spent === null || balance === null || price === null || !isCount(seconds)) return null;
      if (!METER_STATES.includes(state)) return null;
      return {
        type: "meter",
        seconds,
        spent,
        balance,
        debt: parsePlanck(data["debt"]) ?? 0n,
        price,
        next: parseNextPrice(data["next_price"]),
        nowMs: isCount(data["now_ms"]) ? data["now_ms"] : null,
        secondsLeft: isCount(left) ? left : null,
        freeS: isCount(data["free_s"]) ? data["free_s"] : 0,
        showLeft: parsePlanck(data["show_left"]),
        passUntilMs: parsePass(data["pass"]),
        state: state as MeterReading["state"],
      };
    }
    case "warning": {
      const left = data["seconds_left"];
      return isCount(left) ? { type: "warning", secondsLeft: left } : null;
    }
    case "stopped": {
      const reason = String(data["reason"]);
      if (!STOP_REASONS.includes(reason)) return null;
      const url = data["top_up_url"];
      return {
        type: "stopped",
        reason: reason as StopReason,
        topUpUrl: typeof url === "string" ? url : "",
      };
    }
    default:
      return null;
  }
}

/** Return a price to come, or null for anything that is not one. */
export function parseNextPrice(value: unknown): NextPrice | null {
  if (typeof value !== "object" || value === null) return null;
  const data = value as Record<string, unknown>;
  const planck = parsePlanck(data["planck_per_s"]);
  const fromMs = data["from_ms"];
  return planck !== null && isCount(fromMs) ? { planck, fromMs } : null;
}

/** Return until when a pass covers the stream: Unix ms, 0 for a show's; null: there is none. */
function parsePass(value: unknown): number | null {
  if (typeof value !== "object" || value === null) return null;
  const untilMs = (value as Record<string, unknown>)["until_ms"];
  return isCount(untilMs) ? untilMs : 0;
}

/** Return a minted token, or null when its path is not `/w/<token>/<stream>/` of this stream. */
export function parseMinted(text: string, stream: string): Minted | null {
  const data = parseObject(text);
  const path = data?.["path"];
  const session = data?.["session"];
  const expiresMs = data?.["expires_ms"];
  const ends = data?.["ends_ms"];
  if (typeof path !== "string" || typeof session !== "string" || !isCount(expiresMs)) return null;
  const endsMs = isCount(ends) ? ends : null;
  const match = /^\/w\/[\w.~-]+\/([a-z0-9-]+)\/$/.exec(path);
  return match?.[1] === stream ? { path, session, expiresMs, endsMs } : null;
}

/** Return the object that a JSON text holds, or null. */
export function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}

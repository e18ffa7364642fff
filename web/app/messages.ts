/** Every state as sentences for the viewer. Pure: snapshot in, text out. */

import {
  digitsFor,
  formatClock,
  formatPlanck,
  formatShort,
  formatSpan,
  formatTime,
} from "../sdk/money";
import type { Snapshot } from "../sdk/snapshot";
import { secondsWithin } from "./own_limit";
import { linkLines, mayTryAgain } from "./link_words";
import { openingLines, stuckLines, ways } from "./picture_words";

export type Action = "play" | "smaller" | "agree" | "top-up" | "take-over";

/** What covers the picture. */
export interface Notice {
  title: string;
  text: string;
  eye: "open" | "closed" | "looking";
  action: { kind: Action; label: string } | null;
  /** A second way on. */
  other: { kind: Action; label: string } | null;
  /** True where the viewer may set a limit of their own. */
  hasLimit: boolean;
  /** Link to the operator's own top-up page, when this page cannot do it. */
  link: { url: string; label: string } | null;
  hint: string;
}

/** Return one line on the state. */
export function statusLine(shown: Snapshot): string {
  switch (shown.state) {
    case "live":
      return shown.reason ? "Playing the last paid seconds" : "Live";
    case "loading":
      return shown.reason === null ? "Opening" : "Opening. No picture has come yet";
    case "asking":
      return "Waiting for you. The meter is stopped";
    case "stuck":
      return "No moving picture. The meter is stopped";
    case "waiting":
      if (shown.isServerAway) return "The server is restarting";
      return shown.isPublisherAway ? "Waiting for the creator to come back" : "Catching up";
    case "paused":
      return "Paused. The meter is stopped";
    case "reconnecting":
      return "Looking for the server";
    case "slowed":
      return shown.reason === "pace" ? "Slowed down" : "The server is busy";
    case "offline":
      return shown.reason === "closed" ? "Closed by the operator" : "Not live yet";
    case "ended":
      return shown.reason === "closed" ? "Closed by the operator" : "The stream is over";
    case "stopped":
      if (shown.reason === "limit") return "Stopped at your limit";
      return shown.debtPlanck === "0"
        ? "Stopped: the balance is empty"
        : "Stopped: something is owed";
    case "kicked":
      return shown.ended === "" ? "Playing somewhere else" : "Ended. Nothing more is charged";
    case "denied":
      return linkLines(shown)[0];
  }
}

/** Return a short message over a picture that still plays, or null. */
export function toastLine(shown: Snapshot): string | null {
  if (shown.state === "waiting" && shown.isServerAway) {
    return "The server is restarting. The picture comes back by itself; you pay nothing meanwhile.";
  }
  if (shown.state === "waiting") {
    return shown.isPublisherAway
      ? "The creator\u2019s connection dropped. You pay nothing while you wait."
      : "Waiting for more picture. You pay nothing while you wait.";
  }
  if (shown.state === "reconnecting") return "Connection lost. Coming back by itself.";
  if (shown.state === "slowed") {
    return shown.reason === "pace"
      ? "The server asks this player to wait. Going on in a moment."
      : "The server is busy. Going on in a moment.";
  }
  if (shown.state === "live" && shown.isAsked) {
    return "Still watching? Touch the picture or press a key, or it stops within a minute.";
  }
  if (shown.state === "live" && shown.reason === null && isNextAbove(shown)) {
    return `${nextPriceLine(shown)} Then it asks you first.`;
  }
  if (shown.state === "live" && shown.warning !== null && shown.warning <= 30) {
    const left = shown.secondsLeft ?? shown.warning;
    return left > 0 ? `Your balance lasts ${formatSpan(left)} more` : "Your balance is used up";
  }
  return null;
}

/** Return what covers the picture, or null while it shows. */
export function noticeFor(shown: Snapshot): Notice | null {
  const notice = (title: string, text: string, rest: Partial<Notice> = {}): Notice => {
    const none = { action: null, other: null, link: null, hasLimit: false, hint: "" };
    return { title, text, eye: "open", ...none, ...rest };
  };
  if (shown.reason === "closed" && ["offline", "ended"].includes(shown.state)) {
    return notice("The operator has closed this stream", visitLine(shown), { eye: "closed" });
  }
  switch (shown.state) {
    case "loading":
      return notice(...openingLines(shown), { eye: "looking", ...(shown.reason && ways(shown)) });
    case "asking":
      return notice(...askingLines(shown), {
        action: { kind: "agree", label: `Watch for ${perHour(shown)} an hour` },
        hasLimit: true,
        hint: shown.reason === "start" ? FIRST_SECONDS : "",
      });
    case "stuck":
      return notice(...stuckLines(shown), ways(shown));
    case "paused":
      return notice(...pauseLines(shown), { action: { kind: "play", label: "Watch live" } });
    case "offline":
      return notice("Not live yet", "Leave this page open: it starts by itself.", {
        eye: "closed",
        hint: shown.isPriced ? "Waiting costs nothing." : "",
      });
    case "ended":
      return notice("The stream has ended", visitLine(shown), {
        eye: "closed",
        hint: "If a new one begins, it starts here by itself.",
      });
    case "stopped":
      return shown.reason === "limit"
        ? notice("You reached your limit", LIMIT_USED_UP, {
            eye: "closed",
            other: { kind: "play", label: "Try again" },
            hint: visitLine(shown),
            link: { url: `/${shown.stream}/#watch`, label: "Set another limit" },
          })
        : notice(...dryLines(shown), {
            eye: "closed",
            ...topUpWays(shown),
            hint: visitLine(shown),
          });
    case "kicked":
      if (shown.ended !== "") {
        return notice("Ended", shown.ended, {
          eye: "closed",
          hint: visitLine(shown),
          link: { url: `/${shown.stream}/#watch`, label: "Come in again" },
        });
      }
      return shown.reason === "pace"
        ? notice(
            "Stopped by the server",
            "More was fetched through this link than one player can show. Nothing more is charged.",
            { action: { kind: "take-over", label: "Watch here" } },
          )
        : notice("Playing on another device", "Your account opened the stream somewhere else.", {
            action: { kind: "take-over", label: "Watch here instead" },
          });
    case "denied":
      return notice(...linkLines(shown), {
        eye: "closed",
        action: mayTryAgain(shown) ? { kind: "play", label: "Try again" } : null,
      });
    default:
      return null;
  }
}

/** Return title and text of the pause screen: why it stopped, and that it costs nothing. */
function pauseLines(shown: Snapshot): [string, string] {
  const isFree = shown.isPriced ? "so nothing is charged" : "until you go on";
  switch (shown.reason) {
    case "asleep":
      return ["Your device was asleep", "Nothing of that time was fetched or charged."];
    case "hidden":
      return [
        "Paused while you were away",
        "The page was hidden and silent, so it stopped fetching, and charging. After how long is set on your account\u2019s page.",
      ];
    case "idle":
      return [
        "Still there?",
        `Nobody has touched this page for hours. Nothing is fetched, ${isFree}.`,
      ];
    default:
      return ["Paused", `Nothing is fetched, ${isFree}.`];
  }
}

/** Told before the first start: sdk/consent.ts, UNSEEN_MAX_S. */
const FIRST_SECONDS = "Until the first picture shows, at most 10 seconds are counted.";

/** Return title and text of what is asked before anything is charged. */
function askingLines(shown: Snapshot): [string, string] {
  const { decimals, symbol } = shown.price;
  const amount = (planck: string): string =>
    `${formatShort(BigInt(planck), decimals)}\u00a0${symbol}`;
  const second = `${amount(shown.pricePlanck)} a second`;
  if (shown.reason === "own_limit") {
    const limit = shown.limitPlanck === null ? "" : ` of ${amount(shown.limitPlanck)}`;
    return [`You reached your own limit${limit}`, "Nothing more is fetched until you go on."];
  }
  if (shown.reason === "price" && shown.agreedPlanck !== null) {
    const agreed = amount(shown.agreedPlanck);
    return ["The price has changed", `It is ${second} now. You agreed to ${agreed}.`];
  }
  const free = freeSeconds(shown);
  const price = free > 0 ? `Free for ${formatSpan(free)}, then ${second}` : second;
  return [shown.title, `${price}, counted only while it plays.`];
}

function perHour(shown: Snapshot): string {
  const { decimals, symbol } = shown.price;
  return `${formatShort(BigInt(shown.pricePlanck) * 3600n, decimals)}\u00a0${symbol}`;
}

/** Limits to choose from, in seconds at the present price. */
export const LIMITS_S = [900, 3_600, 10_800] as const;

/** Return what a limit of so many seconds is called: `1 h: 0.9 UNIT`. */
export function limitLabel(shown: Snapshot, seconds: number): string {
  const { decimals, symbol } = shown.price;
  const cost = BigInt(shown.pricePlanck) * BigInt(seconds);
  return `${formatSpan(seconds)}: ${formatShort(cost, decimals)}\u00a0${symbol}`;
}

/** Return what is told of a price to come, or null. */
export function nextPriceLine(shown: Snapshot): string | null {
  if (shown.nextPrice === null) return null;
  const { decimals, symbol } = shown.price;
  const planck = BigInt(shown.nextPrice.planck);
  if (planck === 0n) return `Free from ${formatTime(shown.nextPrice.fromMs)} on.`;
  const per = (seconds: bigint): string =>
    `${formatShort(planck * seconds, decimals)}\u00a0${symbol}`;
  const from = formatTime(shown.nextPrice.fromMs);
  return `From ${from} on it costs ${per(1n)} a second, ${per(3600n)} an hour.`;
}

/** True when the price to come is above what the viewer agreed to. */
export function isNextAbove(shown: Snapshot): boolean {
  const { nextPrice, agreedPlanck } = shown;
  return nextPrice !== null && BigInt(nextPrice.planck) > BigInt(agreedPlanck ?? 0);
}

/** True where the viewer may agree beforehand to the price to come. */
export function canAgreeNext(shown: Snapshot): boolean {
  const isAsked = shown.state === "asking" || shown.state === "denied";
  return !isAsked && shown.agreedPlanck !== null && isNextAbove(shown);
}

const LIMIT_USED_UP =
  "The limit for this player, stream or day is used up. If you lift it on your account\u2019s page, press Try again here.";

/** Return title and text where the balance pays for nothing more. */
function dryLines(shown: Snapshot): [string, string] {
  if (shown.debtPlanck === "0") return ["Your balance ran out", topUpLine(shown)];
  const { decimals, symbol } = shown.price;
  const owed = `${formatShort(BigInt(shown.debtPlanck), decimals)}\u00a0${symbol}`;
  const why = "A payment went back after it was spent: what you pay in pays that first.";
  return [`You owe ${owed}`, `${why} ${topUpLine(shown)}`];
}

function topUpLine(shown: Snapshot): string {
  const canTopUp = shown.topUp.isOpen || topUpAddress(shown, true) !== "";
  return canTopUp
    ? "Top up and the stream goes on right here."
    : "As soon as there is a new deposit, the stream goes on right here.";
}

/**
 * Return where one pays in: on the account's page where it takes payments, else on the operator's
 * own; "" for nowhere. `isBack`: who has paid comes back to the stream in this tab.
 */
export function topUpAddress({ topUp, stream }: Snapshot, isBack: boolean): string {
  if (topUp.canPayIn) return isBack ? `/me/#pay-in=${stream}` : "/me/#pay-in";
  return topUp.url;
}

function topUpWays(shown: Snapshot): Pick<Notice, "action" | "link"> {
  if (shown.topUp.isOpen) return { action: { kind: "top-up", label: "Top up" }, link: null };
  const url = topUpAddress(shown, true);
  return { action: null, link: url === "" ? null : { url, label: "Top up" } };
}

/** Return the small print: what is counted how, and what a link is good for. */
export function fineLine(shown: Snapshot): string {
  if (shown.link === "stream") {
    return "Your link is for another stream. This one is free, so it plays without it.";
  }
  if (shown.link !== "" && shown.link !== "token") {
    return "Your link is no longer good. This stream is free, so it plays without it.";
  }
  const isMeterLost = shown.session !== null && !shown.isMeterOpen && shown.state === "live";
  return isMeterLost ? "The meter is reconnecting; these numbers are counted here." : "";
}

/** Return what was billed, or of a free stream watched, and what it cost, or "" when nothing was. */
export function visitLine(shown: Snapshot): string {
  if (shown.secondsWatched === 0) return "";
  const span = formatSpan(shown.secondsWatched);
  if (!shown.isPriced) return `You watched ${span}.`;
  const { decimals, symbol } = shown.price;
  const cost = formatShort(BigInt(shown.spentPlanck), decimals);
  return `You were billed ${cost}\u00a0${symbol} for ${span}.`;
}

/** Return the price of a second, and of a minute and an hour. */
export function priceLines(shown: Snapshot): [string, string] {
  if (!shown.isPriced) return ["Free to watch", ""];
  const { decimals, symbol } = shown.price;
  const price = BigInt(shown.pricePlanck);
  const per = (seconds: bigint): string =>
    `${formatShort(price * seconds, decimals)}\u00a0${symbol}`;
  if (shown.passUntilMs !== null) {
    return ["Covered by your pass", passEnd(shown.passUntilMs)];
  }
  if (shown.isShowPaid) {
    return ["You pay no more for this show", "You have paid the most that it costs."];
  }
  const cap = shown.price.show_cap;
  const most =
    cap === undefined
      ? ""
      : `, never more than ${formatShort(BigInt(cap), decimals)}\u00a0${symbol} for a show`;
  const more = `${per(60n)} a minute, ${per(3600n)} an hour${most}`;
  const free = freeSeconds(shown);
  return free > 0
    ? [`Free for ${formatSpan(free)} more`, `then ${per(1n)} a second: ${more}`]
    : [`${per(1n)} a second`, more];
}

/** Return until when a pass covers the stream, in words. */
export function passEnd(untilMs: number): string {
  if (untilMs === 0) return "until this show ends";
  const day = { dateStyle: "medium", timeStyle: "short" } as const;
  return `until ${new Date(untilMs).toLocaleString("en", day)}`;
}

/** Return for how many more seconds the show is free to this viewer, as far as it is known. */
function freeSeconds(shown: Snapshot): number {
  return shown.freeS ?? shown.price.preview_s ?? 0;
}

/** Return how many digits behind the point the price needs, and what was spent at any price before. */
export function digitsOf(shown: Snapshot): number {
  const { decimals } = shown.price;
  const amounts = [BigInt(shown.pricePlanck), BigInt(shown.spentPlanck)];
  return Math.max(...amounts.map((amount) => digitsFor(amount, decimals)));
}

/** Return the numbers of the panel. */
export function figures(
  shown: Snapshot,
  digits = digitsOf(shown),
  limit: bigint | null = null,
): Record<"spent" | "balance" | "watched" | "billed" | "left" | "limit", string> {
  const { decimals } = shown.price;
  const { balancePlanck } = shown;
  const [spent, price] = [BigInt(shown.spentPlanck), BigInt(shown.pricePlanck)];
  // What is still free costs nothing of a limit either; a pass or a paid show costs no more.
  const isBilled = shown.isPriced && (shown.freeS ?? 0) === 0 && !shown.isShowPaid;
  const within = isBilled && shown.passUntilMs === null ? limit : null;
  const secondsLeft = secondsWithin(within, spent, price, shown.secondsLeft);
  return {
    spent: formatPlanck(spent, decimals, digits),
    balance:
      balancePlanck === null ? "\u2013" : formatPlanck(BigInt(balancePlanck), decimals, digits),
    watched: formatClock(shown.secondsPlayed),
    billed: formatClock(shown.secondsWatched),
    left: secondsLeft === null ? "\u2013" : formatSpan(secondsLeft),
    limit: limit === null ? "" : `${formatShort(limit, decimals)}\u00a0${shown.price.symbol}`,
  };
}

/** Return the warning under the numbers, or null. */
export function warningLine(shown: Snapshot): string | null {
  const isRunning = ["live", "waiting", "loading", "slowed"].includes(shown.state);
  if (shown.warning === null || !isRunning) return null;
  if (shown.secondsLeft === 0) return "Your balance is used up. The picture stops now.";
  const limits = { 60: "a minute", 30: "30 seconds", 10: "10 seconds" };
  return `Your balance lasts less than ${limits[shown.warning]}. Then the picture stops.`;
}

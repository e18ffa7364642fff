/** Every state as sentences for the viewer. Pure: snapshot in, text out. */

import { digitsFor, formatClock, formatPlanck, formatShort, formatSpan } from "../sdk/money";
import type { Snapshot } from "../sdk/snapshot";

export type Action = "play" | "top-up" | "take-over";

/** What covers the picture. */
export interface Notice {
  title: string;
  text: string;
  eye: "open" | "closed" | "looking";
  action: { kind: Action; label: string } | null;
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
      return "Opening";
    case "waiting":
      return shown.isPublisherAway ? "Waiting for the creator to come back" : "Catching up";
    case "paused":
      return "Paused. The meter is stopped";
    case "reconnecting":
      return "Looking for the server";
    case "slowed":
      return shown.reason === "pace" ? "Slowed down" : "The server is busy";
    case "offline":
      return "Not live yet";
    case "ended":
      return "The stream is over";
    case "stopped":
      return shown.reason === "limit" ? "Stopped at your limit" : "Stopped: the balance is empty";
    case "kicked":
      return "Playing somewhere else";
    case "denied":
      return "This link does not work";
  }
}

/** Return a short message over a picture that still plays, or null. */
export function toastLine(shown: Snapshot): string | null {
  if (shown.state === "waiting") {
    return shown.isPublisherAway
      ? "The creator\u2019s connection dropped. You pay nothing while you wait."
      : "Waiting for more picture. You pay nothing while you wait.";
  }
  if (shown.state === "reconnecting") return "Connection lost. Coming back by itself.";
  if (shown.state === "slowed") {
    return shown.reason === "pace"
      ? "This link is being played faster than it can be watched. Going on in a moment."
      : "The server is busy. Going on in a moment.";
  }
  if (shown.state === "live" && shown.warning !== null && shown.warning <= 30) {
    return `Your balance lasts ${formatSpan(shown.secondsLeft ?? shown.warning)} more`;
  }
  return null;
}

/** Return what covers the picture, or null while it shows. */
export function noticeFor(shown: Snapshot): Notice | null {
  const notice = (title: string, text: string, rest: Partial<Notice> = {}): Notice => {
    return { title, text, eye: "open", action: null, link: null, hint: "", ...rest };
  };
  switch (shown.state) {
    case "loading":
      return notice("", "", { eye: "looking" });
    case "paused":
      return notice("Paused", "Nothing is fetched, so nothing is charged.", {
        action: { kind: "play", label: "Watch live" },
      });
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
        ? notice("You reached your limit", "The limit set for this stream or day is used up.", {
            eye: "closed",
            hint: visitLine(shown),
          })
        : notice("Your balance ran out", topUpLine(shown), {
            eye: "closed",
            ...topUpWays(shown),
            hint: visitLine(shown),
          });
    case "kicked":
      return shown.reason === "pace"
        ? notice(
            "Too fast for one viewer",
            "This link was played faster than one person can watch, so its session was ended.",
            { action: { kind: "take-over", label: "Watch here" } },
          )
        : notice("Playing on another device", "Your account opened the stream somewhere else.", {
            action: { kind: "take-over", label: "Watch here instead" },
          });
    case "denied":
      return notice(
        "This link does not work",
        "It has ended or belongs to another stream. Ask for a new one where you got it.",
        { eye: "closed", action: { kind: "play", label: "Try again" } },
      );
    default:
      return null;
  }
}

function topUpLine(shown: Snapshot): string {
  const canTopUp = shown.topUp.isOpen || shown.topUp.url !== "";
  return canTopUp
    ? "Top up and the stream goes on right here."
    : "As soon as there is a new deposit, the stream goes on right here.";
}

function topUpWays(shown: Snapshot): Pick<Notice, "action" | "link"> {
  if (shown.topUp.isOpen) return { action: { kind: "top-up", label: "Top up" }, link: null };
  const { url } = shown.topUp;
  return { action: null, link: url === "" ? null : { url, label: "Top up" } };
}

/** Return what was watched and what it cost, or "" when nothing was. */
export function visitLine(shown: Snapshot): string {
  if (shown.secondsWatched === 0) return "";
  const watched = `You watched ${formatSpan(shown.secondsWatched)}`;
  if (!shown.isPriced) return `${watched}.`;
  const { decimals, symbol } = shown.price;
  return `${watched} for ${formatShort(BigInt(shown.spentPlanck), decimals)}\u00a0${symbol}.`;
}

/** Return the price of a second, and of a minute and an hour. */
export function priceLines(shown: Snapshot): [string, string] {
  if (!shown.isPriced) return ["Free to watch", ""];
  const { decimals, symbol } = shown.price;
  const price = BigInt(shown.pricePlanck);
  const per = (seconds: bigint): string =>
    `${formatShort(price * seconds, decimals)}\u00a0${symbol}`;
  return [`${per(1n)} a second`, `${per(60n)} a minute, ${per(3600n)} an hour`];
}

/** Return the numbers of the panel. */
export function figures(shown: Snapshot): Record<"spent" | "balance" | "watched" | "left", string> {
  const { decimals } = shown.price;
  const digits = digitsFor(BigInt(shown.pricePlanck), decimals);
  const { balancePlanck, secondsLeft } = shown;
  return {
    spent: formatPlanck(BigInt(shown.spentPlanck), decimals, digits),
    balance:
      balancePlanck === null ? "\u2013" : formatPlanck(BigInt(balancePlanck), decimals, digits),
    watched: formatClock(shown.secondsWatched),
    left: secondsLeft === null ? "\u2013" : formatSpan(secondsLeft),
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

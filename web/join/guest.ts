/**
 * What somebody does at the address of a stream that is not there for everybody: a link is told and
 * taken with a press, a password is asked for, and who is a guest already goes on.
 */

import { ask, Problem, type Ways } from "../me/api";
import { el } from "../me/dom";
import { formatShort } from "../sdk/money";
import { begin, choose, offer, signedIn } from "./joining";
import { press, retitle, run, show, text } from "./view";

/** What a stream is and costs (mediaserver/api/streams/redeem.py, entry_json). */
interface Entry {
  title: string;
  state: string;
  planck_per_s: string;
  preview_s: number;
  symbol: string;
  decimals: number;
}

const STATES: Record<string, string> = { live: "Live now", waiting: "Waiting for the creator" };

/** Begin with a link's secret, or without one. */
export function beginGuest(secret: string): void {
  if (secret === "") show(press("I was invited", "quiet", invited));
  else void run(() => lookAt(secret));
}

/** Tell what a link opens; nothing is used up by that. */
async function lookAt(secret: string): Promise<void> {
  try {
    const entry = await ask<Entry>("POST", `streams/${offer.stream}/access/look`, { link: secret });
    tell(`You are invited: ${entry.title}`, entry);
    begin("Come in", () => signedIn(() => comeIn({ link: secret })));
  } catch (error) {
    // Whom it made a guest before needs it no more.
    if (!(error instanceof Problem) || error.status !== 403) throw error;
    const ways = await ask<Ways>("GET", "sign-in");
    if (ways.is_signed_in && (await isGuest())) return;
    retitle(
      "This link opens nothing",
      "It was used up, was taken back or is over, or a part of it is missing.",
      "You used it before? Then you are let in as who you were.",
    );
    show(press("I came by it before", "quiet", invited));
  }
}

/** Become a guest by what one was given, and watch. */
async function comeIn(given: { link: string } | { password: string }): Promise<void> {
  const entry = await ask<Entry>("POST", `streams/${offer.stream}/access`, given);
  history.replaceState(null, "", location.pathname);
  if ("link" in given) return choose();
  tell(entry.title, entry);
  begin("Watch", () => signedIn(choose));
}

const invited = (): Promise<void> =>
  signedIn(async () => {
    if (!(await isGuest())) showPassword();
  });

/** Show the stream to who may see it; whether they may. */
async function isGuest(): Promise<boolean> {
  try {
    const entry = await ask<Entry>("GET", `streams/${offer.stream}/entry`);
    tell(entry.title, entry);
    begin("Watch", () => signedIn(choose));
    return true;
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 404) throw error;
    return false;
  }
}

function showPassword(): void {
  const password = el("input", {
    type: "password",
    name: "password",
    autocomplete: "off",
    maxLength: 200,
  });
  const enter = el("button", { type: "submit", className: "button" }, "Come in");
  const form = el(
    "form",
    {
      onsubmit: (event) => {
        event.preventDefault();
        if (password.value !== "") void run(() => comeIn({ password: password.value }));
      },
    },
    el("label", {}, "Password of the stream ", password),
    enter,
  );
  show(text("Open the link that you were given, or give the password of the stream."), form);
  password.focus();
}

function tell(title: string, entry: Entry): void {
  Object.assign(offer, {
    price: entry.planck_per_s,
    symbol: entry.symbol,
    decimals: entry.decimals,
  });
  const second = BigInt(entry.planck_per_s);
  const amount = (planck: bigint): string =>
    `${formatShort(planck, entry.decimals)} ${entry.symbol}`;
  const cost = `${amount(second)} a second, ${amount(second * 3600n)} an hour`;
  const free = entry.preview_s > 0 ? `Free for the first ${entry.preview_s} seconds, then ` : "";
  retitle(
    title,
    STATES[entry.state] ?? "Not live",
    second === 0n ? "Free to watch." : `${free}${cost}.`,
  );
}

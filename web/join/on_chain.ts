/** Watching from a wallet's own account: who pays, then what a join lacks on the chain, in order. */

import { ask, Problem, type Me } from "../me/api";
import { el } from "../me/dom";
import { act, escrowOf } from "../me/escrow";
import { firstAccount, signWith } from "../me/wallet";
import { formatShort, parseAmount } from "../sdk/money";
import { press, run, show, text } from "./view";

const CAPS_S = [600, 3600, 14_400, 86_400];
const DAY_S = 86_400;
const SEEN_MS = 3000;
const SEEN_TRIES = 8;

interface Offer {
  stream: string;
  price: string;
  symbol: string;
  decimals: number;
}

type Does = (name: "deposit" | "join", body: Record<string, unknown>) => Promise<void>;

/** Let who pays from no account yet choose a wallet's own; whether there was a choice. */
export async function choosePayer(next: () => Promise<void>): Promise<boolean> {
  const me = await ask<Me>("GET", "me");
  const wallets = me.credentials.filter(({ kind }) => kind === "wallet");
  // Asked only of who has one: it is refused without a chain.
  if (wallets.length === 0 || (await escrowOf()) !== "open") return false;
  const presses = wallets.map(({ id, label }) =>
    press(`Pay from ${label}`, "primary", async () => {
      await payFrom(id);
      await next();
    }),
  );
  show(
    text("Pay from your wallet's own account, or let this server keep an account for you."),
    ...presses,
    press("Use an account of this server", "quiet", next),
  );
  return true;
}

async function payFrom(credential: string): Promise<void> {
  try {
    await ask("PUT", "me/account", { credential });
  } catch (error) {
    if (!(error instanceof Problem) || error.reason !== "show_again") throw error;
    await signWith(await firstAccount(), "sign-in/wallet");
    await ask("PUT", "me/account", { credential });
  }
}

/**
 * Show what a join lacks on the chain, the first step to do; whether it is theirs to do.
 *
 * @param join - Asks for the link again; throws a `Problem` while something lacks.
 */
export async function showSteps(
  problem: Problem,
  offer: Offer,
  join: () => Promise<void>,
): Promise<boolean> {
  const known = problem.missing.length === 0 ? null : await escrowOf();
  if (known === null || known === "open") return false;
  const amount = (planck: string): string =>
    `${formatShort(BigInt(planck), offer.decimals)} ${offer.symbol}`;
  const does: Does = async (name, body) => {
    const line = text("");
    show(line);
    try {
      await act(name, body, known.account, (words) => {
        line.textContent = words;
      });
      line.textContent = "It is on the chain. One moment…";
      await seen(name === "deposit" ? "escrow" : "join", join);
    } catch (error) {
      const isNext = error instanceof Problem && error.missing.length > 0;
      await showSteps(isNext ? error : problem, offer, join);
      if (!isNext) throw error;
    }
  };
  const first = el("li", {}, "Deposit into your escrow with this server, on the chain.");
  const second = el("li", {}, joinWords(problem));
  if (problem.missing.includes("escrow")) {
    first.append(text(`Your account has ${amount(known.free)} there.`), depositForm(offer, does));
    show(text("Two steps, and your wallet asks you for each:"), el("ol", {}, first, second));
  } else {
    second.append(...joinForm(offer, amount, does));
    show(text(`${amount(known.held)} in your escrow.`), el("ol", { start: 2 }, second));
  }
  return true;
}

const joinWords = ({ missing }: Problem): string =>
  missing.includes("price")
    ? "Join again: a second costs more than you agreed to."
    : "Join the stream: say what it may cost you at most.";

/** Ask for the link until the server has seen what is on the chain. */
async function seen(lacked: string, join: () => Promise<void>): Promise<void> {
  for (let left = SEEN_TRIES; ; left -= 1) {
    try {
      await join();
      return;
    } catch (error) {
      const isWaiting = error instanceof Problem && error.missing.includes(lacked);
      if (!isWaiting || left === 0) throw error;
      await new Promise((resolve) => {
        setTimeout(resolve, SEEN_MS);
      });
    }
  }
}

function depositForm({ symbol, decimals }: Offer, does: Does): HTMLElement {
  const input = el("input", { name: "deposit", inputMode: "decimal", autocomplete: "off" });
  input.addEventListener("input", () => input.setCustomValidity(""));
  return el(
    "form",
    {
      onsubmit: (event) => {
        event.preventDefault();
        const planck = parseAmount(input.value, decimals);
        if (planck !== null && planck > 0n) {
          void run(() => does("deposit", { planck: String(planck) }));
          return;
        }
        input.setCustomValidity(`Write an amount of ${symbol} above 0, such as 1.5.`);
        input.reportValidity();
      },
    },
    el("label", {}, `Amount in ${symbol} `, input),
    el("button", { type: "submit", className: "button primary" }, "Deposit"),
  );
}

function joinForm(offer: Offer, amount: (planck: string) => string, does: Does): HTMLElement[] {
  const choice = el("select", { id: "cap-choice" });
  for (const seconds of CAPS_S) {
    const planck = String(BigInt(offer.price) * BigInt(seconds));
    choice.append(new Option(amount(planck), planck));
  }
  const join = (): Promise<void> =>
    does("join", {
      stream: offer.stream,
      max_spend_planck: choice.value,
      max_price_planck: offer.price,
      duration_s: DAY_S,
    });
  return [el("label", {}, "At most ", choice), press("Join", "primary", join)];
}

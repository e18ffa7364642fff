/** One's escrow on the account page, where a wallet's own account pays. */

import { formatExact, formatShort, parseAmount } from "../sdk/money";
import type { Asset, Me } from "./api";
import { button, el, section } from "./dom";
import type { Escrow } from "./escrow";

export interface EscrowActs {
  payFrom: (credential: string) => void;
  onChain: (
    name: "deposit" | "leave" | "request" | "withdraw",
    body: Record<string, unknown>,
    done: string,
  ) => void;
}

/** Offer a wallet's own account as the payer; nothing without a wallet. */
function payer(me: Me, acts: EscrowActs): HTMLElement[] {
  const wallets = me.credentials.filter(({ kind }) => kind === "wallet");
  if (wallets.length === 0) return [];
  const text =
    "Pay from your wallet's own account: what you watch is taken from your escrow there.";
  const presses = wallets.map(({ id, label }) =>
    button(`Pay from ${label}`, "primary", () => acts.payFrom(id)),
  );
  return [section("Who pays", el("p", {}, text), ...presses)];
}

/** Return what is on the account page of one's money on a chain. */
export function onChain(
  known: Escrow | "open" | null,
  me: Me,
  asset: Asset,
  acts: EscrowActs,
): HTMLElement[] {
  if (known === null) return [];
  return known === "open" ? payer(me, acts) : [escrow(known, asset, acts)];
}

function escrow(known: Escrow, asset: Asset, acts: EscrowActs): HTMLElement {
  const amount = (planck: string): string =>
    `${formatShort(BigInt(planck), asset.decimals)} ${asset.symbol}`;
  const made = section(
    "Your escrow",
    el(
      "p",
      {},
      `${amount(known.held)} in escrow here, ${amount(known.free)} in your account on the chain.`,
    ),
    field("deposit", "Deposit", "0", asset, (planck) =>
      acts.onChain("deposit", { planck }, "It is in your escrow."),
    ),
  );
  for (const { stream, title, max_spend: most } of known.joins) {
    made.append(
      el("p", {}, `You joined ${title}, for at most ${amount(most)}.`),
      button("Leave it", "quiet", () => acts.onChain("leave", { stream }, `You left ${title}.`)),
    );
  }
  if (known.asked_back !== null) made.append(...askedBack(known, amount, acts));
  else if (known.held !== "0") {
    made.append(
      field("request", "Ask back", known.held, asset, (planck) =>
        acts.onChain("request", { planck }, "You asked it back: it pays for nothing new."),
      ),
    );
  }
  return made;
}

function askedBack(
  { asked_back: asked, ready_in_s: readyS }: Escrow,
  amount: (planck: string) => string,
  acts: EscrowActs,
): HTMLElement[] {
  const wait = readyS ?? 0;
  const when = wait > 0 ? `may be taken in ${Math.ceil(wait / 60)} minutes` : "may be taken now";
  const made: HTMLElement[] = [el("p", {}, `You asked ${amount(asked ?? "0")} back: it ${when}.`)];
  if (wait <= 0) {
    made.push(
      button("Take it back", "primary", () =>
        acts.onChain("withdraw", {}, "It is in your account on the chain."),
      ),
    );
  }
  const keep = (): void => acts.onChain("request", { planck: "0" }, "It stays in your escrow.");
  made.push(button("Leave it in escrow", "quiet", keep));
  return made;
}

function field(
  name: string,
  label: string,
  planck: string,
  { symbol, decimals }: Asset,
  run: (planck: string) => void,
): HTMLElement {
  const value = planck === "0" ? "" : formatExact(BigInt(planck), decimals);
  const input = el("input", { name, inputMode: "decimal", autocomplete: "off", value });
  input.addEventListener("input", () => input.setCustomValidity(""));
  return el(
    "form",
    {
      id: `escrow-${name}`,
      className: "fields",
      onsubmit: (event) => {
        event.preventDefault();
        const wanted = parseAmount(input.value, decimals);
        if (wanted !== null && wanted > 0n) {
          run(String(wanted));
          return;
        }
        input.setCustomValidity(`Write an amount of ${symbol} above 0, such as 1.5.`);
        input.reportValidity();
      },
    },
    el("label", {}, `${label}, ${symbol}`, input),
    el("button", { type: "submit", className: "button quiet" }, label),
  );
}

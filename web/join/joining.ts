/** Signing in, a limit of one's own, paying in, and the link that opens the watch page. */

import { rememberAgreement } from "../app/agreement";
import { rememberLimit } from "../app/own_limit";
import { ask, Problem, type Ways } from "../me/api";
import { el } from "../me/dom";
import * as passkey from "../me/passkey";
import { minorIn, payLabel } from "../me/minor";
import type { TopUps } from "../me/balance";
import { formatShort } from "../sdk/money";
import { firstAccount, hasWallet, signWith } from "../me/wallet";
import { choosePayer, showSteps } from "./on_chain";
import { press, root, show, text } from "./view";

type Json = Record<string, unknown>;

const LIMITS_S = [0, 600, 3600, 14_400];

/** What is joined; a stream that is not for everybody tells its price later. */
export const offer = {
  stream: root?.dataset["stream"] ?? "",
  price: root?.dataset["price"] ?? "0",
  symbol: root?.dataset["symbol"] ?? "",
  decimals: Number(root?.dataset["decimals"] ?? "0"),
};
const sessionKey = `vilokanam:session:${offer.stream}`;
let limit = "0";
/** What follows once somebody is signed in. */
let then = choose;

const amount = (planck: bigint): string => `${formatShort(planck, offer.decimals)} ${offer.symbol}`;

/** Show the first step: a limit where it costs something, and the button that goes on. */
export function begin(label: string, act: () => Promise<void>): void {
  show(...(offer.price === "0" ? [] : [limitChoice()]), press(label, "primary", act));
}

/** Go on as who is signed in, or after signing in. */
export async function signedIn(next: () => Promise<void>): Promise<void> {
  then = next;
  const ways = await ask<Ways>("GET", "sign-in");
  if (ways.is_signed_in) await next();
  else showWays(ways);
}

/** The id of this tab's player, which a join goes on with. */
function keptSession(): string | null {
  try {
    return sessionStorage.getItem(sessionKey);
  } catch {
    return null; // A browser that keeps nothing: each join is a new player.
  }
}

function keepSession(session: string): void {
  try {
    sessionStorage.setItem(sessionKey, session);
  } catch {
    // As above.
  }
}

async function signIn(): Promise<void> {
  const options = await ask<Json>("POST", "sign-in/passkey/options", {});
  await ask("POST", "sign-in/passkey", { credential: await passkey.get(options) });
  await then();
}

async function signInWallet(): Promise<void> {
  await signWith(await firstAccount(), "sign-in/wallet");
  await then();
}

async function signUp(): Promise<void> {
  const options = await ask<Json>("POST", "sign-up/passkey/options", { name: "Guest" });
  const credential = await passkey.create(options);
  await ask("POST", "sign-up/passkey", { credential, label: "This device" });
  await then();
}

function showWays(ways: Ways): void {
  const made: Node[] = [];
  if (ways.passkey) {
    made.push(press("Sign in with a passkey", "primary", signIn));
    if (ways.sign_up) {
      made.push(
        press("Go on as a guest", "quiet", signUp),
        text(
          "A guest's passkey is made by this device, now. It holds your balance: no name, no mail.",
        ),
      );
    }
  } else {
    made.push(text("Passkeys need this site's own name over HTTPS; here they cannot be used."));
  }
  if (hasWallet()) made.push(press("Sign in with a wallet", "quiet", signInWallet));
  made.push(el("p", {}, el("a", { href: "/me/" }, "Other ways to sign in")));
  show(...made);
}

interface Passes {
  sold: { kind: "show" | "month"; planck: string }[];
  held: { until_ms: number | null } | null;
}

/** Let who is signed in choose who pays, where they may, and then how. */
export async function choose(): Promise<void> {
  if (offer.price === "0" || !(await choosePayer(chooseHow))) await chooseHow();
}

/** Let them pay by the second, or once where there is a pass; who has one goes on. */
async function chooseHow(): Promise<void> {
  const { sold, held } = await ask<Passes>("GET", `streams/${offer.stream}/passes`);
  if (held !== null || sold.length === 0 || offer.price === "0") {
    await join();
    return;
  }
  const names = { show: "for this show", month: "for 30 days" };
  const passes = sold.map(({ kind, planck }) => {
    const key = orderKey();
    const buy = async (): Promise<void> => {
      await buyPass(kind, planck, key);
    };
    return press(`Pass ${names[kind]}: ${amount(BigInt(planck))}`, "quiet", buy);
  });
  show(
    text("Pay by the second, or once: what a pass covers costs nothing more."),
    press("Watch by the second", "primary", join),
    ...passes,
  );
}

async function buyPass(
  kind: "show" | "month",
  planck: string,
  key: Record<string, string>,
): Promise<void> {
  const buy = async (): Promise<void> => {
    await buyPass(kind, planck, key);
  };
  try {
    await ask("POST", "me/passes", { stream: offer.stream, kind, planck }, key);
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 402) throw error;
    await showTopUp(error, "Your balance does not pay for the pass. Pay in, and buy it.", buy);
    return;
  }
  await join();
}

export async function join(): Promise<void> {
  try {
    await openLink();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.reason === "sign_in") showWays(await ask<Ways>("GET", "sign-in"));
    else if (await showSteps(error, offer, openLink)) return;
    else if (error.status === 402) {
      await showTopUp(error, "Your balance is empty. Pay in, and it plays.", join);
    } else throw error;
  }
}

/** Open the watch page by a link of one's own. */
async function openLink(): Promise<void> {
  const session = keptSession();
  const body = {
    ...(session !== null && { session }),
    // Where it was asked for: "0" lifts the one that a player of this tab had.
    ...(offer.price !== "0" && { limit_planck: limit }),
  };
  const made = await ask<{ path: string; session: string }>(
    "POST",
    `streams/${offer.stream}/join`,
    body,
  );
  keepSession(made.session);
  rememberLimit(offer.stream, limit);
  // The claim holds the limit: the page need not count it once more.
  rememberAgreement(offer.stream, offer.price, null);
  location.replace(made.path);
}

async function showTopUp(
  problem: Problem,
  words: string,
  next: () => Promise<void>,
): Promise<void> {
  const known = await ask<TopUps>("GET", "me/top-ups");
  const made: Node[] = [text(words)];
  const demo = async (): Promise<void> => {
    await ask("POST", "me/top-ups", { provider: "demo" }, orderKey());
    await next();
  };
  for (const provider of known.providers) {
    if (provider === "demo") made.push(press(payLabel("demo"), "primary", demo));
    else made.push(...paying(provider, known));
  }
  if (known.providers.length === 0) made.push(text(problem.message));
  made.push(press("I have paid: go on", "quiet", next));
  show(...made);
}

function paying(provider: string, known: TopUps): Node[] {
  const scale = 10 ** known.currency_decimals;
  const input = el("input", {
    inputMode: "decimal",
    value: String(known.amount_min / scale),
    oninput: () => input.setCustomValidity(""),
  });
  input.autocomplete = "off";
  const pay = async (): Promise<void> => {
    const amount = minorIn(input, known);
    if (amount === null) return;
    const wanted = { provider, amount, stream: offer.stream };
    const order = await ask<{ pay_url: string | null }>("POST", "me/top-ups", wanted, orderKey());
    if (order.pay_url !== null) location.assign(order.pay_url);
  };
  const label = el("label", {}, `Amount in ${known.currency} `, input);
  return [label, press(payLabel(provider), "primary", pay)];
}

const orderKey = (): Record<string, string> => ({ "Idempotency-Key": crypto.randomUUID() });

function limitChoice(): HTMLElement {
  const choice = el("select", {
    id: "limit-choice",
    onchange: () => {
      limit = choice.value;
    },
  });
  for (const seconds of LIMITS_S) {
    const planck = BigInt(offer.price) * BigInt(seconds);
    const label = seconds === 0 ? "No limit of mine" : amount(planck);
    choice.append(new Option(label, String(planck)));
  }
  return el("label", {}, "Stop after ", choice);
}

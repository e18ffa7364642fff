/** The account page: sign in or up, then everybody's own: ways in, browsers, what they watch. */

import "./me.css";
import {
  ask,
  Problem,
  type Asset,
  type Invitation,
  type Letters,
  type Limits,
  type Me,
  type OwnPass,
  type Player,
  type PlayerSettings,
  type Session,
  type Watched,
  type Ways,
} from "./api";
import type { AutoTopUp } from "./auto_top_up";
import type { Money, TopUps, Withdrawals } from "./balance";
import { el } from "./dom";
import { act, escrowOf } from "./escrow";
import type { Share } from "./earning";
import { exported, save, type Left } from "./leaving";
import * as passkey from "./passkey";
import { account, invitationText, visitor, type Acts } from "./views";
import { firstAccount, signWith } from "./wallet";
import type { Watching } from "./watching";

type Json = Record<string, unknown>;

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no ${id}`);
  return found;
}

const view = element("view");
const errorLine = element("error");

/** What is behind the #, so that no server's log has it. */
function behindHash(name: string): string {
  return new URLSearchParams(location.hash.slice(1)).get(name) ?? "";
}

const invitationCode = (): string => behindHash("invitation");

function showError(text: string): void {
  errorLine.textContent = text;
  errorLine.hidden = text === "";
}

async function signIn(): Promise<void> {
  const options = await ask<Json>("POST", "sign-in/passkey/options", {});
  await ask("POST", "sign-in/passkey", { credential: await passkey.get(options) });
}

/** Ask; where a way in has to be shown again, have it shown, and ask once more. */
async function askFresh<T>(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<T> {
  try {
    return await ask<T>(method, path, body, headers);
  } catch (error) {
    if (!(error instanceof Problem) || error.reason !== "show_again") throw error;
    await signIn();
    return await ask<T>(method, path, body, headers);
  }
}

function forgetHash(): void {
  history.replaceState(null, "", location.pathname);
}

let codes: string[] = [];
let older: Watched[] = [];
let notice = "";
let left: Left | null = null;
let newest: Watched | null = null;
const PAGE = 10;

const acts: Acts = {
  signIn: () => run(signIn),
  signUp: (name) =>
    run(async () => {
      const options = await ask<Json>("POST", "sign-up/passkey/options", { name });
      const credential = await passkey.create(options);
      await ask("POST", "sign-up/passkey", { credential, label: deviceName() });
    }),
  recover: (code) => run(() => ask("POST", "sign-in/recovery", { code })),
  signInWallet: () => run(async () => signWith(await firstAccount(), "sign-in/wallet")),
  mailLink: (address) =>
    run(async () => {
      await ask("POST", "sign-in/mail", { address });
      notice = "A letter is on its way, if this address may sign in: open the link in it.";
    }),
  addMail: (address) =>
    run(async () => {
      await askFresh("POST", "me/credentials/mail", { address });
      notice = "A letter is on its way: open the link in it, here.";
    }),
  takeMail: () =>
    run(async () => {
      const [adds, secret] = [behindHash("add-mail"), behindHash("mail")];
      forgetHash();
      if (adds !== "") await askFresh("POST", "me/credentials/mail/confirm", { secret: adds });
      else await ask("POST", "sign-in/mail/confirm", { secret });
    }),
  away: (issuer, isSignedIn) =>
    run(async () => {
      const path = isSignedIn ? "me/credentials/oidc" : "sign-in/oidc";
      const { url } = await askFresh<{ url: string }>("POST", `${path}/${issuer}`, {});
      location.assign(url);
    }),
  signOut: () => run(() => ask("DELETE", "me/session")),
  rename: (name) => run(() => ask("PATCH", "me", { name })),
  addPasskey: () =>
    run(async () => {
      const options = await askFresh<Json>("POST", "me/credentials/passkey/options", {});
      const credential = await passkey.create(options);
      await ask("POST", "me/credentials/passkey", { credential, label: deviceName() });
    }),
  addWallet: () =>
    run(async () => signWith(await firstAccount(), "me/credentials/wallet", askFresh)),
  remove: (id) => run(() => askFresh("DELETE", `me/credentials/${id}`)),
  makeCodes: () =>
    run(async () => {
      codes = (await askFresh<{ codes: string[] }>("POST", "me/recovery-codes", {})).codes;
    }),
  end: (id) => run(() => ask("DELETE", `me/sessions/${id}`)),
  endOthers: () => run(() => ask("DELETE", "me/sessions")),
  endPlayer: (player) =>
    run(async () => {
      await ask("DELETE", `me/players/${player}`);
      notice = "That player stops within a few seconds, and its link opens nothing any more.";
    }),
  limit: (values) =>
    run(async () => {
      await ask("PUT", "me/limits", values);
      notice = "Your limits are kept, and hold from the next second on.";
    }),
  setPlayers: (settings) =>
    run(async () => {
      await ask("PUT", "me/player-settings", settings);
      notice = "That is kept. Pages that are open know it within ten minutes.";
    }),
  setLetters: (planck, address) =>
    run(async () => {
      await ask("PUT", "me/letters", {
        low_balance_planck: planck,
        ...(address !== "" && { address }),
      });
      notice =
        planck === "0" ? "You are written to no more." : "You are written to, once each time.";
    }),
  download: () =>
    run(async () => {
      const text = await exported((path) => askFresh("GET", path));
      save(text, "my-data.jsonl");
    }),
  close: ({ balance, isShare }) =>
    run(async () => {
      try {
        const lost = { forfeit_planck: balance, forfeit_shares: isShare };
        await askFresh("POST", "me/close", lost);
        left = null;
        notice = "Your account is closed, and what was yours is erased.";
      } catch (error) {
        if (!(error instanceof Problem) || (error.balance || error.earnings) === "") throw error;
        left = {
          balance: error.balance || balance,
          isShare: isShare || error.earnings !== "",
          words: error.message,
        };
      }
    }),
  payIn: (provider, amount) =>
    run(async () => {
      const stream = payingFor();
      const wanted = {
        provider,
        ...(amount !== null && { amount }),
        ...(stream !== "" && { stream }),
      };
      const { pay_url } = await ask<{ pay_url: string | null }>(
        "POST",
        "me/top-ups",
        wanted,
        onceOnly(),
      );
      if (pay_url !== null) location.assign(pay_url);
    }),
  allowAuto: (wanted) =>
    kept(async () => {
      const { pay_url } = await askFresh<AutoTopUp>("PUT", "me/auto-top-up", wanted);
      if (pay_url !== null) location.assign(pay_url);
      else notice = "That is kept: your balance is filled while you watch, within your mosts.";
    }),
  endAuto: () =>
    run(async () => {
      await ask("DELETE", "me/auto-top-up");
      notice = "It is off: nothing more is paid in by itself.";
    }),
  takeOut: (amount) =>
    run(async () => {
      await askFresh("POST", "me/withdrawals", { amount }, onceOnly());
      notice = "It left your balance, and goes back to where it was paid from.";
    }),
  askToBePaid: ({ stream, account }, payee, bankAccount) =>
    run(async () => {
      const wanted = { stream, account, payee, bank_account: bankAccount };
      await askFresh("POST", "me/payouts", wanted, onceOnly());
      notice = "It is asked for: the operator approves it, then a bank pays.";
    }),
  payFrom: (credential) =>
    run(async () => {
      await askFresh("PUT", "me/account", { credential });
      notice = "Your wallet's own account pays from now on.";
    }),
  onChain: (name, body, done) =>
    run(async () => {
      const { account: payer } = await ask<Me>("GET", "me");
      const line = el("p", { className: "advice" });
      view.prepend(line);
      await act(name, body, payer ?? "", (words) => {
        line.textContent = words;
      });
      notice = done;
    }),
  older: () => run(async () => older.push(await ask<Watched>("GET", nextPage()))),
  accept: () =>
    run(async () => {
      await askFresh("POST", "me/invitations", { code: invitationCode() });
      forgetHash();
    }),
};

/** A key by which a request that is sent again is done once. */
const onceOnly = (): Record<string, string> => ({ "Idempotency-Key": crypto.randomUUID() });

/** The stream whose page sent one here to pay in; empty: none did. */
function payingFor(): string {
  const slug = behindHash("pay-in");
  return /^[a-z0-9-]{1,64}$/.test(slug) ? slug : "";
}

/** What the device is, as its owner knows it, for the list of ways in. */
function deviceName(): string {
  const agent = navigator.userAgent;
  const known = ["iPhone", "iPad", "Android", "Windows", "Macintosh", "Linux"];
  return known.find((name) => agent.includes(name))?.replace("Macintosh", "Mac") ?? "Passkey";
}

function run(work: () => Promise<unknown>): void {
  showError("");
  view.setAttribute("aria-busy", "true");
  work()
    .catch((error: unknown) => showError(passkey.refusalText(error)))
    .then(show)
    .catch((error: unknown) => showError(passkey.refusalText(error)));
}

/** Do what a form asks and return why not, to be shown there: the page and its fields stay. */
async function kept(work: () => Promise<unknown>): Promise<string> {
  showError("");
  view.setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (error) {
    view.removeAttribute("aria-busy");
    return passkey.refusalText(error);
  }
  run(() => Promise.resolve());
  return "";
}

async function invitation(): Promise<string> {
  const code = invitationCode();
  if (code === "") return "";
  try {
    return invitationText(await ask<Invitation>("POST", "invitations/look", { code }));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    forgetHash();
    showError(error.message);
    return "";
  }
}

/** Whether the page was opened by the link of a letter, which a press takes. */
function hasLetter(): boolean {
  return behindHash("mail") !== "" || behindHash("add-mail") !== "";
}

/** Show what a press did, once. */
function tell(): void {
  if (notice !== "") view.prepend(el("p", { className: "advice" }, notice));
  notice = "";
}

/** Address of the page of history behind those that are shown; empty: there is none. */
function nextPage(): string {
  const before = (older.at(-1) ?? newest)?.next_before ?? null;
  return before === null ? "" : `me/history?limit=${PAGE}&before=${before}`;
}

async function look(): Promise<Watching> {
  const [{ players }, limits, settings, letters, { asset }, watched, bought] = await Promise.all([
    ask<{ players: Player[] }>("GET", "me/players"),
    ask<Limits>("GET", "me/limits"),
    ask<PlayerSettings>("GET", "me/player-settings"),
    ask<Letters>("GET", "me/letters"),
    ask<{ asset: Asset }>("GET", "operator"),
    ask<Watched>("GET", `me/history?limit=${PAGE}`),
    ask<{ passes: OwnPass[]; next_before: string | null }>("GET", "me/passes"),
  ]);
  if (newest?.next_before !== watched.next_before) older = [];
  newest = watched;
  const shows = [watched, ...older].flatMap((page) => page.shows);
  const { passes } = bought;
  const pages = { hasOlder: nextPage() !== "", hasMorePasses: bought.next_before !== null };
  return { players, limits, settings, letters, asset, shows, passes, ...pages };
}

async function money({ balance, debt }: Me): Promise<Money> {
  const [topUps, withdrawals, auto] = await Promise.all([
    ask<TopUps>("GET", "me/top-ups"),
    ask<Withdrawals>("GET", "me/withdrawals"),
    ask<AutoTopUp>("GET", "me/auto-top-up"),
  ]);
  return { balance, debt, topUps, withdrawals, auto, stream: payingFor() };
}

let hasPointed = false;

/** Bring who came to pay in to the form, once. */
function pointAtPaying(): void {
  if (hasPointed || !location.hash.startsWith("#pay-in")) return;
  hasPointed = true;
  const form = document.getElementById("pay-in");
  form?.scrollIntoView({ block: "center" });
  form?.querySelector("input")?.focus();
}

async function show(): Promise<void> {
  const refused = behindHash("refused");
  if (refused !== "") {
    forgetHash();
    showError(
      refused === "late"
        ? "That took more than five minutes: begin again, and sign in once more when you are asked."
        : "They did not vouch for you: begin again, or use another way in.",
    );
  }
  const invited = await invitation();
  const ways = await ask<Ways>("GET", "sign-in");
  if (!ways.is_signed_in) {
    view.replaceChildren(visitor(ways, invited, hasLetter(), acts));
    tell();
    view.removeAttribute("aria-busy");
    return;
  }
  const me = await ask<Me>("GET", "me");
  const { sessions } = await ask<{ sessions: Session[] }>("GET", "me/sessions");
  const { earnings } = await ask<{ earnings: Share[] }>("GET", "me/earnings");
  // Asked only of who has a wallet: it is refused without one.
  const hasWallet = me.credentials.some(({ kind }) => kind === "wallet");
  const escrow = hasWallet ? await escrowOf() : null;
  view.replaceChildren(
    account(
      me,
      ways,
      sessions,
      await look(),
      await money(me),
      earnings,
      { codes, invited, hasLetter: hasLetter(), left, escrow },
      acts,
    ),
  );
  tell();
  pointAtPaying();
  codes = [];
  view.removeAttribute("aria-busy");
}

addEventListener("hashchange", () => run(() => Promise.resolve()));
run(() => Promise.resolve());

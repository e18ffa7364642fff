/** What the account page shows: a visitor's ways in, and a person's own things. */

import { balance, type Money, type MoneyActs } from "./balance";
import type { Credential, Invitation, Me, Session, Ways } from "./api";
import { button, day, el, section } from "./dom";
import { earning, type EarningActs, type Share } from "./earning";
import type { Escrow } from "./escrow";
import { onChain, type EscrowActs } from "./escrow_view";
import { leaving, type Left, type LeavingActs } from "./leaving";
import { agentText, watching, type Watching, type WatchingActs } from "./watching";
import { hasWallet } from "./wallet";

/** What a press does; each shows the page anew. */
export interface Acts extends WatchingActs, MoneyActs, LeavingActs, EarningActs, EscrowActs {
  signIn: () => void;
  signUp: (name: string) => void;
  recover: (code: string) => void;
  signInWallet: () => void;
  mailLink: (address: string) => void;
  addMail: (address: string) => void;
  takeMail: () => void;
  away: (issuer: string, isSignedIn: boolean) => void;
  signOut: () => void;
  rename: (name: string) => void;
  addPasskey: () => void;
  addWallet: () => void;
  remove: (id: string) => void;
  makeCodes: () => void;
  end: (id: string) => void;
  endOthers: () => void;
  accept: () => void;
}

const KINDS = { passkey: "Passkey", wallet: "Wallet", oidc: "Account elsewhere", mail: "E-mail" };

export function invitationText({ kind, role, name }: Invitation): string {
  if (kind === "viewer") {
    return `You are invited to take over the viewer ${name}, with its balance.`;
  }
  if (kind === "stream") return `You are invited to ${name}, as its ${role ?? "creator"}.`;
  return `You are invited to be ${role ?? ""} of this server.`;
}

function form(label: string, input: HTMLInputElement, submit: string, run: (text: string) => void) {
  const made = el(
    "form",
    {
      onsubmit: (event) => {
        event.preventDefault();
        if (input.value.trim() !== "") run(input.value);
      },
    },
    el("label", {}, label, input),
    el("button", { type: "submit", className: "button quiet" }, submit),
  );
  return made;
}

export function visitor(ways: Ways, invited: string, hasLetter: boolean, acts: Acts): HTMLElement {
  const made = el("div", {}, el("h1", {}, "Sign in"));
  if (invited !== "") {
    made.append(el("p", { className: "invited" }, `${invited} Sign in, or make an account first.`));
  }
  if (hasLetter) made.append(button("Sign in with the letter", "primary", acts.takeMail));
  if (ways.passkey) {
    made.append(button("Sign in with a passkey", "primary", acts.signIn));
  } else {
    const text = "Passkeys need this site's own name over HTTPS; here they cannot be used.";
    made.append(el("p", { className: "hint" }, text));
  }
  if (hasWallet()) made.append(button("Sign in with a wallet", "quiet", acts.signInWallet));
  for (const issuer of ways.oidc) {
    made.append(button(`Sign in with ${issuer}`, "quiet", () => acts.away(issuer, false)));
  }
  if (ways.mail) {
    const address = el("input", { name: "address", type: "email", autocomplete: "email" });
    made.append(form("E-mail address", address, "Send me a link", acts.mailLink));
  }
  if (ways.passkey && ways.sign_up) {
    const name = el("input", { name: "name", maxLength: 80, autocomplete: "name" });
    made.append(
      section(
        "New here?",
        el("p", {}, "Your device keeps the key: no password, no e-mail address."),
        form("How you want to be called", name, "Make an account", acts.signUp),
      ),
    );
  }
  const code = el("input", { name: "code", maxLength: 80, autocomplete: "off" });
  made.append(
    section("Lost your device?", form("Recovery code", code, "Use the code", acts.recover)),
  );
  return made;
}

/** What the visit itself brought. */
export interface Visit {
  codes: string[];
  invited: string;
  hasLetter: boolean;
  left: Left | null;
  escrow: Escrow | "open" | null;
}

export function account(
  me: Me,
  ways: Ways,
  sessions: Session[],
  seen: Watching,
  money: Money,
  shares: Share[],
  { codes, invited, hasLetter, left, escrow }: Visit,
  acts: Acts,
): HTMLElement {
  const made = el("div", {}, el("h1", {}, me.name));
  for (const line of me.advice) made.append(el("p", { className: "advice" }, line));
  if (invited !== "") {
    const accept = button("Accept", "primary", acts.accept);
    made.append(el("p", { className: "invited" }, invited), accept);
  }
  if (hasLetter) made.append(button("Add the address of the letter", "primary", acts.takeMail));
  if (me.roles.length > 0) made.append(el("p", {}, `On this server: ${me.roles.join(", ")}.`));
  if (me.streams.length > 0) made.append(streams(me));
  made.append(...onChain(escrow, me, seen.asset, acts), balance(money, seen.asset, acts));
  if (shares.length > 0) made.append(earning(shares, seen.asset, acts));
  made.append(...watching(seen, acts));
  made.append(waysIn(me, ways, codes, acts), browsers(sessions, acts));
  const name = el("input", { name: "name", maxLength: 80, value: me.name });
  const known = `A creator who shares a stream with you names you person:${me.person}`;
  const payee = el("p", { className: "hint" }, known);
  made.append(
    section("Your name", form("How you want to be called", name, "Change it", acts.rename), payee),
    leaving(left, acts),
    button("Sign out", "quiet", acts.signOut),
  );
  return made;
}

function streams(me: Me): HTMLElement {
  const items = me.streams.map(({ slug, roles }) =>
    el("li", {}, el("a", { href: `/${slug}/` }, slug), ` ${roles.join(", ")}`),
  );
  return section("Your streams", el("ul", {}, ...items));
}

function waysIn(me: Me, ways: Ways, codes: string[], acts: Acts): HTMLElement {
  const items = me.credentials.map((item) => wayIn(item, me.credentials.length > 1, acts));
  const made = section(
    "Ways to sign in",
    el("ul", {}, ...items),
    button("Add a passkey", "quiet", acts.addPasskey),
  );
  if (hasWallet()) made.append(button("Add a wallet", "quiet", acts.addWallet));
  for (const issuer of ways.oidc) {
    made.append(button(`Add ${issuer}`, "quiet", () => acts.away(issuer, true)));
  }
  if (ways.mail) {
    const address = el("input", { name: "address", type: "email", autocomplete: "email" });
    made.append(form("E-mail address", address, "Add it", acts.addMail));
  }
  const left =
    me.recovery_codes > 0
      ? `${me.recovery_codes} recovery codes are unused.`
      : "No recovery codes: with a lost device you could not come back.";
  made.append(el("p", { className: "hint" }, left));
  made.append(button("Make recovery codes", "quiet", acts.makeCodes));
  if (codes.length > 0) {
    const text = "Keep these where your device is not. Each works once; they are shown only now.";
    made.append(el("p", {}, text), el("pre", { className: "codes" }, codes.join("\n")));
  }
  return made;
}

function wayIn(item: Credential, isRemovable: boolean, acts: Acts): HTMLElement {
  const used = item.used_ms === null ? "not used since" : `last used ${day(item.used_ms)}`;
  const made = el(
    "li",
    {},
    el("b", {}, item.label),
    ` ${KINDS[item.kind]}, added ${day(item.created_ms)}, ${used} `,
  );
  if (isRemovable) {
    made.append(button("Remove", "plain", () => acts.remove(item.id), `Remove ${item.label}`));
  }
  return made;
}

function browsers(sessions: Session[], acts: Acts): HTMLElement {
  const items = sessions.map((session) => {
    const where = session.is_this ? "this browser" : `from ${session.address}`;
    const made = el("li", {}, `${agentText(session.agent)}, ${where}, ${day(session.seen_ms)} `);
    if (!session.is_this) made.append(button("End", "plain", () => acts.end(session.id)));
    return made;
  });
  const made = section("Where you are signed in", el("ul", {}, ...items));
  if (sessions.length > 1) made.append(button("End all others", "quiet", acts.endOthers));
  return made;
}

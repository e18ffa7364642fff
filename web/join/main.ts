/**
 * What a newcomer does at the address of a priced stream: sign in or stay as a guest, set a limit,
 * pay in, watch. The server's page (mediaserver/api/notice_page.py) says what it is and costs; this
 * adds the way in, and ends by opening the watch page with a link of one's own, at the same address.
 */

import { rememberAgreement } from "../app/agreement";
import { ask, Problem, type Ways } from "../me/api";
import { button, el } from "../me/dom";
import * as passkey from "../me/passkey";
import { formatShort } from "../sdk/money";

type Json = Record<string, unknown>;

interface TopUps {
  providers: string[];
  currency: string;
  currency_decimals: number;
  amount_min: number;
  amount_max: number;
}

const LIMITS_S = [0, 600, 3600, 14_400];

const root = document.getElementById("join");
const { stream = "", price = "0", symbol = "", decimals = "0" } = root?.dataset ?? {};
const sessionKey = `vilokanam:session:${stream}`;
const line = el("p", { className: "error" });
line.setAttribute("role", "alert");
const view = el("div", {});
view.setAttribute("aria-live", "polite");
let limit = "0";

const amount = (planck: bigint): string => `${formatShort(planck, Number(decimals))} ${symbol}`;

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

function show(...children: Node[]): void {
  view.replaceChildren(...children);
}

/** Do one thing after a press; what is refused is said, and can be pressed again. */
async function run(act: () => Promise<void>): Promise<void> {
  line.textContent = "";
  const buttons = [...view.querySelectorAll("button")];
  for (const item of buttons) item.disabled = true;
  try {
    await act();
  } catch (error) {
    line.textContent = passkey.refusalText(error);
  }
  for (const item of buttons) item.disabled = false;
}

const press = (label: string, tone: string, act: () => Promise<void>): HTMLButtonElement =>
  button(label, tone, () => void run(act));

const text = (words: string): HTMLElement => el("p", {}, words);

async function signIn(): Promise<void> {
  const options = await ask<Json>("POST", "sign-in/passkey/options", {});
  await ask("POST", "sign-in/passkey", { credential: await passkey.get(options) });
  await join();
}

async function signUp(): Promise<void> {
  const options = await ask<Json>("POST", "sign-up/passkey/options", { name: "Guest" });
  const credential = await passkey.create(options);
  await ask("POST", "sign-up/passkey", { credential, label: "This device" });
  await join();
}

async function watch(): Promise<void> {
  const ways = await ask<Ways>("GET", "sign-in");
  if (ways.is_signed_in) await join();
  else showWays(ways);
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
  made.push(el("p", {}, el("a", { href: "/me/" }, "Other ways to sign in")));
  show(...made);
}

async function join(): Promise<void> {
  const session = keptSession();
  const body = {
    ...(session !== null && { session }),
    ...(limit !== "0" && { limit_planck: limit }),
  };
  try {
    const made = await ask<{ path: string; session: string }>(
      "POST",
      `streams/${stream}/join`,
      body,
    );
    keepSession(made.session);
    // The claim holds the limit: the page need not count it once more.
    rememberAgreement(stream, price, null);
    location.replace(made.path);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.reason === "sign_in") showWays(await ask<Ways>("GET", "sign-in"));
    else if (error.status === 402) await showTopUp(error);
    else throw error;
  }
}

async function showTopUp(problem: Problem): Promise<void> {
  const known = await ask<TopUps>("GET", "me/top-ups");
  const made: Node[] = [text("Your balance is empty. Pay in, and it plays.")];
  for (const provider of known.providers) {
    if (provider === "demo") made.push(press("Get demo credit", "primary", demo));
    else made.push(...paying(provider, known));
  }
  if (known.providers.length === 0) made.push(text(problem.message));
  made.push(press("I have paid: watch", "quiet", join));
  show(...made);
}

async function demo(): Promise<void> {
  await ask("POST", "me/top-ups", { provider: "demo" }, orderKey());
  await join();
}

function paying(provider: string, known: TopUps): Node[] {
  const scale = 10 ** known.currency_decimals;
  const input = el("input", {
    type: "number",
    min: String(known.amount_min / scale),
    max: String(known.amount_max / scale),
    step: String(1 / scale),
    value: String(known.amount_min / scale),
  });
  const pay = async (): Promise<void> => {
    const wanted = { provider, amount: Math.round(Number(input.value) * scale), stream };
    const order = await ask<{ pay_url: string | null }>("POST", "me/top-ups", wanted, orderKey());
    if (order.pay_url !== null) location.assign(order.pay_url);
  };
  const label = el("label", {}, `Amount in ${known.currency} `, input);
  return [label, press(`Pay by ${provider}`, "primary", pay)];
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
    const planck = BigInt(price) * BigInt(seconds);
    const label = seconds === 0 ? "No limit of mine" : amount(planck);
    choice.append(new Option(label, String(planck)));
  }
  return el("label", {}, "Stop after ", choice);
}

root?.append(view, line);
show(...(price === "0" ? [] : [limitChoice()]), press("Watch", "primary", watch));

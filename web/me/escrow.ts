/** What a wallet's own account does on the chain: prepared by the server, signed by the wallet. */

import { ask, Problem } from "./api";
import { accountOf, type SignerPayload } from "./wallet";

/** What one has on the chain; planck as text. */
export interface Escrow {
  account: string;
  free: string;
  held: string;
  asked_back: string | null;
  ready_in_s: number | null;
  joins: { stream: string; title: string; max_spend: string; ends_in_s: number }[];
}

interface Prepared {
  call: string;
  payload: SignerPayload;
}

interface Sent {
  state: "sent" | "in_block" | "final" | "failed" | "refused" | "expired";
  reason: string;
}

const POLL_MS = 1500;
const TRIES = 5;
const WAITS: Partial<Record<Sent["state"], string>> = {
  sent: "Sent. Waiting for a block of the chain…",
  in_block: "A block has it. Waiting until it is final…",
};

const sleep = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

/**
 * Return what who is signed in has in escrow; `"open"` where a wallet's account may yet become the
 * payer, null where none pays or the node is away.
 */
export async function escrowOf(): Promise<Escrow | "open" | null> {
  try {
    return await ask<Escrow>("GET", "me/escrow");
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return error.reason === "no_account" ? "open" : null;
  }
}

/**
 * Do an act on the chain: have it prepared, signed by the wallet, and wait until it is final. Throws
 * what the server, the wallet or the chain says against it.
 */
export async function act(
  name: "deposit" | "join" | "leave" | "request" | "withdraw",
  body: Record<string, unknown>,
  payer: string,
  tell: (words: string) => void,
): Promise<void> {
  tell("Preparing the call…");
  const account = await accountOf(payer);
  const { signCall } = account;
  if (signCall === null) throw new Error("This wallet signs no calls: use another one.");
  const { call, payload } = await ask<Prepared>("POST", `me/escrow/${name}`, body);
  tell("Look at your wallet: it shows the call, and asks you to sign it.");
  const signature = await signCall(payload);
  tell("Sending it to the chain…");
  let sent = await send(call, signature);
  while (sent.state === "sent" || sent.state === "in_block") {
    tell(WAITS[sent.state] ?? "");
    await sleep(POLL_MS);
    sent = await told(call, sent);
  }
  if (sent.state !== "final") throw new Error(sent.reason);
}

/** Hand a signed call over; what may have arrived is sent again, which does nothing twice. */
async function send(call: string, signature: string): Promise<Sent> {
  for (let left = TRIES; ; left -= 1) {
    try {
      return await ask<Sent>("POST", `me/escrow/calls/${call}`, { signature });
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 503 || left === 0) throw error;
      await sleep(POLL_MS);
    }
  }
}

/** Return what became of a call; while the node is away, what was known before. */
async function told(call: string, before: Sent): Promise<Sent> {
  try {
    return await ask<Sent>("GET", `me/escrow/calls/${call}`);
  } catch (error) {
    if (error instanceof Problem && error.status === 503) return before;
    throw error;
  }
}

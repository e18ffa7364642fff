/** Wallets that announce themselves to pages as `window.injectedWeb3` (polkadot{.js} and others). */

import { ask } from "./api";

/** A call as a wallet shows and signs it: `SignerPayloadJSON` of polkadot-js, as the server has it. */
export interface SignerPayload {
  address: string;
  method: string;
}

interface Injected {
  accounts: { get: () => Promise<{ address: string; name?: string }[]> };
  signer: {
    signRaw?: (payload: {
      address: string;
      data: string;
      type: "bytes";
    }) => Promise<{ signature: string }>;
    signPayload?: (payload: SignerPayload) => Promise<{ signature: string }>;
  };
}

type Wallets = Record<string, { enable: (origin: string) => Promise<Injected> } | undefined>;

declare global {
  interface Window {
    injectedWeb3?: Wallets;
  }
}

export interface Account {
  address: string;
  name: string;
  sign: (text: string) => Promise<string>;
  /** Signs a call; null: this wallet signs none. */
  signCall: ((payload: SignerPayload) => Promise<string>) | null;
}

export function hasWallet(): boolean {
  return Object.keys(window.injectedWeb3 ?? {}).length > 0;
}

/** Return the accounts that the browser's wallets show this page; asks their owner. */
export async function accounts(): Promise<Account[]> {
  const found: Account[] = [];
  for (const wallet of Object.values(window.injectedWeb3 ?? {})) {
    const opened = await wallet?.enable("Vilokanam");
    const signRaw = opened?.signer.signRaw?.bind(opened.signer);
    if (opened === undefined || signRaw === undefined) continue;
    for (const { address, name } of await opened.accounts.get()) {
      const sign = async (text: string): Promise<string> =>
        (await signRaw({ address, data: `<Bytes>${text}</Bytes>`, type: "bytes" })).signature;
      const signPayload = opened.signer.signPayload?.bind(opened.signer);
      const signCall =
        signPayload === undefined
          ? null
          : async (payload: SignerPayload): Promise<string> =>
              (await signPayload({ ...payload, address })).signature;
      found.push({ address, name: name ?? address, sign, signCall });
    }
  }
  return found;
}

/** Return the first account that the browser's wallets show this page. */
export async function firstAccount(): Promise<Account> {
  const [first] = await accounts();
  if (first === undefined) throw new Error("The wallet showed this page no account.");
  return first;
}

/** Sign in by a wallet, or add it, at the path of either. */
export async function signWith(
  chosen: Account,
  path: string,
  begin: <T>(method: string, path: string, body: unknown) => Promise<T> = ask,
): Promise<void> {
  const { text } = await begin<{ text: string }>("POST", `${path}/challenge`, {
    address: chosen.address,
  });
  await ask("POST", path, { signature: await chosen.sign(text), label: chosen.name });
}

/** Return the wallet's account that has this key; asks the wallets' owner. */
export async function accountOf(publicKey: string): Promise<Account> {
  const found = (await accounts()).find(({ address }) => publicKeyOf(address) === publicKey);
  if (found === undefined) {
    throw new Error("The wallet does not show this page the account that you pay from.");
  }
  return found;
}

const DIGITS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const KEY_BYTES = 32;
const CHECKSUM_BYTES = 2;

/** Return the public key of an address of any network, as the server writes it; empty: it has none. */
export function publicKeyOf(address: string): string {
  if (/^0x[0-9a-f]{64}$/i.test(address)) return address.toLowerCase();
  let value = 0n;
  for (const digit of address) {
    const place = DIGITS.indexOf(digit);
    if (place < 0) return "";
    value = value * 58n + BigInt(place);
  }
  // The network's number comes first: one byte, or two.
  const digits = value.toString(16);
  const end = digits.length - 2 * CHECKSUM_BYTES;
  return end <= 2 * KEY_BYTES - 2
    ? ""
    : `0x${digits
        .slice(0, end)
        .padStart(2 * KEY_BYTES + 2, "0")
        .slice(-2 * KEY_BYTES)}`;
}

/** Wallets that announce themselves to pages as `window.injectedWeb3` (polkadot{.js} and others). */

interface Injected {
  accounts: { get: () => Promise<{ address: string; name?: string }[]> };
  signer: {
    signRaw?: (payload: {
      address: string;
      data: string;
      type: "bytes";
    }) => Promise<{ signature: string }>;
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
      found.push({ address, name: name ?? address, sign });
    }
  }
  return found;
}

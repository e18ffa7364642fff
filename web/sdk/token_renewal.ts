/** The page's token: minted again before it expires, or on a click. Playlists never contain it. */

import { delayMs } from "./backoff";
import type { LinkFault } from "./link_fault";
import { renewDelayMs } from "./token_path";
import { request } from "./request";
import { parseMinted, type Minted } from "./types";

/** A token of unknown expiry is renewed soon: the shortest lives five minutes (rules 6). */
const RENEW_UNKNOWN_MS = 120_000;
/** A failed renewal is tried again, well before a token expires. */
const RENEW_AGAIN = { baseMs: 10_000, maxMs: 30_000 };

export interface TokenRenewalOptions {
  stream: string;
  /** Returns the absolute URL of the session resource, with the current token. */
  url: () => string;
  nowMs: () => number;
  minted: (minted: Minted) => void;
  /** The link has ended for good: no renewal is tried again; `words` are the operator's own. */
  refused: (fault: LinkFault, words: string) => void;
}

export class TokenRenewal {
  readonly #options: TokenRenewalOptions;
  #expiresMs = Number.NEGATIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: TokenRenewalOptions) {
    this.#options = options;
  }

  /** Renew before `expiresMs`; soon, when that is not known. */
  schedule(expiresMs: number | undefined): void {
    if (expiresMs !== undefined) this.#expiresMs = expiresMs;
    const wait =
      expiresMs === undefined ? RENEW_UNKNOWN_MS : renewDelayMs(expiresMs, this.#options.nowMs());
    this.#renewAfter(wait, 0);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Request a token now; true when one came and is in use. */
  async mint(): Promise<boolean> {
    const response = await request(this.#options.url(), "POST");
    const minted = response?.ok ? parseMinted(response.text, this.#options.stream) : null;
    if (response !== null && (response.status === 401 || response.status === 403)) {
      this.stop();
      this.#options.refused(response.refusal?.fault ?? "token", response.refusal?.words ?? "");
    }
    if (minted === null) return false;
    this.#options.minted(minted);
    // The session's own end: no later token comes, and to ask for one at that second is refused.
    const isLast =
      minted.expiresMs <= this.#expiresMs || minted.expiresMs >= (minted.endsMs ?? Infinity);
    if (isLast) this.stop();
    else this.schedule(minted.expiresMs);
    return true;
  }

  #renewAfter(wait: number, attempt: number): void {
    clearTimeout(this.#timer);
    const timer = setTimeout(() => {
      void this.mint().then((isMinted) => {
        // Stopped meanwhile: another player has the session, or the link has ended.
        if (isMinted || timer !== this.#timer) return;
        this.#renewAfter(delayMs(RENEW_AGAIN, attempt, Math.random), attempt + 1);
      });
    }, wait);
    this.#timer = timer;
  }
}

/** The page's token: minted again before it ends, or on a click. Playlists never know of it. */

import { delayMs } from "./backoff";
import { renewDelayMs } from "./token_path";
import { request } from "./request";
import { parseMinted, type Minted } from "./types";

/** Token of unknown age: learn its end soon, as the shortest lease is five minutes (rules 6). */
const RENEW_UNKNOWN_MS = 120_000;
/** A renewal that failed is tried again, well before a lease ends. */
const RENEW_AGAIN = { baseMs: 10_000, maxMs: 30_000 };

export interface LeaseOptions {
  stream: string;
  /** Absolute URL of the session resource, asked again each time. */
  url: () => string;
  nowMs: () => number;
  minted: (minted: Minted) => void;
}

export class Lease {
  readonly #options: LeaseOptions;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  /** Renew before `expiresMs`; soon, when that is not known. */
  keep(expiresMs: number | undefined): void {
    const wait =
      expiresMs === undefined ? RENEW_UNKNOWN_MS : renewDelayMs(expiresMs, this.#options.nowMs());
    this.#renewAfter(wait, 0);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Ask for a token now; true when one came and is in use. */
  async mint(): Promise<boolean> {
    const answer = await request(this.#options.url(), "POST");
    const minted = answer?.ok ? parseMinted(answer.text, this.#options.stream) : null;
    if (minted === null) return false;
    this.#options.minted(minted);
    this.keep(minted.expiresMs);
    return true;
  }

  #renewAfter(wait: number, attempt: number): void {
    clearTimeout(this.#timer);
    const timer = setTimeout(() => {
      void this.mint().then((isMinted) => {
        // Stopped meanwhile: the session is another's now.
        if (isMinted || timer !== this.#timer) return;
        this.#renewAfter(delayMs(RENEW_AGAIN, attempt, Math.random), attempt + 1);
      });
    }, wait);
    this.#timer = timer;
  }
}

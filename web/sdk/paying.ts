/** Keeps what the viewer agreed to beside what the server says of the price, and shows both. */

import { Consent, ticksOf, type Agreement, type Question } from "./consent";
import type { SnapshotStore } from "./snapshot";
import { parseNextPrice, parsePlanck, type Boot, type MeterReading } from "./types";

export interface PayingOptions {
  store: SnapshotStore;
  agreed: Agreement | null;
  /** The server's clock, Unix ms. */
  nowMs: () => number;
  /** Media was asked for that the viewer has to be asked about first. */
  asks: (question: Question) => void;
}

export class Paying {
  readonly #options: PayingOptions;
  #consent: Consent;

  constructor(options: PayingOptions) {
    this.#options = options;
    this.#consent = new Consent(options.agreed, null, null);
  }

  /** The limit agreed to, planck, or null. */
  get limitPlanck(): bigint | null {
    return this.#consent.agreed?.limitPlanck ?? null;
  }

  /** Take what the page began with. Without a session nobody is charged. */
  adopt(boot: Boot): void {
    const hasSession = boot.session !== null;
    const price = hasSession ? (parsePlanck(boot.price.planck_per_s) ?? 0n) : 0n;
    const next = hasSession ? parseNextPrice(boot.price.next) : null;
    this.#consent = new Consent(this.#consent.agreed, price, next);
    this.#show();
  }

  /** Take a reading of the meter. */
  read(reading: MeterReading): void {
    this.#consent.setPrice(reading.price, reading.next);
    this.#consent.carry(reading.spent);
    this.#show();
  }

  /** As `Consent.agree`. */
  agree(limitPlanck: bigint | null, isNextIncluded: boolean): void {
    this.#consent.agree(limitPlanck, isNextIncluded);
    this.#show();
  }

  /** Return what has to be asked before anything of now is fetched, or null. */
  question(): Question | null {
    return this.#consent.question(this.#options.nowMs() / 1000);
  }

  /** False where the viewer has to be asked first, or too much came without a picture. */
  mayFetch(url: string): boolean {
    const ticks = ticksOf(url) ?? [Math.floor(this.#options.nowMs() / 1000), 1];
    const question = this.#consent.take(...ticks);
    if (question === null) return !this.#consent.isUnseen;
    this.#show();
    queueMicrotask(() => this.#options.asks(question));
    return false;
  }

  /** A picture is awaited from here on. */
  opened(): void {
    this.#consent.opened();
  }

  /** A picture came. */
  seen(): void {
    this.#consent.seen();
  }

  #show(): void {
    const { store } = this.#options;
    const { agreed, price, next } = this.#consent;
    const shown = store.value.nextPrice;
    const isSame = shown?.fromMs === next?.fromMs && shown?.planck === next?.planck.toString();
    const coming = next && { planck: next.planck.toString(), fromMs: next.fromMs };
    store.set({
      agreedPlanck: agreed?.pricePlanck.toString() ?? null,
      limitPlanck: agreed?.limitPlanck?.toString() ?? null,
      ...(price !== null && store.value.isPriceKnown && { pricePlanck: price.toString() }),
      nextPrice: isSame ? shown : coming,
    });
  }
}

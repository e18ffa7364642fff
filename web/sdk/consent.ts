/**
 * What the viewer agreed to pay, against what media costs. Pure: each media URL names its seconds, so
 * a price that changes is met at the very second, whatever the clocks say.
 */

/** What a viewer agreed to: at most this much a second, and in all on this visit. Planck. */
export interface Agreement {
  pricePlanck: bigint;
  limitPlanck: bigint | null;
}

/**
 * What has to be asked first: `start`: nothing was agreed to; `price`: it costs more than that;
 * `own_limit`: the viewer's own limit is reached; `unknown`: wait, the price is not known yet.
 */
export type Question = "start" | "price" | "own_limit" | "unknown";

/** A price to come, and the Unix ms of the first second that costs it. */
export interface NextPrice {
  planck: bigint;
  fromMs: number;
}

/** Seconds of media that may be fetched, and so be charged, before the first picture. */
export const UNSEEN_MAX_S = 10;
/** Seconds behind the newest fetched that are still known as fetched: longer than any window. */
const REMEMBERED_S = 600;

const TICKS = /-(\d+)x(\d+)\.m4s$/;

/** Return the first second (Unix s) and the count of seconds that a media URL names, or null. */
export function ticksOf(url: string): [number, number] | null {
  const match = TICKS.exec(new URL(url).pathname);
  return match ? [Number(match[1]), Number(match[2])] : null;
}

export class Consent {
  #agreed: Agreement | null;
  /** Null: not known yet. */
  #price: bigint | null;
  #next: NextPrice | null = null;
  /** Changes up to here hold for what is fetched now, though the server's clock is not there yet. */
  #passedMs = 0;
  #fetched = new Set<number>();
  #newest = 0;
  /** What media fetched by this page costs at most, and what the limit counts from. */
  #spent = 0n;
  #spentBefore = 0n;
  #unseen = 0;
  #isCarried = false;
  #isAgreedHere = false;

  constructor(agreed: Agreement | null, price: bigint | null, next: NextPrice | null) {
    this.#agreed = agreed;
    this.#price = price;
    this.#next = next;
  }

  get agreed(): Agreement | null {
    return this.#agreed;
  }

  /** The price of what is fetched now; null: not known yet. */
  get price(): bigint | null {
    return this.#price;
  }

  /** The price to come. */
  get next(): NextPrice | null {
    return this.#next;
  }

  /** Take what the server says of the price. */
  setPrice(price: bigint, next: NextPrice | null): void {
    const isPassed = next !== null && next.fromMs <= this.#passedMs;
    this.#price = isPassed ? next.planck : price;
    this.#next = isPassed ? null : next;
  }

  /** Take what this visit had cost before this page was loaded, from the first reading. */
  carry(spentPlanck: bigint): void {
    if (this.#isCarried) return;
    this.#isCarried = true;
    const before = spentPlanck > this.#spent ? spentPlanck - this.#spent : 0n;
    this.#spent += before;
    if (this.#isAgreedHere) this.#spentBefore += before;
  }

  /** The viewer agrees to the present price, or to the one to come, and to a limit from here on. */
  agree(limitPlanck: bigint | null, isNextIncluded = false): Agreement {
    const next = isNextIncluded ? (this.#next?.planck ?? 0n) : 0n;
    const price = this.#price ?? 0n;
    this.#agreed = { pricePlanck: next > price ? next : price, limitPlanck };
    if (!isNextIncluded) this.#spentBefore = this.#spent;
    this.#isAgreedHere = true;
    return this.#agreed;
  }

  /** A picture is awaited: from here on at most `UNSEEN_MAX_S` may be fetched until `seen`. */
  opened(): void {
    this.#unseen = 0;
  }

  /** A picture came. */
  seen(): void {
    this.#unseen = Number.NEGATIVE_INFINITY;
  }

  /** True when so much was fetched without a picture that no more may be. */
  get isUnseen(): boolean {
    return this.#unseen >= UNSEEN_MAX_S;
  }

  /** Return what has to be asked before the second `tick`, after others that cost as much, or null. */
  question(tick: number, alsoPlanck = 0n): Question | null {
    const price = this.#priceAt(tick);
    if (price === null) return "unknown";
    if (price === 0n) return null;
    if (this.#agreed === null) return "start";
    if (price > this.#agreed.pricePlanck) return "price";
    const limit = this.#agreed.limitPlanck;
    const isKnown = this.#fetched.has(tick);
    const spent = this.#spent - this.#spentBefore + alsoPlanck + (isKnown ? 0n : price);
    return limit !== null && spent > limit ? "own_limit" : null;
  }

  /** Return as `question` for media of `count` seconds; when nothing has to be asked, it counts. */
  take(first: number, count: number): Question | null {
    const ticks = Array.from({ length: count }, (_, index) => first + index);
    let planck = 0n;
    for (const tick of ticks) {
      const question = this.question(tick, planck);
      if (question === "price") this.#reach(tick);
      if (question !== null) return question;
      if (!this.#fetched.has(tick)) planck += this.#priceAt(tick) ?? 0n;
    }
    for (const tick of ticks) this.#count(tick);
    return null;
  }

  /** What is fetched next begins at `tick`: the price to come may be the present one there. */
  #reach(tick: number): void {
    if (this.#next === null || tick * 1000 < this.#next.fromMs) return;
    this.#passedMs = this.#next.fromMs;
    this.setPrice(this.#next.planck, null);
  }

  #count(tick: number): void {
    if (this.#fetched.has(tick)) return;
    this.#fetched.add(tick);
    this.#spent += this.#priceAt(tick) ?? 0n;
    this.#unseen += 1;
    this.#newest = Math.max(this.#newest, tick);
    if (this.#fetched.size <= 2 * REMEMBERED_S) return;
    for (const old of this.#fetched) {
      if (old < this.#newest - REMEMBERED_S) this.#fetched.delete(old);
    }
  }

  #priceAt(tick: number): bigint | null {
    const next = this.#next;
    return next !== null && tick * 1000 >= next.fromMs ? next.planck : this.#price;
  }
}

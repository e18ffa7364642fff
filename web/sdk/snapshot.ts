/** What a page shows of a stream: one frozen value, replaced when anything in it changes. */

import type { Warning } from "./meter";
import { safeUrl } from "./request";
import { parsePlanck, type Boot, type Price, type StopReason } from "./types";

/**
 * - `loading`: the first picture is on its way.
 * - `live`: it plays.
 * - `paused`: by the viewer; nothing is fetched, so nothing is paid.
 * - `waiting`: playback has stalled: the publisher's connection, or the viewer's.
 * - `reconnecting`: the server cannot be reached.
 * - `slowed`: the server asked to wait (`reason` pace or busy); playback resumes by itself.
 * - `offline`: not begun; it starts by itself. `ended`: over; a next show starts by itself.
 * - `stopped`: balance (`reason` purse) or limit.
 * - `kicked`: another player took over, or the pace ended the session.
 * - `denied`: the link is not valid.
 */
export type State =
  | "loading"
  | "live"
  | "paused"
  | "waiting"
  | "reconnecting"
  | "slowed"
  | "offline"
  | "ended"
  | "stopped"
  | "kicked"
  | "denied";

export type Reason = StopReason | "busy" | "token";

export interface Snapshot {
  state: State;
  /** Why it stopped, was slowed, kicked or denied; set from the moment that is known. */
  reason: Reason | null;
  stream: string;
  title: string;
  session: string | null;
  /** True when seconds cost something. */
  isPriced: boolean;
  /** Planck are decimal strings: a snapshot is plain JSON. */
  pricePlanck: string;
  price: Price;
  secondsWatched: number;
  spentPlanck: string;
  /** Null until the meter's first reading. */
  balancePlanck: string | null;
  secondsLeft: number | null;
  warning: Warning | null;
  isMeterOpen: boolean;
  isMuted: boolean;
  /** Seconds between the picture and now; null while nothing plays. */
  latencyS: number | null;
  /** Ms from navigation to the first picture. */
  firstFrameMs: number | null;
  stalls: number;
  topUp: { isOpen: boolean; url: string };
  /** True while a click's request is under way; what went wrong with the last one, or "". */
  isBusy: boolean;
  error: string;
  /** Unix ms of the next attempt, or null. */
  retryAtMs: number | null;
  /** True while the publisher is known to be disconnected. */
  isPublisherAway: boolean;
  /** Page path with the current token, for links. */
  path: string;
}

/** Return the boot of a page that came without one: nothing is known but the stream's name. */
export function emptyBoot(stream: string): Boot {
  return {
    stream,
    title: "",
    state: "offline",
    multivariant: null,
    playlist: null,
    price: { planck_per_s: "0", symbol: "", decimals: 0 },
    session: null,
    top_up: { open: false, url: "" },
  };
}

/** Return what is shown before anything has been fetched. */
export function firstSnapshot(boot: Boot, path: string): Snapshot {
  const planck = parsePlanck(boot.price.planck_per_s) ?? 0n;
  return {
    state: "loading",
    reason: null,
    stream: boot.stream,
    title: boot.title || boot.stream,
    session: boot.session,
    isPriced: planck > 0n,
    pricePlanck: planck.toString(),
    price: boot.price,
    secondsWatched: 0,
    spentPlanck: "0",
    balancePlanck: null,
    secondsLeft: null,
    warning: null,
    isMeterOpen: false,
    isMuted: true,
    latencyS: null,
    firstFrameMs: null,
    stalls: 0,
    topUp: { isOpen: boot.top_up.open, url: safeUrl(boot.top_up.url) },
    isBusy: false,
    error: "",
    retryAtMs: null,
    isPublisherAway: boot.state === "waiting",
    path,
  };
}

/** Holds the current snapshot and calls listeners after each change. */
export class SnapshotStore {
  readonly #listeners = new Set<() => void>();
  #value: Snapshot;

  constructor(first: Snapshot) {
    this.#value = first;
  }

  /** The same object until something changes. */
  get value(): Snapshot {
    return this.#value;
  }

  set(change: Partial<Snapshot>): void {
    const keys = Object.keys(change) as (keyof Snapshot)[];
    if (keys.every((key) => Object.is(this.#value[key], change[key]))) return;
    this.#value = Object.freeze({ ...this.#value, ...change });
    for (const listener of this.#listeners) listener();
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

/** What a page shows of a stream: one frozen value, replaced when anything in it changes. */

import type { Question } from "./consent";
import type { LinkFault } from "./link_fault";
import type { Warning } from "./meter";
import type { Absence } from "./presence";
import { safeUrl } from "./request";
import { parsePlanck, type Boot, type Price, type StopReason } from "./types";

/**
 * - `loading`: the first picture is on its way; `reason` once it takes long: no_answer (the server
 *   has not told what there is) or no_media. It goes on trying; `play` begins anew.
 * - `live`: it plays.
 * - `paused`: nothing is fetched, so nothing is paid: by the viewer (`reason` null), as the device
 *   slept (`asleep`), or as nobody watched a priced picture (`hidden`, `idle`).
 * - `asking`: nothing is fetched until the viewer agrees to the price (`reason` start, price or
 *   own_limit).
 * - `waiting`: playback has stalled: the publisher's connection, or the viewer's.
 * - `stuck`: media came and was not shown (`reason` no_picture: none of it; frozen: no more of it), so
 *   nothing more is fetched until `play` or `playSmaller`.
 * - `reconnecting`: the server cannot be reached.
 * - `slowed`: the server asked to wait (`reason` pace or busy); playback resumes by itself.
 * - `offline`: not begun; it starts by itself. `ended`: over; a next show starts by itself. With
 *   `reason` closed the operator has closed the stream.
 * - `stopped`: balance (`reason` purse) or limit.
 * - `kicked`: another player took over, or the pace ended the session.
 * - `denied`: the link is not valid (`reason` expired, stream, ...; token: not known why).
 */
export type State =
  | "loading"
  | "asking"
  | "stuck"
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

/** States in which media is fetched, or will be without a click. */
export const RUNNING: readonly State[] = ["loading", "live", "waiting", "reconnecting", "slowed"];

export type Reason =
  | StopReason
  | Absence
  | Question
  | "asleep"
  | "busy"
  | "closed"
  | "frozen"
  | "no_picture"
  | "no_media"
  | "no_answer"
  | LinkFault;

export interface Snapshot {
  state: State;
  /** Why it stopped, was slowed, kicked or denied; set from the moment that is known. */
  reason: Reason | null;
  stream: string;
  title: string;
  session: string | null;
  /** True when seconds cost something, and until it is known that they do not. */
  isPriced: boolean;
  /** False until the server has said what a second costs: nothing is fetched before. */
  isPriceKnown: boolean;
  /** Planck are decimal strings: a snapshot is plain JSON. */
  pricePlanck: string;
  price: Price;
  /** A price to come, or null. */
  nextPrice: { planck: string; fromMs: number } | null;
  /** What the viewer agreed to pay for a second at most, and in all; null: nothing, no limit. */
  agreedPlanck: string | null;
  limitPlanck: string | null;
  /** Billed to this page on this visit: a second that another device paid is not among them. */
  secondsWatched: number;
  /** For how long the picture moved here on this visit. */
  secondsPlayed: number;
  spentPlanck: string;
  /** Null until the meter's first reading. */
  balancePlanck: string | null;
  /** Owed: the next deposit pays it first. */
  debtPlanck: string;
  secondsLeft: number | null;
  /** Seconds of the show that are still free, before its price counts; null: not known yet. */
  freeS: number | null;
  /** True when the most that the show costs is paid: it costs no more. */
  isShowPaid: boolean;
  /** Until when a pass covers it all, Unix ms; 0: until the show ends. Null: none does. */
  passUntilMs: number | null;
  warning: Warning | null;
  /** True while a sign of life is asked for: without one a priced picture stops soon. */
  isAsked: boolean;
  isMeterOpen: boolean;
  isMuted: boolean;
  /** Seconds between the picture and now; null while nothing plays. */
  latencyS: number | null;
  /** Ms from navigation to the first picture. */
  firstFrameMs: number | null;
  stalls: number;
  /** True when `playSmaller` would play a smaller picture. */
  canPlaySmaller: boolean;
  /** `canPayIn`: the server's account page takes payments; `url` is the operator's own page, or "". */
  topUp: { isOpen: boolean; url: string; canPayIn: boolean };
  /** True while a click's request is under way; what went wrong with the last one, or "". */
  isBusy: boolean;
  error: string;
  /** Kicked for good: why, as a sentence of the server's; "" where a click takes the session back. */
  ended: string;
  /** Unix ms of the next attempt, or null. */
  retryAtMs: number | null;
  /** True while the publisher is known to be disconnected. */
  isPublisherAway: boolean;
  /** True while a part of the server is known to restart: nobody else is to blame. */
  isServerAway: boolean;
  /** Why the link's token counts for nothing on a free stream (`stream`, `expired`, ...), or "". */
  link: string;
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
export function firstSnapshot(boot: Boot, path: string, isPriceKnown = true): Snapshot {
  const planck = parsePlanck(boot.price.planck_per_s) ?? 0n;
  return {
    state: "loading",
    reason: null,
    ended: "",
    stream: boot.stream,
    title: boot.title || boot.stream,
    session: boot.session,
    isPriced: planck > 0n || !isPriceKnown,
    isPriceKnown,
    pricePlanck: planck.toString(),
    price: boot.price,
    nextPrice: null,
    agreedPlanck: null,
    limitPlanck: null,
    secondsWatched: 0,
    secondsPlayed: 0,
    spentPlanck: "0",
    balancePlanck: null,
    debtPlanck: "0",
    secondsLeft: null,
    freeS: null,
    isShowPaid: false,
    passUntilMs: null,
    warning: null,
    isAsked: false,
    isMeterOpen: false,
    isMuted: true,
    latencyS: null,
    firstFrameMs: null,
    stalls: 0,
    canPlaySmaller: false,
    topUp: {
      isOpen: boot.top_up.open,
      url: safeUrl(boot.top_up.url),
      canPayIn: boot.top_up.pay_in ?? false,
    },
    isBusy: false,
    error: "",
    retryAtMs: null,
    isPublisherAway: boot.state === "waiting",
    isServerAway: boot.state === "restarting",
    link: boot.link ?? "",
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

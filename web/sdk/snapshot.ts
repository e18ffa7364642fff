/** What a page shows of a stream: one frozen value, replaced when anything in it changes. */

import type { Warning } from "./meter";
import type { Price, StopReason } from "./types";

/**
 * - `loading`: the first picture is on its way.
 * - `live`: it plays.
 * - `paused`: by the viewer; nothing is fetched, so nothing is paid.
 * - `waiting`: the picture stands still: the creator's connection, or the viewer's.
 * - `reconnecting`: the server cannot be reached.
 * - `slowed`: the server asked to wait (`reason` pace or busy); it goes on by itself.
 * - `offline`: not begun; it starts by itself. `ended`: over; a next show starts by itself.
 * - `stopped`: purse or limit. `kicked`: another player took over, or the pace ended the session.
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
  /** Null until the meter has spoken. */
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
  /** True while the creator's connection is known to be away. */
  isPublisherAway: boolean;
  /** Page path with the token in force, for links. */
  path: string;
}

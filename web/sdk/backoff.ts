/** How long to wait before trying again. */

export interface Backoff {
  baseMs: number;
  maxMs: number;
}

/** The meter's WebSocket: soon after a short interruption, rarely while the server is down. */
export const SOCKET: Backoff = { baseMs: 500, maxMs: 15_000 };
/** A player that lost its playlists. */
export const RECONNECT: Backoff = { baseMs: 1_000, maxMs: 15_000 };
/** A page that waits for a stream to begin. */
export const OFFLINE: Backoff = { baseMs: 3_000, maxMs: 12_000 };
/** A server that asked to wait (429, 503). */
export const REFUSED: Backoff = { baseMs: 2_000, maxMs: 30_000 };

/**
 * Return the delay before attempt `attempt` (from 0) in ms: doubled each time up to `maxMs`, then
 * drawn from its upper half, so that a thousand viewers do not reconnect at one instant.
 */
export function delayMs(backoff: Backoff, attempt: number, random: () => number): number {
  const full = Math.min(backoff.maxMs, backoff.baseMs * 2 ** Math.min(attempt, 30));
  return Math.round(full / 2 + (full / 2) * random());
}

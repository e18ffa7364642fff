/**
 * The server's clock, told by the server: the viewer's own may be wrong, or be set meanwhile. Pure: the
 * page's monotonic clock comes in.
 */
export class ServerClock {
  /** The server's Unix ms less the page's monotonic ms. */
  #offsetMs: number;
  /** False until the server has told it: the viewer's clock has to do. */
  #isTold = false;

  constructor(wallMs: number, monotonicMs: number) {
    this.#offsetMs = wallMs - monotonicMs;
  }

  get isTold(): boolean {
    return this.#isTold;
  }

  /** Take what the server wrote, and when it came. It came late, so the latest time is the truest. */
  tell(serverMs: number, monotonicMs: number): void {
    const offsetMs = serverMs - monotonicMs;
    this.#offsetMs = this.#isTold ? Math.max(this.#offsetMs, offsetMs) : offsetMs;
    this.#isTold = true;
  }

  /** Return the server's Unix ms. */
  nowMs(monotonicMs: number): number {
    return this.#offsetMs + monotonicMs;
  }
}

/** Monotonic ms when the page's first byte came: the server wrote its time just before. */
export function pageAnsweredMs(): number {
  const [entry] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
  return entry?.responseStart ?? performance.now();
}

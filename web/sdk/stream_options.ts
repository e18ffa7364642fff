/** What a page gives to the SDK. */

import type { Agreement } from "./consent";
import type { EarlyMap } from "./prefetch";
import type { Boot } from "./types";

export interface StreamOptions {
  video: HTMLVideoElement;
  /** Absolute URL of the watch page, `/[w/<token>/]<stream>/`. */
  page: string;
  /**
   * What the server put into its own page; null in any other: the SDK then asks for it, and plays
   * nothing before it knows what that costs.
   */
  boot: Boot | null;
  /** Responses already requested; the SDK adds its own. */
  early?: EarlyMap;
  /** What the viewer agreed to before; null or absent: the stream asks, and fetches nothing. */
  agreed?: Agreement | null;
  /** Seconds played on this visit before a reload: `secondsPlayed` of then. */
  playedS?: number;
  /** Called with the page's new path when the token changes, to put it into the address bar. */
  renamed?: (path: string) => void;
}

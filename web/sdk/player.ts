/**
 * hls.js, started and kept near the live edge. Decides nothing about money or sessions: it reports
 * events, and the caller loads, halts and unloads.
 *
 * The settings are the best of those measured with hls.js 1.7.4 over loopback (0.2 s / 0.5 s parts,
 * medians): the light build without a worker, muxed renditions, prefetched playlists and parts.
 * First frame 287 / 335 ms after navigation (defaults of the full build: 512 / 461 ms), encoder to
 * screen 560 / 965 ms without a stall (defaults: 1242 / 2436 ms).
 */

import Hls, { type HlsConfig, type LevelDetails } from "hls.js/dist/hls.light.min.mjs";

import { decide, EdgeTarget } from "./catchup";
import type { EarlyMap } from "./prefetch";
import { makeLoader } from "./loader";
import type { Refusal } from "./refusal";
import { edgeTarget } from "./playlist";

export interface PlayerEvents {
  firstFrame(atMs: number): void;
  playing(): void;
  /** Playback stalled: no media is buffered. */
  stalled(): void;
  /** The show is over and was played to its end. */
  ended(): void;
  refused(refusal: Refusal): void;
  /** A fatal error that the player could not recover from. */
  failed(details: string): void;
}

export interface Source {
  /** Absolute URL of the multivariant playlist. */
  url: string;
  /** Absolute URL of the media playlist to begin with, or null. */
  start: string | null;
  partTargetS: number | null;
  /** How far behind the edge the independent part begins that is played first, in seconds. */
  startBehindS: number;
}

const WATCH_EVERY_MS = 50;
/** A playlist unchanged for this long has lost its publisher. */
const STALE_S = 2.5;

const RETRY = { retryDelayMs: 500, maxRetryDelayMs: 8_000 };
/** The first byte of a blocking reload may take as long as the server holds reloads. */
const PLAYLIST_POLICY = {
  maxTimeToFirstByteMs: 20_000,
  maxLoadTimeMs: 30_000,
  timeoutRetry: { maxNumRetry: 6, ...RETRY },
  errorRetry: { maxNumRetry: 12, ...RETRY },
};

export class Player {
  readonly #video: HTMLVideoElement;
  readonly #early: EarlyMap;
  readonly #prefix: () => string;
  readonly #events: PlayerEvents;
  #hls: Hls | null = null;
  #watch: ReturnType<typeof setInterval> | undefined;
  #target = new EdgeTarget(1, 0);
  #lowS = 0.2;
  #hasFrame = false;
  #hasRecovered = false;
  #isHalted = false;
  /** Number of stalls since the page opened. */
  stalls = 0;

  constructor(
    video: HTMLVideoElement,
    early: EarlyMap,
    prefix: () => string,
    events: PlayerEvents,
  ) {
    this.#video = video;
    this.#early = early;
    this.#prefix = prefix;
    this.#events = events;
    video.addEventListener("waiting", this.#onWaiting);
    video.addEventListener("playing", this.#onPlaying);
    video.addEventListener("ended", this.#onEnded);
  }

  /** True with Media Source Extensions; else the browser's own HLS is used, without catch-up. */
  static readonly hasMediaSource = Hls.isSupported();

  get isLoaded(): boolean {
    return this.#hls !== null || this.#video.hasAttribute("src");
  }

  /** Seconds of media ahead of the picture. */
  get bufferS(): number {
    const { buffered, currentTime } = this.#video;
    for (let index = 0; index < buffered.length; index += 1) {
      if (buffered.start(index) <= currentTime + 0.1 && buffered.end(index) > currentTime) {
        return buffered.end(index) - currentTime;
      }
    }
    return 0;
  }

  /** Seconds behind the newest media that the playlist shows, or null. */
  get edgeLatencyS(): number | null {
    const details = this.#details();
    return details === null ? null : details.edge + details.age - this.#video.currentTime;
  }

  /** Unix ms of the picture by PROGRAM-DATE-TIME, or null. */
  get pictureTimeMs(): number | null {
    const date = this.#hls?.playingDate?.getTime();
    return date === undefined || Number.isNaN(date) ? null : date;
  }

  /** True once the media playlist has ENDLIST. */
  get isOver(): boolean {
    return this.#hls?.latestLevelDetails?.live === false;
  }

  /** Play `source` from near its edge, from scratch. */
  load(source: Source): void {
    this.unload();
    this.#hasFrame = false;
    this.#isHalted = false;
    this.#watchFirstFrame();
    if (!Player.hasMediaSource) {
      this.#video.src = source.url;
      return;
    }
    const targetS = source.partTargetS === null ? null : edgeTarget(source.partTargetS);
    // Start at the keyframe, not after it: no frame is decoded only to be discarded. The catch-up
    // removes the delay that this adds.
    const startS = targetS === null ? null : Math.max(targetS, source.startBehindS);
    const hls = new Hls({ ...this.#config(), ...(startS && { liveSyncDuration: startS }) });
    this.#hls = hls;
    this.#target = new EdgeTarget(targetS ?? Number.POSITIVE_INFINITY, performance.now());
    this.#lowS = (source.partTargetS ?? 0) > 0.3 ? 0.2 : 0.12;
    hls.on(Hls.Events.MANIFEST_PARSED, () => {
      const level = hls.levels.findIndex(({ url }) => url[0] === source.start);
      if (level >= 0) hls.startLevel = level;
    });
    hls.on(Hls.Events.ERROR, (_event, data) => {
      if (!data.fatal || hls !== this.#hls) return;
      if (data.type === Hls.ErrorTypes.MEDIA_ERROR && !this.#hasRecovered) {
        this.#hasRecovered = true;
        hls.recoverMediaError();
      } else {
        this.#events.failed(data.details);
      }
    });
    hls.loadSource(source.url);
    hls.attachMedia(this.#video);
    if (targetS !== null) this.#watch = setInterval(this.#keepNearEdge, WATCH_EVERY_MS);
  }

  /** Fetch nothing more; what is buffered plays on. */
  halt(): void {
    clearInterval(this.#watch);
    this.#isHalted = true;
    this.#video.playbackRate = 1;
    this.#hls?.stopLoad();
  }

  /** Release all media; the picture disappears. */
  unload(): void {
    clearInterval(this.#watch);
    this.#hls?.destroy();
    this.#hls = null;
    this.#hasRecovered = false;
    this.#video.playbackRate = 1;
    if (this.#video.hasAttribute("src")) {
      this.#video.removeAttribute("src");
      this.#video.load();
    }
  }

  destroy(): void {
    this.unload();
    this.#video.removeEventListener("waiting", this.#onWaiting);
    this.#video.removeEventListener("playing", this.#onPlaying);
    this.#video.removeEventListener("ended", this.#onEnded);
  }

  #config(): Partial<HlsConfig> {
    const prefix = this.#prefix;
    return {
      // fMP4 needs no transmuxing; starting a worker costs 100 to 250 ms (measured).
      enableWorker: false,
      lowLatencyMode: true,
      // Its own catch-up off: see catchup.ts.
      maxLiveSyncPlaybackRate: 1,
      backBufferLength: 30,
      maxBufferLength: 10,
      // A publisher may be disconnected for a minute: with its two retries hls.js gives up before.
      playlistLoadPolicy: { default: PLAYLIST_POLICY },
      loader: makeLoader({
        early: this.#early,
        prefix,
        refused: (refusal) => this.#events.refused(refusal),
      }),
    };
  }

  #details(): LevelDetails | null {
    const details = this.#hls?.latestLevelDetails;
    return details?.live ? details : null;
  }

  readonly #keepNearEdge = (): void => {
    const video = this.#video;
    const latencyS = this.edgeLatencyS;
    if (latencyS === null || video.paused || video.seeking || video.readyState < 2) return;
    // The publisher is disconnected: playing faster would only empty the buffer sooner.
    const isStale = (this.#details()?.age ?? 0) > STALE_S;
    const rule = { targetS: this.#target.at(performance.now()), lowS: this.#lowS };
    const correction = decide(rule, { latencyS, bufferS: this.bufferS });
    if ("rate" in correction) {
      const rate = isStale ? Math.min(1, correction.rate) : correction.rate;
      if (video.playbackRate !== rate) video.playbackRate = rate;
    } else if (!isStale) {
      video.currentTime += correction.jumpS;
    }
  };

  #watchFirstFrame(): void {
    const report = (): void => {
      if (this.#hasFrame) return;
      this.#hasFrame = true;
      this.#events.firstFrame(performance.now());
    };
    if ("requestVideoFrameCallback" in this.#video) {
      this.#video.requestVideoFrameCallback(report);
    } else {
      (this.#video as HTMLVideoElement).addEventListener("playing", report, { once: true });
    }
  }

  readonly #onWaiting = (): void => {
    if (!this.#hasFrame || !this.isLoaded || this.#video.seeking) return;
    // After a halt the buffer runs empty on purpose.
    if (!this.#isHalted) this.stalls += 1;
    this.#target.stalled(performance.now());
    this.#events.stalled();
  };

  readonly #onPlaying = (): void => {
    if (this.isLoaded) this.#events.playing();
  };

  readonly #onEnded = (): void => {
    if (this.isLoaded) this.#events.ended();
  };
}

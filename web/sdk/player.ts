/**
 * hls.js, started and kept near the live edge. Decides nothing about money or sessions: it reports
 * events, and the caller loads, halts and unloads.
 *
 * The settings are the best of those measured with hls.js 1.7.4 over loopback (0.2 s / 0.5 s parts,
 * medians): the light build without a worker, muxed renditions, prefetched playlists and parts.
 * First frame 287 / 335 ms after navigation (defaults of the full build: 512 / 461 ms), encoder to
 * screen 560 / 965 ms without a stall (defaults: 1242 / 2436 ms).
 */

import Hls, {
  type Fragment,
  type HlsConfig,
  type LevelDetails,
} from "hls.js/dist/hls.light.min.mjs";

import { decide, EdgeTarget } from "./catchup";
import { FirstFrame } from "./first_frame";
import type { EarlyMap } from "./prefetch";
import { makeLoader } from "./loader";
import { Progress, type Picture } from "./progress";
import { Rate } from "./rate";
import type { Refusal } from "./refusal";
import { edgeTarget } from "./playlist";

export interface PlayerEvents {
  firstFrame(atMs: number): void;
  playing(): void;
  /** The element paused, no matter who asked: a media key, a call, the browser, `video.pause()`. */
  paused(): void;
  /** The element was told to play. */
  resumed(): void;
  /** Asked before each fetch of media; false: it is not made, and the player is about to be halted. */
  mayFetch(url: string): boolean | Promise<boolean>;
  /** What would be fetched next is long past: only a start from the live edge helps. */
  behind(): void;
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
/**
 * Media that ends further behind the edge than this, and than five target durations, was missed: it is
 * not fetched. The page plays at most three target durations behind (rfc8216bis, 6.3.3).
 */
const BEHIND_MAX_S = 12;
/** A playlist unchanged for this long has lost its publisher. */
const STALE_S = 2.5;

/** Buffer that counts as played out. */
const DRAINED_S = 0.12;

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
  /** The playback rate, and the sound. */
  readonly rate: Rate;
  #hls: Hls | null = null;
  #watch: ReturnType<typeof setInterval> | undefined;
  #target = new EdgeTarget(1, 0);
  #lowS = 0.2;
  readonly #firstFrame: FirstFrame;
  #hasRecovered = false;
  #isHalted = false;
  readonly #progress = new Progress();
  readonly #listening = new AbortController();
  /** `performance.now()` when the playlist last grew: hls.js measures that by the viewer's clock. */
  #grownMs = 0;
  /** No higher picture is played from the next `load` on; bits a second are stated anew meanwhile. */
  heightMax = Number.POSITIVE_INFINITY;
  /** Number of stalls since the page opened. */
  stalls = 0;

  constructor(
    video: HTMLVideoElement,
    early: EarlyMap,
    prefix: () => string,
    events: PlayerEvents,
  ) {
    this.#video = video;
    this.rate = new Rate(video, () => performance.now());
    this.#firstFrame = new FirstFrame(video, (atMs) => events.firstFrame(atMs));
    this.#early = early;
    this.#prefix = prefix;
    this.#events = events;
    const { signal } = this.#listening;
    video.addEventListener("waiting", this.#onWaiting, { signal });
    video.addEventListener("playing", this.#onPlaying, { signal });
    video.addEventListener("pause", this.#onPause, { signal });
    video.addEventListener("volumechange", this.#onVolume, { signal });
    video.addEventListener("play", this.#onPlay, { signal });
    video.addEventListener("ended", this.#onEnded, { signal });
  }

  /** True with Media Source Extensions; else the browser's own HLS is used, without catch-up. */
  static readonly hasMediaSource = Hls.isSupported();

  get isLoaded(): boolean {
    return this.#hls !== null || this.#video.hasAttribute("src");
  }

  /** True while it is loaded and may fetch. */
  get isFetching(): boolean {
    return this.isLoaded && !this.#isHalted;
  }

  /** True when the element is still though it was told to play, and did not come to its end. */
  get isPaused(): boolean {
    return this.isLoaded && this.#video.paused && !this.#video.ended;
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

  /** True when nothing is left to show. */
  get isDrained(): boolean {
    return !this.isLoaded || this.bufferS < DRAINED_S;
  }

  /** Seconds behind the newest media that the playlist shows, or null. */
  get edgeLatencyS(): number | null {
    const details = this.#details();
    return details === null ? null : details.edge + this.#ageS - this.#video.currentTime;
  }

  /** Unix ms of the picture by PROGRAM-DATE-TIME, or null. */
  get pictureTimeMs(): number | null {
    const date = this.#hls?.playingDate?.getTime();
    return date === undefined || Number.isNaN(date) ? null : date;
  }

  /**
   * Seconds between picture and now: by PROGRAM-DATE-TIME where the clocks agree, else behind the
   * newest listed media; null while neither is known.
   */
  latencyS(nowMs: number): number | null {
    const picture = this.pictureTimeMs;
    const byDate = picture === null ? Number.NaN : (nowMs - picture) / 1000;
    const byEdge = this.edgeLatencyS;
    const isSane = byDate >= 0 && byDate < 120 && (byEdge === null || byDate > byEdge - 0.3);
    const latency = isSane ? byDate : byEdge;
    return latency === null ? null : Math.round(latency * 10) / 10;
  }

  /** True when media is here that could be shown. */
  get isHolding(): boolean {
    const { buffered, currentTime } = this.#video;
    return buffered.length > 0 && buffered.end(buffered.length - 1) > currentTime + 0.5;
  }

  /** True when the server has told what media there is. */
  get hasPlaylist(): boolean {
    return this.#details() !== null;
  }

  /** Look whether the picture moves; null while it need not. Call it with each tick. */
  watchPicture(nowMs: number): Picture | null {
    if (!this.isFetching || this.isPaused) {
      this.#progress.reset();
      return null;
    }
    const { currentTime } = this.#video;
    const frames = this.#framesShown();
    const { isHolding } = this;
    this.#progress.look(nowMs, currentTime, frames, isHolding);
    this.#firstFrame.look(frames, this.#progress.clockStillMs === 0);
    const fault = this.#firstFrame.isHere ? "frozen" : "no_picture";
    return {
      stillMs: this.#progress.clockStillMs,
      isUnseen: frames === null && this.#progress.clockStillMs === 0 && currentTime > 0,
      fault: this.#progress.isStill(isHolding) ? fault : null,
    };
  }

  /** Frames shown so far; null where there is no picture to see: sound alone, or a hidden page. */
  #framesShown(): number | null {
    const level = this.#hls?.levels[Math.max(0, this.#hls.currentLevel)];
    const isSound = level !== undefined && !level.videoCodec && level.height === 0;
    if (document.hidden || isSound || !("getVideoPlaybackQuality" in this.#video)) return null;
    const { totalVideoFrames, droppedVideoFrames } = this.#video.getVideoPlaybackQuality();
    return totalVideoFrames - droppedVideoFrames;
  }

  /** Height of the next smaller picture, or null when there is none. */
  get smallerHeight(): number | null {
    const hls = this.#hls;
    const now = hls?.levels[Math.max(0, hls.currentLevel)];
    const smaller = hls?.levels.filter(
      (level) => level.height > 0 && level.height < (now?.height ?? 0),
    );
    return smaller?.at(-1)?.height ?? null;
  }

  /** True once the media playlist has ENDLIST. */
  get isOver(): boolean {
    return this.#hls?.latestLevelDetails?.live === false;
  }

  /** Play `source` from near its edge, from scratch. */
  load(source: Source): void {
    this.unload();
    this.#isHalted = false;
    this.#progress.reset();
    this.#firstFrame.expect();
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
      const cap = hls.levels.findLastIndex(({ height }) => height <= this.heightMax);
      if (cap < 0 || cap === hls.levels.length - 1) return;
      hls.autoLevelCapping = cap;
      hls.startLevel = Math.min(cap, Math.max(0, level));
    });
    hls.on(Hls.Events.LEVEL_UPDATED, (_event, { details }) => {
      if (details.advanced) this.#grownMs = performance.now() - details.age * 1000;
    });
    hls.on(Hls.Events.ERROR, (_event, data) => {
      if (!data.fatal || hls !== this.#hls) return;
      if (data.type === Hls.ErrorTypes.MEDIA_ERROR && !this.#hasRecovered) {
        this.#hasRecovered = true;
        hls.recoverMediaError();
        // Attaching again leaves the element paused.
        this.#video.play().catch(() => undefined);
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
    this.rate.set(1);
    this.#hls?.stopLoad();
  }

  /** Fetch nothing more, the picture is still: the browser's own HLS can only be taken away. */
  park(): void {
    this.halt();
    if (this.#hls === null) this.unload();
  }

  /** Release all media; the picture disappears. */
  unload(): void {
    clearInterval(this.#watch);
    this.#hls?.destroy();
    this.#hls = null;
    this.#hasRecovered = false;
    this.rate.set(1);
    if (this.#video.hasAttribute("src")) {
      this.#video.removeAttribute("src");
      this.#video.load();
    }
  }

  destroy(): void {
    this.unload();
    this.#listening.abort();
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
        allows: (fragment, url) => this.#allows(fragment, url),
      }),
    };
  }

  #allows(fragment: Fragment, url: string): boolean | Promise<boolean> {
    if (this.#isHalted) return false;
    const details = this.#details();
    const mostS = Math.max(BEHIND_MAX_S, 5 * (details?.targetduration ?? 0));
    if (details !== null && details.edge - fragment.end > mostS) {
      queueMicrotask(() => this.#events.behind());
      return false;
    }
    return this.#events.mayFetch(url);
  }

  get #ageS(): number {
    return (performance.now() - this.#grownMs) / 1000;
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
    const isStale = this.#ageS > STALE_S;
    const rule = { targetS: this.#target.at(performance.now()), lowS: this.#lowS };
    const { bufferS, rate } = this;
    const correction = decide(rule, { latencyS, bufferS, mayRate: rate.isSafe });
    if ("rate" in correction) {
      rate.set(isStale ? Math.min(1, correction.rate) : correction.rate);
    } else if (!isStale) {
      video.currentTime += correction.jumpS;
    }
  };

  readonly #onWaiting = (): void => {
    if (!this.#firstFrame.isHere || !this.isLoaded || this.#video.seeking) return;
    // After a halt the buffer runs empty on purpose.
    if (!this.#isHalted) this.stalls += 1;
    this.#target.stalled(performance.now());
    this.#events.stalled();
  };

  readonly #onPlaying = (): void => {
    if (this.isLoaded) this.#events.playing();
  };

  readonly #onPause = (): void => {
    if (!this.isPaused) return;
    const paused = (): void => this.#events.paused();
    if (!this.isFetching || !this.rate.resume(paused)) paused();
  };

  readonly #onVolume = (): void => this.rate.hold();

  readonly #onPlay = (): void => {
    if (!this.#video.paused) this.#events.resumed();
  };

  readonly #onEnded = (): void => {
    if (this.isLoaded) this.#events.ended();
  };
}

/**
 * hls.js, started and kept near the live edge as references/player-lab.md found best. Decides
 * nothing about money or sessions: it reports, and is told to load, halt or unload.
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
  /** The picture stands still for want of media. */
  stalled(): void;
  /** The show is over and was played to its end. */
  ended(): void;
  refused(refusal: Refusal): void;
  /** Beyond what the player can mend itself. */
  failed(details: string): void;
}

export interface Source {
  /** Absolute URL of the multivariant playlist. */
  url: string;
  /** Absolute URL of the media playlist to begin with, or null. */
  start: string | null;
  partTargetS: number | null;
  /** How far behind the edge the independent part begins that the picture starts with, in seconds. */
  startBehindS: number;
}

const WATCH_EVERY_MS = 50;
/** A playlist that did not change for so long has lost its publisher. */
const STALE_S = 2.5;

const RETRY = { retryDelayMs: 500, maxRetryDelayMs: 8_000 };
/** The first byte of a blocking reload may take the server's whole patience. */
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
  #hasMended = false;
  #isHalted = false;
  /** How often the picture stood still for want of media, since the page opened. */
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

  /** True where Media Source Extensions are; else the browser's own HLS is used, without catch-up. */
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
    // At the keyframe, not after it: nothing is decoded only to be thrown away. The catch-up takes
    // back what that costs in delay.
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
      if (data.type === Hls.ErrorTypes.MEDIA_ERROR && !this.#hasMended) {
        this.#hasMended = true;
        hls.recoverMediaError();
      } else {
        this.#events.failed(data.details);
      }
    });
    hls.loadSource(source.url);
    hls.attachMedia(this.#video);
    if (targetS !== null) this.#watch = setInterval(this.#keepNearEdge, WATCH_EVERY_MS);
  }

  /** Ask for nothing more; what is buffered plays on. */
  halt(): void {
    clearInterval(this.#watch);
    this.#isHalted = true;
    this.#video.playbackRate = 1;
    this.#hls?.stopLoad();
  }

  /** Let go of all media: the picture is gone. */
  unload(): void {
    clearInterval(this.#watch);
    this.#hls?.destroy();
    this.#hls = null;
    this.#hasMended = false;
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
      // fMP4 is passed through: a worker's start would cost 100 to 250 ms.
      enableWorker: false,
      lowLatencyMode: true,
      // Its own catch-up off, ours on.
      maxLiveSyncPlaybackRate: 1,
      backBufferLength: 30,
      maxBufferLength: 10,
      // A creator may be away for a minute: hls.js's own two retries would end the show before that.
      playlistLoadPolicy: { default: PLAYLIST_POLICY },
      loader: makeLoader({
        early: this.#early,
        prefix,
        refused: (refusal) => this.#events.refused(refusal),
      }) as HlsConfig["loader"],
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
    // No news: the creator's connection is away. Hurrying would only empty the buffer sooner.
    const isStale = (this.#details()?.age ?? 0) > STALE_S;
    const rule = { targetS: this.#target.at(performance.now()), lowS: this.#lowS };
    const move = decide(rule, { latencyS, bufferS: this.bufferS });
    if ("rate" in move) {
      const rate = isStale ? Math.min(1, move.rate) : move.rate;
      if (video.playbackRate !== rate) video.playbackRate = rate;
    } else if (!isStale) {
      video.currentTime += move.jumpS;
    }
  };

  #watchFirstFrame(): void {
    const seen = (): void => {
      if (this.#hasFrame) return;
      this.#hasFrame = true;
      this.#events.firstFrame(performance.now());
    };
    if ("requestVideoFrameCallback" in this.#video) {
      this.#video.requestVideoFrameCallback(seen);
    } else {
      (this.#video as HTMLVideoElement).addEventListener("playing", seen, { once: true });
    }
  }

  readonly #onWaiting = (): void => {
    if (!this.#hasFrame || !this.isLoaded || this.#video.seeking) return;
    // Running dry after a halt is meant.
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

/**
 * The picture of one stream: which state follows which, when to ask the server for the stream
 * again, and playing out what is paid for. What a refusal means for the session and the balance is
 * decided in stream.ts.
 */

import { delayMs, OFFLINE, RECONNECT, REFUSED, type Backoff } from "./backoff";
import { Player } from "./player";
import { edgeTarget, firstVariant, partTargetOf, scanOpening } from "./playlist";
import { keepText, type EarlyMap } from "./prefetch";
import { probeShow } from "./probe";
import type { Refusal } from "./refusal";
import type { Reason, SnapshotStore, State } from "./snapshot";
import { prefixOf } from "./token_path";
import type { Boot } from "./types";

export interface PlaybackOptions {
  video: HTMLVideoElement;
  early: EarlyMap;
  store: SnapshotStore;
  /** Absolute URL of a path relative to the watch page, with the current token. */
  at: (relative: string) => string;
  /** The server's clock, Unix ms. */
  nowMs: () => number;
  /** The player has been halted; nothing is asked for until this decides what follows. */
  refused: (refusal: Refusal) => void;
}

/** States that are entered only after the paid buffer has been played. */
export type Stop = "stopped" | "kicked" | "denied";

/** A stall shorter than this is not shown. */
const WAIT_SHOWN_MS = 1_200;
/** After a stall this long, ask the server whether the show goes on. */
const STUCK_MS = 6_000;
/** Buffer that counts as played out. */
const DRAINED_S = 0.12;

export class Playback {
  readonly #options: PlaybackOptions;
  readonly #video: HTMLVideoElement;
  readonly #store: SnapshotStore;
  readonly #player: Player;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #attempt = 0;
  #stalledSinceMs: number | null = null;
  #stop: Stop | null = null;
  #show: string | null = null;
  #endedShow: string | null = null;
  /** The playlist that a stuck page read last: one that has grown since is played from its edge. */
  #lastPlaylist: string | null = null;
  #isDestroyed = false;

  constructor(options: PlaybackOptions) {
    this.#options = options;
    this.#video = options.video;
    this.#store = options.store;
    const prefix = (): string => prefixOf(this.#store.value.path);
    this.#player = new Player(this.#video, options.early, prefix, {
      firstFrame: (atMs) => {
        if (this.#store.value.firstFrameMs !== null) return;
        performance.mark("vilokanam:first-frame");
        this.#store.set({ firstFrameMs: Math.round(atMs) });
      },
      playing: () => this.#onPlaying(),
      stalled: () => {
        this.#stalledSinceMs ??= performance.now();
        this.#store.set({ stalls: this.#player.stalls });
      },
      ended: () => this.#onEnded(),
      refused: (refusal) => this.#onRefused(refusal),
      failed: () => this.#onFailed(),
    });
  }

  /** The state that follows once the paid buffer is played, or null. */
  get stop(): Stop | null {
    return this.#stop;
  }

  get isMoving(): boolean {
    const isRunning = !this.#video.paused && this.#stalledSinceMs === null;
    return isRunning && this.#store.value.state === "live";
  }

  /** How often the picture stalled since the page opened. */
  get stalls(): number {
    return this.#player.stalls;
  }

  /**
   * Seconds between picture and now: by PROGRAM-DATE-TIME where the clocks agree, else behind the
   * newest listed media; null while nothing plays.
   */
  get latencyS(): number | null {
    if (!["live", "waiting"].includes(this.#store.value.state)) return null;
    const picture = this.#player.pictureTimeMs;
    const byDate = picture === null ? Number.NaN : (this.#options.nowMs() - picture) / 1000;
    const byEdge = this.#player.edgeLatencyS;
    const isSane = byDate >= 0 && byDate < 120 && (byEdge === null || byDate > byEdge - 0.3);
    const latency = isSane ? byDate : byEdge;
    return latency === null ? null : Math.round(latency * 10) / 10;
  }

  /** Play what the page came with, or wait for the stream; without a boot, ask for it now. */
  start(boot: Boot | null): void {
    if (boot === null) {
      this.#ask();
      return;
    }
    const { multivariant, playlist, state } = boot;
    if (multivariant !== null && state !== "offline") {
      this.#load(playlist?.uri ?? firstVariant(multivariant), playlist?.text ?? "");
    } else {
      this.#store.set({ state: "offline" });
      this.#pollAfter(OFFLINE);
    }
  }

  destroy(): void {
    this.#isDestroyed = true;
    clearTimeout(this.#retry);
    this.#player.destroy();
  }

  pause(): void {
    if (!["live", "waiting", "loading"].includes(this.#store.value.state) || this.#stop) return;
    clearTimeout(this.#retry);
    this.#player.halt();
    this.#video.pause();
    this.#store.set({ state: "paused", retryAtMs: null });
  }

  /** Play again from the live edge, unless it plays or something else must happen first. */
  play(): void {
    const { state } = this.#store.value;
    if (["live", "waiting", "loading", "stopped", "kicked"].includes(state)) {
      // A refused autoplay leaves the player loaded and the element paused.
      if (this.#player.isLoaded && this.#stop === null) void this.#startElement();
      return;
    }
    this.#ask();
  }

  /** Play again from the live edge, whatever state this was about to enter. */
  restart(): void {
    this.#stop = null;
    this.#ask();
  }

  /** Fetch nothing more, play what is buffered, then enter `stop`. */
  playOut(stop: Stop, reason: Reason): void {
    clearTimeout(this.#retry);
    this.#player.halt();
    this.#stop = stop;
    this.#store.set({ reason, retryAtMs: null });
  }

  /** Fetch nothing for at least `leastMs`, then ask again. */
  slowDown(reason: Reason, leastMs: number): void {
    this.#store.set({ state: "slowed", reason });
    this.#pollAfter(REFUSED, leastMs);
  }

  setMuted(isMuted: boolean): void {
    this.#video.muted = isMuted;
    this.#store.set({ isMuted });
    if (this.#player.isLoaded && this.#store.value.state !== "paused") void this.#startElement();
  }

  /** Enter the states that only the passing of time shows: played out, stalled, stuck. */
  tick(nowMs: number): void {
    const { state, retryAtMs } = this.#store.value;
    const stalledMs = this.#stalledSinceMs === null ? 0 : nowMs - this.#stalledSinceMs;
    if (this.#stop !== null) {
      if (this.#isPlayedOut()) this.#finish(this.#stop);
    } else if (stalledMs > WAIT_SHOWN_MS) {
      if (this.#player.isOver) this.#onEnded();
      else if (state === "live") this.#store.set({ state: "waiting" });
      else if (stalledMs > STUCK_MS && state === "waiting" && retryAtMs === null) {
        this.#pollAfter(RECONNECT);
      }
    }
  }

  // --- the player

  /** Load the player from playlist texts; `uri` is relative to the page. */
  #load(uri: string | null, playlist: string): void {
    clearTimeout(this.#retry);
    this.#stop = null;
    this.#stalledSinceMs = null;
    this.#show = uri?.split("/")[0] ?? null;
    this.#store.set({ state: "loading", reason: null, retryAtMs: null });
    const partTargetS = partTargetOf(playlist);
    this.#player.load({
      url: this.#options.at("index.m3u8"),
      start: uri === null ? null : this.#options.at(uri),
      partTargetS,
      startBehindS:
        partTargetS === null ? 0 : scanOpening(playlist, edgeTarget(partTargetS)).behindS,
    });
    void this.#startElement();
  }

  async #startElement(): Promise<void> {
    try {
      await this.#video.play();
    } catch (error) {
      if (!(error instanceof DOMException) || error.name !== "NotAllowedError") return;
      if (this.#video.muted) {
        // Not even muted (data saver, low power): the viewer has to click.
        this.#player.halt();
        this.#store.set({ state: "paused" });
      } else {
        this.#video.muted = true;
        this.#store.set({ isMuted: true });
        await this.#video.play().catch(() => undefined);
      }
    }
  }

  #onPlaying(): void {
    this.#stalledSinceMs = null;
    // A halted player that plays its last second has not come back.
    if (this.#stop !== null || ["paused", "slowed"].includes(this.#store.value.state)) return;
    clearTimeout(this.#retry);
    this.#attempt = 0;
    this.#lastPlaylist = null;
    this.#store.set({ state: "live", reason: null, retryAtMs: null });
  }

  #onEnded(): void {
    if (this.#stop !== null || !this.#player.isOver) return;
    this.#finish("ended");
    this.#endedShow = this.#show;
    this.#pollAfter(OFFLINE);
  }

  #onFailed(): void {
    if (this.#stop !== null || this.#store.value.state === "paused") return;
    this.#store.set({ state: "reconnecting" });
    this.#pollAfter(RECONNECT);
  }

  #onRefused(refusal: Refusal): void {
    if (this.#isDestroyed || this.#stop !== null) return;
    this.#player.halt();
    this.#options.refused(refusal);
  }

  #isPlayedOut(): boolean {
    const isStill = this.#video.paused || this.#stalledSinceMs !== null;
    return isStill || !this.#player.isLoaded || this.#player.bufferS < DRAINED_S;
  }

  /** Blank the picture and show why. */
  #finish(state: State): void {
    this.#stop = null;
    this.#player.unload();
    this.#store.set({ state, latencyS: null });
  }

  // --- waiting for the stream

  #ask(): void {
    this.#attempt = 0;
    this.#store.set({ state: "loading", reason: null });
    void this.#poll();
  }

  #pollAfter(backoff: Backoff, leastMs = 0): void {
    clearTimeout(this.#retry);
    if (this.#isDestroyed) return;
    const wait = Math.max(leastMs, delayMs(backoff, this.#attempt, Math.random));
    this.#attempt += 1;
    this.#retry = setTimeout(() => void this.#poll(), wait);
    this.#store.set({ retryAtMs: Date.now() + wait });
  }

  /** Ask whether there is something to play; play it, or ask again later. */
  async #poll(): Promise<void> {
    clearTimeout(this.#retry);
    const { state } = this.#store.value;
    const url = this.#options.at("index.m3u8");
    const outcome = await probeShow(url);
    if (this.#isDestroyed || this.#stop !== null || this.#store.value.state !== state) return;
    if (outcome.kind === "refused") {
      this.#onRefused(outcome.refusal);
    } else if (
      outcome.kind === "show" &&
      state === "waiting" &&
      !this.#hasGrown(outcome.playlist)
    ) {
      this.#pollAfter(RECONNECT);
    } else if (outcome.kind === "show" && outcome.uri.split("/")[0] !== this.#endedShow) {
      keepText(this.#options.early, url, outcome.multivariant);
      keepText(this.#options.early, this.#options.at(outcome.uri), outcome.playlist);
      this.#load(outcome.uri, outcome.playlist);
    } else if (outcome.kind === "away") {
      if (state === "loading" || state === "waiting") this.#store.set({ state: "reconnecting" });
      this.#pollAfter(state === "offline" || state === "ended" ? OFFLINE : RECONNECT);
    } else {
      if (state !== "ended") {
        this.#finish(this.#store.value.secondsWatched > 0 ? "ended" : "offline");
      }
      this.#pollAfter(OFFLINE);
    }
  }

  /** False while the publisher is disconnected: nothing newer can be played. */
  #hasGrown(playlist: string): boolean {
    const last = this.#lastPlaylist;
    this.#lastPlaylist = playlist;
    return last !== null && last !== playlist;
  }
}

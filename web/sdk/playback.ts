/**
 * The picture of one stream: which state follows which, when to ask the server for the stream
 * again, and playing out what is paid for. What a refusal means for the session and the balance is
 * decided in stream.ts.
 */

import { delayMs, OFFLINE, RECONNECT, REFUSED, type Backoff } from "./backoff";
import { Opening } from "./opening";
import type { PlaybackOptions, Stop } from "./playback_options";
import { Player } from "./player";
import { edgeTarget, firstVariant, partTargetOf, scanOpening } from "./playlist";
import { keepText } from "./prefetch";
import { probeShow } from "./probe";
import type { Refusal } from "./refusal";
import { Returning } from "./returning";
import { RUNNING, type Reason, type SnapshotStore, type State } from "./snapshot";
import { prefixOf } from "./token_path";
import type { Boot } from "./types";

/** After a sleep longer than this a priced picture waits for a click. */
const ASLEEP_MS = 60_000;
/** A stall shorter than this is not shown. */
const WAIT_SHOWN_MS = 1_200;
/** After a stall this long, ask the server whether the show goes on. */
const STUCK_MS = 6_000;

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
  readonly #opening = new Opening();
  readonly #returning = new Returning();
  #smallerHeight: number | null = null;
  /** The browser has frozen the page: what it does to the element is not the viewer's wish. */
  #isFrozen = false;

  constructor(options: PlaybackOptions) {
    this.#options = options;
    this.#video = options.video;
    this.#store = options.store;
    const prefix = (): string => prefixOf(this.#store.value.path);
    this.#player = new Player(this.#video, options.early, prefix, {
      firstFrame: (atMs) => {
        this.#options.paying.seen();
        if (this.#store.value.firstFrameMs !== null) return;
        performance.mark("vilokanam:first-frame");
        this.#store.set({ firstFrameMs: Math.round(atMs) });
      },
      playing: () => this.#onPlaying(),
      paused: () => this.#onElementPaused(),
      resumed: () => this.#onElementResumed(),
      mayFetch: (url) => !this.#isFrozen && this.#options.mayFetch(url),
      behind: () => this.#rejoin(),
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

  /** True once nothing more is paid for: what is here plays out, or has. */
  get isRefused(): boolean {
    return [this.#stop, this.#store.value.state].includes("stopped");
  }

  get isMoving(): boolean {
    const isRunning = !this.#video.paused && this.#stalledSinceMs === null;
    return isRunning && this.#store.value.state === "live";
  }

  /** Seconds between picture and now; null while nothing plays. */
  get latencyS(): number | null {
    const isShown = ["live", "waiting"].includes(this.#store.value.state);
    return isShown ? this.#player.latencyS(this.#options.nowMs()) : null;
  }

  /** Play what the page came with, or wait for the stream. */
  start(boot: Boot): void {
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

  /** Fetch nothing until `play`; `reason` when it was not the viewer. */
  pause(reason: Reason | null = null): void {
    if (!this.#isRunning) return;
    clearTimeout(this.#retry);
    this.#player.halt();
    this.#video.pause();
    this.#store.set({ state: "paused", reason, retryAtMs: null });
    this.#player.park();
  }

  /** The browser freezes the page: from here on nothing is fetched. */
  freeze(): void {
    this.#isFrozen = true;
    if (this.#isRunning) this.#player.halt();
  }

  /**
   * The page has slept: what it slept through is neither fetched nor paid. Go to the live edge; after
   * long, when that costs something, only on a click.
   */
  wake(sleptMs: number): void {
    this.#isFrozen = false;
    if (!this.#isRunning) return;
    if (this.#store.value.isPriced && sleptMs > ASLEEP_MS) this.pause("asleep");
    else this.#rejoin();
  }

  /** Play again from the live edge, unless it plays or something else must happen first. */
  play(): void {
    const { state, reason } = this.#store.value;
    const isOpening = state === "loading" && reason === null;
    if (isOpening || ["live", "waiting", "kicked"].includes(state)) return;
    this.#opening.restart();
    if (state === "stopped" && reason !== "limit") return; // A deposit starts it again by itself.
    // What is left of the buffer is not shown: it would pass for the live picture.
    this.#player.unload();
    this.#ask();
    // Within the click: some browsers let an element play later only if it was told to play then.
    this.#video.play().catch(() => undefined);
  }

  /** Play again from the live edge, whatever state this was about to enter. */
  restart(): void {
    this.#stop = null;
    this.#ask();
  }

  /** The price is known, or agreed to: go on, if that is what this waits for. */
  proceed(): void {
    const { state } = this.#store.value;
    if (state === "asking" || (state === "loading" && !this.#player.isLoaded)) this.restart();
    else if (this.#stop === "asking") this.restart();
  }

  /** Fetch nothing more, play what is buffered, then enter `stop`. */
  playOut(stop: Stop, reason: Reason): void {
    clearTimeout(this.#retry);
    this.#player.halt();
    // The browser's own HLS fetches as long as it plays.
    if (stop === "asking") this.#player.park();
    this.#stop = stop;
    this.#store.set({ reason, retryAtMs: null });
  }

  /** Fetch nothing for at least `leastMs`, then ask again. */
  slowDown(reason: Reason, leastMs: number): void {
    this.#store.set({ state: "slowed", reason });
    this.#pollAfter(REFUSED, leastMs);
  }

  setMuted(isMuted: boolean): void {
    this.#player.rate.want(isMuted);
    this.#store.set({ isMuted });
    if (this.#player.isLoaded && this.#store.value.state !== "paused") void this.#startElement();
  }

  /** Enter the states that only the passing of time shows: played out, stalled, stuck. */
  tick(nowMs: number): void {
    this.#watchPicture(nowMs);
    this.#watchOpening(nowMs);
    const { state, retryAtMs } = this.#store.value;
    const stalledMs = this.#stalledSinceMs === null ? 0 : nowMs - this.#stalledSinceMs;
    // Not every browser tells each pause of its own.
    if (this.#player.isFetching && this.#player.isPaused) this.#onElementPaused();
    if (this.#stop !== null) {
      if (this.#isPlayedOut()) this.#finish(this.#stop);
    } else if (stalledMs > WAIT_SHOWN_MS) {
      if (this.#player.isOver) this.#onEnded();
      else if (state === "live") this.#store.set({ state: "waiting" });
      // With media at hand the server is not the cause.
      else if (stalledMs > STUCK_MS && state === "waiting" && retryAtMs === null) {
        if (!this.#player.isHolding) this.#pollAfter(RECONNECT);
      }
    }
  }

  /** Play the next smaller picture from here on. */
  playSmaller(): void {
    this.#player.heightMax = this.#smallerHeight ?? Number.POSITIVE_INFINITY;
    this.play();
  }

  /** Media that arrives and is not shown is paid for in vain: after some seconds nothing is fetched. */
  #watchPicture(nowMs: number): void {
    const picture = this.#isRunning && !this.#isFrozen ? this.#player.watchPicture(nowMs) : null;
    if (picture === null) return;
    if (picture.isUnseen) this.#options.paying.seen();
    // Not every decoder that comes back says so.
    if (picture.stillMs === 0 && this.#store.value.state === "waiting") this.#onPlaying();
    if (picture.stillMs > WAIT_SHOWN_MS) this.#stalledSinceMs ??= nowMs - picture.stillMs;
    if (picture.fault === null) return;
    this.#smallerHeight = this.#player.smallerHeight;
    this.#finish("stuck");
    const canPlaySmaller = this.#smallerHeight !== null;
    this.#store.set({ reason: picture.fault, canPlaySmaller, retryAtMs: null });
  }

  /** A start without media is told as such, and goes on trying. */
  #watchOpening(nowMs: number): void {
    const { state, reason } = this.#store.value;
    const late = this.#opening.look(nowMs, state, this.#player);
    if (late === null || late === reason) return;
    this.#smallerHeight = this.#player.smallerHeight;
    this.#store.set({ reason: late, canPlaySmaller: this.#smallerHeight !== null });
  }

  // --- the player

  /** Load the player from playlist texts; `uri` is relative to the page. */
  #load(uri: string | null, playlist: string): void {
    clearTimeout(this.#retry);
    this.#stop = null;
    this.#stalledSinceMs = null;
    this.#show = uri?.split("/")[0] ?? null;
    const question = this.#options.paying.question();
    if (question !== null) {
      if (question !== "unknown") this.#store.set({ state: "asking", reason: question });
      return;
    }
    this.#options.paying.opened();
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
        this.#player.rate.want(true);
        this.#store.set({ isMuted: true });
        await this.#video.play().catch(() => undefined);
      }
    }
  }

  get #isRunning(): boolean {
    return this.#stop === null && RUNNING.includes(this.#store.value.state);
  }

  /** Leave what is loaded, and play from the live edge. */
  #rejoin(): void {
    if (!this.#isRunning) return;
    this.#ask();
    this.#player.unload();
  }

  #onElementPaused(): void {
    if (!this.#isFrozen && this.#player.isFetching) this.pause();
  }

  #onElementResumed(): void {
    if (this.#store.value.state === "paused") this.play();
  }

  #onPlaying(): void {
    this.#stalledSinceMs = null;
    // A halted player that plays its last second has not come back.
    if (this.#stop !== null || !this.#player.isFetching) return;
    clearTimeout(this.#retry);
    this.#attempt = 0;
    this.#lastPlaylist = null;
    const latencyS = this.#player.latencyS(this.#options.nowMs());
    this.#store.set({ state: "live", reason: null, retryAtMs: null, latencyS });
  }

  #onEnded(): void {
    if (this.#stop !== null || !this.#player.isOver) return;
    this.#finish("ended");
    this.#endedShow = this.#show;
    this.#pollAfter(OFFLINE);
  }

  #onFailed(): void {
    if (this.#stop !== null || this.#store.value.state === "paused") return;
    this.#returning.away(performance.now());
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
    return isStill || this.#player.isDrained;
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
    const isShow = outcome.kind === "show";
    const mayReturn = this.#returning.isAwaited(performance.now(), this.#store.value);
    if (this.#isDestroyed || this.#stop !== null || this.#store.value.state !== state) return;
    if (outcome.kind === "refused") {
      this.#onRefused(outcome.refusal);
    } else if (isShow && state === "waiting" && !this.#hasGrown(outcome.playlist)) {
      this.#pollAfter(RECONNECT);
    } else if (isShow && outcome.uri.split("/")[0] !== this.#endedShow) {
      keepText(this.#options.early, url, outcome.multivariant);
      keepText(this.#options.early, this.#options.at(outcome.uri), outcome.playlist);
      this.#load(outcome.uri, outcome.playlist);
    } else if (outcome.kind === "away") {
      this.#returning.away(performance.now());
      if (state === "loading" || state === "waiting") this.#store.set({ state: "reconnecting" });
      this.#pollAfter(state === "offline" || state === "ended" ? OFFLINE : RECONNECT);
    } else if (outcome.kind === "nothing" && !outcome.isClosed && mayReturn) {
      this.#store.set({ state: "reconnecting" });
      this.#pollAfter(RECONNECT);
    } else {
      if (state !== "ended") {
        this.#finish(this.#store.value.secondsWatched > 0 ? "ended" : "offline");
      }
      if (outcome.kind === "nothing" && outcome.isClosed) this.#store.set({ reason: "closed" });
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

/**
 * The playback rate, changed only where the element survives it, and the sound that the page wants,
 * held against what the element says. In WebKitGTK 2.50 the first change of the rate unmutes the
 * element, and so the browser, which plays no sound without a click, pauses it. Changed back before
 * the element has settled, the rate is stated and not played: 1.25 for 1, until the next seek. And
 * with sound on, small changes made the picture stand. So there the rate is set back once, later, and
 * left alone; `decide` jumps instead.
 */

/** What the browser does to the element within this time after a change of the rate is its effect. */
const EFFECT_MS = 1_000;
/** By then the element has settled: 36 ms after a change were too soon, 450 to 560 ms never were. */
const SETTLED_MS = 500;

export class Rate {
  readonly #video: HTMLVideoElement;
  readonly #nowMs: () => number;
  #isSafe = true;
  #changedMs = Number.NEGATIVE_INFINITY;
  #unmutedMs = Number.NEGATIVE_INFINITY;
  #isMuted = true;

  constructor(video: HTMLVideoElement, nowMs: () => number) {
    this.#video = video;
    this.#nowMs = nowMs;
  }

  /** False once a change of the rate has done something else to the element. */
  get isSafe(): boolean {
    return this.#isSafe;
  }

  /** Play at `rate`, or at 1 where that is not safe. Ask again: the element may have to settle. */
  set(rate: number): void {
    const video = this.#video;
    const nowMs = this.#nowMs();
    const safe = this.#isSafe ? rate : 1;
    if (video.playbackRate === safe) return;
    if (!this.#isSafe && nowMs - this.#changedMs < SETTLED_MS) return;
    this.#changedMs = nowMs;
    video.playbackRate = safe;
    this.hold();
  }

  /** The viewer wants sound, or none. */
  want(isMuted: boolean): void {
    this.#isMuted = isMuted;
    this.#video.muted = isMuted;
  }

  /** Take a `volumechange`: sound that nobody asked for is taken away again. */
  hold(): void {
    if (!this.#isMuted || this.#video.muted) return;
    if (this.#nowMs() - this.#changedMs < EFFECT_MS) {
      this.#isSafe = false;
      this.#unmutedMs = this.#nowMs();
    }
    this.#video.muted = true;
  }

  /**
   * Take a `pause`: true when it was the browser's, for the sound that came with the rate, and the
   * picture is being started again. Once for each change: a browser that insists is heard.
   */
  resume(failed: () => void): boolean {
    this.hold();
    if (!this.#isMuted || this.#nowMs() - this.#unmutedMs > EFFECT_MS) return false;
    this.#unmutedMs = Number.NEGATIVE_INFINITY;
    this.#video.play().catch(failed);
    return true;
  }
}

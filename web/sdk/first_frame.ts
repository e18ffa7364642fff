/**
 * When the first picture of what was loaded is shown. WebKitGTK may play for minutes without one call
 * for a frame (2.50, where nothing composites the page): there the element's own count says it, once
 * its clock moves. A page that waited for the call took a picture in plain view for none, stopped
 * fetching and offered no sound.
 */

export class FirstFrame {
  readonly #video: HTMLVideoElement;
  readonly #report: (atMs: number) => void;
  #isHere = false;
  /** Frames that the element had counted before; null: not read yet. */
  #before: number | null = null;

  constructor(video: HTMLVideoElement, report: (atMs: number) => void) {
    this.#video = video;
    this.#report = report;
  }

  get isHere(): boolean {
    return this.#isHere;
  }

  /** Something new is loaded: wait for its first picture. */
  expect(): void {
    this.#isHere = false;
    this.#before = null;
    if ("requestVideoFrameCallback" in this.#video) {
      this.#video.requestVideoFrameCallback(this.#come);
    } else {
      (this.#video as HTMLVideoElement).addEventListener("playing", this.#come, { once: true });
    }
  }

  /** Take a reading: frames shown so far, null where none are counted; does the clock move? */
  look(frames: number | null, isMoving: boolean): void {
    if (frames === null) return;
    // A new source may begin the count anew.
    this.#before = Math.min(this.#before ?? frames, frames);
    if (isMoving && frames > this.#before) this.#come();
  }

  readonly #come = (): void => {
    if (this.#isHere) return;
    this.#isHere = true;
    this.#report(performance.now());
  };
}

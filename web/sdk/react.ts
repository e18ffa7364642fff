/** The SDK for React: one hook. */

import { useCallback, useEffect, useState, useSyncExternalStore } from "react";

import type { Snapshot } from "./snapshot";
import { TickStream, type StreamOptions } from "./stream";

export interface TickStreamHook {
  /** Give this to the video element: `<video ref={ref} muted playsInline />`. */
  ref: (video: HTMLVideoElement | null) => void;
  /** Null until the video element is there. */
  snapshot: Snapshot | null;
  /** To play, pause, unmute, top up and take over; null until the video element is there. */
  stream: TickStream | null;
}

/**
 * Watch a stream for as long as the component lives.
 *
 * `options` are read when the video element appears or `page` changes; later changes to the others
 * have no effect.
 */
export function useTickStream(options: Omit<StreamOptions, "video">): TickStreamHook {
  const [video, setVideo] = useState<HTMLVideoElement | null>(null);
  const [stream, setStream] = useState<TickStream | null>(null);
  const { page } = options;

  useEffect(() => {
    if (video === null) return undefined;
    const made = new TickStream({ ...options, video });
    made.start();
    setStream(made);
    return () => {
      made.destroy();
      setStream(null);
    };
    // Only these two start over: see above.
  }, [video, page]);

  const subscribe = useCallback(
    (listener: () => void) => stream?.subscribe(listener) ?? (() => undefined),
    [stream],
  );
  const snapshot = useSyncExternalStore(
    subscribe,
    () => stream?.snapshot() ?? null,
    () => null,
  );
  return { ref: setVideo, snapshot, stream };
}

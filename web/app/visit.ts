/** How long the picture has played in this tab: a reload goes on counting. */

const key = (stream: string): string => `vilokanam:played:${stream}`;
let last = -1;

/** Return the whole seconds played in this tab before, 0 when none are known. */
export function rememberedPlay(stream: string): number {
  try {
    return Math.max(0, Number(sessionStorage.getItem(key(stream)) ?? 0) || 0);
  } catch {
    return 0;
  }
}

/** Keep the seconds played. */
export function rememberPlay(stream: string, seconds: number): void {
  if (seconds === last) return;
  last = seconds;
  try {
    sessionStorage.setItem(key(stream), String(seconds));
  } catch {
    // A browser that keeps nothing counts from the reload on.
  }
}

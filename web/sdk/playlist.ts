/** Reads from playlist texts where to begin. Small, as it is also inlined in the page. */

/** What to fetch at once. URIs are relative to the playlist. */
export interface Opening {
  init: string | null;
  parts: string[];
  /** How far the first of the parts begins behind the edge, in seconds; 0 without parts. */
  behindS: number;
}

/** Return PART-TARGET in seconds, or null for a playlist without parts. */
export function partTargetOf(playlist: string): number | null {
  const match = /#EXT-X-PART-INF:[^\n]*PART-TARGET=([\d.]+)/.exec(playlist);
  return match ? Number(match[1]) : null;
}

/**
 * Return how far behind the edge to play, in seconds: 2.5 parts of 0.2 s, 1.8 parts of 0.5 s.
 * Measured over loopback: both ran without a stall in 3 joins of 62 s; nearer, at 0.35 s and
 * 0.75 s, each had one.
 */
export function edgeTarget(partTargetS: number): number {
  return Math.max(0.5, 1.8 * partTargetS);
}

/**
 * Return the init and the parts from the last INDEPENDENT one at or before `backS` behind the edge:
 * what hls.js asks for first, in that order. Empty without parts, or when none is independent.
 */
export function scanOpening(playlist: string, backS: number): Opening {
  let init: string | null = null;
  const parts: { uri: string; seconds: number; isStart: boolean }[] = [];
  for (const line of playlist.split("\n")) {
    const uri = /URI="([^"]+)"/.exec(line)?.[1];
    if (uri === undefined) continue;
    if (line.startsWith("#EXT-X-MAP:")) {
      // Parts of another init do not belong to the same start.
      if (init !== null && init !== uri) parts.length = 0;
      init = uri;
    } else if (line.startsWith("#EXT-X-PART:") && !line.includes("GAP=YES")) {
      const seconds = Number(/DURATION=([\d.]+)/.exec(line)?.[1] ?? 0);
      parts.push({ uri, seconds, isStart: line.includes("INDEPENDENT=YES") });
    }
  }
  let behind = 0;
  for (const [index, part] of [...parts.entries()].reverse()) {
    behind += part.seconds;
    // Sums of floats: up to 1 ms short of the target counts as the target.
    if (part.isStart && behind >= backS - 0.001) {
      return { init, parts: parts.slice(index).map(({ uri }) => uri), behindS: behind };
    }
  }
  return { init, parts: [], behindS: 0 };
}

/** Return the first variant's URI in a multivariant playlist, or null. */
export function firstVariant(multivariant: string): string | null {
  return /#EXT-X-STREAM-INF:[^\n]*\n+([^#\n][^\n]*)/.exec(multivariant)?.[1]?.trim() ?? null;
}

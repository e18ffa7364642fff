/** The token in a path: `/w/<token>/`. Playlists never carry it, so it is swapped in the loader. */

const PREFIX = /^\/w\/[^/]+\//;

/** Return the token prefix of a path, or "" when it has none. */
export function prefixOf(path: string): string {
  return PREFIX.exec(path)?.[0] ?? "";
}

/** Return `url` with its token prefix replaced by `prefix`; untouched when either has none. */
export function swapPrefix(url: string, prefix: string): string {
  if (prefix === "") return url;
  const parsed = new URL(url);
  const path = parsed.pathname.replace(PREFIX, () => prefix);
  if (path === parsed.pathname) return url;
  parsed.pathname = path;
  return parsed.href;
}

/**
 * Return in how many ms a token should be renewed: at 2/3 of what is left, or half a minute before it
 * ends if that is earlier, so that several attempts fit; but not before a third of it has passed. At
 * least a second, at most what a timer can hold.
 */
export function renewDelayMs(expiresMs: number, nowMs: number): number {
  const left = expiresMs - nowMs;
  const wait = Math.min((left * 2) / 3, Math.max(left / 3, left - 30_000));
  return Math.min(2 ** 31 - 1, Math.max(1_000, Math.round(wait)));
}

/**
 * The link spends its owner's money: it is taken out of the address bar, where people copy and share
 * from, and kept in this tab. A reload of the bare address goes back to it (the server's page for a
 * priced stream without a link does that: mediaserver/api/notice_page.py, KEPT_LINK).
 */

const KEPT = "vilokanam:link:";

/** Keep `path`, `/w/<token>/<stream>/`, in this tab and show the stream's public address. */
export function hideLink(path: string): void {
  const slug = path.split("/").at(-2) ?? "";
  try {
    sessionStorage.setItem(KEPT + slug, path);
  } catch {
    // Without storage a reload would lose the link: it stays in sight.
    history.replaceState(null, "", path);
    return;
  }
  history.replaceState(null, "", `/${slug}/`);
}

"""Chromium as a WHIP publisher, with fake camera and microphone."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from playwright.async_api import Page, async_playwright

from tests.support.whip.helpers import KEY, Client

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
PUBLISH = """async ([url, key, kinds]) => {
  const media = await navigator.mediaDevices.getUserMedia(
    {audio: kinds.includes('a'), video: kinds.includes('v') && {width: 640, height: 360}});
  const pc = window.pc = new RTCPeerConnection({bundlePolicy: 'max-bundle'});
  for (const track of media.getTracks()) pc.addTransceiver(track, {direction: 'sendonly'});
  await pc.setLocalDescription();
  const states = new Promise((done) => {
    pc.addEventListener('connectionstatechange',
      () => pc.connectionState === 'connected' && done(performance.now()));
  });
  const began = performance.now();
  const answer = await fetch(url, {method: 'POST', body: pc.localDescription.sdp,
    headers: {'Content-Type': 'application/sdp', 'Authorization': `Bearer ${key}`}});
  const text = await answer.text();
  if (answer.status !== 201) return {status: answer.status, text};
  const answered = performance.now();
  await pc.setRemoteDescription({type: 'answer', sdp: text});
  const connected = await states;
  window.session = answer.headers.get('Location'); window.etag = answer.headers.get('ETag');
  return {status: 201, answered: answered - began, connected: connected - began,
    offer: pc.localDescription.sdp, location: window.session, etag: window.etag};
}"""
RESTART = """async (key) => {
  const pc = window.pc;
  pc.restartIce();
  await pc.setLocalDescription(await pc.createOffer());
  const take = (name, sdp) => sdp.match(new RegExp(`a=${name}:(.*)`))[1].trim();
  const own = pc.localDescription.sdp;
  const body = `a=ice-ufrag:${take('ice-ufrag', own)}\\r\\na=ice-pwd:${take('ice-pwd', own)}\\r\\n`;
  const answer = await fetch(window.session, {method: 'PATCH', body, headers: {
    'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': '*',
    'Authorization': `Bearer ${key}`}});
  const text = await answer.text();
  if (answer.status !== 200) return {status: answer.status, text};
  let sdp = pc.currentRemoteDescription.sdp;
  const old = [...sdp.matchAll(/a=(candidate|end-of-candidates).*\\r\\n/g)];
  for (const line of old) sdp = sdp.replace(line[0], '');
  sdp = sdp.replace(/a=ice-ufrag:.*/g, `a=ice-ufrag:${take('ice-ufrag', text)}`)
    .replace(/a=ice-pwd:.*/g, `a=ice-pwd:${take('ice-pwd', text)}`);
  const candidates = text.match(/a=candidate:.*/g).map((line) => line.trim() + '\\r\\n').join('');
  const parts = sdp.split(/(?=m=)/);
  parts[1] += candidates;
  await pc.setRemoteDescription({type: 'answer', sdp: parts.join('')});
  const port = candidates.split(' ')[5];
  return {status: 200, etag: answer.headers.get('ETag'), port: Number(port)};
}"""
SELECTED_PORT = """async () => {
  const reports = await window.pc.getStats();
  for (const report of reports.values())
    if (report.type === 'transport')
      return reports.get(reports.get(report.selectedCandidatePairId).remoteCandidateId).port;
}"""
STATISTICS = """async () => {
  const found = {};
  for (const report of (await window.pc.getStats()).values()) {
    if (report.type === 'outbound-rtp' && report.kind === 'video') Object.assign(found, {
      sent: report.packetsSent, keys: report.keyFramesEncoded, plis: report.pliCount,
      nacks: report.nackCount, repeated: report.retransmittedPacketsSent,
      frames: report.framesEncoded});
    if (report.type === 'remote-inbound-rtp' && report.kind === 'video')
      Object.assign(found, {rtt: report.roundTripTime, lost: report.packetsLost});
    if (report.type === 'candidate-pair' && report.nominated)
      found.bits_per_s = report.availableOutgoingBitrate;
  }
  return found;
}"""


@contextlib.asynccontextmanager
async def chromium_page() -> AsyncIterator[Page]:
    """Yield an empty page of a headless Chromium."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=ARGUMENTS
        )
        try:
            yield await (await browser.new_context()).new_page()
        finally:
            await browser.close()


@contextlib.asynccontextmanager
async def browser_page(client: Client) -> AsyncIterator[Page]:
    """Yield a blank page of our server's origin."""
    async with chromium_page() as page:
        await page.goto(str(client.make_url("/blank")))
        yield page


async def publish(page: Page, client: Client, kinds: str = "av") -> Any:
    """Publish from the page; return what the script measured."""
    return await page.evaluate(PUBLISH, [str(client.make_url("/show/whip")), KEY, kinds])

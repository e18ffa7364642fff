// A WHIP publisher on libdatachannel that does what OBS does with it: H.264 and Opus, no trickle, and a
// new session when the connection is "disconnected" (plugins/obs-webrtc/whip-output.cpp).
//
//   node libdatachannel.mjs URL KEY UNITS
//
// UNITS holds access units, each behind its length (u32, big-endian). Prints "<Unix ms> <word>" for each
// state. SIGTERM ends the session with DELETE.
import fs from 'node:fs';
import nd from 'node-datachannel';

const [url, key, file] = process.argv.slice(2);
const FRAME_MS = 1000 / 30, SOUND_MS = 20, RETRY_MS = 500;
const SILENCE = Buffer.from([0xf8, 0xff, 0xfe]);
const headers = { 'Content-Type': 'application/sdp', 'Authorization': `Bearer ${key}`, 'User-Agent': 'Mozilla/5.0 (OBS-Studio/32.1.2; Linux x86_64)' };
const say = (word) => process.stdout.write(`${Date.now()} ${word}\n`);

const units = [];
const bytes = fs.readFileSync(file);
for (let at = 0; at < bytes.length;) {
  const size = bytes.readUInt32BE(at);
  units.push(bytes.subarray(at + 4, at + 4 + size));
  at += 4 + size;
}

let session = null, isEnding = false;

function track(pc, media, payloadType, ssrc, clockRate, makePacketizer) {
  media.addSSRC(ssrc, 'obs', 'stream', media.mid());
  const config = new nd.RtpPacketizationConfig(ssrc, 'obs', payloadType, clockRate);
  const packetizer = makePacketizer(config);
  packetizer.addToChain(new nd.RtcpSrReporter(config));
  packetizer.addToChain(new nd.RtcpNackResponder());
  const made = pc.addTrack(media);
  made.setMediaHandler(packetizer);
  return { made, config };
}

async function connect() {
  const pc = new nd.PeerConnection('obs', { iceServers: [] });
  const own = session = { pc, location: null, timer: null };
  const audio = new nd.Audio('0', 'SendOnly');
  audio.addOpusCodec(111);
  const sound = track(pc, audio, 111, 2, 48000, (config) => new nd.RtpPacketizer(config));
  const video = new nd.Video('1', 'SendOnly');
  video.addH264Codec(96);
  const picture = track(pc, video, 96, 1, 90000, (config) => new nd.H264RtpPacketizer('StartSequence', config, 1200));
  pc.onStateChange((state) => {
    say(state);
    // OBS: on Disconnected and Failed it stops and comes back; on Closed it does nothing.
    if (state === 'disconnected' || state === 'failed') lose(own);
  });
  const gathered = new Promise((done) => pc.onGatheringStateChange((state) => state === 'complete' && done()));
  pc.setLocalDescription();
  await gathered;
  const answer = await fetch(url, { method: 'POST', headers, body: pc.localDescription().sdp });
  say(`answer ${answer.status}`);
  const sdp = await answer.text();
  if (answer.status !== 201) return lose(own);
  own.location = new URL(answer.headers.get('location'), url);
  pc.setRemoteDescription(sdp, 'Answer');

  let frames = 0, sounds = 0, began = Date.now();
  own.timer = setInterval(() => {
    if (!picture.made.isOpen()) { began = Date.now(); frames = sounds = 0; return; }
    const now = Date.now() - began;
    for (; sounds * SOUND_MS <= now; sounds++) {
      sound.config.timestamp = (sounds * 960) >>> 0;
      sound.made.sendMessageBinary(SILENCE);
    }
    for (; frames * FRAME_MS <= now; frames++) {
      picture.config.timestamp = (frames * 3000) >>> 0;
      picture.made.sendMessageBinary(units[frames % units.length]);
    }
  }, 10);
}

async function end(own) {
  clearInterval(own.timer);
  if (own.location) {
    try {
      const answer = await fetch(own.location, { method: 'DELETE', headers });
      say(`delete ${answer.status}`);
    } catch { say('delete refused'); }
  }
  own.pc.close();
}

async function lose(own) {
  if (session !== own || isEnding) return;
  session = null;
  await end(own).catch(() => {});
  setTimeout(() => connect().catch((error) => { say(`failed ${error.cause?.code ?? error.message}`); lose(session); }), RETRY_MS);
}

process.on('SIGTERM', async () => {
  isEnding = true;
  if (session) await end(session);
  say('ended');
  process.exit(0);
});
connect().catch((error) => { say(`failed ${error.message}`); process.exit(1); });

"""A WHIP publisher on GStreamer's webrtcbin: RSA certificate, DTLS server, no trickle.

Run by the system's Python, which has GStreamer's bindings: gstreamer.py URL KEY [UNITS]. Prints
"<Unix ms> <word>" for each state of the connection. SIGTERM ends the session with DELETE; a session
that ended otherwise is begun again.
"""

import signal
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402 - after their versions

RETRY_MS = 500
PIPELINE = """
webrtcbin name=peer bundle-policy=max-bundle
videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=30/1
! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30 bitrate=400
! video/x-h264,profile=constrained-baseline ! h264parse ! rtph264pay config-interval=-1
! application/x-rtp,media=video,encoding-name=H264,payload=96 ! peer.
audiotestsrc is-live=true ! audioconvert ! audioresample ! opusenc ! rtpopuspay
! application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! peer.
"""


def say(word):
    print(int(time.time() * 1000), word, flush=True)


def request(url, key, method, body=None):
    """Return status, headers and body of an answer, whatever its status."""
    headers = {"Authorization": f"Bearer {key}", "User-Agent": "GStreamer whip/1.22"}
    if body is not None:
        headers["Content-Type"] = "application/sdp"
    asked = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()
    except OSError as error:
        return 0, {}, str(error).encode()


class Publisher:
    """One session after the other."""

    def __init__(self, url, key):
        self.url, self.key = url, key
        self.pipeline: Any = None
        self.peer: Any = None
        self.location = ""

    def connect(self):
        self.pipeline = Gst.parse_launch(PIPELINE)
        peer = self.peer = self.pipeline.get_by_name("peer")
        peer.connect("on-negotiation-needed", self.negotiate)
        peer.connect("notify::connection-state", self.changed)
        peer.connect("notify::ice-gathering-state", self.gathered)
        self.pipeline.set_state(Gst.State.PLAYING)
        return False

    def negotiate(self, peer):
        def offered(promise, *_):
            reply = promise.get_reply()  # it owns the offer
            offer = reply.get_value("offer")
            peer.emit("set-local-description", offer, Gst.Promise.new())

        peer.emit("create-offer", None, Gst.Promise.new_with_change_func(offered))

    def gathered(self, peer, _):
        if peer.props.ice_gathering_state == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            threading.Thread(target=self.post, args=(peer,), daemon=True).start()

    def post(self, peer):
        offer = peer.props.local_description.sdp.as_text()
        status, headers, body = request(self.url, self.key, "POST", offer.encode())
        say(f"answer {status}")
        if status != 201:
            GLib.idle_add(self.lose, peer)
            return
        self.location = urllib.parse.urljoin(self.url, headers["Location"])
        _, sdp = GstSdp.SDPMessage.new_from_text(body.decode())
        answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
        peer.emit("set-remote-description", answer, Gst.Promise.new())
        # webrtcbin 1.22 shows the server's close_notify here, not in its connection state.
        transport = peer.emit("get-transceiver", 0).props.sender.props.transport
        transport.connect("notify::state", self.transport_changed, peer)

    def changed(self, peer, _):
        state = peer.props.connection_state.value_nick
        say(state)
        if state in {"disconnected", "failed", "closed"}:
            GLib.idle_add(self.lose, peer)

    def transport_changed(self, transport, _, peer):
        if transport.props.state == GstWebRTC.WebRTCDTLSTransportState.CLOSED:
            say("dtls closed")
            GLib.idle_add(self.lose, peer)

    def lose(self, peer):
        if peer is self.peer:
            self.end()
            GLib.timeout_add(RETRY_MS, self.connect)
        return False

    def end(self):
        self.peer = None
        self.pipeline.set_state(Gst.State.NULL)
        if self.location:
            say(f"delete {request(self.location, self.key, 'DELETE')[0]}")
            self.location = ""


def main():
    Gst.init(None)
    loop = GLib.MainLoop()
    publisher = Publisher(*sys.argv[1:3])

    def stop():
        publisher.end()
        say("ended")
        loop.quit()

    GLib.unix_signal_add(GLib.PRIORITY_HIGH, signal.SIGTERM, stop)
    publisher.connect()
    loop.run()


if __name__ == "__main__":
    main()

// A WHIP publisher on Pion: ECDSA certificate, no trickle. Usage: pion URL KEY UNITS.
//
// UNITS holds access units, each behind its length (u32, big-endian). Prints "<Unix ms> <word>" for each
// state of the connection. SIGTERM ends the session with DELETE; one that ended otherwise is begun again.
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/pion/webrtc/v3"
	"github.com/pion/webrtc/v3/pkg/media"
)

const retry = 500 * time.Millisecond

var silence = []byte{0xf8, 0xff, 0xfe}

func say(format string, values ...any) {
	fmt.Printf("%d %s\n", time.Now().UnixMilli(), fmt.Sprintf(format, values...))
}

func main() {
	address, key := os.Args[1], os.Args[2]
	data, err := os.ReadFile(os.Args[3])
	check(err)
	var units [][]byte
	for len(data) > 0 {
		size := binary.BigEndian.Uint32(data)
		units = append(units, data[4:4+size])
		data = data[4+size:]
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	for publish(address, key, units, stop) {
		time.Sleep(retry)
	}
	say("ended")
}

// publish runs one session and returns whether another one is wanted.
func publish(address, key string, units [][]byte, stop chan os.Signal) bool {
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	check(err)
	defer pc.Close()
	video := add(pc, webrtc.MimeTypeH264, "video")
	audio := add(pc, webrtc.MimeTypeOpus, "audio")
	lost, connected := make(chan bool, 8), make(chan bool, 1)
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		say(state.String())
		switch state {
		case webrtc.PeerConnectionStateConnected:
			connected <- true
		case webrtc.PeerConnectionStateDisconnected, webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
			lost <- true
		}
	})
	offer, err := pc.CreateOffer(nil)
	check(err)
	gathered := webrtc.GatheringCompletePromise(pc)
	check(pc.SetLocalDescription(offer))
	<-gathered

	status, location, sdp := request("POST", address, key, pc.LocalDescription().SDP)
	say("answer %d", status)
	if status != http.StatusCreated {
		return true
	}
	base, err := url.Parse(address)
	check(err)
	session, err := base.Parse(location)
	check(err)
	defer func() {
		status, _, _ := request("DELETE", session.String(), key, "")
		say("delete %d", status)
	}()
	check(pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp}))
	select {
	case <-stop:
		return false
	case <-lost:
		return true
	case <-connected:
	}

	frame, sound := time.NewTicker(time.Second/30), time.NewTicker(20*time.Millisecond)
	defer frame.Stop()
	defer sound.Stop()
	for number := 0; ; {
		select {
		case <-stop:
			return false
		case <-lost:
			return true
		case <-frame.C:
			_ = video.WriteSample(media.Sample{Data: units[number%len(units)], Duration: time.Second / 30})
			number++
		case <-sound.C:
			_ = audio.WriteSample(media.Sample{Data: silence, Duration: 20 * time.Millisecond})
		}
	}
}

func add(pc *webrtc.PeerConnection, mime, id string) *webrtc.TrackLocalStaticSample {
	track, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: mime}, id, "stream")
	check(err)
	transceiver, err := pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	check(err)
	go func() { // RTCP is handled while somebody reads it
		for buffer := make([]byte, 1500); ; {
			if _, _, err := transceiver.Sender().Read(buffer); err != nil {
				return
			}
		}
	}()
	return track
}

func request(method, address, key, body string) (int, string, string) {
	asked, err := http.NewRequest(method, address, bytes.NewBufferString(body))
	check(err)
	asked.Header.Set("Authorization", "Bearer "+key)
	asked.Header.Set("Content-Type", "application/sdp")
	asked.Header.Set("User-Agent", "pion-whip")
	answer, err := http.DefaultClient.Do(asked)
	if err != nil {
		return 0, "", ""
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, answer.Header.Get("Location"), string(text)
}

func check(err error) {
	if err != nil {
		say("failed %v", err)
		os.Exit(1)
	}
}

package sfu_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"

	"consilium/internal/media/recorder"
	"consilium/internal/media/sfu"
)

// A room of eight, each of whom sends 50 packets of sound and about 150 of VP8 at 1.2 Mbit/s a second, and gets what the
// seven others send.
const (
	parties    = 8
	fps        = 30
	frameBytes = 5000
	// window is how long forwarding is measured with and without recording, in turn: one rotation, so that
	// segments are opened and sealed as often as in a call.
	window  = 30 * time.Second
	windows = 3 // of each kind
)

// partiesURL is the environment variable that makes this test program the eight participants instead: the address to
// post offers to.
const partiesURL = "SFU_TEST_PARTIES"

// BenchmarkRoom is what recording costs beside forwarding: CPU time of the process that forwards and records, in which
// nothing else runs. The participants are a process of their own.
//
// Both sides take in 1600 packets a second: receive, decrypt, look for losses, keep for repetition, encrypt and send to
// seven, one system call each. Nobody sends reports or asks for anything again, so forwarding is at its cheapest. Recording
// adds all that recorders do, from the hand-over of packets to syncing files once a second, and for each window the
// opening and the sealing of 16 segments. What is left out is what comes behind a sealed file: spool and log.
//
// A machine that does other work moves single windows by a tenth and more in either direction.
func BenchmarkRoom(b *testing.B) {
	r := openRoom(b)
	var off, on account
	var ratios []float64
	for n := range windows {
		var without, with account
		if n%2 == 0 { // what changes slowly on a machine that others use too is then no side's advantage
			without = r.measure(b, nil)
		}
		with = r.measure(b, r.record(b))
		if n%2 == 1 {
			without = r.measure(b, nil)
		}
		off.add(without)
		on.add(with)
		ratios = append(ratios, with.each()/without.each())
	}
	slices.Sort(ratios)
	for b.Loop() { // all that there is to measure was measured
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(off.each(), "µs/packet-off")
	b.ReportMetric(on.each(), "µs/packet-on")
	b.ReportMetric(on.each()-off.each(), "µs/recorded-packet")
	b.ReportMetric((ratios[(windows-1)/2]+ratios[windows/2])/2, "on/off-median")
	b.ReportMetric(on.each()/off.each(), "on/off")
	b.ReportMetric(float64(on.packets)/on.time.Seconds(), "packets/s")
	b.ReportMetric(float64(on.bytes)/on.time.Seconds()/parties, "bytes/s-participant")
	b.ReportMetric((on.each()-off.each())/1000*float64(on.packets)/on.time.Seconds()/parties, "cpu-ms/s-participant")
}

// account adds up windows of one kind.
type account struct {
	cpu, time time.Duration
	packets   uint64
	bytes     int64
}

// each is the CPU time for one packet taken in, in µs.
func (a account) each() float64 { return a.cpu.Seconds() * 1e6 / float64(a.packets) }

func (a *account) add(o account) {
	a.cpu, a.time, a.packets, a.bytes = a.cpu+o.cpu, a.time+o.time, a.packets+o.packets, a.bytes+o.bytes
}

// room is the server's side.
type room struct {
	peers []*sfu.Peer

	mu   sync.Mutex // guards pubs
	pubs []*sfu.Publication
}

// openRoom starts the room and its participants, and returns when everybody gets everything.
func openRoom(b *testing.B) *room {
	b.Helper()
	s, err := sfu.New(sfu.Config{MediaListen: "127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	in, r := s.NewRoom(), &room{}
	for i := range parties {
		p, err := in.NewPeer(sfu.PeerConfig{ID: fmt.Sprint(i), Handlers: sfu.Handlers{OnPublication: r.published}})
		if err != nil {
			b.Fatal(err)
		}
		r.peers = append(r.peers, p)
	}
	var answered atomic.Int32
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		var n int
		offer, err := io.ReadAll(request.Body)
		if _, e := fmt.Sscanf(request.URL.Path, "/%d", &n); e != nil || err != nil {
			http.Error(w, "no such participant", http.StatusNotFound)
			return
		}
		answer, sending, err := r.peers[n].Answer(request.Context(), string(offer), nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if len(sending) == 2*(parties-1) {
			answered.Add(1)
		}
		_, _ = io.WriteString(w, answer) // who is gone does not want it
	}))
	b.Cleanup(web.Close)
	everybody := exec.Command(os.Args[0], "-test.run=^TestParties$", "-test.timeout=30m")
	everybody.Env = append(os.Environ(), partiesURL+"="+web.URL, "GOMAXPROCS=1")
	var said bytes.Buffer
	everybody.Stdout, everybody.Stderr = &said, &said
	if err := everybody.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = everybody.Process.Kill() // it knows no other end
		_ = everybody.Wait()
	})
	for deadline := time.Now().Add(time.Minute); answered.Load() < parties; {
		if time.Now().After(deadline) {
			b.Fatalf("after a minute %d of %d participants are sent everything: %s", answered.Load(), parties, said.String())
		}
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(2 * time.Second) // until everything flows evenly
	return r
}

func (r *room) published(p *sfu.Publication) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pubs = append(r.pubs, p)
}

// record begins to record everything. The function that it returns ends that, and says how many bytes were written.
func (r *room) record(b *testing.B) func() int64 {
	b.Helper()
	syncer := recorder.NewSyncer(0)
	dir := b.TempDir()
	var mu sync.Mutex
	var bytes int64
	r.mu.Lock()
	defer r.mu.Unlock()
	recorders := make([]*recorder.Recorder, len(r.pubs))
	for i, pub := range r.pubs {
		rec, err := recorder.New(recorder.Config{Dir: dir, Syncer: syncer},
			recorder.Track{Room: "room", Owner: pub.PeerID(), ID: pub.ID(), Codec: pub.Codec()}, pub.RequestKeyframe,
			func(report recorder.Report) {
				if s, ok := report.(recorder.Sealed); ok {
					mu.Lock()
					bytes += s.Bytes
					mu.Unlock()
				}
			}, slog.New(slog.DiscardHandler))
		if err != nil {
			b.Fatal(err)
		}
		pub.Subscribe(rec)
		recorders[i] = rec
	}
	return func() int64 {
		r.mu.Lock()
		defer r.mu.Unlock()
		for i, rec := range recorders {
			r.pubs[i].Unsubscribe(rec)
			rec.Close("ended")
		}
		syncer.Close()
		mu.Lock()
		defer mu.Unlock()
		return bytes
	}
}

// measure takes the account of one window, of recording from its begin to the last sealed file where stop is given.
func (r *room) measure(b *testing.B, stop func() int64) account {
	b.Helper()
	r.packets() // begins anew
	began, before := time.Now(), cpuTime(b)
	time.Sleep(window)
	a := account{packets: r.packets(), time: time.Since(began)}
	if stop != nil {
		a.bytes = stop()
	}
	a.cpu = cpuTime(b) - before
	// The packets that came while the files were sealed count too.
	a.packets += r.packets()
	a.time = time.Since(began)
	return a
}

// packets is how many were taken in since it was asked last.
func (r *room) packets() (n uint64) {
	for _, p := range r.peers {
		n += p.Stats().PacketsIn
	}
	return n
}

func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestParties is no test: where BenchmarkRoom starts this program again, it is the eight participants.
func TestParties(t *testing.T) {
	url := os.Getenv(partiesURL)
	if url == "" {
		return
	}
	var all []*party
	for i := range parties {
		p, err := newParty(fmt.Sprint(url, "/", i))
		if err == nil {
			err = p.offer()
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
		go p.send()
	}
	time.Sleep(2 * time.Second) // everything is published by then
	for _, p := range all {
		if err := p.offer(); err != nil {
			t.Fatal(err)
		}
	}
	select {} // until it is killed
}

// party is a participant.
type party struct {
	url          string
	pc           *webrtc.PeerConnection
	audio, video *webrtc.TrackLocalStaticRTP
}

func newParty(url string) (*party, error) {
	m := &webrtc.MediaEngine{}
	opus := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}
	vp8 := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}
	e := webrtc.SettingEngine{}
	e.SetIncludeLoopbackCandidate(true)
	e.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	err := errors.Join(
		m.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: opus, PayloadType: 111}, webrtc.RTPCodecTypeAudio),
		m.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: vp8, PayloadType: 96}, webrtc.RTPCodecTypeVideo))
	if err != nil {
		return nil, err
	}
	p := &party{url: url}
	// Without interceptors nobody asks for lost packets: on a busy machine answering that would be most of what is measured.
	api := webrtc.NewAPI(webrtc.WithSettingEngine(e), webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(&interceptor.Registry{}))
	if p.pc, err = api.NewPeerConnection(webrtc.Configuration{}); err != nil {
		return nil, err
	}
	p.pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		buffer := make([]byte, 1500)
		for {
			if _, _, err := track.Read(buffer); err != nil {
				return
			}
		}
	})
	if p.audio, err = webrtc.NewTrackLocalStaticRTP(opus, "audio", "s"); err != nil {
		return nil, err
	}
	if p.video, err = webrtc.NewTrackLocalStaticRTP(vp8, "video", "s"); err != nil {
		return nil, err
	}
	for _, track := range []webrtc.TrackLocal{p.audio, p.video} {
		_, err := p.pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		if err != nil {
			return nil, err
		}
		for range parties - 1 {
			_, err := p.pc.AddTransceiverFromKind(track.Kind(), webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
			if err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

func (p *party) offer() error {
	offer, err := p.pc.CreateOffer(nil)
	if err != nil {
		return err
	}
	gathered := webrtc.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(offer); err != nil {
		return err
	}
	<-gathered
	response, err := http.Post(p.url, "application/sdp", bytes.NewReader([]byte(p.pc.LocalDescription().SDP)))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(string(answer))
	}
	return p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(answer)})
}

// send sends sound and pictures, a whole one every two seconds, for ever. What cannot be sent is lost.
func (p *party) send() {
	var pay codecs.VP8Payloader
	var videoSeq, audioSeq uint16
	picture := make([]byte, frameBytes)
	sound := append([]byte{0xf8}, make([]byte, 103)...)
	began := time.Now()
	frames, packets := 0, 0
	for now := range time.Tick(5 * time.Millisecond) {
		for ; now.Sub(began) >= time.Duration(frames)*time.Second/fps; frames++ {
			if copy(picture, make([]byte, 10)); frames%(2*fps) == 0 {
				copy(picture, []byte{0, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01})
			} else {
				picture[0] = 1
			}
			payloads := pay.Payload(1180, picture)
			for i, payload := range payloads {
				videoSeq++
				_ = p.video.WriteRTP(&rtp.Packet{
					Header: rtp.Header{
						Version: 2, SequenceNumber: videoSeq, Timestamp: uint32(frames * 90_000 / fps), Marker: i == len(payloads)-1,
					},
					Payload: payload,
				})
			}
		}
		for ; now.Sub(began) >= time.Duration(packets)*20*time.Millisecond; packets++ {
			audioSeq++
			_ = p.audio.WriteRTP(&rtp.Packet{
				Header:  rtp.Header{Version: 2, SequenceNumber: audioSeq, Timestamp: uint32(packets * 960)},
				Payload: sound,
			})
		}
	}
}

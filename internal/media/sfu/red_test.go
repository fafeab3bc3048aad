package sfu

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/media"
)

// redundant is a microphone that sends each packet once more in the next ones, as Chromium does.
type redundant struct {
	*outgoing
	before [][]byte // the payloads of the packets before, the newest last
	depth  int
}

// redundantPublisher joins with such a microphone and connects.
func redundantPublisher(t *testing.T, r *Room, id string, depth int, wire *lossyWire) (*client, *redundant) {
	t.Helper()
	c := join(t, r, id, clientOptions{red: true, wire: wire, noNeed: true})
	mic := &redundant{outgoing: c.sendAs(red.RTPCodecCapability, media.Microphone), depth: depth}
	c.name(map[*outgoing]media.Source{mic.outgoing: media.Microphone})
	if err := c.offer(); err != nil {
		t.Fatal(err)
	}
	c.connected()
	return c, mic
}

// opus is what a packet of the microphone holds, told by its number.
func opus(seq uint16) []byte { return []byte{0xf8, byte(seq >> 8), byte(seq), 0xfe} }

// say sends the next packet.
func (o *redundant) say() {
	o.seq++
	o.time += 960
	primary := opus(o.seq)
	var blocks []media.REDBlock
	for i, data := range o.before {
		blocks = append(blocks, media.REDBlock{PayloadType: 111, Offset: uint32(len(o.before)-i) * 960, Data: data})
	}
	o.write(o.seq, media.AppendRED(nil, append(blocks, media.REDBlock{PayloadType: 111, Data: primary})...))
	o.before = append(o.before, primary)
	o.before = o.before[max(0, len(o.before)-o.depth):]
}

func TestRedundantAudioMakesUpForLoss(t *testing.T) {
	inFull(t)
	const packets = 1500
	r := newSFU(t).NewRoom()
	listener := join(t, r, "listener", clientOptions{red: true})
	listener.receive(media.Audio)
	listener.receive(media.Audio)
	if err := listener.offer(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, depth := range []int{1, 2} {
		wire := newLossyWire(0.05, 0)
		c, mic := redundantPublisher(t, r, string(rune('0'+depth)), depth, wire)
		first := mic.seq + 1
		eventually(t, "a publication", func() bool {
			mic.say() // the first one may be lost
			return len(c.publications()) == 1
		})
		pub, recorded := c.publications()[0], &tap{}
		pub.SubscribeSince(recorded, time.Time{})
		wg.Go(func() {
			ticker := time.NewTicker(2 * time.Millisecond)
			defer ticker.Stop()
			for range packets {
				<-ticker.C
				mic.say()
			}
			last := mic.seq
			eventually(t, "the last packets", func() bool {
				recorded.mu.Lock()
				defer recorded.mu.Unlock()
				return recorded.packets[len(recorded.packets)-1].SequenceNumber > last-10
			})
			recorded.mu.Lock()
			defer recorded.mu.Unlock()
			seen := map[uint16]bool{}
			for _, p := range recorded.packets {
				if d := cmp.Diff(opus(p.SequenceNumber), p.Payload); d != "" || seen[p.SequenceNumber] || p.PayloadType != 111 ||
					p.Timestamp != mic.time-960*uint32(last-p.SequenceNumber) {
					t.Errorf("depth %d: packet %d is %+v, seen %v: %s", depth, p.SequenceNumber, p.Header, seen[p.SequenceNumber], d)
					return
				}
				seen[p.SequenceNumber] = true
			}
			wire.mu.Lock()
			defer wire.mu.Unlock()
			share := float64(len(seen)) / float64(last-first+1)
			t.Logf("depth %d: %d of %d packets lost, %.2f %% of all are there", depth, len(wire.lost), packets, 100*share)
			if len(wire.lost) < packets/40 || share < 0.99 {
				t.Errorf("depth %d: want 99 %% of the packets", depth)
			}
			if s := c.peer.Stats(); s.LossIn < 0.03 {
				t.Errorf("depth %d: the network's loss is said to be %.3f", depth, s.LossIn)
			}
		})
	}
	wg.Wait()
	// Those who listen get plain Opus.
	for _, pub := range r.Publications() {
		_, heard := listener.receivedOf(pub)
		if len(heard) < packets/2 {
			t.Errorf("the listener has %d packets of %s", len(heard), pub.PeerID())
		}
		for _, p := range heard {
			if p.PayloadType != 111 || len(p.Payload) != 4 {
				t.Fatalf("the listener was sent %+v % x", p.Header, p.Payload)
			}
		}
	}
	if sdp := listener.pc.RemoteDescription().SDP; strings.Contains(sdp, "red/") || strings.Contains(sdp, " 63") {
		t.Errorf("who only listens is answered with redundant audio:\n%s", sdp)
	}
}

func TestTheAnswerPutsRedundantAudioFirst(t *testing.T) {
	r := newSFU(t).NewRoom()
	c, _ := redundantPublisher(t, r, "a", 1, newLossyWire(0, 0))
	for line := range strings.Lines(c.pc.RemoteDescription().SDP) {
		if strings.HasPrefix(line, "m=audio") && !strings.Contains(line, "SAVPF 63 111") {
			t.Errorf("the answer's m-line is %q: a browser sends its first format", line)
		}
	}
}

func TestRedundantAudioOpensNoGateBackwards(t *testing.T) {
	// Packets that are lost while the gate is closed are in a packet that comes when it is open.
	r := newSFU(t).NewRoom()
	lose := map[uint16]bool{}
	var mu sync.Mutex
	wire := newLossyWire(0, 0)
	wire.drop = func(seq uint16) bool { mu.Lock(); defer mu.Unlock(); return lose[seq] }
	c, mic := redundantPublisher(t, r, "a", 2, wire)
	say := func(arrives bool) {
		before := c.peer.counts.packetsIn.Load()
		mu.Lock()
		lose[mic.seq+1] = !arrives
		mu.Unlock()
		mic.say()
		if arrives {
			eventually(t, "a packet", func() bool { return c.peer.counts.packetsIn.Load() > before })
		}
	}
	say(true)
	c.await("a publication", func() bool { return len(c.published) == 1 })
	got := &tap{}
	c.publications()[0].Subscribe(got)
	say(true)
	say(false)
	say(true)
	c.peer.AllowPublishing(false)
	say(true)
	say(false)
	say(false)
	c.peer.AllowPublishing(true)
	opened := mic.seq + 1
	say(true)
	say(false)
	say(true)
	eventually(t, "the newest packet", func() bool { n, _ := got.count(); return n >= 6 })
	var numbers []uint16
	for _, p := range got.packets {
		numbers = append(numbers, p.SequenceNumber-opened)
	}
	back := func(n int) uint16 { return uint16(-n) }
	if d := cmp.Diff([]uint16{back(6), back(5), back(4), 0, 1, 2}, numbers); d != "" {
		t.Errorf("packets by their distance from the first behind the gate: %s", d)
	}
}

package recorder

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pion/rtp"

	"consilium/internal/media"
)

// FuzzReorder holds the reorder buffer against what its comment says: numbers come out once each and grow, the holes
// between them are named, and nothing that came in time is missing.
func FuzzReorder(f *testing.F) {
	f.Add([]byte{1, 0, 1, 0, 3, 0, 255, 5, 1, 0})
	f.Add([]byte{1, 0, 9, 0, 254, 0, 253, 255, 1, 0, 200, 9})
	f.Fuzz(func(t *testing.T, raw []byte) {
		const window = 200 * time.Millisecond
		r := reorder{window: window}
		at := time.Unix(1_900_000_000, 0)
		came := map[int64]bool{}
		var out []entry
		emit := func(e entry) { out = append(out, e) }
		seq := int64(1000)
		for len(raw) >= 2 {
			seq += int64(int8(raw[0]))
			at = at.Add(time.Duration(raw[1]) * time.Millisecond)
			raw = raw[2:]
			r.expire(at, emit)
			before := len(r.held)
			wants := r.wants(seq)
			verdict := r.push(entry{seq: seq, arrival: at, packet: &rtp.Packet{}}, emit)
			if (verdict == taken) != wants {
				t.Fatalf("packet %d is %v, and wanted: %v", seq, verdict, wants)
			}
			if verdict == taken {
				if came[seq] {
					t.Fatalf("packet %d was taken twice", seq)
				}
				came[seq] = true
			} else if len(r.held) != before {
				t.Fatalf("packet %d was refused and kept", seq)
			}
			if due := r.deadline(); !due.IsZero() && due.Sub(at) > window {
				t.Fatalf("a hole is waited for %v longer", due.Sub(at))
			}
		}
		r.flush(emit)
		for i, e := range out {
			if !came[e.seq] {
				t.Fatalf("packet %d came out and never came in", e.seq)
			}
			if i == 0 {
				continue
			}
			if gone := e.seq - out[i-1].seq - 1; gone < 0 || int64(e.lost) != gone || gone > 0 && e.cause != CauseLoss {
				t.Fatalf("packet %d comes behind %d with %d lost by %q", e.seq, out[i-1].seq, e.lost, e.cause)
			}
		}
		if len(out) != len(came) {
			t.Fatalf("%d packets were taken and %d came out", len(came), len(out))
		}
	})
}

// FuzzAssembler feeds payloads of arbitrary bytes: a frame is made of packets of one time, each of which came, the last
// one with the marker.
func FuzzAssembler(f *testing.F) {
	codecs := []media.Codec{media.VP8, media.VP9, media.AV1, media.H264}
	for i, c := range codecs {
		var raw []byte
		for _, p := range newSender(c).send(0, pictures(f, c, "160x120", 3, 3)...) {
			if len(raw) > 3000 {
				break
			}
			marker := byte(0)
			if p.pkt.Marker {
				marker = 1
			}
			raw = append(raw, marker, byte(len(p.pkt.Payload)>>8), byte(len(p.pkt.Payload)))
			raw = append(raw, p.pkt.Payload...)
		}
		f.Add(byte(i), raw)
	}
	f.Add(byte(3), []byte{1, 0, 8, 24, 0, 2, 0x67, 1, 0, 1, 0x65}) // H.264, an aggregate
	f.Add(byte(3), []byte{0, 0, 3, 28, 0x85, 1, 1, 0, 3, 28, 0x45, 2})
	f.Fuzz(func(t *testing.T, which byte, raw []byte) {
		a := assembler{codec: codecs[int(which)%len(codecs)]}
		at := int64(0)
		given := map[*rtp.Packet]int64{}
		for len(raw) >= 3 {
			n := min(int(raw[1])<<8|int(raw[2]), len(raw)-3)
			pkt := &rtp.Packet{Header: rtp.Header{Marker: raw[0]&1 != 0}, Payload: raw[3 : 3+n]}
			at += int64(raw[0] >> 1 & 3)
			raw = raw[3+n:]
			if n == 0 {
				continue // padding does not get here
			}
			given[pkt] = at
			frame, what := a.push(entry{packet: pkt, rtp: at})
			if what == brokenFrame || what == strayPacket {
				a.reset()
			}
			if what != wholeFrame {
				continue
			}
			for i, p := range frame.packets {
				if came, ok := given[p]; !ok || came != frame.rtp || p.Marker != (i == len(frame.packets)-1) {
					t.Fatalf("packet %d of %d of a frame at %d came %v at %d, marker %v", i, len(frame.packets), frame.rtp, ok, came, p.Marker)
				}
				delete(given, p) // no packet is in two frames
			}
			if data := bytes.Join(frame.parts, nil); len(data) == 0 || a.codec == media.H264 && !bytes.Contains(data, []byte{0, 0, 1}) {
				t.Fatalf("a picture without a start code, or without anything: % x", data)
			}
		}
	})
}

// FuzzRecover leaves a file and a sidecar of arbitrary bytes behind, as no crash of ours does: what Recover seals is
// whole, and what it cannot understand stays where it is.
func FuzzRecover(f *testing.F) {
	dir := f.TempDir()
	for _, c := range []media.Codec{media.VP8, media.H264, media.Opus} {
		clip := sound(f, 10)
		if c != media.Opus {
			clip = pictures(f, c, "160x120", 3, 3)
		}
		rec, err := New(Config{Dir: dir}, videoTrack(c), func() {}, func(r Report) {
			s, ok := r.(Sealed)
			if !ok {
				return
			}
			file, err := os.ReadFile(s.Path)
			if err != nil {
				f.Fatal(err)
			}
			side, err := json.Marshal(s.Segment)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(c), side, file)
			f.Add(string(c), side, file[:len(file)*2/3])
		}, discard)
		if err != nil {
			f.Fatal(err)
		}
		for _, p := range newSender(c).send(0, clip...) {
			rec.RTP(p.pkt, time.Now())
		}
		rec.Close("ended")
	}
	f.Add("VP8", []byte(`{"segment":"../../x","room":"..","codec":"VP8"}`), []byte("DKIF"))
	f.Fuzz(func(t *testing.T, codec string, side, file []byte) {
		dir := t.TempDir()
		room := filepath.Join(dir, "room")
		if err := os.Mkdir(room, 0o750); err != nil {
			t.Fatal(err)
		}
		const id = "0192f3a0-0000-7000-8000-00000000a101"
		var s media.Segment
		if json.Unmarshal(side, &s) == nil && s.ID != "" && s.FirstRTP > -1<<40 && s.FirstRTP < 1<<40 {
			s.ID = id // so that most inputs get further than the name
			side, _ = json.Marshal(s)
		}
		name := media.Segment{ID: id, Codec: media.Codec(codec)}.FileName() + media.PartExtension
		if err := os.WriteFile(filepath.Join(room, name), file, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(room, id+media.SidecarExtension), side, 0o600); err != nil {
			t.Fatal(err)
		}
		found, err := Recover(dir)
		for _, r := range found {
			if filepath.Dir(r.Path) != room || r.Frames == 0 || r.LostBytes < 0 {
				t.Fatalf("%+v", r)
			}
			b, readErr := os.ReadFile(r.Path)
			if readErr != nil {
				t.Fatal(readErr)
			}
			if r.Codec == media.Opus {
				ogg, err := media.ScanOgg(bytes.NewReader(b))
				if err != nil || !ogg.Ended || ogg.Good != int64(len(b)) || ogg.Packets != r.Frames {
					t.Fatalf("%+v: %+v, %v", r, ogg, err)
				}
				continue
			}
			ivf, err := media.ScanIVF(bytes.NewReader(b))
			if err != nil || ivf.Good != int64(len(b)) || int64(len(ivf.Frames)) != r.Frames || int64(ivf.Header.Frames) != r.Frames {
				t.Fatalf("%+v: %d frames, %v", r, len(ivf.Frames), err)
			}
		}
		left := tree(t, dir)
		if err != nil && len(left) != 2 {
			t.Fatalf("it failed with %v and left %v", err, left)
		}
	})
}

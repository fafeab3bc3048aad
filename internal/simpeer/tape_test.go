package simpeer

import (
	"image"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/media"
	"consilium/internal/timeline"
)

var tapeBegan = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// tiny is a participant whose media cost nothing.
func tiny() Spec {
	s := Someone(0)
	s.Width, s.Height, s.Seconds = 160, 96, 2
	return s
}

// taped plays options for a while.
func taped(t *testing.T, o Options, length time.Duration) (all []Arrival, sent Sent) {
	t.Helper()
	o.Media = made(t, tiny())
	o.Clocks.Began = tapeBegan
	tape, err := NewTape(o)
	if err != nil {
		t.Fatal(err)
	}
	for {
		a := tape.Next()
		if a.At.Sub(tapeBegan) > length {
			return all, tape.Sent()
		}
		all = append(all, a)
	}
}

// seam is what changes between two neighbouring frames or packets of sound, in order of sending.
type seam struct {
	Arrival, RTP time.Duration
}

// seams lists those that are not as all others.
func seams(all []Arrival, k media.Kind) []seam {
	var before *Arrival
	var found []seam
	rate, usual := 90000.0, time.Second/FPS
	if k == media.Audio {
		rate, usual = 48000, time.Second/soundRate
	}
	for i, a := range all {
		if a.Kind != k || a.Packet == nil || before != nil && a.Packet.Timestamp == before.Packet.Timestamp {
			continue
		}
		if before != nil {
			s := seam{
				Arrival: a.At.Sub(before.At).Round(time.Millisecond),
				RTP:     time.Duration(float64(int32(a.Packet.Timestamp-before.Packet.Timestamp)) / rate * 1e9).Round(time.Millisecond),
			}
			if s.Arrival != usual.Round(time.Millisecond) || s.RTP != usual.Round(time.Millisecond) {
				found = append(found, s)
			}
		}
		before = &all[i]
	}
	return found
}

func TestATapeIsAlwaysTheSame(t *testing.T) {
	o := Options{
		Network: Network{Loss: 0.05, Duplicate: 0.1, Probe: 0.1, Reorder: 0.1, Jitter: 30 * time.Millisecond, AudioDelay: 40 * time.Millisecond, Seed: 5},
		Actions: []Action{{At: time.Second, Do: Renew}, {At: 2 * time.Second, Do: Detach, For: time.Second}},
	}
	first, sent := taped(t, o, 5*time.Second)
	again, sentAgain := taped(t, o, 5*time.Second)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(sent, sentAgain); diff != "" {
		t.Error(diff)
	}
	if !slices.IsSortedFunc(first, func(a, b Arrival) int { return a.At.Compare(b.At) }) {
		t.Error("something arrives before what arrived")
	}
	if sent.Spoiled == 0 && len(sent.Beeps) == 5 {
		t.Error("at 5 % loss no beep was spoiled")
	}
}

// TestActionsDoWhatTheySay looks at what arrives.
func TestActionsDoWhatTheySay(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	for _, tt := range []struct {
		name         string
		action       Action
		audio, video []seam
	}{
		{"nothing", Action{}, nil, nil},
		{"a detached track", Action{At: s, Do: Detach, For: 4 * s}, []seam{{4020 * ms, 20 * ms}}, []seam{{4033 * ms, 4033 * ms}}},
		{"a frozen clock", Action{At: s, Do: Freeze, For: 2 * s}, []seam{{2020 * ms, 20 * ms}}, []seam{{2033 * ms, 33 * ms}}},
		{"a step on", Action{At: s, Do: Step, Kind: media.Audio, By: 5 * s}, []seam{{20 * ms, 5020 * ms}}, nil},
		{"a step back", Action{At: s, Do: Step, Kind: media.Video, By: -3 * s}, nil, []seam{{33 * ms, -2967 * ms}}},
		{"a burst of loss", Action{At: s, Do: Burst, Kind: media.Audio, For: 100 * ms}, []seam{{120 * ms, 120 * ms}}, nil},
		{"DTX", Action{At: 1200 * ms, Do: Doze, For: 700 * ms}, []seam{{400 * ms, 400 * ms}, {300 * ms, 300 * ms}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := Options{}
			if tt.action.Do != "" {
				o.Actions = []Action{tt.action}
			}
			all, _ := taped(t, o, 7*s)
			if diff := cmp.Diff(tt.audio, seams(all, media.Audio)); diff != "" {
				t.Errorf("sound: %s", diff)
			}
			if diff := cmp.Diff(tt.video, seams(all, media.Video)); diff != "" {
				t.Errorf("picture: %s", diff)
			}
		})
	}
}

func TestATrackThatIsRenewedHasAnotherSSRC(t *testing.T) {
	all, _ := taped(t, Options{Actions: []Action{{At: time.Second, Do: Renew, Kind: media.Video}}}, 2*time.Second)
	ssrcs := map[media.Kind]map[uint32]bool{media.Audio: {}, media.Video: {}}
	first := map[uint32]bool{}
	for _, a := range all {
		if a.Packet == nil {
			continue
		}
		ssrcs[a.Kind][a.Packet.SSRC] = true
		if a.Kind == media.Video && !first[a.Packet.SSRC] {
			first[a.Packet.SSRC] = true
			if !beginsKeyframe(a.Packet.Payload) {
				t.Error("a new SSRC begins without a whole picture")
			}
		}
	}
	if len(ssrcs[media.Audio]) != 1 || len(ssrcs[media.Video]) != 2 {
		t.Errorf("SSRCs: %v", ssrcs)
	}
}

func TestHeldPacketsComeAllAtOnce(t *testing.T) {
	all, _ := taped(t, Options{Actions: []Action{{At: time.Second, Do: Hold, For: 1200 * time.Millisecond}}}, 4*time.Second)
	at := map[time.Duration]int{}
	for _, a := range all {
		if since := a.At.Sub(tapeBegan); since > time.Second && since < 2200*time.Millisecond {
			t.Fatalf("something arrived at %s", since)
		}
		at[a.At.Sub(tapeBegan)]++
	}
	if n := at[2200*time.Millisecond]; n < 60+36 {
		t.Errorf("%d packets came at the end", n)
	}
}

// TestReportsLieAsTheyAreTold compares reports with the packets around them.
func TestReportsLieAsTheyAreTold(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		name    string
		options Options
		from    time.Duration // of reports that are looked at
		ahead   time.Duration
		atMost  time.Duration // off that
		count   int
	}{
		{"true", Options{}, 0, 0, 0, 7},
		{"a wall clock that is wrong", Options{Clocks: Clocks{WallError: -700 * ms}}, 0, -700 * ms, 0, 7},
		{"a wall clock that is set", Options{Actions: []Action{{At: 3 * time.Second, Do: SetWall, By: 5 * time.Second}}}, 3 * time.Second, 5 * time.Second, 0, 4},
		{"a lie", Options{AudioReports: Reports{Lie: 318 * ms}}, 0, 318 * ms, 0, 7},
		{"noise", Options{AudioReports: Reports{Noise: 9 * ms}}, 0, 0, 9 * ms, 7},
		{"none", Options{AudioReports: Reports{Never: true}}, 0, 0, 0, 0},
		{"late ones", Options{AudioReports: Reports{First: 4500 * ms, Every: time.Second}}, 0, 0, 0, 3},
		{"withheld ones", Options{Actions: []Action{{At: 2 * time.Second, Do: Withhold, For: 3 * time.Second}}}, 0, 0, 0, 4},
		{"a fast clock that wraps", Options{Clocks: Clocks{AudioPPM: 300, WrapAt: 3 * time.Second}}, 0, 0, 0, 7},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all, _ := taped(t, tt.options, 7*time.Second)
			var first *Arrival
			count := 0
			for i, a := range all {
				switch {
				case a.Kind != media.Audio:
				case first == nil:
					first = &all[i]
				case a.Report != nil && a.At.Sub(tapeBegan) >= tt.from:
					count++
					ticks := float64(int32(a.Report.RTP-first.Packet.Timestamp)) / 48000 / (1 + tt.options.Clocks.AudioPPM/1e6)
					ahead := a.Report.NTP.Sub(first.At.Add(time.Duration(ticks * 1e9)))
					if off := (ahead - tt.ahead).Abs(); off > tt.atMost+50*time.Microsecond {
						t.Errorf("at %s the report is %s ahead, want %s", a.At.Sub(tapeBegan), ahead, tt.ahead)
					}
				}
			}
			if count != tt.count {
				t.Errorf("%d reports, want %d", count, tt.count)
			}
		})
	}
}

// TestAPlanKnowsItsHoles holds the oracle against what the plan's words say.
func TestAPlanKnowsItsHoles(t *testing.T) {
	const s = time.Second
	p := Plan{Actions: []Action{
		{At: 5 * s, Do: Mute, For: 2 * s}, {At: 10 * s, Do: Detach, Kind: media.Audio, For: 4 * s}, {At: 20 * s, Do: Resize, Size: image.Pt(160, 96)},
	}}
	for _, tt := range []struct {
		kind     media.Kind
		from, to time.Duration
		cause    timeline.Cause
		want     bool
	}{
		{media.Video, 5 * s, 7 * s, timeline.CameraOff, true},
		{media.Video, 5 * s, 7 * s, timeline.Stall, false},
		{media.Video, 7 * s, 7*s + s/2, timeline.Loss, true},
		{media.Video, 4 * s, 7 * s, timeline.CameraOff, false},
		{media.Audio, 5 * s, 7 * s, timeline.CameraOff, false},
		{media.Audio, 10 * s, 14 * s, timeline.Stall, true},
		{media.Audio, 10 * s, 16 * s, timeline.Stall, false},
		{media.Video, 20 * s, 20*s + s/10, timeline.Loss, false},
	} {
		got := slices.ContainsFunc(p.Holes(), func(h Hole) bool { return h.Explains(tt.kind, tt.from, tt.to, tt.cause) })
		if got != tt.want {
			t.Errorf("gap %s of %s from %s to %s: explained %v, want %v", tt.cause, tt.kind, tt.from, tt.to, got, tt.want)
		}
	}
	var sent Sent
	for at := range 20 {
		m := Moment{At: tapeBegan.Add(time.Duration(at) * s)}
		sent.Flashes, sent.Beeps = append(sent.Flashes, m), append(sent.Beeps, m)
	}
	rest := sent.Outside(tapeBegan, p.Holes())
	if len(rest.Flashes) != 16 || len(rest.Beeps) != 14 {
		t.Errorf("%d flashes and %d beeps are left", len(rest.Flashes), len(rest.Beeps))
	}
	for _, bad := range []Action{{Do: Detach}, {Do: Step}, {Do: Resize}, {Do: "sing", For: s}} {
		if err := (Plan{Actions: []Action{bad}}).check(); err == nil {
			t.Errorf("action %+v was taken", bad)
		}
	}
}

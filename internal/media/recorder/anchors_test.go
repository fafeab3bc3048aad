package recorder

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/rtp"

	"consilium/internal/media"
)

// ntpBase is the sender's wall clock at the start of a test.
var ntpBase = time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)

// playWithReports sends audio and a sender report every so often, the first one after first.
func playWithReports(l *lab, s *sender, voice []picture, first, every time.Duration) {
	next := first
	for i, p := range voice {
		at := time.Duration(i) * s.interval()
		for next <= at {
			l.until(next)
			l.rec.SenderReport(media.SenderReport{
				SSRC: s.ssrc, RTP: firstRTP + uint32(next/time.Microsecond)*48/1000, NTP: ntpBase.Add(next),
				Arrival: time.Now(), RTT: 30 * time.Millisecond,
			})
			next += every
		}
		l.play(s.send(at, p))
	}
}

// kinds writes anchors as their kinds and the seconds of their arrival.
func kinds(l *lab, anchors []media.Anchor) map[string][]float64 {
	out := map[string][]float64{}
	for _, a := range anchors {
		out[a.Kind] = append(out[a.Kind], a.Arrival.Sub(l.began).Round(time.Millisecond).Seconds())
	}
	return out
}

func TestSenderReportsBecomeAnchorsInBatches(t *testing.T) {
	voice := repeat(5, sound(t, 500)) // 50 s
	var told []time.Duration
	l := inLab(t, Config{}, audioTrack, func(l *lab) {
		l.onTell = func(r Report) {
			if _, ok := r.(Anchored); ok {
				told = append(told, time.Since(l.began).Round(100*time.Millisecond))
			}
		}
		playWithReports(l, newSender(media.Opus), voice, 2300*time.Millisecond, 4*time.Second)
	})
	// The second report comes at 6.3 s and is looked at with the packets around it. The last batch comes when all is over.
	if len(told) < 5 || told[0] != 6400*time.Millisecond || told[len(told)-1] != 50*time.Second {
		t.Fatalf("batches came at %v", told)
	}
	// In between one comes 7 s after each moment at which pictures are cut, and 15 s after the one before at the latest.
	room, aligned := beatOf(audioTrack, 25*time.Second), 0
	for i, at := range told[1 : len(told)-1] {
		after := at - told[i]
		if into := room.into(l.began.Add(at - 7*time.Second)); into < 500*time.Millisecond || into > 25900*time.Millisecond {
			aligned++
		} else if (after - 15*time.Second).Abs() > 300*time.Millisecond {
			t.Errorf("a batch comes %v after the one before, %v into the beat", after, into)
		}
		if after > 15300*time.Millisecond {
			t.Errorf("no batch for %v", after)
		}
	}
	if aligned == 0 {
		t.Errorf("batches know nothing of the beat: %v", told)
	}
	var reports []float64
	for i, a := range reportsOf[Anchored](l) {
		if a.Track != "track" || a.SSRC != 0x1234 {
			t.Errorf("anchors of %s, SSRC %x", a.Track, a.SSRC)
		}
		batch := kinds(l, a.Anchors)
		reports = append(reports, batch["sr"]...)
		if len(batch["arrival"]) != 1 {
			t.Errorf("batch %d: %v", i, batch)
		}
	}
	if diff := cmp.Diff([]float64{2.3, 6.3, 10.3, 14.3, 18.3, 22.3, 26.3, 30.3, 34.3, 38.3, 42.3, 46.3}, reports); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
	first := reportsOf[Anchored](l)[0].Anchors[0]
	wantFirst := media.Anchor{
		Kind: "sr", RTP: firstRTP + 110_400, NTP: ntpBase.Add(2300 * time.Millisecond), Arrival: l.began.Add(2300 * time.Millisecond),
		RTT: 30 * time.Millisecond,
	}
	if diff := cmp.Diff(wantFirst, first); diff != "" {
		t.Error(diff)
	}
	// The sidecar of a segment tells the newest ones.
	sealed := reportsOf[Sealed](l)
	if side := kinds(l, sealed[0].Anchors)["sr"]; !cmp.Equal(side, []float64{2.3, 6.3, 10.3, 14.3, 18.3, 22.3, 26.3}) {
		t.Errorf("sidecar of the first segment: %v", side)
	}
}

func TestTheFirstAnchorsDoNotWaitForASecondReportWhenTheSegmentEnds(t *testing.T) {
	l := inLab(t, Config{}, audioTrack, func(l *lab) {
		playWithReports(l, newSender(media.Opus), sound(t, 100), time.Second, time.Minute)
	})
	var order []string
	for _, r := range l.reports {
		switch r.(type) {
		case Opened:
			order = append(order, "opened")
		case Anchored:
			order = append(order, "anchored")
		case Sealed:
			order = append(order, "sealed")
		}
	}
	if diff := cmp.Diff([]string{"opened", "anchored", "sealed"}, order); diff != "" {
		t.Error(diff)
	}
	if got := kinds(l, reportsOf[Anchored](l)[0].Anchors); len(got["sr"]) != 1 || len(got["arrival"]) != 1 {
		t.Errorf("anchors %v", got)
	}
}

func TestTheArrivalAnchorIsThePacketWithTheLeastDelay(t *testing.T) {
	voice := sound(t, 100)
	l := inLab(t, Config{}, audioTrack, func(l *lab) {
		packets := newSender(media.Opus).send(0, voice...)
		for i := range packets {
			packets[i].at += 40 * time.Millisecond
		}
		packets[63].at -= 15 * time.Millisecond
		l.play(packets)
	})
	wantAnchor := media.Anchor{Kind: "arrival", RTP: firstRTP + 63*960, Arrival: l.began.Add(63*20*time.Millisecond + 25*time.Millisecond)}
	if diff := cmp.Diff([]media.Anchor{wantAnchor}, reportsOf[Anchored](l)[0].Anchors); diff != "" {
		t.Error(diff)
	}
}

func TestAReportBeforeTheFirstPacketAndOverTheWrapIsUnwrappedAlike(t *testing.T) {
	voice := sound(t, 200)
	s := newSender(media.Opus)
	s.ts = 10 // had just wrapped
	l := inLab(t, Config{}, audioTrack, func(l *lab) {
		l.rec.SenderReport(media.SenderReport{SSRC: s.ssrc, RTP: ^uint32(0) - 89, NTP: ntpBase, Arrival: time.Now()})
		l.until(time.Second)
		l.play(s.send(time.Second, voice...))
		l.rec.SenderReport(media.SenderReport{SSRC: s.ssrc, RTP: s.ts, NTP: ntpBase, Arrival: time.Now()})
	})
	var got []int64
	for _, a := range reportsOf[Anchored](l) {
		for _, anchor := range a.Anchors {
			if anchor.Kind == "sr" {
				got = append(got, anchor.RTP)
			}
		}
	}
	if diff := cmp.Diff([]int64{-90, 10 + 200*960}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCaptureTimesBecomeAnchorsNowAndThen(t *testing.T) {
	voice := sound(t, 600) // 12 s
	track := audioTrack
	track.CaptureTimeID = 7
	l := inLab(t, Config{}, track, func(l *lab) {
		packets := newSender(media.Opus).send(0, voice...)
		for i := 0; i < len(packets); i += 50 {
			raw, err := rtp.NewAbsCaptureTimeExtension(ntpBase.Add(packets[i].at)).Marshal()
			if err != nil {
				l.t.Fatal(err)
			}
			if err := packets[i].pkt.SetExtension(7, raw); err != nil {
				l.t.Fatal(err)
			}
		}
		l.play(packets)
	})
	var got []media.Anchor
	for _, batch := range reportsOf[Anchored](l) {
		for _, a := range batch.Anchors {
			if a.Kind == media.AnchorACT {
				got = append(got, a)
			}
		}
	}
	if len(got) != 3 {
		t.Fatalf("%d capture times kept, want those at 0, 5 and 10 s: %v", len(got), got)
	}
	if a := got[1]; a.RTP != firstRTP+5*48000 || a.NTP.Sub(ntpBase.Add(5*time.Second)).Abs() > time.Microsecond {
		t.Errorf("second one: %+v", a)
	}
}

package recorder

import (
	"time"

	"github.com/pion/rtp"

	"consilium/internal/media"
)

// Limits of anchors.
const (
	firstReports   = 2               // sender reports that make the first batch
	captureEvery   = 5 * time.Second // between capture times that are kept
	maxAnchors     = 64              // in one batch
	sidecarAnchors = 48              // that a sidecar holds: about those of its half minute
)

// anchors gathers the clock observations of one SSRC and gives them out in batches.
type anchors struct {
	rate     uint32
	every    time.Duration  // between batches at most
	beat     beat           // that decides when, within that
	pending  []media.Anchor // sender reports and capture times
	reports  int            // sender reports ever taken
	best     media.Anchor   // the arrival anchor of this batch, if any packet came
	bestLate time.Duration  // its delay
	origin   *entry         // delays count from here
	since    time.Time      // start of this batch; zero before the first packet
	first    bool           // the first batch is out
	captured time.Time      // when a capture time was kept last
	newest   []media.Anchor // for sidecars
}

// packet looks at one media packet.
func (a *anchors) packet(e entry) {
	if a.origin == nil {
		a.origin = &entry{rtp: e.rtp, arrival: e.arrival}
	}
	if a.since.IsZero() {
		a.since = e.arrival
	}
	late := e.arrival.Sub(a.origin.arrival) - media.RTPDuration(e.rtp-a.origin.rtp, a.rate)
	if a.best.Kind == "" || late < a.bestLate {
		a.best, a.bestLate = media.Anchor{Kind: media.AnchorArrival, RTP: e.rtp, Arrival: e.arrival}, late
	}
}

// senderReport takes a report; at is its unwrapped RTP time.
func (a *anchors) senderReport(sr media.SenderReport, at int64) {
	a.reports++
	a.add(media.Anchor{Kind: media.AnchorSR, RTP: at, NTP: sr.NTP, Arrival: sr.Arrival, RTT: sr.RTT})
}

// captureTime takes the abs-capture-time extension of a packet, which senders add about once a second.
func (a *anchors) captureTime(e entry, extension []byte) {
	if extension == nil || !a.captured.IsZero() && e.arrival.Sub(a.captured) < captureEvery {
		return
	}
	var t rtp.AbsCaptureTimeExtension
	if err := t.Unmarshal(extension); err != nil {
		return
	}
	a.captured = e.arrival
	a.add(media.Anchor{Kind: media.AnchorACT, RTP: e.rtp, NTP: t.CaptureTime().UTC(), Arrival: e.arrival})
}

func (a *anchors) add(anchor media.Anchor) {
	if a.since.IsZero() {
		a.since = anchor.Arrival
	}
	if len(a.pending) < maxAnchors {
		a.pending = append(a.pending, anchor)
	}
}

// deadline is when the next batch is to be given out; zero if nothing is there.
func (a *anchors) deadline() time.Time {
	switch {
	case a.since.IsZero():
		return time.Time{}
	case !a.first && a.reports >= firstReports:
		return a.since
	default:
		return a.since.Add(a.beat.report(a.since, a.every))
	}
}

// batch gives out what was gathered and begins anew at now.
func (a *anchors) batch(now time.Time) []media.Anchor {
	out := a.pending
	if a.best.Kind != "" {
		out = append(out, a.best)
	}
	a.pending, a.best, a.since = nil, media.Anchor{}, time.Time{}
	if len(out) == 0 {
		return nil
	}
	a.first, a.since = true, now
	a.newest = append(a.newest, out...)
	a.newest = a.newest[max(0, len(a.newest)-sidecarAnchors):]
	return out
}

// known are the newest anchors, those of the batch to come included.
func (a *anchors) known() []media.Anchor {
	all := append(append([]media.Anchor{}, a.newest...), a.pending...)
	if a.best.Kind != "" {
		all = append(all, a.best)
	}
	return all[max(0, len(all)-sidecarAnchors):]
}

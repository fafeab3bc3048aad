package timeline

import (
	"time"

	"consilium/internal/events"
	"consilium/internal/media"
)

const (
	// minPiece is the shortest use of a file; what a cut leaves below that is not worth an input.
	minPiece = 10 * int64(time.Millisecond)
	// minHole is the shortest hole inside a file that splits its clip. In shorter ones the file's own silence, or the
	// frame that stands, shows all there is to show.
	minHole = 200 * int64(time.Millisecond)
	// tailLimit is how much earlier than its end the last media of a track may lie because they were on their way.
	tailLimit = 250 * int64(time.Millisecond)
)

// cover lays clips over the span and names the rest.
func (p *placement) cover(sp *span) Track {
	t := sp.track
	tr := Track{ID: t.id, Kind: t.kind, Source: t.source, Clips: []Clip{}, Gaps: []Gap{}}
	bounds := Interval{sp.StartNS, min(sp.liveTo, sp.EndNS)}
	for _, g := range p.places[t] {
		if g.fault() == "" {
			tr.Clips = append(tr.Clips, p.pieces(sp, bounds, g)...)
		}
	}
	sp.trim(tr.Clips)
	tr.StartNS, tr.EndNS = sp.StartNS, sp.EndNS
	used := make([]Interval, len(tr.Clips))
	for i, c := range tr.Clips {
		used[i] = Interval{c.StartNS, c.EndNS}
	}
	rs := p.reasons(sp)
	for _, hole := range without(sp.Interval, union(used)) {
		tr.Gaps = append(tr.Gaps, name(hole, rs)...)
	}
	return tr
}

// trim closes what is missing at both ends only because media travel: a frame at the start, a little more at the end.
func (sp *span) trim(clips []Clip) {
	if len(clips) == 0 {
		return
	}
	if first := &clips[0]; first.StartNS-sp.StartNS < defaultFrame {
		sp.StartNS = first.StartNS
	}
	last := &clips[len(clips)-1]
	if sp.broken == "" && sp.EndNS-last.EndNS <= tailLimit {
		last.EndNS = sp.EndNS
	}
}

// pieces cuts out of g's file what must not or cannot be shown.
func (p *placement) pieces(sp *span, bounds Interval, g *placed) []Clip {
	iv := Interval{max(g.start, bounds.StartNS), min(g.end, bounds.EndNS)}
	if iv.EndNS <= iv.StartNS {
		return nil
	}
	forbidden, concealed := p.innerHoles(g)
	for _, c := range p.gates[sp.track.owner] {
		if c.binds(g.seq) {
			forbidden = append(forbidden, c.Interval)
		}
	}
	for _, c := range p.pauses {
		if c.binds(g.seq) {
			forbidden = append(forbidden, c.Interval)
		}
	}
	if len(sp.present) > 0 {
		forbidden = append(forbidden, without(Interval{ever, never}, sp.present)...)
	}
	var clips []Clip
	for _, piece := range without(iv, union(forbidden)) {
		// What is cut off may leave nothing but the frame that holds: that alone shows nothing of the file.
		if c := g.clip(piece, concealed); piece.EndNS-piece.StartNS >= minPiece && c.FileStartNS < g.contentNS() {
			clips = append(clips, c)
		}
	}
	return clips
}

func (g *placed) clip(piece Interval, concealed []Interval) Clip {
	c := Clip{
		Segment: g.id, StartNS: piece.StartNS, EndNS: piece.EndNS, Rate: g.rate, ErrorNS: g.err, Quality: g.quality,
		FileStartNS: round(mul(float64(piece.StartNS-g.start), g.rate)),
		Codec:       g.codec(), ClockRate: g.clockRate(), Width: g.opened.Width, Height: g.opened.Height,
		Frames: g.sealed.Frames, Key: g.stored.Key, Bytes: g.stored.Bytes, SHA256: g.stored.SHA256,
	}
	for _, h := range concealed {
		if h.StartNS >= piece.StartNS && h.EndNS <= piece.EndNS {
			c.ConcealedNS += h.EndNS - h.StartNS
		}
	}
	return c
}

// innerHoles lists the reported gaps that lie inside the file, long ones and short ones. Reports tell when packets failed
// to arrive; what was captured then lies earlier by the delay of the segment's own first packet.
func (p *placement) innerHoles(g *placed) (long, short []Interval) {
	delay := min(max(g.arrival-g.start, 0), int64(time.Second))
	for _, e := range g.track.gaps {
		if gapCause(e) == "" {
			continue
		}
		h := Interval{p.at(e.From) - delay, p.at(e.To) - delay}
		if g.codec().Kind() == media.Video {
			h.StartNS += g.frameNS() // the report begins at the last frame, which was still to be seen
		}
		if h.EndNS <= h.StartNS || h.StartNS < g.start+g.frameNS() || h.EndNS > g.end-g.frameNS() {
			continue
		}
		if h.EndNS-h.StartNS >= minHole {
			long = append(long, h)
		} else {
			short = append(short, h)
		}
	}
	return long, union(short)
}

// gapCause is the cause of a reported gap; empty when it is none: silence that the sender left out (DTX) is content.
func gapCause(e events.SegmentGap) Cause {
	switch c := Cause(e.Cause); c {
	case Loss, Stall, Overrun, Corrupt:
		return c
	case "dtx":
		return ""
	}
	return Loss
}

// isVideo says whether the span shows a picture.
func (sp *span) isVideo() bool { return sp.track.kind == media.Video }

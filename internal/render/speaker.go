package render

import (
	"math"
	"slices"

	"consilium/internal/media"
)

// Who speaks is decided from the recorded sound, not in the call: so it is known in advance, and a cut comes shortly before
// the first word. Decisions look a second and a half ahead and never further, so they do not change when the consultation
// goes on.

// Levels is how loud somebody's voice is, in each tenth of a second from the begin of the archive: LUFS after the gain that
// brings it toward the loudness of all. Silence is very small, what is behind the end is silence.
type Levels []float64

const (
	perTenth = Rate / 10 // frames
	// lead is how long before the first word the picture changes.
	lead = 9
	// shortestTurn in frames: nobody is on the stage for less than two seconds because somebody else speaks.
	shortestTurn = 2 * Rate

	// A new speaker speaks in nine of the next fifteen tenths, while the old one does so in three at most. "Yes" and "mhm"
	// are shorter, and two people who speak at once do not push each other away.
	ahead, manyOf, fewOf = 15, 9, 3

	// Speech is louder than quietest, and by some dB louder than the softest moment of the last five seconds, which is what
	// the room sounds like. Whoever is heard by loudest or more speaks in any case.
	quietest, loudest, aboveRoom = -42.0, -24.0, 10.0
	roomTenths                   = 50
	// echo in dB: somebody that much softer than another is that other one in the wrong microphone.
	echo = 12.0
)

func (l Levels) at(tenth int) float64 {
	if tenth < 0 || tenth >= len(l) {
		return math.Inf(-1)
	}
	return l[tenth]
}

// speaking finds who speaks, from the first word to the end.
func (c *cast) speaking(levels map[string]Levels, frames int64) []span[int] {
	voices := make([]Levels, len(c.people))
	for i, p := range c.people {
		voices[i] = levels[p.id]
	}
	tenths := int(frames / perTenth)
	speech := speechOf(voices, tenths)
	var turns []span[int]
	for t := range tenths {
		now, since := -1, int64(-shortestTurn)
		if n := len(turns); n > 0 {
			now, since = turns[n-1].what, turns[n-1].from
		}
		word := int64(t) * perTenth
		if word < since+shortestTurn {
			continue
		}
		next := takesOver(speech, voices, t, now)
		if next < 0 {
			continue
		}
		cut := max(0, word-lead, since+shortestTurn)
		for cut < word {
			if _, here := at(c.people[next].present, cut); here {
				break
			}
			cut++
		}
		if n := len(turns); n > 0 {
			turns[n-1].to = cut
		}
		turns = append(turns, span[int]{cut, frames, next})
	}
	return turns
}

// speechOf says of everybody in which tenths they speak.
func speechOf(voices []Levels, tenths int) [][]bool {
	all := make([][]bool, len(voices))
	for i, own := range voices {
		all[i] = make([]bool, tenths)
		for t := range tenths {
			level := own.at(t)
			if level < quietest || level < min(loudest, own.room(t)+aboveRoom) {
				continue
			}
			all[i][t] = !slices.ContainsFunc(voices, func(o Levels) bool { return o.at(t) > level+echo })
		}
	}
	return all
}

// room is the softest of the last tenths.
func (l Levels) room(tenth int) float64 {
	softest := math.Inf(1)
	for t := max(0, tenth-roomTenths); t <= tenth; t++ {
		softest = min(softest, l.at(t))
	}
	return softest
}

// takesOver says who begins to speak in a tenth and goes on, while the one on the stage does not; -1: nobody.
func takesOver(speech [][]bool, voices []Levels, tenth, now int) int {
	spoken := func(who int) (n int) {
		for t := tenth; t < min(tenth+ahead, len(speech[who])); t++ {
			if speech[who][t] {
				n++
			}
		}
		return n
	}
	if now >= 0 && spoken(now) > fewOf {
		return -1
	}
	best, most := -1, 0
	for who := range speech {
		if who == now || !speech[who][tenth] {
			continue
		}
		if n := spoken(who); n >= manyOf && (n > most || n == most && voices[who].at(tenth) > voices[best].at(tenth)) {
			best, most = who, n
		}
	}
	return best
}

// stage marks who is on the stage in a frame: the speaker, and what examination cameras show, which never say anything and are
// looked at all the same. A shared screen leaves no room for them, and one alone needs no stage.
func (c *cast) stage(all []element, frame int64) {
	if !c.staged || len(all) < 2 || slices.ContainsFunc(all, func(e element) bool { return e.source == media.Screen }) {
		return
	}
	all[c.speakerAmong(all, frame)].main = true
	for i := range all {
		all[i].main = all[i].main || all[i].source == media.Device
	}
}

// speakerAmong finds whoever speaks, or spoke last and is there; before the first word and when all of them are gone, the first
// who has a picture.
func (c *cast) speakerAmong(all []element, frame int64) int {
	for _, turn := range slices.Backward(c.speakers) {
		if turn.from > frame {
			continue
		}
		if i := slices.IndexFunc(all, func(e element) bool { return e.person == turn.what }); i >= 0 {
			return i
		}
	}
	return max(0, slices.IndexFunc(all, func(e element) bool { return e.isPicture() && e.source != media.Device }))
}

package render

import (
	"image"
	"slices"

	"consilium/internal/media"
	"consilium/internal/sheet"
	"consilium/internal/timeline"
)

// Scene is a stretch of the archive in which the same tiles show pictures of the same size.
type Scene struct {
	Start, End int64 // frames: Start is in it, End is not
	Tiles      []Tile
	Note       string // in the middle of an empty canvas
	Detail     string // below it: when the recording was paused
}

// Tile is one place on the canvas: a picture with a name on it, or a card.
type Tile struct {
	Participant string
	Cell        image.Rectangle
	Name        string // what is written on it
	Picture     *Picture
	// Reason is what a card says under the name: why there is no picture. Cause is the same as a stable code.
	Reason string
	Cause  timeline.Cause
}

// Picture is the moving part of a tile.
type Picture struct {
	Track         string
	Source        media.Source
	Codec         media.Codec
	Width, Height int             // of the source
	Rect          image.Rectangle // within the cell, in the form of the source
	Fill          image.Rectangle // what a blurred copy of it fills behind it; empty: nothing does
	Clips         []timeline.Clip // by time; the first one begins at or before the scene's first frame, give or take half a frame
}

// Pictures are the moving parts in the order of the tiles.
func (s Scene) Pictures() []*Picture {
	var all []*Picture
	for _, t := range s.Tiles {
		if t.Picture != nil {
			all = append(all, t.Picture)
		}
	}
	return all
}

// Without is the scene with a card for cause in the place of every picture that is omitted.
func (s Scene) Without(ways []Way, cause timeline.Cause, language string) Scene {
	s.Tiles = slices.Clone(s.Tiles)
	i := 0
	for k := range s.Tiles {
		if s.Tiles[k].Picture == nil {
			continue
		}
		if ways[i] == Omit {
			s.Tiles[k].Picture, s.Tiles[k].Cause, s.Tiles[k].Reason = nil, cause, wordsOf(language).cause(cause)
		}
		i++
	}
	return s
}

// shortest is the length in frames of the shortest scene that is made for a change that shows nothing new, and of the
// longest standstill that is not called a gap: half a second.
const shortest = Rate / 2

// cast is everybody who takes part, in the order of the timeline.
type cast struct {
	people []player
	pauses []span[string] // what the card over a pause says
	words  *words

	staged   bool        // whoever speaks takes the stage
	speakers []span[int] // index in people, by time, without gaps from the first one on
}

// player is one participant, on the clock of output frames.
type player struct {
	id, name string
	present  []span[struct{}]
	absent   []span[timeline.Cause]
	tracks   []videoTrack
}

// span is a stretch of output frames: from is in it, to is not.
type span[T any] struct {
	from, to int64
	what     T
}

type videoTrack struct {
	id       string
	source   media.Source
	from, to int64
	clips    []span[timeline.Clip]
	gaps     []span[timeline.Cause]
}

func newCast(tl *timeline.Timeline, names sheet.Sheet) *cast {
	c := &cast{words: wordsOf(names.Language).under(tl.Policy)}
	c.pauses = pauses(tl, c.words, locationOf(names))
	for _, p := range tl.Participants {
		who := player{id: p.ID, name: nameOn(names, p.ID, p.Role)}
		for _, i := range p.Present {
			who.present = append(who.present, span[struct{}]{from: frameAt(i.StartNS), to: frameAt(i.EndNS)})
		}
		who.absent = arriving(causes(p.Absent), who.present)
		for _, t := range p.Tracks {
			if t.Kind != media.Video {
				continue
			}
			v := videoTrack{id: t.ID, source: t.Source, from: frameAt(t.StartNS), to: frameAt(t.EndNS), gaps: causes(t.Gaps)}
			for _, clip := range t.Clips {
				v.clips = append(v.clips, span[timeline.Clip]{frameAt(clip.StartNS), frameAt(clip.EndNS), clip})
			}
			who.tracks = append(who.tracks, v)
		}
		c.people = append(c.people, who)
	}
	return c
}

func causes(gaps []timeline.Gap) []span[timeline.Cause] {
	var all []span[timeline.Cause]
	for _, g := range gaps {
		all = append(all, span[timeline.Cause]{frameAt(g.StartNS), frameAt(g.EndNS), g.Cause})
	}
	return all
}

// connecting is why there is no picture of somebody who has just come: no connection is lost that was not there yet.
const connecting timeline.Cause = "connecting"

// arriving tells the time before the first connection of somebody who came apart from a lost one.
func arriving(absent []span[timeline.Cause], present []span[struct{}]) []span[timeline.Cause] {
	for i, a := range absent {
		came := slices.ContainsFunc(present, func(p span[struct{}]) bool { return p.from == a.from })
		if came && a.what == timeline.Disconnected {
			absent[i].what = connecting
		}
	}
	return absent
}

// at finds the span that covers a frame.
func at[T any](spans []span[T], frame int64) (T, bool) {
	for _, s := range spans {
		if s.from <= frame && frame < s.to {
			return s.what, true
		}
	}
	var none T
	return none, false
}

// element is what one tile shows, without its place: equal elements need no change of the scene.
type element struct {
	person        int // index in cast.people
	track         string
	source        media.Source
	codec         media.Codec
	width, height int
	main          bool           // it is on the stage because it speaks
	cause         timeline.Cause // of a card; empty on a card without a cause
	paused        string         // of the one card over a pause, which is there for everybody: what it says
}

func (e element) isPicture() bool { return e.track != "" }

// isStaged says whether e takes a place on the stage.
func (e element) isStaged() bool { return e.source == media.Screen || e.main }

// showsSame says whether o is e, perhaps in another place.
func (e element) showsSame(o element) bool {
	e.main, o.main = false, false
	return e == o
}

// isOf says whether a clip of the element's track is what it shows: a clip of less than a frame, perhaps of another size,
// is never seen.
func (e element) isOf(clip span[timeline.Clip]) bool {
	c := clip.what
	return clip.from < clip.to && c.Codec == e.codec && c.Width == e.width && c.Height == e.height
}

// act is a scene before its tiles have a place.
type act struct {
	start, end int64
	elements   []element
}

// scenes cuts frames into scenes.
func (c *cast) scenes(frames int64) []Scene {
	edges := c.edges(frames)
	var acts []act
	for i, from := range edges[:len(edges)-1] {
		acts = append(acts, act{from, edges[i+1], c.elementsAt(from)})
	}
	acts = calm(join(acts))
	all := make([]Scene, 0, len(acts))
	for _, a := range acts {
		all = append(all, c.place(a))
	}
	return all
}

// edges are the frames at which anything changes, from 0 to frames.
func (c *cast) edges(frames int64) []int64 {
	edges := []int64{0, frames}
	add := func(from, to int64) {
		for _, f := range []int64{from, to} {
			if f > 0 && f < frames {
				edges = append(edges, f)
			}
		}
	}
	for _, s := range c.pauses {
		add(s.from, s.to)
	}
	for _, s := range c.speakers {
		add(s.from, s.to)
	}
	for _, p := range c.people {
		for _, s := range p.present {
			add(s.from, s.to)
		}
		for _, s := range p.absent {
			add(s.from, s.to)
		}
		for _, t := range p.tracks {
			add(t.from, t.to)
			for _, s := range t.clips {
				add(s.from, s.to)
			}
			for _, s := range t.gaps {
				add(s.from, s.to)
			}
		}
	}
	slices.Sort(edges)
	return slices.Compact(edges)
}

// elementsAt lists what is to be seen at a frame: for everybody who is present their pictures, or a card; one card for all
// while the recording is paused.
func (c *cast) elementsAt(frame int64) []element {
	all := c.peopleAt(frame)
	text, paused := at(c.pauses, frame)
	if paused && len(all) > 0 && !slices.ContainsFunc(all, element.isPicture) {
		return []element{{paused: text}}
	}
	c.stage(all, frame)
	return all
}

func (c *cast) peopleAt(frame int64) []element {
	var all []element
	for i, p := range c.people {
		if _, here := at(p.present, frame); !here {
			continue
		}
		face := false
		cause, explained := timeline.Cause(""), false
		for _, t := range p.tracks {
			if frame < t.from || frame >= t.to {
				continue
			}
			if clip, ok := at(t.clips, frame); ok {
				all = append(all, element{
					person: i, track: t.id, source: t.source, codec: clip.Codec, width: clip.Width, height: clip.Height,
				})
				face = face || t.source != media.Screen
			} else if why, ok := at(t.gaps, frame); ok && t.source != media.Screen {
				cause, explained = why, true
			}
		}
		if face {
			continue
		}
		if !explained {
			cause, _ = at(p.absent, frame)
		}
		all = append(all, element{person: i, cause: cause})
	}
	return all
}

// join makes one of neighbours that show the same.
func join(acts []act) []act {
	var all []act
	for _, a := range acts {
		if n := len(all); n > 0 && slices.Equal(all[n-1].elements, a.elements) {
			all[n-1].end = a.end
			continue
		}
		all = append(all, a)
	}
	return all
}

// calm drops scenes shorter than half a second that show no picture which the scene before does not show: that one then
// lasts longer and its pictures stand still for that moment. So a short loss does not flicker, whoever appears does so
// with their picture, and nothing that was recorded is left out. A picture that only changes its place may wait.
func calm(acts []act) []act {
	var all []act
	held := int64(0) // frames by which the last of all lasts longer than it would
	for _, a := range acts {
		n := len(all)
		if n > 0 && a.end-a.start+held < shortest && !showsMore(a, all[n-1]) {
			held += a.end - a.start
			all[n-1].end = a.end
			continue
		}
		held = 0
		all = append(all, a)
	}
	return join(all)
}

func showsMore(a, before act) bool {
	for _, e := range a.elements {
		if e.isPicture() && !slices.ContainsFunc(before.elements, e.showsSame) {
			return true
		}
	}
	return false
}

// place gives the elements of an act their places.
func (c *cast) place(a act) Scene {
	s := Scene{Start: a.start, End: a.end}
	if len(a.elements) == 1 && a.elements[0].paused != "" {
		s.Note, s.Detail = c.words.paused, a.elements[0].paused
		return s
	}
	staged := 0
	for _, e := range a.elements {
		if e.isStaged() {
			staged++
		}
	}
	stage, grid := arrange(staged, len(a.elements)-staged)
	for _, e := range a.elements {
		places := &grid
		if e.isStaged() {
			places = &stage
		}
		s.Tiles = append(s.Tiles, c.tile(e, (*places)[0], a))
		*places = (*places)[1:]
	}
	if len(s.Tiles) == 0 {
		s.Note = c.note()
	}
	return s
}

func (c *cast) note() string {
	for _, p := range c.people {
		if len(p.present) > 0 {
			return c.words.nobody
		}
	}
	return c.words.neverAny
}

func (c *cast) tile(e element, cell image.Rectangle, a act) Tile {
	p := c.people[e.person]
	t := Tile{Participant: p.id, Cell: cell, Name: p.name}
	if !e.isPicture() {
		t.Cause, t.Reason = e.cause, c.words.cause(e.cause)
		return t
	}
	if e.source == media.Screen {
		t.Name = c.words.screen(p.name)
	}
	rect := fit(cell, e.width, e.height)
	t.Picture = &Picture{
		Track: e.track, Source: e.source, Codec: e.codec, Width: e.width, Height: e.height,
		Rect: rect, Fill: surroundings(e.source, cell, rect),
	}
	for _, track := range p.tracks {
		for _, clip := range track.clips {
			if track.id == e.track && clip.from < a.end && clip.to > a.start && e.isOf(clip) {
				t.Picture.Clips = append(t.Picture.Clips, clip.what)
			}
		}
	}
	return t
}

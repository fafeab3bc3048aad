package stitch

import (
	"cmp"
	"errors"
	"math"
	"slices"

	"consilium/internal/media"
	"consilium/internal/render"
)

// order is one piece that an archive needs.
type order struct {
	recipe *recipe
	key    string
	chunk  int // number of the chunk, -1 for sound
	at     render.Chunk
	shown  [][]string // segments by tile, or by run of the sound
	part   int        // number of the piece of the sound
	voices []string   // participants by voice of the sound
	voice  string     // participant, where the sound is that of one; else empty
	weight int64      // about how long it takes, in output frames of cards: the longest are made first
}

// isSound says whether the order is for the sound.
func (o *order) isSound() bool { return o.chunk < 0 }

// orders turns the plan into recipes, the longest first: single voices, which take one process from the beginning to the
// end, then chunks, then the pieces of the sound.
func (w *Worker) orders(j *job) ([]*order, error) {
	voices := j.voices
	all := j.voiceOrders(voices)
	pictures, err := w.pictureOrders(j, 0, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	pieces := slices.Concat(pictures, j.soundPieces(voices, math.MaxInt64))
	slices.SortStableFunc(pieces, func(a, b *order) int { return cmp.Compare(b.weight, a.weight) })
	all = append(all, pieces...)
	return all, nameAll(all)
}

// voiceOrders are the orders of single voices, in the order of the participants; none, if none were ordered.
func (j *job) voiceOrders(voices []voiceRuns) []*order {
	if !j.request.Voices {
		return nil
	}
	var all []*order
	for _, p := range j.timeline.Participants {
		if i := slices.IndexFunc(voices, func(v voiceRuns) bool { return v.participant == p.ID }); i >= 0 {
			all = append(all, j.voiceOrder(voices[i]))
		}
	}
	return all
}

// eachPicture gives the orders of all chunks to do, each as soon as it is planned, the longest first.
func (w *Worker) eachPicture(j *job, do func(*order) error) error {
	over := newOverlays(w.painter, j.plan, j.sheet.Language)
	chunks := j.plan.Chunks()
	numbers := make([]int, len(chunks))
	for i := range numbers {
		numbers[i] = i
	}
	slices.SortStableFunc(numbers, func(a, b int) int { return cmp.Compare(j.weight(chunks[b]), j.weight(chunks[a])) })
	for _, i := range numbers {
		o, err := j.pictureOrder(over, i, chunks[i])
		if err != nil {
			return err
		}
		if o.key, err = o.recipe.digest(); err != nil {
			return err
		}
		if err := do(o); err != nil {
			return err
		}
	}
	return nil
}

// weight is about how long a chunk takes. To decode and scale a camera of 1280x720 takes a fifth of what it takes to draw
// and to encode the picture, and others as much as they have pixels.
func (j *job) weight(c render.Chunk) int64 {
	const whole, source = 5, 1280 * 720
	pixels := int64(0)
	for _, pic := range j.plan.Scenes[c.Scene].Pictures() {
		pixels += int64(pic.Width) * int64(pic.Height)
	}
	return c.Frames * (whole*source + pixels) / (whole * source)
}

// ordersUntil turns what of the plan is decided by an output frame into recipes: chunks in the order of the archive but for
// those that were decided by another one, and pieces of the sound as far as the gains of those who are heard in them are
// settled.
func (w *Worker) ordersUntil(j *job, before, end int64) ([]*order, error) {
	all, err := w.pictureOrders(j, before, end)
	if err != nil {
		return nil, err
	}
	settled := func(of string) bool { return j.gains[of].settled }
	for _, o := range j.soundPieces(j.voices, settledSamples(end)) {
		if !slices.ContainsFunc(o.voices, func(of string) bool { return !settled(of) }) {
			all = append(all, o)
		}
	}
	return all, nameAll(all)
}

// pictureOrders are the orders of the chunks that are decided after one output frame and by another, in the order of the
// archive.
func (w *Worker) pictureOrders(j *job, before, end int64) ([]*order, error) {
	var all []*order
	over := newOverlays(w.painter, j.plan, j.sheet.Language)
	for i, c := range j.plan.Chunks() {
		if c.Known > end {
			break
		}
		if c.Known <= before {
			continue
		}
		o, err := j.pictureOrder(over, i, c)
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, nil
}

// nameAll gives the pieces their keys.
func nameAll(all []*order) (err error) {
	for _, o := range all {
		if o.key, err = o.recipe.digest(); err != nil {
			return err
		}
	}
	return nil
}

// pictureOrder is the order of a chunk. A picture that has no frame in it gets a card.
func (j *job) pictureOrder(over *overlays, number int, c render.Chunk) (*order, error) {
	pictures := j.plan.Scenes[c.Scene].Pictures()
	ways := make([]render.Way, len(pictures))
	o := &order{chunk: number, at: c, weight: j.weight(c)}
	work := &pictureWork{}
	var used numbering
	for i, pic := range pictures {
		tile, err := j.tileWork(pic, c, &used)
		if errors.Is(err, errNoPicture) {
			ways[i] = render.Omit
			j.lose(segmentsIn(pic, c)...)
			j.blankLocked(c, segmentsIn(pic, c)) // nothing is being made yet
			continue
		}
		if err != nil {
			return nil, err
		}
		if tile.Card, tile.Cell, err = over.card(c.Scene, i); err != nil {
			return nil, err
		}
		work.Tiles = append(work.Tiles, tile)
		o.shown = append(o.shown, segmentsIn(pic, c))
	}
	var err error
	if work.Overlay, err = over.of(c.Scene, ways); err != nil {
		return nil, err
	}
	if work.Composition, err = work.Overlay.over(j.plan.Compose(c, ways)); err != nil {
		return nil, err
	}
	if err := over.stamp(work, c); err != nil {
		return nil, err
	}
	o.recipe = &recipe{Form: recipeForm, Tool: j.tool.name(), Sources: used.all, Picture: work}
	return o, nil
}

// tileWork lists the frames of a picture in a chunk.
func (j *job) tileWork(pic *render.Picture, c render.Chunk, used *numbering) (tileWork, error) {
	packets, err := cutTile(pic.Clips, j.footage, j.trackPhases[pic.Track], c.Start, c.Frames)
	if err != nil {
		return tileWork{}, err
	}
	t := tileWork{Codec: pic.Codec, Width: pic.Width, Height: pic.Height, Packets: make([]packetPlace, len(packets))}
	for i, p := range packets {
		t.Packets[i] = packetPlace{int64(used.number(p.of)), p.frame.Offset, int64(p.frame.Length), p.slot, 0}
		if p.shown {
			t.Packets[i][4] = 1
			if pic.Source != media.Screen {
				j.offsets = append(j.offsets, math.Abs(p.off+j.apart(pic.Track, p.ns))*1000/render.Rate)
			}
		}
	}
	return t, nil
}

// segmentsIn are the segments that a picture shows in a chunk.
func segmentsIn(pic *render.Picture, c render.Chunk) []string {
	from, to := render.TimeOfFrame(c.Start), render.TimeOfFrame(c.Start+c.Frames)
	var all []string
	for _, clip := range pic.Clips {
		if clip.StartNS < to && clip.EndNS > from {
			all = append(all, clip.Segment)
		}
	}
	return all
}

// voiceOrder is the order of all of the sound of one participant.
func (j *job) voiceOrder(v voiceRuns) *order {
	o := j.soundOf([]voiceRuns{v}, 0, float64(j.plan.Samples()))
	o.voice, o.weight = v.participant, j.plan.Frames
	work := o.recipe.Sound
	work.Samples, work.BitRate, work.Mono = j.plan.Samples(), voiceBitRate, true
	return o
}

// voiceBitRate is that of a single voice in bit/s.
const voiceBitRate = 64_000

// without is the order of a chunk with nothing but cards: what is shown where a chunk cannot be made.
func (j *job) without(over *overlays, o *order) (*order, error) {
	ways := slices.Repeat([]render.Way{render.Omit}, len(j.plan.Scenes[o.at.Scene].Pictures()))
	card, err := over.of(o.at.Scene, ways)
	if err != nil {
		return nil, err
	}
	bare := *o
	bare.shown = nil
	work := &pictureWork{Overlay: card}
	if work.Composition, err = card.over(j.plan.Compose(o.at, ways)); err != nil {
		return nil, err
	}
	if err := over.stamp(work, o.at); err != nil {
		return nil, err
	}
	bare.recipe = &recipe{Form: recipeForm, Tool: j.tool.name(), Picture: work}
	bare.key, err = bare.recipe.digest()
	return &bare, err
}

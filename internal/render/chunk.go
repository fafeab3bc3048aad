package render

import "slices"

// Keyframes are, by track, the output frames in which its keyframes are shown, ascending. A chunk that begins in the middle
// of what depends on a keyframe has to decode everything from there on without showing it.
type Keyframes map[string][]int64

// before is the last keyframe of a track up to an output frame, from when nothing is known of one.
func (k Keyframes) before(track string, frame, from int64) int64 {
	all := k[track]
	i, found := slices.BinarySearch(all, frame)
	if found {
		return frame
	}
	if i == 0 {
		return from
	}
	return all[i-1]
}

const (
	// maxChunk is the longest chunk in frames: a killed job loses at most one for each core.
	maxChunk = 30 * Rate
	// usualChunk is from when on the first good place is taken. Recorders cut the pictures of everybody a little later.
	usualChunk = 20 * Rate
	// minChunk is the shortest chunk that is made for the sake of a place to cut at.
	minChunk = 5 * Rate
	// goodPlace is how many frames of each picture there may be to decode on average, so that a place is good to cut at.
	goodPlace = 3 * Rate / 2
	// lastChunk is the longest chunk that begins within the last maxChunk frames: it is among those that are left to be made
	// when a call is over, which nobody should have to wait for alone.
	lastChunk = 15 * Rate
	// starting is what another process costs, in pixels to decode: about two seconds of a camera.
	starting = 2 * Rate * Width * Height
)

// Chunk is a stretch of one scene that one process makes.
type Chunk struct {
	Scene  int   // index in Plan.Scenes
	Start  int64 // frame of the archive
	Frames int64
	// Known is up to which frame the plan was looked at to decide where the chunk ends: it ends there whatever comes later.
	Known int64
}

// Chunks cuts the scenes where little has to be decoded that is not shown, in order. Where a chunk ends depends on nothing
// that comes half a minute after its beginning: so it stays what it is when the scene that it lies in turns out to last
// longer. What begins in the last half minute is cut in two where it is long, so that two can make it. A plan without a
// picture has none.
func (p *Plan) Chunks() []Chunk {
	if !p.Profile.Video {
		return nil
	}
	var all []Chunk
	for i, s := range p.Scenes {
		places := p.places(s)
		for at := s.Start; at < s.End; {
			end, known := p.cut(s, places, at)
			if p.Frames-at <= maxChunk && end-at > lastChunk {
				end, known = (at+end+1)/2, at+maxChunk
			}
			all = append(all, Chunk{Scene: i, Start: at, Frames: end - at, Known: known})
			at = end
		}
	}
	return all
}

// places are the frames of a scene in which a picture of it has a keyframe, ascending.
func (p *Plan) places(s Scene) []int64 {
	var all []int64
	for _, pic := range s.Pictures() {
		for _, f := range p.Keyframes[pic.Track] {
			if s.Start < f && f < s.End {
				all = append(all, f)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// cost is how many pixels a chunk that begins at a frame of a scene has to decode without showing them. good says that
// these are few.
func (p *Plan) cost(s Scene, frame int64) (pixels int64, good bool) {
	all := int64(0)
	for _, pic := range s.Pictures() {
		size := int64(pic.Width) * int64(pic.Height)
		all += size
		pixels += size * (frame - p.Keyframes.before(pic.Track, frame, s.Start))
	}
	return pixels, pixels <= all*goodPlace
}

// cut finds the end of the chunk that begins at a frame of a scene, and the frame that decided it: the first good place
// after the usual length; else the end of the scene, or the place that costs least for each frame of the chunk.
func (p *Plan) cut(s Scene, places []int64, start int64) (end, known int64) {
	longest := start + maxChunk
	end = longest
	cost, _ := p.cost(s, end)
	for _, f := range places {
		if f < start+minChunk || f > min(longest, s.End-1) {
			continue
		}
		its, good := p.cost(s, f)
		if good && f >= start+usualChunk {
			return f, f
		}
		if (its+starting)*(end-start) < (cost+starting)*(f-start) {
			end, cost = f, its
		}
	}
	if s.End <= longest {
		return s.End, s.End
	}
	return end, longest
}

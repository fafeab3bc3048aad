package render

import (
	"fmt"
	"image"
	"slices"
	"time"

	"consilium/internal/ffmpeg"
	"consilium/internal/media"
	"consilium/internal/sheet"
	"consilium/internal/timeline"
)

// Plan is everything that an archive shows and sounds like. Same timeline and sheet, same plan.
type Plan struct {
	Consultation string
	Profile      Profile
	Layout       string
	Clock        *Clock // stamped into the picture; nil: none
	Frames       int64  // of the whole archive, also of one without a picture
	Scenes       []Scene
	Voices       []Voice
	Chapters     []media.Chapter
	Cues         []Cue
	Title        string    // of the file
	Keyframes    Keyframes `json:",omitempty"`
}

// Order says what is to be made. Empty fields are the defaults.
type Order struct {
	Profile string
	Layout  string
	Stamp   bool              // the wall clock stands in the picture
	Levels  map[string]Levels // by participant: who speaks when, for the layout "speaker"
	Keyframes
}

// MinFrames is the shortest archive: one second. A consultation that nobody ever joined has length 0, and its archive
// is one second of a card that says so, because a file that says so is found where a missing file only raises questions.
const MinFrames = Rate

// New plans the archive of tl. The clips of tl must all be there: what could not be fetched has to be a gap.
func New(tl *timeline.Timeline, names sheet.Sheet, order Order) (*Plan, error) {
	profile, err := ProfileNamed(order.Profile)
	if err != nil {
		return nil, fmt.Errorf("plan archive: %w", err)
	}
	layout, err := LayoutNamed(order.Layout)
	if err != nil {
		return nil, fmt.Errorf("plan archive: %w", err)
	}
	p := &Plan{
		Consultation: tl.Consultation, Profile: profile, Layout: layout,
		Frames: max(MinFrames, frameAt(tl.DurationNS)), Title: title(tl, names),
		Keyframes: order.Keyframes,
	}
	cast := newCast(tl, names)
	if layout == Speaker {
		cast.speakers = cast.speaking(order.Levels, p.Frames)
		cast.staged = true
	}
	if order.Stamp {
		p.Clock = &Clock{zero: tl.StartTime, zone: locationOf(names)}
	}
	p.Scenes = cast.scenes(p.Frames)
	p.Voices = Voices(tl)
	p.Chapters, p.Cues = chapters(tl, names, p.Duration())
	return p, nil
}

// Duration is the length of the archive: whole frames.
func (p *Plan) Duration() time.Duration {
	return time.Duration(p.Frames) * time.Second / Rate
}

// Samples is the length of the sound, at ffmpeg.SampleRate.
func (p *Plan) Samples() int64 {
	return p.Frames * ffmpeg.SampleRate / Rate
}

func title(tl *timeline.Timeline, names sheet.Sheet) string {
	text := cleanName(names.Title)
	if tl.StartTime.IsZero() {
		return text
	}
	on := fmt.Sprintf(wordsOf(names.Language).recordedOn, tl.StartTime.In(locationOf(names)).Format("2006-01-02 15:04 MST"))
	if text == "" {
		return on
	}
	return text + " · " + on
}

// Voice is one track of sound: where its clips stand in the archive is said by the clips.
type Voice struct {
	Participant string
	Track       string
	Clips       []timeline.Clip // by time, disjoint
}

// Voices lists the tracks of sound.
func Voices(tl *timeline.Timeline) []Voice {
	var all []Voice
	for _, p := range tl.Participants {
		for _, t := range p.Tracks {
			if t.Kind == media.Audio && len(t.Clips) > 0 {
				all = append(all, Voice{Participant: p.ID, Track: t.ID, Clips: slices.Clone(t.Clips)})
			}
		}
	}
	return all
}

// Names of the files of a chunk, in a folder of its own: so that what a chunk is made of says nothing of its place.
const (
	OverlayFile = "overlay.png"
	StampFile   = "stamp.png"
	ChunkFile   = "out.ts"
)

// TileFile is the name of the file of the i-th picture of a chunk.
func TileFile(i int) string { return fmt.Sprintf("t%d.ivf", i) }

var decoders = map[media.Codec]string{media.VP8: "vp8", media.VP9: "vp9", media.AV1: "av1", media.H264: "h264"}

// Way is how a picture of a scene gets onto the canvas.
type Way int

// The ways.
const (
	Stack Way = iota // cheapest; all pictures wait for the first frame of each
	Late             // dearer, for a source whose first frames do not decode
	Omit             // not at all
)

// place is r as ffmpeg takes it, nil when it is empty.
func place(r image.Rectangle) *ffmpeg.Place {
	if r.Empty() {
		return nil
	}
	return &ffmpeg.Place{X: r.Min.X, Y: r.Min.Y, Width: r.Dx(), Height: r.Dy()}
}

// Compose is how a chunk is drawn. The i-th picture of its scene comes from TileFile(i), in the i-th way.
func (p *Plan) Compose(c Chunk, ways []Way) ffmpeg.Composition {
	out := ffmpeg.Composition{
		Width: Width, Height: Height, Rate: Rate, Background: Background, Frames: c.Frames,
		Overlay: OverlayFile, Encoder: p.Profile.Encoder, Out: ChunkFile,
	}
	i := -1
	for _, t := range p.Scenes[c.Scene].Tiles {
		pic := t.Picture
		if pic == nil {
			continue
		}
		if i++; ways[i] == Omit {
			continue
		}
		out.Tiles = append(out.Tiles, ffmpeg.Tile{
			File: TileFile(i), Codec: decoders[pic.Codec],
			X: pic.Rect.Min.X, Y: pic.Rect.Min.Y, Width: pic.Rect.Dx(), Height: pic.Rect.Dy(),
			Late: ways[i] == Late,
			Fill: place(pic.Fill), Window: place(t.Cell.Inset(border)),
		})
	}
	return out
}

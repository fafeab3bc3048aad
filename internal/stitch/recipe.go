package stitch

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"slices"

	"consilium/internal/ffmpeg"
	"consilium/internal/media"
	"consilium/internal/render"
)

// recipe is everything that one piece of an archive is made of: a chunk of the picture, or the whole sound. Whoever has
// it, and the segments that it names, makes the same piece, on any machine: it holds places in files and output frames,
// no clocks, no names, and text only as pixels. Its digest is what the piece is called.
type recipe struct {
	Form    int          `json:"form"` // recipeForm
	Tool    string       `json:"tool"` // what it is made with: a tool's name
	Sources []segmentRef `json:"sources"`
	Picture *pictureWork `json:"picture,omitempty"`
	Sound   *soundWork   `json:"sound,omitempty"`
}

// recipeForm counts the changes of what a recipe means: whatever changes the bytes of a piece and does not stand in it
// (code between the recipe and the arguments of ffmpeg).
const recipeForm = 5

// pictureWork is a chunk.
type pictureWork struct {
	Composition ffmpeg.Composition `json:"composition"`
	Tiles       []tileWork         `json:"tiles"` // as those of the composition
	Overlay     drawing            `json:"overlay"`
	Stamp       []drawing          `json:"stamp,omitempty"` // the wall clock, a picture for each second
}

// tileWork is one moving picture of a chunk: the frames to take from the sources, and the card that stands in its cell
// where none of them decodes.
type tileWork struct {
	Codec   media.Codec     `json:"codec"`
	Width   int             `json:"width"`
	Height  int             `json:"height"`
	Packets []packetPlace   `json:"packets"`
	Cell    image.Rectangle `json:"cell"`
	Card    drawing         `json:"card"`
}

// packetPlace is a packet in numbers: index of the source, offset and length there, output frame, and 1 when it is to be
// seen and not only decoded.
type packetPlace [5]int64

// drawing is a picture of ours as PNG. In the digest of a recipe its pixels count, not how they were packed.
type drawing struct {
	PNG    []byte      `json:"png,omitempty"`
	Pixels string      `json:"pixels"`      // SHA-256
	At     image.Point `json:"at,omitzero"` // of an overlay: where its upper left corner lies
}

// soundWork is a piece of the sound of an archive, all of the sound of one voice in it, or the measuring of a voice.
type soundWork struct {
	Samples int64     `json:"samples"`
	BitRate int       `json:"bitRate"`
	Mono    bool      `json:"mono,omitempty"`
	Runs    []runWork `json:"runs"`
	Gains   []float64 `json:"gains"` // dB by voice
	// Part says which part of the sound it is; nil: all of it.
	Part    *soundPart `json:"part,omitempty"`
	Measure bool       `json:"measure,omitempty"` // nothing is encoded: how loud it is, is measured
}

// runWork is a run of a voice.
type runWork struct {
	Voice int          `json:"voice"` // runs of one participant have the same number, from 0
	Files []int        `json:"files"` // indices of segmentRefs
	Knots [][2]float64 `json:"knots"`
}

// command is what makes the piece in the end; its arguments count in the digest.
func (r *recipe) command() (ffmpeg.Command, error) {
	switch {
	case r.Picture != nil:
		return ffmpeg.Compose(r.Picture.Composition)
	case r.Sound != nil && r.Sound.Measure:
		return ffmpeg.DecodeVoice(runFile(0))
	case r.Sound != nil && r.Sound.Part != nil:
		return ffmpeg.EncodeADTS(encodedPartFile, r.Sound.BitRate, r.Sound.channels())
	case r.Sound != nil:
		return ffmpeg.EncodeAudio(encodedFile, r.Sound.BitRate, r.Sound.channels())
	}
	return ffmpeg.Command{}, errors.New("a recipe of nothing")
}

// digest is the name of the piece. The output is no part of it: encoders of sound give other bytes on other processors.
func (r *recipe) digest() (string, error) {
	cmd, err := r.command()
	if err != nil {
		return "", fmt.Errorf("digest of a recipe: %w", err)
	}
	bare := *r
	bare.Sources = slices.Clone(r.Sources)
	for i := range bare.Sources {
		bare.Sources[i].Key = "" // where it lies is not what it is
	}
	if r.Picture != nil {
		p := *r.Picture
		p.Overlay.PNG = nil
		p.Stamp = slices.Clone(p.Stamp)
		for i := range p.Stamp {
			p.Stamp[i].PNG = nil
		}
		p.Tiles = make([]tileWork, len(r.Picture.Tiles))
		for i, t := range r.Picture.Tiles {
			t.Card.PNG = nil
			p.Tiles[i] = t
		}
		bare.Picture = &p
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%q\n", cmd.Args)
	if err := json.NewEncoder(sum).Encode(bare); err != nil {
		return "", fmt.Errorf("digest of a recipe: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// encode packs a recipe for another worker.
func (r *recipe) encode() ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	err := json.NewEncoder(z).Encode(r)
	if err := errors.Join(err, z.Close()); err != nil {
		return nil, fmt.Errorf("encode recipe: %w", err)
	}
	return b.Bytes(), nil
}

// maxRecipe bounds a recipe in bytes: thirty seconds of nine cameras at 60 Hz are 2 MB.
const maxRecipe = 64 << 20

// errRecipe says that a recipe is not what its name says, or of a program that is newer than this one.
var errRecipe = errors.New("recipe cannot be used")

// decodeRecipe reads what encode wrote and holds it against its name.
func decodeRecipe(in io.Reader, key string) (*recipe, error) {
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRecipe, err)
	}
	var r recipe
	if err := json.NewDecoder(io.LimitReader(z, maxRecipe)).Decode(&r); err != nil {
		return nil, fmt.Errorf("%w: %w", errRecipe, err)
	}
	if r.Form != recipeForm {
		return nil, fmt.Errorf("%w: it has form %d, this program knows %d", errRecipe, r.Form, recipeForm)
	}
	if got, err := r.digest(); err != nil || got != key {
		return nil, fmt.Errorf("%w: it is not the one that is named (%w)", errRecipe, err)
	}
	return &r, r.check()
}

// check refuses numbers that point nowhere.
func (r *recipe) check() error {
	if r.Picture != nil && (r.Picture.Composition.Stamp == nil) != (len(r.Picture.Stamp) == 0) {
		return fmt.Errorf("%w: a clock without its pictures", errRecipe)
	}
	if r.Picture != nil && len(r.Picture.Tiles) != len(r.Picture.Composition.Tiles) {
		return fmt.Errorf("%w: %d tiles for %d places", errRecipe, len(r.Picture.Tiles), len(r.Picture.Composition.Tiles))
	}
	known := func(i int64) bool { return 0 <= i && i < int64(len(r.Sources)) }
	if r.Picture != nil {
		for _, t := range r.Picture.Tiles {
			if len(t.Packets) == 0 {
				return fmt.Errorf("%w: a tile without a frame", errRecipe)
			}
			for _, p := range t.Packets {
				if !known(p[0]) {
					return fmt.Errorf("%w: there is no source %d", errRecipe, p[0])
				}
			}
		}
	}
	if r.Sound != nil {
		for _, run := range r.Sound.Runs {
			for _, f := range run.Files {
				if !known(int64(f)) {
					return fmt.Errorf("%w: there is no source %d", errRecipe, f)
				}
			}
			if run.Voice < 0 || run.Voice >= len(r.Sound.Gains) {
				return fmt.Errorf("%w: there is no voice %d", errRecipe, run.Voice)
			}
			if len(run.Knots) < 2 {
				return fmt.Errorf("%w: a run without a place", errRecipe)
			}
		}
	}
	return nil
}

// numbering numbers the sources of a recipe.
type numbering struct {
	all     []segmentRef
	numbers map[segmentRef]int
}

func (s *numbering) number(of segmentRef) int {
	if n, ok := s.numbers[of]; ok {
		return n
	}
	if s.numbers == nil {
		s.numbers = map[segmentRef]int{}
	}
	s.numbers[of] = len(s.all)
	s.all = append(s.all, of)
	return s.numbers[of]
}

// packets turns the numbers of a tile back into packets of open files.
func (t tileWork) packets(files []io.ReaderAt) []packet {
	all := make([]packet, len(t.Packets))
	for i, p := range t.Packets {
		all[i] = packet{
			file: files[p[0]], slot: p[3], shown: p[4] == 1,
			frame: media.IVFFrame{Offset: p[1], Length: int(p[2])},
		}
	}
	return all
}

// as is the composition with each tile drawn in its way.
func (p *pictureWork) as(ways []render.Way) ffmpeg.Composition {
	c := p.Composition
	c.Tiles = nil
	for i, t := range p.Composition.Tiles {
		if ways[i] == render.Omit {
			continue
		}
		t.Late = ways[i] == render.Late
		c.Tiles = append(c.Tiles, t)
	}
	return c
}

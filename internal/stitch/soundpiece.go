package stitch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"consilium/internal/ffmpeg"
	"consilium/internal/render"
)

// The sound of an archive is made in pieces of 64 seconds, so that it may be made while the call goes on, by many, and taken
// up by the next version. A piece is whole packets of AAC and whole tenths of a second, and nothing is heard of where one
// ends and the next one begins: every piece is mixed and encoded from two seconds before it to some packets behind it, so
// that decoders, limiter and encoder are in the state in which they would be anyway, and what was encoded too much is
// dropped. A packet is heard together with the one before it, which is the same in both pieces but for the noise of coding.
//
// Half a minute of mixed samples is kept nowhere: it has 11 MB, and to mix it once more costs two seconds in sixty-four.

const (
	// pieceSamples is the length of a piece: 3000 packets of AAC, 640 tenths of a second, 1920 output frames.
	pieceSamples = 64 * ffmpeg.SampleRate
	// leadIn is how much is mixed and encoded before a piece, leadOut behind it; both are whole packets.
	leadIn, leadOut = 96 * ffmpeg.AACFrame, 8 * ffmpeg.AACFrame
	// warmUp is how much of a recording is decoded before it is heard: RFC 7845 asks for 80 ms.
	warmUp = ffmpeg.SampleRate
)

// soundPart is what a piece of the sound is of the whole.
type soundPart struct {
	LeadIn  int64 `json:"leadIn"`  // samples that are mixed before it
	LeadOut int64 `json:"leadOut"` // samples that are mixed behind it
	Last    bool  `json:"last"`    // nothing comes behind it: all that the encoder writes is kept
}

const (
	encodedPartFile = "mix.aac"  // all that was encoded
	partFile        = "part.aac" // the packets of the piece
)

// mixed is how many samples are mixed for the work.
func (s *soundWork) mixed() int64 {
	if s.Part == nil {
		return s.Samples
	}
	return s.Part.LeadIn + s.Samples + s.Part.LeadOut
}

// leadIn is how many of them come before what is kept.
func (s *soundWork) leadIn() int64 {
	if s.Part == nil {
		return 0
	}
	return s.Part.LeadIn
}

// between is the part of a run that sounds from one sample of the archive to another, on the clock of from; false when
// nothing of it does. What comes or goes further on changes nothing of it.
func (r run) between(from, to float64) (run, bool) {
	if r.end() <= from || r.begin() >= to {
		return run{}, false
	}
	first, last := 0, len(r.knots)-1
	for first+2 < len(r.knots) && r.knots[first+1].at <= from {
		first++
	}
	for last-1 > first && r.knots[last-1].at >= to {
		last--
	}
	part := run{}
	needed, base := r.place(max(from, r.begin()))-warmUp, 0.0
	enough := r.knots[last].file
	skipped := 0.0
	for _, f := range r.files {
		end := base + float64(f.scan.Samples)
		switch {
		case end <= needed && len(part.files) == 0:
			skipped = end
		case base < enough || len(part.files) == 0:
			part.files = append(part.files, f)
		}
		base = end
	}
	for _, k := range r.knots[first : last+1] {
		part.knots = append(part.knots, knot{at: k.at - from, file: k.file - skipped})
	}
	return part, len(part.files) > 0
}

// voiceRuns are the runs of a participant, and the number of the voice that they are.
type voiceRuns struct {
	participant string
	runs        []run
}

// hear adds runs to those of a participant.
func (j *job) hear(participant string, runs []run) {
	at := slices.IndexFunc(j.voices, func(o voiceRuns) bool { return o.participant == participant })
	if at < 0 {
		at = len(j.voices)
		j.voices = append(j.voices, voiceRuns{participant: participant})
	}
	j.voices[at].runs = append(j.voices[at].runs, runs...)
}

// soundOf is the order of what sounds from one sample of the archive to another, led in and out.
func (j *job) soundOf(voices []voiceRuns, from, to float64) *order {
	o := &order{chunk: -1}
	work := &soundWork{}
	var used numbering
	for _, v := range voices {
		number := -1
		for _, r := range v.runs {
			part, sounds := r.between(from, to)
			if !sounds {
				continue
			}
			if number < 0 {
				number = len(o.voices)
				o.voices = append(o.voices, v.participant)
				work.Gains = append(work.Gains, j.gains[v.participant].db)
			}
			rw, names := j.runWork(part, number, &used)
			work.Runs = append(work.Runs, rw)
			o.shown = append(o.shown, names)
		}
	}
	o.recipe = &recipe{Form: recipeForm, Tool: j.tool.name(), Sources: used.all, Sound: work}
	return o
}

// runWork is a run in numbers, and its segments.
func (j *job) runWork(r run, voice int, used *numbering) (runWork, []string) {
	rw := runWork{Voice: voice}
	var names []string
	for _, rec := range r.files {
		names = append(names, rec.segment)
		rw.Files = append(rw.Files, used.number(j.bySegment[rec.segment].ref()))
	}
	for _, k := range r.knots {
		rw.Knots = append(rw.Knots, [2]float64{k.at, k.file})
	}
	return rw, names
}

// soundPieces are the orders of the pieces of the sound that end before a sample of the archive, in its order.
func (j *job) soundPieces(voices []voiceRuns, end int64) []*order {
	total := j.plan.Samples()
	var all []*order
	for from := int64(0); from < total; from += pieceSamples {
		length := min(pieceSamples, total-from)
		part := &soundPart{LeadIn: min(from, leadIn), LeadOut: min(leadOut, total-from-length), Last: from+length == total}
		if from+length+part.LeadOut > end {
			break
		}
		o := j.soundOf(voices, float64(from-part.LeadIn), float64(from+length+part.LeadOut))
		o.part = int(from / pieceSamples)
		o.weight = length * render.Rate / ffmpeg.SampleRate / 8 // it takes about an eighth of the time of a picture
		work := o.recipe.Sound
		work.Samples, work.BitRate, work.Part = length, j.plan.Profile.AudioBitRate, part
		all = append(all, o)
	}
	return all
}

// makePart encodes what was mixed and keeps the packets of the piece.
func (w *Worker) makePart(ctx context.Context, dir string, s *soundWork, mix *mixer) (made, error) {
	raw, err := os.ReadFile(filepath.Join(dir, encodedPartFile))
	if err != nil {
		return made{}, err
	}
	packets, err := ffmpeg.SplitADTS(raw)
	if err != nil {
		return made{}, &failure{CodeRenderFailed, err}
	}
	first, count := int(s.Part.LeadIn/ffmpeg.AACFrame), int(s.Samples/ffmpeg.AACFrame)
	if s.Part.Last {
		count = max(0, len(packets)-first)
	}
	if wanted := s.Part.packets(s.Samples); count < wanted || first+count > len(packets) {
		return made{}, &failure{CodeRenderFailed, fmt.Errorf("the sound has %d packets, of which %d from the %dth on are wanted", len(packets), wanted, first)}
	}
	if err := writeFile(filepath.Join(dir, partFile), bytes.Join(packets[first:first+count], nil)); err != nil {
		return made{}, err
	}
	m := made{Lost: mix.lostRuns(), Peaks: mix.peaks, Tenths: mix.loud.tenths}
	err = w.checkPart(ctx, dir, s, decibels(mix.squares, mix.channels()*s.Samples))
	if errors.Is(err, errNotListened) {
		w.logger.Warn("a piece of the sound was not checked", "error", err)
		m.Unverified, err = true, nil
	}
	return m, err
}

// packets is how many packets a piece has at least.
func (p *soundPart) packets(samples int64) int {
	n := (samples + ffmpeg.AACFrame - 1) / ffmpeg.AACFrame
	if p.Last {
		n++ // the encoder is a packet late
	}
	return int(n)
}

// checkPart listens to a piece. mixed is the mean that was mixed, in dB.
func (w *Worker) checkPart(ctx context.Context, dir string, s *soundWork, mixed float64) error {
	h, err := w.deps.FFmpeg.ListenADTS(ctx, dir, partFile, time.Duration(s.Samples)*time.Second/ffmpeg.SampleRate)
	if notMade(ctx, err) {
		return fmt.Errorf("%w: %w", errNotListened, err)
	}
	if err != nil {
		return err
	}
	if h.DecodeErrors > 0 {
		return &failure{CodeRenderFailed, fmt.Errorf("the sound does not decode: %d errors", h.DecodeErrors)}
	}
	// A piece of a few packets is mostly what the first of them, whose neighbour is missing here, leaves out.
	if s.Samples >= ffmpeg.SampleRate && mixed > audible && math.Abs(h.Mean-mixed) > sameLoudness {
		return &failure{CodeRenderFailed, fmt.Errorf("the sound has a mean of %.1f dB, mixed were %.1f dB", h.Mean, mixed)}
	}
	return nil
}

// Measuring a voice.

// voiceGain is by how many dB a voice is changed; settled says that no more of the consultation changes it.
type voiceGain struct {
	db      float64
	settled bool
}

// A gain is found in the first minute of speech, or in what there is of it in the first pieces: four in which somebody
// speaks, or sixteen in which nobody does.
const (
	piecesOfSpeech  = 4
	piecesOfSilence = 16
)

// measureOrder is the order to measure a voice in a piece of the archive; nil when it does not sound there.
func (j *job) measureOrder(v voiceRuns, from, length int64) (*order, error) {
	lead := min(from, leadIn)
	o := j.soundOf([]voiceRuns{v}, float64(from-lead), float64(from+length))
	work := o.recipe.Sound
	if len(work.Runs) == 0 {
		return nil, nil
	}
	work.Gains, work.Samples, work.Part, work.Measure = []float64{0}, length, &soundPart{LeadIn: lead}, true
	var err error
	o.key, err = o.recipe.digest()
	return o, err
}

// tenths measures a voice in a piece of the archive, without its gain: the mean square of each tenth of a second, weighed as
// it is heard. It is kept like any other piece.
func (w *Worker) tenths(ctx context.Context, j *job, v voiceRuns, from, length int64) ([]float32, error) {
	silence := make([]float32, (length+mixBlock-1)/mixBlock)
	o, err := j.measureOrder(v, from, length)
	if err != nil {
		return nil, err
	}
	of := heardPiece{v.participant, from}
	if o == nil {
		j.meter.hear(of, length, true)
		return silence, nil
	}
	m, ok, err := w.finished(ctx, o.key, o.recipe.extension())
	if err == nil && !ok {
		var free func()
		if free, err = w.busy(ctx); err != nil {
			return nil, err
		}
		m, err = w.piece(ctx, o.recipe, o.key, nil)
		free()
	}
	if err != nil {
		return nil, o.explain(err)
	}
	if len(m.Tenths) != len(silence) {
		return nil, &failure{CodeInternal, fmt.Errorf("a voice was measured in %d tenths instead of %d", len(m.Tenths), len(silence))}
	}
	j.meter.hear(of, length, ok)
	return m.Tenths, nil
}

// known is the sample of the archive before which voices may be measured: no others than whole pieces during the call.
func (j *job) known() int64 {
	if j.early {
		return j.settled
	}
	return math.MaxInt64
}

// findGains measures every voice until its gain is known, as many at a time as there are processors.
func (w *Worker) findGains(ctx context.Context, j *job, voices []voiceRuns) error {
	all := make([]voiceGain, len(voices))
	err := eachVoice(ctx, voices, func(ctx context.Context, i int) (err error) {
		all[i], err = w.gainOf(ctx, j, voices[i], j.known())
		return err
	})
	if err != nil {
		return fmt.Errorf("measure voices: %w", err)
	}
	j.gains = map[string]voiceGain{}
	for i, v := range voices {
		j.gains[v.participant] = all[i]
	}
	return nil
}

// eachVoice does something for every voice, for all of them at once. Whoever keeps a processor busy waits for one.
func eachVoice(ctx context.Context, voices []voiceRuns, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for i := range voices {
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait()
}

func (w *Worker) gainOf(ctx context.Context, j *job, v voiceRuns, end int64) (voiceGain, error) {
	var all []float32
	speech, silence := 0, 0
	first := v.runs[0].begin()
	for _, r := range v.runs {
		first = min(first, r.begin())
	}
	for from := max(0, int64(first)/pieceSamples*pieceSamples); from < j.plan.Samples(); from += pieceSamples {
		length := min(pieceSamples, j.plan.Samples()-from)
		if from+length > end {
			return voiceGain{db: gainFor(all)}, nil
		}
		tenths, err := w.tenths(ctx, j, v, from, length)
		if err != nil {
			return voiceGain{}, err
		}
		before := len(speechBlocks(all))
		all = append(all, tenths...)
		now := len(speechBlocks(all))
		if now-before >= leastSpeech {
			speech++
		} else {
			silence++
		}
		if now >= enoughSpeech || speech >= piecesOfSpeech || silence >= piecesOfSilence {
			return voiceGain{db: gainFor(all), settled: true}, nil
		}
	}
	return voiceGain{db: gainFor(all), settled: true}, nil
}

// measureVoice gives the tenths of what was ordered to be measured.
func measureVoice(ctx context.Context, s *soundWork, mix *mixer) (made, error) {
	meter, lead := newLoudnessMeter(), int(s.leadIn())
	err := mix.blocks(ctx, s.mixed(), func(b *block) error {
		early := min(lead, b.len())
		lead -= early
		meter.weigh(b.part(0, early))
		meter.add(b.part(early, b.len()))
		return nil
	})
	meter.end()
	return made{Lost: mix.lostRuns(), Tenths: meter.tenths}, err
}

// soundDone is a finished piece of the sound.
type soundDone struct {
	Piece
	made made
}

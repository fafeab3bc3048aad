package ffmpeg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	ffgo "github.com/u2takey/ffmpeg-go"
)

// Stretch is a part of a picture, in seconds from its start.
type Stretch struct{ Start, End float64 }

// Length is how long it lasts.
func (s Stretch) Length() time.Duration { return seconds(s.End - s.Start) }

// Watch reads what a run says of its picture while it goes by: where it stands still and where it is black. Give it to
// the run as Pipes.Log. The zero Watch is ready.
type Watch struct {
	frozen, black []Stretch
	froze         float64
	standing      bool // since froze
	loudness      float64
	volume        float64
	line          []byte
}

// stillness and blackness are what is watched for: a mean difference of a thousandth for two seconds, and 95 of 100 points
// nearly black for half a second; the others are left to names.
const (
	stillness = 0.001
	stillFor  = 2
	blackness = "d=0.5:pix_th=0.05:picture_black_ratio_th=0.95"
)

// watchEvery is how many frames go by for each one that is watched, and watchSmaller by how much smaller it is than the
// picture, in each direction: both cost nothing of what the eye is for, and watching would cost as much as scaling
// otherwise. Points are left out and not averaged, so that the noise of a camera stays as large as it is.
const (
	watchEvery   = 3
	watchSmaller = 4
)

// watchedAside makes a branch of the graph where the picture is watched; what it says is all that comes of it. at is the
// filter that gives the picture, the only one of its name with one output: the library knows no branch without an output.
func watchedAside(args []string) error {
	graph := slices.Index(args, "-filter_complex") + 1
	if graph == 0 || strings.Count(args[graph], aside) != 1 {
		return errors.New("no place to watch the picture")
	}
	args[graph] = strings.Replace(args[graph], aside, "]split=2[watch][", 1) + fmt.Sprintf(
		";[watch]framestep=%d,scale=iw/%d:ih/%d:flags=neighbor+bitexact,freezedetect=n=%s:d=%d,blackdetect=%s,nullsink",
		watchEvery, watchSmaller, watchSmaller, noise(stillness), stillFor, blackness)
	return nil
}

// aside stands in the graph where watchedAside makes its branch.
const aside = "]split=1["

func noise(still float64) string { return strconv.FormatFloat(min(1, still), 'f', 6, 64) }

// watched adds the watching to a picture, which goes by unchanged.
func watched(s *ffgo.Stream, still float64, forSeconds int) *ffgo.Stream {
	return s.Filter("freezedetect", ffgo.Args{"n=" + noise(still), "d=" + itoa(forSeconds)}).
		Filter("blackdetect", ffgo.Args{blackness})
}

// Frozen is where the picture stood still, length being that of the whole in seconds.
func (w *Watch) Frozen(length float64) []Stretch {
	all := w.frozen
	if w.standing && w.froze < length { // the tool does not report the end of one that lasts to the end
		all = append(all[:len(all):len(all)], Stretch{w.froze, length})
	}
	return all
}

// Black is where the picture was black.
func (w *Watch) Black() []Stretch { return w.black }

// Write takes what the tool says; exec calls it. It never fails.
func (w *Watch) Write(p []byte) (int, error) {
	w.line = append(w.line, p...)
	for {
		line, rest, ok := bytes.Cut(w.line, []byte{'\n'})
		if !ok {
			return len(p), nil
		}
		w.read(string(line))
		w.line = append(w.line[:0], rest...)
	}
}

func (w *Watch) read(line string) {
	if v, ok := valueAfter(line, "freezedetect.freeze_start: "); ok {
		w.froze, w.standing = v, true
	}
	if v, ok := valueAfter(line, "freezedetect.freeze_end: "); ok && w.standing {
		w.frozen, w.standing = append(w.frozen, Stretch{w.froze, v}), false
	}
	if from, ok := valueAfter(line, "black_start:"); ok {
		if to, ok := valueAfter(line, "black_end:"); ok {
			w.black = append(w.black, Stretch{from, to})
		}
	}
	if v, ok := valueAfter(line, " I: "); ok {
		w.loudness = v // the summary comes last
	}
	if v, ok := valueAfter(line, "mean_volume: "); ok {
		w.volume = v
	}
}

// valueAfter finds the number behind a key.
func valueAfter(line, key string) (float64, bool) {
	_, rest, ok := strings.Cut(line, key)
	if !ok {
		return 0, false
	}
	words := strings.Fields(rest)
	if len(words) == 0 {
		return 0, false
	}
	v, err := strconv.ParseFloat(words[0], 64)
	return v, err == nil && !math.IsNaN(v) && !math.IsInf(v, 0)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// WatchTile is the command that looks at one tile of c alone, with the eye of somebody who sees no more of it than its
// share of the canvas: what stands still here may stand still there too.
func (c Composition) WatchTile(t Tile) (Command, error) {
	share := float64(c.Width*c.Height) / float64(t.Width*t.Height)
	args, err := arguments(1, func() *ffgo.Stream {
		in := ffgo.Input(file(t.File), input("ivf", codecsOf[t.Codec])).Video().
			Filter("fps", ffgo.Args{"fps=" + itoa(c.Rate)}).
			Filter("framestep", ffgo.Args{itoa(watchEvery)})
		// Four times: edges of a scaled picture move less than those of its source.
		return ffgo.Output([]*ffgo.Stream{watched(in, 4*stillness*share, stillFor/2)}, "-", ffgo.KwArgs{"f": "null", "threads": 1, "frames:v": (c.Frames + watchEvery - 1) / watchEvery})
	})
	if err != nil {
		return Command{}, fmt.Errorf("watch tile: %w", err)
	}
	return Command{
		Step: "watch", Args: append([]string{"-v", "info", "-max_error_rate", "1"}, args...),
		Limit: time.Minute + slowest*time.Duration(c.Frames)*time.Second/time.Duration(c.Rate),
	}, nil
}

// Hearing is what listening to a finished sound tells.
type Hearing struct {
	DecodeErrors int     // 0 unless the file is broken
	Loudness     float64 // integrated, EBU R 128, in LUFS; -70 is silence
	Mean         float64 // of all samples, in dB of full scale; -91 is silence
}

// silenceLUFS is what R 128 gives for silence, the absolute gate; silenceDB the least that 16 bits hold.
const (
	silenceLUFS = -70
	silenceDB   = -91
)

// Listen decodes a sound of that length in dir, as a player would.
func (t *Tool) Listen(ctx context.Context, dir, name string, length time.Duration) (Hearing, error) {
	args, err := arguments(1, func() *ffgo.Stream {
		in := ffgo.Input(file(name), ffgo.KwArgs{
			"f": "mp4", "format_whitelist": "mp4,mov,mov,mp4,m4a,3gp,3g2,mj2", "protocol_whitelist": "file", "codec_whitelist": "aac",
		})
		// framelog=verbose keeps ten lines a second of loudness out of the log.
		return ffgo.Output([]*ffgo.Stream{in.Audio()}, "-", ffgo.KwArgs{"f": "null", "af": "ebur128=framelog=verbose,volumedetect"})
	})
	if err != nil {
		return Hearing{}, fmt.Errorf("listen: %w", err)
	}
	return t.hear(ctx, dir, args, length)
}

// hear runs the tool and reads what its filters say.
func (t *Tool) hear(ctx context.Context, dir string, args []string, length time.Duration) (Hearing, error) {
	log := Watch{volume: silenceDB}
	res, err := t.Run(ctx, dir, Command{
		Step: "listen", Args: append([]string{"-v", "info"}, args...), Limit: time.Minute + slowest*length,
	}, Pipes{Log: &log})
	if err != nil {
		return Hearing{}, err
	}
	h := Hearing{DecodeErrors: res.DecodeErrors, Loudness: silenceLUFS, Mean: log.volume}
	if log.loudness < 0 {
		h.Loudness = log.loudness
	}
	return h, nil
}

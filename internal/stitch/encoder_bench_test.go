package stitch

import (
	"fmt"
	"image"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"consilium/internal/ffmpeg"
	"consilium/internal/render"
)

// encoderRounds is how often TestBenchEncoder runs each command; unset, the test does nothing. ./task bench:encoder sets it.
const encoderRounds = "STITCH_ENCODER_ROUNDS"

// TestBenchEncoder measures what options of x264 cost and bring, on raw pictures of three kinds of archive: seconds of
// processor time for a minute of picture, by turns and the least of all rounds; kbit/s; SSIM against the raw pictures; and
// how much larger it is than what the plain preset makes at that SSIM, between three of its qualities.
func TestBenchEncoder(t *testing.T) {
	rounds, _ := strconv.Atoi(os.Getenv(encoderRounds))
	if rounds == 0 {
		t.Skip("a measurement: ./task bench:encoder")
	}
	say := func(key, format string, value any) { fmt.Printf("%s="+format+"\n", key, value) }
	say("load_before", "%s", load(t))
	const seconds = 6
	dir := t.TempDir()
	heads := make([]recorded, 4)
	for i := range heads {
		heads[i] = talkingHead(t, i+1, seconds+1)
	}
	stage, strip := image.Rect(0, 72, 1024, 648), image.Rect(1024, 288, 1280, 432)
	for _, of := range []struct {
		name string
		make func() sample
	}{
		{"two", func() sample { return grid(t, dir, seconds, heads[:2]...) }},
		{"four", func() sample { return grid(t, dir, seconds, heads...) }},
		{"screen", func() sample {
			return compose(t, dir, seconds, []image.Rectangle{stage, strip}, []recorded{sharedText(t, dir, seconds+1), heads[0]})
		}},
	} {
		raw := of.make().drawn(t, dir, of.name+".yuv")
		for _, profile := range []string{"standard", "fast"} {
			for key, value := range encoders(t, dir, raw, profile, seconds, rounds) {
				say("encoder_"+of.name+"_"+profile+"_"+key, "%s", value)
			}
		}
		if err := os.Remove(raw); err != nil {
			t.Fatal(err)
		}
	}
	say("length_s", "%d", seconds)
	say("load_after", "%s", load(t))
}

// variation is a way to encode: what is changed of a preset of x264.
type variation struct {
	name   string
	params string // of x264, or another CRF or QP, or another preset
}

// variations of the preset of each profile, which comes first; what the profile makes of it is one more, as_it_is.
var variations = map[string][]variation{
	"standard": {
		{"preset", ""},
		{"subme_1", "subme=1"},
		{"subme_1_no_partitions", "subme=1:partitions=none"},
		{"subme_1_b_adapt_0", "subme=1:b-adapt=0"},
		{"subme_1_bframes_1", "subme=1:bframes=1"},
		{"subme_1_bframes_0", "subme=1:bframes=0"},
		{"bframes_0", "bframes=0"},
		{"no_aq", "aq-mode=0"},
		{"no_mbtree", "mbtree=0"},
		{"cabac_0", "cabac=0"},
		{"superfast", "superfast"},
	},
	"fast": {
		{"preset", ""},
		{"crf_26", "crf=26"},
		{"crf_28", "crf=28"},
		{"crf_32", "crf=32"},
		{"qp_24", "qp=24"},
		{"qp_28", "qp=28"},
		{"deblock", "deblock=0,0"},
		{"cabac", "cabac=1"},
	},
}

// encoders measures all variations of a profile on raw pictures.
func encoders(t *testing.T, dir, raw, name string, seconds, rounds int) map[string]string {
	t.Helper()
	profile, err := render.ProfileNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	preset := profile.Encoder
	preset.Params = ""
	ways := []measured{{name: "not_cpu_independent", args: encoding(raw, "not_cpu_independent.ts", preset, "")}}
	for _, v := range append(variations[name], variation{"as_it_is", profile.Encoder.Params}) {
		e := preset
		switch quality, value, _ := strings.Cut(v.params, "="); {
		case quality == "crf":
			e.CRF, _ = strconv.Atoi(value)
			e.QP = 0
		case quality == "qp":
			e.QP, _ = strconv.Atoi(value)
		case v.name == v.params: // another preset
			e.Preset = v.params
		default:
			e.Params = v.params
		}
		ways = append(ways, measured{name: v.name, args: encoding(raw, v.name+".ts", e, "cpu-independent=1")})
	}
	byTurns(t, dir, rounds, ways)
	first := slices.Min(ways[1].cpu)
	var curve []point // of the preset
	for _, coarser := range []int{-3, 0, 3} {
		e := preset
		if e.CRF += coarser; e.QP > 0 {
			e.QP += coarser
		}
		one := []measured{{name: "curve", args: encoding(raw, "curve.ts", e, "cpu-independent=1")}}
		byTurns(t, dir, 1, one)
		curve = append(curve, quality(t, dir, raw, "curve.ts", seconds))
	}
	all := map[string]string{}
	for _, c := range ways {
		p := quality(t, dir, raw, c.name+".ts", seconds)
		all[c.name] = fmt.Sprintf("cpu %.2f (%+.0f %%), kbps %.0f, ssim %.4f, psnr %.2f, size at equal ssim %+.1f %%",
			slices.Min(c.cpu)*60/float64(seconds), 100*(slices.Min(c.cpu)/first-1),
			p.kbps, p.ssim, p.psnr, 100*(p.kbps/sizeFor(curve, p.ssim)-1))
	}
	return all
}

// encoding is the command that encodes raw pictures as a chunk is.
func encoding(raw, out string, e ffmpeg.Encoder, params string) []string {
	if e.Params != "" {
		params += ":" + e.Params
	}
	args := []string{
		"-f", "rawvideo", "-s", "1280x720", "-r", "30", "-pix_fmt", "yuv420p", "-i", raw,
		"-c:v", "libx264", "-preset", e.Preset, "-g", strconv.Itoa(e.GOP), "-sc_threshold", "0", "-threads", "1",
	}
	if e.QP > 0 {
		args = append(args, "-qp", strconv.Itoa(e.QP))
	} else {
		args = append(args, "-crf", strconv.Itoa(e.CRF))
	}
	if params != "" {
		args = append(args, "-x264-params", params)
	}
	return append(args, "-f", "mpegts", out)
}

// point is what an encoding costs and is worth.
type point struct{ kbps, ssim, psnr float64 }

// quality compares what was encoded with the raw pictures.
func quality(t *testing.T, dir, raw, name string, seconds int) point {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("ffmpeg", "-nostats", "-nostdin", "-i", name, "-f", "rawvideo", "-s", "1280x720", "-r", "30", "-pix_fmt", "yuv420p", "-i", raw, "-filter_complex",
		"[0:v]settb=1/30,setpts=N,split[a][c];[1:v]settb=1/30,setpts=N,split[b][d];[a][b]ssim[s];[c][d]psnr[p]", "-map", "[s]", "-f", "null", "-", "-map", "[p]", "-f", "null", "-")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	number := func(what string) float64 {
		found := regexp.MustCompile(what).FindSubmatch(out)
		if found == nil {
			t.Fatalf("no %s in\n%s", what, out)
		}
		v, err := strconv.ParseFloat(string(found[1]), 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	return point{
		kbps: float64(info.Size()) * 8 / 1000 / float64(seconds),
		ssim: number(`SSIM .* All:([0-9.]+)`), psnr: number(`PSNR .* average:([0-9.]+)`),
	}
}

// sizeFor is how large a picture of that quality is, by a curve from the best to the worst.
func sizeFor(curve []point, ssim float64) float64 {
	i := 0
	for i < len(curve)-2 && curve[i+1].ssim > ssim {
		i++
	}
	a, b := curve[i], curve[i+1]
	part := (ssim - a.ssim) / (b.ssim - a.ssim)
	return math.Exp(math.Log(a.kbps) + part*(math.Log(b.kbps)-math.Log(a.kbps)))
}

// sharedText is what somebody shows who reads a report with others: pages of small letters, turned every four seconds,
// and a pointer.
func sharedText(t *testing.T, dir string, seconds int) recorded {
	t.Helper()
	painter := render.NewPainter(SystemFonts(nil))
	const pages, words = 3, "The patient reports no pain at rest. Blood pressure 128 over 81, pulse 64 and regular. Control in six weeks. "
	book := image.NewRGBA(image.Rect(0, 0, render.Width, pages*render.Height))
	for page := range pages {
		var scene render.Scene
		for i := range 6 {
			cell := image.Rect(i%3*426, i/3*360, i%3*426+426, i/3*360+360)
			scene.Tiles = append(scene.Tiles, render.Tile{Cell: cell, Name: fmt.Sprint("Finding ", page*6+i+1), Reason: words[page*7+i*5:] + words})
		}
		copy(book.Pix[page*render.Height*book.Stride:], painter.Draw(scene).Pix)
	}
	f, err := os.Create(filepath.Join(dir, "book.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, book); err != nil {
		t.Fatal(err)
	}
	raw := run_(t, "-loop", "1", "-framerate", "30", "-i", f.Name(), "-f", "lavfi", "-i", "color=c=white:s=12x18:r=30", "-filter_complex",
		"[0:v]negate,crop=1280:720:0:'720*mod(floor(t/4),3)'[p];[p][1:v]overlay=x='600+400*sin(t*0.7)':y='340+250*sin(t*1.1)':eval=frame,format=yuv420p",
		"-t", strconv.Itoa(seconds), "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M", "-g", "9999", "-threads", "1", "-f", "ivf", "pipe:1")
	return recorded{file: raw, seconds: seconds}
}

package stitch

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"consilium/internal/ffmpeg"
	"consilium/internal/media"
)

// soundSeconds is how long the consultation of TestBenchSound is; unset, the test does nothing. ./task bench:sound sets it.
const soundSeconds = "STITCH_SOUND_SECONDS"

// TestBenchSound says where the processor goes while the sound of two people is made who talk from the beginning to the end,
// in seconds of each minute. It prints key=value lines.
func TestBenchSound(t *testing.T) {
	length, _ := strconv.Atoi(os.Getenv(soundSeconds))
	if length == 0 {
		t.Skip("a measurement: ./task bench:sound")
	}
	say := func(key string, perMinute float64) { fmt.Printf("%s=%.3f\n", key, perMinute) }
	fmt.Printf("load_before=%s\nlength_s=%d\n", load(t), length)
	dir := t.TempDir()
	w := newWorld(t)
	var inputs []string
	for i := range 2 {
		seconds := 30 + i
		voice := speech(t, i+1, seconds)
		voice.reason = "rotation"
		p := w.join(0, fmt.Sprint("Person ", i+1))
		mic := p.track(0, media.Opus, media.Microphone, uint32(i+1))
		for at := 0; at < length; at += seconds {
			p.recordFrom(int64(at)*ffmpeg.SampleRate, mic, uint32(i+1), voice)
		}
		name := filepath.Join(dir, fmt.Sprintf("%d.ogg", i))
		if err := os.WriteFile(name, voice.content, 0o600); err != nil {
			t.Fatal(err)
		}
		inputs = append(inputs, "-c:a", "libopus", "-i", name)
	}
	floor := least(t, append(inputs, "-filter_complex", "amix=inputs=2:normalize=0,alimiter=limit=0.95", "-t", "30", "-c:a", "aac", "-b:a", "96k", "-f", "null", "-")...)
	say("floor_audio_cpu_s_per_min", 2*floor)

	version := w.end(int64(length)*1000, "audio")
	registry := prometheus.NewRegistry()
	worker := w.worker(ffmpeg.Config{Registerer: registry}, nil)
	before := cpuTime(t)
	if err := worker.Make(t.Context(), w.consultation, version); err != nil {
		t.Fatal(err)
	}
	all := cpuTime(t) - before
	minutes, rest, steps := float64(length)/60, all, stepsOf(t, registry)
	for _, step := range slices.Sorted(maps.Keys(steps)) {
		say("cpu_"+step+"_s_per_min", steps[step].cpu/minutes)
		rest -= steps[step].cpu
	}
	say("cpu_stitcher_s_per_min", rest/minutes)
	say("cpu_sound_s_per_min", all/minutes)
	fmt.Printf("load_after=%s\n", load(t))
}

package stitch

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"consilium/internal/ffmpeg"
	"consilium/internal/media"
)

// benchSeconds is how long the consultation of TestBenchStitch is; unset, the test does nothing. ./task bench:stitch sets it.
const benchSeconds = "STITCH_BENCH_SECONDS"

// benchProfiles names the profiles that it measures, separated by spaces; how much several stitchers bring is measured with
// "standard".
const benchProfiles = "STITCH_BENCH_PROFILES"

// TestBenchStitch measures how fast archives are made, of two people in 1280x720 at 30 Hz and about 1 Mbit/s, and prints
// key=value lines. What it extrapolates it says.
func TestBenchStitch(t *testing.T) {
	length, _ := strconv.Atoi(os.Getenv(benchSeconds))
	if length == 0 {
		t.Skip("a measurement: ./task bench:stitch")
	}
	say := func(key string, format string, value any) { fmt.Printf("%s="+format+"\n", key, value) }
	say("load_before", "%s", load(t))
	say("processors", "%d", processors())
	say("length_s", "%d", length)
	begun := time.Now()
	heads, voices := benchSources(t)
	say("sources_s", "%.0f", time.Since(begun).Seconds())
	for i, h := range heads {
		say(fmt.Sprintf("source_%d_kbps", i+1), "%.0f", h.kbps())
	}

	floor := measureFloor(t, heads, voices)
	say("floor_decode_cpu_s_per_min", "%.2f", floor.decode)
	say("floor_decode_scale_cpu_s_per_min", "%.2f", floor.scale)
	say("floor_encode_cpu_s_per_min", "%.2f", floor.encode)
	say("floor_audio_cpu_s_per_min", "%.2f", floor.audio)
	minutes := float64(length) / 60
	say("floor_encode_fast_cpu_s_per_min", "%.2f", floor.encodeFast)
	say("floor_cpu_s", "%.2f", (floor.scale+floor.encode+floor.audio)*minutes)

	profiles := strings.Fields(cmp.Or(os.Getenv(benchProfiles), "standard fast"))
	for _, profile := range profiles {
		measureProfile(t, say, profile, length, floor, heads, voices)
	}
	if length < 3600 {
		say("extrapolated_from_s", "%d", length)
	}
	if slices.Contains(profiles, "standard") {
		scaleOut(t, say, length, heads, voices)
	}
	say("load_after", "%s", load(t))
}

// measureProfile has an archive of that profile made, and says how long that took and where the processor went.
func measureProfile(t *testing.T, say func(key, format string, value any), profile string, length int, floor floorOf, heads []recorded, voices []clip) {
	t.Helper()
	w := newWorld(t)
	w.talk(length, heads, voices)
	version := w.end(int64(length)*1000, profile)
	var inspecting atomic.Int64 // since when
	registry := prometheus.NewRegistry()
	worker := w.worker(ffmpeg.Config{Registerer: registry}, func(p Progress) {
		if p.Stage == StageInspect {
			inspecting.CompareAndSwap(0, time.Now().UnixNano())
		}
	})
	before, begun := cpuTime(t), time.Now()
	if err := worker.Make(t.Context(), w.consultation, version); err != nil {
		t.Fatal(err)
	}
	wall, cpu := time.Since(begun).Seconds(), cpuTime(t)-before
	inspected := 0.0
	if since := inspecting.Load(); since != 0 {
		inspected = time.Since(time.Unix(0, since)).Seconds()
	}
	archive := w.open(version)
	say(profile+"_wall_s", "%.2f", wall)
	say(profile+"_cpu_s", "%.2f", cpu)
	say(profile+"_kbps", "%.0f", float64(archive.rendered.Bytes)*8/1000/float64(length))
	say(profile+"_60min_s", "%.0f", wall*3600/float64(length))
	say(profile+"_inspect_and_store_s", "%.1f", inspected)
	steps := stepsOf(t, registry)
	rest := cpu
	for _, name := range slices.Sorted(maps.Keys(steps)) {
		say(profile+"_"+name+"_cpu_s", "%.2f", steps[name].cpu)
		rest -= steps[name].cpu
	}
	say(profile+"_stitcher_cpu_s", "%.2f", rest)
	encode := map[string]float64{"standard": floor.encode, "fast": floor.encodeFast}[profile]
	floorCPU := (floor.scale + encode + floor.audio) * float64(length) / 60
	if profile != "standard" {
		say(profile+"_floor_ratio", "%.3f", floorCPU/cpu)
		return
	}
	say("job_cpu_s", "%.2f", cpu)
	say("floor_ratio", "%.3f", floorCPU/cpu)
	bare := w.drawnBare(worker, version)
	say("standard_compose_bare_cpu_s", "%.2f", bare)
	say("floor_ratio_bare", "%.3f", floorCPU/(cpu-steps["listen"].cpu-steps["storyboard"].cpu-steps["compose"].cpu+bare))
	say("selfcheck_60min_s", "%.0f", (inspected+steps["listen"].wall+steps["storyboard"].wall)*3600/float64(length))
	// Chunks are not made during the call: what is to be done after it is all of it.
	say("after_hangup_s", "%.2f", wall)
}

// drawnBare is the processor time in seconds of drawing all chunks of a version once more, as many at a time as there are
// processors, with nothing over the pictures and without watching them.
func (w *world) drawnBare(worker *Worker, version int) float64 {
	w.t.Helper()
	var mu sync.Mutex
	sum := 0.0
	group := errgroup.Group{}
	group.SetLimit(processors())
	j := w.prepared(worker, version)
	defer j.closeSegments()
	orders, err := worker.orders(j)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, o := range orders {
		if o.isSound() {
			continue
		}
		dir := w.t.TempDir()
		one := sample{o.recipe.Picture.Composition}.nameless()
		args := unwatched(one.args(w.t))
		group.Go(func() error {
			files, done, err := worker.open(w.t.Context(), o.recipe.Sources)
			if err != nil {
				return err
			}
			defer done()
			for i, tile := range o.recipe.Picture.Tiles {
				if err := writeTileFile(filepath.Join(dir, one.Tiles[i].File), tile, files, one.Frames); err != nil {
					return err
				}
			}
			if err := os.WriteFile(filepath.Join(dir, one.Overlay), o.recipe.Picture.Overlay.PNG, 0o600); err != nil {
				return err
			}
			cmd := exec.Command("ffmpeg", append([]string{"-nostats", "-nostdin", "-y", "-filter_complex_threads", "1"}, args...)...)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%w\n%s", err, out)
			}
			mu.Lock()
			defer mu.Unlock()
			sum += (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		w.t.Fatal(err)
	}
	return sum
}

// step is what the runs of one step of ffmpeg took, in seconds.
type step struct{ cpu, wall float64 }

// stepsOf reads them from the metrics of a tool.
func stepsOf(t *testing.T, registry *prometheus.Registry) map[string]step {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]step{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, label := range m.GetLabel() {
				if label.GetName() != "step" {
					continue
				}
				s := all[label.GetValue()]
				switch f.GetName() {
				case "consilium_ffmpeg_cpu_seconds_total":
					s.cpu += m.GetCounter().GetValue()
				case "consilium_ffmpeg_run_seconds":
					s.wall += m.GetHistogram().GetSampleSum()
				}
				all[label.GetValue()] = s
			}
		}
	}
	return all
}

// recorded is a segment of video of whole seconds that begins with its only keyframe, as recorders cut them.
type recorded struct {
	file    []byte // IVF as the encoder wrote it
	seconds int
	segment clip
}

func (r recorded) kbps() float64 { return float64(len(r.file)) * 8 / 1000 / float64(r.seconds) }

// talkingHead makes video of a still, detailed background before which something like a head moves, with the noise of a
// sensor.
func talkingHead(t *testing.T, seed, seconds int) recorded {
	t.Helper()
	graph := fmt.Sprintf("gradients=s=1280x720:r=30:c0=0x305070:c1=0x806040:x0=0:y0=0:x1=1280:y1=720:speed=0.00001:seed=%d,noise=alls=24:all_seed=%d[bg];"+
		"color=c=0xc09070:s=360x440:r=30,geq=lum='lum(X,Y)':cb='cb(X,Y)':cr='cr(X,Y)':a='if(lt(hypot((X-180)/180,(Y-220)/220),1),255,0)',loop=loop=-1:size=1[head];"+
		"color=c=0x802020:s=120x30:r=30[mouth];"+
		"[bg]loop=loop=-1:size=1,setpts=N/30/TB[still];[head]setpts=N/30/TB[h];"+
		"[still][h]overlay=x='460+30*sin(t*0.9+%d)':y='140+12*sin(t*1.7)':eval=frame[p];"+
		"[p][mouth]overlay=x='580+30*sin(t*0.9+%d)':y='440+12*sin(t*1.7)+8*sin(t*19)':eval=frame,noise=alls=5:allf=t+u:all_seed=%d,format=yuv420p",
		seed, seed, seed, seed, seed)
	raw := run_(t, "-filter_complex", graph, "-t", strconv.Itoa(seconds), "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M",
		"-g", "9999", "-threads", "1", "-f", "ivf", "pipe:1")
	frames := ivfFrames(raw)
	if len(frames) != seconds*30 {
		t.Fatalf("the source has %d frames instead of %d", len(frames), seconds*30)
	}
	out := media.AppendIVFHeader(nil, media.IVFHeader{Codec: media.VP8, Width: 1280, Height: 720, Den: 90000, Num: 1, Frames: uint32(len(frames))})
	for n, frame := range frames {
		if key, _, _ := media.Keyframe(media.VP8, frame); key != (n == 0) {
			t.Fatalf("frame %d of the source: keyframe %v", n, key)
		}
		out = media.AppendIVFFrameHeader(out, len(frame), int64(n)*3000)
		out = append(out, frame...)
	}
	return recorded{file: raw, seconds: seconds, segment: clip{codec: media.VP8, content: out, frames: int64(len(frames)), ticks: int64(len(frames)-1) * 3000}}
}

// benchSources makes the pictures and the voices of two people, as much of each as recorders put into a file: encoding is
// what takes long, so the two are made at once, and a longer talk repeats them.
func benchSources(t *testing.T) (heads []recorded, voices []clip) {
	t.Helper()
	heads, voices = make([]recorded, 2), make([]clip, 2)
	var making sync.WaitGroup
	for i := range heads {
		making.Go(func() { heads[i], voices[i] = talkingHead(t, i+1, 26), speech(t, i+1, 26) })
	}
	making.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return heads, voices
}

// speech makes sound with the rhythm of speech.
func speech(t *testing.T, seed, seconds int) clip {
	t.Helper()
	raw := run_(t, "-f", "lavfi", "-i", fmt.Sprintf("anoisesrc=c=pink:r=48000:seed=%d:a=0.4,tremolo=f=4:d=0.9,lowpass=f=3000", seed),
		"-t", fmt.Sprintf("%.1f", float64(seconds)+0.1), "-c:a", "libopus", "-b:a", "32k", "-frame_duration", "20", "-f", "ogg", "pipe:1")
	var b bytes.Buffer
	o, err := media.NewOggWriter(&b, 7)
	if err != nil {
		t.Fatal(err)
	}
	packets := oggPackets(raw)[2:][:seconds*50]
	for _, p := range packets {
		if err := o.WritePacket(p, 960); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	return clip{codec: media.Opus, content: b.Bytes(), frames: int64(len(packets)), ticks: int64(len(packets)) * 960}
}

// talk is a consultation of two who talk from the beginning to the end, the second from 0.4 s on: so their pictures are cut
// as far apart as the recorder cuts them. What they recorded comes again and again, each time as a file of its own: a chunk
// is never one that was made before.
func (w *world) talk(seconds int, heads []recorded, voices []clip) {
	for i, head := range heads {
		p := w.join(0, fmt.Sprint("Person ", i+1))
		camera := p.track(0, media.VP8, media.Camera, uint32(2*i+1))
		mic := p.track(0, media.Opus, media.Microphone, uint32(2*i+2))
		length := int64(head.seconds)
		late := int64(i) * 400 // ms
		for n := int64(0); n*length < int64(seconds); n++ {
			picture, voice := head.segment.numbered(n), voices[i]
			picture.reason, voice.reason = "rotation", "rotation"
			p.recordFrom(n*length*90000+late*90, camera, uint32(2*i+1), picture)
			p.recordFrom(n*length*48000+late*48, mic, uint32(2*i+2), voice)
		}
	}
}

// numbered is the same segment of video with a number where nobody reads: in the unused field of its header.
func (c clip) numbered(n int64) clip {
	const unused = 28
	c.content = bytes.Clone(c.content)
	binary.LittleEndian.PutUint32(c.content[unused:], uint32(n))
	return c
}

// floorOf is the CPU time per minute of archive that plain commands of ffmpeg take (docs/archive.md).
type floorOf struct{ decode, scale, encode, encodeFast, audio float64 }

// measureFloor runs each command three times and takes the least.
func measureFloor(t *testing.T, heads []recorded, voices []clip) floorOf {
	t.Helper()
	dir := t.TempDir()
	path := func(name string, content []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	const seconds = 20 // of raw picture: 0.8 GB
	var f floorOf
	var files []string
	for i, h := range heads {
		files = append(files, path(fmt.Sprintf("h%d.ivf", i), h.file))
		f.decode += least(t, "-threads", "1", "-i", files[i], "-f", "null", "-") * 60 / float64(h.seconds)
		f.scale += least(t, "-threads", "1", "-i", files[i], "-vf", "scale=640:360:flags=bilinear", "-f", "null", "-") * 60 / float64(h.seconds)
	}
	raw := filepath.Join(dir, "raw.yuv")
	run_(t, "-i", files[0], "-i", files[1], "-filter_complex", "[0:v]fps=30,scale=640:360:flags=bilinear[a];[1:v]fps=30,scale=640:360:flags=bilinear[b];[a][b]xstack=inputs=2:layout=0_0|640_0,pad=1280:720:0:180:0x20242b,format=yuv420p",
		"-t", strconv.Itoa(seconds), "-f", "rawvideo", raw)
	encode := []string{"-f", "rawvideo", "-s", "1280x720", "-r", "30", "-pix_fmt", "yuv420p", "-i", raw, "-c:v", "libx264", "-preset", "veryfast", "-crf", "26", "-g", "60", "-threads", "1", "-f", "null", "-"}
	f.encode = least(t, encode...) * 60 / seconds
	f.encodeFast = least(t, swapped(encode, "veryfast", "ultrafast")...) * 60 / seconds
	a, b := path("a.ogg", voices[0].content), path("b.ogg", voices[1].content)
	f.audio = least(t, "-c:a", "libopus", "-i", a, "-c:a", "libopus", "-i", b, "-filter_complex", "amix=inputs=2:normalize=0,alimiter=limit=0.95", "-t", strconv.Itoa(heads[0].seconds), "-c:a", "aac", "-b:a", "96k", "-f", "null", "-") * 60 / float64(heads[0].seconds)
	return f
}

// least is the least CPU time in seconds of three runs.
func least(t *testing.T, args ...string) float64 {
	t.Helper()
	best := 0.0
	for n := range 3 {
		cmd := exec.Command("ffmpeg", append([]string{"-v", "error", "-nostdin", "-y", "-filter_threads", "1", "-filter_complex_threads", "1"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if s := (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(); n == 0 || s < best {
			best = s
		}
	}
	return best
}

// cpuTime is the CPU time in seconds of this process and of all children that have ended.
func cpuTime(t *testing.T) float64 {
	t.Helper()
	sum := 0.0
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			t.Fatal(err)
		}
		sum += float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
	}
	return sum
}

func load(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(raw))[0]
}

func processors() int {
	raw, err := exec.Command("nproc").Output()
	if err != nil {
		return 1
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(raw)))
	return n
}

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/media"
	"consilium/internal/simpeer"
	"consilium/internal/testenv"
)

// callSeconds is how long the call of TestBenchCall is; unset, the test does nothing. callPairs is how many pairs of calls
// there are, each with and without chunks that are made while it goes on; 0 is one call alone. ./task bench:call sets both.
const (
	callSeconds = "CALL_SECONDS"
	callPairs   = "CALL_PAIRS"
)

// TestBenchCall measures what a call of two costs that goes the whole way: two heads of 1280x720 and their voices through a
// server into a recording, beside which a stitcher makes what can be made already. It prints how soon after the doctor
// ended it the archive was there and what that time went for, what the stitcher took meanwhile, and how long packets took
// from one participant to the other. The participants are this process, and send what was encoded before.
func TestBenchCall(t *testing.T) {
	length, _ := strconv.Atoi(os.Getenv(callSeconds))
	if length == 0 {
		t.Skip("a measurement: ./task bench:call")
	}
	pairs, _ := strconv.Atoi(os.Getenv(callPairs))
	films := []*simpeer.Media{talkingHead(t, 1, 37), talkingHead(t, 2, 41)}
	sayFigure("processors", processors(t))
	sayFigure("load_before", loadAverage(t))
	sayFigure("call_s", length)
	if pairs == 0 {
		f := benchCall{length: time.Duration(length) * time.Second, films: films, early: true, again: true}.run(t)
		f.say("")
		sayFigure("load_after", loadAverage(t))
		return
	}
	var p50, p95 []float64
	for n := range pairs {
		of := map[bool]callFigures{}
		for _, early := range []bool{n%2 == 0, n%2 != 0} { // who is first alternates
			t.Run(fmt.Sprintf("pair %d, early %v", n+1, early), func(t *testing.T) {
				of[early] = benchCall{length: time.Duration(length) * time.Second, films: films, early: early}.run(t)
			})
			if t.Failed() {
				t.FailNow()
			}
			of[early].say(fmt.Sprintf("pair%d_early_%v_", n+1, early))
		}
		p50 = append(p50, of[true].forward.quantile("", 0.5)/of[false].forward.quantile("", 0.5))
		p95 = append(p95, of[true].forward.quantile("", 0.95)/of[false].forward.quantile("", 0.95))
	}
	sayRatio("forward_p50_ratio", p50)
	sayRatio("forward_p95_ratio", p95)
	sayFigure("load_after", loadAverage(t))
}

func sayFigure(key string, value any) {
	if f, ok := value.(float64); ok {
		value = strconv.FormatFloat(f, 'f', 3, 64)
	}
	fmt.Printf("%s=%v\n", key, value)
}

// sayRatio prints the median of the pairs and how far they are apart.
func sayRatio(key string, all []float64) {
	slices.Sort(all)
	sayFigure(key, (all[(len(all)-1)/2]+all[len(all)/2])/2)
	sayFigure(key+"_least", all[0])
	sayFigure(key+"_most", all[len(all)-1])
}

// talkingHead is a still, detailed background before which something like a head moves, with the noise of a sensor, and a
// voice with the rhythm of speech that speaks every other four seconds.
func talkingHead(t *testing.T, seed, seconds int) *simpeer.Media {
	t.Helper()
	testenv.Require(t, "ffmpeg")
	sway := fmt.Sprintf("30*sin(t*0.9+%d)", seed)
	picture := fmt.Sprintf("gradients=s=1280x720:r=30:c0=0x305070:c1=0x806040:x0=0:y0=0:x1=1280:y1=720:speed=0.00001:seed=%[1]d,noise=alls=24:all_seed=%[1]d[bg];"+
		"color=c=0xc09070:s=360x440:r=30,geq=lum='lum(X,Y)':cb='cb(X,Y)':cr='cr(X,Y)':a='if(lt(hypot((X-180)/180,(Y-220)/220),1),255,0)',loop=loop=-1:size=1[head];"+
		"color=c=0x802020:s=120x30:r=30[mouth];"+
		"[bg]loop=loop=-1:size=1,setpts=N/30/TB[still];[head]setpts=N/30/TB[h];"+
		"[still][h]overlay=x='460+%[2]s':y='140+12*sin(t*1.7)':eval=frame[p];"+
		"[p][mouth]overlay=x='580+%[2]s':y='440+12*sin(t*1.7)+8*sin(t*19)':eval=frame,noise=alls=5:allf=t+u:all_seed=%[1]d,format=yuv420p",
		seed, sway)
	sound := fmt.Sprintf("anoisesrc=c=pink:r=48000:seed=%d:a=0.4,tremolo=f=4:d=0.9,lowpass=f=3000,volume='if(lt(mod(t+%d,8),4),1,0.01)':eval=frame", seed, 4*seed)
	m, err := simpeer.MakeFilm(t.Context(), "", simpeer.Film{
		Width: 1280, Height: 720, Seconds: seconds, Kbps: 1000, Picture: picture, Sound: sound,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// benchCall is one call.
type benchCall struct {
	length time.Duration
	films  []*simpeer.Media
	early  bool // the stitcher makes what it can while the call goes on
	again  bool // the archive is made once more when nothing of it is there any more, and compared
}

// callFigures are what was measured, in the order in which it is printed.
type callFigures struct {
	rows    []callFigure
	forward *forwarded
}

type callFigure struct {
	key   string
	value any
}

func (f *callFigures) add(key string, value any) { f.rows = append(f.rows, callFigure{key, value}) }

func (f callFigures) say(prefix string) {
	for _, row := range f.rows {
		sayFigure(prefix+row.key, row.value)
	}
}

// run holds the call.
func (b benchCall) run(t *testing.T) callFigures {
	t.Helper()
	metrics := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	p := testenv.StartProduct(t, testenv.ProductOptions{Env: []string{
		"CONSILIUM_METRICS_LISTEN=" + metrics, fmt.Sprintf("CONSILIUM_EARLY=%v", b.early),
	}})
	service := as(t, p, "service")
	c := service.schedule("A call", "required",
		person{Name: "Dr A", Role: "clinician", Consent: true}, person{Name: "Pat B", Role: "patient", Consent: true})
	f := callFigures{forward: &forwarded{sent: map[uint64]time.Time{}, took: map[media.Kind][]float64{}}}
	people := b.join(t, p, c, f.forward)
	sees(t, people[0], c.Participants[1])
	sees(t, people[1], c.Participants[0])

	f.forward.begin()
	began, stitcher, live := time.Now(), cpuOf(t, p.Stitcher.PID()), cpuOfOne(t, p.Live.PID())
	hold := time.NewTimer(b.length)
	defer hold.Stop()
	select { // how long it lasts is what is measured
	case <-hold.C:
	case <-p.Live.Done():
		t.Fatal("live ended")
	}
	f.forward.end()
	lasted := time.Since(began).Seconds()
	stitcher, live = cpuOf(t, p.Stitcher.PID())-stitcher, cpuOfOne(t, p.Live.PID())-live
	f.add("load_at_end", loadAverage(t))
	atEnd, made := metricsAt(t, metrics), chunkFiles(t, p)

	asked := time.Now()
	service.end(c.ID)
	there := service.firstBytes(c.ID)
	opened := service.opens(t, c.ID)
	f.add("after_hangup_s", opened.Sub(asked).Seconds())
	afterwards := metricsAt(t, metrics)
	b.split(t, &f, asked, there, opened, service.events(c.ID), afterwards)

	f.add("stitcher_core_average", stitcher/lasted)
	f.add("live_core_average", live/lasted)
	const early = `consilium_stitch_early_chunks_total{what="%s"}`
	for _, what := range []string{"queued", "made", "held", "failed"} {
		f.add("early_chunks_"+what, int(atEnd[fmt.Sprintf(early, what)]))
	}
	var m callManifest
	unpack(t, service.file(c.ID, 1, "manifest.json"), &m)
	if b.early {
		await(t, time.Minute, func() string { return "what was made early is not counted" }, func() bool {
			afterwards = metricsAt(t, metrics)
			return afterwards[fmt.Sprintf(early, "used")]+afterwards[fmt.Sprintf(early, "unused")] >= atEnd[fmt.Sprintf(early, "queued")]
		})
	}
	f.add("early_chunks_used", int(afterwards[fmt.Sprintf(early, "used")]))
	f.add("early_chunks_unused", int(afterwards[fmt.Sprintf(early, "unused")]))
	f.add("pieces", len(m.pieces()))
	left := m.pieces()
	for _, path := range made {
		if key, ok := strings.CutSuffix(filepath.Base(path), ".json"); ok { // it is written last
			delete(left, key)
		}
	}
	f.add("pieces_at_end", len(left))
	b.describe(&f, service.events(c.ID))
	for i, one := range people {
		f.add(fmt.Sprintf("sender_%d_late_ms", i+1), ms(one.Lateness()))
	}
	f.add("forward_packets", f.forward.count())
	for _, k := range []media.Kind{"", media.Video, media.Audio} {
		name := strings.TrimSuffix("forward_"+string(k), "_")
		for _, q := range []int{50, 95, 99} {
			f.add(fmt.Sprintf("%s_p%d_ms", name, q), f.forward.quantile(k, float64(q)/100))
		}
	}
	if b.again {
		f.add("live_chunks_same_keys", b.sameAfterwards(t, p, service, c.ID, m) && afterwards[fmt.Sprintf(early, "used")] > 0)
	}
	return f
}

// join brings both in.
func (b benchCall) join(t *testing.T, p *testenv.Product, c consultation, f *forwarded) []*simpeer.Participant {
	t.Helper()
	var people []*simpeer.Participant
	for i, film := range b.films {
		ctx, cancel := within20()
		one, err := simpeer.JoinWebSocket(ctx, signalingURL(p), c.Participants[i].token(t), simpeer.Options{Media: film, OnPacket: f.note})
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(one.Drop)
		people = append(people, one)
	}
	return people
}

// firstBytes waits until the first bytes of the archive can be fetched.
func (c *client) firstBytes(id string) time.Time {
	c.t.Helper()
	await(c.t, 30*time.Minute, func() string { return "the archive's first bytes" }, func() bool {
		a := c.do("GET", "/api/v1/consultations/"+id+"/archives/1/archive.mp4", "", nil, "Range", "bytes=0-99")
		return a.Status == http.StatusPartialContent
	})
	return time.Now()
}

// opens has ffprobe open the archive over HTTP, and says when it had.
func (c *client) opens(t *testing.T, id string) time.Time {
	t.Helper()
	out, err := exec.Command(testenv.Require(t, "ffprobe")["ffprobe"], "-v", "error", "-headers", "Authorization: Bearer "+c.token+"\r\n",
		"-show_entries", "format=duration:stream=codec_name", "-of", "csv=p=0", c.base+"/api/v1/consultations/"+id+"/archives/1/archive.mp4").CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("h264")) || !bytes.Contains(out, []byte("aac")) {
		t.Fatalf("open the archive: %v\n%s", err, out)
	}
	return time.Now()
}

// split says what the time after the end went for. Steps follow on each other; what is left between them is "rest".
func (b benchCall) split(t *testing.T, f *callFigures, asked, there, opened time.Time, all []events.Stored, figures map[string]float64) {
	t.Helper()
	newest := map[events.Type]time.Time{}
	for _, e := range all {
		newest[e.Type] = e.Time
	}
	begun := asked
	for _, step := range []struct {
		name string
		done events.Type
	}{
		{"ended", events.TypeConsultationEnded},
		{"sealed", events.TypeSegmentSealed},
		{"stored", events.TypeSegmentStored},
		{"requested", events.TypeArchiveRequested},
		{"started", events.TypeArchiveStarted},
	} {
		f.add("after_hangup_"+step.name+"_s", newest[step.done].Sub(begun).Seconds())
		begun = newest[step.done]
	}
	rest := newest[events.TypeArchiveRendered].Sub(begun).Seconds()
	for _, stage := range []string{"fetch", "render", "mux", "inspect", "store"} {
		took := figures[fmt.Sprintf(`consilium_stitch_stage_seconds_sum{stage="%s"}`, stage)]
		f.add("after_hangup_"+stage+"_s", took)
		rest -= took
	}
	f.add("after_hangup_rest_s", rest)
	f.add("after_hangup_event_s", there.Sub(newest[events.TypeArchiveRendered]).Seconds())
	f.add("after_hangup_opened_s", opened.Sub(there).Seconds())
}

// describe says what the files of the recording are like.
func (b benchCall) describe(f *callFigures, all []events.Stored) {
	reasons := map[string]int{}
	var opened []string // of pictures
	bytes := int64(0)
	for _, e := range all {
		switch e := e.Event.(type) {
		case events.SegmentOpened:
			if media.Codec(e.Codec).Kind() == media.Video {
				opened = append(opened, e.Segment)
				reasons[e.Reason]++
			}
		case events.SegmentStored:
			if slices.Contains(opened, e.Segment) {
				bytes += e.Bytes
			}
		}
	}
	f.add("picture_files", len(opened))
	for reason, n := range reasons {
		f.add("picture_files_"+reason, n)
	}
	f.add("picture_kbps", float64(bytes)*8/1000/b.length.Seconds()/float64(len(b.films)))
}

// callManifest is what is compared of two archives.
type callManifest struct {
	Chunks, Sounds []struct {
		Key    string `json:"key"`
		SHA256 string `json:"sha256"`
	}
}

// pieces are the digests of what was made, by key.
func (m callManifest) pieces() map[string]string {
	all := map[string]string{}
	for _, c := range slices.Concat(m.Chunks, m.Sounds) {
		all[c.Key] = c.SHA256
	}
	return all
}

// sameAfterwards takes all chunks away and has the archive made again, in which nothing of the call is left then.
func (b benchCall) sameAfterwards(t *testing.T, p *testenv.Product, service *client, id string, first callManifest) bool {
	t.Helper()
	for _, path := range chunkFiles(t, p) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	service.call("POST", "/consultations/"+id+"/archives", map[string]any{}, 202, nil)
	if a := service.awaitArchive(id, 2, time.Hour); a.State != "ready" {
		t.Fatalf("the archive made again: %+v", a)
	}
	var second callManifest
	unpack(t, service.file(id, 2, "manifest.json"), &second)
	same := len(first.pieces()) == len(second.pieces())
	for key, sum := range first.pieces() {
		if second.pieces()[key] != sum {
			t.Logf("piece %s is %q during the call and %q afterwards", key, sum, second.pieces()[key])
			same = false
		}
	}
	return same
}

// chunkFiles are the files of finished chunks.
func chunkFiles(t *testing.T, p *testenv.Product) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(p.Data, "blobs", "chunks", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func unpack(t *testing.T, raw []byte, out any) {
	t.Helper()
	if err := json.Unmarshal(raw, out); err != nil {
		t.Fatal(err)
	}
}

// forwarded notes how long packets take from one participant to the other. The server changes what stands before what a
// codec made and nothing behind, so a packet is known by that.
type forwarded struct {
	mu    sync.Mutex // guards what follows
	sent  map[uint64]time.Time
	took  map[media.Kind][]float64 // in milliseconds
	going bool
}

func (f *forwarded) note(p simpeer.Packet) {
	key := fnv64(p.Payload)
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.Out {
		f.sent[key] = p.At // a film begins again at some time: the newest counts
		return
	}
	if at, ok := f.sent[key]; ok && f.going {
		delete(f.sent, key)
		f.took[p.Kind] = append(f.took[p.Kind], ms(p.At.Sub(at)))
	}
}

// fnv64 is the FNV-1a hash.
func fnv64(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

func (f *forwarded) begin() { f.mu.Lock(); defer f.mu.Unlock(); f.going = true }
func (f *forwarded) end()   { f.mu.Lock(); defer f.mu.Unlock(); f.going = false }

func (f *forwarded) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.took[media.Audio]) + len(f.took[media.Video])
}

// quantile is in milliseconds; of "" it is that of all.
func (f *forwarded) quantile(k media.Kind, q float64) float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.took[k]
	if k == "" {
		all = slices.Concat(f.took[media.Audio], f.took[media.Video])
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, int(q*float64(len(all))))]
}

// metricsAt reads the metrics that are served at an address, by name and labels.
func metricsAt(t *testing.T, address string) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	for line := range strings.Lines(scrape(t, "http://"+address+"/metrics")) {
		if at := strings.LastIndexByte(line, ' '); at > 0 && line[0] != '#' {
			if v, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64); err == nil {
				all[line[:at]] = v
			}
		}
	}
	return all
}

// processTimes are the parent of each process and the CPU time in seconds of it, and of those of its children that it has
// waited for (proc(5)).
func processTimes(t *testing.T) (parents map[int]int, alone, waited map[int]float64) {
	t.Helper()
	const ticks = 100 // a second; Linux has told programs so for ever
	parents, alone, waited = map[int]int{}, map[int]float64{}, map[int]float64{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(raw), ") ")
		fields := strings.Fields(rest)
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || len(fields) < 15 {
			continue
		}
		number := func(n int) float64 { v, _ := strconv.ParseFloat(fields[n-3], 64); return v }
		parents[pid] = int(number(4))
		alone[pid], waited[pid] = (number(14)+number(15))/ticks, (number(16)+number(17))/ticks
	}
	return parents, alone, waited
}

// cpuOf is the CPU time in seconds of a process and all that it ever started, as far as it is gone or still belongs to it.
func cpuOf(t *testing.T, pid int) float64 {
	t.Helper()
	parents, alone, waited := processTimes(t)
	sum := 0.0
	for one := range alone {
		for up := one; up > 1; up = parents[up] {
			if up == pid {
				sum += alone[one] + waited[one]
				break
			}
		}
	}
	return sum
}

// cpuOfOne is that of the process alone.
func cpuOfOne(t *testing.T, pid int) float64 {
	t.Helper()
	_, alone, _ := processTimes(t)
	return alone[pid]
}

func loadAverage(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(raw))[0]
}

// processors is how many this process may use.
func processors(t *testing.T) int {
	t.Helper()
	out, err := exec.Command("nproc").Output()
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"consilium/internal/simpeer"
	"consilium/internal/testenv"
)

// An officer orders another version by the form of the page: whoever speaks is large, the clock is in the picture, each voice
// has a file. That is what comes out; and with it one participant is seen and heard alone.
func TestAVersionIsMadeAsItWasOrdered(t *testing.T) {
	p := testenv.StartProduct(t, testenv.ProductOptions{})
	service := as(t, p, "service")
	c, doctor, patient := twoTalk(t, p, service, "Versions")
	measured := func(who participant) int {
		files, _ := filepath.Glob(filepath.Join(p.Data, "quality", c.ID, "*.ndjson"))
		n := 0
		for _, path := range files {
			lines, _ := os.ReadFile(path)
			n += strings.Count(string(lines), who.ID)
		}
		return n
	}
	// The first sample of a connection has no rates.
	await(t, 60*time.Second, func() string { return "three samples of both, and six seconds of pictures" }, func() bool {
		return measured(c.Participants[0]) >= 3 && measured(c.Participants[1]) >= 3 &&
			frames(doctor, c.Participants[1].ID) >= 150 && frames(patient, c.Participants[0].ID) >= 150
	})
	leaves(t, patient)
	leaves(t, doctor)
	service.end(c.ID)
	service.ready(c.ID, 1)

	tab := testenv.NewChromium(t, testenv.ChromiumOptions{Height: 1000, Width: 1280})
	tab.Navigate(p.URL + "/consultations/" + c.ID + "#token=" + p.Command("token", "--role", "compliance"))
	tab.WaitFor("the first version is listed", `document.querySelector('[data-testid=version]')?.dataset.state === 'ready'`)
	numbersOfTheNetwork(t, tab)
	tab.Evaluate(`document.querySelector('[data-testid=versions] summary').click()`, nil)
	tab.ClickRole("radio", "Whoever speaks Whoever speaks is large, all others stand in a strip beside.")
	tab.ClickRole("checkbox", "Date and time They stand in the upper left corner, in the time zone of the consultation.")
	tab.ClickRole("checkbox", "Single voices The sound of each participant alone as well, for transcription and to hear one person only.")
	shot(t, tab.Page, "versions-form")
	tab.Click("Order this version")
	tab.WaitFor("a second version is listed", `document.querySelectorAll('[data-testid=version]').length === 2`)
	service.ready(c.ID, 2)
	tab.WaitFor("the page says that it is ready, without being loaded again", `document.querySelector('[data-testid=version]')?.dataset.version === '2'
		&& document.querySelector('[data-testid=version]').dataset.state === 'ready'
		&& document.querySelector('[data-testid=version]').innerText.includes('Whoever speaks, Standard, Date and time, Single voices')`)
	tab.WaitFor("it is what is shown", `document.querySelector('video[data-testid=archive-video]')?.src.includes('/archives/2/')
		&& document.querySelector('video').readyState >= 2`)

	about := service.versionMade(t, c.ID)
	looksAsOrdered(t, service, c, about)
	oneAlone(t, tab, c, about)
}

// numbersOfTheNetwork scrolls to the graphs, which are read and drawn then, and clicks into one: the video goes there.
func numbersOfTheNetwork(t *testing.T, tab *testenv.Chromium) {
	t.Helper()
	loaded := `performance.getEntriesByType('resource').some((one) => /\/assets\/plot-.*\.js$/.test(one.name))`
	tab.WaitFor("the place of the graphs is there", `!!document.querySelector('[data-testid=graphs]')`)
	// Again and again: what is still loaded above may push it away.
	tab.WaitFor("what draws the graphs is loaded", `(() => {
		document.querySelector('[data-testid=graphs]').scrollIntoView({ block: 'center' });
		return `+loaded+`;
	})()`)
	tab.WaitFor("four graphs are drawn by what is loaded for them alone", loaded+` && (() => {
		const drawn = [...document.querySelectorAll('[data-testid=graphs] canvas')].filter((canvas) => canvas.width > 100
			&& canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((part) => part > 0));
		return drawn.length === 4;
	})()`)
	tab.WaitFor("both have numbers of round trips and pictures", `['rtt', 'frames', 'bits'].every((kind) => {
		const numbers = [...document.querySelectorAll('[data-testid=graph][data-kind=' + kind + '] li .sr')];
		return numbers.length === 2 && numbers.every((one) => /^[0-9.,]+–[0-9.,]+$/.test(one.innerText));
	})`)
	shot(t, tab.Page, "graphs")
	tab.Evaluate(`(() => {
		const plot = document.querySelector('[data-testid=graphs] .plot'), box = plot.getBoundingClientRect();
		plot.setPointerCapture = () => {};
		plot.dispatchEvent(new PointerEvent('pointerdown', { bubbles: true, button: 0, clientX: box.left + box.width / 2, clientY: box.top + 9 }));
	})()`, nil)
	tab.WaitFor("the video, the lanes and the graphs have one cursor", `(() => {
		const lines = [...document.querySelectorAll('.plot .cursor')].map((line) => line.getBoundingClientRect().left);
		const video = document.querySelector('video'), lanes = document.querySelector('.plot[role=slider]');
		return lines.length === 2 && Math.abs(lines[0] - lines[1]) < 1 && !video.seeking && video.currentTime > 1
			&& Math.abs(video.currentTime - Number(lanes.ariaValueNow)) <= 1.01;
	})()`)
}

// madeManifest is what a manifest says of how a version was made.
type madeManifest struct {
	Layout, Profile string
	Stamp           bool
	DurationMS      int64
	Voices          []struct{ Participant, File string }
	Scenes          []struct {
		StartFrame, EndFrame int64
		Tiles                []struct {
			Participant, Source string
			X, Y, Width, Height int
		}
	}
}

func (c *client) versionMade(t *testing.T, id string) madeManifest {
	t.Helper()
	var m madeManifest
	if err := json.Unmarshal(c.file(id, 2, "manifest.json"), &m); err != nil {
		t.Fatal(err)
	}
	if m.Layout != "speaker" || m.Profile != "standard" || !m.Stamp || len(m.Voices) != 2 || len(m.Scenes) == 0 {
		t.Fatalf("the manifest says %+v", m)
	}
	frame := int64(0)
	for _, s := range m.Scenes {
		if s.StartFrame != frame {
			t.Errorf("a scene begins at frame %d, the one before ends at %d", s.StartFrame, frame)
		}
		frame = s.EndFrame
	}
	return m
}

// together finds the longest scene that shows pictures of both: where the second one is in it, and the frame in its middle.
func (m madeManifest) together(t *testing.T, c consultation) (place string, frame int64) {
	t.Helper()
	longest := int64(0)
	for _, s := range m.Scenes {
		places := map[string]string{}
		for _, tile := range s.Tiles {
			if tile.Source != "" {
				places[tile.Participant] = fmt.Sprintf("%d,%d,%d,%d", tile.X, tile.Y, tile.Width, tile.Height)
			}
		}
		if length := s.EndFrame - s.StartFrame; len(places) == len(c.Participants) && length > longest {
			longest, place, frame = length, places[c.Participants[1].ID], s.StartFrame+length/2
		}
	}
	if longest == 0 {
		t.Fatalf("no scene shows both: %+v", m.Scenes)
	}
	return place, frame
}

// streamsOf asks ffprobe what is in a file: "video h264 1280x720", "audio aac 1".
func streamsOf(t *testing.T, path string) []string {
	t.Helper()
	out, err := exec.Command(testenv.Require(t, "ffprobe")["ffprobe"], "-v", "error", "-show_entries",
		"stream=codec_type,codec_name,width,height,channels", "-of", "json", path).Output()
	if err != nil {
		t.Fatalf("probe %s: %v", path, err)
	}
	var found struct {
		Streams []struct {
			Type          string `json:"codec_type"`
			Name          string `json:"codec_name"`
			Width, Height int
			Channels      int
		}
	}
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, s := range found.Streams {
		switch s.Type {
		case "video":
			all = append(all, fmt.Sprintf("video %s %dx%d", s.Name, s.Width, s.Height))
		case "audio":
			all = append(all, fmt.Sprintf("audio %s %d", s.Name, s.Channels))
		}
	}
	slices.Sort(all)
	return all
}

// looksAsOrdered looks into the files.
func looksAsOrdered(t *testing.T, service *client, c consultation, about madeManifest) {
	t.Helper()
	dir := t.TempDir()
	save := func(version int, name string) string {
		path := filepath.Join(dir, fmt.Sprintf("%d-%s", version, name))
		if err := os.WriteFile(path, service.file(c.ID, version, name), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	first, second := save(1, "archive.mp4"), save(2, "archive.mp4")
	if got := streamsOf(t, second); !slices.Equal(got, []string{"audio aac 2", "video h264 1280x720"}) {
		t.Errorf("the archive has %q", got)
	}
	// The clock is white on a dark plate; in the first version nothing is there, because two stand side by side.
	_, frame := about.together(t, c)
	middle := time.Duration(frame) * time.Second / 30
	const plate = "crop=150:20:20:16"
	if was, is := bright(t, first, middle, plate), bright(t, second, middle, plate); was != 0 || is < 0.02 || is > 0.6 {
		t.Errorf("the share of bright pixels where the clock stands is %.3f, without one %.3f", is, was)
	}
	for _, v := range about.Voices {
		path := save(2, v.File)
		if got := streamsOf(t, path); !slices.Equal(got, []string{"audio aac 1"}) {
			t.Errorf("a voice has %q", got)
		}
		beeps, err := simpeer.ReadBeeps(t.Context(), path, small(0).Tone, small(1).Tone)
		if err != nil {
			t.Fatal(err)
		}
		for n, who := range c.Participants {
			heard, own := len(beeps[small(n).Tone]), who.ID == v.Participant
			if own && heard < 3 || !own && heard > 0 {
				t.Errorf("in the voice of %s %d beeps of %s are heard", v.Participant, heard, who.ID)
			}
		}
	}
}

// bright is the share of nearly white pixels in a part of a video's picture.
func bright(t *testing.T, video string, at time.Duration, crop string) float64 {
	t.Helper()
	out, err := exec.Command(testenv.Require(t, "ffmpeg")["ffmpeg"], "-v", "error", "-ss", fmt.Sprint(at.Seconds()), "-i", video,
		"-frames:v", "1", "-vf", crop, "-f", "rawvideo", "-pix_fmt", "gray", "-").Output()
	if err != nil || len(out) == 0 {
		t.Fatalf("picture at %s: %v", at, err)
	}
	n := 0
	for _, y := range out {
		if y > 190 {
			n++
		}
	}
	return float64(n) / float64(len(out))
}

// oneAlone chooses the patient by keyboard: only their place in the picture is left, and only their voice is asked for.
func oneAlone(t *testing.T, tab *testenv.Chromium, c consultation, about madeManifest) {
	t.Helper()
	patient := c.Participants[1].ID
	place, frame := about.together(t, c)
	tab.Evaluate(fmt.Sprintf(`(location.hash = '#t=%.3f', document.querySelector('[data-testid=person]').focus())`, (float64(frame)+0.5)/30), nil)
	for _, key := range []string{kb.ArrowDown, kb.ArrowDown} {
		if err := chromedp.Do(tab.Context, chromedp.KeyEvent(key)); err != nil {
			t.Fatal(err)
		}
	}
	tab.WaitFor("the patient is chosen", fmt.Sprintf(`document.querySelector('[data-testid=person]').value === '%s'`, patient))
	tab.WaitFor("only the patient is to be seen and heard", fmt.Sprintf(`(() => {
		const note = document.querySelector('[data-testid=alone]');
		const video = document.querySelector('video[data-testid=archive-video]');
		return note?.dataset.seen === '%s' && note.dataset.voice === 'true' && video.muted && !video.seeking
			&& video.style.transform.includes('scale(') && video.style.clipPath.startsWith('inset(');
	})()`, place))
	tab.WaitFor("their voice is asked for", fmt.Sprintf(
		`performance.getEntriesByType('resource').some((one) => one.name.includes('/archives/2/voice-%s.m4a'))`, patient))
	// The place of the tile now fills the frame, one way or the other.
	var fills struct{ Wide, High float64 }
	tab.Evaluate(fmt.Sprintf(`(() => {
		const [, , width, height] = '%s'.split(',').map(Number);
		const video = document.querySelector('video'), box = video.getBoundingClientRect(), frame = video.parentElement.getBoundingClientRect();
		const scale = Math.min(box.width / 1280, box.height / 720);
		return { wide: width * scale / frame.width, high: height * scale / frame.height };
	})()`, place), &fills)
	if most := max(fills.Wide, fills.High); most < 0.99 || most > 1.01 {
		t.Errorf("the patient fills %.2f of the width and %.2f of the height", fills.Wide, fills.High)
	}
	shot(t, tab.Page, "one-alone")
	tab.Evaluate(`document.querySelector('[data-testid=person]').focus()`, nil)
	for range 2 {
		if err := chromedp.Do(tab.Context, chromedp.KeyEvent(kb.ArrowUp)); err != nil {
			t.Fatal(err)
		}
	}
	tab.WaitFor("everybody is back", `(() => {
		const video = document.querySelector('video');
		return !video.muted && video.style.transform === '' && video.style.clipPath === '';
	})()`)
	if lines := strings.Join(tab.Console(), "\n"); strings.Contains(lines, "error") {
		t.Errorf("the console says %s", lines)
	}
}

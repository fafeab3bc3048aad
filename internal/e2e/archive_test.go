package e2e

import (
	"encoding/json"
	"fmt"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"consilium/internal/simpeer"
	"consilium/internal/testenv"
)

// manifest is the part of an archive's manifest that these tests look at.
type manifest struct {
	DurationMS int64 `json:"durationMs"`
	Segments   []struct {
		ID string `json:"id"`
	} `json:"segments"`
	Missing []struct {
		Segment string `json:"segment"`
		Cause   string `json:"cause"`
	} `json:"missing"`
	Timeline timelineJSON `json:"timeline"`
	Checks   struct {
		Frames       int64 `json:"frames"`
		DecodeErrors int64 `json:"decodeErrors"`
	} `json:"checks"`
}

// file fetches one file of an archive.
func (c *client) file(id string, version int, name string) []byte {
	c.t.Helper()
	a := c.do("GET", fmt.Sprintf("/api/v1/consultations/%s/archives/%d/%s", id, version, name), "", nil)
	if a.Status != 200 {
		c.t.Fatalf("%s of archive %d: %d %s", name, version, a.Status, a.Body)
	}
	return a.Body
}

func (c *client) manifest(id string, version int) manifest {
	c.t.Helper()
	var m manifest
	if err := json.Unmarshal(c.file(id, version, "manifest.json"), &m); err != nil {
		c.t.Fatal(err)
	}
	return m
}

// ready waits for a version of the archive and fails the test unless it can be watched.
func (c *client) ready(id string, version int) archive {
	c.t.Helper()
	a := c.awaitArchive(id, version, 2*time.Minute)
	if a.State != "ready" {
		c.t.Fatalf("archive %d: %+v", version, a)
	}
	return a
}

// duration asks ffprobe how long a video is.
func duration(t testing.TB, path string) time.Duration {
	t.Helper()
	out, err := exec.Command(testenv.Require(t, "ffprobe")["ffprobe"], "-v", "error", "-select_streams", "v:0",
		"-show_entries", "stream=duration", "-of", "csv=p=0", path).Output()
	if err != nil {
		t.Fatalf("probe %s: %v", path, err)
	}
	seconds, err := strconv.ParseFloat(strings.Trim(string(out), ", \n"), 64)
	if err != nil {
		t.Fatalf("probe %s: %v", path, err)
	}
	return time.Duration(seconds * float64(time.Second))
}

// ink is the share of pixels of a video's picture at the moment that differ from its corner: 0 on an empty canvas.
func ink(t testing.TB, video string, at time.Duration) float64 {
	t.Helper()
	path := filepath.Join(t.TempDir(), "frame.png")
	out, err := exec.Command(testenv.Require(t, "ffmpeg")["ffmpeg"], "-v", "error", "-y",
		"-ss", fmt.Sprint(at.Seconds()), "-i", video, "-frames:v", "1", "-pix_fmt", "gray", path).CombinedOutput()
	if err != nil {
		t.Fatalf("picture at %s: %v\n%s", at, err, out)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	grey := func(x, y int) int {
		r, _, _, _ := img.At(x, y).RGBA()
		return int(r >> 8)
	}
	b, n := img.Bounds(), 0
	corner := grey(b.Min.X, b.Min.Y)
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			if d := grey(x, y) - corner; d > 24 || d < -24 {
				n++
			}
		}
	}
	return float64(n) / float64(b.Dx()*b.Dy())
}

// pictures counts the frames of an archive in which the nth simulated participant can be seen.
func pictures(t testing.TB, video string, people int, who ...int) map[int]int {
	t.Helper()
	var specs []simpeer.Spec
	for _, n := range who {
		specs = append(specs, small(n))
	}
	shots, err := simpeer.ReadVideo(t.Context(), video, everywhere(people, specs...))
	if err != nil {
		t.Fatal(err)
	}
	n := map[int]int{}
	for _, k := range who {
		n[k] = len(shots[k])
	}
	return n
}

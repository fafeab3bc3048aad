package stitch

import (
	"bytes"
	"errors"
	"fmt"
	"image/jpeg"
	"slices"
	"strings"
	"testing"
	"time"

	"consilium/internal/blob"
	"consilium/internal/events"
	"consilium/internal/ffmpeg"
	"consilium/internal/media"
	"consilium/internal/render"
)

// A tool that draws one picture for a whole chunk although its source moves exits with 0 and has written every frame. The
// chunk is not believed.
func TestAPictureThatStandsStillIsNotBelieved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.join(0, "A")
	a.record(0, a.track(0, media.VP8, media.Camera, 1), 1, camera(t, "red", "320x180", 30, 150))
	version := w.end(5000, "fast")
	path := w.script(`case "$*" in *libx264*) if [ -e t0.ivf ]; then
	n=$(od -An -tu4 -j32 -N4 t0.ivf)
	mv t0.ivf all.ivf
	{ head -c $((44 + n)) all.ivf; tail -c $((12 + n)) all.ivf; } >t0.ivf
	ffmpeg "$@" || exit
	mv all.ivf t0.ivf
	exit 0
fi ;; esac
exec ffmpeg "$@"`)
	worker := w.worker(ffmpeg.Config{Path: path}, nil)
	if err := worker.Make(t.Context(), w.consultation, version); err != nil {
		t.Fatal(err)
	}
	archive := w.open(version)
	if len(archive.manifest.Failures) != 1 {
		t.Fatalf("failures: %+v", archive.manifest.Failures)
	}
	if text := string(w.get(archive.manifest.Failures[0].Detail.Key)); !strings.Contains(text, "stands still") {
		t.Errorf("detail: %s", text)
	}
	archive.shows(90, "the card", 100, 100, card)
}

// A camera that shows a wall, or nothing but black, is no fault of the stitcher; what it finds stands in the manifest.
func TestWhatStandsStillAtItsSourceMayDoSo(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		colour        string
		frozen, black bool
	}{{"green", true, false}, {"black", true, true}} {
		t.Run(test.colour, func(t *testing.T) {
			w := newWorld(t)
			a := w.join(0, "")
			still := ivfOf(media.VP8, ivfFrames(run_(t, "-f", "lavfi", "-i", "color=c="+test.colour+":s=160x90:r=30", "-frames:v", "150",
				"-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-f", "ivf", "pipe:1")))
			a.record(0, a.track(0, media.VP8, media.Camera, 1), 1, still)
			archive := w.made(w.end(5000, "fast"))
			c := archive.manifest.Checks
			if len(archive.manifest.Failures) != 0 || c.Frames != 150 || (c.FrozenMS >= 3000) != test.frozen || (c.BlackMS >= 3000) != test.black {
				t.Errorf("failures %v, checks %+v", archive.manifest.Failures, c)
			}
		})
	}
}

// A tool that writes a keyframe nobody can decode exits with 0, and the pictures behind it cannot be decoded either. The
// chunk is not believed.
func TestAKeyframeThatDoesNotDecodeIsNotBelieved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.join(0, "A")
	a.record(0, a.track(0, media.VP8, media.Camera, 1), 1, detailed(t, 30))
	version := w.end(1000, "fast")
	// In the middle of the first keyframe, which is hundreds of packets long, one of them is full of ones.
	path := w.script(`case "$*" in *libx264*) if [ -e t0.ivf ]; then
	ffmpeg "$@" || exit
	head -c 180 /dev/zero | tr '\000' '\377' | dd of=out.ts bs=1 seek=$((60 * 188 + 8)) conv=notrunc 2>/dev/null
	exit 0
fi ;; esac
exec ffmpeg "$@"`)
	if err := w.worker(ffmpeg.Config{Path: path}, nil).Make(t.Context(), w.consultation, version); err != nil {
		t.Fatal(err)
	}
	archive := w.open(version)
	if len(archive.manifest.Failures) != 1 {
		t.Fatalf("failures: %+v", archive.manifest.Failures)
	}
	if text := string(w.get(archive.manifest.Failures[0].Detail.Key)); !strings.Contains(text, "not all decode") {
		t.Errorf("detail: %s", text)
	}
	archive.shows(20, "the card", 100, 100, card)
}

// detailed makes video with so much in it that its keyframes are large.
func detailed(t *testing.T, frames int) clip {
	t.Helper()
	return ivfOf(media.VP8, ivfFrames(run_(t, "-f", "lavfi", "-i", "testsrc2=s=640x360:r=30,noise=alls=20", "-frames:v", fmt.Sprint(frames),
		"-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "5M", "-g", "1000", "-f", "ivf", "pipe:1")))
}

// An encoder that loses the sound fails the version, with the reason.
func TestASoundThatIsNotWhatWasMixedFailsTheArchive(t *testing.T) {
	w := newWorld(t)
	a := w.join(0, "A")
	a.record(0, a.track(0, media.Opus, media.Microphone, 1), 1, microphone(t, 1000, 100)[0])
	version := w.end(2000, "audio")
	path := w.script(`case "$*" in *aac*mix.aac*) cat >/dev/null
	exec ffmpeg -v error -y -f lavfi -i anullsrc=r=48000:cl=stereo -t 2 -c:a aac mix.aac ;; esac
exec ffmpeg "$@"`)
	if err := w.worker(ffmpeg.Config{Path: path}, nil).Make(t.Context(), w.consultation, version); err != nil {
		t.Fatal(err)
	}
	failed, ok := w.result(version).(events.ArchiveFailed)
	if !ok || failed.Code != CodeRenderFailed {
		t.Fatalf("got %+v", w.result(version))
	}
	if text := string(w.get(failed.Detail.Key)); !strings.Contains(text, "has a mean of") {
		t.Errorf("detail: %s", text)
	}
}

func TestEveryFrameAtItsTime(t *testing.T) {
	j := &job{plan: &render.Plan{Frames: 4}}
	at := func(ms ...float64) (all []time.Duration) {
		for _, v := range ms {
			all = append(all, time.Duration(v*float64(time.Millisecond)))
		}
		return all
	}
	for name, test := range map[string]struct {
		times []time.Duration
		want  string
	}{
		"all there, in the order of an encoder": {at(0, 100, 33.3, 66.7), ""},
		"one is missing":                        {at(0, 33.3, 100), "3 frames instead of 4"},
		"one comes late":                        {at(0, 33.3, 72, 100), "frame 2"},
		"one stands where another should":       {at(0, 33.3, 33.3, 100), "frame 2"},
		"all begin too late":                    {at(33.3, 66.7, 100, 133.3), "frame 0"},
	} {
		t.Run(name, func(t *testing.T) {
			err := j.checkTimes(test.times)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// The small pictures on the sheet are those of the moments that the cues say.
func TestThumbnails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.join(0, "")
	first := a.track(0, media.VP8, media.Camera, 1)
	still := func(colour string) clip {
		return ivfOf(media.VP8, ivfFrames(run_(t, "-f", "lavfi", "-i", "color=c="+colour+":s=160x90:r=30", "-frames:v", "90",
			"-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-f", "ivf", "pipe:1")))
	}
	a.record(0, first, 1, still("red"))
	a.record(3000, first, 1, still("blue"))
	version := w.end(6000, "fast")
	w.made(version)
	prefix := fmt.Sprintf("c/%s/archives/%d/", w.consultation, version)
	sheet, err := jpeg.Decode(bytes.NewReader(w.get(prefix + ThumbnailsFile)))
	if err != nil {
		t.Fatal(err)
	}
	if sheet.Bounds().Dx() != thumbnailColumns*thumbnailWidth || sheet.Bounds().Dy() != thumbnailHeight {
		t.Errorf("the sheet has %v", sheet.Bounds())
	}
	text := string(w.get(prefix + ThumbnailsVTTFile))
	for i, cue := range []string{"00:00:00.000 --> 00:00:02.000\nthumbnails.jpg#xywh=0,0,160,90", "00:00:02.000 --> 00:00:04.000\nthumbnails.jpg#xywh=160,0,160,90", "00:00:04.000 --> 00:00:06.000\nthumbnails.jpg#xywh=320,0,160,90"} {
		if !strings.Contains(text, cue) {
			t.Errorf("cue %d is not in\n%s", i, text)
		}
	}
	for i, want := range []string{"red", "red", "blue"} {
		r, _, b, _ := sheet.At(i*thumbnailWidth+80, 45).RGBA()
		if (r > b) != (want == "red") {
			t.Errorf("thumbnail %d is not %s: %v", i, want, sheet.At(i*thumbnailWidth+80, 45))
		}
	}
}

// A machine that kills the tools while they look at the finished files has found nothing wrong, but nothing right either:
// the archive is there and says so. What the tools say themselves is a finding.
func TestChecksThatCannotBeMadeAreNamed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		does string
		want []string // nil: the archive fails
	}{
		"killed":            {"kill -9 $$", []string{"keyframes", "sound"}},
		"they find a fault": {"echo 'this is no picture' >&2; exit 1", nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			version := w.end(0, "fast")
			path := w.script(`case "$*" in *volumedetect*|*skip_loop_filter*) ` + test.does + ` ;; esac
exec ffmpeg "$@"`)
			if err := w.worker(ffmpeg.Config{Path: path}, nil).Make(t.Context(), w.consultation, version); err != nil {
				t.Fatal(err)
			}
			if test.want == nil {
				if failed, ok := w.result(version).(events.ArchiveFailed); !ok || failed.Code != CodeRenderFailed {
					t.Errorf("got %+v", w.result(version))
				}
				return
			}
			archive := w.open(version)
			if !slices.Equal(archive.rendered.Unverified, test.want) || !slices.Equal(archive.manifest.Checks.Unverified, test.want) {
				t.Errorf("unverified are %v and %v", archive.rendered.Unverified, archive.manifest.Checks.Unverified)
			}
			prefix := fmt.Sprintf("c/%s/archives/%d/", w.consultation, version)
			for _, file := range []string{ThumbnailsFile, ThumbnailsVTTFile} {
				if _, err := w.blobs.Stat(t.Context(), prefix+file); !errors.Is(err, blob.ErrNotFound) {
					t.Errorf("%s: %v", file, err)
				}
			}
			if again := w.made(w.request("fast")); again.rendered.Unverified != nil {
				t.Errorf("the next version, on a better day, says %v", again.rendered.Unverified)
			}
		})
	}
}

package simpeer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/pion/webrtc/v4/pkg/media/ivfreader"
	"github.com/pion/webrtc/v4/pkg/media/oggreader"
)

// Media is what a Spec looks and sounds like, encoded by ffmpeg as a browser would: VP8 with a whole picture only where
// one is asked for, and Opus in packets of 20 ms.
type Media struct {
	Spec  Spec
	delta [][]byte // frame n on top of frame n-1; the first is whole
	whole [][]byte // frame n by itself
	black []byte   // a whole black frame: what a camera that is switched off sends
	opus  [][]byte // packets of 20 ms
	quiet []byte   // a packet of silence
}

// mediaVersion counts changes of what Make makes.
const mediaVersion = 4

// vp8Flags make the frames independent of anything but the frame before (no golden frame, no altered probabilities), so
// that a whole frame can stand in for any of them and those after it still decode.
const vp8Flags = 1<<17 | 1<<21 | 1<<20

// Make gives the media of spec, and makes it if dir does not hold it from an earlier run. An empty dir is a folder of
// the user's cache. It needs ffmpeg in PATH.
func Make(ctx context.Context, dir string, spec Spec) (*Media, error) {
	if spec.Width%2 != 0 || spec.Height%2 != 0 || spec.Width < 64 || spec.Height < 64 || spec.Seconds < 1 || spec.Frames() > 1<<16 ||
		spec.Who < 0 || spec.Who > 15 || spec.Tone <= 0 {
		return nil, fmt.Errorf("simulated media: spec %+v is not possible", spec)
	}
	return kept(ctx, dir, fmt.Sprintf("%d %+v", mediaVersion, spec), spec, func(ctx context.Context, folder string) error {
		if err := encodeVideo(ctx, folder, spec); err != nil {
			return err
		}
		return encodeSound(ctx, folder, spec)
	})
}

// kept gives media by what describes them, and has them encoded into a folder if dir does not hold them.
func kept(ctx context.Context, dir, description string, spec Spec, encode func(ctx context.Context, folder string) error) (*Media, error) {
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			cache = os.TempDir()
		}
		dir = filepath.Join(cache, "consilium-simpeer")
	}
	key := sha256.Sum256([]byte(description))
	folder := filepath.Join(dir, hex.EncodeToString(key[:8]))
	if _, err := os.Stat(folder); errors.Is(err, os.ErrNotExist) {
		if err := makeFolder(ctx, folder, encode); err != nil {
			return nil, fmt.Errorf("simulated media: %w", err)
		}
	}
	m, err := load(folder, spec)
	if err != nil {
		return nil, fmt.Errorf("simulated media in %s: %w", folder, err)
	}
	return m, nil
}

// makeFolder encodes into a folder beside the final one and renames it, so that several processes may try at once.
func makeFolder(ctx context.Context, folder string, encode func(ctx context.Context, folder string) error) error {
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(folder), "making-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	if err := encode(ctx, temp); err != nil {
		return err
	}
	if err := os.Rename(temp, folder); err != nil && !errors.Is(err, os.ErrExist) {
		if _, there := os.Stat(folder); there != nil {
			return err
		}
	}
	return nil
}

func encodeVideo(ctx context.Context, folder string, spec Spec) error {
	vp8 := func(name string, rest ...string) []string {
		return vp8Args(folder, name, spec.Width, spec.Height, rest...)
	}
	frames := func(yield func([]byte) bool) {
		for n := range spec.Frames() {
			if !yield(spec.frame(n)) {
				return
			}
		}
	}
	if err := ffmpeg(ctx, frames, vp8("delta.ivf", "-b:v", "800k", "-g", "100000", "-keyint_min", "100000")...); err != nil {
		return fmt.Errorf("encode frames: %w", err)
	}
	if err := ffmpeg(ctx, frames, vp8("whole.ivf", "-b:v", "4M", "-force_key_frames", "expr:1")...); err != nil {
		return fmt.Errorf("encode whole frames: %w", err)
	}
	return encodeBlack(ctx, folder, spec.Width, spec.Height)
}

// encodeBlack encodes what a camera sends that is switched off.
func encodeBlack(ctx context.Context, folder string, width, height int) error {
	black := make([]byte, width*height*3/2)
	fill(black, lumaBlack)
	fill(black[width*height:], 128)
	one := func(yield func([]byte) bool) { yield(black) }
	if err := ffmpeg(ctx, one, vp8Args(folder, "black.ivf", width, height, "-b:v", "100k")...); err != nil {
		return fmt.Errorf("encode a black frame: %w", err)
	}
	return nil
}

// vp8Args encode raw frames from the standard input.
func vp8Args(folder, name string, width, height int, rest ...string) []string {
	return append([]string{
		"-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", fmt.Sprintf("%dx%d", width, height), "-r", fmt.Sprint(FPS), "-i", "-",
		"-vf", fmt.Sprintf("metadata=mode=add:key=vp8-flags:value=%d", vp8Flags),
		"-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-threads", "1",
		"-auto-alt-ref", "0", "-lag-in-frames", "0", "-qmin", "4", "-qmax", "40",
	}, append(rest, filepath.Join(folder, name))...)
}

// encodeSound encodes two rounds. The second one follows on itself as on the first; the first begins with an encoder that
// has heard nothing, and a decoder that comes from the end of a round makes less of that.
func encodeSound(ctx context.Context, folder string, spec Spec) error {
	second := spec.sound()
	seconds := func(yield func([]byte) bool) {
		for range 2 * spec.Seconds {
			if !yield(second) {
				return
			}
		}
	}
	err := ffmpeg(ctx, seconds,
		"-f", "s16le", "-ar", "48000", "-ac", "1", "-i", "-",
		"-c:a", "libopus", "-b:a", "48k", "-vbr", "off", "-application", "audio", "-frame_duration", "20",
		"-page_duration", "20000", filepath.Join(folder, "sound.ogg"))
	if err != nil {
		return fmt.Errorf("encode sound: %w", err)
	}
	return nil
}

// ffmpeg runs ffmpeg with what input yields on its standard input.
func ffmpeg(ctx context.Context, input func(yield func([]byte) bool), args ...string) error {
	cmd := exec.CommandContext(ctx, "ffmpeg", append([]string{"-v", "error", "-y"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start ffmpeg (./task setup installs it): %w", err)
	}
	var written error
	input(func(b []byte) bool {
		_, written = stdin.Write(b)
		return written == nil
	})
	written = errors.Join(written, stdin.Close())
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("ffmpeg: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return written
}

func load(folder string, spec Spec) (*Media, error) {
	m := &Media{Spec: spec}
	var err error
	if m.delta, err = readIVF(filepath.Join(folder, "delta.ivf")); err != nil {
		return nil, err
	}
	if m.whole, err = readIVF(filepath.Join(folder, "whole.ivf")); err != nil {
		return nil, err
	}
	black, err := readIVF(filepath.Join(folder, "black.ivf"))
	if err != nil {
		return nil, err
	}
	if m.opus, err = readOgg(filepath.Join(folder, "sound.ogg")); err != nil {
		return nil, err
	}
	if len(m.delta) != spec.Frames() || len(m.whole) != spec.Frames() || len(black) != 1 || len(m.opus) < 2*spec.Seconds*soundRate {
		return nil, fmt.Errorf("there are %d and %d of %d frames, %d of %d packets", len(m.delta), len(m.whole), spec.Frames(), len(m.opus), 2*spec.Seconds*soundRate)
	}
	for n, f := range m.whole {
		if !isKeyframe(f) {
			return nil, fmt.Errorf("frame %d is not whole", n)
		}
	}
	m.opus = m.opus[spec.Seconds*soundRate : 2*spec.Seconds*soundRate]
	m.black, m.quiet = black[0], m.opus[30]
	return m, nil
}

// isKeyframe reads the first bit of a VP8 frame (RFC 6386 §9.1).
func isKeyframe(frame []byte) bool { return len(frame) > 0 && frame[0]&1 == 0 }

func readIVF(path string) ([][]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, _, err := ivfreader.NewWith(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var frames [][]byte
	for {
		frame, _, err := r.ParseNextFrame()
		if errors.Is(err, io.EOF) {
			return frames, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		frames = append(frames, frame)
	}
}

// readOgg gives the packets of a file with one packet a page.
func readOgg(path string) ([][]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, _, err := oggreader.NewWith(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var packets [][]byte
	for {
		page, _, err := r.ParseNextPage()
		if errors.Is(err, io.EOF) {
			return packets, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if !bytes.HasPrefix(page, []byte("OpusTags")) {
			packets = append(packets, page)
		}
	}
}

// frame gives the encoded frame n of the endless repetition, whole if wanted or if there is no other.
func (m *Media) frame(n int, whole bool) []byte {
	n %= m.Spec.Frames()
	if whole {
		return m.whole[n]
	}
	return m.delta[n]
}

// packet gives the nth packet of 20 ms of the endless repetition.
func (m *Media) packet(n int) []byte { return m.opus[n%len(m.opus)] }

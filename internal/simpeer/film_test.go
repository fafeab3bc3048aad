package simpeer

import (
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"consilium/internal/testenv"
)

func TestAFilmGoesOnBehindAWholePicture(t *testing.T) {
	program := testenv.Require(t, "ffmpeg")["ffmpeg"]
	m, err := MakeFilm(t.Context(), t.TempDir(), Film{
		Width: 320, Height: 180, Seconds: 2, Kbps: 400, Picture: "testsrc2=s=320x180:r=30,format=yuv420p", Sound: "sine=f=440:r=48000",
	})
	if err != nil {
		t.Fatal(err)
	}
	wanted := map[int]bool{0: true, 20: true, 21: true, 50: true}
	var plain, asked [][]byte
	for n := range m.Spec.Frames() {
		plain = append(plain, m.frame(n, false))
		asked = append(asked, m.frame(n, wanted[n]))
		if isKeyframe(asked[n]) != wanted[n] {
			t.Errorf("frame %d is whole: %v", n, !wanted[n])
		}
	}
	// The pictures are those of the film in which nothing was asked for.
	out, err := exec.Command(program, "-nostdin", "-i", writeIVF(t, m.Spec, plain), "-i", writeIVF(t, m.Spec, asked), "-lavfi", "ssim", "-f", "null", "-").CombinedOutput()
	found := regexp.MustCompile(`SSIM .*All:([0-9.]+)`).FindSubmatch(out)
	if err != nil || found == nil {
		t.Fatalf("compare: %v\n%s", err, out)
	}
	if alike, err := strconv.ParseFloat(string(found[1]), 64); err != nil || alike < 0.95 {
		t.Errorf("the pictures are %s alike", found[1])
	}
	if len(m.opus) != 2*soundRate || len(m.black) == 0 {
		t.Errorf("%d packets of sound, %d bytes of black", len(m.opus), len(m.black))
	}
}

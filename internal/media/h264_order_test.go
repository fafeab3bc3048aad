package media

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// The order that is read from the pictures is that of the times that the encoder gave them.
func TestPicturesTellTheirOrder(t *testing.T) {
	for preset, ahead := range map[string]string{"ultrafast": "0", "veryfast": "3", "slow": "5"} {
		t.Run(preset, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "out.ts")
			run(t, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x64:r=30", "-frames:v", "400",
				"-c:v", "libx264", "-preset", preset, "-g", "150", "-bf", ahead, "-threads", "1", "-f", "mpegts", path)
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			all, err := readTS(bytes.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			order, err := NewH264Order(H264AnnexB(all[0].Data).Sets[0])
			if err != nil {
				t.Fatal(err)
			}
			shown := map[string]bool{}
			begin, backward := int64(0), 0
			for i, p := range all {
				picture := H264AnnexB(p.Data)
				at, err := order.Next(picture)
				if err != nil {
					t.Fatal(err)
				}
				if picture.Key {
					begin = p.PTS
				}
				step := (p.PTS - begin) / 3000
				if order.lsb > 0 {
					step *= 2 // two fields
				}
				if at != step {
					t.Fatalf("picture %d is shown as the %dth behind its keyframe, by its time it is the %dth", i, at, step)
				}
				shown[fmt.Sprint(begin, at)] = true
				if i > 0 && p.PTS < all[i-1].PTS {
					backward++
				}
			}
			if len(shown) != 400 || (backward > 0) != (preset != "ultrafast") {
				t.Errorf("%d pictures at places of their own, %d of them lean on later ones", len(shown), backward)
			}
		})
	}
}

func FuzzH264Order(f *testing.F) {
	f.Add(testSets[0], []byte{0x65, 0x88, 0x84, 0})
	f.Add(unhex("6742c01fda014016ec04400000030040000007a3c60ca8"), []byte{0x41, 0x9a, 0x21, 0x6c, 0x42, 0xff})
	f.Fuzz(func(t *testing.T, sps, unit []byte) {
		order, err := NewH264Order(sps)
		if err != nil {
			if !errors.Is(err, ErrH264Order) {
				t.Fatal(err)
			}
			return
		}
		var p H264Picture
		if len(unit) > 0 {
			p.add(unit)
		}
		for range 3 {
			if _, err := order.Next(p); err != nil && !errors.Is(err, ErrH264Order) {
				t.Fatal(err)
			}
		}
	})
}

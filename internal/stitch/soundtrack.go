package stitch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"consilium/internal/ffmpeg"
	"consilium/internal/media"
)

// joinSound lays the pieces of the sound end to end, and finds out what is to be known of the whole. A *failure says that they
// do not fit together.
func (j *job) joinSound() (media.MP4Sound, error) {
	track := media.MP4Sound{Rate: ffmpeg.SampleRate, Channels: ffmpeg.Channels, Frame: ffmpeg.AACFrame}
	sum, keys := sha256.New(), sha256.New()
	var tenths []float32
	j.result.peaks = nil
	for i, part := range j.result.sounds {
		raw, packets, err := j.packets(i)
		if err != nil {
			return track, err
		}
		for n, p := range packets {
			config := ffmpeg.ConfigADTS(p)
			if track.Config == nil {
				track.Config = config
			}
			if !bytes.Equal(config, track.Config) {
				return track, &failure{CodeRenderFailed, fmt.Errorf("packet %d of piece %d of the sound is encoded otherwise than the first", n, i)}
			}
			track.Sizes = append(track.Sizes, uint32(len(ffmpeg.BodyADTS(p))))
		}
		sum.Write(raw)
		fmt.Fprintln(keys, part.Key)
		j.result.peaks = append(j.result.peaks, part.made.Peaks...)
		tenths = append(tenths, part.made.Tenths...)
	}
	j.result.sound = Piece{Key: hex.EncodeToString(keys.Sum(nil)), SHA256: hex.EncodeToString(sum.Sum(nil))}
	j.result.loudness = integratedLoudness(tenths)
	return track, nil
}

// packets reads a piece of the sound: all of it, and its packets, which are parts of it.
func (j *job) packets(part int) (raw []byte, packets [][]byte, err error) {
	if raw, err = os.ReadFile(filepath.Join(j.dir, soundFileOf(part))); err != nil {
		return nil, nil, err
	}
	if packets, err = ffmpeg.SplitADTS(raw); err != nil {
		return nil, nil, &failure{CodeRenderFailed, err}
	}
	return raw, packets, nil
}

// soundSamples reads all packets of the sound as the archive holds them.
func (j *job) soundSamples(ctx context.Context) *inTurn {
	return newInTurn(ctx, len(j.result.sounds), func(i int) (io.ReadCloser, error) {
		_, packets, err := j.packets(i)
		if err != nil {
			return nil, err
		}
		for n, p := range packets {
			packets[n] = ffmpeg.BodyADTS(p)
		}
		return io.NopCloser(bytes.NewReader(bytes.Join(packets, nil))), nil
	})
}

// soundFileOf is the name of a piece of the sound in the folder of a job.
func soundFileOf(part int) string { return fmt.Sprintf("s%04d.aac", part) }

package simpeer

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
)

// WriteY4M writes the pictures as the file that Chromium plays in place of a camera (use-file-for-fake-video-capture),
// in a loop. Nothing is compressed: 640 by 360 pixels take 10 MB a second.
func (s Spec) WriteY4M(path string) error {
	return writeFile(path, func(w *bufio.Writer) error {
		if _, err := fmt.Fprintf(w, "YUV4MPEG2 W%d H%d F%d:1 Ip A1:1 C420jpeg\n", s.Width, s.Height, FPS); err != nil {
			return err
		}
		for n := range s.Frames() {
			if _, err := w.WriteString("FRAME\n"); err != nil {
				return err
			}
			if _, err := w.Write(s.frame(n)); err != nil {
				return err
			}
		}
		return nil
	})
}

// WriteWAV writes the sound as the file that Chromium plays in place of a microphone (use-file-for-fake-audio-capture),
// in a loop: 48 kHz, mono, 16 bits.
func (s Spec) WriteWAV(path string) error {
	return writeFile(path, func(w *bufio.Writer) error {
		second := s.sound()
		length := uint32(len(second) * s.Seconds)
		header := struct {
			RIFF                 [4]byte
			Size                 uint32
			WAVE, Format         [4]byte
			FormatSize           uint32
			PCM, Channels        uint16
			Rate, BytesPerSecond uint32
			BytesPerSample, Bits uint16
			Data                 [4]byte
			Length               uint32
		}{
			[4]byte([]byte("RIFF")), 36 + length, [4]byte([]byte("WAVE")), [4]byte([]byte("fmt ")), 16,
			1, 1, sampleRate, 2 * sampleRate, 2, 16, [4]byte([]byte("data")), length,
		}
		if err := binary.Write(w, binary.LittleEndian, header); err != nil {
			return err
		}
		for range s.Seconds {
			if _, err := w.Write(second); err != nil {
				return err
			}
		}
		return nil
	})
}

func writeFile(path string, write func(*bufio.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	if err := errors.Join(write(w), w.Flush(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

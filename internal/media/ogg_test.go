package media

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// writeOgg writes packets as a closed Ogg file.
func writeOgg(t testing.TB, packets [][]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewOggWriter(&out, 0xfeedbeef)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packets {
		n, err := OpusDuration(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.WritePacket(p, n); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func silence(n int) [][]byte {
	var packets [][]byte
	for i := range n {
		packets = append(packets, opusSilences[i%4])
	}
	return packets
}

func TestOggBytesAreGolden(t *testing.T) {
	golden(t, "sample.ogg", writeOgg(t, silence(12)))
}

func scanOgg(t testing.TB, b []byte) OggScan {
	t.Helper()
	scan, err := ScanOgg(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return scan
}

func TestScanOggReadsWhatWasWritten(t *testing.T) {
	b := writeOgg(t, silence(12))
	scan := scanOgg(t, b)
	pages := scan.Pages
	scan.Pages = nil
	want := OggScan{Channels: 2, Serial: 0xfeedbeef, Packets: 12, Samples: 3 * 1800, Ended: true, Good: int64(len(b))}
	if diff := cmp.Diff(want, scan); diff != "" {
		t.Error(diff)
	}
	var packets []int
	for _, p := range pages {
		packets = append(packets, p.Packets)
	}
	if diff := cmp.Diff([]int{5, 5, 2}, packets); diff != "" {
		t.Errorf("packets by page:\n%s", diff)
	}
	if last := pages[len(pages)-1]; last.Last != 120 || last.Granule != 5400 {
		t.Errorf("last page %+v", last)
	}
}

func TestScanOggStopsAtTheLastWholePage(t *testing.T) {
	whole := writeOgg(t, silence(12))
	full := scanOgg(t, whole)
	first := full.Pages[0].Offset
	for n := range len(whole) {
		scan, err := ScanOgg(bytes.NewReader(whole[:n]))
		if int64(n) < first {
			if !errors.Is(err, ErrNotOgg) {
				t.Errorf("%d bytes: error %v, want ErrNotOgg", n, err)
			}
			continue
		}
		pages, good := 0, first
		for pages < 3 && full.Pages[pages].Offset+int64(full.Pages[pages].Length) <= int64(n) {
			good = full.Pages[pages].Offset + int64(full.Pages[pages].Length)
			pages++
		}
		if err != nil || len(scan.Pages) != pages || scan.Good != good || scan.Ended {
			t.Errorf("%d bytes: %d pages and %d good bytes, want %d and %d; error %v", n, len(scan.Pages), scan.Good, pages, good, err)
		}
	}
}

func TestScanOggNoticesEveryFlippedBit(t *testing.T) {
	whole := writeOgg(t, silence(12))
	full := scanOgg(t, whole)
	second := full.Pages[1]
	for at := second.Offset; at < second.Offset+int64(second.Length); at++ {
		damaged := bytes.Clone(whole)
		damaged[at] ^= 0x10
		if scan := scanOgg(t, damaged); scan.Good != second.Offset || len(scan.Pages) != 1 {
			t.Errorf("byte %d flipped: %d pages, good %d; want 1 and %d", at, len(scan.Pages), scan.Good, second.Offset)
		}
	}
}

func TestEndOggPageMakesATornFileWhole(t *testing.T) {
	whole := writeOgg(t, silence(12))
	torn := bytes.Clone(whole[:len(whole)-1])
	scan := scanOgg(t, torn)
	torn = torn[:scan.Good]
	last := scan.Pages[len(scan.Pages)-1]
	if err := EndOggPage(torn[last.Offset:]); err != nil {
		t.Fatal(err)
	}
	if again := scanOgg(t, torn); !again.Ended || again.Packets != 10 || again.Good != int64(len(torn)) {
		t.Errorf("after the mark: %+v", again)
	}
	if err := EndOggPage(torn[last.Offset+1:]); err == nil {
		t.Error("bytes that are no page were marked")
	}
}

// opusPackets lets ffmpeg encode a tone and takes the packets out of its pages.
func opusPackets(t testing.TB, seconds string) [][]byte {
	t.Helper()
	b := ffmpeg(t, "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", seconds, "-c:a", "libopus", "-f", "ogg", "-")
	s := &oggScanner{in: bufio.NewReader(bytes.NewReader(b))}
	if err := s.headers(); err != nil {
		t.Fatal(err)
	}
	var packets [][]byte
	for {
		ok, err := s.next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return packets
		}
		for _, p := range s.packets {
			packets = append(packets, bytes.Clone(p))
		}
	}
}

func TestFFmpegReadsOurPagesToTheSample(t *testing.T) {
	packets := opusPackets(t, "2")
	if len(packets) < 90 {
		t.Fatalf("only %d packets from ffmpeg", len(packets))
	}
	speech := len(packets)
	packets = append(packets, silence(40)...)
	packets = append(packets, packets[:speech]...)
	path := filepath.Join(t.TempDir(), "ours.ogg")
	if err := os.WriteFile(path, writeOgg(t, packets), 0o600); err != nil {
		t.Fatal(err)
	}
	var want, got []int64
	total := int64(0)
	for _, p := range packets {
		want = append(want, total)
		n, _ := OpusDuration(p)
		total += int64(n)
	}
	for _, p := range probe(t, path) {
		got = append(got, p.PTS)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pts of the packets as ffprobe reads them:\n%s", diff)
	}
	pcm := ffmpeg(t, "-i", path, "-ac", "1", "-ar", "48000", "-f", "s16le", "-")
	if int64(len(pcm)) != total*2 {
		t.Errorf("decoded %d samples, written %d", len(pcm)/2, total)
	}
	// The last of the silent packets: the decoder has long faded out by then.
	start := int64(speech)*960 + 10*1800 - 1800
	if peak := peakOf(pcm[start*2 : (start+1800)*2]); peak > 2 {
		t.Errorf("the silence has a peak of %d", peak)
	}
	if peak := peakOf(pcm[48000:96000]); peak < 1000 {
		t.Errorf("the tone has a peak of %d only", peak)
	}
}

func peakOf(pcm []byte) int {
	peak := 0
	for i := 0; i+1 < len(pcm); i += 2 {
		v := int(int16(uint16(pcm[i]) | uint16(pcm[i+1])<<8))
		peak = max(peak, v, -v)
	}
	return peak
}

func TestOggWriterStartsAPageBeforeTheSegmentTableIsFull(t *testing.T) {
	long := append([]byte{0xf8}, make([]byte, 60*255)...)
	scan := scanOgg(t, writeOgg(t, [][]byte{long, long, long, long, long, long}))
	if scan.Packets != 6 || !scan.Ended || len(scan.Pages) != 2 {
		t.Errorf("%+v", scan)
	}
	var out bytes.Buffer
	w, err := NewOggWriter(&out, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WritePacket(make([]byte, 255*255), 960); err == nil {
		t.Error("a packet longer than a page was taken")
	}
}

func FuzzScanOgg(f *testing.F) {
	whole := writeOgg(f, silence(12))
	f.Add(whole)
	f.Add(whole[:len(whole)-7])
	f.Add(append(bytes.Clone(whole), whole...))
	f.Fuzz(func(t *testing.T, b []byte) {
		scan, err := ScanOgg(bytes.NewReader(b))
		if scan.Good > int64(len(b)) {
			t.Fatalf("%d good bytes of %d", scan.Good, len(b))
		}
		if err != nil {
			return
		}
		again, err := ScanOgg(bytes.NewReader(b[:scan.Good]))
		if err != nil || !cmp.Equal(scan, again) {
			t.Fatalf("the good part scans differently: %v\n%s", err, cmp.Diff(scan, again))
		}
		var packets, samples int64
		for _, p := range scan.Pages {
			packets += int64(p.Packets)
			samples += p.Samples
			if p.Granule != samples {
				t.Fatalf("page %+v after %d samples", p, samples)
			}
		}
		if packets != scan.Packets || samples != scan.Samples {
			t.Fatalf("pages have %d packets and %d samples, the scan says %d and %d", packets, samples, scan.Packets, scan.Samples)
		}
	})
}

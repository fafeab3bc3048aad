package conference

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"consilium/internal/blob"
	"consilium/internal/events"
)

// sampleEvery is the distance of quality samples: they are many and periodic, so they go to a blob and not to the log.
const sampleEvery = 5 * time.Second

// qualitySample is one line of the quality blob.
type qualitySample struct {
	Time        time.Time `json:"time"`
	Participant string    `json:"participant"`
	Connection  string    `json:"connection"`
	RTTMS       float64   `json:"rtt_ms"`
	LossIn      float64   `json:"loss_in"`  // fraction of the packets of the last interval
	LossOut     float64   `json:"loss_out"` // largest fraction that the client misses of a track, as it reports
	BitsIn      float64   `json:"bits_per_second_in"`
	BitsOut     float64   `json:"bits_per_second_out"`
	FramesIn    float64   `json:"frames_per_second_in"` // pictures of all video tracks together
}

// qualityLog gathers samples in a file until the consultation is completed.
type qualityLog struct {
	mu   sync.Mutex // guards file and samples
	path string
	key  string
	file *os.File

	next time.Time // loop only
}

func newQualityLog(dir, consultation, node string, epoch int) *qualityLog {
	name := fmt.Sprintf("%s-%d.ndjson", node, epoch)
	return &qualityLog{
		path: filepath.Join(dir, consultation, name),
		key:  "quality/" + consultation + "/" + name,
	}
}

// sampleQuality writes one line for each living connection.
func (c *Conference) sampleQuality(now time.Time) {
	if now.Before(c.quality.next) {
		return
	}
	c.quality.next = now.Add(sampleEvery)
	for _, s := range c.seats {
		if s.peer == nil || !s.connected {
			continue
		}
		st := s.peer.Stats()
		err := c.quality.write(qualitySample{
			Time: now.UTC(), Participant: s.participant, Connection: s.connection,
			RTTMS:  float64(st.RTT.Microseconds()) / 1000,
			LossIn: st.LossIn, LossOut: st.LossOut, BitsIn: st.BitsIn, BitsOut: st.BitsOut, FramesIn: st.FramesIn,
		})
		if err != nil {
			c.log.Warn("quality sample was not written", "error", err)
			return
		}
	}
}

func (q *qualityLog) write(s qualitySample) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.file == nil {
		if err := os.MkdirAll(filepath.Dir(q.path), 0o700); err != nil {
			return fmt.Errorf("quality folder: %w", err)
		}
		f, err := os.OpenFile(q.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("quality file: %w", err)
		}
		q.file = f
	}

	return json.NewEncoder(q.file).Encode(s)
}

func (q *qualityLog) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.file != nil {
		q.file.Close()
		q.file = nil
	}
}

// remove forgets the local file once the log names the blob.
func (q *qualityLog) remove() { _ = os.RemoveAll(filepath.Dir(q.path)) }

// store puts the samples into the blob store; nil says that there were none.
func (q *qualityLog) store(ctx context.Context, blobs *blob.Store) (*events.QualityBlob, error) {
	q.close()
	info, err := blobs.PutFile(ctx, q.key, q.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("store quality samples: %w", err)
	}
	return &events.QualityBlob{Blob: q.key, SHA256: info.SHA256}, nil
}

package backup

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"consilium/internal/webhook"
)

// copyWebhooks copies who is told of events, a receiver a line.
func (m *maker) copyWebhooks(ctx context.Context, through uint64) (File, error) {
	all, err := m.from.Webhooks.All(ctx, through)
	if err != nil {
		return File{}, err
	}
	return create(m.dir, webhooksFile, func(w io.Writer) error {
		out := bufio.NewWriter(w)
		lines := json.NewEncoder(out)
		for _, e := range all {
			if err := lines.Encode(e); err != nil {
				return fmt.Errorf("encode webhook %s: %w", e.ID, err)
			}
		}
		return out.Flush()
	})
}

// copyWebhooks brings the receivers back. Older back-ups have none.
func (r *restorer) copyWebhooks(ctx context.Context) error {
	if _, ok := r.m.file(webhooksFile); !ok {
		return nil
	}
	info, err := r.into.Log.Info(ctx)
	if err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(r.dir, webhooksFile))
	if err != nil {
		return err
	}
	defer f.Close()
	for lines := json.NewDecoder(bufio.NewReader(f)); ; {
		var e webhook.Kept
		err := lines.Decode(&e)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", webhooksFile, err)
		}
		if err := r.into.Webhooks.Put(ctx, e, info.Created); err != nil {
			return err
		}
		r.into.Logger.Info("a system that was told of events is paused until somebody resumes it", "webhook", e.ID)
	}
}

package backup

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"

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

// copyWebhooks brings the receivers back.
func (r *restorer) copyWebhooks(ctx context.Context) error {
	info, err := r.into.Log.Info(ctx)
	if err != nil {
		return err
	}
	return eachLine(r, webhooksFile, func(e webhook.Kept) error {
		if err := r.into.Webhooks.Put(ctx, e, info.Created); err != nil {
			return err
		}
		r.into.Logger.Info("a system that was told of events is paused until somebody resumes it", "webhook", e.ID)
		return nil
	})
}

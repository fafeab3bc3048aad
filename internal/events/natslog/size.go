package natslog

import (
	"context"
	"fmt"
)

// Size is how large the log is and how large it may become, in bytes; no limit is 0. A full log refuses every event.
func (l *Log) Size(ctx context.Context) (used, limit int64, err error) {
	info, err := l.info(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("ask how large the event log is: %w", err)
	}
	return int64(info.State.Bytes), max(0, info.Config.MaxBytes), nil //nolint:gosec // far below 2^63
}

package stitch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"consilium/internal/ffmpeg"
)

func TestJudge(t *testing.T) {
	stopped, stop := context.WithCancel(t.Context())
	stop()
	tool := &ffmpeg.RunError{Step: "compose", Log: "what it said", Err: errors.New("exit status 1")}
	tests := []struct {
		name  string
		err   error
		local bool
		stop  bool
		want  string // code; empty: to be tried again
	}{
		{"the blob store is away", errors.New("connection refused"), false, false, ""},
		{"something is wrong here", errors.New("no decoder for codec"), true, false, CodeInternal},
		{"ffmpeg is not there", fmt.Errorf("render: %w", ffmpeg.ErrMissing), true, false, CodeFFmpegMissing},
		{"ffmpeg failed", fmt.Errorf("render: %w", tool), true, false, CodeRenderFailed},
		{"ffmpeg found the disk full", &ffmpeg.RunError{Err: ffmpeg.ErrNoSpace}, true, false, CodeNoSpace},
		{"we found the disk full", fmt.Errorf("fetch: %w", syscall.ENOSPC), false, false, CodeNoSpace},
		{"a failure keeps its code", fmt.Errorf("mux: %w", &failure{CodeSourceDamaged, tool}), true, false, CodeSourceDamaged},
		{"stopped is no failure", fmt.Errorf("render: %w", tool), true, true, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ctx := t.Context()
			if test.stop {
				ctx = stopped
			}
			got := judge(ctx, test.err, test.local)
			var f *failure
			if !errors.As(got, &f) {
				f = &failure{}
			}
			if f.code != test.want {
				t.Errorf("got %v, want %q", got, test.want)
			}
		})
	}
	if text := detail(&failure{CodeRenderFailed, tool}); !strings.Contains(text, CodeRenderFailed) || !strings.Contains(text, "what it said") {
		t.Errorf("detail: %s", text)
	}
}

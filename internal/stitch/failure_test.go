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
	ended, end := context.WithCancel(t.Context())
	end()
	tool := &ffmpeg.RunError{Step: "compose", Log: "what it said", Err: errors.New("exit status 1")}
	tests := []struct {
		name  string
		ctx   context.Context
		err   error
		local bool
		want  string // code; empty: to be tried again
	}{
		{"the blob store is away", t.Context(), errors.New("connection refused"), false, ""},
		{"something is wrong here", t.Context(), errors.New("no decoder for codec"), true, CodeInternal},
		{"ffmpeg is not there", t.Context(), fmt.Errorf("render: %w", ffmpeg.ErrMissing), true, CodeFFmpegMissing},
		{"ffmpeg failed", t.Context(), fmt.Errorf("render: %w", tool), true, CodeRenderFailed},
		{"ffmpeg found the disk full", t.Context(), &ffmpeg.RunError{Err: ffmpeg.ErrNoSpace}, true, CodeNoSpace},
		{"we found the disk full", t.Context(), fmt.Errorf("fetch: %w", syscall.ENOSPC), false, CodeNoSpace},
		{"a failure keeps its code", t.Context(), fmt.Errorf("mux: %w", &failure{CodeSourceDamaged, tool}), true, CodeSourceDamaged},
		{"stopped is no failure", ended, fmt.Errorf("render: %w", tool), true, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := judge(test.ctx, test.err, test.local)
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

package stitch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"consilium/internal/events"
	"consilium/internal/ffmpeg"
)

// The codes of archive.failed. They are stable.
const (
	CodeFFmpegMissing = "FFMPEG-MISSING" // ffmpeg is not installed; the detail names the command that installs it
	CodeSourceDamaged = "SOURCE-DAMAGED" // the events themselves cannot be read or make no sense
	CodeRenderFailed  = "RENDER-FAILED"  // ffmpeg failed or did not make what was planned
	CodeNoSpace       = "NO-SPACE"       // the disk of the stitcher or of the blob store is full
	CodeInternal      = "INTERNAL"       // a fault of the stitcher
	CodeCancelled     = "CANCELLED"      // somebody called it off
)

// failure is an error that ends a job for good: trying again by itself would not help.
type failure struct {
	code string
	err  error
}

func (f *failure) Error() string { return f.code + ": " + f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// judge turns an error of a job into a failure, or leaves it as it is where another try may succeed: the log or the blob
// store were out of reach, or the worker is being stopped. local says that neither was needed.
func judge(ctx context.Context, err error, local bool) error {
	var known *failure
	var tool *ffmpeg.RunError
	switch {
	case err == nil, ctx.Err() != nil, errors.As(err, &known):
		return err
	case errors.Is(err, ffmpeg.ErrMissing):
		return &failure{CodeFFmpegMissing, err}
	case errors.Is(err, ffmpeg.ErrNoSpace), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &failure{CodeNoSpace, err}
	case errors.As(err, &tool):
		return &failure{CodeRenderFailed, err}
	case local:
		return &failure{CodeInternal, err}
	}
	return err
}

// detail is what a person gets to read about a failure: the error and the end of what ffmpeg wrote. Neither can hold a
// name: file names are ours, and text reaches ffmpeg only as pixels or as the content of a file.
func detail(f *failure) string {
	var b strings.Builder
	fmt.Fprintln(&b, f.Error())
	if log, ok := ffmpeg.IsLog(f.err); ok {
		fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(log))
	}
	return b.String()
}

// fail stores what is known about the failure and appends archive.failed.
func (w *Worker) fail(ctx context.Context, j *job, f *failure) error {
	event := events.ArchiveFailed{Version: j.request.Version, Code: f.code}
	key := j.key("failure.txt")
	if info, err := w.deps.Blobs.Put(ctx, key, strings.NewReader(detail(f))); err == nil {
		event.Detail = &events.Blob{Key: key, SHA256: info.SHA256}
	} else {
		// The event matters more than its detail, which a full store may refuse.
		j.logger.Warn("detail of a failed archive not stored", "error", err)
	}
	return w.conclude(ctx, j, event)
}

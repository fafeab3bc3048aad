//go:build unix && !linux

package ffmpeg

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// cage is how far a process of ffmpeg is locked away: away from Linux only into a process group. It is for trying the
// product out; what renders strangers' media belongs on Linux.
type cage struct {
	program program
	about   About
}

// owner is the unprivileged user that ffmpeg runs as: here always whoever we are.
type owner struct{}

func lookupOwner(string) (*owner, error) { return nil, nil }

func (o *owner) own(string) error { return nil }

func (t *Tool) enter(ctx context.Context) (*cage, error) {
	found, err := t.find()
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cage != nil && t.cage.program == found {
		return t.cage, nil
	}
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, found.path, "-hide_banner", "-version").Output()
	if err != nil {
		return nil, fmt.Errorf("start ffmpeg: %w", err)
	}
	t.logger.Warn("ffmpeg runs with network access and with our rights: this is not Linux")
	t.cage = &cage{program: found, about: aboutFrom(string(out))}
	return t.cage, nil
}

func (c *cage) attributes(*owner) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

func insideOf(cmd *exec.Cmd, dir string) (*os.File, error) {
	cmd.Dir = dir
	return os.Open(dir)
}

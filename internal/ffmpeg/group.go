//go:build unix

package ffmpeg

import (
	"errors"
	"os"
	"syscall"
)

func killGroup(p *os.Process) error {
	err := syscall.Kill(-p.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

func (t *Tool) lowerPriority(p *os.Process) {
	// A process that has ended meanwhile needs no priority.
	_ = syscall.Setpriority(syscall.PRIO_PGRP, p.Pid, t.cfg.Nice)
}

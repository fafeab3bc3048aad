package ffmpeg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// cage is how far a process of ffmpeg is locked away. It is tried out once, with the first run.
type cage struct {
	program program // that was tried
	about   About
	flags   uintptr // namespaces
	mapped  bool    // in a user namespace of its own, because we are not root
}

// owner is the unprivileged user that ffmpeg runs as when we are root. A nil owner is whoever we are.
type owner struct {
	uid, gid uint32
}

func lookupOwner(name string) (*owner, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	if name == "" {
		name = "nobody"
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, errU := strconv.ParseUint(u.Uid, 10, 32)
	gid, errG := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(errU, errG); err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	return &owner{uid: uint32(uid), gid: uint32(gid)}, nil
}

func (o *owner) own(path string) error {
	if o == nil {
		return nil
	}
	return os.Chown(path, int(o.uid), int(o.gid))
}

// enter finds ffmpeg and the strictest cage that this machine allows: containers and hardened kernels may forbid
// namespaces.
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
	tries := []cage{{flags: syscall.CLONE_NEWNET}, {}}
	if t.owner == nil {
		tries[0] = cage{flags: syscall.CLONE_NEWNET | syscall.CLONE_NEWUSER, mapped: true}
	}
	var failed error
	for _, c := range tries {
		c.program = found
		if c.about, err = t.tryOut(ctx, c); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		if c.flags == 0 {
			t.logger.Warn("ffmpeg runs with network access: this machine forbids network namespaces", "error", failed)
		}
		t.cage = &c
		return t.cage, nil
	}
	return nil, fmt.Errorf("start ffmpeg: %w", failed)
}

func (t *Tool) tryOut(ctx context.Context, c cage) (About, error) {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.program.path, "-hide_banner", "-version")
	cmd.Env = environment
	cmd.SysProcAttr = c.attributes(t.owner)
	out, err := cmd.Output()
	if err != nil {
		return About{}, fmt.Errorf("%s -version: %w", c.program.path, err)
	}
	return aboutFrom(string(out)), nil
}

// attributes puts a process into the cage: a group of its own, so that all of it can be killed, and an end with us.
func (c *cage) attributes(o *owner) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: c.flags}
	if o != nil {
		a.Credential = &syscall.Credential{Uid: o.uid, Gid: o.gid}
	}
	if c.mapped {
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
	}
	return a
}

// insideOf makes dir the working folder of cmd although its user may not pass the folders above: the child goes there
// through our open handle. The caller closes the file after the start.
func insideOf(cmd *exec.Cmd, dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	cmd.Dir = fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	return f, nil
}

package ffmpeg

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// outlet carries what a process writes to its standard output to a writer that may be slow. os/exec does so too, but calls
// it a failure when the last bytes are not taken soon after the process has ended: whoever mixes many voices takes those of
// one that is decoded already when its time comes. A file the process gets itself.
type outlet struct {
	read, write *os.File // nil without a writer
	to          io.Writer
	copied      chan error // gets one value
}

// newOutlet gives cmd its standard output. started must be called when cmd was started, or failed to.
func newOutlet(cmd *exec.Cmd, to io.Writer) (*outlet, error) {
	o := &outlet{to: to, copied: make(chan error, 1)}
	if f, ok := to.(*os.File); ok {
		cmd.Stdout = f // nothing is to be carried
		o.to = nil
	}
	if o.to == nil {
		o.copied <- nil
		return o, nil
	}
	var err error
	if o.read, o.write, err = os.Pipe(); err != nil {
		return nil, fmt.Errorf("pipe for the output: %w", err)
	}
	cmd.Stdout = o.write
	return o, nil
}

// started lets the bytes flow.
func (o *outlet) started() {
	if o.to == nil {
		return
	}
	_ = o.write.Close() // the child has its own
	go func() {         // ends when the process and its children have closed their end, or the writer takes no more
		_, err := io.Copy(o.to, o.read)
		_ = o.read.Close() // so that the process notices
		o.copied <- err
	}()
}

// wait waits until everything was carried over, or until ctx ends: a stray child may hold the pipe open.
func (o *outlet) wait(ctx context.Context) error {
	select {
	case err := <-o.copied:
		return err
	case <-ctx.Done():
		_ = o.read.Close()
		return ctx.Err()
	}
}

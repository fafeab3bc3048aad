package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"consilium/internal/blob"
	"consilium/internal/config"
	"consilium/internal/stitch"
)

// tidyCmd removes old chunks by hand, beside stitchers that run.
type tidyCmd struct {
	config.Stitcher

	Keep   time.Duration `default:"168h" help:"Those that were made or used within this time stay; at least 24h."`
	DryRun bool          `help:"Say what would be removed, and remove nothing."`
}

// Run is called by the command line.
func (c *tidyCmd) Run(ctx context.Context) error { return c.run(ctx, os.Stdout, time.Now()) }

func (c *tidyCmd) run(ctx context.Context, out io.Writer, now time.Time) error {
	if c.Keep < stitch.LeastKept {
		return fmt.Errorf("--keep %s: chunks are kept for %s at least, because one that runs may need them", c.Keep, stitch.LeastKept)
	}
	blobs, err := blob.Open(ctx, c.Blobs())
	if err != nil {
		return err
	}
	defer blobs.Close()
	t, err := stitch.Tidy(ctx, blobs, now.Add(-c.Keep), c.DryRun)
	if err != nil {
		return err
	}
	removed := "removed"
	if c.DryRun {
		removed = "to remove"
	}
	_, err = fmt.Fprintf(out, "%s: %d pieces, %d bytes, and %d bytes that were never finished; kept: %d pieces\n", removed, t.Removed, t.Bytes, t.Unfinished, t.Kept)
	return err
}

// Command stitcher makes the archives of consultations: it takes jobs from the queue beside the event log and renders
// them, until it is told to stop. Any number of them may run, on any machine that reaches the log and the blob store.
// Archives can be made by hand too, from a server's data or from a bundle, and planned without making anything.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"consilium/internal/config"
)

// cli is the command line. Without a command it serves.
type cli struct {
	config.File
	Serve  serveCmd  `cmd:"" default:"withargs" help:"Make what is queued, until it is told to stop (default)."`
	Render renderCmd `cmd:"" help:"Make one archive by hand; nothing is announced."`
	Plan   planCmd   `cmd:"" help:"Print the scenes and the commands of an archive; nothing is made."`
	Tidy   tidyCmd   `cmd:"" help:"Remove finished chunks that nobody has used for long."`
	Cancel cancelCmd `cmd:"" help:"Call off an archive that is being made."`
}

// Tool says which ffmpeg is used.
type Tool struct {
	FFmpeg string `name:"ffmpeg" env:"CONSILIUM_FFMPEG" type:"path" help:"The ffmpeg program. Empty: found in PATH."`
}

func main() {
	var c cli
	parser, err := kong.New(&c, append(config.Options(), kong.Name("stitcher"), kong.Description("Makes the archive videos of consultations."))...)
	if err != nil {
		fail(err)
	}
	command, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // who asks twice waits for nothing
	command.BindTo(ctx, (*context.Context)(nil))
	err = command.Run()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "stitcher: stopped before it was done")
		os.Exit(interrupted)
	}
	if err != nil {
		stop()
		fail(err)
	}
}

// interrupted is what shells make of a program that was told to stop.
const interrupted = 130

func fail(err error) {
	fmt.Fprintln(os.Stderr, "stitcher:", err)
	os.Exit(1)
}

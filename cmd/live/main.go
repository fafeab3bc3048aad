// Command live is the server of Consilium: pages and API, signaling, media, recording, and, unless they are elsewhere,
// the event log and the database.
//
// It only reads flags, wires the rooms in order and stops them in reverse.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"consilium/internal/config"

	"github.com/alecthomas/kong"
)

// cli is the command line. Without a command it serves.
type cli struct {
	config.File
	Serve    serveCmd    `cmd:"" default:"withargs" help:"Run the server (default)."`
	Token    tokenCmd    `cmd:"" help:"Print a bearer token."`
	Demo     demoCmd     `cmd:"" help:"Create a demo consultation on the running server and print its links."`
	List     listCmd     `cmd:"" help:"Print the consultations that a filter chooses."`
	Show     showCmd     `cmd:"" help:"Print one consultation."`
	Hold     holdCmd     `cmd:"" help:"Forbid to delete a consultation, and allow it again."`
	Replay   replayCmd   `cmd:"" help:"Print what happened in a consultation, event by event, at any speed."`
	Export   exportCmd   `cmd:"" help:"Take the events of a consultation out as a file."`
	Webhooks webhooksCmd `cmd:"" help:"Show and change which systems are told of events."`
	Rebuild  rebuildCmd  `cmd:"" help:"Make the read model anew from the event log."`
	Backup   backupCmd   `cmd:"" help:"Copy everything into a folder; the server may go on."`
	Reindex  reindexCmd  `cmd:"" help:"Rebuild what the event log has lost from the recordings' own files."`
	Restore  restoreCmd  `cmd:"" help:"Fill an empty installation from a back-up."`
}

func main() {
	var c cli
	parser, err := kong.New(&c, append(config.Options(), kong.Name("live"),
		kong.Description("Recorded medical consultations: the server."))...)
	if err != nil {
		fail(err)
	}
	command, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	command.BindTo(ctx, (*context.Context)(nil))
	if err := command.Run(); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "live:", err)
	os.Exit(1)
}

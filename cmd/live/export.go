package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"

	"consilium/internal/auth"
)

// exportCmd takes the events of a consultation out as a file, which becomes an event itself.
type exportCmd struct {
	remote
	ID     string `arg:"" help:"Id of the consultation."`
	Format string `default:"ndjson" enum:"ndjson,csv" help:"ndjson: the stored events byte for byte; csv: for a spreadsheet."`
	Out    string `short:"o" help:"File to write; it must not be there. Empty: standard output."`
}

// Run writes the file.
func (c *exportCmd) Run(ctx context.Context) (err error) {
	server, err := c.open(auth.RoleAuditor)
	if err != nil {
		return err
	}
	out := os.Stdout
	if c.Out != "" {
		if out, err = os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return err
		}
		defer func() {
			if closed := out.Close(); err == nil {
				err = closed
			}
		}()
	}
	return c.write(ctx, server, out)
}

func (c *exportCmd) write(ctx context.Context, server *rest, w io.Writer) error {
	body, err := server.ask(ctx, http.MethodPost, consultationPath(c.ID)+"/exports", map[string]any{"kind": "events." + c.Format})
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := io.Copy(w, body); err != nil {
		return fmt.Errorf("export %s: %w", c.ID, err)
	}
	return nil
}

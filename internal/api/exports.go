package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"consilium/internal/auth"
	"consilium/internal/consultation"
	"consilium/internal/events"

	"github.com/danielgtaylor/huma/v2"
)

// Kinds of exports.
const (
	exportNDJSON = "events.ndjson"
	exportCSV    = "events.csv"
)

func (s *Server) routeExports(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "export-events", Method: http.MethodPost, Path: prefix + "/consultations/{id}/exports",
		Summary: "Take the events out as a file, which becomes an event itself",
		Description: "events.ndjson: the stored events byte for byte. events.csv: one row an event, safe to open in a spreadsheet. " +
			"The file ends before the export.made that names its SHA-256, which is also in Repr-Digest.",
		DefaultStatus: http.StatusOK, Security: bearerOnly, Extensions: needs(auth.ExportEvents),
		Responses: map[string]*huma.Response{"200": {Description: "The file.", Content: map[string]*huma.MediaType{
			"application/x-ndjson": {Schema: &huma.Schema{Type: "string"}}, "text/csv": {Schema: &huma.Schema{Type: "string"}},
		}}},
	}, s.export)
}

func (s *Server) export(ctx context.Context, in *struct {
	ID   string `path:"id"`
	Body struct {
		Kind string `json:"kind" enum:"events.ndjson,events.csv"`
	}
},
) (*huma.StreamResponse, error) {
	who := callerFrom(ctx)
	if err := who.may(auth.ExportEvents, in.ID, ""); err != nil {
		return nil, s.fail(err)
	}
	if !events.ValidID(in.ID) {
		return nil, s.fail(consultation.ErrUnknown)
	}
	actor, err := s.actorOf(ctx, who)
	if err != nil {
		return nil, s.fail(err)
	}
	body, sum, err := s.makeExport(ctx, in.ID, actor, in.Body.Kind)
	if err != nil {
		return nil, s.fail(err)
	}
	media := "application/x-ndjson"
	if in.Body.Kind == exportCSV {
		media = "text/csv; charset=utf-8; header=present"
	}
	return &huma.StreamResponse{Body: func(out huma.Context) {
		out.SetHeader("Content-Type", media)
		out.SetHeader("Cache-Control", "no-store")
		out.SetHeader("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":")
		out.SetHeader("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{
			"filename": "consultation-" + in.ID + "-" + in.Body.Kind,
		}))
		out.BodyWriter().Write(body)
	}}, nil
}

// makeExport writes the file from exactly the events that stand before the export.made that it appends.
func (s *Server) makeExport(ctx context.Context, id, actor, kind string) (body []byte, sum [sha256.Size]byte, err error) {
	by := s.deps.Manager.By(actor)
	at, err := s.deps.Appender.Command(ctx, id, func(history []events.Stored) ([]events.Draft, error) {
		if len(history) == 0 {
			return nil, consultation.ErrUnknown
		}
		if kind == exportCSV {
			body, err = asCSV(history)
		} else {
			body = asNDJSON(history)
		}
		if err != nil {
			return nil, err
		}
		sum = sha256.Sum256(body)
		d := events.NewDraft(by.Source, s.deps.Now(), events.ExportMade{Kind: kind, SHA256: hex.EncodeToString(sum[:])})
		d.Actor = actor
		return []events.Draft{d}, nil
	})
	if err != nil {
		return nil, sum, fmt.Errorf("export %s: %w", id, err)
	}
	s.shown(ctx, at.Stream)
	return body, sum, nil
}

// asNDJSON is the stored bytes, one event a line.
func asNDJSON(history []events.Stored) []byte {
	var b bytes.Buffer
	for _, e := range history {
		b.Write(e.Raw)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

var csvHead = []string{"seq", "time", "type", "typeversion", "participant", "actor", "id", "source", "causationid", "prevhash", "data"}

// asCSV is one row an event.
func asCSV(history []events.Stored) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	rows := [][]string{csvHead}
	for _, e := range history {
		rows = append(rows, []string{
			strconv.FormatUint(e.Seq, 10), e.Time.UTC().Format(time.RFC3339Nano), string(e.Type), strconv.Itoa(e.TypeVersion), e.Participant, e.Actor,
			e.ID, e.Source, e.CausationID, e.PrevHash, string(e.Data),
		})
	}
	for _, row := range rows {
		for i := range row {
			row[i] = harmless(row[i])
		}
	}
	if err := w.WriteAll(rows); err != nil {
		return nil, fmt.Errorf("write csv: %w", err)
	}
	return b.Bytes(), nil
}

// harmless keeps a spreadsheet from taking a cell for a formula: an apostrophe before it makes it a text. Spreadsheets
// take the full-width forms for the same, and skip white space before them.
func harmless(cell string) string {
	inner := strings.TrimLeft(cell, " \t\r\n\v\f\u00a0\ufeff")
	first, _ := utf8.DecodeRuneInString(inner)
	if inner != "" && strings.ContainsRune("=+-@＝＋－＠", first) || cell != "" && strings.ContainsRune("\t\r\n", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

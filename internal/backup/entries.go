package backup

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"

	"consilium/internal/events"
	"consilium/internal/events/natslog"
)

// perFile is how many entries of the log one file has. A file that is full never changes again.
const perFile = 10_000

// entry is the line before the bytes of an event.
type entry struct {
	Seq     uint64              `json:"seq"`
	Subject string              `json:"subject"`
	Header  map[string][]string `json:"header,omitempty"`
	Bytes   int                 `json:"bytes"`
}

// maxLine bounds the line before an event.
const maxLine = 64 << 10

// writeEntry writes two lines: what the log knows of an event, and the event's own bytes.
func writeEntry(w io.Writer, m natslog.Message) error {
	line, err := json.Marshal(entry{m.Sequence, m.Subject, m.Header, len(m.Data)})
	if err != nil {
		return fmt.Errorf("encode entry %d: %w", m.Sequence, err)
	}
	line = append(append(append(line, '\n'), m.Data...), '\n')
	_, err = w.Write(line)
	return err
}

// readEntries gives what writeEntry wrote.
func readEntries(r io.Reader) iter.Seq2[natslog.Message, error] {
	return func(yield func(natslog.Message, error) bool) {
		in := bufio.NewReaderSize(r, maxLine)
		for {
			m, err := readEntry(in)
			if errors.Is(err, io.EOF) {
				return
			}
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

// readEntry returns io.EOF at the end and io.ErrUnexpectedEOF within an entry.
func readEntry(in *bufio.Reader) (natslog.Message, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		if len(line) > 0 && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return natslog.Message{}, err
	}
	var e entry
	if err := json.Unmarshal(line, &e); err != nil {
		return natslog.Message{}, fmt.Errorf("read an entry of the log: %w", err)
	}
	if e.Bytes < 0 || e.Bytes > events.MaxSize {
		return natslog.Message{}, fmt.Errorf("read entry %d of the log: a length of %d bytes", e.Seq, e.Bytes)
	}
	data := make([]byte, e.Bytes+1)
	if _, err := io.ReadFull(in, data); err != nil {
		return natslog.Message{}, fmt.Errorf("read entry %d of the log: %w", e.Seq, io.ErrUnexpectedEOF)
	}
	if data[e.Bytes] != '\n' {
		return natslog.Message{}, fmt.Errorf("read entry %d of the log: it is longer than it says", e.Seq)
	}
	return natslog.Message{Sequence: e.Seq, Subject: e.Subject, Header: e.Header, Data: data[:e.Bytes]}, nil
}

// logFile names the file that begins with the entry first.
func logFile(first uint64) string { return fmt.Sprintf("%s/%012d.events", logFolder, first) }

// copyLog copies all entries up to last, and notes what they name.
func (m *maker) copyLog(ctx context.Context, last uint64) ([]File, error) {
	var files []File
	var bytes int64
	for first := uint64(1); first <= last; first += perFile {
		through := min(first+perFile-1, last)
		entries := m.kept(ctx, first, through)
		if entries == nil {
			entries = m.from.Log.Messages(ctx, first, through)
		}
		f, err := create(m.dir, logFile(first), func(w io.Writer) error {
			out := bufio.NewWriterSize(w, 1<<20)
			for e, err := range entries {
				if err != nil {
					return err
				}
				if err := m.found.note(e); err != nil {
					return err
				}
				if err := writeEntry(out, e); err != nil {
					return err
				}
				m.tell(Progress{Stage: "log", Done: int64(e.Sequence), Total: int64(last), Bytes: bytes})
			}
			return out.Flush()
		})
		if err != nil {
			return nil, err
		}
		bytes += f.Bytes
		files = append(files, f)
	}
	m.tell(Progress{Stage: "log", Done: int64(last), Total: int64(last), Bytes: bytes})
	return files, nil
}

// kept gives the entries of a file that the back-up before has and that is full, if they are still those of the log: the
// log's own entry at its end is the same, and with the chains of digests so are those before it. nil: it has to be copied.
func (m *maker) kept(ctx context.Context, first, through uint64) iter.Seq2[natslog.Message, error] {
	f, ok := m.old.file(logFile(first))
	if !ok || through-first+1 < perFile || through > m.old.Last || f.check(m.dir) != nil {
		return nil
	}
	var all []natslog.Message
	for e, err := range readFile(m.dir, f.Name) {
		if err != nil {
			return nil
		}
		all = append(all, e)
	}
	if len(all) != perFile {
		return nil
	}
	for now, err := range m.from.Log.Messages(ctx, through, through) {
		if err != nil || string(now.Data) != string(all[len(all)-1].Data) {
			return nil
		}
	}
	return func(yield func(natslog.Message, error) bool) {
		for _, e := range all {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// readFile gives the entries of one file of a back-up.
func readFile(dir, name string) iter.Seq2[natslog.Message, error] {
	return func(yield func(natslog.Message, error) bool) {
		f, err := os.Open(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			yield(natslog.Message{}, err)
			return
		}
		defer f.Close()
		for e, err := range readEntries(f) {
			if err != nil {
				err = fmt.Errorf("%s: %w", name, err)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// readLog gives all entries of a back-up in order.
func readLog(dir string, m Manifest) iter.Seq2[natslog.Message, error] {
	return func(yield func(natslog.Message, error) bool) {
		for first := uint64(1); first <= m.Last; first += perFile {
			for e, err := range readFile(dir, logFile(first)) {
				if !yield(e, err) || err != nil {
					return
				}
			}
		}
	}
}

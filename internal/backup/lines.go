package backup

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// eachLine gives what the lines of a file of a back-up hold, in their order. A file that the manifest does not name has none:
// older back-ups lack some.
func eachLine[T any](r *restorer, name string, do func(T) error) error {
	if _, ok := r.m.file(name); !ok {
		return nil
	}
	f, err := os.Open(filepath.Join(r.dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	for lines := json.NewDecoder(bufio.NewReader(f)); ; {
		var line T
		err := lines.Decode(&line)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if err := do(line); err != nil {
			return err
		}
	}
}

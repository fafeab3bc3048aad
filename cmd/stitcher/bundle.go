package main

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"consilium/internal/blob"
	"consilium/internal/events"
)

// A bundle is a folder, or a tar file of one, plain or gzipped, with or without the folder's own name:
//
//	events.ndjson                        the stored events, byte for byte, as GET …/events gives them
//	c/<consultation>/segments/…          segments under their keys in the blob store
//	sheets/<consultation>/<digest>.json  names; without it people are called by their roles
const bundleEvents = "events.ndjson"

// openBundle unpacks a bundle into dir, if it has to be, and gives its folder.
func openBundle(path, dir string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.IsDir() {
		return filepath.Abs(path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	in := io.Reader(bufio.NewReader(f))
	if head, _ := in.(*bufio.Reader).Peek(2); string(head) == "\x1f\x8b" {
		if in, err = gzip.NewReader(in); err != nil {
			return "", fmt.Errorf("open bundle: %w", err)
		}
	}
	root, err := os.OpenRoot(dir) // what leads out of it is refused
	if err != nil {
		return "", err
	}
	defer root.Close()
	switch err := unpack(tar.NewReader(in), root); {
	case errors.Is(err, tar.ErrHeader):
		return "", fmt.Errorf("open bundle: %s is neither a folder nor a tar file, plain or gzipped", path)
	case err != nil:
		return "", fmt.Errorf("unpack bundle: %w", err)
	}
	return innermost(dir)
}

// innermost leaves out the name of the packed folder, in which all of a tar file may lie.
func innermost(dir string) (string, error) {
	in, err := os.ReadDir(dir)
	if err != nil || len(in) != 1 || !in[0].IsDir() {
		return dir, err
	}
	return filepath.Join(dir, in[0].Name()), nil
}

// unpack writes the plain files of an archive below root and leaves out everything else.
func unpack(in *tar.Reader, root *os.Root) error {
	for {
		head, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if head.Typeflag != tar.TypeReg {
			continue
		}
		name := filepath.Clean(head.Name)
		if err := root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return err
		}
		out, err := root.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, in)
		if err := errors.Join(err, out.Close()); err != nil {
			return err
		}
	}
}

// readBundle reads the events of a bundle and checks that they are one chain.
func readBundle(dir string) ([]events.Stored, error) {
	f, err := os.Open(filepath.Join(dir, bundleEvents))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the bundle has no %s", bundleEvents)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []events.Stored
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	var chain events.Chain
	for lines.Scan() {
		if len(strings.TrimSpace(lines.Text())) == 0 {
			continue
		}
		raw := append([]byte(nil), lines.Bytes()...)
		stored, err := events.Open(raw, uint64(len(all)+1))
		if err == nil {
			err = chain.Next(stored)
		}
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", bundleEvents, len(all)+1, err)
		}
		all = append(all, stored)
	}
	return all, lines.Err()
}

// overlaid reads from below what is not above, and writes above.
type overlaid struct {
	*blob.Store
	below *blob.Store
}

// overlay opens two folders as one blob store that leaves the first as it is.
func overlay(ctx context.Context, below, above string) (*overlaid, error) {
	lower, err := blob.Open(ctx, fileURL(below))
	if err != nil {
		return nil, err
	}
	upper, err := blob.Open(ctx, fileURL(above))
	if err != nil {
		return nil, errors.Join(err, lower.Close())
	}
	return &overlaid{Store: upper, below: lower}, nil
}

// Get gives a blob.
func (o *overlaid) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	r, err := o.Store.Get(ctx, key)
	if errors.Is(err, blob.ErrNotFound) {
		return o.below.Get(ctx, key)
	}
	return r, err
}

// Close closes both.
func (o *overlaid) Close() error { return errors.Join(o.Store.Close(), o.below.Close()) }

func fileURL(dir string) string { return (&url.URL{Scheme: "file", Path: dir}).String() }

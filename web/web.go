// Package web carries the pages of Consilium inside the binary: joining a consultation, the list of consultations, and
// one consultation with its archive and its events.
//
// In come the files that `npm run build` writes to dist; out goes a read-only file system that the HTTP server serves.
// It never builds anything, and it knows nothing of requests, tokens or consultations.
package web

import (
	"embed"
	"io/fs"
)

// all: takes the dot files too, so that a clone without a build still has something to embed.
//
//go:embed all:dist
var dist embed.FS

// Files is the built front end: join.html, consultations.html and consultation.html at the root, everything that they
// refer to under assets/. Names under assets/ hold a hash of their content and may be cached for ever; the pages
// themselves may not.
func Files() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic("web: the embedded folder dist is gone: " + err.Error()) // impossible: the directive above names it
	}
	return files
}

// Built says whether the front end was built before this binary was: without it there are no pages, and whoever serves them
// has to say which command builds them.
func Built() bool {
	_, err := fs.Stat(Files(), "join.html")
	return err == nil
}

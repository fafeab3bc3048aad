package blob

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// ErrBadKey says that a key is not one: it must be parts of [A-Za-z0-9._-] joined by single slashes, none of them "."
// or "..", at most 200 bytes a part and 900 together. So every key is a path below the store's folder and an S3 key alike.
var ErrBadKey = errors.New("bad blob key")

const (
	maxKey  = 900
	maxPart = 200 // leaves room for the ending of a temporary file
)

func checkKey(key string) error {
	if len(key) > maxKey {
		return fmt.Errorf("%w: longer than %d bytes", ErrBadKey, maxKey)
	}
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || part == "." || part == ".." || len(part) > maxPart || strings.ContainsFunc(part, notInKey) {
			return fmt.Errorf("%w: %q", ErrBadKey, key)
		}
	}
	return nil
}

func notInKey(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '_', r == '-':
		return false
	}
	return true
}

// contentType tells S3 what a key of ours holds. A given type also keeps the driver from waiting for the first bytes to
// guess one.
func contentType(key string) string {
	types := map[string]string{
		".mp4": "video/mp4", ".ogg": "audio/ogg", ".json": "application/json", ".ndjson": "application/x-ndjson",
		".vtt": "text/vtt", ".jpg": "image/jpeg", ".ts": "video/mp2t",
	}
	if t := types[path.Ext(key)]; t != "" {
		return t
	}
	return "application/octet-stream"
}

package store

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"

	"github.com/google/uuid"
)

// cursorVersion changes with the order of lists, so that a cursor of another order is refused.
const cursorVersion = 1

var errCursor = invalid("cursor", "the cursor is not one of a list given out before")

// cursor is the place after which a list goes on: the order's key of the last row shown.
type cursor struct {
	heldAt time.Time
	id     uuid.UUID
}

// String is opaque to clients and safe in a URL.
func (c cursor) String() string {
	raw := binary.BigEndian.AppendUint64([]byte{cursorVersion}, uint64(c.heldAt.UnixMicro()))
	return base64.RawURLEncoding.EncodeToString(append(raw, c.id[:]...))
}

// parseCursor is String undone. What comes from elsewhere is refused with ErrInvalid.
func parseCursor(text string) (cursor, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != 1+8+16 || raw[0] != cursorVersion || strings.ContainsAny(text, "\r\n") { // which base64 reads over
		return cursor{}, errCursor
	}
	at := time.UnixMicro(int64(binary.BigEndian.Uint64(raw[1:9]))).UTC()
	if y := at.Year(); y < 1 || y > 9999 {
		return cursor{}, errCursor
	}
	return cursor{heldAt: at, id: uuid.UUID(raw[9:])}, nil
}

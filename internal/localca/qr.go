package localca

import (
	"fmt"
	"strings"

	"rsc.io/qr"
)

// quiet is the width of the light frame that scanners need (ISO/IEC 18004 §5.3.8).
const quiet = 4

// QR draws text as a QR code for a terminal, two rows of dots a line. Light is drawn and dark is left out, which is right
// on a dark terminal; scanners read the inverse of a light one as well.
func QR(text string) (string, error) {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return "", fmt.Errorf("draw QR code: %w", err)
	}
	light := func(x, y int) bool { return !code.Black(x, y) } // outside of the code is light
	var out strings.Builder
	for y := -quiet; y < code.Size+quiet; y += 2 {
		for x := -quiet; x < code.Size+quiet; x++ {
			out.WriteString(half(light(x, y), light(x, y+1) && y+1 < code.Size+quiet))
		}
		out.WriteByte('\n')
	}
	return out.String(), nil
}

func half(upper, lower bool) string {
	switch {
	case upper && lower:
		return "█"
	case upper:
		return "▀"
	case lower:
		return "▄"
	default:
		return " "
	}
}

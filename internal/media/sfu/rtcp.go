package sfu

import (
	"errors"
	"io"

	"github.com/pion/rtcp"
)

// readRTCP hands every RTCP packet to take until read says that the stream has ended, or fails too often in a row. What
// cannot be parsed is left out.
func readRTCP(read func([]byte) (int, error), take func(rtcp.Packet)) {
	buffer := make([]byte, maxPacket)
	for failures := 0; failures < maxReadErrors; {
		n, err := read(buffer)
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe):
			return
		case err != nil:
			failures++
			continue
		}
		failures = 0
		packets, err := rtcp.Unmarshal(buffer[:n])
		if err != nil {
			continue
		}
		for _, packet := range packets {
			take(packet)
		}
	}
}

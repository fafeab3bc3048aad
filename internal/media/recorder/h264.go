package recorder

import (
	"bytes"
	"slices"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
)

// Types of NAL units and of their packets (RFC 6184 §5.2).
const (
	nalIDR  = 5
	nalSPS  = 7
	nalPPS  = 8
	nalFUA  = 28
	nalMask = 0x1f
)

// startCode stands before each NAL unit in Annex B, as pion's depacketizer writes it.
var startCode = []byte{0, 0, 0, 1}

// h264Starts says whether a payload can start an access unit: it is not the rest of a fragmented NAL unit.
func h264Starts(payload []byte) (bool, error) {
	if len(payload) < 2 {
		return false, errShort
	}
	return payload[0]&nalMask != nalFUA || payload[1]&0x80 != 0, nil
}

// h264Sets remembers the newest parameter sets: a file can be cut at any IDR frame only if they stand before each, and
// not every device repeats them.
type h264Sets struct {
	sps, pps []byte
}

// unit puts an access unit together as Annex B, with parameter sets before an IDR frame that has none; nil when it
// holds no picture.
func (h *h264Sets) unit(packets []*rtp.Packet) ([]byte, error) {
	unit, err := joined(&codecs.H264Packet{}, packets)
	if err != nil {
		return nil, err
	}
	var picture, idr, sps bool
	for nal := range bytes.SplitSeq(unit, startCode) {
		if len(nal) == 0 {
			continue
		}
		switch kind := nal[0] & nalMask; kind {
		case nalSPS:
			h.sps, sps = slices.Clone(nal), true
		case nalPPS:
			h.pps = slices.Clone(nal)
		case 1, 2, 3, 4, nalIDR:
			picture, idr = true, idr || kind == nalIDR
		}
	}
	if !picture {
		return nil, nil
	}
	if idr && !sps && h.sps != nil && h.pps != nil {
		unit = slices.Concat(startCode, h.sps, startCode, h.pps, unit)
	}
	return unit, nil
}

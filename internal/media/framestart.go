package media

// StartsPicture says whether the payload of an RTP packet is the first of a picture. For AV1 that is known of pictures
// only with which a video begins. For H.264 it cannot be told from one packet, and all are taken for first ones; so are
// those without content.
func StartsPicture(c Codec, payload []byte) bool {
	if len(payload) == 0 {
		return true
	}
	switch c {
	case VP8: // RFC 7741 §4.2: S, and the index of the partition
		return payload[0]&0x10 != 0 && payload[0]&0x07 == 0
	case VP9: // RFC 9628 §4.2: B
		return payload[0]&0x08 != 0
	case AV1: // RTP payload format for AV1, §4.4: N, first packet of a coded video sequence
		return payload[0]&0x08 != 0
	default:
		return true
	}
}

package media

import "github.com/pion/rtp/codecs/av1/obu"

// av1Keyframe looks for a sequence header among the OBUs of a temporal unit.
func av1Keyframe(b []byte) (bool, int, int) {
	for len(b) > 0 {
		h, err := obu.ParseOBUHeader(b)
		if err != nil {
			return false, 0, 0
		}
		b = b[h.Size():]
		body := b
		if h.HasSizeField {
			size, n, err := obu.ReadLeb128(b)
			if err != nil {
				return false, 0, 0
			}
			b = b[n:]
			body = b[:min(uint64(size), uint64(len(b)))]
		}
		if h.Type == obu.OBUSequenceHeader {
			width, height, ok := av1Size(body)
			return ok, width, height
		}
		b = b[len(body):]
	}
	return false, 0, 0
}

// av1Size reads max_frame_width and max_frame_height of a sequence header (AV1 specification §5.5.1).
func av1Size(b []byte) (width, height int, ok bool) {
	r := &bitReader{b: b}
	r.bits(3) // seq_profile
	r.bits(1) // still_picture
	if r.flag() {
		r.bits(5) // reduced_still_picture_header: seq_level_idx only
	} else {
		av1OperatingPoints(r)
	}
	widthBits := int(r.bits(4)) + 1
	heightBits := int(r.bits(4)) + 1
	width = int(r.bits(widthBits)) + 1
	height = int(r.bits(heightBits)) + 1
	return width, height, !r.short
}

// av1OperatingPoints skips timing, decoder model and operating points.
func av1OperatingPoints(r *bitReader) {
	decoderModel, delayBits := false, 0
	if r.flag() { // timing_info_present_flag
		r.bits(32) // num_units_in_display_tick
		r.bits(32) // time_scale
		if r.flag() {
			r.golomb() // num_ticks_per_picture_minus_1, uvlc
		}
		if decoderModel = r.flag(); decoderModel {
			delayBits = int(r.bits(5)) + 1
			r.bits(32) // num_units_in_decoding_tick
			r.bits(10) // buffer_removal_time_length, frame_presentation_time_length
		}
	}
	initialDelay := r.flag()
	for range r.bits(5) + 1 {
		r.bits(12)          // operating_point_idc
		if r.bits(5) >= 8 { // seq_level_idx
			r.bits(1) // seq_tier
		}
		if decoderModel && r.flag() {
			r.bits(2*delayBits + 1) // decoder and encoder buffer delay, low delay mode
		}
		if initialDelay && r.flag() {
			r.bits(4)
		}
	}
}

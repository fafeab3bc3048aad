package media

import "bytes"

// Types of NAL units (H.264 table 7-1).
const (
	nalIDR = 5
	nalSPS = 7
)

// h264Keyframe looks for a sequence parameter set and an IDR slice behind it in Annex B bytes.
func h264Keyframe(b []byte) (bool, int, int) {
	width, height, sized := 0, 0, false
	for {
		at := bytes.Index(b, []byte{0, 0, 1})
		if at < 0 || at+3 >= len(b) {
			return false, 0, 0
		}
		b = b[at+3:]
		switch b[0] & 0x1f {
		case nalSPS:
			width, height, sized = h264Size(b[1:])
		case nalIDR:
			return sized, width, height
		}
	}
}

// h264Size reads the picture size of a sequence parameter set (H.264 §7.3.2.1.1), cropping taken off.
func h264Size(sps []byte) (width, height int, ok bool) {
	if end := bytes.Index(sps, []byte{0, 0, 1}); end >= 0 {
		sps = sps[:end]
	}
	r := &bitReader{b: bytes.ReplaceAll(sps, []byte{0, 0, 3}, []byte{0, 0})} // without emulation prevention
	profile := r.bits(8)
	r.bits(16)
	r.golomb() // seq_parameter_set_id
	chroma := uint64(1)
	switch profile {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135:
		chroma = h264Chroma(r)
	}
	r.golomb()          // log2_max_frame_num_minus4
	h264PictureOrder(r) //
	r.golomb()          // max_num_ref_frames
	r.bits(1)           // gaps_in_frame_num_value_allowed_flag
	wide := r.golomb() + 1
	high := r.golomb() + 1
	fields := uint64(1) // height counts fields unless frame_mbs_only_flag
	if !r.flag() {
		fields = 2
		r.bits(1)
	}
	r.bits(1) // direct_8x8_inference_flag
	var crop [4]uint64
	if r.flag() {
		for i := range crop {
			crop[i] = r.golomb()
		}
	}
	unitX, unitY := uint64(1), fields
	if chroma == 1 || chroma == 2 {
		unitX = 2
	}
	if chroma == 1 {
		unitY *= 2
	}
	w, h := wide*16, high*16*fields
	cutX, cutY := (crop[0]+crop[1])*unitX, (crop[2]+crop[3])*unitY
	if r.short || w > 1<<14 || h > 1<<14 || cutX >= w || cutY >= h {
		return 0, 0, false
	}
	return int(w - cutX), int(h - cutY), true
}

// h264Chroma reads the fields that only the high profiles have and returns chroma_format_idc.
func h264Chroma(r *bitReader) uint64 {
	chroma := r.golomb()
	lists := 8
	if chroma == 3 {
		r.bits(1) // separate_colour_plane_flag
		lists = 12
	}
	r.golomb() // bit_depth_luma_minus8
	r.golomb() // bit_depth_chroma_minus8
	r.bits(1)
	if !r.flag() { // seq_scaling_matrix_present_flag
		return chroma
	}
	for i := range lists {
		if r.flag() {
			size := 16
			if i >= 6 {
				size = 64
			}
			h264SkipScaling(r, size)
		}
	}
	return chroma
}

func h264SkipScaling(r *bitReader, size int) {
	last, next := int64(8), int64(8)
	for range size {
		if next != 0 {
			next = (last + r.signedGolomb() + 256) % 256
		}
		if next != 0 {
			last = next
		}
	}
}

func h264PictureOrder(r *bitReader) {
	switch r.golomb() {
	case 0:
		r.golomb()
	case 1:
		r.bits(1)
		r.golomb()
		r.golomb()
		for range min(r.golomb(), 255) {
			r.golomb()
		}
	}
}

package media

import (
	"bytes"
	"errors"
	"fmt"
)

// ErrH264Order says that it cannot be told in which order pictures are shown.
var ErrH264Order = errors.New("the order of pictures of H.264 is not known")

// H264Order reads from pictures themselves in which order they are to be shown (H.264 §8.2.1), whatever a container says. It is
// for frames, not fields, in the order of decoding.
type H264Order struct {
	frameNumber int // bits of frame_num
	lsb         int // bits of pic_order_cnt_lsb; 0: pictures are shown in the order of decoding

	high, low int64 // of the reference picture before
	shown     int64 // of the picture before
}

// NewH264Order prepares reading pictures that have this sequence parameter set.
func NewH264Order(sps []byte) (*H264Order, error) {
	if len(sps) < 4 || sps[0]&0x1f != nalSPS {
		return nil, ErrH264Order
	}
	r := &bitReader{b: bytes.ReplaceAll(sps[1:], []byte{0, 0, 3}, []byte{0, 0})} // without emulation prevention
	o := &H264Order{}
	profile := r.bits(8)
	r.bits(16)
	r.golomb() // seq_parameter_set_id
	switch profile {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135:
		h264Chroma(r)
	}
	o.frameNumber = int(r.golomb()) + 4
	switch kind := r.golomb(); kind {
	case 0:
		o.lsb = int(r.golomb()) + 4
	case 2:
	default:
		return nil, fmt.Errorf("%w: pic_order_cnt_type %d", ErrH264Order, kind)
	}
	r.golomb() // max_num_ref_frames
	r.bits(1)
	r.golomb()
	r.golomb()
	if frames := r.flag(); r.short || !frames || o.frameNumber > 16 || o.lsb > 16 {
		return nil, fmt.Errorf("%w: fields, or a damaged parameter set", ErrH264Order)
	}
	return o, nil
}

// Next is the place of the next picture in the order of showing: a number that grows with it, and begins again with each
// picture that needs no other.
func (o *H264Order) Next(p H264Picture) (int64, error) {
	if len(p.Slices) == 0 {
		return 0, fmt.Errorf("%w: a picture of nothing", ErrH264Order)
	}
	if o.lsb == 0 {
		if o.shown++; p.Key {
			o.shown = 0
		}
		return o.shown, nil
	}
	slice := p.Slices[0]
	head := slice[1:min(len(slice), 32)]
	r := &bitReader{b: bytes.ReplaceAll(head, []byte{0, 0, 3}, []byte{0, 0})}
	r.golomb() // first_mb_in_slice
	r.golomb() // slice_type
	r.golomb() // pic_parameter_set_id
	r.bits(o.frameNumber)
	if p.Key {
		r.golomb() // idr_pic_id
		o.high, o.low = 0, 0
	}
	low := int64(r.bits(o.lsb))
	if r.short {
		return 0, fmt.Errorf("%w: a slice of %d bytes", ErrH264Order, len(slice))
	}
	high, all := o.high, int64(1)<<o.lsb
	switch {
	case low < o.low && o.low-low >= all/2:
		high += all
	case low > o.low && low-o.low > all/2:
		high -= all
	}
	if slice[0]>>5&3 != 0 { // others refer to it
		o.high, o.low = high, low
	}
	return high + low, nil
}

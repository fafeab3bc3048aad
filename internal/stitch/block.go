package stitch

import (
	"encoding/binary"
	"math"
	"slices"

	"consilium/internal/ffmpeg"
)

// block is a stretch of sound, channel by channel. Voices are mono nearly always, and then it would be a waste to do all
// twice: while single is true every channel is what the first one is, and the others are not to be read.
type block struct {
	channels [ffmpeg.Channels][]float32
	single   bool
}

// newBlock is a block of so many samples, silent.
func newBlock(samples int) *block {
	b := &block{single: true}
	for c := range b.channels {
		b.channels[c] = make([]float32, samples)
	}
	return b
}

// silent makes silence of the first samples of the block, and gives them.
func (b *block) silent(samples int) *block {
	clear(b.channels[0][:samples])
	b.single = true
	return b.part(0, samples)
}

// len is the number of samples.
func (b *block) len() int { return len(b.channels[0]) }

// part is the stretch from one sample to another. It shares them.
func (b *block) part(from, to int) *block {
	p := &block{single: b.single}
	for c := range b.channels {
		p.channels[c] = b.channels[c][from:to]
	}
	return p
}

// different are the channels that have to be looked at.
func (b *block) different() [][]float32 {
	if b.single {
		return b.channels[:1]
	}
	return b.channels[:]
}

// separate makes every channel one of its own, where they are one.
func (b *block) separate() {
	if !b.single {
		return
	}
	for _, c := range b.channels[1:] {
		copy(c, b.channels[0])
	}
	b.single = false
}

// channel is what one channel is.
func (b *block) channel(c int) []float32 {
	if b.single {
		c = 0
	}
	return b.channels[c]
}

// mono is the mean of the channels, in a block that is written over.
func (b *block) mono(into *block) *block {
	if b.single {
		return b
	}
	out := into.part(0, b.len())
	out.single = true
	left, right := b.channels[0], b.channels[1][:b.len()]
	for i, v := range left {
		out.channels[0][i] = (v + right[i]) / ffmpeg.Channels
	}
	return out
}

// frameBytes is the size of a sample of all channels as they are encoded.
const frameBytes = 4 * ffmpeg.Channels

// append writes so many channels of the block as floats behind raw.
func (b *block) append(raw []byte, channels int) []byte {
	size := 4 * channels
	raw = slices.Grow(raw, size*b.len())
	out := raw[len(raw) : len(raw)+size*b.len()]
	for c := range channels {
		for i, v := range b.channel(c) {
			binary.LittleEndian.PutUint32(out[size*i+4*c:], math.Float32bits(v))
		}
	}
	return raw[:len(raw)+len(out)]
}

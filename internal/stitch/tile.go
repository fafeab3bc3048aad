package stitch

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"consilium/internal/media"
	"consilium/internal/render"
	"consilium/internal/timeline"
)

// The time base of a tile file: every output frame has room for many frames of the source that are decoded in it, the
// last of which is shown.
const (
	ticksPerFrame = 1 << 16
	mostInFrame   = ticksPerFrame/2 - 1 // half a frame further it would be rounded into the next one
)

// footage is the file of one video segment, scanned.
type footage struct {
	of   segmentRef
	scan media.IVFScan
}

// moment is when a frame was captured, in nanoseconds of archive time, if clip shows it.
func (f footage) moment(clip timeline.Clip, frame int) int64 {
	h := f.scan.Header
	file := float64(f.scan.Frames[frame].PTS) * float64(h.Num) / float64(h.Den) * 1e9
	return clip.StartNS + int64(math.Round((file-float64(clip.FileStartNS))/clip.Rate))
}

// slack lets a frame count as within a clip when only rounding put it outside.
const slack = int64(500_000)

// shows says whether the frame captured at ns is shown by clip.
func shows(clip timeline.Clip, ns int64) bool {
	return ns >= clip.StartNS-slack && ns < clip.EndNS
}

// moments are when the frames that clip shows were captured.
func (f footage) moments(clip timeline.Clip) []int64 {
	var all []int64
	for i := range f.scan.Frames {
		if ns := f.moment(clip, i); shows(clip, ns) {
			all = append(all, ns)
		}
	}
	return all
}

// packet is one frame of the source on its way into a tile file.
type packet struct {
	of    segmentRef  // where it comes from
	file  io.ReaderAt // the same, open; only where it is to be read
	frame media.IVFFrame
	slot  int64   // output frame in which it is decoded, counted from the chunk's first
	shown bool    // not only decoded because later frames need it
	off   float64 // by how much of an output frame that is later than its moment less the phase
	ns    int64   // its moment
}

// errNoPicture says that there is no frame to show in a chunk.
var errNoPicture = errors.New("no frame to show")

// cutTile lists the packets that show clips for frames output frames from start on: from a keyframe on, a picture in slot
// 0, and each one in the slot next to its moment less the phase. What has to be decoded but is not to be seen shares the
// slot of the next picture. source finds the footage of a segment.
func cutTile(clips []timeline.Clip, source func(segment string) footage, phases shifts, start, frames int64) ([]packet, error) {
	of := func(clip timeline.Clip) []packet { return clipPackets(clip, source(clip.Segment), phases, start) }
	var all []packet
	begun := slices.IndexFunc(clips, func(c timeline.Clip) bool { return c.EndNS > render.TimeOfFrame(start) })
	if begun < 0 {
		begun = len(clips)
	}
	for _, clip := range clips[begun:] {
		if clip.StartNS > render.TimeOfFrame(start+frames+1) {
			break
		}
		all = append(all, of(clip)...)
	}
	// What is seen first may be the last picture of what ended before.
	for first := firstShown(all); begun > 0 && (first < 0 || all[first].slot > 0); first = firstShown(all) {
		begun--
		all = append(of(clips[begun]), all...)
	}
	first := firstShown(all)
	if first < 0 {
		return nil, errNoPicture
	}
	from := first
	for !all[from].frame.Key {
		from-- // the packets of every clip begin with a keyframe
	}
	all = all[from:]
	slot := int64(0)
	for i := range all {
		if i <= first-from {
			all[i].slot = 0
		}
		if slot = max(slot, all[i].slot); slot >= frames {
			return all[:i], nil
		}
		all[i].slot = slot
	}
	return all, nil
}

// firstShown is the packet that is to be seen in slot 0: the last picture up to there or, where the first one comes
// later, that one. -1 when there is none.
func firstShown(all []packet) int {
	first := -1
	for i, p := range all {
		if p.shown && (first < 0 || p.slot <= 0) {
			first = i
		}
	}
	return first
}

// slotAt is the output frame next to a moment less the phase, and where that lies exactly.
func slotAt(ns int64, phases shifts) (nearest, exact float64) {
	exact = (float64(ns) - nanoseconds(phases.at(ns))) * render.Rate / 1e9
	return math.Floor(exact + 0.5), exact
}

// keyframes are the output frames in which the keyframes of what clips show are seen, ascending.
func keyframes(clips []timeline.Clip, source func(segment string) footage, phases shifts) []int64 {
	var all []int64
	for _, clip := range clips {
		f := source(clip.Segment)
		for i, frame := range f.scan.Frames {
			if !frame.Key {
				continue
			}
			if ns := f.moment(clip, i); shows(clip, ns) {
				slot, _ := slotAt(ns, phases)
				all = append(all, int64(slot))
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// clipPackets are the packets of one clip, with those in front that its first picture needs, from a keyframe on.
func clipPackets(clip timeline.Clip, f footage, phases shifts, start int64) []packet {
	var all []packet
	key, any := -1, false // the newest keyframe in all, and whether all has a picture
	for i, frame := range f.scan.Frames {
		ns := f.moment(clip, i)
		if ns >= clip.EndNS {
			break
		}
		if frame.Key && !any {
			all, key = all[:0], i
		}
		if key < 0 {
			continue
		}
		nearest, exact := slotAt(ns, phases)
		slot := int64(nearest) - start
		p := packet{of: f.of, frame: frame, slot: slot, shown: shows(clip, ns), off: nearest - exact, ns: ns}
		all = append(all, p)
		if p.shown && !any {
			any = true
			for j := range all {
				all[j].slot = slot
			}
		}
	}
	if !any {
		return nil
	}
	return all
}

// errTooManyFrames says that more frames would have to be decoded for one output frame than a tile file has room for.
var errTooManyFrames = errors.New("too many frames for one moment")

// writeTile writes packets as an IVF file for frames output frames. A copy of its first keyframe stands behind the end:
// a reader holds the last picture until then, instead of dropping it because nothing says how long it lasts.
func writeTile(w io.Writer, h media.IVFHeader, packets []packet, frames int64) error {
	out := bufio.NewWriterSize(w, 256<<10)
	h.Num, h.Den, h.Frames = 1, render.Rate*ticksPerFrame, uint32(len(packets)+1)
	head := media.AppendIVFHeader(nil, h)
	if _, err := out.Write(head); err != nil {
		return fmt.Errorf("write tile: %w", err)
	}
	slot, inSlot := int64(-1), int64(0)
	for _, p := range append(packets[:len(packets):len(packets)], packet{file: packets[0].file, frame: packets[0].frame, slot: frames + 1}) {
		if inSlot++; p.slot != slot {
			slot, inSlot = p.slot, 0
		}
		if inSlot > mostInFrame {
			return fmt.Errorf("write tile: %w", errTooManyFrames)
		}
		head = media.AppendIVFFrameHeader(head[:0], p.frame.Length, slot*ticksPerFrame+inSlot)
		if _, err := out.Write(head); err != nil {
			return fmt.Errorf("write tile: %w", err)
		}
		n, err := io.Copy(out, io.NewSectionReader(p.file, p.frame.Offset, int64(p.frame.Length)))
		if err == nil && n < int64(p.frame.Length) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("write tile: copy frame at %d: %w", p.frame.Offset, err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write tile: %w", err)
	}
	return nil
}

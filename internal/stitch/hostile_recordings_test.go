package stitch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/ffmpeg"
	"consilium/internal/media"
	"consilium/internal/timeline"
)

// hostileRecordings are the cases in which a recording, or what the log says of it, is not what it should be.
func hostileRecordings() []hostile {
	return slices.Concat(lostPictures(), brokenPictures(), strangePictures(), strangeEvents(), restlessPictures(), lostSounds(), brokenSounds())
}

// lostPictures were recorded well; what happened to them happened in the blob store.
func lostPictures() []hostile {
	stored := func(name string, cause timeline.Cause, change func(v *victim, b []byte) []byte) hostile {
		return hostile{name: name, shows: nothing, cause: cause, do: func(v *victim) {
			v.shown(v.sources.two)
			if b := change(v, bytes.Clone(v.sources.two.content)); b == nil {
				v.gone(media.VP8)
			} else {
				v.overwritten(media.VP8, b)
			}
		}}
	}
	return []hostile{
		stored("a file that is gone", timeline.Missing, func(*victim, []byte) []byte { return nil }),
		stored("an empty file", timeline.Corrupt, func(*victim, []byte) []byte { return []byte{} }),
		stored("a file that was cut off", timeline.Corrupt, func(_ *victim, b []byte) []byte { return b[:len(b)*2/3] }),
		stored("a bit that was turned over", timeline.Corrupt, func(_ *victim, b []byte) []byte { b[len(b)/2] ^= 0x10; return b }),
		stored("one byte too many", timeline.Corrupt, func(_ *victim, b []byte) []byte { return append(b, 0) }),
		stored("the file of somebody else", timeline.Corrupt, func(v *victim, _ []byte) []byte { return v.sources.one.content }),
		stored("a hundred times as long", timeline.Corrupt, func(_ *victim, b []byte) []byte { return bytes.Repeat(b, 100) }),
	}
}

// at30 changes the 31st frame of a file, with which its second second begins. at is where its header begins.
func at30(change func(b []byte, at int) []byte) func([]byte) []byte {
	return func(b []byte) []byte { return change(b, frameAt(b, 30)) }
}

// putPTS writes the times of the frames from the 31st on.
func putPTS(pts func(n int64) int64) func([]byte) []byte {
	return func(b []byte) []byte {
		at := frameAt(b, 30)
		for n := int64(30); at < len(b); n++ {
			binary.LittleEndian.PutUint64(b[at+4:], uint64(pts(n)))
			at += media.IVFFrameHeaderSize + int(binary.LittleEndian.Uint32(b[at:]))
		}
		return b
	}
}

// brokenPictures are files that were sealed as they are: their digest is right, and they are no good all the same.
func brokenPictures() []hostile {
	sealed := func(name string, shows []view, change func(b []byte) []byte) hostile {
		return hostile{name: name, shows: shows, cause: timeline.Corrupt, do: func(v *victim) { v.shown(v.sources.two.changed(change)) }}
	}
	text := func(s string) func([]byte) []byte { return func([]byte) []byte { return []byte(s) } }
	return []hostile{
		sealed("a sealed file without a byte", nothing, text("")),
		sealed("half a header", nothing, func(b []byte) []byte { return b[:20] }),
		sealed("a header and no frame", nothing, func(b []byte) []byte { return b[:32] }),
		sealed("another signature", nothing, func(b []byte) []byte { copy(b, "RIFF"); return b }),
		sealed("another length of the header", nothing, func(b []byte) []byte { b[6] = 64; return b }),
		sealed("the name of another codec", nothing, func(b []byte) []byte { copy(b[8:], "VP90"); return b }),
		sealed("the name of no codec", nothing, func(b []byte) []byte { copy(b[8:], "\x00%n/"); return b }),
		sealed("a time base of nothing", nothing, func(b []byte) []byte { clear(b[16:24]); return b }),
		sealed("another time base", nothing, func(b []byte) []byte { binary.LittleEndian.PutUint32(b[16:], 30); return b }),
		sealed("a playlist in place of a recording", nothing, text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n")),
		sealed("a list of files in place of a recording", nothing, text("ffconcat version 1.0\nfile /etc/passwd\n")),
		sealed("a playlist in place of every frame", nothing, func(b []byte) []byte {
			return everyFrame(b, func(_ int, f []byte) []byte { return []byte("#EXTM3U\nfile:///etc/passwd\n") })
		}),

		sealed("a frame that is cut off", half, at30(func(b []byte, at int) []byte { return b[:at+20] })),
		sealed("a frame header that is cut off", half, at30(func(b []byte, at int) []byte { return b[:at+5] })),
		sealed("a frame without a byte", half, at30(func(b []byte, at int) []byte { clear(b[at : at+4]); return b })),
		sealed("a frame longer than the file", half, at30(func(b []byte, at int) []byte { binary.LittleEndian.PutUint32(b[at:], 1<<24); return b })),
		sealed("a first frame of four gigabytes", nothing, func(b []byte) []byte { binary.LittleEndian.PutUint32(b[32:], 1<<32-1); return b }),
		sealed("times that go back", half, putPTS(func(n int64) int64 { return (n - 20) * 3000 })),
		sealed("times that stand", half, putPTS(func(int64) int64 { return 29 * 3000 })),
		sealed("times that jump by ten hours", half, putPTS(func(n int64) int64 { return n*3000 + 36_000*90_000 })),
		sealed("times that jump by three seconds", half, putPTS(func(n int64) int64 { return n*3000 + 3*90_000 })),
		sealed("times that jump to the end of time", half, putPTS(func(n int64) int64 { return 1<<61 + n })),
		sealed("times below zero", half, putPTS(func(n int64) int64 { return -n })),
		sealed("times that begin after ten hours", nothing, func(b []byte) []byte {
			return everyPTS(b, func(n int64) int64 { return 36_000*90_000 + n*3000 })
		}),
		{name: "all frames at once", shows: []view{{0, either}, {700, carding}}, cause: timeline.Loss, do: func(v *victim) {
			c := v.sources.two.changed(func(b []byte) []byte { return everyPTS(b, func(n int64) int64 { return n }) })
			c.ticks = 59
			v.shown(c)
		}},
	}
}

// everyPTS writes the times of all frames.
func everyPTS(b []byte, pts func(n int64) int64) []byte {
	at := media.IVFHeaderSize
	for n := int64(0); at < len(b); n++ {
		binary.LittleEndian.PutUint64(b[at+4:], uint64(pts(n)))
		at += media.IVFFrameHeaderSize + int(binary.LittleEndian.Uint32(b[at:]))
	}
	return b
}

// everyFrame replaces the frames.
func everyFrame(b []byte, with func(n int, frame []byte) []byte) []byte {
	out := bytes.Clone(b[:media.IVFHeaderSize])
	for n, f := range ivfFrames(b) {
		f = with(n, f)
		out = append(media.AppendIVFFrameHeader(out, len(f), int64(n)*3000), f...)
	}
	return out
}

// strangePictures are whole files with pictures that are not what they say, or not what one is used to.
func strangePictures() []hostile {
	frames := func(name string, shows []view, cause timeline.Cause, with func(n int, f []byte) []byte) hostile {
		return hostile{name: name, shows: shows, cause: cause, do: func(v *victim) {
			v.shown(v.sources.one.changed(func(b []byte) []byte { return everyFrame(b, with) }))
		}}
	}
	drawn := func(name string, shows []view, cause timeline.Cause, with func(n int, f []byte) []byte) hostile {
		c := frames(name, shows, cause, with)
		c.drawn = true
		return c
	}
	sized := func(w, h uint16) func(int, []byte) []byte {
		return func(_ int, f []byte) []byte {
			f = bytes.Clone(f)
			if f[0]&1 == 0 {
				binary.LittleEndian.PutUint16(f[6:], w)
				binary.LittleEndian.PutUint16(f[8:], h)
			}
			return f
		}
	}
	broken := bytes.Repeat([]byte{0x31, 0xff, 0xff}, 20)
	at := func(rate int) func(v *victim) {
		return func(v *victim) { v.shown(twoColours(v.t, "160x90", "blue", "yellow", 1000, rate)) }
	}
	return []hostile{
		frames("no keyframe at all", nothing, timeline.Corrupt, func(_ int, f []byte) []byte {
			f = bytes.Clone(f)
			f[0] |= 1
			return f
		}),
		{name: "the first keyframe after a second", shows: later, cause: timeline.Corrupt, do: func(v *victim) {
			v.shown(v.sources.two.changed(func(b []byte) []byte {
				return everyFrame(b, func(n int, f []byte) []byte {
					if n > 0 {
						return f
					}
					return broken
				})
			}))
		}},
		drawn("no frame decodes but the first", []view{{0, first}, {1000, either}}, timeline.Corrupt, func(n int, f []byte) []byte {
			if n == 0 {
				return f
			}
			return broken
		}),
		frames("a picture of 16383x16383", nothing, timeline.Corrupt, sized(16383, 16383)),
		frames("a picture of 16383x1", []view{{0, either}}, "", sized(16383, 1)),
		frames("a picture of 0x0", nothing, timeline.Corrupt, sized(0, 0)),
		{name: "a size that changes within the file", shows: half, cause: timeline.Corrupt, do: func(v *victim) {
			frames := slices.Concat(ivfFrames(v.sources.two.content)[:30], ivfFrames(v.sources.big.content))
			v.shown(packed(frames, "160x90", 30))
		}},
		{name: "a size in the header that is not that of the pictures", shows: whole, do: func(v *victim) {
			v.shown(v.sources.two.changed(func(b []byte) []byte { copy(b[12:], []byte{0xff, 0x3f, 1, 0}); return b }))
		}},
		{name: "a number of frames in the header that is not true", shows: whole, do: func(v *victim) {
			v.shown(v.sources.two.changed(func(b []byte) []byte { binary.LittleEndian.PutUint32(b[24:], 1<<31); return b }))
		}},
		{name: "one frame and no more", shows: []view{{0, either}, {200, carding}}, cause: timeline.Loss, do: func(v *victim) {
			v.shown(packed(ivfFrames(v.sources.two.content)[:1], "160x90", 30))
		}},
		{name: "sixty frames a second", shows: whole, do: at(60)},
		{name: "five frames a second", shows: whole, do: at(5)},
		{name: "one frame a second", shows: []view{{0, first}, {1000, second}, {1200, carding}}, cause: timeline.Loss, do: at(1)},
		{name: "a size that changes between two files", shows: whole, do: func(v *victim) {
			track := v.track(0, media.VP8, media.Camera, 77)
			v.segment = v.record(0, track, 77, packed(ivfFrames(v.sources.two.content)[:30], "160x90", 30))
			c := v.sources.big
			c.reason = "resolution"
			v.record(1000, track, 77, c)
		}},
	}
}

// strangeEvents are whole files of which the log says something that cannot be.
func strangeEvents() []hostile {
	told := func(name string, shows []view, cause timeline.Cause, change func(o *events.SegmentOpened, s *events.SegmentSealed, p *events.SegmentStored)) hostile {
		return hostile{name: name, shows: shows, cause: cause, do: func(v *victim) { v.tells(change) }}
	}
	type (
		opened = events.SegmentOpened
		sealed = events.SegmentSealed
		stored = events.SegmentStored
	)
	return []hostile{
		told("no frame, says the log", nothing, timeline.Corrupt, func(_ *opened, s *sealed, _ *stored) { s.Frames = 0 }),
		told("fewer frames than there are, says the log", whole, timeline.Corrupt, func(_ *opened, s *sealed, _ *stored) { s.Frames = 30 }),
		told("a thousand times as many frames, says the log", whole, timeline.Corrupt, func(_ *opened, s *sealed, _ *stored) { s.Frames *= 1000 }),
		told("an end before the beginning, says the log", nothing, timeline.Corrupt, func(o *opened, s *sealed, _ *stored) { s.LastRTP = o.FirstRTP - 1 }),
		told("a length of eleven days, says the log", nothing, timeline.Corrupt, func(o *opened, s *sealed, _ *stored) { s.LastRTP = o.FirstRTP + 1e6*90_000 }),
		told("a digest that was never sealed", nothing, timeline.Corrupt, func(_ *opened, _ *sealed, p *stored) { p.SHA256 = digestOf([]byte("x")) }),
		told("no digest", nothing, timeline.Missing, func(_ *opened, _ *sealed, p *stored) { p.SHA256 = "" }),
		told("a length of nine exabytes", nothing, timeline.Corrupt, func(_ *opened, s *sealed, p *stored) { s.Bytes, p.Bytes = 1<<63-1, 1<<63-1 }),
		told("a length below zero", nothing, timeline.Corrupt, func(_ *opened, s *sealed, p *stored) { s.Bytes, p.Bytes = -5, -5 }),
		told("a key that leads out of the blob store", nothing, timeline.Corrupt, func(_ *opened, _ *sealed, p *stored) { p.Key = "../../../etc/passwd" }),
		told("a key with control characters", nothing, timeline.Corrupt, func(_ *opened, _ *sealed, p *stored) { p.Key = "c/\x00\x1b[2J\n/x.ivf" }),
		told("no key", nothing, timeline.Corrupt, func(_ *opened, _ *sealed, p *stored) { p.Key = "" }),
		told("another codec than the file has", nothing, timeline.Corrupt, func(o *opened, _ *sealed, _ *stored) { o.Codec = "AV1" }),
		told("a codec that nobody knows", nothing, timeline.Corrupt, func(o *opened, _ *sealed, _ *stored) { o.Codec = "x;rm -rf /" }),
		told("a size that is not true", whole, "", func(o *opened, _ *sealed, _ *stored) { o.Width, o.Height = -7, 1<<30 }),
		{name: "a file that was begun and never heard of again", shows: nothing, cause: timeline.Missing, do: func(v *victim) {
			v.segment = events.NewID()
			v.say(pathDelay, events.SegmentOpened{
				Segment: v.segment, Track: v.track(0, media.VP8, media.Camera, 9), SSRC: 9, Codec: "VP8", ClockRate: 90000,
				Arrival: v.w.at(pathDelay), Reason: "started",
			})
		}},
		{name: "two files of the same time", shows: []view{{0, first}, {500, either}, {1500, second}}, do: func(v *victim) {
			track := v.track(0, media.VP8, media.Camera, 9)
			v.segment = v.record(0, track, 9, v.sources.two)
			c := v.sources.two
			c.reason = "rotation"
			v.record(500, track, 9, c)
		}},
	}
}

// restlessPictures are honest recordings that do not go on as they began.
func restlessPictures() []hostile {
	vp9 := func(v *victim, colour, format string) [][]byte {
		return ivfFrames(run_(v.t, "-f", "lavfi", "-i", "color=c="+colour+":s=160x90:r=30", "-frames:v", "30", "-pix_fmt", format,
			"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-f", "ivf", "pipe:1"))
	}
	from := func(ms int64) func(v *victim) {
		return func(v *victim) { v.segment = v.record(ms, v.track(0, media.VP8, media.Camera, 9), 9, v.sources.two) }
	}
	return []hostile{
		{name: "a phone that is turned", shows: whole, do: func(v *victim) {
			track := v.track(0, media.VP8, media.Camera, 77)
			v.segment = v.record(0, track, 77, packed(ivfFrames(v.sources.two.content)[:30], "160x90", 30))
			c := twoColours(v.t, "90x160", "yellow", "", 1000, 30)
			c.reason = "resolution"
			v.record(1000, track, 77, c)
		}},
		{name: "a pixel format that changes within the file", shows: whole, do: func(v *victim) {
			all := slices.Concat(vp9(v, "blue", "yuv420p"), vp9(v, "yellow", "yuv444p"))
			v.segment = v.record(0, v.track(0, media.VP9, media.Camera, 78), 78, ivfOf(media.VP9, all))
		}},
		{name: "a camera that comes after the others", shows: []view{{0, carding}, {700, first}, {1700, second}}, do: from(700)},
		{name: "a camera that was there before the others", shows: []view{{0, first}, {500, second}, {1700, carding}}, cause: timeline.Loss, do: from(-500)},
		{name: "a hole that the log has", shows: []view{{0, first}, {1000, carding}, {1700, second}}, cause: timeline.Loss, do: func(v *victim) {
			c := v.sources.two.changed(func(b []byte) []byte {
				return everyPTS(b, func(n int64) int64 { return (n + n/30*21) * 3000 })
			})
			c.ticks += 700 * 90
			track := v.track(0, media.VP8, media.Camera, 79)
			v.segment = v.record(0, track, 79, c)
			v.say(1800, events.SegmentGap{Track: track, From: v.w.at(967 + pathDelay), To: v.w.at(1700 + pathDelay), Cause: "loss"})
		}},
	}
}

// say appends an event about the victim.
func (v *victim) say(ms int64, e events.Event) { v.w.say(ms, v.id, e) }

// tells records a whole file and says something else of it.
func (v *victim) tells(change func(o *events.SegmentOpened, s *events.SegmentSealed, p *events.SegmentStored)) {
	v.t.Helper()
	c := v.sources.two
	v.segment = events.NewID()
	ssrc := uint32(1000 + v.number)
	o := events.SegmentOpened{
		Segment: v.segment, Track: v.track(0, media.VP8, media.Camera, ssrc), SSRC: ssrc, Codec: "VP8", ClockRate: 90000,
		Arrival: v.w.at(pathDelay), Reason: "started",
	}
	s := events.SegmentSealed{
		Segment: v.segment, LastRTP: c.ticks, EndRTP: c.ticks, Frames: c.frames, Bytes: int64(len(c.content)), SHA256: digestOf(c.content), Reason: "ended",
	}
	p := events.SegmentStored{Segment: v.segment, Key: v.w.segmentKey(v.segment, media.VP8), Bytes: s.Bytes, SHA256: s.SHA256}
	v.overwritten(media.VP8, c.content)
	change(&o, &s, &p)
	v.say(pathDelay, o)
	v.say(hostileLength, s)
	v.say(hostileLength, p)
}

// lostSounds were recorded well.
func lostSounds() []hostile {
	stored := func(name string, cause timeline.Cause, change func(v *victim, b []byte) []byte) hostile {
		return hostile{name: name, cause: cause, do: func(v *victim) {
			c := v.sources.hz(v.tone)
			v.said(c)
			if b := change(v, bytes.Clone(c.content)); b == nil {
				v.gone(media.Opus)
			} else {
				v.overwritten(media.Opus, b)
			}
		}}
	}
	return []hostile{
		stored("a sound that is gone", timeline.Missing, func(*victim, []byte) []byte { return nil }),
		stored("a sound that was cut off", timeline.Corrupt, func(_ *victim, b []byte) []byte { return b[:len(b)/2] }),
		stored("a bit of a sound that was turned over", timeline.Corrupt, func(_ *victim, b []byte) []byte { b[len(b)/2] ^= 1; return b }),
		stored("the sound of somebody else", timeline.Corrupt, func(v *victim, _ []byte) []byte { return v.sources.hz(300).content }),
	}
}

// pagesOf are the offsets of the pages of an Ogg file.
func pagesOf(b []byte) []int {
	var all []int
	for at := 0; at+27 <= len(b); {
		all = append(all, at)
		next := at + 27 + int(b[at+26])
		for _, n := range b[at+27 : next] {
			next += int(n)
		}
		at = next
	}
	return all
}

// page12 changes the page with which the second second of a sound begins: two pages of headers, ten of a tenth of a
// second each. The checksum is made good again where mend says so.
func page12(mend bool, change func(b []byte, at int) []byte) func([]byte) []byte {
	return func(b []byte) []byte {
		pages := pagesOf(b)
		b = change(b, pages[12])
		if mend && len(b) > pages[12]+27 {
			mendPage(b, pages[12], pages[13])
		}
		return b
	}
}

// mendPage writes the checksum of a page (RFC 3533 §6: polynomial 0x04c11db7, not reflected).
func mendPage(b []byte, from, to int) {
	clear(b[from+22 : from+26])
	var crc uint32
	for _, v := range b[from:to] {
		crc ^= uint32(v) << 24
		for range 8 {
			high := crc >> 31
			if crc <<= 1; high == 1 {
				crc ^= 0x04c11db7
			}
		}
	}
	binary.LittleEndian.PutUint32(b[from+22:], crc)
}

// brokenSounds were sealed as they are.
func brokenSounds() []hostile {
	sealed := func(name string, heard [][2]int64, cause timeline.Cause, change func(b []byte) []byte) hostile {
		return hostile{name: name, heard: heard, cause: cause, do: func(v *victim) { v.said(v.sources.hz(v.tone).changed(change)) }}
	}
	half := [][2]int64{{0, 1000}}
	header := func(change func(b []byte)) func([]byte) []byte { // of OpusHead, which lies behind 28 bytes
		return func(b []byte) []byte {
			change(b[28:])
			mendPage(b, 0, pagesOf(b)[1])
			return b
		}
	}
	return []hostile{
		sealed("a sealed sound without a byte", silence, timeline.Corrupt, func([]byte) []byte { return nil }),
		sealed("headers and no sound", silence, timeline.Corrupt, func(b []byte) []byte { return b[:pagesOf(b)[2]] }),
		sealed("another kind of sound", silence, timeline.Corrupt, header(func(b []byte) { copy(b, "\x01vorbis.") })),
		sealed("a picture in place of a sound", silence, timeline.Corrupt, func([]byte) []byte { return []byte("DKIF\x00\x00\x20\x00VP80\xa0\x00\x5a\x00") }),
		sealed("a playlist in place of a sound", silence, timeline.Corrupt, func([]byte) []byte { return []byte("#EXTM3U\nfile:///etc/passwd\n") }),
		sealed("a page that is cut off", half, timeline.Corrupt, page12(false, func(b []byte, at int) []byte { return b[:at+40] })),
		sealed("a wrong checksum", half, timeline.Corrupt, page12(false, func(b []byte, at int) []byte { b[at+22] ^= 1; return b })),
		sealed("a page of another number", half, timeline.Corrupt, page12(true, func(b []byte, at int) []byte { b[at+18] = 99; return b })),
		sealed("a page of another stream", half, timeline.Corrupt, page12(true, func(b []byte, at int) []byte { b[at+14] = 99; return b })),
		sealed("a page ten hours later", half, timeline.Corrupt, page12(true, func(b []byte, at int) []byte {
			binary.LittleEndian.PutUint64(b[at+6:], 36_000*48_000)
			return b
		})),
		sealed("a packet without a byte", half, timeline.Corrupt, page12(true, func(b []byte, at int) []byte {
			b[at+27+1] += b[at+27]
			b[at+27] = 0
			return b
		})),
		sealed("a page that is the last one too early", half, timeline.Corrupt, func(b []byte) []byte {
			pages := pagesOf(b)
			b[pages[11]+5] |= 4
			mendPage(b, pages[11], pages[12])
			return b
		}),
		sealed("a decoder that is told to drop 80 ms", throughout, "", header(func(b []byte) { binary.LittleEndian.PutUint16(b[10:], 3840) })),
		sealed("a decoder that is told to play 128 dB louder", throughout, "", header(func(b []byte) { binary.LittleEndian.PutUint16(b[16:], 0x7fff) })),
		sealed("a header that says 255 channels", throughout, "", header(func(b []byte) { b[9] = 255 })),
		{name: "fewer packets than there are, says the log", heard: throughout, cause: timeline.Corrupt, do: func(v *victim) {
			c := v.sources.hz(v.tone)
			c.frames /= 2
			v.said(c)
		}},
		{name: "a sound that begins before and ends after the consultation", heard: throughout, do: func(v *victim) {
			ssrc := uint32(2000 + v.number)
			v.segment = v.record(-500, v.track(0, media.Opus, media.Microphone, ssrc), ssrc, toneOf(v.t, v.tone, 150))
		}},
		{name: "silence that was not sent", quiet: true, heard: [][2]int64{{0, 800}, {1600, 2000}}, do: func(v *victim) {
			// What a recorder makes of DTX: silent packets in the places of those that never came.
			packets := oggPackets(v.sources.hz(v.tone).content)[2:]
			for i := 40; i < 80; i++ {
				packets[i] = []byte{0xf8, 0xff, 0xfe}
			}
			v.said(oggClip(v.t, packets))
		}},
		{name: "forty files of 50 ms", heard: throughout, do: func(v *victim) {
			ssrc := uint32(2000 + v.number)
			track := v.track(0, media.Opus, media.Microphone, ssrc)
			packets := oggPackets(v.sources.hz(v.tone).content)[2:]
			for i := 0; i < len(packets); i += 5 {
				c := oggClip(v.t, packets[i:i+5])
				c.reason = "rotation"
				v.segment = v.recordFrom(int64(i)*960, track, ssrc, c)
			}
		}},
	}
}

// What was lost within a file and stands in the log is a gap of that cause and no damage: honest recordings have holes.
func TestALossThatTheLogHasIsNoDamage(t *testing.T) {
	for _, hole := range []int64{1000, 2500, 5000} { // milliseconds
		t.Run(time.Duration(hole*1e6).String(), func(t *testing.T) {
			w := newWorld(t)
			a := w.join(0, "A")
			track := a.track(0, media.VP8, media.Camera, 1)
			c := twoColours(t, "160x90", "blue", "yellow", 30, 30)
			c.content = everyPTS(c.content, func(n int64) int64 {
				if n >= 30 {
					n += hole * 30 / 1000
				}
				return n * 3000
			})
			c.ticks += hole * 90
			a.record(0, track, 1, c)
			w.say(1100+hole, a.id, events.SegmentGap{Track: track, From: w.at(967 + pathDelay), To: w.at(1000 + hole + pathDelay), Cause: "loss"})
			version := w.end(2000+hole, "fast")
			worker := w.worker(ffmpeg.Config{}, nil)
			j, err := worker.take(t.Context(), w.consultation, version)
			if err != nil {
				t.Fatal(err)
			}
			defer j.closeSegments()
			if err := errors.Join(worker.begin(t.Context(), j), worker.prepare(t.Context(), j)); err != nil {
				t.Fatal(err)
			}
			gaps := j.timeline.Participants[0].Tracks[0].Gaps
			if j.missing.count() != 0 || len(gaps) != 1 || gaps[0].Cause != timeline.Loss {
				t.Errorf("missing %v, gaps %+v", j.missing.list(), gaps)
			}
		})
	}
}

package stitch

import (
	"math"
	"runtime"
	"runtime/debug"
	"slices"

	"consilium/internal/events"
	"consilium/internal/timeline"
)

// Manifest says what an archive was made of and what was found in it. It holds ids, never names.
type Manifest struct {
	Consultation string             `json:"consultation"`
	Version      int                `json:"version"`
	ThroughSeq   uint64             `json:"throughSeq"`
	ThroughHash  string             `json:"throughHash"` // of the stored bytes of that event: binds the archive to the log
	SheetSHA256  string             `json:"sheetSha256"`
	SheetState   string             `json:"sheetState,omitempty"` // "erased" or "damaged": then people are called by their roles
	Profile      string             `json:"profile"`
	Layout       string             `json:"layout"`
	DurationMS   int64              `json:"durationMs"`
	Segments     []ManifestSegment  `json:"segments"` // that are in the archive
	Missing      []MissingSegment   `json:"missing"`
	Timeline     *timeline.Timeline `json:"timeline"`           // as rendered: what is missing is a gap in it
	Scenes       []ManifestScene    `json:"scenes,omitempty"`   // of an archive with a picture: who is where
	Chunks       []Piece            `json:"chunks"`             // in the order of the archive
	Sound        Piece              `json:"sound"`              // all of it: digests of the keys of its pieces, and of what they were joined to
	Sounds       []Piece            `json:"sounds"`             // its pieces, in the order of the archive
	Stamp        bool               `json:"stamp,omitempty"`    // the wall clock stands in the picture
	Voices       []VoiceFile        `json:"voices,omitempty"`   // sound of each participant, as long as the archive
	Gains        map[string]float64 `json:"gains"`              // dB by participant, by which voices were brought toward one loudness
	Moved        []Moved            `json:"moved,omitempty"`    // sound that is not where the timeline has it, to the sample
	Failures     []PieceFailure     `json:"failures,omitempty"` // chunks that could not be made: cards stand there
	Checks       Checks             `json:"checks"`
	Tools        map[string]string  `json:"tools"`
}

// ManifestSegment is a segment that is in the archive.
type ManifestSegment struct {
	ID     string `json:"id"`
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

// Piece is a finished chunk, or the sound.
type Piece struct {
	Key    string `json:"key"` // digest of all that it is made of
	SHA256 string `json:"sha256"`
}

// VoiceFile is the sound of one participant alone: mono, on the clock of the archive and as long as it.
type VoiceFile struct {
	Participant string `json:"participant"`
	File        string `json:"file"` // beside the archive
	Piece
	Bytes    int64   `json:"bytes"`
	Loudness float64 `json:"loudness"` // LUFS, integrated; -70 is silence
}

// Moved says that what a participant said in a stretch of the timeline is heard a little earlier, together with the picture:
// a camera's frames are moved to those of the archive, and the sound goes with them.
type Moved struct {
	Participant string  `json:"participant"`
	StartNS     int64   `json:"startNs"`
	EndNS       int64   `json:"endNs"`
	EarlierMS   float64 `json:"earlierMs"` // to the microsecond; below zero it is later; 18.3 at most
}

// moved lists what was moved, by participant and time.
func (j *job) moved() []Moved {
	var all []Moved
	for _, p := range j.timeline.Participants {
		for _, s := range j.voiceMoves[p.ID] {
			ms := math.Round(nanoseconds(s.phase)/1e3) / 1e3
			if n := len(all) - 1; n >= 0 && all[n].Participant == p.ID && all[n].EndNS == s.from && all[n].EarlierMS == ms {
				all[n].EndNS = s.to
			} else if ms != 0 {
				all = append(all, Moved{p.ID, s.from, s.to, ms})
			}
		}
	}
	return all
}

// PieceFailure is a chunk in whose place there are cards.
type PieceFailure struct {
	Key     string       `json:"key"` // of the chunk that could not be made
	StartMS int64        `json:"startMs"`
	EndMS   int64        `json:"endMs"`
	Code    string       `json:"code"`             // as that of archive.failed
	Detail  *events.Blob `json:"detail,omitempty"` // what the tool said
}

// Checks are what the stitcher found when it looked at its own work. A check that fails leaves no manifest.
type Checks struct {
	Frames       int64   `json:"frames"`       // in the finished file, each at its time
	FrozenMS     int64   `json:"frozenMs"`     // nothing moved for 2 s or more, because nothing was to move; cards do not
	BlackMS      int64   `json:"blackMs"`      // all was black for half a second or more, because the sources were
	Loudness     float64 `json:"loudness"`     // LUFS, integrated (EBU R 128); -70 is silence
	DecodeErrors int64   `json:"decodeErrors"` // frames of the segments that could not be decoded
	SyncErrorMS  float64 `json:"syncErrorMs"`  // largest estimated error of a clip's place
	// Unverified are those that could not be made, as in archive.rendered; none: all were.
	Unverified []string `json:"unverified,omitempty"`
	AVOffsetMS float64  `json:"avOffsetMs"` // 95 of 100 camera frames are nearer to their sound than this, by the clocks
}

// percentile is the 95th of the sizes of offsets, to the microsecond.
func percentile(offsets []float64) float64 {
	if len(offsets) == 0 {
		return 0
	}
	sorted := slices.Clone(offsets)
	slices.Sort(sorted)
	return math.Round(sorted[(len(sorted)-1)*95/100]*1e3) / 1e3
}

func (j *job) manifest() Manifest {
	m := Manifest{
		Consultation: j.consultation, Version: j.request.Version, ThroughSeq: j.request.ThroughSeq,
		SheetSHA256: j.request.Sheet.SHA256, SheetState: j.sheetState,
		Profile: j.plan.Profile.Name, Layout: j.plan.Layout, DurationMS: j.plan.Duration().Milliseconds(),
		Segments: []ManifestSegment{}, Missing: j.missing.list(), Timeline: j.timeline, Scenes: manifestScenes(j.plan), Chunks: []Piece{},
		Tools: j.tool.inManifest(),
	}
	m.Tools["stitcher"], m.Tools["go"] = buildVersion(), runtime.Version()
	for _, ev := range j.history {
		if ev.Seq == j.request.ThroughSeq {
			m.ThroughHash = ev.Hash()
		}
	}
	for _, s := range j.segments {
		if s.cause == "" {
			m.Segments = append(m.Segments, ManifestSegment{s.clip.Segment, s.clip.SHA256, s.clip.Bytes})
		}
	}
	m.Chunks = append(m.Chunks, j.result.chunks...)
	m.Sound, m.Gains, m.Failures = j.result.sound, map[string]float64{}, j.result.failures
	for of, g := range j.gains {
		m.Gains[of] = g.db
	}
	for _, s := range j.result.sounds {
		m.Sounds = append(m.Sounds, s.Piece)
	}
	m.Moved = j.moved()
	m.Stamp, m.Voices = j.plan.Clock != nil, j.result.voices
	m.Checks = Checks{
		Unverified: j.result.unverified,
		FrozenMS:   j.result.frozenMS, BlackMS: j.result.blackMS, Loudness: j.result.loudness,
		DecodeErrors: j.result.decodeErrors, SyncErrorMS: worstPlace(j.timeline), AVOffsetMS: percentile(j.offsets),
	}
	if j.plan.Profile.Video {
		m.Checks.Frames = j.plan.Frames // counted, else there is no manifest
	}
	return m
}

// worstPlace is the largest estimated error of a clip's place in milliseconds, to the microsecond.
func worstPlace(tl *timeline.Timeline) float64 {
	var worst int64
	for _, p := range tl.Participants {
		for _, t := range p.Tracks {
			for _, c := range t.Clips {
				worst = max(worst, c.ErrorNS)
			}
		}
	}
	return math.Round(float64(worst)/1e3) / 1e3
}

// buildVersion is the revision that the program was built from, as far as it is known, and whether something was changed in it.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return versionOf(info)
}

func versionOf(info *debug.BuildInfo) string {
	version := info.Main.Version
	changed := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			version = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "+changes"
		}
	}
	return version + changed
}

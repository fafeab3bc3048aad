package events

import "time"

// at is a fixed moment with nanoseconds, so that a golden file shows that they survive.
var at = time.Date(2026, time.November, 22, 9, 30, 0, 123456789, time.UTC)

const (
	sum   = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	other = "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"
)

// examples has one event of every type with every field filled: the golden files are made of them.
var examples = []Event{
	ConsultationReindexed{Segments: 12, Reason: ReindexedLogLost},
	ConsultationScheduled{Policy: PolicyRequired, Layout: "grid", Language: "en"},
	ConsultationOpened{Policy: PolicyOptional, Layout: "grid", Language: "de-CH"},
	ConsultationEnded{Reason: EndedClosed},
	ConsultationReopened{},
	ConsultationCompleted{
		Segments: 12,
		Missing:  []MissingSegment{{Segment: "019ab000-0000-7000-8000-000000000051", Cause: "crash"}},
		Tracks: []TrackAccount{{
			Track: "019ab000-0000-7000-8000-000000000031", ExpectedMS: 61000, RecordedMS: 60500,
			GapsMS: map[string]int64{"loss": 200, "muted": 300}, Frames: 1815, Bytes: 7400000,
		}},
		Quality: &QualityBlob{Blob: "quality/019ab000-0000-7000-8000-000000000001/a-1.ndjson", SHA256: sum},
	},
	ConferenceHosted{Epoch: 2, Wall: at, Node: "live-a", URL: "http://127.0.0.1:8080"},
	ParticipantInvited{Role: "device", For: []string{"019ab000-0000-7000-8000-000000000011"}},
	ParticipantJoined{Role: "clinician"},
	ParticipantLeft{Reason: LeftTimeout},
	ParticipantChecked{
		Camera: CheckFailed, Microphone: CheckOK, Speaker: CheckSkipped,
		Ways:  []CheckedWay{{Way: "udp", Result: CheckOK, MS: 20}, {Way: "tcp", Result: CheckOK, MS: 38}, {Way: "tls", Result: CheckOK, MS: 61}},
		Codes: []string{"CAM-DENIED", "NET-UDP-BLOCKED"}, TookMS: 9200,
	},
	ParticipantHindered{Connection: "019ab000-0000-7000-8000-000000000021", Phase: "device", Code: "CAM-DENIED"},
	ConsentGiven{Consent{TextSHA256: sum, Language: "en", By: BySelf}},
	ConsentRefused{Consent{TextSHA256: sum, Language: "en", By: BySelf}},
	ConsentWithdrawn{Consent{TextSHA256: sum, Language: "en", By: ByService}},
	ConnectionOpened{Connection: "019ab000-0000-7000-8000-000000000021", Via: "websocket", Browser: &Browser{Family: "Firefox", Major: 145}},
	ConnectionClosed{Connection: "019ab000-0000-7000-8000-000000000021", Reason: "left"},
	ConnectionICEChanged{Connection: "019ab000-0000-7000-8000-000000000021", State: "connected"},
	ConnectionPairSelected{
		Connection: "019ab000-0000-7000-8000-000000000021",
		Local:      Candidate{Kind: "host", Transport: "udp", Net: "192.0.2.0/24"},
		Remote:     Candidate{Kind: "relay", Transport: "tls", Net: "2001:db8::/48"},
	},
	ConnectionCandidateIgnored{Connection: "019ab000-0000-7000-8000-000000000021", Reason: "mdns", Count: 3},
	ConnectionRestarted{Connection: "019ab000-0000-7000-8000-000000000021"},
	ConnectionTimedOut{Connection: "019ab000-0000-7000-8000-000000000021", Phase: PhaseMedia, AfterMS: 10000, Code: "MEDIA-TIMEOUT"},
	TrackStarted{
		Connection: "019ab000-0000-7000-8000-000000000021", Track: "019ab000-0000-7000-8000-000000000031",
		Kind: "video", Source: "camera", Codec: "VP8", SSRC: 4294967295, RID: "h",
	},
	TrackEnded{Track: "019ab000-0000-7000-8000-000000000031", Reason: "closed"},
	TrackMuted{Track: "019ab000-0000-7000-8000-000000000031"},
	TrackUnmuted{Track: "019ab000-0000-7000-8000-000000000031"},
	TrackStalled{Track: "019ab000-0000-7000-8000-000000000031", AfterMS: 5000, Code: "MEDIA-STALL"},
	TrackResumed{Track: "019ab000-0000-7000-8000-000000000031", AfterMS: 7250},
	RecordingPaused{Reason: "examination"},
	RecordingResumed{Reason: "examination"},
	SegmentOpened{
		Segment: "019ab000-0000-7000-8000-000000000041", Track: "019ab000-0000-7000-8000-000000000031", SSRC: 4294967295,
		Codec: "VP8", ClockRate: 90000, FirstRTP: 4294967299, Arrival: at, Width: 1280, Height: 720, Reason: "started",
	},
	SegmentAnchored{
		Track: "019ab000-0000-7000-8000-000000000031", SSRC: 4294967295,
		Anchors: []Anchor{
			{Kind: AnchorSR, RTP: 4294967299, NTP: new(at.Add(-time.Second)), Arrival: at, RTTUS: 18500},
			{Kind: AnchorArrival, RTP: 4294967299, Arrival: at},
		},
	},
	SegmentDiscontinuity{Track: "019ab000-0000-7000-8000-000000000031", RTPBefore: 4294967299, RTPAfter: 4295867299, ArrivalDeltaMS: 33},
	SegmentGap{Track: "019ab000-0000-7000-8000-000000000031", From: at, To: at.Add(1500 * time.Millisecond), Cause: "loss"},
	SegmentSealed{
		Segment: "019ab000-0000-7000-8000-000000000041", LastRTP: 4297667299, EndRTP: 4297667299, Frames: 900, Bytes: 3750000,
		SHA256: sum, Reason: "rotation",
	},
	SegmentStored{
		Segment: "019ab000-0000-7000-8000-000000000041",
		Key:     "c/019ab000-0000-7000-8000-000000000001/segments/019ab000-0000-7000-8000-000000000041.ivf",
		Bytes:   3750000, SHA256: sum,
	},
	SegmentRecovered{
		Segment: "019ab000-0000-7000-8000-000000000041", LastRTP: 4297667299, EndRTP: 4297667299, Frames: 899, Bytes: 3740000,
		SHA256: sum, LostBytes: 812,
	},
	ArchiveRequested{
		Version: 1, ThroughSeq: 214, Layout: "grid", Profile: "720p30", Stamp: true, Voices: true,
		Sheet: Blob{Key: "sheets/019ab000-0000-7000-8000-000000000001/" + sum + ".json", SHA256: sum},
	},
	ArchiveStarted{Version: 1},
	ArchiveRendered{
		Version: 1, Key: "c/019ab000-0000-7000-8000-000000000001/archives/1/archive.mp4", Bytes: 48000000, SHA256: sum,
		ManifestSHA256: other, DurationMS: 61000, Unverified: []string{"keyframes", "sound"},
	},
	ArchiveFailed{Version: 1, Code: "FFMPEG-MISSING", Detail: &Blob{Key: "c/019ab000-0000-7000-8000-000000000001/archives/1/failure.txt", SHA256: sum}},
	AccessOpened{Purpose: "audit", Version: 1},
	AccessWatched{Purpose: "audit", Ranges: []Range{{FromMS: 1, ToMS: 30000}}},
	AccessClosed{Purpose: "audit"},
	ExportMade{Kind: "events", SHA256: sum},
	HoldPlaced{Hold: "019ab000-0000-7000-8000-000000000061", Reason: HoldLitigation, By: "compliance"},
	HoldReleaseRequested{Hold: "019ab000-0000-7000-8000-000000000061", Reason: ReleaseResolved, By: "compliance"},
	HoldReleaseDeclined{Hold: "019ab000-0000-7000-8000-000000000061", By: "compliance"},
	HoldReleased{Hold: "019ab000-0000-7000-8000-000000000061", Reason: ReleaseResolved, By: "compliance"},
}

// draftOf is a draft with every field filled.
func draftOf(e Event) Draft {
	return Draft{
		ID: "019ab000-0000-7000-8000-0000000000e1", Source: "/live/a", Time: at,
		Participant: "019ab000-0000-7000-8000-000000000011", Actor: "019ab000-0000-7000-8000-000000000012",
		CausationID: "019ab000-0000-7000-8000-0000000000e0", Event: e,
	}
}

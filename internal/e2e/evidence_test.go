package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"consilium/internal/events"
	"consilium/internal/events/natslog"
	"consilium/internal/testenv"
)

// in is the same client, which fails another test.
func (c *client) in(t testing.TB) *client {
	t.Helper()
	return &client{t: t, base: c.base, token: c.token}
}

// rawMessage is one message of the log as the server keeps it.
type rawMessage struct {
	Subject string
	Header  nats.Header
	Data    []byte
}

// readStream reads the whole log past our own programs, with the credentials that the stitcher has.
func readStream(t testing.TB, p *testenv.Product) []rawMessage {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	who, err := natslog.ReadCredentials(p.Data)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(who.URL, nats.UserInfo(who.User, who.Password), nats.CustomInboxPrefix("_INBOX."+who.User))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(ctx, "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	var all []rawMessage
	for seq := uint64(1); seq <= stream.CachedInfo().State.LastSeq; seq++ {
		m, err := stream.GetMsg(ctx, seq)
		if err != nil {
			t.Fatalf("message %d: %v", seq, err)
		}
		all = append(all, rawMessage{m.Subject, m.Header, m.Data})
	}
	return all
}

// checkChain runs the script that needs nothing but a shell and sha256sum.
func checkChain(t testing.TB, ndjson []byte) error {
	t.Helper()
	cmd := exec.Command("/bin/sh", filepath.Join("testdata", "chain.sh"))
	cmd.Stdin = bytes.NewReader(ndjson)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	if want := fmt.Sprintf("%d events", bytes.Count(ndjson, []byte("\n"))); !strings.HasPrefix(string(out), want) {
		return fmt.Errorf("the script says %q, want %s", out, want)
	}
	return nil
}

// checkStored holds the stored envelopes of a consultation against the contract: sequence, chain, subjects, ids, times.
func checkStored(t testing.TB, id string, ndjson []byte, raw []rawMessage) {
	t.Helper()
	if err := checkChain(t, ndjson); err != nil {
		t.Error(err)
	}
	lines := bytes.Split(bytes.TrimSuffix(ndjson, []byte("\n")), []byte("\n"))
	seen := map[string]bool{}
	n := 0
	for _, m := range raw {
		part := strings.Split(m.Subject, ".")
		if len(part) != 4 || part[0] != "ev" || part[1] != "main" {
			t.Errorf("subject %q", m.Subject)
			continue
		}
		if part[2] != id {
			continue
		}
		if n >= len(lines) || !bytes.Equal(m.Data, lines[n]) {
			t.Fatalf("event %d in the stream is not, byte for byte, what the API gives:\n%s", n+1, m.Data)
		}
		var e events.Envelope
		if err := json.Unmarshal(m.Data, &e); err != nil {
			t.Fatal(err)
		}
		switch {
		case part[3] != strings.ReplaceAll(string(e.Type), ".", "_"):
			t.Errorf("event %d: subject %q for type %q", e.Seq, m.Subject, e.Type)
		case e.Subject != id:
			t.Errorf("event %d is of consultation %q", e.Seq, e.Subject)
		case e.SpecVersion != "1.0" || e.TypeVersion < 1:
			t.Errorf("event %d: versions %q, %d", e.Seq, e.SpecVersion, e.TypeVersion)
		case !events.ValidID(e.ID) || e.ID[14] != '7' || seen[e.ID]:
			t.Errorf("event %d: id %q", e.Seq, e.ID)
		case m.Header.Get(nats.MsgIdHdr) != e.ID:
			t.Errorf("event %d: message id %q, want %q", e.Seq, m.Header.Get(nats.MsgIdHdr), e.ID)
		case !strings.HasPrefix(e.Source, "/live/") && !strings.HasPrefix(e.Source, "/stitcher/"):
			t.Errorf("event %d: source %q", e.Seq, e.Source)
		case e.Time.IsZero() || !bytes.Contains(m.Data, []byte(`Z","`)) || e.Time.Location() != time.UTC:
			t.Errorf("event %d: time %v is not in UTC", e.Seq, e.Time)
		case strings.HasPrefix(string(e.Type), "archive.") && e.Type != events.TypeArchiveRequested && e.CausationID == "":
			t.Errorf("event %d (%s) names no cause", e.Seq, e.Type)
		}
		seen[e.ID] = true
		n++
	}
	if n != len(lines) {
		t.Errorf("the stream has %d events of the consultation, the API gives %d", n, len(lines))
	}
}

// typesOf counts the types of stored envelopes.
func typesOf(all []events.Stored) map[events.Type]int {
	n := map[events.Type]int{}
	for _, e := range all {
		n[e.Type]++
	}
	return n
}

// secret is a word, or a pattern, that must not stand anywhere but in the directory.
type secret struct {
	what    string
	pattern *regexp.Regexp
}

func word(what, text string) secret {
	return secret{what, regexp.MustCompile(`(?i)` + regexp.QuoteMeta(text))}
}

// ownAddresses are patterns of all addresses of this machine, loopback included, each as a whole.
func ownAddresses(t testing.TB) []secret {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	ips := []string{"127.0.0.1", "::1"}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && !slices.Contains(ips, n.IP.String()) {
			ips = append(ips, n.IP.String())
		}
	}
	var found []secret
	for _, ip := range ips {
		found = append(found, secret{"address", regexp.MustCompile(`(^|[^0-9a-fA-F.:])` + regexp.QuoteMeta(ip) + `($|[^0-9a-fA-F.:]|[:.]($|\D)|:\d)`)})
	}
	return found
}

// finds lists what of the secrets stands in text, with what stands around it.
func finds(text string, secrets []secret) []string {
	var all []string
	for _, s := range secrets {
		if at := s.pattern.FindStringIndex(text); at != nil {
			all = append(all, fmt.Sprintf("%s %q in …%s…", s.what, text[at[0]:at[1]], text[max(0, at[0]-40):min(len(text), at[1]+40)]))
		}
	}
	return all
}

// scrape reads a text that anybody on the machine's network may read.
func scrape(t testing.TB, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || len(text) == 0 {
		t.Fatalf("%s: %s, %v, %d bytes", url, resp.Status, err, len(text))
	}
	return string(text)
}

// The story of a consultation in the log: everything that happened is there, linked and unchanged, and nobody's name.
func TestTheLogIsEvidenceAndHoldsNoNames(t *testing.T) {
	t.Parallel()
	metrics := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	p := testenv.StartProduct(t, testenv.ProductOptions{Env: []string{
		"CONSILIUM_METRICS_LISTEN=" + metrics, "CONSILIUM_LOG_LEVEL=debug",
	}})
	service := as(t, p, "service")
	var c consultation
	service.call("POST", "/consultations", map[string]any{
		"title": "Quastenflosser of the left knee", "externalRef": "MIS-4711-Zwiebelkuchen", "timeZone": "Europe/Berlin",
		"participants": []person{
			{Name: "Dr Zdenka Ueberzwerch", Role: "clinician"},
			{Name: "Iphigenie Kraxelhuber", Role: "patient"},
			{Name: "Onlooker Schlawiner", Role: "observer"},
			{Name: "Otoskop Trallala", Role: "device", For: []string{"Iphigenie Kraxelhuber"}, Consent: true},
		},
	}, 201, &c)
	doctor, patient, observer, device := c.Participants[0], c.Participants[1], c.Participants[2], c.Participants[3]
	const agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.6778.204 Safari/537.36 Seltsambrowser/8.15"

	for _, who := range []participant{doctor, patient} {
		service.answer(c.ID, who, "given")
	}
	d := enters(t, p, doctor, 0)
	pat := enters(t, p, patient, 1)
	onlooker := look(t, p, observer, "User-Agent", agent)
	onlooker.say(`{"type":"join"}`)
	service.waitEvent(c.ID, events.TypeParticipantJoined, observer.ID, 20*time.Second)
	offered, err := json.Marshal(map[string]any{"type": "offer", "sdp": offer(t, "video/VP8"), "tracks": []any{}, "new": true})
	if err != nil {
		t.Fatal(err)
	}
	onlooker.say(string(offered))
	onlooker.hears("answer")
	onlooker.say(`{"type":"candidate","candidate":"candidate:1 1 udp 2113937151 6c9f1b4e-40f8-4d2b-8a35-6d2d6a3d2f10.local 50000 typ host","sdpMid":"0"}`)
	exam := publishes(t, p, c.ID, device, 2)
	sees(t, d, patient)
	sees(t, pat, device)
	service.call("POST", "/consultations/"+c.ID+"/holds", map[string]string{"reason": "incident", "reference": "Kuddelmuddel 7"}, 201, new(any))
	service.call("POST", "/consultations/"+c.ID+"/recording/pause?reason=private", nil, 204, nil)
	ctx, cancel := within20()
	defer cancel()
	if err := pat.Mute(ctx, "camera", true); err != nil {
		t.Fatal(err)
	}
	service.waitEvent(c.ID, events.TypeTrackMuted, patient.ID, 10*time.Second)
	if err := pat.Mute(ctx, "camera", false); err != nil {
		t.Fatal(err)
	}
	service.call("POST", "/consultations/"+c.ID+"/recording/resume?reason=private", nil, 204, nil)
	time.Sleep(time.Second) // a second of recording, nothing is waited for
	leaves(t, pat)
	service.waitEvent(c.ID, events.TypeParticipantLeft, patient.ID, 10*time.Second)
	returns(t, pat)
	sees(t, d, patient)
	leaves(t, exam)
	service.waitEvent(c.ID, events.TypeConnectionCandidateIgnored, observer.ID, 10*time.Second)
	if err := d.End(ctx); err != nil {
		t.Fatal(err)
	}
	service.ready(c.ID, 1)

	ndjson := service.do("GET", "/api/v1/consultations/"+c.ID+"/events", "", nil).Body
	all := service.events(c.ID)
	raw := readStream(t, p)
	t.Run("every type of the story is there", func(t *testing.T) {
		n := typesOf(all)
		for _, want := range []events.Type{
			events.TypeConsultationScheduled, events.TypeConsultationOpened, events.TypeConsultationEnded, events.TypeConsultationCompleted,
			events.TypeConferenceHosted, events.TypeParticipantInvited, events.TypeParticipantJoined, events.TypeParticipantLeft,
			events.TypeConsentGiven, events.TypeConnectionOpened, events.TypeConnectionClosed, events.TypeConnectionICEChanged,
			events.TypeConnectionPairSelected, events.TypeConnectionCandidateIgnored, events.TypeTrackStarted, events.TypeTrackEnded,
			events.TypeTrackMuted, events.TypeTrackUnmuted, events.TypeRecordingPaused, events.TypeRecordingResumed,
			events.TypeSegmentOpened, events.TypeSegmentAnchored, events.TypeSegmentSealed, events.TypeSegmentStored,
			events.TypeArchiveRequested, events.TypeArchiveStarted, events.TypeArchiveRendered, events.TypeHoldPlaced,
		} {
			if n[want] == 0 {
				t.Errorf("there is no %s", want)
			}
		}
		if n[events.TypeSegmentOpened] != n[events.TypeSegmentSealed] || n[events.TypeSegmentSealed] != n[events.TypeSegmentStored] {
			t.Errorf("segments: %d opened, %d sealed, %d stored", n[events.TypeSegmentOpened], n[events.TypeSegmentSealed], n[events.TypeSegmentStored])
		}
		if n[events.TypeTrackStarted] != n[events.TypeTrackEnded] || n[events.TypeConnectionOpened] != n[events.TypeConnectionClosed] || n[events.TypeParticipantJoined] != n[events.TypeParticipantLeft] {
			t.Errorf("what began and what ended does not match: %v", n)
		}
	})
	t.Run("the chain holds", func(t *testing.T) {
		checkStored(t, c.ID, ndjson, raw)
	})
	t.Run("the chain breaks when somebody changes anything", func(t *testing.T) {
		lines := bytes.SplitAfter(ndjson, []byte("\n"))
		swapped := slices.Clone(lines)
		swapped[3], swapped[4] = swapped[4], swapped[3]
		for name, changed := range map[string][]byte{
			"a letter":      bytes.Replace(ndjson, []byte(`"role":"patient"`), []byte(`"role":"patienT"`), 1),
			"a line less":   bytes.Join(slices.Delete(slices.Clone(lines), 5, 6), nil),
			"a line twice":  bytes.Join(slices.Insert(slices.Clone(lines), 5, lines[5]), nil),
			"another order": bytes.Join(swapped, nil),
			"nothing left":  nil,
		} {
			if bytes.Equal(changed, ndjson) {
				t.Errorf("%s: nothing was changed", name)
			}
			if err := checkChain(t, changed); err == nil {
				t.Errorf("%s: the script finds nothing", name)
			}
		}
	})
	t.Run("no name, title, address or user agent is in log, logs or metrics", func(t *testing.T) {
		secrets := ownAddresses(t)
		for _, name := range []string{
			"Zdenka", "Ueberzwerch", "Iphigenie", "Kraxelhuber", "Schlawiner", "Otoskop", "Trallala", "Quastenflosser", "Zwiebelkuchen", "Kuddelmuddel",
		} {
			secrets = append(secrets, word("name", name))
		}
		for _, piece := range []string{"Seltsambrowser", "AppleWebKit", "131.0.6778", "X11", "Go-http-client"} {
			secrets = append(secrets, word("user agent", piece))
		}
		secrets = append(secrets, word("address of a browser", "6c9f1b4e"), word("token", "eyJ"))
		places := map[string]string{
			"log of live": p.Live.Output(), "log of the stitcher": p.Stitcher.Output(),
			"metrics of live": scrape(t, p.URL+"/metrics"), "metrics of the stitcher": scrape(t, "http://"+metrics+"/metrics"),
		}
		for i, m := range raw {
			places[fmt.Sprintf("message %d", i+1)] = fmt.Sprint(m.Subject, m.Header) + "\n" + string(m.Data)
		}
		if got := finds("seen 127.0.0.1:8080 by iphigenie", secrets); len(got) != 2 {
			t.Fatalf("the search finds %v in a text with an address and a name", got)
		}
		for place, text := range places {
			// Where the server itself listens is no secret: conference.hosted names it.
			text = strings.ReplaceAll(text, p.URL, "")
			text = strings.ReplaceAll(text, metrics, "")
			for line := range strings.Lines(text) {
				for _, found := range finds(line, secrets) {
					// What pion says is for developers, who ask for it with the log level "debug".
					if !strings.HasPrefix(found, "address") || !strings.Contains(line, "level=DEBUG") {
						t.Errorf("%s: %s", place, found)
					}
				}
			}
		}
		browser := service.in(t).waitEvent(c.ID, events.TypeConnectionOpened, observer.ID, time.Second).Event.(events.ConnectionOpened).Browser
		if browser == nil || browser.Major != 131 {
			t.Errorf("of the user agent the log keeps %+v, want family and major version", browser)
		}
	})
	t.Run("the timeline is as the contract has it", func(t *testing.T) {
		body := service.in(t).do("GET", "/api/v1/consultations/"+c.ID+"/timeline", "", nil).Body
		checkTimeline(t, body, c.ID, all)
		tl := service.in(t).timeline(c.ID)
		who := tl.of(t, patient.ID)
		if len(who.Present) != 2 || who.lost("video", "paused") == 0 || who.lost("audio", "paused") == 0 || len(who.segments()) < 4 {
			t.Errorf("the patient left and came back, in a pause of the recording: %+v", who)
		}
		if tracks := tl.of(t, device.ID).Tracks; len(tracks) != 1 || tracks[0].Source != "device" {
			t.Errorf("the device's tracks: %+v", tracks)
		}
	})
}

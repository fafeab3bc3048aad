package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/failures"
	"consilium/internal/simpeer"
	"consilium/internal/testenv"

	"github.com/golang-jwt/jwt/v5"
	"github.com/pion/logging"
	"github.com/pion/turn/v5"
)

// signedAt makes a participant's token as a hospital's system does that holds the API secret, valid between two times.
func signedAt(t testing.TB, p *testenv.Product, c consultation, who participant, from, until time.Time) string {
	t.Helper()
	secret, err := os.ReadFile(filepath.Join(p.Data, "api-secret"))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": "consilium", "aud": "consilium", "sub": who.ID, "role": who.Role, "consultation": c.ID, "participant": who.ID,
		"nbf": from.Unix(), "exp": until.Unix(),
	}).SignedString([]byte(strings.TrimSpace(string(secret))))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// All that happens on the way in, before two people see each other.
func TestTheWayIn(t *testing.T) {
	p := testenv.StartProduct(t, testenv.ProductOptions{NoStitcher: true})
	service := as(t, p, "service")
	chromium := testenv.NewChromium(t, testenv.ChromiumOptions{})
	t.Run("links", func(t *testing.T) { linksSayWhy(t, p, service.in(t), chromium) })
	t.Run("doors", func(t *testing.T) { noDoorOpensToABadToken(t, p, service.in(t)) })
	t.Run("a kick closes the relay", func(t *testing.T) { aKickClosesTheRelay(t, p, service.in(t)) })
	ladder := theLadderIsClimbed(t, p, service, chromium) // it has to wait for half a minute
	t.Run("the check before the call", func(t *testing.T) { theCheckBeforeTheCall(t, service.in(t), chromium) })
	t.Run("every failure says why", func(t *testing.T) { everyFailureSaysWhy(t, service.in(t), chromium) })
	ladder()
}

// A link that does not open says why in the reader's words, and one that does is not used up by what looks at it.
func linksSayWhy(t *testing.T, p *testenv.Product, service *client, chromium *testenv.Chromium) {
	c := service.schedule("Links", "forbidden", person{Name: "Dr A", Role: "clinician"}, person{Name: "Pat B", Role: "patient"})
	over := service.schedule("Over", "forbidden", person{Name: "Pat C", Role: "patient"})
	service.end(over.ID)
	patient := c.Participants[1]
	now := time.Now()
	for _, tt := range []struct {
		name, token string
		page        string // data-testid
		code        failures.Code
	}{
		{"too old", signedAt(t, p, c, patient, now.Add(-2*time.Hour), now.Add(-time.Hour)), "end-expired", failures.TokenExpired},
		{"too early", signedAt(t, p, c, patient, now.Add(24*time.Hour), now.Add(26*time.Hour)), "end-early", failures.TokenEarly},
		{"cut off by a mail program", patient.token(t)[:60], "end-foreign", failures.TokenInvalid},
		{"without a key", "", "end-missing", failures.TokenInvalid},
		{"of a consultation that has ended", over.Participants[0].token(t), "end-closed", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			page := chromium.Tab(t, "")
			page.Navigate(p.URL + "/join#token=" + tt.token)
			page.WaitFor("its own page is shown", fmt.Sprintf(`!!document.querySelector('[data-testid=%q] h1')`, tt.page))
			if tt.code == "" {
				return
			}
			hurt{code: tt.code}.reads(page)
			row, _ := failures.Of(tt.code)
			if row.Event != "" {
				of := c
				of.Participants = []participant{patient}
				service.in(t).carries(of, row)
			}
		})
	}
	t.Run("scanners, a reload and a second look use nothing up", func(t *testing.T) {
		before := len(service.in(t).events(c.ID))
		for _, agent := range []string{"Mozilla/5.0 (compatible; bingbot/2.0)", "SafeLinks", "Barracuda", "curl/8", "ProofPoint"} {
			for _, method := range []string{"HEAD", "GET"} {
				// What a scanner may send although browsers keep it back: the key as a parameter.
				a := service.with("").do(method, "/join?token="+patient.token(t), "", nil, "User-Agent", agent)
				if a.Status != http.StatusOK || a.Header.Get("Set-Cookie") != "" {
					t.Errorf("%s by %s: %d, cookie %q", method, agent, a.Status, a.Header.Get("Set-Cookie"))
				}
			}
		}
		if got := len(service.events(c.ID)); got != before {
			t.Errorf("scanners left %d events", got-before)
		}
		page := chromium.Tab(t, smallCamera)
		for range 2 {
			page.Navigate(patient.JoinURL)
			page.WaitFor("the look at the camera", `!!document.querySelector('[data-testid=step-check]')`)
		}
		page.Evaluate("location.reload()", nil)
		page.WaitFor("it again", `!!document.querySelector('[data-testid=preview]')`)
		page.Click("Continue")
		page.Click("Join")
		service.waitEvent(c.ID, events.TypeParticipantJoined, patient.ID, 20*time.Second)
		page.Evaluate("location.reload()", nil)
		page.WaitFor("the call after a reload", `!!document.querySelector('[data-testid=call]')`)
		for _, e := range service.events(c.ID) {
			if e.Type == events.TypeParticipantLeft {
				t.Errorf("a reload was taken for leaving: %s", e.Raw)
			}
		}
	})
}

// Twenty tokens that are not right come to each door, and none of them opens one.
func noDoorOpensToABadToken(t *testing.T, p *testenv.Product, service *client) {
	c := service.schedule("Doors", "forbidden", person{Name: "Dr A", Role: "clinician", Consent: true})
	who, now := c.Participants[0], time.Now()
	good := signedAt(t, p, c, who, now.Add(-time.Minute), now.Add(time.Hour))
	head, rest, _ := strings.Cut(good, ".")
	body, mark, _ := strings.Cut(rest, ".")
	claims := func(change map[string]any) jwt.MapClaims {
		m := jwt.MapClaims{
			"iss": "consilium", "aud": "consilium", "sub": who.ID, "role": who.Role, "consultation": c.ID, "participant": who.ID,
			"exp": now.Add(time.Hour).Unix(),
		}
		for k, v := range change {
			m[k] = v
		}
		return m
	}
	secret, err := os.ReadFile(filepath.Join(p.Data, "api-secret"))
	if err != nil {
		t.Fatal(err)
	}
	own := []byte(strings.TrimSpace(string(secret)))
	sign := func(method jwt.SigningMethod, key any, change map[string]any) string {
		token, err := jwt.NewWithClaims(method, claims(change)).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	bad := []string{
		"nonsense", "..", good + ".x", good + "=", head + "." + body + ".", head + "." + body + "." + mark[:10],
		"e30." + body + "." + mark,
		sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		sign(jwt.SigningMethodHS256, []byte("another secret, long enough!!!!!"), nil),
		sign(jwt.SigningMethodHS384, own, nil), sign(jwt.SigningMethodHS512, own, nil),
		sign(jwt.SigningMethodHS256, own, map[string]any{"exp": now.Add(-time.Minute).Unix()}),
		sign(jwt.SigningMethodHS256, own, map[string]any{"nbf": now.Add(time.Hour).Unix()}),
		sign(jwt.SigningMethodHS256, own, map[string]any{"exp": nil}),
		sign(jwt.SigningMethodHS256, own, map[string]any{"exp": "never"}),
		sign(jwt.SigningMethodHS256, own, map[string]any{"aud": "pharmacy"}),
		sign(jwt.SigningMethodHS256, own, map[string]any{"iss": "https://elsewhere.example"}),
		sign(jwt.SigningMethodHS256, own, map[string]any{"sub": ""}),
		sign(jwt.SigningMethodHS256, own, map[string]any{"role": "root"}),
		sign(jwt.SigningMethodHS256, own, map[string]any{"consultation": "../../etc/passwd"}),
		sign(jwt.SigningMethodHS256, own, map[string]any{"consultation": nil}),
		strings.Repeat("a", 9<<10),
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i, token := range append(bad, good) {
		name := fmt.Sprintf("token %d (%.30s…)", i, token)
		want := func(door string, status int, ok bool) {
			if right := i == len(bad); ok != right {
				t.Errorf("%s at %s: %d", name, door, status)
			}
		}
		one := service.with(token)
		a := one.do("GET", "/api/v1/consultations/"+c.ID, "", nil)
		want("REST", a.Status, a.Status == 200)
		raw, _ := json.Marshal(map[string]string{"token": token})
		a = one.with("").do("POST", "/api/v1/session", "application/json", raw)
		want("the session", a.Status, a.Status == 200)
		a = one.do("GET", "/api/v1/consultations/"+c.ID, "", nil, "Authorization", "", "Cookie", "consilium="+token)
		want("a cookie", a.Status, a.Status == 200)
		a = one.do("POST", "/api/v1/consultations/"+c.ID+"/whip", "application/sdp", []byte("v=0"))
		want("WHIP", a.Status, a.Status == 400) // the good one comes as far as its nonsense of an offer
		ws, _, err := dial(ctx, p.URL, "")
		if err != nil {
			t.Fatal(err)
		}
		hello, _ := json.Marshal(map[string]string{"type": "hello", "token": token})
		if err := ws.Write(ctx, 1, hello); err != nil {
			t.Fatal(err)
		}
		answer := []byte(`{"type":"state"}`) // which may come before the welcome
		for strings.HasPrefix(string(answer), `{"type":"state"`) {
			if _, answer, err = ws.Read(ctx); err != nil {
				t.Fatal(err)
			}
		}
		want("the WebSocket", 0, strings.Contains(string(answer), `"type":"welcome"`))
		ws.CloseNow()
	}
	if len(bad) < 20 {
		t.Errorf("%d tokens", len(bad))
	}
}

// metric reads one number of /metrics; labels are part of the name.
func metric(t testing.TB, p *testenv.Product, name string) float64 {
	t.Helper()
	a := (&client{t: t, base: p.URL}).do("GET", "/metrics", "", nil)
	sum := 0.0
	for _, m := range regexp.MustCompile(`(?m)^`+name+`(?:\{[^}]*\})? (\S+)$`).FindAllStringSubmatch(string(a.Body), -1) {
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// A participant who comes over the relay alone is removed: within two seconds the relay is closed, nothing more goes
// through it, and its credential asks for another one in vain.
func aKickClosesTheRelay(t *testing.T, p *testenv.Product, service *client) {
	c := service.schedule("Relay", "forbidden", person{Name: "Dr A", Role: "clinician"}, person{Name: "Pat B", Role: "patient"})
	doctor, patient := c.Participants[0], c.Participants[1]
	ctx, cancel := within20()
	defer cancel()
	var relay simpeer.ICEServer
	pat, err := simpeer.JoinWebSocket(ctx, signalingURL(p), patient.token(t), simpeer.Options{
		Media: made(t, small(1)), Reach: simpeer.Reach{AllWays: true, RelayOnly: true},
		BeforeJoin: func(_ context.Context, w simpeer.Welcome) error {
			relay = w.ICEServers[len(w.ICEServers)-1]
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pat.Drop)
	sees(t, enters(t, p, doctor, 0), patient)
	if n := metric(t, p, "consilium_relay_open"); n == 0 {
		t.Fatal("the patient's media does not go over a relay")
	}
	if err := allocate(relay); err != nil {
		t.Fatalf("before: %v", err)
	}
	began := time.Now()
	service.call("DELETE", "/consultations/"+c.ID+"/participants/"+patient.ID, nil, 204, nil)
	await(t, 2*time.Second, func() string { return "the relays are closed" }, func() bool { return metric(t, p, "consilium_relay_open") == 0 })
	t.Logf("relay_closed_after_kick_ms=%d", time.Since(began).Milliseconds())
	bytes := metric(t, p, "consilium_relay_bytes_total")
	if err := allocate(relay); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("another relay with the same credential: %v", err)
	}
	if now := metric(t, p, "consilium_relay_bytes_total"); now != bytes {
		t.Errorf("%.0f bytes were relayed after the end", now-bytes)
	}
	if pat.EndedBy() != "kicked" {
		t.Errorf("the patient was told %q", pat.EndedBy())
	}
}

// allocate asks for a relay over UDP and lets it go.
func allocate(relay simpeer.ICEServer) error {
	i := slices.IndexFunc(relay.URLs, func(u string) bool { return strings.HasPrefix(u, "turn:") && strings.HasSuffix(u, "udp") })
	if i < 0 {
		return fmt.Errorf("no relay over UDP in %v", relay.URLs)
	}
	at, _, _ := strings.Cut(strings.TrimPrefix(relay.URLs[i], "turn:"), "?")
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer conn.Close()
	c, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: at, TURNServerAddr: at, Username: relay.Username, Password: relay.Credential, Conn: conn,
		LoggerFactory: &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled},
	})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Listen(); err != nil {
		return err
	}
	relayed, err := c.Allocate()
	if err != nil {
		return err
	}
	return relayed.Close()
}

// Candidates that are of no use are events, and nobody is told of an error.
func TestUselessCandidatesAreEvents(t *testing.T) {
	t.Parallel()
	// A server that faces the internet, as far as it knows.
	p := testenv.StartProduct(t, testenv.ProductOptions{NoStitcher: true, Env: []string{"CONSILIUM_PUBLIC_ADDR=203.0.113.10"}})
	service := as(t, p, "service")
	c := service.schedule("Candidates", "forbidden", person{Name: "Pat B", Role: "patient"})
	who := c.Participants[0]
	s := sit(t, p, who)
	offered, err := json.Marshal(map[string]any{"type": "offer", "new": true, "sdp": offer(t, "video/VP8"), "tracks": []any{}})
	if err != nil {
		t.Fatal(err)
	}
	s.say(string(offered))
	s.hears("answer")
	tell := func(candidate string) {
		raw, err := json.Marshal(map[string]any{"type": "candidate", "candidate": candidate, "sdpMid": "0"})
		if err != nil {
			t.Fatal(err)
		}
		s.say(string(raw))
	}
	for _, candidate := range []string{
		"candidate:1 1 udp 2122262783 6ef5a9a2-3f8c-4b0e-9d4c-6a5d9c1f0b7e.local 50000 typ host",
		"candidate:1 1 udp 2122262783 10.77.0.2 50000 typ host",
		"candidate:1 1 udp 2122262783 169.254.169.254 80 typ host",
		"candidate:1 1 tcp 1518280447 203.0.113.7 4433 typ host tcptype passive",
		"candidate:nonsense",
	} {
		tell(candidate)
	}
	for i := range 50 {
		tell(fmt.Sprintf("candidate:1 1 udp 2122262783 203.0.113.7 %d typ host", 40000+i))
	}
	want := map[string]int{"mdns": 1, "private": 2, "tcp": 1, "malformed": 1, "limit": 2}
	var got map[string]int
	await(t, 20*time.Second, func() string { return fmt.Sprintf("ignored: %v, want %v", got, want) }, func() bool {
		got = map[string]int{}
		for _, e := range service.events(c.ID) {
			if ignored, ok := e.Event.(events.ConnectionCandidateIgnored); ok && e.Participant == who.ID {
				got[ignored.Reason] += ignored.Count
			}
		}
		return fmt.Sprint(got) == fmt.Sprint(want)
	})
	s.say(`{"type":"ping","id":9}`)
	s.hears("pong") // and no error before it
}

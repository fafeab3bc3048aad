package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/testenv"

	"github.com/coder/websocket"
	"github.com/pion/webrtc/v4"
)

// offer makes a real SDP offer with the given codecs.
func offer(t testing.TB, codecs ...string) string {
	t.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	for i, codec := range codecs {
		track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: codec}, fmt.Sprint("t", i), "s")
		if err != nil {
			t.Fatal(err)
		}
		sender, err := pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		if err != nil {
			t.Fatal(err)
		}
		if err := sender.SetCodecPreferences(onlyThis(sender.Sender().GetParameters().Codecs, codec)); err != nil {
			t.Fatal(err)
		}
	}
	o, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	return o.SDP
}

func onlyThis(all []webrtc.RTPCodecParameters, mimeType string) []webrtc.RTPCodecParameters {
	return slices.DeleteFunc(all, func(c webrtc.RTPCodecParameters) bool { return c.MimeType != mimeType })
}

// Nobody gets in with a token that is not right, and every refusal is a problem with a stable code.
func TestTokensThatAreNotRight(t *testing.T) {
	t.Parallel()
	p := testenv.StartProduct(t, testenv.ProductOptions{NoStitcher: true})
	service := as(t, p, "service")
	mine := service.schedule("Own", "required", person{Name: "Dr A", Role: "clinician"})
	other := service.schedule("Foreign", "required", person{Name: "Dr B", Role: "clinician"})
	good := mine.Participants[0].token(t)
	expiring := p.Command("token", "--role", "service", "--ttl", "1s")
	await(t, 20*time.Second, func() string { return "a token of one second expires" }, func() bool {
		return service.with(expiring).do("GET", "/api/v1/consultations", "", nil).Status == 401
	})

	for _, tt := range []struct {
		name   string
		token  string
		path   string
		status int
		code   string
	}{
		{"no token", "", "/consultations/" + mine.ID, 401, "unauthorized"},
		{"garbage", "garbage", "/consultations/" + mine.ID, 401, "unauthorized"},
		{"an altered token", good[:len(good)-4] + "AAAA", "/consultations/" + mine.ID, 401, "unauthorized"},
		{"an expired token", expiring, "/consultations/" + mine.ID, 401, "token_expired"},
		{"a token of another consultation", good, "/consultations/" + other.ID, 404, "unknown_consultation"},
		{"a consultation that does not exist", service.token, "/consultations/" + events.NewID(), 404, "unknown_consultation"},
		{"an id that is none", service.token, "/consultations/nonsense/events", 404, "unknown_consultation"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := service.with(tt.token)
			c.t = t
			c.refused("GET", tt.path, nil, tt.status, tt.code)
		})
	}
	t.Run("the right token still works", func(t *testing.T) {
		service.with(good).call("GET", "/consultations/"+mine.ID, nil, 200, nil)
	})
}

func TestRequestsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	p := testenv.StartProduct(t, testenv.ProductOptions{NoStitcher: true})
	service := as(t, p, "service")
	c := service.schedule("T", "required", person{Name: "Dr A", Role: "clinician", Consent: true}, person{Name: "P", Role: "patient"})
	path := "/consultations/" + c.ID

	t.Run("a title that is missing", func(t *testing.T) {
		service.with(service.token).refused("POST", "/consultations", map[string]any{"participants": []person{{Name: "A", Role: "patient"}}}, 422, "invalid")
	})
	t.Run("a role that is none", func(t *testing.T) {
		service.refused("POST", path+"/participants", person{Name: "X", Role: "king"}, 422, "invalid")
	})
	t.Run("an archive before the end", func(t *testing.T) {
		service.refused("POST", path+"/archives", map[string]any{}, 409, "not_complete")
	})
	t.Run("a withdrawal of what was not given", func(t *testing.T) {
		service.refused("POST", path+"/participants/"+c.Participants[1].ID+"/consent",
			map[string]any{"answer": "withdrawn", "textSha256": strings.Repeat("0", 64), "language": "en"}, 422, "invalid")
	})
	t.Run("a patient who wants to end it", func(t *testing.T) {
		service.with(c.Participants[1].token(t)).refused("POST", path+"/end", nil, 403, "forbidden")
	})
	t.Run("an id that is none", func(t *testing.T) {
		service.refused("POST", "/consultations/nonsense/end", nil, 404, "unknown_consultation")
		service.refused("POST", "/consultations/nonsense/participants", person{Name: "X", Role: "patient"}, 404, "unknown_consultation")
	})
	t.Run("a second end", func(t *testing.T) {
		service.end(c.ID)
		service.refused("POST", path+"/end", nil, 409, "ended")
	})
}

func TestWHIPRefusals(t *testing.T) {
	t.Parallel()
	p := testenv.StartProduct(t, testenv.ProductOptions{NoStitcher: true, Env: []string{"CONSILIUM_ICE_SERVERS=stun:stun.example:3478"}})
	service := as(t, p, "service")
	c := service.schedule("T", "required",
		person{Name: "Dr A", Role: "clinician", Consent: true}, person{Name: "P", Role: "patient"})
	doctor, patient := c.Participants[0], c.Participants[1]
	path := "/api/v1/consultations/" + c.ID + "/whip"
	const sdp = "application/sdp"
	good := offer(t, webrtc.MimeTypeVP8, webrtc.MimeTypeOpus)

	for _, tt := range []struct {
		name        string
		token       string
		contentType string
		body        string
		status      int
		code        string
	}{
		{"no token", "", sdp, good, 401, "unauthorized"},
		{"no consent", patient.token(t), sdp, good, 403, "consent_needed"},
		{"another content type", doctor.token(t), "text/plain", good, 415, "unsupported_media_type"},
		{"garbage", doctor.token(t), sdp, "hello", 400, "bad_sdp"},
		{"too large", doctor.token(t), sdp, good + strings.Repeat("a=x-pad:0123456789\r\n", 4000), 413, "sdp_too_large"},
		{"no tracks", doctor.token(t), sdp, offer(t), 422, "no_tracks"},
		{"an unsupported codec", doctor.token(t), sdp, offer(t, webrtc.MimeTypePCMU), 422, "unsupported_codec"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := service.with(tt.token).do("POST", path, tt.contentType, []byte(tt.body))
			var got problem
			if err := json.Unmarshal(a.Body, &got); err != nil || a.Status != tt.status || got.Code != tt.code {
				t.Fatalf("got %d %s, want %d %s", a.Status, a.Body, tt.status, tt.code)
			}
		})
	}
	t.Run("and nobody joined because of them", func(t *testing.T) {
		for _, e := range service.events(c.ID) {
			if e.Type == events.TypeParticipantJoined {
				t.Fatalf("joined: %s", e.Raw)
			}
		}
	})
	t.Run("a good offer is taken", func(t *testing.T) {
		a := service.with(doctor.token(t)).do("POST", path, sdp, []byte(good))
		if a.Status != 201 || a.Header.Get("Location") == "" || a.Header.Get("ETag") == "" || a.Header.Get("Content-Type") != sdp {
			t.Fatalf("got %d %v %s", a.Status, a.Header, a.Body)
		}
		if link := a.Header.Get("Link"); link != `<stun:stun.example:3478>; rel="ice-server"` {
			t.Errorf("Link: %q", link)
		}
		gone := service.with(doctor.token(t)).do("DELETE", a.Header.Get("Location"), "", nil)
		again := service.with(doctor.token(t)).do("DELETE", a.Header.Get("Location"), "", nil)
		if gone.Status != 200 || again.Status != 404 {
			t.Fatalf("DELETE twice: got %d and %d, want 200 and 404", gone.Status, again.Status)
		}
	})
}

// dial opens a WebSocket to the signaling address, with more request headers (name, value, …).
func dial(ctx context.Context, base, origin string, more ...string) (*websocket.Conn, *http.Response, error) {
	h := http.Header{}
	for i := 0; i+1 < len(more); i += 2 {
		h.Set(more[i], more[i+1])
	}
	if origin != "" {
		h.Set("Origin", origin)
	}
	return websocket.Dial(ctx, "ws"+strings.TrimPrefix(base, "http")+"/api/v1/signaling",
		&websocket.DialOptions{Subprotocols: []string{"consilium.v1"}, HTTPHeader: h})
}

func TestWebSocketRefusals(t *testing.T) {
	t.Parallel()
	p := testenv.StartProduct(t, testenv.ProductOptions{NoStitcher: true})
	service := as(t, p, "service")
	c := service.schedule("T", "required", person{Name: "Dr A", Role: "clinician"})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	say := func(t *testing.T, ws *websocket.Conn, message string) map[string]any {
		t.Helper()
		if err := ws.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
			t.Fatal(err)
		}
		for {
			_, raw, err := ws.Read(ctx)
			if err != nil {
				t.Fatalf("after %.60s: %v", message, err)
			}
			var m map[string]any
			if err := json.Unmarshal(raw, &m); err != nil {
				t.Fatal(err)
			}
			if m["type"] != "state" {
				return m
			}
		}
	}
	open := func(t *testing.T) *websocket.Conn {
		t.Helper()
		ws, _, err := dial(ctx, p.URL, "")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ws.CloseNow() })
		ws.SetReadLimit(1 << 20)
		return ws
	}
	wantError := func(t *testing.T, m map[string]any, code string) {
		t.Helper()
		if m["type"] != "error" || m["code"] != code || m["message"] == "" {
			t.Fatalf("got %v, want error %s with a message", m, code)
		}
	}

	t.Run("a foreign origin", func(t *testing.T) {
		_, resp, err := dial(ctx, p.URL, "https://elsewhere.example")
		if err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
			t.Fatalf("got %v, %v, want 403", resp, err)
		}
	})
	t.Run("a session", func(t *testing.T) {
		raw, err := json.Marshal(map[string]string{"token": c.Participants[0].token(t)})
		if err != nil {
			t.Fatal(err)
		}
		a := service.with("").do("POST", "/api/v1/session", "application/json", raw)
		cookie, _, _ := strings.Cut(a.Header.Get("Set-Cookie"), ";")
		if a.Status != http.StatusOK || cookie == "" {
			t.Fatalf("no session: %d %s", a.Status, a.Body)
		}
		for _, tt := range []struct {
			name, origin string
			refused      bool // before there is a WebSocket
			want         string
		}{
			{"by this server's page", p.URL, false, "welcome"},
			{"without a word of where it comes from", "", false, "error"},
			{"by another site's page", "https://elsewhere.example", true, ""},
			{"by a page on another port", "http://127.0.0.1:1", true, ""},
			{"by a page that hides where it comes from", "null", true, ""},
		} {
			t.Run(tt.name, func(t *testing.T) {
				ws, resp, err := dial(ctx, p.URL, tt.origin, "Cookie", cookie)
				if tt.refused {
					if err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
						t.Fatalf("got %v, %v, want 403", resp, err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				defer ws.CloseNow()
				ws.SetReadLimit(1 << 20)
				switch m := say(t, ws, `{"type":"hello"}`); {
				case m["type"] != tt.want:
					t.Errorf("got %v, want %s", m, tt.want)
				case tt.want == "error":
					wantError(t, m, "unauthorized")
				}
			})
		}
	})
	t.Run("a message of one byte too many", func(t *testing.T) {
		const most = 256 << 10
		hello, err := json.Marshal(map[string]string{"type": "hello", "token": c.Participants[0].token(t)})
		if err != nil {
			t.Fatal(err)
		}
		ws := open(t)
		say(t, ws, string(hello))
		long := func(n int) string { return `{"type":"` + strings.Repeat("x", n-len(`{"type":""}`)) + `"}` }
		wantError(t, say(t, ws, long(most)), "bad_message")
		if err := ws.Write(ctx, websocket.MessageText, []byte(long(most+1))); err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, _, err = ws.Read(ctx)
		}
		if websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
			t.Errorf("the connection ended with %v, want %d", err, websocket.StatusMessageTooBig)
		}
	})
	t.Run("a wrong token", func(t *testing.T) {
		wantError(t, say(t, open(t), `{"type":"hello","token":"nonsense"}`), "unauthorized")
	})
	t.Run("something else before hello", func(t *testing.T) {
		wantError(t, say(t, open(t), `{"type":"join"}`), "bad_message")
	})
	t.Run("garbage does not end a good connection", func(t *testing.T) {
		ws := open(t)
		hello, err := json.Marshal(map[string]string{"type": "hello", "token": c.Participants[0].token(t)})
		if err != nil {
			t.Fatal(err)
		}
		if m := say(t, ws, string(hello)); m["type"] != "welcome" || m["consent"] != "" {
			t.Fatalf("got %v, want welcome", m)
		}
		wantError(t, say(t, ws, `garbage`), "bad_message")
		wantError(t, say(t, ws, `{"type":"dance"}`), "bad_message")
		wantError(t, say(t, ws, `{"type":"join"}`), "consent_needed")
		wantError(t, say(t, ws, `{"type":"offer","sdp":"v=0","tracks":[]}`), "not_joined")
		service.call("POST", "/consultations/"+c.ID+"/participants/"+c.Participants[0].ID+"/consent",
			map[string]any{"answer": "given", "textSha256": strings.Repeat("0", 64), "language": "en"}, 204, nil)
		if err := ws.Write(ctx, websocket.MessageText, []byte(`{"type":"join","id":5}`)); err != nil {
			t.Fatal(err)
		}
		service.waitEvent(c.ID, events.TypeParticipantJoined, c.Participants[0].ID, 10*time.Second)
		large, err := json.Marshal(map[string]any{"type": "offer", "sdp": "v=0\r\n" + strings.Repeat("a=x:0123456789\r\n", 5000), "tracks": []any{}})
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, say(t, ws, string(large)), "sdp_too_large")
		wantError(t, say(t, ws, `{"type":"offer","sdp":"v=0 nonsense","tracks":[]}`), "bad_sdp")
		if m := say(t, ws, `{"type":"ping","id":9}`); m["type"] != "pong" || m["re"] != 9.0 {
			t.Fatalf("got %v, want pong", m)
		}
	})
}

func TestAReopenedConsultationGoesOnWhileItsFirstArchiveIsMade(t *testing.T) {
	t.Parallel()
	p := testenv.StartProduct(t, testenv.ProductOptions{})
	service := as(t, p, "service")
	c := service.schedule("T", "required", person{Name: "Dr A", Role: "clinician", Consent: true})
	path := "/consultations/" + c.ID
	service.end(c.ID)
	service.waitEvent(c.ID, events.TypeArchiveRequested, "", 20*time.Second)
	service.call("POST", path+"/reopen", nil, 204, nil)
	if a := service.awaitArchive(c.ID, 1, time.Minute); a.State != "ready" {
		t.Fatalf("archive: %+v", a)
	}
	var got consultation
	service.call("GET", path, nil, 200, &got)
	if got.State != "open" {
		t.Fatalf("the reopened consultation is %s", got.State)
	}
	a := service.with(c.Participants[0].token(t)).do("POST", "/api/v1"+path+"/whip", "application/sdp", []byte(offer(t, webrtc.MimeTypeVP8)))
	if a.Status != 201 {
		t.Fatalf("joining again: %d %s", a.Status, a.Body)
	}
	service.end(c.ID)
	if a := service.awaitArchive(c.ID, 2, time.Minute); a.State != "ready" {
		t.Fatalf("archive: %+v", a)
	}
}

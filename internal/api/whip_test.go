package api

import (
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"consilium/internal/auth"
)

// A device publishes, trickles, restarts ICE and ends, whether its lines end with CR and LF or with LF alone; each answer,
// and each refusal, is one that the OpenAPI document describes.
func TestADevicePublishesAsTheDocumentSays(t *testing.T) {
	for _, tt := range []struct{ name, end string }{{"lines end as RFC 8866 has it", "\r\n"}, {"lines end with LF alone", "\n"}} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t)
			id, doctor, _ := h.scheduled("T")
			token := h.token(auth.Claims{Role: auth.RoleClinician, Consultation: id, Participant: doctor, Consent: true})
			offer := strings.ReplaceAll(deviceOffer(t), "\r\n", tt.end)
			do := func(operation, connection, body string, status int, headers ...string) answer {
				t.Helper()
				op, method, path := h.operation(operation)
				path = strings.NewReplacer("{id}", id, "{connection}", connection).Replace(path)
				a := h.want(status, token, method, path, body, headers...)
				h.describes(t, op, a)
				return a
			}
			do("whip-publish", "", offer, 415)
			do("whip-publish", "", "garbage", 400, "Content-Type", sdpType)
			a := do("whip-publish", "", offer, 201, "Content-Type", sdpType)
			session := a.Header.Get("ETag")
			location := a.Header.Get("Location")
			connection := location[strings.LastIndex(location, "/")+1:]
			patch := func(ufrag, match string, status int) answer {
				t.Helper()
				fragment := strings.Join([]string{"a=ice-ufrag:" + ufrag, "a=ice-pwd:" + strings.Repeat("p", 24), "m=audio 9 X 0", "a=mid:0", ""}, tt.end)
				headers := []string{"Content-Type", sdpFragType}
				if match != "" {
					headers = append(headers, "If-Match", match)
				}
				return do("whip-patch", connection, fragment, status, headers...)
			}
			old := iceUfrag(offer)
			patch(old, session, 204)
			patch(old, "", 428)
			patch(old, `"another"`, 412)
			restarted := patch("another1", "*", 200).Header.Get("ETag")
			if restarted == session || restarted == "" {
				t.Errorf("the session is %s after a restart, and was %s", restarted, session)
			}
			patch("another1", session, 412)
			patch("another1", restarted, 204)
			do("whip-delete", connection, "", 200)
			do("whip-delete", connection, "", 404)
		})
	}
}

// deviceOffer offers one track, with candidates to follow.
func deviceOffer(t *testing.T) string {
	t.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}); err != nil {
		t.Fatal(err)
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	return offer.SDP
}

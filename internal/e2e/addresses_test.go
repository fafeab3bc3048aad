package e2e

import (
	"bytes"
	"encoding/json"
	"net"
	"slices"
	"sync"
	"testing"

	"consilium/internal/simpeer"
	"consilium/internal/testenv"
)

// Where one participant is, nobody else in the consultation can find out: not from any message of the signaling, not from an
// SDP, and not from anything else that the other's link opens.
func TestNobodyLearnsWhereAnotherIs(t *testing.T) {
	t.Parallel()
	p := testenv.StartProduct(t, testenv.ProductOptions{NoStitcher: true})
	service := as(t, p, "service")
	c := service.schedule("Addresses", "required", person{Name: "Dr A", Role: "clinician", Consent: true},
		person{Name: "Pat B", Role: "patient", Consent: true}, person{Name: "Pat C", Role: "patient", Consent: true})
	host, there, named := c.Participants[0], c.Participants[1], c.Participants[2]

	var mu sync.Mutex
	var heard bytes.Buffer // by the doctor
	ctx, cancel := within20()
	defer cancel()
	doctor, err := simpeer.JoinWebSocket(ctx, signalingURL(p), host.token(t), simpeer.Options{
		Media: made(t, small(0)),
		OnMessage: func(raw []byte) {
			mu.Lock()
			defer mu.Unlock()
			heard.Write(append(raw, '\n'))
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(doctor.Drop)
	patient := enters(t, p, there, 1)
	sees(t, doctor, there)
	again, restarted := within20()
	defer restarted()
	if err := patient.RestartICE(again, false); err != nil {
		t.Fatal(err)
	}
	sees(t, doctor, there)
	secrets := patient.Addresses()
	if len(secrets) == 0 {
		t.Fatal("the patient has no address: the test shows nothing")
	}
	told := namesAddresses(t, p, named)
	secrets = append(secrets, told...)

	// The doctor is told of both, and asks for all that there is to ask for.
	sees(t, doctor, there)
	with := service.with(host.token(t))
	for _, path := range []string{"", "/events", "/timeline", "/archives"} {
		a := with.do("GET", "/api/v1/consultations/"+c.ID+path, "", nil)
		mu.Lock()
		heard.Write(a.Body)
		mu.Unlock()
	}
	mu.Lock()
	defer mu.Unlock()
	all := heard.Bytes()
	for _, known := range []string{there.ID, named.ID, `"type":"answer"`, "a=candidate:", `"tracks":`} {
		if !bytes.Contains(all, []byte(known)) {
			t.Errorf("the doctor heard nothing of %s: the test shows nothing", known)
		}
	}
	for _, secret := range secrets {
		host, port, err := net.SplitHostPort(secret)
		if err != nil {
			t.Fatal(err)
		}
		forms := []string{secret, host + " " + port}
		if slices.Contains(told, secret) { // the machine's own are the server's too
			forms = append(forms, host)
		}
		for _, form := range forms {
			if i := bytes.Index(all, []byte(form)); i >= 0 {
				t.Errorf("the doctor was told %q: …%s…", form, all[max(0, i-100):min(len(all), i+100)])
			}
		}
	}
}

// namesAddresses joins a participant who tells the server of addresses of every kind, in its offer and behind it, and lists them.
func namesAddresses(t testing.TB, p *testenv.Product, who participant) []string {
	t.Helper()
	s := sit(t, p, who)
	inOffer := "203.0.113.77:40077"
	sdp := offer(t, "video/VP8") + "a=candidate:9 1 udp 2122262783 203.0.113.77 40077 typ host\r\n"
	raw, err := json.Marshal(map[string]any{"type": "offer", "new": true, "sdp": sdp, "tracks": []any{}})
	if err != nil {
		t.Fatal(err)
	}
	s.say(string(raw))
	s.hears("answer")
	for _, candidate := range []string{
		"candidate:1 1 udp 2122262783 10.77.66.55 40078 typ host",
		"candidate:2 1 udp 2122262783 2001:db8:77:66::55 40079 typ host",
		"candidate:3 1 udp 1686052607 198.51.100.77 40080 typ srflx raddr 192.168.77.66 rport 40081",
		"candidate:4 1 udp 41885439 198.51.100.78 40082 typ relay raddr 198.51.100.79 rport 40083",
		"candidate:5 1 tcp 1518280447 192.0.2.77 40084 typ host tcptype passive",
		"candidate:6 1 udp 2122262783 77665544-3f8c-4b0e-9d4c-6a5d9c1f0b7e.local 40085 typ host",
	} {
		message, err := json.Marshal(map[string]any{"type": "candidate", "candidate": candidate, "sdpMid": "0"})
		if err != nil {
			t.Fatal(err)
		}
		s.say(string(message))
	}
	// Messages are followed in their order: when this one is answered, the others were.
	s.say(string(raw))
	s.hears("answer")
	return []string{
		inOffer, "10.77.66.55:40078", "[2001:db8:77:66::55]:40079", "198.51.100.77:40080", "192.168.77.66:40081", "198.51.100.78:40082",
		"198.51.100.79:40083", "192.0.2.77:40084", "77665544-3f8c-4b0e-9d4c-6a5d9c1f0b7e.local:40085",
	}
}

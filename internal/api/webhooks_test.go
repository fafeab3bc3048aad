package api

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"consilium/internal/auth"
	"consilium/internal/events"
)

func TestWebhooks(t *testing.T) {
	h := newHouse(t)
	id, _, _ := h.archived("T")
	admin, auditor := h.role(auth.RoleAdmin), h.role(auth.RoleAuditor)
	for field, body := range map[string]map[string]any{
		"body.url":   {"url": "http://mis.hospital.example/"},
		"body.types": {"url": "https://mis.hospital.example/", "types": []string{"visit.started"}},
		"body.from":  {"url": "https://mis.hospital.example/", "from": 9999},
	} {
		if a := h.want(422, admin, "POST", "/webhooks", body); a.problem().Code != "invalid" || !strings.HasPrefix(a.problem().Fields[0], field+": ") {
			t.Errorf("%s: %s", field, a.Body)
		}
	}
	for _, inside := range []string{"https://10.0.0.1/", "https://169.254.169.254/latest/meta-data", "https://[::1]:8443/", "https://user:secret@mis.hospital.example/"} {
		if a := h.want(422, admin, "POST", "/webhooks", map[string]any{"url": inside}); bytes.Contains(a.Body, []byte("secret")) {
			t.Errorf("the answer repeats the address: %s", a.Body)
		}
	}

	var made struct {
		Webhook webhookItem
		Secret  string
	}
	body := map[string]any{"url": "https://mis.hospital.example/hook", "types": []string{"archive.rendered"}, "from": 1}
	h.into(&made, admin, "POST", "/webhooks", body, "Idempotency-Key", "k")
	first := made
	h.into(&made, admin, "POST", "/webhooks", body, "Idempotency-Key", "k")
	if made.Webhook.ID != first.Webhook.ID || made.Secret != first.Secret || !strings.HasPrefix(made.Secret, "whsec_") {
		t.Errorf("the same request made %+v and %+v", first.Webhook, made.Webhook)
	}
	path := "/webhooks/" + made.Webhook.ID
	if made.Webhook.State != "active" || made.Webhook.Behind == 0 || !events.ValidID(made.Webhook.CreatedBy) {
		t.Errorf("%+v", made.Webhook)
	}
	for _, where := range []string{"/webhooks", path} {
		if a := h.want(200, auditor, "GET", where, nil); bytes.Contains(a.Body, []byte("whsec_")) || !bytes.Contains(a.Body, []byte(made.Webhook.ID)) {
			t.Errorf("%s: %s", where, a.Body)
		}
	}
	h.want(403, auditor, "POST", path+"/pause", nil)
	h.want(403, h.role(auth.RoleCompliance), "GET", path, nil)

	state := func() string {
		var item webhookItem
		h.into(&item, admin, "GET", path, nil)
		return item.State
	}
	h.want(204, admin, "POST", path+"/pause", nil)
	if got := state(); got != "paused" {
		t.Errorf("state %s", got)
	}
	h.want(204, admin, "POST", path+"/resume", nil)
	var fresh struct{ Secret string }
	h.into(&fresh, admin, "POST", path+"/secret", nil)
	if got := state(); got != "active" || fresh.Secret == made.Secret || !strings.HasPrefix(fresh.Secret, "whsec_") {
		t.Errorf("state %s, secret %q", got, fresh.Secret)
	}
	h.want(202, admin, "POST", path+"/replay", map[string]any{"from": 2})
	h.want(422, admin, "POST", path+"/replay", map[string]any{})
	h.want(202, admin, "POST", path+"/replay", map[string]any{"consultation": id, "seq": 1})
	h.want(404, admin, "POST", path+"/letters/again", map[string]any{"position": 1})
	h.want(422, admin, "PATCH", path, map[string]any{"url": "https://192.168.0.1/"})
	h.want(204, admin, "DELETE", path, nil)
	if a := h.want(404, admin, "DELETE", path, nil); a.problem().Code != "unknown_webhook" {
		t.Errorf("%s", a.Body)
	}
	for _, line := range slices.Collect(strings.Lines(h.logged.String())) {
		if strings.Contains(line, "whsec_") || strings.Contains(line, "mis.hospital") {
			t.Errorf("the log holds a secret or an address: %s", line)
		}
	}
}

package config

import (
	"fmt"

	"consilium/internal/webhook"
)

// Webhooks says where messages about events may go.
type Webhooks struct {
	WebhookAllow string `name:"webhook-allow" env:"CONSILIUM_WEBHOOK_ALLOW" help:"Addresses, networks (10.20.0.0/16) and names of hosts inside that webhooks may go to, with commas. Empty: the public internet only, by https."`
}

// Rules are the settings as package webhook wants them.
func (w Webhooks) Rules() (webhook.Rules, error) {
	rules, err := webhook.ParseRules(w.WebhookAllow)
	if err != nil {
		return rules, fmt.Errorf("CONSILIUM_WEBHOOK_ALLOW: %w", err)
	}
	return rules, nil
}

func (w Webhooks) validate() error {
	_, err := w.Rules()
	return err
}

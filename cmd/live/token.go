package main

import (
	"fmt"
	"os"
	"time"

	"consilium/internal/auth"
	"consilium/internal/config"
)

// tokenCmd prints a bearer token.
type tokenCmd struct {
	config.Secret
	Role         string        `required:"" help:"clinician, patient, interpreter, observer, device, compliance, auditor, admin or service."`
	Consultation string        `help:"Consultation id that the token is bound to."`
	Participant  string        `help:"Participant id that the token speaks for."`
	Name         string        `help:"Name shown to others."`
	Subject      string        `help:"User id at the calling system."`
	Consent      bool          `help:"Assert the participant's consent to the recording."`
	For          []string      `help:"Participants whose consent a device needs."`
	TTL          time.Duration `name:"ttl" default:"1h" help:"How long the token is valid."`
}

// Run prints the token on standard output and nothing else.
func (c *tokenCmd) Run() error {
	authority, err := c.Authority(time.Now)
	if err != nil {
		return err
	}
	subject := c.Subject
	if subject == "" && c.Participant == "" {
		subject = "command-line"
	}
	token, err := authority.Mint(auth.Claims{
		Subject: subject, Role: c.Role, Consultation: c.Consultation, Participant: c.Participant, Name: c.Name,
		Consent: c.Consent, For: c.For,
	}, c.TTL)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(os.Stdout, token)
	return err
}

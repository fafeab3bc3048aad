package netlab

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// pause lets time pass in mid-call. What is measured is what the participants do meanwhile, and they are processes.
func pause(d time.Duration) { <-time.After(d) }

// nothing lets nothing through at the participant's router while it lasts.
func (c *call) nothing(d time.Duration, rule string) error {
	if err := c.access.router.nft("table inet outage {\n chain pass {\n type filter hook forward priority -10;\n" + rule + "\n }\n}"); err != nil {
		return err
	}
	pause(d)
	return c.access.router.nft("delete table inet outage")
}

// muted is a pause in a call behind a router that forgets after ten seconds.
func muted(c *call, _ *Result) error {
	for _, key := range []string{"nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream"} {
		if err := c.access.router.sysctl("net/netfilter/"+key, "10"); err != nil {
			return err
		}
	}
	return mutedFor(c, nil)
}

// mutedFor is the pause itself.
func mutedFor(c *call, _ *Result) error {
	patient := c.people[0].agent
	if err := patient.tell("mute"); err != nil {
		return err
	}
	pause(15 * time.Second)
	return patient.tell("unmute")
}

// newPublicAddress is what a provider does at night.
func newPublicAddress(c *call, _ *Result) error {
	other := strings.TrimSuffix(c.access.edge, ".2") + ".3"
	return c.access.router.ip(
		"addr del "+c.access.edge+"/24 dev wan", "addr add "+other+"/24 dev wan",
		"route add default via "+strings.TrimSuffix(c.access.edge, ".2")+".1",
	)
}

// newOwnAddress is what a phone does that leaves the Wi-Fi.
func newOwnAddress(c *call, _ *Result) error {
	return c.access.client.ip("addr del "+clientV4+"/24 dev eth0", "addr add 10.77.0.99/24 dev eth0", fmt.Sprintf(defaultV4, homeV4))
}

// outageLengths are how long nothing goes through.
var outageLengths = []time.Duration{8 * time.Second, 30 * time.Second, 90 * time.Second}

// outages are three, of 8, 30 and 90 seconds; the participant comes back after each.
func outages(c *call, r *Result) error {
	for i, d := range outageLengths {
		if err := c.nothing(d, "drop"); err != nil {
			return err
		}
		if i == len(outageLengths)-1 {
			break // that one is measured by the caller
		}
		if err := c.back(r); err != nil {
			return fmt.Errorf("after %s: %w", d, err)
		}
	}
	return nil
}

// restart stops the server and starts it again.
func restart(c *call, _ *Result) error {
	c.server.process.Stop(c.world.t)
	return c.server.start()
}

// signalingCut takes TCP away for a while. Sound and picture, which go over UDP, do not notice.
func signalingCut(c *call, _ *Result) error {
	done := make(chan error, 1)
	go func() { done <- c.nothing(8*time.Second, "meta l4proto tcp drop") }()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		for i, p := range c.people {
			s, _ := p.agent.now()
			if s.Idle > time.Second && s.Idle > c.world.computer.scaled(time.Second, c.world.computer.slowness(time.Now().Add(-s.Idle), time.Now())) {
				return errors.Join(<-done, fmt.Errorf("media to %s stood still for %s", roles[i], s.Idle))
			}
		}
		select {
		case err := <-done:
			if err != nil {
				return err
			}
			return c.people[0].agent.tell("reconnect")
		case <-ticker.C:
		}
	}
}

// udpDies is a firewall that changes its mind.
func udpDies(c *call, r *Result) error {
	if !strings.Contains(r.Way, "udp") {
		r.Steps = append(r.Steps, "nothing died: TCP was there before UDP")
	}
	return c.access.router.nft("table inet outage {\n chain pass {\n type filter hook forward priority -10;\n meta l4proto udp drop\n }\n}")
}

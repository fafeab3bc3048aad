package sfu

import (
	"testing"

	"github.com/pion/webrtc/v4"

	"consilium/internal/media"
)

func TestH264IsSentToWhoDecodesItAndDisturbsNobodyElse(t *testing.T) {
	r := newSFU(t).NewRoom()
	device := join(t, r, "device", clientOptions{})
	picture := device.sendAs(webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeH264, ClockRate: 90000,
		SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
	}, media.Device)
	device.publishOnly()
	camera, _, cam := publisher(t, r, "camera")
	cam.stream()
	modern := join(t, r, "modern", clientOptions{})
	old := join(t, r, "old", clientOptions{noH264: true})
	for _, c := range []*client{modern, old} {
		c.receive(media.Video)
		c.receive(media.Video)
		if err := c.offer(); err != nil {
			t.Fatal(err)
		}
	}
	picture.stream()
	device.await("a publication", func() bool { return len(device.published) == 1 })
	if codec := device.publications()[0].Codec(); codec != media.H264 {
		t.Fatalf("the device publishes %s", codec)
	}
	shows := func(c *client, of *client) func() bool {
		return func() bool {
			pubs := of.publications()
			if len(pubs) == 0 {
				return false
			}
			_, packets := c.receivedOf(pubs[0])
			return len(packets) > 20
		}
	}
	eventually(t, "both pictures at the client that knows H.264", func() bool { return shows(modern, device)() && shows(modern, camera)() })
	eventually(t, "the camera's picture at the other one", shows(old, camera))
	if shows(old, device)() || len(old.sendingTracks()) != 1 {
		t.Errorf("a client that does not know H.264 is sent %v", old.sendingTracks())
	}
}

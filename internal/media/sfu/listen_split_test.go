package sfu

import (
	"net"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

func TestTURNIsToldFromICE(t *testing.T) {
	message := func(kind stun.MessageType, more ...stun.Setter) []byte {
		m, err := stun.Build(append([]stun.Setter{stun.TransactionID, kind}, more...)...)
		if err != nil {
			t.Fatal(err)
		}
		return m.Raw
	}
	allocate := stun.NewType(stun.MethodAllocate, stun.ClassRequest)
	tests := []struct {
		name   string
		packet []byte
		want   bool
	}{
		{"a check of ICE", message(stun.BindingRequest, stun.NewUsername("ours:theirs")), false},
		{"its answer", message(stun.BindingSuccess), false},
		{"its refusal", message(stun.BindingError), false},
		{"a keep-alive of ICE", message(stun.NewType(stun.MethodBinding, stun.ClassIndication)), false},
		{"a question for one's own address", message(stun.BindingRequest), true},
		{"a question for a relay", message(allocate), true},
		{"a question for a relay with a user", message(allocate, stun.NewUsername("1:ann")), true},
		{"a refresh", message(stun.NewType(stun.MethodRefresh, stun.ClassRequest)), true},
		{"a permission", message(stun.NewType(stun.MethodCreatePermission, stun.ClassRequest)), true},
		{"a channel", message(stun.NewType(stun.MethodChannelBind, stun.ClassRequest)), true},
		{"data to a peer", message(stun.NewType(stun.MethodSend, stun.ClassIndication)), true},
		{"channel data", []byte{0x40, 0x00, 0x00, 0x02, 1, 2, 0, 0}, true},
		{"DTLS", append([]byte{0x16, 0xfe, 0xfd}, make([]byte, 40)...), false},
		{"RTP", append([]byte{0x80, 111}, make([]byte, 40)...), false},
		{"RTCP", append([]byte{0x80, 200}, make([]byte, 40)...), false},
		{"a short one", []byte{0x00}, false},
		{"nothing", nil, false},
		{"an attribute that is longer than the message", append(message(stun.BindingRequest), 0x80, 0x22, 0xff, 0xff), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := isTURN(tt.packet); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}

func TestAsideGetsWhatIsTURN(t *testing.T) {
	s := newSFU(t)
	aside := s.Asides()[0]
	conn, err := net.Dial("udp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, packet := range [][]byte{{0x80, 111, 0, 1}, {0x40, 0, 0, 4, 'd', 'a', 't', 'a'}} {
		if _, err := conn.Write(packet); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 100)
	n, from, err := aside.ReadFrom(buf)
	if err != nil || string(buf[4:n]) != "data" || from.String() != conn.LocalAddr().String() {
		t.Fatalf("got %q from %v, %v", buf[:n], from, err)
	}
	if _, err := aside.WriteTo([]byte("back"), from); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "back" {
		t.Errorf("got %q, %v", buf[:n], err)
	}
	aside.Close()
	if _, _, err := aside.ReadFrom(buf); err == nil {
		t.Error("a closed one gives packets")
	}
}

func FuzzIsTURN(f *testing.F) {
	f.Add([]byte{0x00, 0x01, 0x00, 0x04, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if isTURN(b) && len(b) > 0 && b[0] >= 0x80 {
			t.Errorf("media is taken for TURN: %x", b)
		}
	})
}

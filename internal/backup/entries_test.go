package backup

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/events/natslog"
)

func TestEntriesComeBackByteForByte(t *testing.T) {
	all := []natslog.Message{
		{Sequence: 1, Subject: "ev.main.x.y", Header: map[string][]string{"Nats-Msg-Id": {"1"}}, Data: []byte(`{"a":"<ö&>"}`)},
		{Sequence: 2, Subject: "ev.main.x.z", Data: []byte("")},
		{Sequence: 3, Subject: "ev.main.x.z", Data: []byte("bytes that are no text: \xff\x00\n and a line")},
	}
	var file bytes.Buffer
	for _, m := range all {
		if err := writeEntry(&file, m); err != nil {
			t.Fatal(err)
		}
	}
	whole := file.String()
	var got []natslog.Message
	for m, err := range readEntries(&file) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m)
	}
	if diff := cmp.Diff(all, got); diff != "" {
		t.Error(diff)
	}
	for cut := range len(whole) {
		n := 0
		var last error
		for _, err := range readEntries(strings.NewReader(whole[:cut])) {
			if last = err; err == nil {
				n++
			}
		}
		if n == len(all) {
			t.Errorf("cut at %d and still whole", cut)
		}
		if last != nil && !errors.Is(last, io.ErrUnexpectedEOF) {
			t.Errorf("cut at %d: %v", cut, last)
		}
	}
}

func FuzzReadEntries(f *testing.F) {
	var file bytes.Buffer
	_ = writeEntry(&file, natslog.Message{Sequence: 1, Subject: "ev.main.x.y", Header: map[string][]string{"a": {"b"}}, Data: []byte("{}")})
	f.Add(file.Bytes())
	f.Add([]byte(`{"seq":1,"bytes":-1}` + "\n"))
	f.Add([]byte(`{"seq":1,"bytes":999999999}` + "\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var out bytes.Buffer
		var all []natslog.Message
		for m, err := range readEntries(bytes.NewReader(raw)) {
			if err != nil {
				return
			}
			all = append(all, m)
			if err := writeEntry(&out, m); err != nil {
				t.Fatal(err)
			}
		}
		i := 0
		for m, err := range readEntries(&out) {
			if err != nil || i >= len(all) || !bytes.Equal(m.Data, all[i].Data) || m.Sequence != all[i].Sequence || m.Subject != all[i].Subject {
				t.Fatalf("entry %d came back as another one: %v", i, err)
			}
			i++
		}
		if i != len(all) {
			t.Fatalf("%d of %d came back", i, len(all))
		}
	})
}

package config

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/disk"
)

func TestDiskThresholds(t *testing.T) {
	tests := []struct {
		name, value string
		want        disk.Threshold // of CONSILIUM_DISK_WARN; zero: refused
	}{
		{name: "nothing is the default", value: "", want: disk.DefaultWarn},
		{name: "a size", value: "10GB", want: disk.Threshold{Bytes: 10e9}},
		{name: "a size in powers of two", value: "500 MiB", want: disk.Threshold{Bytes: 500 << 20}},
		{name: "half of a unit", value: "1.5T", want: disk.Threshold{Bytes: 1.5e12}},
		{name: "bytes", value: "1000000", want: disk.Threshold{Bytes: 1e6}},
		{name: "a part", value: "5%", want: disk.Threshold{Bytes: math.MaxInt64, Share: 0.05}},
		{name: "no number", value: "much"},
		{name: "negative", value: "-1GB"},
		{name: "nothing at all", value: "0"},
		{name: "more than all", value: "101%"},
		{name: "beyond all disks", value: "99999999999T"},
		{name: "an unknown unit", value: "10XB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, refuse, err := Disk{DiskWarn: tt.value}.Thresholds()
			if tt.want == (disk.Threshold{}) {
				if err == nil {
					t.Fatalf("taken as %+v", got)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil || refuse != disk.DefaultRefuse {
				t.Errorf("%v %v %s", err, refuse, diff)
			}
		})
	}
}

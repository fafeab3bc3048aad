package config

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"consilium/internal/disk"
)

// Disk says when storage is low and when it is full.
type Disk struct {
	DiskWarn   string `name:"disk-warn" env:"CONSILIUM_DISK_WARN" help:"Free space below which live warns: 10GB, 5%. Empty: 10 GB or a tenth of the disk, the less of both."`
	DiskRefuse string `name:"disk-refuse" env:"CONSILIUM_DISK_REFUSE" help:"Free space below which no recorded consultation can be begun: 2GB, 1%. Empty: 2 GB or a fiftieth of the disk, the less of both."`
}

// Thresholds are the settings as package disk wants them.
func (d Disk) Thresholds() (warn, refuse disk.Threshold, err error) {
	warn, err = threshold("CONSILIUM_DISK_WARN", d.DiskWarn, disk.DefaultWarn)
	if err != nil {
		return warn, refuse, err
	}
	refuse, err = threshold("CONSILIUM_DISK_REFUSE", d.DiskRefuse, disk.DefaultRefuse)
	return warn, refuse, err
}

func (d Disk) validate() error {
	_, _, err := d.Thresholds()
	return err
}

var (
	sizePattern = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) *([kKMGT]?i?B?|%)$`)
	units       = map[string]float64{"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30, "TI": 1 << 40}
	errSize     = errors.New("it must be a size such as 10GB or 500MiB, or a part of the disk such as 5%")
)

func threshold(name, value string, otherwise disk.Threshold) (disk.Threshold, error) {
	if value == "" {
		return otherwise, nil
	}
	parts := sizePattern.FindStringSubmatch(strings.TrimSpace(value))
	if parts == nil {
		return disk.Threshold{}, fmt.Errorf("%s: %q: %w", name, value, errSize)
	}
	number, err := strconv.ParseFloat(parts[1], 64)
	if err != nil {
		return disk.Threshold{}, fmt.Errorf("%s: %q: %w", name, value, errSize)
	}
	if parts[2] == "%" {
		if number <= 0 || number > 100 {
			return disk.Threshold{}, fmt.Errorf("%s: %q: %w", name, value, errSize)
		}
		return disk.Threshold{Bytes: math.MaxInt64, Share: number / 100}, nil
	}
	unit, ok := units[strings.ToUpper(strings.TrimSuffix(parts[2], "B"))]
	if size := number * unit; ok && size >= 1 && size < math.MaxInt64/2 {
		return disk.Threshold{Bytes: int64(size)}, nil
	}
	return disk.Threshold{}, fmt.Errorf("%s: %q: %w", name, value, errSize)
}

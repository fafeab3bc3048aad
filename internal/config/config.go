// Package config gathers the settings of both processes: from flags, environment and a file, under the same names, with
// the same checks.
//
// In come words that an operator wrote; out come settings that were checked, or a text that says which of them is wrong
// and what it should be. It holds no settings of its own making, and only cmd imports it: rooms get their own Config.
package config

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"consilium/internal/telemetry"
)

// Folder is the data folder, which every command needs.
type Folder struct {
	Data string `name:"data" env:"CONSILIUM_DATA" default:"./var" type:"path" help:"Folder of all data that is not kept elsewhere."`
}

// Log says how the log is written.
type Log struct {
	LogLevel  string `name:"log-level" env:"CONSILIUM_LOG_LEVEL" default:"info" enum:"debug,info,warn,error" help:"Least level that is logged: ${enum}."`
	LogFormat string `name:"log-format" env:"CONSILIUM_LOG_FORMAT" default:"text" enum:"text,json" help:"Form of the log: ${enum}."`
}

// Logger makes the process's logger.
func (l Log) Logger(w io.Writer) (*slog.Logger, error) {
	return telemetry.NewLogger(telemetry.LogConfig{Level: l.LogLevel, Format: l.LogFormat}, w)
}

// Stores are what live and stitcher share.
type Stores struct {
	NATSURL string `name:"nats-url" env:"CONSILIUM_NATS_URL" help:"NATS cluster of the event log, one or several URLs with commas. Empty: the server inside live on this machine."`
	BlobURL string `name:"blob-url" env:"CONSILIUM_BLOB_URL" help:"Blob store of recordings and archives, file:///… or s3://…. Empty: a folder in the data folder."`
}

// Process is what every long-running process has.
type Process struct {
	Node string `name:"node" env:"CONSILIUM_NODE" help:"Name of this process's machine in the event log. Empty: the host name."`
}

// Live is all that cmd/live can be told.
type Live struct {
	Secret
	Log
	Stores
	Process
	Recording
	Disk
	Webhooks

	Listen      string `name:"listen" env:"CONSILIUM_LISTEN" default:"127.0.0.1:8080" help:"Address for HTTP, host:port."`
	MediaListen string `name:"media-listen" env:"CONSILIUM_MEDIA_LISTEN" default:":8080" help:"Address for media over UDP, host:port; without a host: all addresses."`
	PublicAddr  string `name:"public-addr" env:"CONSILIUM_PUBLIC_ADDR" help:"Addresses under which the outside reaches the media port through a 1:1 NAT, with commas."`
	ICELite     bool   `name:"ice-lite" env:"CONSILIUM_ICE_LITE" help:"Answer ICE checks and send none, which suits a fixed public address."`
	ICEServers  string `name:"ice-servers" env:"CONSILIUM_ICE_SERVERS" help:"STUN and TURN URLs without passwords that clients are told of, with commas."`
	TLSCert     string `name:"tls-cert" env:"CONSILIUM_TLS_CERT" type:"path" help:"Certificate in PEM, followed by those that signed it. Without it HTTP is plain."`
	TLSKey      string `name:"tls-key" env:"CONSILIUM_TLS_KEY" type:"path" help:"Private key of the certificate in PEM."`
	URL         string `name:"url" env:"CONSILIUM_URL" help:"Address under which people open the pages, https://…. Empty: as they typed it."`
	DatabaseURL string `name:"database-url" env:"CONSILIUM_DATABASE_URL" help:"PostgreSQL of lists and names, postgres://…. Empty: a private one in the data folder."`
}

// Recording says how recordings are written.
type Recording struct {
	Receipts      bool          `name:"receipts" env:"CONSILIUM_RECEIPTS" help:"People must say for what they watch a recording before they can (a receipt); programs with a token of their own need none."`
	SegmentLength time.Duration `name:"segment-length" env:"CONSILIUM_SEGMENT_LENGTH" default:"30s" help:"Length after which a recording goes on in a new file, 1s to 10m. At most that much is on this machine's disk alone."`
}

// Stitcher is all that cmd/stitcher can be told.
type Stitcher struct {
	Folder
	Log
	Stores
	Process
}

// AfterApply gives the node its host's name where none was set. The command line calls it.
func (p *Process) AfterApply() error {
	if p.Node != "" {
		return nil
	}
	p.Node = "node"
	if name, err := os.Hostname(); err == nil && validNode(name) {
		p.Node = name
	}
	return nil
}

// Blobs is the address of the blob store, which is a folder in the data folder unless another was given.
func (l Live) Blobs() string { return blobs(l.BlobURL, l.Data) }

// Blobs is the address of the blob store, the same as live's when both have the same settings.
func (s Stitcher) Blobs() string { return blobs(s.BlobURL, s.Data) }

func blobs(given, data string) string {
	if given != "" {
		return given
	}
	return (&url.URL{Scheme: "file", Path: filepath.Join(data, "blobs")}).String()
}

// Secure says whether HTTP is spoken under TLS.
func (l Live) Secure() bool { return l.TLSCert != "" }

// BaseURL is where a browser on this machine finds the pages, or the public address where one was given. It has no slash
// at the end.
func (l Live) BaseURL() string {
	if l.URL != "" {
		return strings.TrimSuffix(l.URL, "/")
	}
	scheme := "http"
	if l.Secure() {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(l.Listen)
	if err != nil {
		return scheme + "://" + l.Listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// Warnings says what is allowed and probably not meant.
func (l Live) Warnings() []string {
	var all []string
	if !l.Secure() && !loopback(l.Listen) && !strings.HasPrefix(l.URL, "https://") {
		all = append(all, "HTTP is open to other machines without TLS: their browsers will refuse camera and microphone; set CONSILIUM_TLS_CERT and CONSILIUM_TLS_KEY, or put a proxy with TLS in front and set CONSILIUM_URL")
	}
	if l.APISecret != "" && len(l.APISecret) < 32 {
		all = append(all, "CONSILIUM_API_SECRET is shorter than 32 characters")
	}
	return all
}

func loopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// LogValue shows what an operator looks for, and no address that may hold a password.
func (l Live) LogValue() slog.Value {
	set := func(s string) string {
		if s == "" {
			return "embedded"
		}
		return "given"
	}
	return slog.GroupValue(
		slog.String("data", l.Data), slog.String("listen", l.Listen), slog.String("media_listen", l.MediaListen),
		slog.String("public_addr", l.PublicAddr), slog.String("url", l.BaseURL()), slog.Bool("tls", l.Secure()),
		slog.String("log", set(l.NATSURL)), slog.String("database", set(l.DatabaseURL)), slog.String("blobs", set(l.BlobURL)),
	)
}

// Validate says everything that is wrong at once.
func (l Live) Validate() error {
	return errors.Join(
		l.Secret.Validate(), l.Stores.validate(), l.Process.validate(), l.Disk.validate(), l.Recording.validate(), l.Webhooks.validate(),
		checkListen("CONSILIUM_LISTEN", l.Listen), checkListen("CONSILIUM_MEDIA_LISTEN", l.MediaListen),
		checkAddrs("CONSILIUM_PUBLIC_ADDR", l.PublicAddr), checkPair(l.TLSCert, l.TLSKey),
		checkPublicURL("CONSILIUM_URL", l.URL), checkDatabase("CONSILIUM_DATABASE_URL", l.DatabaseURL),
	)
}

// Validate says everything that is wrong at once.
func (s Stitcher) Validate() error {
	return errors.Join(s.Stores.validate(), s.Process.validate())
}

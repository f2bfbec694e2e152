package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"time"

	"layercake/internal/postgres"
)

// Config is what one replica is told. Its zero values are not defaults: the command line has those.
type Config struct {
	DatabaseURL    string   // PostgreSQL; may go through a pooler
	Pooled         bool     // it goes through a pooler in transaction mode
	ListenURL      string   // PostgreSQL, direct and read-write; "" for DatabaseURL
	HTTPAddr       string   // host:port of everything for clients; port 0 lets the system choose
	AdminAddr      string   // host:port of metrics and profiles; "" for none
	PublicURL      *url.URL // how browsers reach this deployment; nil when it is not said
	AllowedOrigins []string // pages of these origins may call; in open mode loopback origins may, too
	AllowedHeaders []string // of requests by pages that may call, beside those that are known
	TrustedProxies []string // networks such as 10.0.0.0/8, whose X-Forwarded-For says where a client is
	Open           bool     // callers without a credential are let in
	Migrate        bool     // bring the schema up to date at the start, rather than only compare
	PoolMax        int
	PoolMin        int
	Replicas       int // that share the database server
	WriteSlots     int // changes that are in the database at once
	MaxSockets     int // that a client address may have open at this replica; 0 for any number
	Drain          time.Duration
	EventRetention time.Duration // events older than this are removed, and watchers from before get a snapshot
	CleanUp        time.Duration // between two removals, on average
	Silence        time.Duration // of a collaboration socket before it is cut off; three pings fit; 0 for what the protocol says
	Loss           float64       // share of lines to other replicas that are dropped, for fault tests
	Crash          float64       // share of changes after whose commit the process dies before anybody knows, for fault tests
	Version        string
	Log            *slog.Logger
}

var headerName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)

// Check reports everything that is wrong at once.
func (c Config) Check() error {
	var errs []error
	wrong := func(setting string, value any, want string) {
		errs = append(errs, fmt.Errorf("%s is %v: %s", setting, value, want))
	}
	if c.DatabaseURL == "" {
		wrong("LAYERCAKE_DATABASE_URL", `""`, "it names a PostgreSQL database")
	}
	for setting, text := range map[string]string{"LAYERCAKE_DATABASE_URL": c.DatabaseURL, "LAYERCAKE_LISTEN_DATABASE_URL": c.ListenURL} {
		if err := postgres.CheckURL(text); err != nil && text != "" {
			errs = append(errs, fmt.Errorf("%s %w", setting, err))
		}
	}
	if c.Pooled && c.ListenURL == "" {
		wrong("LAYERCAKE_LISTEN_DATABASE_URL", `""`, "with LAYERCAKE_POOLER=transaction it names the server itself, past the pooler")
	}
	for setting, addr := range map[string]string{"LAYERCAKE_HTTP_ADDR": c.HTTPAddr, "LAYERCAKE_ADMIN_ADDR": c.AdminAddr} {
		if _, _, err := net.SplitHostPort(addr); err != nil && (addr != "" || setting == "LAYERCAKE_HTTP_ADDR") {
			wrong(setting, fmt.Sprintf("%q", addr), "it has the form host:port")
		}
	}
	for _, origin := range c.AllowedOrigins {
		if u, err := url.Parse(origin); err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" {
			wrong("LAYERCAKE_ALLOWED_ORIGINS", fmt.Sprintf("%q", origin), "an origin has the form https://host or https://host:port")
		}
	}
	for _, header := range c.AllowedHeaders {
		if !headerName.MatchString(header) {
			wrong("LAYERCAKE_ALLOWED_HEADERS", fmt.Sprintf("%q", header), "the name of a header has letters, digits, - and _, such as X-Tenant")
		}
	}
	for _, network := range c.TrustedProxies {
		if _, err := netip.ParsePrefix(network); err != nil {
			wrong("LAYERCAKE_TRUSTED_PROXIES", fmt.Sprintf("%q", network), "a network has the form 10.0.0.0/8, and one address 10.1.2.3/32")
		}
	}
	if c.MaxSockets < 0 {
		wrong("LAYERCAKE_SOCKETS_PER_ADDRESS", c.MaxSockets, "it is at least 0, for any number")
	}
	for setting, n := range map[string]int{
		"LAYERCAKE_POOL_MAX": c.PoolMax, "LAYERCAKE_REPLICAS": c.Replicas, "LAYERCAKE_WRITE_SLOTS": c.WriteSlots,
	} {
		if n < 1 {
			wrong(setting, n, "it is at least 1")
		}
	}
	if c.PoolMin < 0 || c.PoolMin > c.PoolMax {
		wrong("LAYERCAKE_POOL_MIN", c.PoolMin, fmt.Sprintf("it is from 0 to LAYERCAKE_POOL_MAX, which is %d", c.PoolMax))
	}
	if c.Drain < 0 || c.Drain > time.Hour {
		wrong("LAYERCAKE_DRAIN", c.Drain, "it is from 0s to 1h")
	}
	for setting, d := range map[string]time.Duration{"LAYERCAKE_EVENT_RETENTION": c.EventRetention, "LAYERCAKE_CLEAN_UP": c.CleanUp} {
		if d <= 0 {
			wrong(setting, d, "it is more than nothing")
		}
	}
	if c.Silence != 0 && c.Silence < 100*time.Millisecond {
		wrong("LAYERCAKE_SILENCE", c.Silence, "it is at least 100ms")
	}
	if c.Loss < 0 || c.Loss > 1 {
		wrong("LAYERCAKE_FAULT_LOSS", c.Loss, "it is from 0 to 1")
	}
	if c.Crash < 0 || c.Crash > 1 {
		wrong("LAYERCAKE_FAULT_CRASH", c.Crash, "it is from 0 to 1")
	}
	return errors.Join(errs...)
}

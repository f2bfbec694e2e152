package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"layercake/internal/embeddedpg"
	"layercake/internal/server"
)

// serveCommand runs one replica. Settings are read as texts, so that all wrong ones are reported at once.
type serveCommand struct {
	DatabaseURL       string   `env:"LAYERCAKE_DATABASE_URL,DATABASE_URL" placeholder:"URL" help:"PostgreSQL to use. Without one, a private PostgreSQL is started."`
	ListenDatabaseURL string   `env:"LAYERCAKE_LISTEN_DATABASE_URL" placeholder:"URL" help:"The same database, directly, when the other URL goes through a pooler."`
	Pooler            string   `env:"LAYERCAKE_POOLER" default:"none" help:"transaction: the first URL leads to a pooler in transaction mode, such as PgBouncer; the README says what it needs. none: to the server."`
	HTTPAddr          string   `name:"http-addr" env:"LAYERCAKE_HTTP_ADDR" default:"127.0.0.1:3000" help:"Address for clients."`
	AdminAddr         string   `env:"LAYERCAKE_ADMIN_ADDR" default:"127.0.0.1:3100" help:"Address for metrics and profiles; empty for none."`
	PublicURL         string   `name:"public-url" env:"LAYERCAKE_PUBLIC_URL" placeholder:"URL" help:"How browsers reach this deployment."`
	AllowedOrigins    []string `env:"LAYERCAKE_ALLOWED_ORIGINS" placeholder:"ORIGIN" help:"Origins whose pages may call. In open mode without any: every loopback origin and tauri://localhost."`
	AllowedHeaders    []string `env:"LAYERCAKE_ALLOWED_HEADERS" placeholder:"NAME" help:"Headers that such pages may send, beside those of GraphQL clients and of tracing."`
	TrustedProxies    []string `env:"LAYERCAKE_TRUSTED_PROXIES" placeholder:"NETWORK" help:"Networks of proxies, such as 10.0.0.0/8, whose X-Forwarded-For says where a client is."`
	SocketsPerAddress string   `env:"LAYERCAKE_SOCKETS_PER_ADDRESS" default:"5000" help:"Sockets that one client address may have open at this replica; 0: any number."`
	Auth              string   `env:"LAYERCAKE_AUTH" placeholder:"MODE" help:"open: callers without a credential own everything. The default while listening on loopback; elsewhere it must be asked for."`
	Migrate           string   `env:"LAYERCAKE_MIGRATE" default:"auto" help:"auto: bring the schema up to date at the start; check: only compare."`
	PoolMax           string   `env:"LAYERCAKE_POOL_MAX" default:"100" help:"Database connections for requests, at most; capped by what the server has room for."`
	PoolMin           string   `env:"LAYERCAKE_POOL_MIN" default:"5" help:"Database connections for requests that stay open."`
	Replicas          string   `env:"LAYERCAKE_REPLICAS" default:"3" help:"How many replicas share the database server, for that cap."`
	WriteSlots        string   `env:"LAYERCAKE_WRITE_SLOTS" default:"16" help:"Changes that are in the database at once."`
	Drain             string   `env:"LAYERCAKE_DRAIN" default:"5s" help:"Time over which clients are sent away when stopping."`
	EventRetention    string   `env:"LAYERCAKE_EVENT_RETENTION" default:"168h" help:"How long events are kept for those who come back."`
	LogLevel          string   `env:"LAYERCAKE_LOG_LEVEL" default:"info" help:"debug, info, warn or error."`
	LogFormat         string   `env:"LAYERCAKE_LOG_FORMAT" default:"text" help:"text or json."`
	PGBin             string   `name:"pg-bin" env:"LAYERCAKE_PG_BIN" placeholder:"DIR" help:"Folder of PostgreSQL's programs, for the private one."`
	DataDir           string   `env:"LAYERCAKE_DATA_DIR" placeholder:"DIR" help:"Data folder of the private PostgreSQL. Without one: /var/lib/layercake as root, else layercake in the XDG data folder."`
	CleanUp           string   `env:"LAYERCAKE_CLEAN_UP" default:"5m" hidden:"" help:"Time between two removals of what is too old."`
	Silence           string   `env:"LAYERCAKE_SILENCE" default:"90s" hidden:"" help:"How long a collaboration socket may be silent; it is pinged three times meanwhile."`
	FaultLoss         string   `env:"LAYERCAKE_FAULT_LOSS" default:"0" hidden:"" help:"Share of lines to other replicas that are dropped, 0 to 1."`
	FaultCrash        string   `env:"LAYERCAKE_FAULT_CRASH" default:"0" hidden:"" help:"Share of changes after whose commit the process dies before anybody knows, 0 to 1."`
}

// Run serves until ctx ends.
func (c serveCommand) Run(ctx context.Context) error {
	cfg, err := c.config()
	if err != nil {
		return fmt.Errorf("these settings are wrong (see layercake serve --help):\n%w", err)
	}
	if cfg.DatabaseURL != "" {
		return server.New(cfg).Run(ctx)
	}
	database, err := c.database(cfg)
	if err != nil {
		return err
	}
	return withDatabase(ctx, database, func(ctx context.Context, url string) error {
		cfg.DatabaseURL, cfg.Replicas = url, 1
		return server.New(cfg).Run(ctx)
	})
}

// database is the private PostgreSQL, with room for this replica and for people with psql.
func (c serveCommand) database(cfg server.Config) (embeddedpg.Config, error) {
	database := embeddedpg.Config{
		DataDir:  c.DataDir,
		Settings: map[string]string{"max_connections": strconv.Itoa(cfg.PoolMax + 30)},
		Log:      cfg.Log,
	}
	var err error
	if database.BinDir, err = embeddedpg.FindBinaries(c.PGBin); err != nil {
		return database, err
	}
	if database.DataDir == "" {
		database.DataDir, err = embeddedpg.DefaultDataDir()
	}
	return database, err
}

// trimmed returns the items of a list without the blanks that people write behind commas.
func trimmed(items []string) []string {
	for i, item := range items {
		items[i] = strings.TrimSpace(item)
	}
	return items
}

// config reads the settings. Its error names every wrong one.
func (c serveCommand) config() (server.Config, error) {
	r := reader{}
	cfg := server.Config{
		DatabaseURL: c.DatabaseURL, ListenURL: c.ListenDatabaseURL, HTTPAddr: c.HTTPAddr, AdminAddr: c.AdminAddr,
		Pooled:         r.oneOf("LAYERCAKE_POOLER", c.Pooler, "none", "transaction") == "transaction",
		AllowedOrigins: trimmed(c.AllowedOrigins),
		AllowedHeaders: trimmed(c.AllowedHeaders),
		TrustedProxies: trimmed(c.TrustedProxies),
		PublicURL:      r.url("LAYERCAKE_PUBLIC_URL", c.PublicURL),
		Migrate:        r.oneOf("LAYERCAKE_MIGRATE", c.Migrate, "auto", "check") == "auto",
		PoolMax:        r.number("LAYERCAKE_POOL_MAX", c.PoolMax),
		PoolMin:        r.number("LAYERCAKE_POOL_MIN", c.PoolMin),
		Replicas:       r.number("LAYERCAKE_REPLICAS", c.Replicas),
		WriteSlots:     r.number("LAYERCAKE_WRITE_SLOTS", c.WriteSlots),
		Drain:          r.time("LAYERCAKE_DRAIN", c.Drain),
		EventRetention: r.time("LAYERCAKE_EVENT_RETENTION", c.EventRetention),
		MaxSockets:     r.number("LAYERCAKE_SOCKETS_PER_ADDRESS", c.SocketsPerAddress),
		CleanUp:        r.time("LAYERCAKE_CLEAN_UP", c.CleanUp),
		Silence:        r.time("LAYERCAKE_SILENCE", c.Silence),
		Loss:           r.share("LAYERCAKE_FAULT_LOSS", c.FaultLoss),
		Crash:          r.share("LAYERCAKE_FAULT_CRASH", c.FaultCrash),
		Version:        version(),
	}
	cfg.Log = r.logger(c.LogLevel, c.LogFormat)
	cfg.Open = r.auth(c.Auth, c.HTTPAddr, cfg.Log)
	checked := cfg
	if checked.DatabaseURL == "" {
		checked.DatabaseURL = "postgres:///private"
	}
	return cfg, errors.Join(errors.Join(r.errs...), checked.Check())
}

// defaults are the texts of settings that are not given, by setting.
var defaults = func() map[string]string {
	texts := map[string]string{}
	for f := range reflect.TypeFor[serveCommand]().Fields() {
		texts[f.Tag.Get("env")] = f.Tag.Get("default")
	}
	return texts
}()

// reader reads texts and collects what is wrong with them.
type reader struct{ errs []error }

// read returns the default of a text that is wrong, so that nobody complains of what comes of it.
func read[T any](r *reader, setting, text, want string, parse func(string) (T, error)) T {
	v, err := parse(text)
	if err != nil {
		r.errs = append(r.errs, fmt.Errorf("%s is %q: it is %s", setting, text, want))
		v, _ = parse(defaults[setting])
	}
	return v
}

func (r *reader) number(setting, text string) int {
	return read(r, setting, text, "a whole number", strconv.Atoi)
}

func (r *reader) time(setting, text string) time.Duration {
	return read(r, setting, text, "a time such as 5s or 168h", time.ParseDuration)
}

func (r *reader) share(setting, text string) float64 {
	return read(r, setting, text, "a number from 0 to 1", func(s string) (float64, error) { return strconv.ParseFloat(s, 64) })
}

func (r *reader) oneOf(setting, text string, words ...string) string {
	return read(r, setting, text, fmt.Sprintf("one of %q", words), func(s string) (string, error) {
		for _, w := range words {
			if s == w {
				return s, nil
			}
		}
		return words[0], errors.New("none of them")
	})
}

func (r *reader) url(setting, text string) *url.URL {
	if text == "" {
		return nil
	}
	return read(r, setting, text, "a URL such as https://layercake.example", func(s string) (*url.URL, error) {
		u, err := url.Parse(s)
		if err == nil && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
			err = errors.New("no web address")
		}
		return u, err
	})
}

func (r *reader) logger(level, format string) *slog.Logger {
	var l slog.Level
	switch r.oneOf("LAYERCAKE_LOG_LEVEL", level, "info", "debug", "warn", "error") {
	case "debug":
		l = slog.LevelDebug
	case "warn":
		l = slog.LevelWarn
	case "error":
		l = slog.LevelError
	}
	options := &slog.HandlerOptions{Level: l}
	if r.oneOf("LAYERCAKE_LOG_FORMAT", format, "text", "json") == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}

// auth says whether everybody is let in. Beyond this machine that must be asked for by name.
func (r *reader) auth(mode, addr string, log *slog.Logger) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil && mode == "" {
		return true // the address is wrong, and complained of elsewhere
	}
	ip, err := netip.ParseAddr(host)
	loopback := host == "localhost" || err == nil && ip.IsLoopback()
	switch {
	case mode == "open" && !loopback:
		log.Warn("everybody who can connect may change and delete everything", "setting", "LAYERCAKE_AUTH=open", "address", addr)
	case mode == "open", mode == "" && loopback:
	case mode == "":
		r.errs = append(r.errs, fmt.Errorf(
			"LAYERCAKE_AUTH is not set, and LAYERCAKE_HTTP_ADDR is %q: beyond loopback, say LAYERCAKE_AUTH=open to let everybody in", addr))
	default:
		r.errs = append(r.errs, fmt.Errorf("LAYERCAKE_AUTH is %q: this version knows open", mode))
	}
	return true
}

package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"layercake/internal/budget"
	"layercake/internal/executor"
	"layercake/internal/files"
	"layercake/internal/oidc"
	"layercake/internal/plan"
	"layercake/internal/postgres"
	"layercake/internal/presence"
	"layercake/internal/replica"
	"layercake/internal/setting"
	"layercake/internal/socket"
	"layercake/internal/web"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Config configures one replica. Its zero values are not defaults: Settings has those.
type Config struct {
	DatabaseURL    string      // URL of PostgreSQL; may go through a pooler
	Pooled         bool        // whether DatabaseURL goes through a pooler in transaction mode
	ListenURL      string      // URL of PostgreSQL, direct and read-write; "" for DatabaseURL
	HTTPAddr       string      // host:port of everything for clients; port 0 lets the system choose
	AdminAddr      string      // host:port of metrics and profiles; "" for none
	Ops            Ops         // whether operators have a page there
	PublicURL      *url.URL    // address at which browsers reach this deployment; nil when unknown
	Hosts          []string    // names by which clients know it, beside that in PublicURL; localhost for all names of loopback
	AllowedOrigins []string    // origins whose pages may call; in open mode loopback origins may, too
	AllowedHeaders []string    // headers that pages may send, beside those that are known
	WebDir         string      // folder of a built client that is served at /; "" for our page
	TrustedProxies []string    // networks such as 10.0.0.0/8, whose X-Forwarded-For says where a client is
	Open           bool        // whether callers without a credential are let in
	Registration   string      // open or closed: whether people make accounts themselves; "" for open only when Open is
	NoPasswords    bool        // whether single sign-on is the only way in
	OIDC           oidc.Config // identity provider; without an issuer there is none
	PasswordList   string      // file of passwords that nobody may have; "" for none
	Migrate        bool        // whether the schema is brought up to date at the start, rather than only compared
	PoolMax        int
	PoolMin        int
	Replicas       int           // number of replicas that share the database server
	WriteSlots     int           // changes that are in the database at once
	MaxSockets     int           // sockets that a client address may have open at this replica; 0 for any number
	MaxRequests    int           // requests that a client address may have in flight at this replica; 0 for any number
	AccountSockets int           // sockets that an account may have open at this replica; 0 for any number
	AccountRate    int           // requests of an account that this replica serves a second; 0 for any number
	RequestMemory  int           // bytes that all requests may hold; 0 for a quarter of the machine's
	Builds         int           // builds of graphs that are under way at once at this replica; 0 for none
	BuildMemory    int           // bytes that they may need together
	BuildTimeout   time.Duration // time that one may take
	MaxGuests      int           // guests that may be there from a client address; 0 for any number
	MaxUpload      int           // bytes of the files of one upload; 0 for 256 MB
	SessionTTL     time.Duration // from login to the end of a session; 0 for 24 h
	SessionIdle    time.Duration // time without use after which it ends; 0 for any
	Drain          time.Duration
	EventRetention time.Duration // age at which events are removed; watchers from before get a snapshot
	CleanUp        time.Duration // time between two removals, on average
	Silence        time.Duration // silence after which a collaboration socket is cut off; three pings fit; 0 for the protocol's
	Loss           float64       // share of lines to other replicas that are dropped, for fault tests
	Crash          float64       // share of changes after whose commit the process dies before anybody knows, for fault tests
	Version        string
	Log            *slog.Logger

	// The fields below are for the caller, which makes Log, and DatabaseURL when there is none.
	LogLevel  slog.Level
	LogJSON   bool
	PGBinDir  string // folder of the programs of a private PostgreSQL; "" to look for them
	PGDataDir string // data folder of a private PostgreSQL; "" for the usual one

	// Clocks that tests set. Their zero values stand for those of a deployment.
	Lease    replica.Timing
	Presence presence.Timing
	Streams  socket.Timing // of agents
	Database postgres.Timing
	Changes  plan.Timing
	Pace     files.Pace    // of uploads and downloads
	Patience time.Duration // of requests: for memory, for their turn, for a field of GraphQL

	// BuildTiming sets the clocks of builds, and Reached is called when one comes to a point. Their zero values stand for a deployment's.
	BuildTiming executor.Timing
	Reached     func(ctx context.Context, p executor.Point, projectID int32, nodeID string)

	// Fixtures adds to what agents are served, for suites that call tools of their own; nil outside of tests.
	Fixtures func(*mcp.Server)
}

// Settings returns all settings of a replica, in the order of the help. They fill c: a setting stands here and nowhere else.
func (c *Config) Settings() []setting.Setting {
	positive := setting.From(1, math.MaxInt32, "at least 1")
	lasting := setting.From(1, time.Duration(math.MaxInt64), "more than nothing")
	return []setting.Setting{
		{
			Flag: "database-url", Fallback: "DATABASE_URL", Placeholder: "URL", Value: setting.Text(&c.DatabaseURL, c.checkDatabaseURL),
			Help: "PostgreSQL to use. Without one, a private PostgreSQL is started.",
		},
		{
			Flag: "listen-database-url", Placeholder: "URL", Value: setting.Text(&c.ListenURL, c.checkListenURL),
			Help: "The same database, directly, when the other URL goes through a pooler.",
		},
		{
			Flag: "pooler", Default: "none", Value: setting.Choice(&c.Pooled, setting.Word("none", false), setting.Word("transaction", true)),
			Help: "transaction: the first URL leads to a pooler in transaction mode, such as PgBouncer; the README says what it needs. " +
				"none: to the server.",
		},
		{Flag: "http-addr", Default: "127.0.0.1:3000", Value: setting.Text(&c.HTTPAddr, checkAddr), Help: "Address for clients."},
		{
			Flag: "admin-addr", Default: "127.0.0.1:3100", Value: setting.Text(&c.AdminAddr, checkAddrOrNone),
			Help: "Address for metrics and profiles; empty for none.",
		},
		{
			Flag: "ops", Default: "auto",
			Value: setting.Choice(&c.Ops, setting.Word("auto", OpsOnLoopback), setting.Word("on", OpsOn), setting.Word("off", OpsOff)),
			Help:  "/ops at the admin address, a page for operators whose buttons act, for everybody who can connect. auto: on loopback only.",
		},
		{Flag: "public-url", Placeholder: "URL", Value: setting.URL(&c.PublicURL), Help: "How browsers reach this deployment."},
		{
			Flag: "hosts", Placeholder: "NAME", Value: setting.List(&c.Hosts, checkHostName, c.checkHosts),
			Help: "Names by which clients reach it, beside that in public-url; localhost: all names of this machine for itself. " +
				"Beyond loopback, other names are refused.",
		},
		{
			Flag: "allowed-origins", Placeholder: "ORIGIN", Value: setting.List(&c.AllowedOrigins, checkOrigin, nil),
			Help: "Origins whose pages may call. In open mode without any: every loopback origin and tauri://localhost.",
		},
		{
			Flag: "allowed-headers", Placeholder: "NAME", Value: setting.List(&c.AllowedHeaders, checkHeader, nil),
			Help: "Headers that such pages may send, beside those of GraphQL clients and of tracing.",
		},
		{
			Flag: "web-dir", Placeholder: "DIR", Value: setting.Text(&c.WebDir, checkWebDir),
			Help: "Folder with the index.html of a built single-page client, to serve at /; our page is at /app/ then. " +
				"It is read at the start only.",
		},
		{
			Flag: "trusted-proxies", Placeholder: "NETWORK", Value: setting.List(&c.TrustedProxies, checkNetwork, nil),
			Help: "Networks of proxies, such as 10.0.0.0/8, whose X-Forwarded-For says where a client is.",
		},
		{
			Flag: "sockets-per-address", Default: "5000",
			Value: setting.Number(&c.MaxSockets, setting.From(0, math.MaxInt, "at least 0, for any number")),
			Help:  "Sockets that one client address may have open at this replica; 0: any number.",
		},
		{
			Flag: "requests-per-address", Default: "1000",
			Value: setting.Number(&c.MaxRequests, setting.From(0, math.MaxInt, "at least 0, for any number")),
			Help:  "Requests that one client address may have in flight at this replica; 0: any number.",
		},
		{
			Flag: "account-sockets", Default: "200",
			Value: setting.Number(&c.AccountSockets, setting.From(0, math.MaxInt, "at least 0, for any number")),
			Help:  "Sockets and streams that one account may have open at this replica, by all its sessions and tokens; 0: any number.",
		},
		{
			Flag: "account-requests", Default: "100",
			Value: setting.Number(&c.AccountRate, setting.From(0, math.MaxInt32, "at least 0, for any number")),
			Help: "Requests of one account that this replica serves a second, operations on sockets included, and at once after a pause; " +
				"0: any number.",
		},
		{
			Flag: "request-memory", Placeholder: "SIZE", Value: setting.One(&c.RequestMemory, parseSize, checkMemory),
			Help: "Memory that all requests may hold, such as 512MB; at least 256MB. " +
				"Without one: a quarter of the memory that the process may have.",
		},
		{
			Flag: "builds", Default: "2", Value: setting.Number(&c.Builds, setting.From(0, 64, "from 0, for none, to 64")),
			Help: "Graphs that this replica builds at once; 0: it leaves builds to others.",
		},
		{
			Flag: "build-memory", Default: "2GB", Placeholder: "SIZE", Value: setting.One(&c.BuildMemory, parseSize, checkBuildMemory),
			Help: "Memory that its builds may need together, such as 512MB; at least 64MB. A build that needs more is refused.",
		},
		{
			Flag: "build-timeout", Default: "10m", Value: setting.Duration(&c.BuildTimeout, lasting), Help: "Time that one build may take.",
		},
		{
			Flag: "max-upload", Default: "256MB", Placeholder: "SIZE", Value: setting.One(&c.MaxUpload, parseSize, checkUpload),
			Help: "Size of the files of one upload, at most; up to 2GB. At once a replica takes four.",
		},
		{
			Flag: "guests-per-address", Default: "200",
			Value: setting.Number(&c.MaxGuests, setting.From(0, math.MaxInt, "at least 0, for any number")),
			Help:  "People without a connection who may be there from one client address, on all replicas; 0: any number.",
		},
		{
			Flag: "auth", Placeholder: "MODE", Value: setting.One(&c.Open, c.parseAuth, nil),
			Help: "open: callers without a credential own everything. The default while listening on loopback; " +
				"elsewhere it must be asked for. required: everybody signs in, and has what rights projects give them.",
		},
		{
			Flag: "registration", Placeholder: "WORD", Value: setting.Text(&c.Registration, checkRegistration),
			Help: "open: people make accounts themselves; closed: operators do, by layercake user create. The default is open only with auth=open.",
		},
		{
			Flag: "passwords", Default: "on", Value: setting.Choice(&c.NoPasswords, setting.Word("on", false), setting.Word("off", true)),
			Help: "off: single sign-on is the only way in.",
		},
		{
			Flag: "oidc-issuer", Placeholder: "URL", Value: setting.Text(&c.OIDC.Issuer, c.checkIssuer),
			Help: "Identity provider (OpenID Connect) by which people sign in, exactly as it names itself; docs/sso.md says how. Needs public-url.",
		},
		{
			Flag: "oidc-client-id", Placeholder: "NAME", Value: setting.Text(&c.OIDC.ClientID, c.checkClientID),
			Help: "Name of this deployment at the identity provider.",
		},
		{
			Flag: "oidc-client-secret", Placeholder: "SECRET", Value: setting.Text(&c.OIDC.ClientSecret, nil),
			Help: "Its secret there. Give it by the variable or by a file: everybody on the machine can read a command line.",
		},
		{
			Flag: "oidc-client-secret-file", Placeholder: "FILE", Value: setting.One(&c.OIDC.ClientSecret, c.readClientSecret, nil),
			Help: "File that has the secret, instead.",
		},
		{
			Flag: "oidc-scopes", Default: "openid profile email", Value: setting.Text(&c.OIDC.Scopes, c.checkScopes),
			Help: "What the identity provider is asked for.",
		},
		{
			Flag: "oidc-acr", Placeholder: "CLASSES", Value: setting.Text(&c.OIDC.ACR, nil),
			Help: "Classes of authentication (acr), of which a sign-in there must have one, such as one with a second factor.",
		},
		{
			Flag: "password-list", Placeholder: "FILE", Value: setting.Text(&c.PasswordList, nil),
			Help: "Passwords that nobody may have, one a line, beside the common ones that are known.",
		},
		{
			Flag: "session-ttl", Default: "24h",
			Value: setting.Duration(&c.SessionTTL, setting.From(0, 365*24*time.Hour, "at most a year; 0 for 24h")),
			Help:  "Time from login to the end of a session.",
		},
		{
			Flag: "session-idle", Default: "0s", Value: setting.Duration(&c.SessionIdle, checkIdle),
			Help: "Time without use after which a session ends, 5m at least; 0 for any.",
		},
		{
			Flag: "migrate", Default: "auto", Value: setting.Choice(&c.Migrate, setting.Word("auto", true), setting.Word("check", false)),
			Help: "auto: bring the schema up to date at the start; check: only compare.",
		},
		{
			Flag: "pool-max", Default: "100", Value: setting.Number(&c.PoolMax, positive),
			Help: "Database connections for requests, at most; capped by what the server has room for.",
		},
		{
			Flag: "pool-min", Default: "5", Value: setting.Number(&c.PoolMin, c.checkPoolMin),
			Help: "Database connections for requests that stay open.",
		},
		{
			Flag: "replicas", Default: "3", Value: setting.Number(&c.Replicas, positive),
			Help: "How many replicas share the database server, for that cap.",
		},
		{Flag: "write-slots", Default: "16", Value: setting.Number(&c.WriteSlots, positive), Help: "Changes that are in the database at once."},
		{
			Flag: "drain", Default: "5s", Value: setting.Duration(&c.Drain, setting.From(0, time.Hour, "from 0s to 1h")),
			Help: "Time over which clients are sent away when stopping.",
		},
		{
			Flag: "event-retention", Default: "168h", Value: setting.Duration(&c.EventRetention, lasting),
			Help: "How long events are kept for those who come back.",
		},
		{
			Flag: "log-level", Default: "info",
			Value: setting.Choice(&c.LogLevel, setting.Word("info", slog.LevelInfo),
				setting.Word("debug", slog.LevelDebug), setting.Word("warn", slog.LevelWarn),
				setting.Word("error", slog.LevelError)),
			Help: "debug, info, warn or error.",
		},
		{
			Flag: "log-format", Default: "text", Value: setting.Choice(&c.LogJSON, setting.Word("text", false), setting.Word("json", true)),
			Help: "text or json.",
		},
		{
			Flag: "pg-bin", Placeholder: "DIR", Value: setting.Text(&c.PGBinDir, nil),
			Help: "Folder of PostgreSQL's programs, for the private one.",
		},
		{
			Flag: "data-dir", Placeholder: "DIR", Value: setting.Text(&c.PGDataDir, nil),
			Help: "Data folder of the private PostgreSQL. Without one: /var/lib/layercake as root, else layercake in the XDG data folder.",
		},
		{
			Flag: "clean-up", Default: "5m", Hidden: true, Value: setting.Duration(&c.CleanUp, lasting),
			Help: "Time between two removals of what is too old.",
		},
		{
			Flag: "silence", Default: "90s", Hidden: true, Value: setting.Duration(&c.Silence, checkSilence),
			Help: "How long a collaboration socket may be silent; it is pinged three times meanwhile.",
		},
		{
			Flag: "fault-loss", Default: "0", Hidden: true, Value: setting.Share(&c.Loss),
			Help: "Share of lines to other replicas that are dropped, 0 to 1.",
		},
		{
			Flag: "fault-crash", Default: "0", Hidden: true, Value: setting.Share(&c.Crash),
			Help: "Share of changes after whose commit the process dies before anybody knows, 0 to 1.",
		},
	}
}

// listenURL returns the URL for the replica's own work.
func (c Config) listenURL() string { return cmp.Or(c.ListenURL, c.DatabaseURL) }

// Check reports everything that is wrong at once.
func (c Config) Check() error { return setting.Check(c.Settings()) }

func (c *Config) checkDatabaseURL(text string) error {
	if text == "" {
		return errors.New(`is "": it names a PostgreSQL database`)
	}
	return postgres.CheckURL(text)
}

func (c *Config) checkListenURL(text string) error {
	switch {
	case text != "":
		return postgres.CheckURL(text)
	case c.Pooled:
		return errors.New(`is "": with LAYERCAKE_POOLER=transaction it names the server itself, past the pooler`)
	}
	return nil
}

// parseAuth returns whether everybody is let in. A replica that other machines can reach must be told so by name. It reads HTTPAddr, whose
// setting comes before.
func (c *Config) parseAuth(mode string) (open bool, err error) {
	switch {
	case mode == "" && c.BeyondLoopback():
		return false, fmt.Errorf("is not set, and LAYERCAKE_HTTP_ADDR is %q: beyond loopback, say LAYERCAKE_AUTH=open to let everybody in",
			c.HTTPAddr)
	case mode == "", mode == "open":
		return true, nil
	case mode == "required":
		return false, nil
	}
	return false, fmt.Errorf("is %q: it is open or required", mode)
}

// checkIssuer wants what single sign-on needs. It reads NoPasswords and PublicURL, too.
func (c *Config) checkIssuer(issuer string) error {
	switch {
	case issuer == "" && c.NoPasswords:
		return errors.New(`is "", and LAYERCAKE_PASSWORDS is off: nobody could sign in`)
	case issuer == "":
		return nil
	case c.PublicURL == nil:
		return fmt.Errorf("is %q, and LAYERCAKE_PUBLIC_URL is empty: the identity provider sends browsers back to that address", issuer)
	}
	return oidc.CheckIssuer(issuer)
}

func (c *Config) checkClientID(id string) error {
	if id == "" && c.OIDC.Issuer != "" {
		return errors.New(`is "": with LAYERCAKE_OIDC_ISSUER it is the name of this deployment there`)
	}
	return nil
}

func (c *Config) checkScopes(scopes string) error {
	if c.OIDC.Issuer == "" {
		return nil
	}
	return oidc.CheckScopes(scopes)
}

// readClientSecret returns the secret in a file, or without one that of the setting before. Its errors have nothing of a secret.
func (c *Config) readClientSecret(file string) (string, error) {
	if file == "" {
		return c.OIDC.ClientSecret, nil
	}
	if c.OIDC.ClientSecret != "" {
		return "", errors.New("is set, and so is LAYERCAKE_OIDC_CLIENT_SECRET: one of them has the secret")
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("cannot be read: %w", err)
	}
	secret := strings.TrimSpace(string(content))
	if secret == "" {
		return "", fmt.Errorf("is %q, and nothing is in that file", file)
	}
	return secret, nil
}

func checkRegistration(word string) error {
	switch word {
	case "", "open", "closed":
		return nil
	}
	return fmt.Errorf("is %q: it is open or closed", word)
}

// registers reports whether people make accounts themselves.
func (c Config) registers() bool { return c.Registration == "open" || c.Registration == "" && c.Open }

// knownNames are words that everybody knows of this deployment, so that no password is made of them.
func (c Config) knownNames() []string {
	names := slices.Clone(c.Hosts)
	if c.PublicURL != nil {
		names = append(names, c.PublicURL.Hostname())
	}
	return names
}

// checkHosts demands a name where other machines may reach the replica: any page could have made another one that leads here.
func (c *Config) checkHosts(hosts []string) error {
	if c.BeyondLoopback() && c.PublicURL == nil && len(hosts) == 0 {
		return fmt.Errorf("is empty, and so is LAYERCAKE_PUBLIC_URL, but LAYERCAKE_HTTP_ADDR is %q: beyond loopback, say by which names "+
			"clients reach this server, such as plans.example.com", c.HTTPAddr)
	}
	return nil
}

// exposed reports whether other machines may reach the replica, which has no TLS itself, and no setting says that something before it does.
func (c Config) exposed() bool {
	return c.BeyondLoopback() && len(c.TrustedProxies) == 0 && (c.PublicURL == nil || c.PublicURL.Scheme != "https")
}

// checkIdle refuses times that are not much longer than the minute by which a use may be noted late.
func checkIdle(d time.Duration) error {
	if d != 0 && (d < 5*time.Minute || d > 365*24*time.Hour) {
		return fmt.Errorf("is %v, and must be 0, or 5m to a year", d)
	}
	return nil
}

// sharedBuildMemory returns the memory of builds that other replicas may count on: none where nothing is built.
func (c Config) sharedBuildMemory() int64 {
	if c.Builds == 0 {
		return 0
	}
	return int64(c.BuildMemory)
}

// Ops says where operators have a page.
type Ops int

// The values of Ops.
const (
	OpsOnLoopback Ops = iota // at an admin address that only this machine can reach
	OpsOn                    // at the admin address, whoever can reach it
	OpsOff                   // nowhere
)

// adminBeyondLoopback reports whether other machines may reach the admin address.
func (c Config) adminBeyondLoopback() bool {
	host, _, err := net.SplitHostPort(c.AdminAddr)
	return err == nil && !isLoopback(host)
}

// servesOps reports whether operators have a page at the admin address.
func (c Config) servesOps() bool {
	return c.Ops == OpsOn || c.Ops == OpsOnLoopback && !c.adminBeyondLoopback()
}

// BeyondLoopback reports whether other machines may reach the replica. With a wrong address none can.
func (c Config) BeyondLoopback() bool {
	host, _, err := net.SplitHostPort(c.HTTPAddr)
	return err == nil && !isLoopback(host)
}

func (c *Config) checkPoolMin(n int) error {
	if c.PoolMax < 1 {
		return setting.From(0, math.MaxInt32, "at least 0")(n) // the other setting is wrong
	}
	return setting.From(0, c.PoolMax, fmt.Sprintf("from 0 to LAYERCAKE_POOL_MAX, which is %d", c.PoolMax))(n)
}

func checkAddr(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("is %q: it has the form host:port, with a port from 0 to 65535", addr)
	}
	return nil
}

func checkAddrOrNone(addr string) error {
	if addr == "" {
		return nil
	}
	return checkAddr(addr)
}

// checkHostName wants what can stand in a Host header, without a port.
func checkHostName(host string) error {
	if _, err := netip.ParseAddr(host); err != nil && !hostName.MatchString(host) {
		return fmt.Errorf("is %q: a name has no scheme and no port, such as plans.example.com, 10.1.2.3 or localhost", host)
	}
	return nil
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?$`)

func checkOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme == "" || u.Host == "" || origin != strings.ToLower(u.Scheme+"://"+u.Host) {
		return fmt.Errorf("is %q: an origin has the form https://host or https://host:port, in small letters, as browsers send it", origin)
	}
	return nil
}

var headerName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)

// checkWebDir looks for what a folder of another kind lacks. The rest is found out when it is read.
func checkWebDir(dir string) error {
	if dir == "" {
		return nil
	}
	if info, err := os.Stat(filepath.Join(dir, "index.html")); err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("is %q: it is the folder that the build of a client made, and there is no index.html in it", dir)
	}
	return nil
}

// pages returns what browsers are shown.
func (c Config) pages() (*web.Pages, error) {
	if c.WebDir == "" {
		return web.New(nil, c.Open), nil
	}
	site, err := web.ReadSite(c.WebDir, c.Open)
	if err != nil {
		return nil, fmt.Errorf("LAYERCAKE_WEB_DIR: %w", err)
	}
	return web.New(site, c.Open), nil
}

func checkHeader(header string) error {
	if !headerName.MatchString(header) {
		return fmt.Errorf("is %q: the name of a header has letters, digits, - and _, such as X-Tenant", header)
	}
	return nil
}

func checkNetwork(network string) error {
	if prefix, err := netip.ParsePrefix(network); err != nil || prefix.Addr().Is4In6() { // no address of a client is written so
		return fmt.Errorf("is %q: a network has the form 10.0.0.0/8, and one address 10.1.2.3/32", network)
	}
	return nil
}

// size is a number of bytes.
var size = regexp.MustCompile(`^([1-9][0-9]{0,8})(MB|GB)$`)

func parseSize(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	m := size.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("is %q: a size has the form 512MB or 2GB", text)
	}
	n, err := strconv.Atoi(m[1])
	return n << map[string]int{"MB": 20, "GB": 30}[m[2]], err
}

func checkMemory(bytes int) error {
	if bytes == 0 || bytes >= budget.Least {
		return nil
	}
	return fmt.Errorf("is %dMB: it is at least %dMB", bytes>>20, budget.Least>>20)
}

// leastBuildMemory is room for a build of some ten thousand elements.
const leastBuildMemory = 64 << 20

func checkBuildMemory(bytes int) error {
	if bytes >= leastBuildMemory {
		return nil
	}
	return fmt.Errorf("is %dMB: it is at least %dMB", bytes>>20, leastBuildMemory>>20)
}

// checkUpload wants what the slowest client sends within some hours.
func checkUpload(bytes int) error {
	if bytes > 2<<30 {
		return fmt.Errorf("is %dMB: it is at most 2GB", bytes>>20)
	}
	return nil
}

func checkSilence(d time.Duration) error {
	if d == 0 {
		return nil // the protocol's silence
	}
	return setting.From(100*time.Millisecond, time.Duration(math.MaxInt64), "at least 100ms")(d)
}

package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// parsed reads a command line of serve.
func parsed(t *testing.T, args ...string) serveCommand {
	t.Helper()
	c, _ := parse(t, args...)
	return c
}

// flags are those of serve.
func flags(t *testing.T) []*kong.Flag {
	t.Helper()
	_, context := parse(t)
	return context.Selected().Flags
}

func parse(t *testing.T, args ...string) (serveCommand, *kong.Context) {
	t.Helper()
	var c struct {
		Serve serveCommand `cmd:""`
	}
	c.Serve = newServeCommand()
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	context, err := parser.Parse(append([]string{"serve"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	return c.Serve, context
}

func TestServeDefaults(t *testing.T) {
	t.Parallel()
	cfg, err := parsed(t).config()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.HTTPAddr != "127.0.0.1:3000" || cfg.PoolMax != 100 || cfg.PoolMin != 5 || cfg.Replicas != 3 || cfg.WriteSlots != 16 ||
		cfg.EventRetention != 7*24*time.Hour || !cfg.Open || !cfg.Migrate {
		t.Errorf("defaults = %+v", cfg)
	}
}

// People write blanks behind commas, and compose files set what they have no value for.
func TestListsWithBlanksAndEmptyVariables(t *testing.T) {
	cfg, err := parsed(t, "--allowed-headers=X-One, X-Two", "--allowed-origins=https://a.example, https://b.example").config()
	if err != nil || !slices.Equal(cfg.AllowedHeaders, []string{"X-One", "X-Two"}) ||
		!slices.Equal(cfg.AllowedOrigins, []string{"https://a.example", "https://b.example"}) {
		t.Errorf("%q, %q, %v", cfg.AllowedHeaders, cfg.AllowedOrigins, err)
	}
	t.Setenv("LAYERCAKE_DATABASE_URL", "")
	t.Setenv("DATABASE_URL", "postgres:///here")
	t.Setenv("LAYERCAKE_POOLER", "")
	forgetEmpty("LAYERCAKE_DATABASE_URL", "LAYERCAKE_POOLER", "LAYERCAKE_NEVER_SET")
	if cfg, err := parsed(t).config(); err != nil || cfg.DatabaseURL != "postgres:///here" || cfg.Pooled {
		t.Errorf("%q, %v, %v", cfg.DatabaseURL, cfg.Pooled, err)
	}
}

// Settings are renamed now and then, and documents are not compiled.
func TestDocumentsNameSettingsThatExist(t *testing.T) {
	t.Parallel()
	token, _ := reflect.TypeFor[account]().FieldByName("Token")
	known := []string{token.Tag.Get("env")} // of the commands that ask a server
	for _, flag := range flags(t) {
		known = append(known, flag.Envs...)
	}
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(documents, "../../README.md", "../../ARCHITECTURE.md", "../../CONTRIBUTING.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`LAYERCAKE_[A-Z_]+`).FindAllString(string(text), -1) {
			if !slices.Contains(known, name) {
				t.Errorf("%s: there is no setting %s", path, name)
			}
		}
	}
}

func TestServeReportsAllWrongSettingsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := parsed(t, "--pool-max=many", "--drain=soon", "--migrate=maybe", "--log-level=loud", "--public-url=here", "--auth=none",
		"--fault-loss=all", "--http-addr=3000", "--admin-addr=nowhere", "--replicas=0", "--database-url=postgres://[", "--allowed-origins=x",
		"--allowed-headers=X-Good,Not a header").config()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`LAYERCAKE_POOL_MAX is "many"`, `LAYERCAKE_DRAIN is "soon"`, `LAYERCAKE_MIGRATE is "maybe"`, `LAYERCAKE_LOG_LEVEL is "loud"`,
		`LAYERCAKE_PUBLIC_URL is "here"`, `LAYERCAKE_AUTH is "none"`, `LAYERCAKE_FAULT_LOSS is "all"`,
		`LAYERCAKE_HTTP_ADDR is "3000"`, `LAYERCAKE_ADMIN_ADDR is "nowhere"`, `LAYERCAKE_REPLICAS is 0`, `LAYERCAKE_DATABASE_URL cannot be read`,
		`LAYERCAKE_ALLOWED_ORIGINS is "x"`, `LAYERCAKE_ALLOWED_HEADERS is "Not a header"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing: %s\nin: %v", want, err)
		}
	}
	if lines := strings.Count(err.Error(), "\n") + 1; lines != 13 {
		t.Errorf("%d lines for 13 wrong settings:\n%v", lines, err)
	}
}

func TestSettingsThatNothingCouldUse(t *testing.T) {
	t.Parallel()
	for _, wrong := range []string{
		"--http-addr=127.0.0.1:99999", "--http-addr=127.0.0.1:http", "--admin-addr=127.0.0.1:-1", "--allowed-origins=HTTPS://A.example",
		"--allowed-origins=https://a.example?x", "--allowed-origins=https://a.example#x", "--trusted-proxies=::ffff:10.0.0.0/104",
		"--pool-max=4294967297", "--hosts=https://plans.example", "--hosts=plans.example:443", "--pool-max=0", "--fault-loss=NaN",
	} {
		name, value, _ := strings.Cut(strings.TrimPrefix(wrong, "--"), "=")
		name = "LAYERCAKE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		_, err := parsed(t, wrong).config()
		if err == nil || !strings.HasPrefix(err.Error(), name+" is ") || !strings.Contains(err.Error(), value) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line about %s", wrong, err, name)
		}
	}
}

// Single sign-on needs an issuer that nobody else can be, an address to come back to, and one secret, which is told to nobody.
func TestSettingsOfSingleSignOn(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	for path, content := range map[string]string{file: " s3cret\n", file + ".empty": "\n"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	enough := []string{"--public-url=https://plans.example", "--oidc-issuer=https://id.example/realms/all", "--oidc-client-id=layercake"}
	cfg, err := parsed(t, append(enough, "--oidc-client-secret-file="+file, "--passwords=off")...).config()
	if err != nil || cfg.OIDC.ClientSecret != "s3cret" || cfg.OIDC.Scopes != "openid profile email" || !cfg.NoPasswords {
		t.Errorf("%+v, %v", cfg.OIDC, err)
	}
	for want, args := range map[string][]string{
		`LAYERCAKE_OIDC_ISSUER is "http://id.example": beyond loopback`:                     append(enough, "--oidc-issuer=http://id.example"),
		`LAYERCAKE_OIDC_ISSUER is "https://id.example?x"`:                                   append(enough, "--oidc-issuer=https://id.example?x"),
		`LAYERCAKE_OIDC_ISSUER is "id.example"`:                                             append(enough, "--oidc-issuer=id.example"),
		`LAYERCAKE_OIDC_ISSUER is "https://id.example", and LAYERCAKE_PUBLIC_URL is empty`:  {"--oidc-issuer=https://id.example", "--oidc-client-id=x"},
		`LAYERCAKE_OIDC_ISSUER is "", and LAYERCAKE_PASSWORDS is off`:                       {"--passwords=off"},
		`LAYERCAKE_OIDC_CLIENT_ID is ""`:                                                    enough[:2],
		`LAYERCAKE_OIDC_SCOPES does not name openid`:                                        append(enough, "--oidc-scopes=profile email"),
		`LAYERCAKE_OIDC_CLIENT_SECRET_FILE cannot be read`:                                  append(enough, "--oidc-client-secret-file="+file+".none"),
		`LAYERCAKE_OIDC_CLIENT_SECRET_FILE is "` + file + `.empty", and nothing is in`:      append(enough, "--oidc-client-secret-file="+file+".empty"),
		`LAYERCAKE_OIDC_CLIENT_SECRET_FILE is set, and so is LAYERCAKE_OIDC_CLIENT_SECRET:`: append(enough, "--oidc-client-secret=s3cret", "--oidc-client-secret-file="+file),
	} {
		_, err := parsed(t, args...).config()
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v, want one line: %s", err, want)
		}
	}
}

// A password is in the URL: whoever reads the log must not learn it.
func TestWrongDatabaseURLIsNotRepeated(t *testing.T) {
	t.Parallel()
	_, err := parsed(t, "--database-url=jdbc:postgresql://host/db?password=secret", "--listen-database-url=postgres://user:secret/x@host/db").config()
	if err == nil || !strings.Contains(err.Error(), "LAYERCAKE_DATABASE_URL begins with jdbc:") ||
		!strings.Contains(err.Error(), "LAYERCAKE_LISTEN_DATABASE_URL cannot be read: ") || !strings.Contains(err.Error(), "%2F") {
		t.Errorf("error = %v, want both URLs to be refused", err)
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the password is in %v", err)
	}
}

func TestOpenModeBeyondLoopbackMustBeAskedFor(t *testing.T) {
	t.Parallel()
	if _, err := parsed(t, "--http-addr=0.0.0.0:3000").config(); err == nil || !strings.Contains(err.Error(), "LAYERCAKE_AUTH=open") {
		t.Errorf("listening everywhere: %v, want a refusal that says how to ask for it", err)
	}
	_, err := parsed(t, "--http-addr=0.0.0.0:3000", "--auth=open").config()
	if err == nil || !strings.Contains(err.Error(), "LAYERCAKE_HOSTS is empty") || strings.Contains(err.Error(), "LAYERCAKE_AUTH") {
		t.Errorf("listening everywhere without a name: %v, want a refusal that says how to give one", err)
	}
	for _, name := range []string{"--hosts=plans.example,localhost", "--public-url=https://plans.example"} {
		if cfg, err := parsed(t, "--http-addr=0.0.0.0:3000", "--auth=open", name).config(); err != nil || !cfg.Open {
			t.Errorf("listening everywhere with %s: %v", name, err)
		}
	}
}

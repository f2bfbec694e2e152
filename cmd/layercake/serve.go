package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"strconv"

	"layercake/internal/embeddedpg"
	"layercake/internal/server"
	"layercake/internal/setting"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/alecthomas/kong"
)

// serveCommand runs one replica. Make it with newServeCommand.
type serveCommand struct {
	kong.Plugins // flags that flagsOf returns

	cfg      *server.Config
	settings []setting.Setting // they fill cfg
}

func newServeCommand() serveCommand {
	cfg := &server.Config{Version: version()}
	settings := cfg.Settings()
	return serveCommand{Plugins: kong.Plugins{flagsOf(settings)}, cfg: cfg, settings: settings}
}

// flagsOf returns a pointer to a structure that has a field with kong's tags for each setting. The fields are texts, so that all wrong
// ones are reported at once: kong gives up at the first.
func flagsOf(settings []setting.Setting) any {
	fields := make([]reflect.StructField, len(settings))
	for i, s := range settings {
		tag := fmt.Sprintf(`name:%q env:%q help:%q`, s.Flag, s.Variable(), s.Help)
		if s.Fallback != "" {
			tag = fmt.Sprintf(`name:%q env:"%s,%s" help:%q`, s.Flag, s.Variable(), s.Fallback, s.Help)
		}
		if s.Default != "" {
			tag += fmt.Sprintf(` default:%q`, s.Default)
		}
		if s.Placeholder != "" {
			tag += fmt.Sprintf(` placeholder:%q`, s.Placeholder)
		}
		if s.Hidden {
			tag += ` hidden:""`
		}
		texts := reflect.TypeFor[string]()
		if s.Value.List() {
			texts = reflect.TypeFor[[]string]()
		}
		fields[i] = reflect.StructField{Name: "Setting" + strconv.Itoa(i), Type: texts, Tag: reflect.StructTag(tag)}
	}
	return reflect.New(reflect.StructOf(fields)).Interface()
}

// Run serves until ctx ends.
func (c serveCommand) Run(ctx context.Context) error {
	cfg, err := c.config()
	if err != nil {
		return fmt.Errorf("these settings are wrong (see layercake serve --help):\n%w", err)
	}
	if _, err := memlimit.Set(); err != nil { // nine tenths of what the cgroup allows; else the collector lets the heap double
		cfg.Log.DebugContext(ctx, "the memory of the cgroup is not known", "error", err)
	}
	if cfg.DatabaseURL != "" {
		return server.New(cfg).Run(ctx)
	}
	database, err := privateDatabase(cfg)
	if err != nil {
		return err
	}
	return withDatabase(ctx, database, func(ctx context.Context, url string) error {
		cfg.DatabaseURL, cfg.Replicas = url, 1
		return server.New(cfg).Run(ctx)
	})
}

// privateDatabase is the private PostgreSQL, with room for this replica and for people with psql.
func privateDatabase(cfg server.Config) (embeddedpg.Config, error) {
	database := embeddedpg.Config{
		DataDir:  cfg.PGDataDir,
		Settings: map[string]string{"max_connections": strconv.Itoa(cfg.PoolMax + 30)},
		Log:      cfg.Log,
	}
	var err error
	if database.BinDir, err = embeddedpg.FindBinaries(cfg.PGBinDir); err != nil {
		return database, err
	}
	if database.DataDir == "" {
		database.DataDir, err = embeddedpg.DefaultDataDir()
	}
	return database, err
}

// config reads the settings. Its error names every wrong one.
func (c serveCommand) config() (server.Config, error) {
	var errs []error
	flags := reflect.ValueOf(c.Plugins[0]).Elem()
	for i, s := range c.settings {
		switch texts := flags.Field(i).Interface().(type) {
		case string:
			errs = append(errs, s.Read(texts))
		case []string:
			errs = append(errs, s.Read(texts...))
		}
	}
	cfg := *c.cfg
	cfg.Log = logger(cfg.LogLevel, cfg.LogJSON)
	if cfg.Open && cfg.BeyondLoopback() {
		cfg.Log.Warn("everybody who can connect may change and delete everything", "setting", "LAYERCAKE_AUTH=open", "address", cfg.HTTPAddr)
	}
	checked := cfg
	if checked.DatabaseURL == "" {
		checked.DatabaseURL = "postgres:///private"
	}
	return cfg, errors.Join(errors.Join(errs...), checked.Check())
}

func logger(level slog.Level, json bool) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if json {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}

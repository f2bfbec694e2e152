package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// Beyond loopback the server refuses to start without LAYERCAKE_AUTH, and flags are renamed now and then: what docker-compose.yml
// and the Dockerfile set must be what serve takes.
func TestServeTakesTheSettingsOfDockerCompose(t *testing.T) { //nolint:paralleltest // it sets the environment
	text, err := os.ReadFile("../../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Services map[string]struct{ Environment map[string]string }
	}
	if err := yaml.Unmarshal(text, &compose); err != nil {
		t.Fatal(err)
	}
	settings := compose.Services["replica1"].Environment
	if len(settings) == 0 {
		t.Fatal("replica1 has no settings")
	}
	image, err := os.ReadFile("../../internal/deploy/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(image)) {
		if set, ok := strings.CutPrefix(line, "ENV "); ok {
			name, value, _ := strings.Cut(strings.TrimSpace(set), "=")
			settings[name] = value
		}
	}
	var known []string
	for _, flag := range flags(t) {
		known = append(known, flag.Envs...)
	}
	for name, value := range settings {
		if !slices.Contains(known, name) {
			t.Errorf("serve has no setting %s", name)
		}
		t.Setenv(name, value)
	}
	cfg, err := parsed(t).config()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.HTTPAddr != "0.0.0.0:3000" || !cfg.Open || cfg.Replicas != 3 || !strings.Contains(cfg.DatabaseURL, "@postgres:5432/") {
		t.Errorf("config = %+v", cfg)
	}
}

// Package composetest reads docker-compose.yml and the Dockerfile with the libraries of Docker's own tools, without an engine. It
// is a module of its own, so that their dependencies do not become ours.
package composetest

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

const root = "../../.."

var replicas = []string{"replica1", "replica2", "replica3"}

// compose loads docker-compose.yml as Docker does: against the schema, with its references resolved.
func compose(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")}, cli.WithName("layercake"))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestOnlyTheBalancerIsReachableAndOnlyFromThisMachine(t *testing.T) {
	t.Parallel()
	for name, service := range compose(t).Services {
		if (name == "haproxy") != (len(service.Ports) > 0) || service.NetworkMode != "" {
			t.Errorf("%s: ports %v, network mode %q", name, service.Ports, service.NetworkMode)
		}
		for _, port := range service.Ports {
			if ip, err := netip.ParseAddr(port.HostIP); err != nil || !ip.IsLoopback() {
				t.Errorf("%s: port %s is published on %q, which is not loopback", name, port.Published, port.HostIP)
			}
		}
	}
}

func TestReplicasAreAlikeAndBuiltFromTheDockerfile(t *testing.T) {
	t.Parallel()
	project := compose(t)
	for _, name := range replicas {
		service, err := project.GetService(name)
		if err != nil {
			t.Fatal(err)
		}
		if service.Build == nil {
			t.Fatalf("%s is not built", name)
		}
		file := filepath.Join(service.Build.Context, service.Build.Dockerfile)
		if want, err := filepath.Abs(filepath.Join(root, "internal/deploy/Dockerfile")); err != nil || file != want {
			t.Errorf("%s is built from %s, want %s (%v)", name, file, want, err)
		}
		auth := service.Environment["LAYERCAKE_AUTH"]
		if auth == nil || *auth != "open" {
			t.Errorf("%s: LAYERCAKE_AUTH is not open; beyond loopback it has to be said", name)
		}
		if hosts := service.Environment["LAYERCAKE_HOSTS"]; hosts == nil || *hosts != "localhost" {
			t.Errorf("%s: LAYERCAKE_HOSTS is not localhost; beyond loopback names have to be said", name)
		}
		if service.Entrypoint != nil || service.Command != nil {
			t.Errorf("%s runs %q %q instead of what the image runs", name, service.Entrypoint, service.Command)
		}
		if service.DependsOn["postgres"].Condition != types.ServiceConditionHealthy {
			t.Errorf("%s does not wait for a healthy PostgreSQL", name)
		}
	}
}

func TestBalancerGetsItsConfiguration(t *testing.T) {
	t.Parallel()
	service, err := compose(t).GetService("haproxy")
	if err != nil {
		t.Fatal(err)
	}
	mounted := slices.ContainsFunc(service.Volumes, func(v types.ServiceVolumeConfig) bool {
		info, err := os.Stat(v.Source)
		return v.Target == "/usr/local/etc/haproxy/haproxy.cfg" && v.ReadOnly && err == nil && info.Mode().IsRegular()
	})
	if !mounted {
		t.Errorf("volumes = %v, want the configuration where the image expects it, read-only", service.Volumes)
	}
	config, err := os.ReadFile(filepath.Join(root, "internal/deploy/haproxy.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range replicas {
		if _, waits := service.DependsOn[name]; !waits || !strings.Contains(string(config), "-"+name+":3000}") {
			t.Errorf("haproxy does not know %s at its port", name)
		}
	}
}

// stages parses and checks the Dockerfile.
func stages(t *testing.T) []instructions.Stage {
	t.Helper()
	file, err := os.Open(filepath.Join(root, "internal/deploy/Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	result, err := parser.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, warning := range result.Warnings {
		t.Errorf("Dockerfile: %s", warning.Short)
	}
	stages, _, err := instructions.Parse(result.AST, nil)
	if err != nil {
		t.Fatal(err)
	}
	return stages
}

func TestDockerfileCopiesWhatExistsAndIsNotIgnored(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	ignore := strings.Fields(string(text))
	names, copied := map[string]bool{}, 0
	for _, stage := range stages(t) {
		for _, command := range stage.Commands {
			c, ok := command.(*instructions.CopyCommand)
			switch {
			case !ok:
			case c.From != "":
				if !names[c.From] {
					t.Errorf("%s: there is no stage %s before it", c, c.From)
				}
			default:
				for _, source := range c.SourcePaths {
					copied++
					if _, err := os.Stat(filepath.Join(root, source)); err != nil {
						t.Error(err)
					}
					if !slices.Contains(ignore, "!"+source) {
						t.Errorf("%s is copied, but .dockerignore leaves it out", source)
					}
				}
			}
		}
		names[stage.Name] = true
	}
	if copied == 0 {
		t.Error("nothing is copied")
	}
}

func TestImageServesAsNobodyAndStopsInOrder(t *testing.T) {
	t.Parallel()
	all := stages(t)
	var line []string // of the container
	var user, signal string
	for _, command := range all[len(all)-1].Commands {
		switch c := command.(type) {
		case *instructions.EntrypointCommand:
			line = append(line, c.CmdLine...)
			if c.PrependShell {
				t.Error("ENTRYPOINT runs a shell, which keeps signals to itself")
			}
		case *instructions.CmdCommand:
			line = append(line, c.CmdLine...)
			if c.PrependShell {
				t.Error("CMD runs a shell, which keeps signals to itself")
			}
		case *instructions.UserCommand:
			user = c.User
		case *instructions.StopSignalCommand:
			signal = c.Signal
		}
	}
	if !slices.Equal(line, []string{"layercake", "serve"}) {
		t.Errorf("it runs %q, want layercake serve", line)
	}
	if uid, _, _ := strings.Cut(user, ":"); uid == "" || uid == "0" || uid == "root" {
		t.Errorf("it runs as %q", user)
	}
	if signal != "SIGTERM" {
		t.Errorf("it is stopped by %q", signal)
	}
}

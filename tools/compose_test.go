package tools_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

const composeFile = "../docker-compose.yml"

func readCompose(t *testing.T) []byte {
	t.Helper()
	content, err := os.ReadFile(composeFile)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// load parses a compose file with every profile on, checked against the schema of the specification.
func load(t *testing.T, content []byte) (*types.Project, error) {
	t.Helper()
	return loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  filepath.Dir(composeFile),
		ConfigFiles: []types.ConfigFile{{Filename: composeFile, Content: content}},
		Environment: types.Mapping{},
	}, loader.WithProfiles([]string{"*"}))
}

func TestTheComposeFileLoadsWithEveryProfileOn(t *testing.T) {
	t.Parallel()
	project, err := load(t, readCompose(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(project.DisabledServices) > 0 {
		t.Errorf("services are still off: %v", project.DisabledServices)
	}
	profiles := map[string]int{}
	for _, s := range project.Services {
		profiles[strings.Join(s.Profiles, ",")]++
	}
	// Six nodes and their init container; a primary, a replica and three Sentinels; each with the holder of its network.
	if profiles["cluster"] != 6+1+1 || profiles["sentinel"] != 2+3+1 {
		t.Errorf("services by profile: %v", profiles)
	}
	for prefix, want := range map[string]int{"redis": 1, "memcached-": 3, "hazelcast-": 2 + 1, "postgres": 1} {
		got := 0
		for name, s := range project.Services {
			if strings.HasPrefix(name, prefix) && len(s.Profiles) == 0 {
				got++
			}
		}
		if got != want {
			t.Errorf("%d services %s… without a profile, want %d", got, prefix, want)
		}
	}
}

func TestEachServiceSaysWhetherItIsHealthy(t *testing.T) {
	t.Parallel()
	project, err := load(t, readCompose(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range project.Services {
		h := s.HealthCheck
		if h == nil || h.Disable || len(h.Test) < 2 || h.Interval == nil || h.Retries == nil {
			t.Errorf("%s has no complete health check: %+v", name, h)
		}
	}
}

func TestPortsAreBoundToLoopbackAndDistinct(t *testing.T) {
	t.Parallel()
	project, err := load(t, readCompose(t))
	if err != nil {
		t.Fatal(err)
	}
	owner := map[string]string{}
	for name, s := range project.Services {
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" || p.Published == "" {
				t.Errorf("%s: port %d is published at %q:%q", name, p.Target, p.HostIP, p.Published)
			}
			if other, taken := owner[p.Published]; taken {
				t.Errorf("%s and %s both publish port %s", name, other, p.Published)
			}
			owner[p.Published] = name
		}
		// A service without ports must get them from the holder of its network, or nobody can reach it.
		if holder, shared := strings.CutPrefix(s.NetworkMode, "service:"); len(s.Ports) == 0 && !shared {
			t.Errorf("%s publishes no port", name)
		} else if shared && len(project.Services[holder].Ports) == 0 {
			t.Errorf("%s shares the network of %q, which publishes no port", name, holder)
		}
		if s.NetworkMode == "host" {
			t.Errorf("%s uses the host's network, where nothing binds it to loopback", name)
		}
	}
}

func TestAnUnknownFieldIsRefused(t *testing.T) {
	t.Parallel()
	whole := string(readCompose(t))
	for _, tc := range []struct{ name, old, new string }{
		{"in a service", "  redis:\n", "  redis:\n    helthcheck: {}\n"},
		{"in a health check", "x-health: &health\n", "x-health: &health\n  intervall: 2s\n"},
		{"at the top", "services:\n", "servics: {}\nservices:\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			broken := strings.Replace(whole, tc.old, tc.new, 1)
			if broken == whole {
				t.Fatalf("the file has no %q", tc.old)
			}
			if _, err := load(t, []byte(broken)); err == nil {
				t.Error("it loaded")
			}
		})
	}
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/strata-cache/strata/config"
	"github.com/strata-cache/strata/internal/servertest"
)

// inFolder writes a configuration as strata.yaml into a folder of its own.
func inFolder(t *testing.T, yaml string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, defaultConfig), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// expectEnd compares an end with what it must be; each of says must be in what was printed.
func expectEnd(t *testing.T, e ended, code int, says ...string) {
	t.Helper()
	for _, want := range says {
		if !strings.Contains(e.out+e.err, want) {
			t.Errorf("%q was not printed", want)
		}
	}
	if e.code != code || strings.Contains(e.err, "redis: 20") || t.Failed() {
		t.Errorf("exit code %d, want %d, with no library's own lines; printed:\n%s%s", e.code, code, e.out, e.err)
	}
}

func TestConfigValidatePrintsAllMistakes(t *testing.T) {
	t.Parallel()
	const file = `
remotes:
  main: redis://user:${PASSWORD}@localhost/?tiemout=3s
  hz: hazelcast://user:${PASSWORD}@localhost?map=
  mem: memory://user:${PASSWORD}@x
buses:
  main: redis-cluster://localhost/7
journals:
  disk: file://var/lib/x.journal
encryption:
  ring: {k: "${PASSWORD}"}
caches:
  a: {remote: main, compression: zstd, encryption: ring}
`
	secret := "PASSWORD=hunter2"
	e := strata(t, inFolder(t, file), "", []string{secret}, "config", "validate")
	expectEnd(t, e, 1, "strata.yaml:3:9: remotes.main: ", "tiemout", "strata.yaml:4:7: remotes.hz: ", "strata.yaml:5:8: remotes.mem: ",
		"strata.yaml:7:9: buses.main: ", "strata.yaml:9:9: journals.disk: ", "three slashes",
		"strata.yaml:11:3: encryption.ring: ", "strata: strata.yaml: 6 mistakes")

	const early = "remotes: {main: 'redis://${UNSET_A}'}\ncaches:\n  a: {remote: mian, ttl: 5}\n  b: {ttl: '${UNSET_B}'}\n"
	e = strata(t, t.TempDir(), early, nil, "config", "validate", "-")
	expectEnd(t, e, 1, "1:17: remotes.main: the variable UNSET_A is not set", "3:15: caches.a.remote: ", "3:26: caches.a.ttl: ",
		"4:12: caches.b.ttl: the variable UNSET_B is not set", "strata: standard input: 4 mistakes")
}

func TestConfigValidateAsksNobody(t *testing.T) {
	t.Parallel()
	const file = `
remotes:
  a: redis://127.0.0.1:1
  b: {url: "memcached://127.0.0.1:1", membership: bus}
  c: hazelcast://127.0.0.1:1
  d: rediss-sentinel://127.0.0.1:1/mymaster
buses: {bus: "redis-cluster://127.0.0.1:1"}
journals: {m: "memory://", f: "file:///nowhere/x.journal?sync=never", r: "redis://127.0.0.1:1"}
caches: {a: {}, b: {remote: b, bus: bus, compression: s2, mode: write-behind, journal: r}}
`
	e := strata(t, inFolder(t, file), "", nil, "config", "validate")
	expectEnd(t, e, 0, "strata.yaml is valid: 4 remotes, 1 bus, 3 journals, 2 caches\n")
	e = strata(t, inFolder(t, file), "", []string{"STRATA_CACHES_A_TTL=never"}, "config", "validate")
	expectEnd(t, e, 1, "$STRATA_CACHES_A_TTL: caches.a.ttl: ")
}

func TestConfigValidateConnectAsksEveryServer(t *testing.T) {
	t.Parallel()
	redis, pool := servertest.Redis(t), servertest.Memcached(t)
	file := `
remotes:
  main: ${REDIS}
  same: {url: "${REDIS}", prefix: p}
  pool: {url: "` + pool.URL() + `", membership: main}
buses: {main: "${REDIS}"}
caches: {a: {remote: pool, bus: main}}
`
	env := []string{"REDIS=" + redis.URL()}
	dir := inFolder(t, file)
	e := strata(t, dir, "", env, "config", "validate", "--connect", "--timeout", "1m")
	expectEnd(t, e, 0, "3 remotes, 1 bus, 0 journals, 1 cache; all servers answer")

	servertest.Require(t, pool.Kill())
	e = strata(t, dir, "", env, "config", "validate", "--connect", "strata.yaml")
	expectEnd(t, e, 4, "strata.yaml:5:15: remotes.pool.url: does not answer: ", "strata: strata.yaml: 1 silent server")
}

func TestConfigSchemaIsThatOfThePackage(t *testing.T) {
	t.Parallel()
	if e := strata(t, "", "", nil, "config", "schema"); e.code != 0 || e.out != string(config.Schema()) {
		t.Errorf("exit code %d, %d bytes, want %d; %s", e.code, len(e.out), len(config.Schema()), e.err)
	}
}

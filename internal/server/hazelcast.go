package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// HazelcastVersion is the version of the member that scripts/setup installs.
const HazelcastVersion = "5.6.0"

// EnvHazelcastJar names the environment variable with the path of the member's jar, for programs that run outside of the
// module's folder.
const EnvHazelcastJar = "STRATA_HAZELCAST_JAR"

// HazelcastOptions configures a Hazelcast member. The zero value, and nil, is a cluster of one.
type HazelcastOptions struct {
	// Port is the loopback port. Default 0: a free one.
	Port int

	// Cluster is the name of the cluster, which clients must know. Default "": a random one, so that members of
	// different tests can never find each other.
	Cluster string

	// Members are the addresses (host:port) of the other members to join. Default none. See HazelcastCluster.
	Members []string

	// MapTTL is the time to live of entries that were written without one, in whole seconds. Default 0: no limit.
	MapTTL time.Duration

	// Backups is how many other members hold a copy of each entry. Default 0: none.
	Backups int

	// Import is a configuration of a member, YAML as in hazelcast.yaml, which adds to the one that is made from these
	// options. Default "": none.
	Import string

	// ClientPort is the loopback port for clients, apart from Port, on which the other members then are alone. URL names
	// it, Addr names Port. Default 0: clients and members share Port.
	ClientPort int

	// PublicAddress is the address (host:port) that clients are told in the place of ClientPort, which it needs. Default "":
	// that of ClientPort.
	PublicAddress string
}

func (o *HazelcastOptions) validate() error {
	switch {
	case o.MapTTL < 0 || o.MapTTL%time.Second != 0:
		return errors.New("server: HazelcastOptions.MapTTL must be whole seconds, not negative")
	case o.Backups < 0 || o.Backups > 6:
		return errors.New("server: HazelcastOptions.Backups must be from 0 to 6")
	case o.PublicAddress != "" && o.ClientPort == 0:
		return errors.New("server: HazelcastOptions.PublicAddress needs ClientPort")
	case o.ClientPort != 0 && o.Port == 0:
		return errors.New("server: HazelcastOptions.ClientPort needs Port")
	}
	return nil
}

// Hazelcast starts a Hazelcast member and waits until it has formed or joined its cluster. It needs a Java runtime and
// the member's jar, and takes some seconds. Its data is always lost on Restart, save what other members hold.
func Hazelcast(ctx context.Context, o *HazelcastOptions) (*Server, error) {
	if o == nil {
		o = &HazelcastOptions{}
	}
	opts := *o
	opts.Members = append([]string(nil), o.Members...)
	if err := opts.validate(); err != nil {
		return nil, err
	}
	if opts.Cluster == "" {
		opts.Cluster = randomCluster()
	}
	java, err := binary("java", "java")
	if err != nil {
		return nil, err
	}
	jar, err := hazelcastJar()
	if err != nil {
		return nil, err
	}
	return start(ctx, spec{
		name:    "hazelcast",
		port:    opts.Port,
		startIn: 90 * time.Second, // five seconds alone, many more where other JVMs and compilers share two cores
		stopIn:  20 * time.Second,
		command: func(dir string, port int) ([]string, error) {
			file, imported := filepath.Join(dir, "hazelcast.yaml"), filepath.Join(dir, "import.yaml")
			err := errors.Join(
				os.WriteFile(file, hazelcastConfig(port, imported, &opts), 0o600),
				os.WriteFile(imported, []byte(opts.Import), 0o600),
			)
			if err != nil {
				return nil, fmt.Errorf("server: hazelcast configuration: %w", err)
			}
			return hazelcastCommand(java, jar, file), nil
		},
		ready: func(ctx context.Context, addr string, p *process) error {
			return hazelcastReady(ctx, opts.clientAddr(addr), p)
		},
		url: func(addr string) string {
			return "hazelcast://" + opts.clientAddr(addr) + "?cluster=" + url.QueryEscape(opts.Cluster)
		},
	})
}

// HazelcastCluster starts n members that all know each other's address, so that each finds back after a restart. Port
// and Members of the options must be zero. The caller closes each member.
func HazelcastCluster(ctx context.Context, n int, o *HazelcastOptions) ([]*Server, error) {
	if o == nil {
		o = &HazelcastOptions{}
	}
	if n < 1 || o.Port != 0 || len(o.Members) != 0 {
		return nil, errors.New("server: HazelcastCluster needs n ≥ 1 and options without Port and Members")
	}
	ports := make([]int, 0, n)
	var addrs []string
	for len(ports) < n {
		port, err := FreePort()
		if err != nil {
			return nil, err
		}
		ports, addrs = append(ports, port), append(addrs, loopback(port))
	}
	opts := *o
	opts.Members = addrs
	if opts.Cluster == "" {
		opts.Cluster = randomCluster()
	}
	var members []*Server
	// One after the other: members that boot together may each found a cluster, and merge only minutes later.
	for _, port := range ports {
		opts.Port = port
		s, err := Hazelcast(ctx, &opts)
		if err != nil {
			for _, m := range members {
				err = errors.Join(err, m.Close())
			}
			return nil, err
		}
		members = append(members, s)
	}
	return members, nil
}

// clientAddr is where clients find a member that listens at addr.
func (o *HazelcastOptions) clientAddr(addr string) string {
	if o.ClientPort != 0 {
		return loopback(o.ClientPort)
	}
	return addr
}

func randomCluster() string { return fmt.Sprintf("strata-%016x", rand.Uint64()) }

// hazelcastCommand asks the JVM for a quick start and a small footprint: members live for seconds. Without UsePerfData it
// leaves no file behind when it is killed.
func hazelcastCommand(java, jar, config string) []string {
	return []string{
		java, "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-XX:-UsePerfData",
		"-Djava.net.preferIPv4Stack=true",
		"-Dhazelcast.config=" + config,
		"-Dhazelcast.phone.home.enabled=false",
		"-cp", jar, "com.hazelcast.core.server.HazelcastMemberStarter",
	}
}

// hazelcastConfig closes every way by which a member finds others by itself: only listed addresses are joined.
func hazelcastConfig(port int, imported string, o *HazelcastOptions) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `hazelcast:
  cluster-name: %q
  properties:
    hazelcast.phone.home.enabled: "false"
    hazelcast.logging.type: jdk
    hazelcast.wait.seconds.before.join: "0"
    hazelcast.shutdownhook.policy: GRACEFUL
    hazelcast.graceful.shutdown.max.wait: "10"
`, o.Cluster)
	if o.Import != "" {
		fmt.Fprintf(&b, "  import:\n    - %q\n", "file://"+imported)
	}
	join := joinConfig(loopback(port), o.Members)
	if o.ClientPort == 0 {
		fmt.Fprintf(&b, "  network:\n%s    join:\n%s", endpointConfig("    ", port), join)
	} else {
		fmt.Fprintf(&b, `  advanced-network:
    enabled: true
    join:
%s    member-server-socket-endpoint-config:
%s    client-server-socket-endpoint-config:
%s`, join, endpointConfig("      ", port), endpointConfig("      ", o.ClientPort))
		if o.PublicAddress != "" {
			fmt.Fprintf(&b, "      public-address: %q\n", o.PublicAddress)
		}
	}
	fmt.Fprintf(&b, `  map:
    default:
      in-memory-format: BINARY
      backup-count: %d
      time-to-live-seconds: %d
`, o.Backups, int(o.MapTTL/time.Second))
	return b.Bytes()
}

func endpointConfig(indent string, port int) string {
	text := fmt.Sprintf(`reuse-address: true
port:
  port: %d
  auto-increment: false
interfaces:
  enabled: true
  interfaces:
    - 127.0.0.1
`, port)
	return indent + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n"+indent) + "\n"
}

func joinConfig(self string, members []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `      auto-detection:
        enabled: false
      multicast:
        enabled: false
      tcp-ip:
        enabled: true
        member-list:
          - %q
`, self)
	for _, m := range members {
		if m != self {
			fmt.Fprintf(&b, "          - %q\n", m)
		}
	}
	return b.String()
}

// hazelcastReady is nil when the member has said that it started and accepts connections. The line is in this member's
// own log, so no other process can be taken for it.
func hazelcastReady(ctx context.Context, addr string, p *process) error {
	out, err := os.ReadFile(p.log)
	if err != nil {
		return err
	}
	if !strings.Contains(string(out), " is STARTED") {
		return errors.New("the member has not reported that it is started")
	}
	conn, err := dialProbe(ctx, addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

// hazelcastJar finds the member's jar: where the environment says, or in the cache folder of the module that the current
// folder belongs to.
func hazelcastJar() (string, error) {
	name := "hazelcast-" + HazelcastVersion + ".jar"
	if path := os.Getenv(EnvHazelcastJar); path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", &MissingError{Name: name + " (as " + EnvHazelcastJar + " says)", Component: "hazelcast", Err: err}
		}
		return path, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("server: hazelcast jar: %w", err)
	}
	for {
		// Every go.mod on the way up counts: tools and examples are modules inside the one that holds the jar.
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			if path := filepath.Join(dir, ".cache", name); exists(path) {
				return path, nil
			}
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", &MissingError{Name: name, Component: "hazelcast"}
		}
		dir = parent
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

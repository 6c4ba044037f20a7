package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// MariaDBOptions configures a MariaDB server. The zero value, and nil, is an empty database named strata, whose user root needs
// no password. It keeps its data across Restart, a kill included.
type MariaDBOptions struct {
	// Port is the loopback port. Default 0: a free one.
	Port int

	// Settings are further settings, such as "max_allowed_packet=64M". They win over ours.
	Settings []string
}

// mariaDBDatabase is the database that is there from the start.
const mariaDBDatabase = "strata"

// MariaDB starts a MariaDB server and waits until it answers. It takes a second.
func MariaDB(ctx context.Context, o *MariaDBOptions) (*Server, error) {
	if o == nil {
		o = &MariaDBOptions{}
	}
	m := &mariaDB{opts: *o}
	var err error
	if m.bin, err = mariaDBBinary(); err != nil {
		return nil, err
	}
	return start(ctx, spec{
		name:    "mariadb",
		port:    o.Port,
		startIn: 60 * time.Second,
		stopIn:  20 * time.Second,
		keepDir: true,
		command: m.command,
		ready:   m.ready,
		url:     func(addr string) string { return "mysql://root@" + addr + "/" + mariaDBDatabase },
	})
}

// mariaDBBinary finds the server, which Debian keeps in a folder that the PATH of a user need not have.
func mariaDBBinary() (string, error) {
	path, err := binary("mariadbd", "mariadb")
	if err != nil {
		if found, lookErr := exec.LookPath("/usr/sbin/mariadbd"); lookErr == nil {
			return found, nil
		}
	}
	return path, err
}

// mariaDB is one server over its restarts.
type mariaDB struct {
	opts MariaDBOptions
	bin  string
	dir  string // set by command, which runs before ready
}

// command makes the database, the first time, and returns the server's command line.
func (m *mariaDB) command(dir string, port int) ([]string, error) {
	m.dir = dir
	data := filepath.Join(dir, "data")
	common := []string{"--no-defaults", "--datadir=" + data, "--innodb-log-file-size=16M"}
	if os.Geteuid() == 0 {
		common = append(common, "--user=root") // it refuses to run as root unless told so
	}
	if _, err := os.Stat(data); errors.Is(err, os.ErrNotExist) {
		install, err := binary("mariadb-install-db", "mariadb")
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(install, append(common, "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("server: mariadb-install-db: %w: %s", err, out)
		}
		if err := os.Mkdir(filepath.Join(data, mariaDBDatabase), 0o700); err != nil { // a database is a folder
			return nil, fmt.Errorf("server: database: %w", err)
		}
	}
	if err := os.Remove(m.pidFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("server: pid file: %w", err)
	}
	argv := append([]string{m.bin}, common...)
	argv = append(argv, "--port="+strconv.Itoa(port), "--bind-address=127.0.0.1", "--socket="+filepath.Join(dir, "socket"),
		"--pid-file="+m.pidFile(), "--skip-name-resolve", "--max-connections=200", "--innodb-buffer-pool-size=64M",
		"--character-set-server=utf8mb4", "--collation-server=utf8mb4_bin",
		"--innodb-flush-log-at-trx-commit=2") // what a killed process wrote is there: only the machine is not to fail
	for _, s := range m.opts.Settings {
		argv = append(argv, "--"+s)
	}
	return argv, nil
}

func (m *mariaDB) pidFile() string { return filepath.Join(m.dir, "pid") }

// ready is nil when the process has written its pid, which it does when it listens, and greets.
func (m *mariaDB) ready(ctx context.Context, addr string, p *process) error {
	pid, err := os.ReadFile(m.pidFile())
	if err != nil || strings.TrimSpace(string(pid)) != strconv.Itoa(p.pid) {
		return errors.Join(errors.New("it has not written its pid"), err)
	}
	conn, err := dialProbe(ctx, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	// A packet of the greeting: three bytes of length, one of sequence, and the protocol's version, 10, or 255 for an error.
	head := make([]byte, 5)
	if _, err := io.ReadFull(conn, head); err != nil {
		return err
	}
	if head[4] != 10 {
		return errors.New("it refuses connections")
	}
	return nil
}

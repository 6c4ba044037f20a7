package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// PostgresOptions configures a PostgreSQL server. The zero value, and nil, is an empty database whose superuser postgres
// needs no password. It keeps its data across Restart, a kill included.
type PostgresOptions struct {
	// Port is the loopback port. Default 0: a free one.
	Port int

	// Settings are further settings, such as "max_prepared_transactions=5". They win over ours.
	Settings []string
}

// postgresUser is whom the server runs as if this process is root's, which it refuses to.
const postgresUser = "postgres"

// Postgres starts a PostgreSQL server and waits until it answers. It takes a second or two.
func Postgres(ctx context.Context, o *PostgresOptions) (*Server, error) {
	if o == nil {
		o = &PostgresOptions{}
	}
	pg := &postgres{opts: *o}
	var err error
	if pg.bin, err = postgresBinary(); err != nil {
		return nil, err
	}
	return start(ctx, spec{
		name:    "postgresql",
		port:    o.Port,
		startIn: 60 * time.Second,
		stopIn:  20 * time.Second,
		keepDir: true,
		endBy:   sigInterrupt, // fast: by the usual one it would wait for its clients to leave
		command: pg.command,
		ready:   pg.ready,
		url: func(addr string) string {
			return "postgres://" + postgresUser + "@" + addr + "/postgres?sslmode=disable"
		},
	})
}

// postgresBinary returns the server of the newest version that is installed. Debian keeps it away from the PATH.
func postgresBinary() (string, error) {
	if path, err := exec.LookPath("postgres"); err == nil {
		return path, nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "", &MissingError{Name: "postgres", Component: "postgresql", Err: err}
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	return slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }), nil
}

// postgres is one server over its restarts.
type postgres struct {
	opts PostgresOptions
	bin  string
	data string // set by command, which runs before ready
}

// command makes the database, the first time, and returns the server's command line.
func (pg *postgres) command(dir string, port int) ([]string, error) {
	as, err := ownFolder(dir)
	if err != nil {
		return nil, err
	}
	pg.data = filepath.Join(dir, "data")
	if _, err := os.Stat(pg.data); errors.Is(err, os.ErrNotExist) {
		argv := append(slices.Clone(as), filepath.Join(filepath.Dir(pg.bin), "initdb"),
			"-D", pg.data, "-U", postgresUser, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("server: initdb: %w: %s", err, out)
		}
	} else {
		awaitOrphans(pg.data)
	}
	argv := append(as, pg.bin, "-D", pg.data, "-p", strconv.Itoa(port), "-h", "127.0.0.1", "-k", "",
		"-c", "fsync=off", "-c", "max_connections=200") // what a killed process wrote is there: only the machine is not to fail
	for _, s := range pg.opts.Settings {
		argv = append(argv, "-c", s)
	}
	return argv, nil
}

// ownFolder gives the folder to the user that the server runs as, and returns what to put before a command to be that user.
func ownFolder(dir string) (as []string, err error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(postgresUser)
	if err != nil {
		return nil, &MissingError{Name: "the user " + postgresUser, Component: "postgresql", Err: err}
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		return nil, fmt.Errorf("server: folder: %w", err)
	}
	return []string{"setpriv", "--reuid", u.Uid, "--regid", u.Gid, "--clear-groups"}, nil
}

// awaitOrphans waits for the backends of a server that was killed: they end when they notice, and until then the next server
// refuses to start. They are attached to the shared memory that the server's file names.
func awaitOrphans(data string) {
	lines := pidFile(data)
	if len(lines) < 7 {
		return
	}
	memory := strings.Fields(lines[6]) // key and id
	for deadline := time.Now().Add(10 * time.Second); len(memory) == 2 && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		table, err := os.ReadFile("/proc/sysvipc/shm")
		if err != nil {
			return // not Linux: the start tells
		}
		attached := false
		for line := range strings.Lines(string(table)) {
			f := strings.Fields(line) // key shmid perms size cpid lpid nattch …
			attached = attached || len(f) > 6 && f[1] == memory[1] && f[6] != "0"
		}
		if !attached {
			return
		}
	}
}

func pidFile(data string) []string {
	b, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return nil
	}
	return strings.Split(string(b), "\n")
}

// ready is nil when the process has written that it is, and can be reached.
func (pg *postgres) ready(ctx context.Context, addr string, p *process) error {
	lines := pidFile(pg.data)
	if len(lines) < 8 || lines[0] != strconv.Itoa(p.pid) || strings.TrimSpace(lines[7]) != "ready" {
		return errors.New("it has not said that it is ready")
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

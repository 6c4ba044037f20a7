package tools_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sandbox is a copy of scripts/setup in an empty folder, with a PATH that has a fake apt-get and, at first, no server.
type sandbox struct {
	root, bin, calls string
	env              []string
}

func newSandbox(t *testing.T) *sandbox {
	t.Helper()
	root := t.TempDir()
	s := &sandbox{root: root, bin: filepath.Join(root, "bin"), calls: filepath.Join(root, "calls")}
	for _, dir := range []string{"scripts", "bin"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script, err := os.ReadFile("../scripts/setup")
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, filepath.Join(root, "scripts", "setup"), string(script))
	for _, tool := range []string{"bash", "sh", "env", "dirname", "cut", "cat", "mkdir", "mktemp", "mv", "rm", "chmod", "curl"} {
		s.link(t, tool)
	}
	for _, sum := range []string{"sha256sum", "shasum"} {
		if _, err := exec.LookPath(sum); err == nil {
			s.link(t, sum)
		}
	}
	s.env = []string{"PATH=" + s.bin, "HOME=" + root, "TMPDIR=" + root}
	return s
}

func (s *sandbox) write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}

func (s *sandbox) link(t *testing.T, tool string) {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err != nil {
		t.Skipf("%s is not installed", tool)
	}
	if err := os.Symlink(path, filepath.Join(s.bin, tool)); err != nil {
		t.Fatal(err)
	}
}

// fakeApt makes an apt-get that notes its arguments and "installs" a package as a binary of the same name.
func (s *sandbox) fakeApt(t *testing.T, uid string) {
	t.Helper()
	s.write(t, filepath.Join(s.bin, "apt-get"), `#!/bin/sh
echo "apt-get $*" >> "`+s.calls+`"
for last; do :; done
case $* in *install*) printf '#!/bin/sh\n' > "`+s.bin+`/$last"; chmod +x "`+s.bin+`/$last" ;; esac
`)
	s.write(t, filepath.Join(s.bin, "id"), "#!/bin/sh\necho "+uid+"\n")
}

func (s *sandbox) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(filepath.Join(s.root, "scripts", "setup"), args...)
	cmd.Env = s.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (s *sandbox) aptCalls(t *testing.T) int {
	t.Helper()
	calls, err := os.ReadFile(s.calls)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Count(string(calls), "\n")
}

func TestSetupDoesNothingTheSecondTime(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	s.fakeApt(t, "0")
	out, err := s.run(t, "memcached")
	if err != nil || !strings.Contains(out, "installed now: memcached") {
		t.Fatalf("first run: %v\n%s", err, out)
	}
	if got := s.aptCalls(t); got != 2 { // update, install
		t.Errorf("the first run called apt-get %d times, want 2", got)
	}
	out, err = s.run(t, "memcached")
	if err != nil || !strings.Contains(out, "nothing to do") || strings.Count(out, "\n") != 1 {
		t.Errorf("second run: %v\n%s", err, out)
	}
	if got := s.aptCalls(t); got != 2 {
		t.Errorf("the second run called apt-get %d times more", got-2)
	}
}

func TestSetupNamesWhatToInstallWhereThereIsNoApt(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	out, err := s.run(t, "redis", "java")
	if err == nil || !strings.Contains(out, "redis-server") || !strings.Contains(out, "java") {
		t.Errorf("error %v\n%s", err, out)
	}
}

func TestSetupNamesTheCommandWhereItMayNotInstall(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	s.fakeApt(t, "1000")
	out, err := s.run(t, "redis")
	if err == nil || !strings.Contains(out, "apt-get install redis-server") {
		t.Errorf("error %v\n%s", err, out)
	}
}

func TestSetupRefusesAJarWithAnotherChecksum(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	dir := filepath.Join(s.root, "mirror/com/hazelcast/hazelcast/5.6.0")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s.write(t, filepath.Join(dir, "hazelcast-5.6.0.jar"), "not the jar")
	s.env = append(s.env, "STRATA_MAVEN_MIRROR=file://"+filepath.Join(s.root, "mirror"))
	out, err := s.run(t, "hazelcast")
	if err == nil || !strings.Contains(out, "SHA-256") {
		t.Errorf("error %v\n%s", err, out)
	}
	left, err := os.ReadDir(filepath.Join(s.root, ".cache"))
	if err != nil || len(left) != 0 {
		t.Errorf("left in the cache: %v, %v", left, err)
	}
}

func TestSetupKnowsItsComponents(t *testing.T) {
	t.Parallel()
	out, err := newSandbox(t).run(t, "nonsense")
	if err == nil || !strings.Contains(out, "unknown component: nonsense") {
		t.Errorf("error %v\n%s", err, out)
	}
}

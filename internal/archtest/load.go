package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// load asks the go command for every package of the module in dir and all that they depend on, as they are built for
// goos. Packages that do not compile are loaded too: saying so is the compiler's task.
func load(dir, goos string) (graph, error) {
	cmd := exec.Command("go", "list", "-e", "-deps",
		"-json=ImportPath,Name,Standard,Imports,Module,GoFiles,CgoFiles", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS="+goos)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("archtest: go list: %w\n%s", err, stderr.Bytes())
	}
	g := graph{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		switch err := d.Decode(&l); {
		case errors.Is(err, io.EOF):
			return g, nil
		case err != nil:
			return nil, fmt.Errorf("archtest: go list: %w", err)
		}
		g[l.ImportPath] = l.pkg()
	}
}

// listed is the part of go list's answer that is asked for.
type listed struct {
	ImportPath, Name           string
	Standard                   bool
	Imports, GoFiles, CgoFiles []string
	Module                     *struct {
		Path string
		Main bool
	}
}

func (l *listed) pkg() *pkg {
	p := &pkg{path: l.ImportPath, name: l.Name, imports: l.Imports, files: append(l.GoFiles, l.CgoFiles...)}
	if l.Standard || l.Module == nil {
		return p
	}
	p.module, p.ours = l.Module.Path, l.Module.Main
	if p.ours {
		p.path = strings.TrimPrefix(strings.TrimPrefix(l.ImportPath, p.module), "/")
		if p.path == "" {
			p.path = "."
		}
	}
	return p
}

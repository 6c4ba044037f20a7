package filejournal_test

import (
	"strings"
	"testing"

	"github.com/strata-cache/strata/policy/journal/filejournal"
)

func TestURLsOfFiles(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"file:///var/lib/x.journal":       "/var/lib/x.journal always",
		"file:///a%20b%23c?sync=never":    "/a b#c never",
		"file:///x?sync=always":           "/x always",
		"file://var/lib/x.journal":        "no host",
		"file://u:hunter2@/x":             "no host",
		"file:x.journal":                  "is like file://",
		"redis:///x":                      "is like file://",
		"file:///%zz":                     "is like file://",
		"file://":                         "names no file",
		"file:///":                        "names no file",
		"file:///var/lib/":                "names no file",
		"file:///x#y":                     "fragment",
		"file:///x?fsync=never":           `unknown parameter "fsync"; known: sync`,
		"file:///x?sync=sometimes":        "always or never",
		"file:///x?sync=never&sync=never": "twice",
		"file:///x?sync=%zz":              "cannot be read",
	} {
		path, o, err := filejournal.ParseURL(url)
		if err != nil {
			if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: %v", url, err)
			}
			continue
		}
		if got := path + " " + o.Sync.String(); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
}

package redisconn_test

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/testcert"
)

func TestURLs(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]struct{ server, shown string }{
		"redis://":            {"localhost:6379/0", "redis://localhost:6379/0"},
		"redis://:7":          {"localhost:7/0", "redis://localhost:7/0"},
		"redis://H:7/3":       {"h:7/3", "redis://h:7/3"},
		"rediss://[::1]/":     {"[::1]:6379/0", "rediss://[::1]:6379/0"},
		"redis://:secret@h":   {"h:6379/0", "redis://:xxxxx@h:6379/0"},
		"redis://u:secret@h?": {"h:6379/0", "redis://u:xxxxx@h:6379/0"},
		"redis://u%40x:se%2Fcret%25@h?timeout=1s&pool_size=3&client_name=x&protocol=3&min_idle=1&max_age=1h&max_idle_time=1m": {
			"h:6379/0", "redis://u@x:xxxxx@h:6379/0",
		},
		"redis-sentinel://b,a:7/main":              {"a:7,b:26379/main/0", "redis-sentinel://b:26379,a:7/main/0"},
		"rediss-sentinel://u:secret@a/ma%2Fin/3":   {"a:26379/ma/in/3", "rediss-sentinel://u:xxxxx@a:26379/ma%2Fin/3"},
		"redis-cluster://b,a:7?replica_reads=true": {"a:7,b:6379/0", "redis-cluster://b:6379,a:7/0"},
		"rediss-cluster://secret:secret@[::1]:7/0": {"[::1]:7/0", "rediss-cluster://secret:xxxxx@[::1]:7/0"},
	} {
		c := open(t, url, nil)
		if c.Server() != want.server || c.Redacted() != want.shown {
			t.Errorf("%s is server %s, shown as %s; want %s and %s", url, c.Server(), c.Redacted(), want.server, want.shown)
		}
		if all := fmt.Sprintf("%v %+v %#v", c, c, c); strings.Contains(all, ":secret") {
			t.Errorf("the password shows: %s", all)
		}
	}
	if !slices.IsSorted(redisconn.Parameters()) || !slices.IsSorted(redisconn.Schemes()) || len(redisconn.Schemes()) != 6 {
		t.Error("names are not sorted, or not all there")
	}
}

func TestMistakesInURLsAreNamedAndShowNoPassword(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"secret":                                   "not a URL",
		"http://h":                                 "known are redis, redis-cluster, redis-sentinel, rediss, rediss-cluster, rediss-sentinel",
		"redis://u:secret@h:port":                  "port is not a number",
		"redis://h/x":                              "not a number",
		"redis://h/-1":                             "not a number",
		"redis://h,g":                              "more than one server",
		"redis://h/0/1":                            "not a number",
		"redis://h?colour=red&timeout=never":       "pool_size",
		"redis://h?timeout=1s&timeout=2s":          "2 times",
		"redis://h?timeout=-1s":                    "positive",
		"redis://h?protocol=4":                     "2 or 3",
		"redis://h?client_name=a%20b":              "space",
		"redis://h?replica_reads=yes":              "true or false",
		"redis://h?replica_reads=true":             "knows no replicas",
		"redis://h?sentinel_username=x":            "credentials of sentinels",
		"redis-sentinel://h/m?sentinel_username=x": "SentinelPassword",
		"redis://h?tls_ca=/x":                      "use rediss://",
		"redis://u:sec%ret@h":                      "escapes nothing",
		"redis://u:sec/ret@h":                      "%2F",
		"redis://u:sec?ret@h":                      "%2F",
		"redis://u:sec#ret@h":                      "%2F",
		"redis-sentinel://h":                       "no master",
		"redis-sentinel:///main":                   "no server is named",
		"redis-sentinel://h,h/main":                "named twice",
		"redis-sentinel://h/main/x":                "not a number",
		"redis-cluster://h/1":                      "database 0 only",
		"redis-cluster://":                         "no server is named",
	} {
		_, err := redisconn.Open(url, nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sec") && !strings.Contains(want, "sec") {
			t.Errorf("%s: %v, want %q and no password", url, err, want)
		}
	}
}

func TestMistakesInOptionsAreNamed(t *testing.T) {
	t.Parallel()
	_, err := redisconn.Open("redis://h", &redisconn.Options{
		Timeout: -1, PoolSize: -1, MinIdle: -1, MaxIdleTime: -1, MaxAge: -1, ClientName: "a b", Username: "u", Protocol: 4,
		TLS: &tls.Config{},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, field := range []string{
		"Timeout", "PoolSize", "MinIdle", "MaxIdleTime", "MaxAge", "ClientName", "Username", "Protocol", "TLS",
	} {
		if !strings.Contains(err.Error(), "Options."+field) {
			t.Errorf("%q does not name %s", err, field)
		}
	}
}

func TestTLSFilesAreCheckedWhenOpened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca, err := testcert.New(dir, "authority")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.Issue("client", nil)
	if err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, "rediss://h?tls_ca="+ca.File+"&tls_cert="+leaf.CertFile+"&tls_key="+leaf.KeyFile+"&tls_server_name=x", nil)
	for query, want := range map[string]string{
		"tls_ca=" + dir + "/none":                          "tls_ca",
		"tls_ca=" + empty:                                  "no certificate in PEM",
		"tls_cert=" + leaf.CertFile:                        "give both",
		"tls_key=" + leaf.KeyFile:                          "give both",
		"tls_cert=" + empty + "&tls_key=" + leaf.KeyFile:   "tls_cert",
		"tls_cert=" + ca.File + "&tls_key=" + leaf.KeyFile: "private key does not match",
		"tls_ca=":          "empty",
		"tls_server_name=": "empty",
	} {
		_, err := redisconn.Open("rediss://h?"+query, nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %q", query, err, want)
		}
	}
}

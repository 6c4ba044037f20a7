package filejournal

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// ParseURL reads the URL of a journal, for [Open]: file:///var/lib/shop/orders.journal has three slashes, since it names no host. The
// parameter sync is always or never, as [Options.Sync] is. An error does not quote the URL.
func ParseURL(rawURL string) (path string, o *Options, err error) {
	u, err := url.Parse(rawURL)
	switch {
	case err != nil || u.Scheme != "file" || u.Opaque != "":
		return "", nil, errors.New("filejournal: a URL is like file:///var/lib/shop/orders.journal")
	case u.Host != "" || u.User != nil:
		return "", nil, errors.New("filejournal: the URL of a file has three slashes, and no host: file:///var/lib/shop/orders.journal")
	case strings.Trim(u.Path, "/") == "" || strings.HasSuffix(u.Path, "/"):
		return "", nil, errors.New("filejournal: the URL names no file")
	case u.Fragment != "":
		return "", nil, errors.New("filejournal: the URL has a fragment: write # in a path as %23")
	}
	params, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", nil, errors.New("filejournal: the parameters of the URL cannot be read")
	}
	o = &Options{}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		values := params[name]
		switch {
		case name != "sync":
			return "", nil, fmt.Errorf("filejournal: unknown parameter %q; known: sync", name)
		case len(values) > 1:
			return "", nil, errors.New("filejournal: the parameter sync is there twice")
		case values[0] == Never.String():
			o.Sync = Never
		case values[0] != Always.String():
			return "", nil, errors.New("filejournal: the parameter sync is always or never")
		}
	}
	return u.Path, o, nil
}

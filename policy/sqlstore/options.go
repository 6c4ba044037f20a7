package sqlstore

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Options say which table a [Source] reads and writes. Names are taken as they are: case, spaces and quotes included.
type Options struct {
	// Table is the table's name. Required.
	Table string

	// Schema is where the table is: a schema of PostgreSQL, a database of MariaDB or SQLite. Default: where the connection looks.
	Schema string

	// Key is the column of the primary key, or of another unique key that cannot be NULL. Required, unless K is a struct whose
	// fields are tagged, which are the columns of the key then.
	Key string

	// Version is a column for the version of what a row holds: a bigint, not null, default 0. Default: none, and no change that
	// has a version is made.
	Version string

	// Deleted is a boolean column, not null, default false: a deleted row stays, with its version, and no read sees it, so that an
	// older change which comes late does not bring it back. Every column but those of the key, Version and Deleted needs a default,
	// or may be NULL. It needs Version. Default: none, and Delete deletes the row.
	Deleted string

	// IgnoreVersions makes a source without a Version column take changes that have a version, in the order of calls. Under
	// write-behind, a change that comes a second time may then undo a newer one.
	IgnoreVersions bool
}

// problems collects what is wrong with the arguments of New.
type problems []error

func (p *problems) add(format string, args ...any) {
	*p = append(*p, fmt.Errorf("sqlstore: "+format, args...))
}

func (p problems) err() error { return errors.Join(p...) }

// validate reports what can be said without the types.
func (o *Options) validate(d Dialect, p *problems) {
	if d < Postgres || d > SQLite {
		p.add("the dialect is none of Postgres, MariaDB and SQLite")
	}
	if o.Table == "" {
		p.add("Options.Table is empty")
	}
	for _, f := range []struct{ field, name string }{
		{"Table", o.Table}, {"Schema", o.Schema}, {"Key", o.Key}, {"Version", o.Version}, {"Deleted", o.Deleted},
	} {
		if why := badName(f.name); f.name != "" && why != "" {
			p.add("Options.%s %q %s", f.field, f.name, why)
		}
	}
	names := slices.DeleteFunc([]string{o.Key, o.Version, o.Deleted}, func(n string) bool { return n == "" })
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) != len(names) {
		p.add("Options.Key, Version and Deleted name a column twice")
	}
	if o.Deleted != "" && o.Version == "" {
		p.add("Options.Deleted needs Version: a deleted row stays for its version")
	}
	if o.Version != "" && o.IgnoreVersions {
		p.add("Options.IgnoreVersions contradicts Version")
	}
}

// badName says why no database can have a column or table of this name.
func badName(name string) string {
	switch {
	case name == "":
		return "is empty"
	case strings.ContainsRune(name, 0):
		return "has a NUL"
	case strings.HasSuffix(name, " "):
		return "ends with a space"
	}
	return ""
}

package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// An Error is one mistake in a configuration.
type Error struct {
	File         string // "" if it was not read from one
	Line, Column int    // from 1; 0 if the mistake has no place in the file
	Variable     string // the environment variable that brought the value, if one did
	Path         string // like caches.products.ttl; "" for the file as a whole
	Problem      string // never holds a secret
	Err          error  // the cause, if it is known and shows no secret
}

// Error is the whole mistake in one line: file:line:column: path: problem.
func (e *Error) Error() string {
	var b strings.Builder
	switch {
	case e.Variable != "":
		b.WriteString("$" + e.Variable + ": ")
	case e.Line > 0 && e.File != "":
		fmt.Fprintf(&b, "%s:%d:%d: ", e.File, e.Line, e.Column)
	case e.Line > 0:
		fmt.Fprintf(&b, "%d:%d: ", e.Line, e.Column)
	case e.File != "":
		b.WriteString(e.File + ": ")
	}
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Problem)
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errors are all mistakes in a configuration, in the order of the file; those from the environment come last.
type Errors []*Error

// Error is a line for each mistake.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = "config: " + e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns each mistake.
func (es Errors) Unwrap() []error {
	errs := make([]error, len(es))
	for i, e := range es {
		errs[i] = e
	}
	return errs
}

// problems collects mistakes.
type problems struct {
	file string
	list Errors
}

func (p *problems) add(at place, format string, args ...any) *Error {
	e := &Error{File: p.file, Line: at.line, Column: at.column, Variable: at.variable, Path: at.path, Problem: fmt.Sprintf(format, args...)}
	p.list = append(p.list, e)
	return e
}

// err returns what was collected, or nil.
func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	slices.SortStableFunc(p.list, func(a, b *Error) int {
		return cmp.Or(
			cmp.Compare(a.Variable, b.Variable), // "" first
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
		)
	})
	return p.list
}

// A place is where something was written.
type place struct {
	path         string
	line, column int
	variable     string
}

func (p place) under(name string) place {
	p.path = join(p.path, name)
	return p
}

// join appends a name to a path; one that is no proper name is quoted.
func join(path, name string) string {
	if !nameForm.MatchString(name) {
		name = quote(name)
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// quote quotes text of the file, shortened.
func quote(s string) string {
	const most = 40
	if r := []rune(s); len(r) > most {
		return fmt.Sprintf("%q…", string(r[:most]))
	}
	return fmt.Sprintf("%q", s)
}

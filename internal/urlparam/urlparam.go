// Package urlparam reads the servers and the parameters of a URL, strictly: the connection packages share it, so that each
// URL is refused for the same reasons in the same words.
package urlparam

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Set is the parameters that are known, with what each does to options of type O. The error of a setter begins with
// name=value.
type Set[O any] map[string]func(o *O, value string) error

// Names returns the names of the parameters, sorted.
func (s Set[O]) Names() []string { return slices.Sorted(maps.Keys(s)) }

// Apply sets what the query says, and reports every problem at once: an unknown name, a value given twice, a bad value.
// Errors never show more of the URL than that.
func (s Set[O]) Apply(o *O, query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("malformed URL parameters")
	}
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(values)) {
		set, known := s[name]
		switch given := values[name]; {
		case !known:
			problems = append(problems, fmt.Errorf("unknown URL parameter %q; known: %s", name, strings.Join(s.Names(), ", ")))
		case len(given) > 1:
			problems = append(problems, fmt.Errorf("URL parameter %q is given %d times", name, len(given)))
		default:
			if err := set(o, given[0]); err != nil {
				problems = append(problems, fmt.Errorf("URL parameter %w", err))
			}
		}
	}
	return errors.Join(problems...)
}

// Duration reads a positive duration into *to.
func Duration(to *time.Duration, name, value string) error {
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		return fmt.Errorf("%s=%q is not a positive duration such as 250ms", name, value)
	}
	*to = d
	return nil
}

// Count reads a positive number into *to.
func Count(to *int, name, value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n <= 0 {
		return fmt.Errorf("%s=%q is not a positive number", name, value)
	}
	*to = n
	return nil
}

// Text reads a value that is not empty.
func Text(to *string, name, value string) error {
	if value == "" {
		return fmt.Errorf("%s is empty", name)
	}
	*to = value
	return nil
}

package config

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/invalidation"
)

// open opens the servers of a plan. If one fails, the others are tried, so that all that fail are reported; then everything
// is closed again.
func (pl *plan) open(ctx context.Context, drivers Drivers, p *problems) *Set {
	set := &Set{plan: pl, file: p.file, stores: map[*server]*backend.Store{}, buses: map[*server]*invalidation.Bus{}, made: map[string]bool{}}
	opened := false
	defer func() {
		if !opened { // also when an opener panics
			set.Close()
		}
	}()
	byURL := map[string]*backend.Store{}
	for _, s := range pl.stores {
		scheme, _, _ := strings.Cut(s.url, "://")
		store, err := drivers.Stores[scheme](ctx, s.url)
		if err != nil || store == nil {
			s.failed(err, p)
			continue
		}
		set.stores[s], byURL[s.url] = store, store
		set.closers = append(set.closers, store.Close)
	}
	for _, s := range pl.buses {
		scheme, _, _ := strings.Cut(s.url, "://")
		var share Client
		if store := byURL[s.url]; store != nil {
			share = store
		}
		bus, err := drivers.Buses[scheme](ctx, s.url, share)
		if err != nil || bus == nil {
			s.failed(err, p)
			continue
		}
		set.buses[s] = bus
		set.closers = append(set.closers, bus.Close)
	}
	if opened = p.err() == nil; !opened {
		return nil
	}
	return set
}

// failed reports that a server could not be opened, without what its URL hides.
func (s *server) failed(err error, p *problems) {
	if err == nil {
		err = errors.New("its opener returned nothing")
	}
	said := err.Error()
	text := s.scrub(said)
	e := p.add(s.at, "cannot be opened: %s", text)
	if text == said {
		e.Err = err
	}
}

// scrub takes out of a text what came from variables, and the URL's user and password. Drivers do so too; this is for those
// that forget.
func (s *server) scrub(text string) string {
	secrets := slices.Clone(s.secrets)
	if _, rest, ok := strings.Cut(s.url, "://"); ok {
		if end := strings.IndexAny(rest, "/?#"); end >= 0 && strings.LastIndexByte(rest, '@') < end {
			rest = rest[:end]
		}
		if i := strings.LastIndexByte(rest, '@'); i >= 0 {
			_, password, _ := strings.Cut(rest[:i], ":")
			secrets = append(secrets, rest[:i], password)
		}
	}
	for _, secret := range slices.Clone(secrets) {
		if plain, err := url.PathUnescape(secret); err == nil {
			secrets = append(secrets, plain)
		}
		if plain, err := url.QueryUnescape(secret); err == nil {
			secrets = append(secrets, plain)
		}
	}
	for _, secret := range slices.Clone(secrets) { // as %q writes them
		q := quoteAll(secret)
		secrets = append(secrets, q)
	}
	slices.SortFunc(secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	var pairs []string
	for _, secret := range slices.Compact(secrets) {
		if secret != "" {
			pairs = append(pairs, secret, "…")
		}
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

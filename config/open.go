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
	"github.com/strata-cache/strata/policy/journal"
)

// open opens the servers of a plan: remote tiers, buses, the remote tiers whose servers a bus tells, and journals. If one fails, the others
// are tried, so that all that fail are reported; then everything is closed again.
func (pl *plan) open(ctx context.Context, drivers Drivers, p *problems) *Set {
	set := &Set{
		plan: pl, file: p.file, stores: map[*server]*backend.Store{}, views: map[*remote]*backend.Store{},
		buses: map[*server]*invalidation.Bus{}, journals: map[*server]journal.Journal{}, made: map[string]bool{},
	}
	opened := false
	defer func() {
		if !opened { // also when an opener panics
			set.Close()
		}
	}()
	byURL := map[string]*backend.Store{}
	for _, s := range pl.stores {
		if s.members == nil {
			store, err := drivers.Stores[s.scheme()](ctx, s.url)
			set.openedStore(s, store, err, p)
			byURL[s.url] = set.stores[s]
		}
	}
	share := func(s *server) Client {
		if store := byURL[s.url]; store != nil {
			return store
		}
		return nil
	}
	for _, s := range pl.buses {
		bus, err := drivers.Buses[s.scheme()](ctx, s.url, share(s), pl.busOptions)
		if err != nil || bus == nil {
			failed(s.at, "cannot be opened", err, s.allSecrets(), p)
			continue
		}
		set.buses[s] = bus
		set.closers = append(set.closers, bus.Close)
	}
	for _, s := range pl.stores {
		if bus := set.buses[s.members]; bus != nil { // else its failure is reported
			members, err := invalidation.Register(bus, s.register)
			var store *backend.Store
			if err == nil {
				store, err = drivers.Pools[s.scheme()](ctx, s.url, members)
			}
			set.openedStore(s, store, err, p)
		}
	}
	for _, s := range pl.journals {
		j, err := drivers.Journals[s.scheme()](ctx, s.url, share(s))
		if err != nil || j == nil {
			failed(s.at, "cannot be opened", err, s.allSecrets(), p)
			continue
		}
		set.journals[s] = j
		set.closers = append(set.closers, j.Close)
	}
	for _, r := range pl.views {
		if store := set.stores[r.server]; store != nil {
			set.views[r] = r.of(store)
		}
	}
	if opened = p.err() == nil; !opened {
		return nil
	}
	return set
}

// openedStore keeps what an opener returned, or reports that it failed.
func (set *Set) openedStore(s *server, store *backend.Store, err error, p *problems) {
	if err != nil || store == nil {
		failed(s.at, "cannot be opened", err, s.allSecrets(), p)
		return
	}
	set.stores[s] = store
	set.closers = append(set.closers, store.Close)
}

// of returns the view of an open store, which closes with it.
func (r *remote) of(store *backend.Store) *backend.Store {
	if r.timeout > 0 {
		store = store.With(&backend.Options{Timeout: r.timeout})
	}
	if r.prefix != "" {
		store = store.Prefix(r.prefix)
	}
	return store
}

func (s *server) scheme() string {
	scheme, _, _ := strings.Cut(s.url, "://")
	return scheme
}

// failed reports that something could not be opened or made, without the secrets that its error may hold. Drivers take them out,
// too; this is for those that forget.
func failed(at place, what string, err error, secrets []string, p *problems) {
	if err == nil {
		err = errors.New("its opener returned nothing")
	}
	said := err.Error()
	text := scrub(said, secrets)
	e := p.add(at, "%s: %s", what, strings.ReplaceAll(text, "\n", "; "))
	if text == said {
		e.Err = err
	}
}

// allSecrets returns what came from variables, and the URL's user and password.
func (s *server) allSecrets() []string {
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
	return secrets
}

// scrub takes secrets out of a text, in whichever form they stand there.
func scrub(text string, secrets []string) string {
	secrets = slices.Clone(secrets)
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

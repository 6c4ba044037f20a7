package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A plan is a configuration understood: what is to be opened, and what each cache is.
type plan struct {
	stores, buses []*server // distinct by URL, in order of appearance
	remotes       map[string]*server
	busNames      map[string]*server
	caches        map[string]*cachePlan
	order         []string // of caches
}

// A server is one URL, and where it is written first.
type server struct {
	url     string
	at      place
	secrets []string
}

// A cachePlan is one cache.
type cachePlan struct {
	settings
	at          place
	remote, bus *server // nil: none
}

// resolve understands a document. It reports every mistake that can be found without opening anything.
func (d *document) resolve(env map[string]string, drivers Drivers, p *problems) *plan {
	pl := &plan{remotes: map[string]*server{}, busNames: map[string]*server{}, caches: map[string]*cachePlan{}}
	storeSchemes := slices.Sorted(maps.Keys(drivers.Stores))
	busSchemes := slices.Sorted(maps.Keys(drivers.Buses))
	for _, it := range d.remotes {
		it.text.expand(env, p)
		pl.remotes[it.name] = addServer(&pl.stores, it.text, storeSchemes, p)
	}
	for _, it := range d.buses {
		it.text.expand(env, p)
		pl.busNames[it.name] = addServer(&pl.buses, it.text, busSchemes, p)
	}
	remotes := references{"remote", &pl.stores, pl.remotes, storeSchemes}
	buses := references{"bus", &pl.buses, pl.busNames, busSchemes}

	common := base()
	origin := map[string]place{} // of the values in common that are not built in
	badDefaults := d.defaults.read(&common, origin, env, p)
	commonRemote := remotes.find(d.defaults.fields["remote"], p)
	commonBus := buses.find(d.defaults.fields["bus"], p)
	badDefaults = badDefaults || commonRemote == nil && common.remote != none
	for _, s := range d.caches {
		c := &cachePlan{settings: common, at: s.at, remote: commonRemote, bus: commonBus}
		from := maps.Clone(origin)
		bad := s.read(&c.settings, from, env, p) || badDefaults
		if t, ok := s.fields["remote"]; ok {
			c.remote = remotes.find(t, p)
			bad = bad || c.remote == nil && t.text != none
		}
		if t, ok := s.fields["bus"]; ok {
			c.bus = buses.find(t, p)
		}
		if !bad {
			c.check(from, p)
		}
		pl.caches[s.name] = c
		pl.order = append(pl.order, s.name)
	}
	return pl
}

// base returns the built-in defaults.
func base() (s settings) {
	for _, f := range fields {
		if f.def != sameAsTTL {
			f.set(&s, f.def)
		}
	}
	return s
}

// read understands the fields of a section into s, and notes where each was written. It reports whether some were bad.
func (s *section) read(into *settings, origin map[string]place, env map[string]string, p *problems) (bad bool) {
	for _, f := range fields {
		text, ok := s.fields[f.name]
		if !ok {
			continue
		}
		text.expand(env, p)
		if !text.unusable {
			if problem := f.set(into, text.text); problem != "" {
				p.add(text.at, "%s %s", text.show(), problem)
				text.unusable = true
			}
		}
		s.fields[f.name] = text
		origin[f.name] = text.at
		bad = bad || text.unusable
	}
	return bad
}

// check compares fields with each other.
func (c *cachePlan) check(from map[string]place, p *problems) {
	at := func(names ...string) place { // where the nearest of the fields was written
		for _, name := range names {
			if where, ok := from[name]; ok {
				inherited := !strings.HasPrefix(where.path, c.at.path+".")
				if !inherited {
					return where
				}
			}
		}
		return c.at
	}
	if c.localTTL > c.ttl {
		p.add(at("local_ttl", "ttl"), "local_ttl %s is longer than ttl %s", short(c.localTTL), short(c.ttl))
	}
	if c.softTTL >= c.ttl {
		p.add(at("soft_ttl", "ttl"), "soft_ttl %s is not shorter than ttl %s", short(c.softTTL), short(c.ttl))
	}
	if c.localCost < 0 && c.remote == nil {
		p.add(at("local_cost", "remote"), "local_cost is off and there is no remote: nothing would be cached")
	}
}

// short writes 10m and not 10m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// references are what the field remote, or the field bus, may mean.
type references struct {
	field   string
	servers *[]*server
	named   map[string]*server // nil values: reported already
	schemes []string
}

// find returns what a field means; nil for none, and for what it reports.
func (r references) find(text scalar, p *problems) *server {
	switch {
	case text.unusable, text.at == place{}, text.text == none:
		return nil
	case strings.Contains(text.text, "://"):
		return addServer(r.servers, text, r.schemes, p)
	}
	if s, ok := r.named[text.text]; ok {
		return s
	}
	if !nameForm.MatchString(text.text) || len(text.secrets) > 0 {
		p.add(text.at, "%s is neither a URL nor the name of a %s", text.hidden(), r.field)
		return nil
	}
	p.add(text.at, "no %s has the name %s; %s", r.field, quote(text.text), suggest(text.text, slices.Collect(maps.Keys(r.named))))
	return nil
}

var variableOnly = regexp.MustCompile(`^\$\{[A-Za-z_][A-Za-z0-9_]*\}$`)

// hidden names a value that may be a URL, and so hold a password.
func (s scalar) hidden() string {
	if variableOnly.MatchString(s.written) && s.at.variable == "" {
		return "the value of " + s.written
	}
	return "the value"
}

var schemeForm = regexp.MustCompile(`^[a-z][a-z0-9+.-]{0,31}$`)

// addServer returns the server of a URL: the one that has it already, or a new one. It returns nil if it reports a mistake.
func addServer(servers *[]*server, text scalar, schemes []string, p *problems) *server {
	if text.unusable {
		return nil
	}
	scheme, _, ok := strings.Cut(text.text, "://")
	if !ok || !schemeForm.MatchString(scheme) {
		p.add(text.at, "%s is no URL: one begins with a scheme and ://, like redis://localhost:6379", text.hidden())
		return nil
	}
	if !slices.Contains(schemes, scheme) {
		name := quote(scheme)
		if !strings.HasPrefix(text.written, scheme+"://") || text.at.variable != "" {
			name = "of " + text.hidden()
		}
		p.add(text.at, "the scheme %s is unknown; %s", name, suggestScheme(scheme, schemes))
		return nil
	}
	for _, s := range *servers {
		if s.url == text.text {
			s.secrets = append(s.secrets, text.secrets...)
			return s
		}
	}
	s := &server{url: text.text, at: text.at, secrets: slices.Clone(text.secrets)}
	*servers = append(*servers, s)
	return s
}

func suggestScheme(scheme string, schemes []string) string {
	if near := nearest(scheme, schemes); near != "" {
		return fmt.Sprintf("did you mean %s://? known: %s", near, strings.Join(schemes, ", "))
	}
	if len(schemes) == 0 {
		return "the program brings no driver for any"
	}
	return "known: " + strings.Join(schemes, ", ")
}

package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/invalidation"
)

// A plan is a configuration understood: what is to be opened, and what each cache is.
type plan struct {
	stores, buses []*server // distinct, in order of appearance
	journals      []*server // likewise
	busOptions    *invalidation.Options
	remotes       map[string]*remote
	views         []*remote // distinct, in order of appearance
	busNames      map[string]*server
	journalNames  map[string]*server
	caches        map[string]*cachePlan
	order         []string // of caches
}

// A server is one URL with one membership, and where it is written first.
type server struct {
	url      string
	members  *server // the bus that keeps the list of servers; nil: the URL does
	register string  // what the list is called there
	at       place
	secrets  []string
}

// A remote is a view of a server.
type remote struct {
	server  *server
	prefix  string        // "": none
	timeout time.Duration // 0: none
}

// A cachePlan is one cache.
type cachePlan struct {
	settings
	at         place
	remote     *remote          // nil: none
	bus        *server          // nil: none
	journal    *server          // nil: none
	compressor codec.Compressor // nil: none
	cipher     codec.Cipher     // nil: none
}

// resolve understands a document. It reports every mistake that can be found without opening a server.
func (d *document) resolve(env map[string]string, drivers Drivers, p *problems) *plan {
	pl := &plan{remotes: map[string]*remote{}, busNames: map[string]*server{}, journalNames: map[string]*server{}, caches: map[string]*cachePlan{}}
	for _, it := range d.buses {
		it.text.expand(env, p)
		pl.busNames[it.name] = addServer(&pl.buses, server{}, it.text, drivers.busSchemes(), p)
	}
	for _, it := range d.journals {
		it.text.expand(env, p)
		pl.journalNames[it.name] = addServer(&pl.journals, server{}, it.text, drivers.journalSchemes(), p)
	}
	for _, s := range d.remotes {
		pl.remotes[s.name] = pl.resolveRemote(s, env, drivers, p)
	}
	pl.busOptions = d.resolveBusKeys(env, p)
	rings := d.resolveRings(env, drivers, p)
	remotes := references[remote]{"remote", pl.remotes, func(text scalar) *remote {
		return pl.view(addServer(&pl.stores, server{}, text, drivers.storeSchemes(), p), remoteSettings{})
	}}
	buses := references[server]{"bus", pl.busNames, func(text scalar) *server {
		return addServer(&pl.buses, server{}, text, drivers.busSchemes(), p)
	}}
	journals := references[server]{"journal", pl.journalNames, func(text scalar) *server {
		return addServer(&pl.journals, server{}, text, drivers.journalSchemes(), p)
	}}

	common := base()
	origin := map[string]place{} // of the values in common that are not built in
	badDefaults := understand(&d.defaults, cacheFields, &common, origin, env, p)
	commonRemote := remotes.find(d.defaults.fields["remote"], p)
	commonBus := buses.find(d.defaults.fields["bus"], p)
	commonJournal := journals.find(d.defaults.fields["journal"], p)
	badDefaults = badDefaults || commonRemote == nil && common.remote != none || commonJournal == nil && common.journal != none
	codecs := codecs{drivers: drivers, rings: rings, refused: map[place]bool{}}
	for _, s := range d.caches {
		c := &cachePlan{settings: common, at: s.at, remote: commonRemote, bus: commonBus, journal: commonJournal}
		from := maps.Clone(origin)
		bad := understand(s, cacheFields, &c.settings, from, env, p) || badDefaults
		if t, ok := s.fields["remote"]; ok {
			c.remote = remotes.find(t, p)
			bad = bad || c.remote == nil && t.text != none
		}
		if t, ok := s.fields["bus"]; ok {
			c.bus = buses.find(t, p)
		}
		if t, ok := s.fields["journal"]; ok {
			c.journal = journals.find(t, p)
			bad = bad || c.journal == nil && t.text != none
		}
		if !bad {
			c.check(from, p)
			written, ok := s.fields["encryption"]
			if !ok {
				written = d.defaults.fields["encryption"]
			}
			codecs.resolve(c, written, from["compression"], p)
		}
		pl.caches[s.name] = c
		pl.order = append(pl.order, s.name)
	}
	if drivers.CheckURL != nil {
		pl.checkURLs(drivers.CheckURL, p)
	}
	return pl
}

// checkURLs checks each URL once, whatever it is used for.
func (pl *plan) checkURLs(check func(url string) error, p *problems) {
	checked := map[string]bool{}
	for _, s := range slices.Concat(pl.stores, pl.buses, pl.journals) {
		if checked[s.url] {
			continue
		}
		checked[s.url] = true
		if err := check(s.url); err != nil {
			failed(s.at, "is no URL that can be opened", err, s.allSecrets(), p)
		}
	}
}

// resolveRemote understands one remote; nil if it reports a mistake.
func (pl *plan) resolveRemote(s *section, env map[string]string, drivers Drivers, p *problems) *remote {
	var settings remoteSettings
	origin := map[string]place{}
	bad := understand(s, remoteFields, &settings, origin, env, p)
	url, ok := s.fields["url"]
	if !ok {
		p.add(s.at, "has no url")
		return nil
	}
	var like server
	if settings.membership != "" && !s.fields["membership"].unusable {
		at := origin["membership"]
		bus, known := pl.busNames[settings.membership]
		switch scheme, _, _ := strings.Cut(url.text, "://"); {
		case !known:
			p.add(at, "%s", s.fields["membership"].isNo("bus", slices.Collect(maps.Keys(pl.busNames))))
			bad = true
		case bus == nil:
			bad = true
		case !url.unusable && drivers.Stores[scheme] != nil && drivers.Pools[scheme] == nil:
			p.add(at, "the servers of %s:// are those of the URL: %s", scheme, suggestPools(slices.Sorted(maps.Keys(drivers.Pools))))
			bad = true
		}
		like = server{members: bus, register: "pool:" + s.name}
	}
	found := addServer(&pl.stores, like, url, drivers.storeSchemes(), p)
	if bad {
		return nil
	}
	return pl.view(found, settings)
}

func suggestPools(schemes []string) string {
	if len(schemes) == 0 {
		return "the program brings no driver with a membership"
	}
	return "a membership is for " + strings.Join(schemes, ", ")
}

// view returns the view of a server with these settings: one that is there, or a new one. nil if there is no server.
func (pl *plan) view(s *server, settings remoteSettings) *remote {
	if s == nil {
		return nil
	}
	wanted := remote{server: s, prefix: settings.prefix, timeout: settings.timeout}
	for _, r := range pl.views {
		if *r == wanted {
			return r
		}
	}
	pl.views = append(pl.views, &wanted)
	return &wanted
}

// base returns the built-in defaults.
func base() (s settings) {
	for _, f := range cacheFields {
		if !slices.Contains(derived, f.def) {
			f.set(&s, f.def)
		}
	}
	return s
}

// understand reads the fields of a section into a struct, and notes where each was written. It reports whether some were bad.
func understand[S any](s *section, fields []field[S], into *S, origin map[string]place, env map[string]string, p *problems) (bad bool) {
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
	c.checkWriting(at, p)
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
type references[T any] struct {
	field string
	named map[string]*T // nil values: reported already
	byURL func(scalar) *T
}

// find returns what a field means; nil for none, and for what it reports.
func (r references[T]) find(text scalar, p *problems) *T {
	switch {
	case text.unusable, text.at == place{}, text.text == none:
		return nil
	case strings.Contains(text.text, "://"):
		return r.byURL(text)
	}
	if found, ok := r.named[text.text]; ok {
		return found
	}
	if !nameForm.MatchString(text.text) || len(text.secrets) > 0 {
		p.add(text.at, "%s is neither a URL nor the name of a %s", text.hidden(), r.field)
		return nil
	}
	p.add(text.at, "no %s has the name %s; %s", r.field, quote(text.text), suggest(text.text, slices.Collect(maps.Keys(r.named))))
	return nil
}

// isNo says that a value is the name of nothing known.
func (s scalar) isNo(what string, known []string) string {
	like := s.text
	if len(s.secrets) > 0 {
		like = "" // what is near to it would tell of it
	}
	return fmt.Sprintf("%s is the name of no %s; %s", s.show(), what, suggest(like, known))
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

// addServer returns the server of a URL with a membership as in like: the one that has them already, or a new one. It returns nil
// if it reports a mistake.
func addServer(servers *[]*server, like server, text scalar, schemes []string, p *problems) *server {
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
		if s.url == text.text && s.members == like.members && s.register == like.register {
			s.secrets = append(s.secrets, text.secrets...)
			return s
		}
	}
	s := &server{url: text.text, members: like.members, register: like.register, at: text.at, secrets: slices.Clone(text.secrets)}
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

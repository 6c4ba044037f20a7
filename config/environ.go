package config

import (
	"maps"
	"slices"
	"strings"
)

// Variables that begin so change the configuration, and must name something in it.
const (
	envRemotes  = "STRATA_REMOTES_"
	envBuses    = "STRATA_BUSES_"
	envJournals = "STRATA_JOURNALS_"
	envDefaults = "STRATA_DEFAULTS_"
	envCaches   = "STRATA_CACHES_"
)

// environ returns the variables of a list of NAME=value; of several, the last counts.
func environ(list []string) map[string]string {
	env := make(map[string]string, len(list))
	for _, entry := range list {
		if name, value, ok := strings.Cut(entry, "="); ok && name != "" {
			env[name] = value
		}
	}
	return env
}

// override puts values of the environment in the place of those in the file.
func (d *document) override(env map[string]string, p *problems) {
	type target struct {
		path string
		set  func(scalar)
	}
	targets := map[string][]target{}
	add := func(variable, path string, set func(scalar)) {
		targets[variable] = append(targets[variable], target{path, set})
	}
	for _, r := range d.remotes {
		add(envRemotes+envName(r.name), "remotes."+r.name, func(s scalar) { r.fields["url"] = s })
		for _, f := range remoteFields {
			add(envRemotes+envName(r.name)+"_"+envName(f.name), "remotes."+r.name+"."+f.name, func(s scalar) { r.fields[f.name] = s })
		}
	}
	for _, it := range d.buses {
		add(envBuses+envName(it.name), "buses."+it.name, func(s scalar) { it.text = s })
	}
	for _, it := range d.journals {
		add(envJournals+envName(it.name), "journals."+it.name, func(s scalar) { it.text = s })
	}
	for _, f := range cacheFields {
		add(envDefaults+envName(f.name), "defaults."+f.name, func(s scalar) { d.defaults.fields[f.name] = s })
		for _, c := range d.caches {
			add(envCaches+envName(c.name)+"_"+envName(f.name), "caches."+c.name+"."+f.name, func(s scalar) { c.fields[f.name] = s })
		}
	}
	known := slices.Sorted(maps.Keys(targets))
	for _, variable := range slices.Sorted(maps.Keys(env)) {
		var prefix string
		for _, begin := range []string{envRemotes, envBuses, envJournals, envDefaults, envCaches} {
			if strings.HasPrefix(variable, begin) {
				prefix = begin
			}
		}
		if prefix == "" {
			continue
		}
		at := place{variable: variable}
		switch found := targets[variable]; len(found) {
		case 0:
			hint := "nothing in the file is like it"
			if near := nearest(variable, known); near != "" {
				hint = "did you mean " + near + "?"
			}
			p.add(at, "names no setting of a remote, bus, journal or cache in the file; %s", hint)
		case 1:
			at.path = found[0].path
			found[0].set(scalar{text: env[variable], written: env[variable], at: at, secrets: []string{env[variable]}})
		default:
			paths := make([]string, len(found))
			for i, t := range found {
				paths[i] = t.path
			}
			slices.Sort(paths)
			p.add(at, "could mean each of %s: change it in the file", strings.Join(paths, ", "))
		}
	}
}

// envName writes a name as it stands in a variable: in capitals, anything but letters and digits as '_'.
func envName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, name)
}

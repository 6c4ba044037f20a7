package config

import "github.com/strata-cache/strata/invalidation"

// unsigned is what stands in the place of the last key of a bus while a fleet is given its first.
const unsigned = "unsigned"

// resolveBusKeys makes the options of all buses of the keys that they have; without a mistake to report they are never nil.
func (d *document) resolveBusKeys(env map[string]string, p *problems) *invalidation.Options {
	if d.busKeys == nil {
		return &invalidation.Options{}
	}
	if d.busKeys.broken {
		return nil
	}
	o, ok := &invalidation.Options{}, true
	var keys []invalidation.Key
	for _, it := range d.busKeys.keys {
		if it.name == unsigned {
			it.text.expand(env, p)
			if o.AcceptUnsigned = it.text.text == "accept"; !o.AcceptUnsigned && !it.text.unusable {
				p.add(it.text.at, "must be accept, or not be there")
			}
			continue
		}
		secret, good := it.text.secret(env, p)
		if !good {
			ok = false
			continue
		}
		key, err := invalidation.ParseKey(it.name, secret)
		if err != nil {
			failed(it.text.at, "cannot be used", err, []string{secret}, p)
			ok = false
			continue
		}
		keys = append(keys, key)
	}
	switch {
	case !ok:
		return nil
	case len(keys) == 0:
		p.add(d.busKeys.at, "has no key")
		return nil
	}
	var err error
	if o.Keys, err = invalidation.NewKeyring(keys[0], keys[1:]...); err != nil {
		failed(d.busKeys.at, "cannot be used", err, nil, p)
		return nil
	}
	return o
}

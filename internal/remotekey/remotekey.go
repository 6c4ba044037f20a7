// Package remotekey writes and reads the keys under which a cache's values are stored and announced: name/version/{key}.
package remotekey

import "strings"

// Braces decide where a key lives in a cluster, so those of the user's own bytes are written otherwise, and so is what writes them.
var (
	escaper   = strings.NewReplacer("%", "%25", "{", "%7B", "}", "%7D")
	unescaper = strings.NewReplacer("%25", "%", "%7B", "{", "%7D", "}")
)

// Prefix returns that of all keys of one version of a cache.
func Prefix(name, version string) string { return name + "/" + version + "/{" }

// Escape returns how key, or the beginning of one, is written behind a Prefix.
func Escape(key string) string {
	if !strings.ContainsAny(key, "%{}") {
		return key
	}
	return escaper.Replace(key)
}

// Join returns the remote key of key.
func Join(prefix, key string) string { return prefix + Escape(key) + "}" }

// Split returns the key that Join made the remote key of, and false if there is none.
func Split(prefix, remoteKey string) (key string, ok bool) {
	escaped, ok := strings.CutPrefix(remoteKey, prefix)
	if !ok {
		return "", false
	}
	if escaped, ok = strings.CutSuffix(escaped, "}"); !ok {
		return "", false
	}
	key = unescaper.Replace(escaped)
	return key, Escape(key) == escaped
}

// Version returns the version of the cache called name of which a remote key is, and false if it is of none.
func Version(name, remoteKey string) (version string, ok bool) {
	rest, ok := strings.CutPrefix(remoteKey, name+"/")
	if !ok {
		return "", false
	}
	version, _, ok = strings.Cut(rest, "/{")
	return version, ok
}

package memcachedconn

import "strings"

// braced returns what decides which server owns key: what is between the first '{' and the next '}', else all of it.
func braced(key string) string {
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if inside, _, ok := strings.Cut(rest, "}"); ok {
			return inside
		}
	}
	return key
}

// hash is 64-bit FNV-1a. It must be the same in every process and for ever: it places keys.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// mix is the finalizer of splitmix64: FNV alone is far from uniform in its high bits, which decide a comparison.
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

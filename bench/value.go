package bench

import "encoding/binary"

// makeValue returns the value of key: size bytes that only this key has.
func makeValue(key string, size int) []byte {
	b := make([]byte, size)
	fill(b, key)
	return b
}

// checkValue reports whether v is the value of key.
func checkValue(v []byte, key string, size int) bool {
	if len(v) != size {
		return false
	}
	state := stateOf(key)
	for len(v) >= 8 {
		if binary.LittleEndian.Uint64(v) != next(&state) {
			return false
		}
		v = v[8:]
	}
	var last [8]byte
	binary.LittleEndian.PutUint64(last[:], next(&state))
	return string(v) == string(last[:len(v)])
}

func fill(b []byte, key string) {
	state := stateOf(key)
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, next(&state))
		b = b[8:]
	}
	var last [8]byte
	binary.LittleEndian.PutUint64(last[:], next(&state))
	copy(b, last[:])
}

// stateOf is FNV-1a of key.
func stateOf(key string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	return h
}

// next is SplitMix64.
func next(state *uint64) uint64 {
	*state += 0x9e3779b97f4a7c15
	z := *state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

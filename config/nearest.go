package config

import (
	"slices"
	"strings"
)

// suggest ends a complaint about an unknown name: with the nearest known one, or with all of them.
func suggest(name string, known []string) string {
	if len(known) == 0 {
		return "none is known here"
	}
	if near := nearest(name, known); near != "" {
		return "did you mean " + near + "?"
	}
	known = slices.Sorted(slices.Values(known))
	return "known: " + strings.Join(slices.Compact(known), ", ")
}

// nearest returns the known name that takes the fewest slips of a finger to become name, or "" if none is near.
func nearest(name string, known []string) string {
	const longest = 128 // what is longer is no slip, and the work is quadratic
	if len(name) > longest {
		return ""
	}
	best, least := "", max(1, min(3, len(name)/3))+1
	for _, k := range slices.Sorted(slices.Values(known)) {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance counts insertions, deletions, replacements and swaps of neighbours.
func distance(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
